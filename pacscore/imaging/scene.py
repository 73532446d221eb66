"""A volume made ready to be looked at from any side, as often as one likes.

What is read and prepared once (the words, and the limits of their cells) serves every projection and rendering, so that
the second picture costs a small part of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, UnsupportedError
from pacscore.imaging import arrays
from pacscore.imaging.arrays import UNWATCHED, Watch
from pacscore.imaging.image import Image
from pacscore.imaging.sampled import background_value
from pacscore.imaging.slabs import modality_of, slab_boxes
from pacscore.imaging.transfer import TransferFunction, transfer_of
from pacscore.imaging.values import Window
from pacscore.imaging.views import Frame, Framing, View, frame_views

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

FRONT, WHOLE, SQUARE = View.named("anterior"), Framing(), Framing(512)

Progress = Callable[[int, int], None]
"""Called with how many pictures are done, and of how many; what it raises ends the work."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A volume in memory, ready for rays.

    Attributes
    ----------
    rays : arrays.RayVolume
        The words.
    index_to_lps : NDArray of float64
        4 × 4, voxel index (slice, row, column, 1) to LPS millimetres.
    modality, unit : str
        Modality (0008,0060); unit of the values.
    window : Window, optional
        What shows the volume's frames.
    photometric : str
        Photometric Interpretation (0028,0004), MONOCHROME1 or MONOCHROME2.
    background : float
        Modality value where a line of a projection misses the volume.
    frame_of_reference_uid, sop_instance_uids, derivation
        Of the volume; what pictures say they come from.
    """

    rays: arrays.RayVolume
    index_to_lps: NDArray[np.float64]
    modality: str = ""
    unit: str = ""
    window: Window | None = None
    photometric: str = "MONOCHROME2"
    background: float = 0.0
    frame_of_reference_uid: str = ""
    sop_instance_uids: tuple[str, ...] = ()
    derivation: tuple[str, ...] = ()

    @classmethod
    def of(cls, volume: Volume, *, watch: Watch = UNWATCHED) -> Scene:
        """Read a whole volume and make it ready; ``watch`` is told of each slab that was read.

        Raises
        ------
        GeometryError
            It has no affine.
        AmbiguousError
            It has extra axes.
        InputError
            It is in colour, or has fewer than two slices, rows or columns.
        """
        refuse_unfit(volume)
        affine = volume.index_to_lps
        if not has_one_slope(volume):
            return cls._shown(volume, arrays.RayVolume.of(_read(volume, watch, stored=False)), affine)
        slope, intercept = float(volume.rescale.slopes[0]), float(volume.rescale.intercepts[0])
        rays = arrays.RayVolume.of(_read(volume, watch, stored=True), slope=slope, intercept=intercept)
        return cls._shown(volume, rays, affine)

    @classmethod
    def _shown(cls, volume: Volume, rays: arrays.RayVolume, affine: NDArray[np.float64]) -> Scene:
        shown, window = volume.presentation, volume.shown_window()
        background = background_value(volume, None)
        scene = cls(rays, affine, shown.modality, volume.rescale.unit, window, shown.photometric, background)
        return scene.from_volume(volume)

    def from_volume(self, volume: Volume) -> Scene:
        """The scene, its pictures naming the volume's sources."""
        return replace(
            self,
            frame_of_reference_uid=volume.geometry.frame_of_reference_uid,
            sop_instance_uids=volume.source_instance_uids,
            derivation=volume.derivation,
        )

    def project(
        self,
        kind: str = "max",
        view: View = FRONT,
        framing: Framing = WHOLE,
        *,
        background: float | None = None,
        watch: Watch = UNWATCHED,
    ) -> Image:
        """A projection along parallel rays.

        Parameters
        ----------
        kind : str
            ``max`` (MIP), ``min`` (MinIP), ``mean`` or ``sum`` of the samples.
        view, framing : View, Framing
            From where, how large, how thick; frozen values.
        background : float, optional
            In place of the scene's own.
        watch : Watch
            Progress and cancelling.

        Returns
        -------
        Image
            Modality values (float32) as seen from there, with the affine of the plane in the middle. Rays that meet
            nothing get the background; of sums, the picture's smallest value.
        """
        (frame,) = frame_views([view], self.index_to_lps, self.rays.shape, framing)
        return self.project_frame(kind, frame, background=background, watch=watch)

    def render(
        self,
        transfer: str | TransferFunction | None = None,
        view: View = FRONT,
        framing: Framing = WHOLE,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        watch: Watch = UNWATCHED,
    ) -> Image:
        """A shaded volume rendering, RGB, with the affine of the plane in the middle; see ``Volume.render``."""
        (frame,) = frame_views([view], self.index_to_lps, self.rays.shape, framing)
        return self.render_frame(self.transfer(transfer), frame, background=background, watch=watch)

    def turntable(
        self,
        show: str | TransferFunction = "max",
        *,
        count: int = 36,
        start_deg: float = 0.0,
        elevation_deg: float = 0.0,
        framing: Framing = SQUARE,
        progress: Progress | None = None,
    ) -> list[Image]:
        """Pictures around the patient, all of one size and scale; see ``Volume.turntable``."""
        if not 1 <= count <= 3600:
            raise InputError(f"A turntable has 1 to 3600 pictures, not {count}.", found=count)
        views = [View.orbit(start_deg + 360.0 * number / count, elevation_deg) for number in range(count)]
        frames = frame_views(views, self.index_to_lps, self.rays.shape, framing)
        projects = isinstance(show, str) and show in arrays.PROJECTION_KINDS
        transfer = None if projects else self.transfer(show)
        images = []
        for number, frame in enumerate(frames):
            if progress is not None:
                progress(number, count)
            images.append(
                self.project_frame(str(show), frame) if transfer is None else self.render_frame(transfer, frame)
            )
        if progress is not None:
            progress(count, count)
        return images if transfer is not None else _under_one_window(images)

    def transfer(self, wanted: str | TransferFunction | None) -> TransferFunction:
        """The transfer function that a name means for this volume; see ``transfer.transfer_of``."""
        return transfer_of(wanted, unit=self.unit, window=self.window)

    def project_frame(
        self, kind: str, frame: Frame, *, background: float | None = None, watch: Watch = UNWATCHED
    ) -> Image:
        """Take one projection."""
        values = arrays.project_rays(self.rays, frame.grid, kind=kind, watch=watch)
        missed = np.isnan(values)
        if missed.all():
            raise InputError("Nothing of the volume lies where the picture looks: correct center_lps or the thickness.")
        shown = projection_window(values)
        if missed.any():
            own = np.nanmin(values) if kind == "sum" else self.background
            values[missed] = own if background is None else background
        return replace(
            self._image(frame, values, f"projection, {kind}"),
            modality=self.modality,
            unit=self.unit,
            photometric=self.photometric,
            window=shown,
        )

    def render_frame(
        self,
        transfer: TransferFunction,
        frame: Frame,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        watch: Watch = UNWATCHED,
    ) -> Image:
        """Take one volume rendering."""
        colours = arrays.render_rays(
            self.rays,
            frame.grid,
            transfer.table(step_mm=frame.step_mm),
            index_to_mm=self.index_to_lps[:3, :3],
            lighting=transfer.lighting,
            background=background,
            watch=watch,
        )
        return replace(self._image(frame, colours, "volume rendering"), modality=self.modality)

    def _image(self, frame: Frame, pixels: NDArray[Any], done: str) -> Image:
        toward = self._direction(frame)
        return Image(
            pixels,
            index_to_lps=frame.index_to_lps,
            spacing_mm=(frame.pixel_mm, frame.pixel_mm),
            photometric="RGB" if pixels.ndim == 3 else "MONOCHROME2",
            as_seen=True,
            frame_of_reference_uid=self.frame_of_reference_uid,
            sop_instance_uids=self.sop_instance_uids,
            derivation=(
                *self.derivation,
                f"{done}, seen from {toward}, {frame.grid.samples} samples of {frame.step_mm:.4g} mm",
            ),
        )

    @staticmethod
    def _direction(frame: Frame) -> str:
        """Where the viewer is, as an LPS vector in words."""
        down, right = frame.index_to_lps[:3, 1], frame.index_to_lps[:3, 2]
        toward = np.cross(down, right)
        numbers = (toward / np.linalg.norm(toward)).round(3) + 0.0
        return f"({', '.join(f'{number:g}' for number in numbers.tolist())}) LPS"


