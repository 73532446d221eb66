"""Pictures of a stored series, for the command line and the demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pacscore.errors import InputError, StorageError
from pacscore.imaging import Image, Volume, Window, slice_sheet, three_planes

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

PLANES = ("axial", "coronal", "sagittal")
VIEWS = ("planes", "sheet", *PLANES)


def render_series(
    archive: Archive,
    series_instance_uid: str,
    out: Path,
    *,
    study_instance_uid: str | None = None,
    view: str = "planes",
    stack: int = 0,
    index: int | None = None,
    window: tuple[float, float] | None = None,
) -> tuple[int, int]:
    """Draw one stack of a series into a PNG or JPEG, and return its width and height in pixels.

    Of a stack with extra axes the first index of each is drawn. ``planes`` of a stack that has no third dimension
    becomes a sheet.

    Raises
    ------
    InputError
        An unknown view or ending, or an index with a view that has none.
    StorageError
        The picture cannot be written.
    """
    if view not in VIEWS:
        raise InputError(f"there is no view {view!r}: choose one of {', '.join(VIEWS)}.")
    if index is not None and view not in PLANES:
        raise InputError("an index goes with axial, coronal or sagittal: name one of them as the view.")
    volume = archive.series(series_instance_uid, study_instance_uid).volume(stack)
    if volume.axes:
        volume = volume.at({axis.name: 0 for axis in volume.axes})
    shown = None if window is None else Window(*window)
    picture = draw(volume, view, index=index, window=shown)
    try:
        if out.parent != Path():
            out.parent.mkdir(parents=True, exist_ok=True)
        picture.save(out, window=shown if view in PLANES else None)
    except OSError as error:
        raise StorageError(f"the picture cannot be written: {error.strerror}.", path=str(out)) from error
    height, width = picture.picture(window=shown if view in PLANES else None).size[::-1]
    return width, height


def draw(volume: Volume, view: str, *, index: int | None = None, window: Window | None = None) -> Image:
    """One view of a volume without extra axes."""
    if view == "planes" and volume.has_affine and volume.is_monochrome and volume.shape[0] > 1:
        return three_planes(volume, window=window)
    if view in ("planes", "sheet"):
        return slice_sheet(volume, window=window)
    return volume.plane(view, volume.plane_count(view) // 2 if index is None else index)
