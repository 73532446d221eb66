"""One picture's worth of values: what a frame or a plane is, and how it becomes 8-bit grey or RGB."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.dicom.overlays import Overlay
from pacscore.errors import InputError
from pacscore.imaging import arrays, enhancement, image_moves
from pacscore.imaging.anatomy import reading_order
from pacscore.imaging.presets import Voi, choose_voi
from pacscore.imaging.values import MONOCHROME, VoiTable, Window

if TYPE_CHECKING:
    from PIL import Image as PillowImage


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """Values of one plane, with its place in space.

    Attributes
    ----------
    array : NDArray
        ``(rows, columns)`` modality values (float32), or ``(rows, columns, 3)`` RGB (uint8 or uint16).
    index_to_lps : NDArray of float64, optional
        4 × 4, ``(0, row, column, 1)`` to LPS millimetres; its first column is the step to the next plane, zero
        where that is not known.
    spacing_mm : tuple of float, optional
        Between rows, between columns.
    pixel_aspect : float
        Height over width of a pixel, used where no spacing is known.
    modality, photometric, unit : str
        Modality (0008,0060), Photometric Interpretation (0028,0004), unit of the values.
    window : Window, optional
        What the header says to show; None makes ``display`` take its first VOI LUT or compute one.
    padding : tuple of float, optional
        Values from the first to the second are padding and say nothing about what to show.
    bits_stored : int
        Of one RGB sample.
    as_seen : bool
        A view from a chosen side: its pictures are not turned to the radiological convention.
    windows, voi_tables : tuple
        All windows and VOI LUTs of the header, to choose from.
    inverse : bool
        Low values are bright though the photometric interpretation does not say so.
    frame_of_reference_uid : str
        Frame of Reference UID (0020,0052) of the positions, empty where none is stated.
    sop_instance_uids : tuple of str
        The instances it was made from.
    derivation : tuple of str
        What was done to the pixels since they were stored, oldest first.

    Raises
    ------
    InputError
        The array has another number of axes than its photometric interpretation needs, or is empty; or a spacing is not
        positive.
    """

    array: NDArray[Any]
    index_to_lps: NDArray[np.float64] | None = None
    spacing_mm: tuple[float, float] | None = None
    pixel_aspect: float = 1.0
    modality: str = ""
    photometric: str = "MONOCHROME2"
    unit: str = ""
    window: Window | None = None
    padding: tuple[float, float] | None = None
    bits_stored: int = 8
    as_seen: bool = False
    windows: tuple[Window, ...] = ()
    voi_tables: tuple[VoiTable, ...] = ()
    inverse: bool = False
    frame_of_reference_uid: str = ""
    sop_instance_uids: tuple[str, ...] = ()
    derivation: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        is_grey = self.photometric in MONOCHROME and self.array.ndim == 2
        is_rgb = self.photometric == "RGB" and self.array.ndim == 3 and self.array.shape[2] == 3
        if not (is_grey or is_rgb) or self.array.size == 0:
            raise InputError(
                f"An image is (rows, columns) of MONOCHROME1 or MONOCHROME2 or (rows, columns, 3) of RGB: this is "
                f"{self.photometric} of shape {self.array.shape}.",
                found=self.array.shape,
            )
        steps = (*(self.spacing_mm or ()), self.pixel_aspect)
        if not all(math.isfinite(step) and step > 0 for step in steps):
            raise InputError("The spacing and aspect of pixels are positive numbers.", found=steps)
        if is_rgb and self.array.dtype not in (np.uint8, np.uint16):
            raise InputError(f"RGB samples are uint8 or uint16, not {self.array.dtype}.", found=str(self.array.dtype))

    @property
    def shape(self) -> tuple[int, ...]:
        """``(rows, columns)`` or ``(rows, columns, 3)``."""
        return self.array.shape

    @property
    def is_monochrome(self) -> bool:
        """Shown through a window."""
        return self.array.ndim == 2

    def shown_values(self) -> NDArray[Any]:
        """The values that are not padding, flat."""
        if self.padding is None:
            return self.array.reshape(-1)
        low, high = self.padding
        return self.array[(self.array < low) | (self.array > high)]

    def automatic_window(self) -> Window:
        """A window for this image's own values; see ``Window.automatic_for``.

        Raises
        ------
        InputError
            The image is RGB.
        """
        if not self.is_monochrome:
            raise InputError("RGB is shown without a window.")
        return Window.automatic_for(self.array, unit=self.unit, padding=self.padding)

    def display(self, window: Voi = None) -> NDArray[np.uint8]:
        """8-bit display values, in the array's own row and column order.

        Parameters
        ----------
        window : Window, VoiTable, int, str, optional
            What to show; a number counts the header's windows and, after them, its VOI LUTs; a name is a preset
            (``bone``), an explanation of the header, ``percentile`` or ``histogram``. By default the image's own
            window, else the header's first VOI LUT, else an automatic one.

        Returns
        -------
        NDArray of uint8
            ``(rows, columns)``, 0 black; MONOCHROME1 is inverted. ``(rows, columns, 3)`` for RGB, whose higher bits
            are kept and which takes no window.

        Raises
        ------
        InputError
            A window was given for RGB, or there is none of that number or name.

        Examples
        --------
        >>> Image(np.array([[-160.0, 239.5]], np.float32)).display(Window(40, 400))
        array([[  0, 255]], dtype=uint8)
        """
        if not self.is_monochrome:
            if window is not None:
                raise InputError("RGB is shown without a window.")
            if self.bits_stored <= 8:
                return self.array.astype(np.uint8)
            return (self.array >> (self.bits_stored - 8)).astype(np.uint8)
        inverse = self.inverse or self.photometric == "MONOCHROME1"
        if window is None:
            chosen = self.window or (self.voi_tables[0] if self.voi_tables else self.automatic_window())
        else:
            chosen = choose_voi(window, (*self.windows, *self.voi_tables), unit=self.unit, sample=self.shown_values)
        if isinstance(chosen, VoiTable):
            return chosen.display(self.array, inverse=inverse)
        return arrays.window(self.array, chosen.center, chosen.width, function=chosen.function, inverse=inverse)

    def overlaid(
        self, overlays: Iterable[Overlay], *, window: Voi = None, colour: tuple[int, int, int] = (255, 255, 0)
    ) -> NDArray[np.uint8]:
        """Display values with overlay planes drawn on them, ``(rows, columns, 3)`` RGB.

        Parameters
        ----------
        overlays : iterable of Overlay
            As ``Instance.overlays`` gives them; what lies outside the image is not drawn.
        window
            As ``display``.
        colour : tuple of int
            Red, green, blue.
        """
        picture: NDArray[np.uint8] = self.display(window)
        for overlay in overlays:
            picture = arrays.draw_overlay(picture, overlay.bits, origin=overlay.origin, colour=colour)
        return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)

    def oriented(self) -> Image:
        """The same plane turned to the radiological convention, its affine with it.

        Axial: patient right at the left, front at the top. Coronal: head at the top. Sagittal: front at the left, head
        at the top. An image without affine, already so, or kept as seen comes back as it is.
        """
        if self.index_to_lps is None or self.as_seen:
            return self
        affine = self.index_to_lps
        transpose, flip_rows, flip_columns = reading_order(affine[:3, 1], affine[:3, 2])
        if not (transpose or flip_rows or flip_columns):
            return self
        array, spacing = self.array, self.spacing_mm
        if transpose:
            array, affine = array.swapaxes(0, 1), affine[:, [0, 2, 1, 3]]
            spacing = None if spacing is None else (spacing[1], spacing[0])
        affine = affine.copy()
        for flip, axis in ((flip_rows, 0), (flip_columns, 1)):
            if flip:
                affine[:3, 3] += affine[:3, axis + 1] * (array.shape[axis] - 1)
                affine[:3, axis + 1] *= -1
                array = np.flip(array, axis)
        aspect = 1 / self.pixel_aspect if transpose else self.pixel_aspect
        turned = np.ascontiguousarray(array)
        return replace(self, array=turned, index_to_lps=affine, spacing_mm=spacing, pixel_aspect=aspect)

    magnify = image_moves.magnify
    rotate = image_moves.rotate
    pan = image_moves.pan
    flip = image_moves.flip

    def picture(
        self, *, window: Window | None = None, size: tuple[int, int] | None = None, markers: bool = False
    ) -> PillowImage.Image:
        """A Pillow picture as a person reads it: turned to the radiological convention, pixels square.

        Parameters
        ----------
        window : Window, optional
            As in ``display``.
        size : tuple of int, optional
            ``(width, height)`` to fit into, proportions kept. By default one picture pixel per finer pixel step.
        markers : bool
            Write the letters of the patient's directions at the edges, where they are known.

        Raises
        ------
        InputError
            A window was given for RGB, or a size is not positive.
        """
        from pacscore.imaging.picture import render

        return render(self, window=window, size=size, markers=markers)

    def save(
        self,
        path: str | Path,
        *,
        window: Window | None = None,
        size: tuple[int, int] | None = None,
        markers: bool = False,
    ) -> None:
        """Write ``picture`` as PNG or JPEG, by the name's ending. No identity of the patient is written.

        Raises
        ------
        InputError
            The ending is none of .png, .jpg, .jpeg, or as ``picture``.
        """
        ending = Path(path).suffix.lower()
        if ending not in {".png", ".jpg", ".jpeg"}:
            raise InputError(f"A picture is saved as .png, .jpg or .jpeg, not {ending or 'without ending'}.")
        picture = self.picture(window=window, size=size, markers=markers)
        if ending == ".png":
            picture.save(path, "PNG")
        else:
            picture.save(path, "JPEG", quality=92, subsampling=0)

    enhance = enhancement.enhance_image

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        buffer = io.BytesIO()
        self.picture().save(buffer, "PNG")
        return buffer.getvalue()
