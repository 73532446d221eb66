"""Projections of a volume: along an axis of the array, read slab after slab, or along rays from any side."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.geometry import anatomical_axis
from pacscore.imaging import arrays
from pacscore.imaging.arrays import UNWATCHED, Progress, Watch
from pacscore.imaging.image import Image
from pacscore.imaging.planes import derived_image, plane_affine
from pacscore.imaging.sampled import background_value
from pacscore.imaging.scene import Scene, has_one_slope, projection_window, refuse_unfit
from pacscore.imaging.views import Frame, Framing, choose_view, frame_views

if TYPE_CHECKING:
    from pacscore.imaging.sources import Box
    from pacscore.imaging.volume import Volume

_SLAB_BYTES = 16 << 20
_THIN = 0.5


def project(
    volume: Volume,
    kind: str = "max",
    *,
    direction: str | Sequence[float] | None = None,
    up: Sequence[float] | None = None,
    azimuth_deg: float | None = None,
    elevation_deg: float | None = None,
    axis: int | str | None = None,
    thickness_mm: float | None = None,
    center_lps: Sequence[float] | None = None,
    size: int | tuple[int, int] | None = None,
    pixel_mm: float | None = None,
    step_mm: float | None = None,
    background: float | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Image:
    """Project the volume: the largest, smallest, mean or sum of the values along parallel lines.

    Parameters
    ----------
    kind : str
        ``max`` (MIP), ``min`` (MinIP), ``mean`` or ``sum``.
    direction : str or sequence of float, optional
        From where to look: anterior (the default), posterior, left, right, superior, inferior, or a vector from the
        patient to the viewer, LPS.
    up : sequence of float, optional
        With a vector: what is up in the picture, LPS. By default the head.
    azimuth_deg, elevation_deg : float, optional
        In place of a direction: around the patient, 0 in front, 90 at the left; and toward the head.
    axis : int or str, optional
        In place of a direction: along an axis of the array, by number or as the anatomical plane across it (``axial``,
        ``coronal``, ``sagittal``): voxels, not interpolated samples.
    thickness_mm : float, optional
        Of a slab across the lines, about the centre; by default everything.
    center_lps : sequence of float, optional
        Middle of the slab and of the picture, LPS millimetres; by default the volume's.
    size : int or (rows, columns), optional
        Of the picture in pixels; by default what the volume needs. Not with ``axis``.
    pixel_mm, step_mm : float, optional
        Between pixels, between samples; by default the volume's finest spacing. Not with ``axis``.
    background : float, optional
        Modality value where a line misses the volume; by default -1024 for HU, else 0; of sums the picture's smallest.
    progress, cancel
        As for ``window``: slabs that were read, and parts of the picture.

    Returns
    -------
    Image
        Modality values, float32; a sum is of samples, each standing for ``step_mm``. With ``axis`` it has the order and
        spacing of the array, else it is as seen from the viewer. Its affine is that of the plane in the middle of what
        was projected.

    Raises
    ------
    InputError
        An argument has no meaning, two contradict each other, or the volume is in colour.
    GeometryError
        The volume has no affine (along axis 0, with all slices, none is needed).
    AmbiguousError
        It has extra axes: choose with ``at`` first.
    CancelledError
        ``cancel`` was set.

    Notes
    -----
    Along an axis the volume is read in slabs of chunks of about 16 MiB, one after the other, and only what lies within
    the thickness; of a thin oblique slab only the chunks that it meets. Other projections hold the volume's words once;
    for several of one volume make a ``Scene``.
    """
    watch = Watch(progress, cancel)
    if axis is None:
        view = choose_view(direction, up, azimuth_deg, elevation_deg)
        framing = Framing(size, pixel_mm, step_mm, thickness_mm, center_lps)
        arrays.check_kind(kind)
        if thickness_mm is None:
            return Scene.of(volume, watch=watch).project(kind, view, framing, background=background, watch=watch)
        refuse_unfit(volume)
        (frame,) = frame_views([view], volume.index_to_lps, volume.shape, framing)
        scene = scene_of_slab(volume, frame, watch=watch)
        return scene.project_frame(kind, frame, background=background, watch=watch)
    unfit = (direction, up, azimuth_deg, elevation_deg, size, pixel_mm, step_mm, background)
    if any(given is not None for given in unfit):
        raise InputError("axis goes with thickness_mm and center_lps alone: voxels are taken as they lie.")
    Framing(thickness_mm=thickness_mm, center_lps=center_lps)
    return project_along_axis(volume, kind, axis, thickness_mm=thickness_mm, center_lps=center_lps, watch=watch)


def project_along_axis(
    volume: Volume,
    kind: str,
    axis: int | str,
    *,
    thickness_mm: float | None = None,
    center_lps: Sequence[float] | None = None,
    watch: Watch = UNWATCHED,
) -> Image:
    """Project along an axis of the array; see ``project``."""
    refuse_unfit(volume)
    arrays.check_kind(kind)
    place = anatomical_axis(volume.index_to_lps, axis) if isinstance(axis, str) else axis
    if place not in range(3):
        raise InputError(f"There is no axis {axis} in (slice, row, column): give 0, 1, 2 or a plane's name.")
    span, middle = _span(volume, place, thickness_mm, center_lps)
    values = _reduced(volume, kind, place, span, watch)
    affine, spacing = None, None if volume.spacing_mm is None else volume.spacing_mm[1:]
    if volume.has_affine:
        affine = plane_affine(volume.index_to_lps, axis=place, index=middle)
        affine[:3, 0] = 0.0
        down, right = np.linalg.norm(affine[:3, 1:3], axis=0).tolist()
        spacing = (down, right)
    elif place != 0:
        volume.index_to_lps  # noqa: B018  # Raises, and says why there is none.
    if spacing is not None and not all(spacing):
        spacing = None
    presentation = volume.presentation
    image = Image(
        values,
        index_to_lps=affine,
        spacing_mm=spacing,
        pixel_aspect=presentation.pixel_aspect,
        modality=presentation.modality,
        photometric=presentation.photometric,
        unit=volume.rescale.unit,
        window=projection_window(values),
    )
    return derived_image(image, volume, f"projection along axis {axis}, {kind} of {len(span)}")


def _span(
    volume: Volume, axis: int, thickness_mm: float | None, center_lps: Sequence[float] | None
) -> tuple[range, float]:
    """Which indices along the axis are meant, and the index of their middle."""
    length = volume.shape[axis]
    if thickness_mm is None:
        return range(length), (length - 1) / 2
    affine = volume.index_to_lps
    step = float(np.linalg.norm(affine[:3, axis]))
    if step == 0:
        raise InputError("A single slice has no thickness: leave thickness_mm out.")
    center = (length - 1) / 2
    if center_lps is not None:
        center = float(np.linalg.solve(affine[:3, :3], np.asarray(center_lps, np.float64) - affine[:3, 3])[axis])
    # A voxel reaches half a step to either side of its centre; a slab has as many as fill it, and one at least.
    count = max(1, round(thickness_mm / step))
    first = math.floor(center - (count - 1) / 2 + 0.5)
    span = range(max(0, first), min(length, first + count))
    if not span:
        raise InputError(f"The slab lies outside the volume: its middle is index {center:.1f} of {length}.")
    return span, (span.start + span.stop - 1) / 2


def _reduced(volume: Volume, kind: str, axis: int, span: range, watch: Watch) -> NDArray[np.float32]:
    """The projection's modality values, of slabs read one after the other."""
    stored = has_one_slope(volume)
    slope = float(volume.rescale.slopes[0]) if stored else 1.0
    turned = {"max": "min", "min": "max"}.get(kind, kind) if slope < 0 else kind
    out: NDArray[Any] | None = None
    for box in watch.each("projecting", list(_slabs(volume, axis, span))):
        words = volume.read_box(box)
        values = words if stored else volume.rescale.frames(box[0]).apply(words)
        part, count = values, len(values)
        if out is None:
            whole = tuple(len(span) if place == axis else length for place, length in enumerate(volume.shape))
            sample = arrays.project_axis(part[:1, :1, :1], 0, kind=turned)
            dtype = values.dtype if turned in ("mean", "sum") else sample.dtype
            out = arrays.neutral_projection(whole, axis, turned, dtype)
        target = out if axis == 0 else out[box[0].start : box[0].start + count]
        arrays.fold_axis(part, axis, kind=turned, out=target)
    assert out is not None
    found = arrays.finish_projection(out, turned, len(span)).astype(np.float64)
    if stored:
        intercept = float(volume.rescale.intercepts[0]) * (len(span) if kind == "sum" else 1)
        found = found * slope + intercept
    return found.astype(np.float32)