def _read(volume: Volume, watch: Watch, *, stored: bool) -> NDArray[Any]:
    """Stored or modality values of the whole volume; slab after slab only where somebody watches."""
    if watch.progress is None and watch.cancel is None:
        return volume.array() if stored else volume.modality()
    values: NDArray[Any] = np.empty(volume.shape, volume.dtype if stored else np.float32)
    boxes = slab_boxes(volume)

    def fill(start: int, stop: int) -> None:
        for box in boxes[start:stop]:
            words = volume.read_box(box)
            values[box] = words if stored else modality_of(volume, box, words)

    watch.run("reading", fill, len(boxes))
    return values


def projection_window(values: NDArray[np.float32]) -> Window:
    """A window for a projection: nearly its whole range, as its few brightest pixels are what it was made for."""
    found = values[np.isfinite(values)]
    low = float(np.percentile(found, 1.0)) if found.size else 0.0
    found = found[found > low]
    high = float(np.percentile(found, 99.8)) if found.size else low + 1.0
    return Window.between(low, high, automatic=True)


def refuse_unfit(volume: Volume) -> None:
    """Raise where a volume cannot be projected at all."""
    volume._refuse_axes()
    if not volume.is_monochrome:
        raise UnsupportedError(
            f"{volume.presentation.photometric} frames cannot be projected: only one sample per pixel is (0028,0004).",
            tag="00280004",
            found=volume.presentation.photometric,
        )


def has_one_slope(volume: Volume) -> bool:
    """Stored and modality values differ by one slope and intercept, so that stored ones can be interpolated."""
    rescale = volume.rescale
    return not rescale.tables and not rescale.missing and rescale.slopes.size == 1 and bool(rescale.slopes[0] != 0)


def _under_one_window(images: Sequence[Image]) -> list[Image]:
    limits = [image.window.limits() for image in images if image.window is not None]
    shared = Window.between(min(low for low, _ in limits), max(high for _, high in limits), automatic=True)
    return [replace(image, window=shared) for image in images]
