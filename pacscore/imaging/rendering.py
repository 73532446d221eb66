"""Volume renderings of a volume, and pictures all around it."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pacscore.errors import InputError
from pacscore.imaging.arrays import Progress as WorkProgress
from pacscore.imaging.arrays import Watch
from pacscore.imaging.image import Image
from pacscore.imaging.scene import Progress, Scene
from pacscore.imaging.transfer import TransferFunction
from pacscore.imaging.values import Window
from pacscore.imaging.views import Framing, choose_view

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume


def render(
    volume: Volume,
    transfer: str | TransferFunction | None = None,
    *,
    direction: str | Sequence[float] | None = None,
    up: Sequence[float] | None = None,
    azimuth_deg: float | None = None,
    elevation_deg: float | None = None,
    thickness_mm: float | None = None,
    center_lps: Sequence[float] | None = None,
    size: int | tuple[int, int] | None = 512,
    pixel_mm: float | None = None,
    step_mm: float | None = None,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    progress: WorkProgress | None = None,
    cancel: threading.Event | None = None,
) -> Image:
    """Render the volume: values as matter with opacity and colour, lit from the viewer.

    Parameters
    ----------
    transfer : str or TransferFunction, optional
        A preset (``bone``, ``vessel``, ``skin``, ``lung`` for Hounsfield units, ``window`` for any values) or one of
        your own; by default bone for Hounsfield units, else window.
    direction, up, azimuth_deg, elevation_deg
        From where, as in ``project``.
    thickness_mm : float, optional
        Render only a slab about the centre, across the view.
    center_lps : sequence of float, optional
        Middle of the picture, LPS millimetres; by default the volume's.
    size : int or (rows, columns), optional
        Of the picture in pixels, which the volume fits into; None for one pixel per finest spacing.
    pixel_mm : float, optional
        Between pixels, whatever fits.
    step_mm : float, optional
        Between samples of a ray; by default the volume's finest spacing.
    background : tuple of float
        Red, green, blue, 0 to 1.
    progress, cancel
        As for ``window``: slabs that were read, and parts of the picture.

    Returns
    -------
    Image
        RGB, uint8, as seen from there, with the affine of the plane in the middle.

    Raises
    ------
    InputError
        An argument has no meaning, the preset is for another unit, or the volume is in colour.
    GeometryError
        The volume has no affine.
    AmbiguousError
        It has extra axes: choose with ``at`` first.
    CancelledError
        ``cancel`` was set.

    Notes
    -----
    The model is that of ``kernels/compositing.py``. For several pictures of one volume make a ``Scene``: the second
    costs a small part of the first.
    """
    view = choose_view(direction, up, azimuth_deg, elevation_deg)
    framing = Framing(size, pixel_mm, step_mm, thickness_mm, center_lps)
    watch = Watch(progress, cancel)
    return Scene.of(volume, watch=watch).render(transfer, view, framing, background=background, watch=watch)


def turntable(
    volume: Volume,
    show: str | TransferFunction = "max",
    *,
    count: int = 36,
    start_deg: float = 0.0,
    elevation_deg: float = 0.0,
    size: int | tuple[int, int] | None = 512,
    pixel_mm: float | None = None,
    step_mm: float | None = None,
    progress: Progress | None = None,
) -> list[Image]:
    """Pictures from all around the patient, in equal steps.

    Parameters
    ----------
    show : str or TransferFunction
        A projection (``max``, ``min``, ``mean``, ``sum``), a preset of ``render``, or a transfer function.
    count : int
        How many, 1 to 3600.
    start_deg, elevation_deg : float
        Azimuth of the first, 0 in front, the next toward the patient's left; elevation of all.
    size, pixel_mm, step_mm
        As in ``render``; the same scale for all pictures, so that what is seen turns without jumping.
    progress : callable, optional
        Called as ``progress(done, count)`` before each picture and after the last; what it raises ends the work.

    Returns
    -------
    list of Image
        ``save_turntable`` makes a GIF of them. Projections share one window.

    Raises
    ------
    InputError, GeometryError, AmbiguousError
        As ``render``.
    """
    return Scene.of(volume).turntable(
        show,
        count=count,
        start_deg=start_deg,
        elevation_deg=elevation_deg,
        framing=Framing(size, pixel_mm, step_mm),
        progress=progress,
    )


def save_turntable(
    images: Sequence[Image],
    path: str | Path,
    *,
    window: Window | None = None,
    seconds: float = 4.0,
    markers: bool = False,
) -> None:
    """Write pictures as a GIF that turns without end. No identity of the patient is written.

    Parameters
    ----------
    images : sequence of Image
        At least one, all of one size.
    path : str or Path
        Ends in .gif.
    window : Window, optional
        For values; by default each image's own.
    seconds : float
        For one turn; GIF counts in hundredths, and each picture lasts at least two of them.
    markers : bool
        Write the letters of the patient's directions.

    Raises
    ------
    InputError
        Nothing to write, another ending, or a duration that is not positive.
    """
    if Path(path).suffix.lower() != ".gif":
        raise InputError(f"A turntable is saved as .gif, not {Path(path).suffix or 'without ending'}.")
    if not images or not seconds > 0:
        raise InputError("A turntable needs at least one picture and a positive duration.")
    pictures = [image.picture(window=window, markers=markers) for image in images]
    buffer = io.BytesIO()
    lasting = max(20, round(seconds * 100 / len(pictures)) * 10)
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=lasting, loop=0)
    Path(path).write_bytes(buffer.getvalue())