def _slabs(volume: Volume, axis: int, span: range) -> Iterator[Box]:
    """Boxes of whole chunks of slices, about 16 MiB each, that cover what is projected."""
    shape = volume.shape
    lengths = [len(span) if place == axis else length for place, length in enumerate(shape)]
    chunk = max(1, volume.source.chunk_shape[0])
    layer = max(1, lengths[1] * lengths[2] * volume.dtype.itemsize)
    height = chunk * max(1, _SLAB_BYTES // (chunk * layer))
    slices = span if axis == 0 else range(shape[0])
    rows = slice(span.start, span.stop) if axis == 1 else slice(0, shape[1])
    columns = slice(span.start, span.stop) if axis == 2 else slice(0, shape[2])
    start = slices.start
    while start < slices.stop:
        stop = min(slices.stop, (start // chunk) * chunk + height)
        yield slice(start, stop), rows, columns
        start = stop


def scene_of_slab(volume: Volume, frame: Frame, *, watch: Watch = UNWATCHED) -> Scene:
    """A scene that holds what the rays of one picture can meet; the rest of it reads as nothing.

    A slab that meets half of the chunks or more is not worth choosing: the volume is read whole.
    """
    chosen = _chunks_met(volume, frame)
    grid = [math.ceil(length / chunk) for length, chunk in zip(volume.shape, volume.source.chunk_shape, strict=True)]
    if len(chosen) > _THIN * math.prod(grid):
        return Scene.of(volume, watch=watch)
    stored = has_one_slope(volume)
    # Pages of zeros that nobody writes to take no memory, so the array may be as large as the volume.
    words = np.zeros(volume.shape, volume.dtype if stored else np.float32)
    for box in watch.each("reading", _joined(chosen)):
        part = volume.read_box(box)
        words[box] = part if stored else volume.rescale.frames(box[0]).apply(part)
    slope, intercept = (float(volume.rescale.slopes[0]), float(volume.rescale.intercepts[0])) if stored else (1.0, 0.0)
    rays = arrays.RayVolume.of(words, slope=slope, intercept=intercept, limits=False)
    shown = volume.presentation
    background = background_value(volume, None)
    scene = Scene(rays, volume.index_to_lps, shown.modality, volume.rescale.unit, None, shown.photometric, background)
    return scene.from_volume(volume)


def _chunks_met(volume: Volume, frame: Frame) -> list[Box]:
    """The chunks that the rays of a picture can meet, a voxel around each counted to it."""
    grid = frame.grid
    origin, down, right, away = grid.matrix()
    to_view = np.linalg.inv(np.stack([down, right, away], axis=1))
    last = np.array([*grid.shape, grid.samples], np.float64) - 1
    chunk, shape = volume.source.chunk_shape, volume.shape
    starts = [range(0, length, step) for length, step in zip(shape, chunk, strict=True)]
    corners = np.array(list(itertools.product(*starts)), np.float64)
    ends = np.minimum(corners + np.array(chunk), np.array(shape))
    middle, half = (corners + ends - 1) / 2, (ends - 1 - corners) / 2 + 1
    # In the picture's own coordinates a box is at most its middle with the sum of its halves' parts to either side.
    place, reach = (middle - origin) @ to_view.T, half @ np.abs(to_view).T
    met = ((place + reach >= 0) & (place - reach <= last)).all(axis=1)
    return [
        tuple(slice(int(a), int(b)) for a, b in zip(start, end, strict=True))
        for start, end in zip(corners[met], ends[met], strict=True)
    ]


def _joined(boxes: Sequence[Box]) -> list[Box]:
    """Boxes that follow each other along the columns as one: fewer and longer reads."""
    joined: list[Box] = []
    for box in boxes:
        if joined and joined[-1][:2] == box[:2] and joined[-1][2].stop == box[2].start:
            joined[-1] = (*box[:2], slice(joined[-1][2].start, box[2].stop))
        else:
            joined.append(box)
    return joined
