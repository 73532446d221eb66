"""Pictures of a stored series, for the command line and the demo."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pacscore.archive.report import Progress, Reported, no_progress
from pacscore.errors import InputError, StorageError
from pacscore.imaging import Image, Volume, Window, save_turntable, slice_sheet, three_planes
from pacscore.imaging.views import choose_view

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

PLANES = ("axial", "coronal", "sagittal")
PROJECTIONS = {"mip": "max", "minip": "min", "mean": "mean", "sum": "sum"}
VIEWS = ("planes", "sheet", *PLANES, "oblique", "slab", *PROJECTIONS, "volume", "turntable")
_FROM = frozenset({"direction", "up", "azimuth_deg", "elevation_deg"})
_SCALE = frozenset({"size", "step_mm"})
_SLAB = frozenset({"thickness_mm", "center_lps", "axis"})
_ALLOWED = {
    "planes": frozenset({"window"}),
    "sheet": frozenset({"window", "count"}),
    **dict.fromkeys(PLANES, frozenset({"window", "index", "markers"})),
    "oblique": _FROM | {"center_lps", "window", "markers"},
    "slab": _FROM | {"center_lps", "thickness_mm", "window", "markers"},
    **dict.fromkeys(PROJECTIONS, _FROM | _SCALE | _SLAB | {"window", "markers"}),
    "volume": _FROM | _SCALE | {"thickness_mm", "center_lps", "preset", "markers"},
    "turntable": _SCALE | {"window", "preset", "markers", "azimuth_deg", "elevation_deg", "count", "seconds"},
}
_TURNTABLE_COUNT, _TURNTABLE_SIZE, _VOLUME_SIZE = 36, 384, 512
_SLAB_MM = 10.0


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """What picture is wanted; what is None is chosen.

    Attributes
    ----------
    view : str
        One of ``VIEWS``.
    index : int
        Which plane, from 0.
    window : (center, width)
        In modality units.
    direction, up, azimuth_deg, elevation_deg, axis, thickness_mm, center_lps, size, step_mm
        As in ``Volume.project``; a slab is 10 mm thick unless told otherwise.
    preset : str
        As in ``Volume.render``; a turntable without one shows the MIP.
    count : int
        Pictures of a sheet or a turntable.
    seconds : float
        Of one turn.
    markers : bool
        Write the letters of the patient's directions.

    Raises
    ------
    InputError
        There is no such view, or something given has no meaning for it.
    """

    view: str = "planes"
    index: int | None = None
    window: tuple[float, float] | None = None
    direction: str | Sequence[float] | None = None
    up: Sequence[float] | None = None
    azimuth_deg: float | None = None
    elevation_deg: float | None = None
    axis: str | None = None
    thickness_mm: float | None = None
    center_lps: Sequence[float] | None = None
    size: int | None = None
    step_mm: float | None = None
    preset: str | None = None
    count: int | None = None
    seconds: float | None = None
    markers: bool | None = None

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise InputError(f"there is no view {self.view!r}: choose one of {', '.join(VIEWS)}.")
        given = {each.name for each in fields(self) if each.name != "view" and getattr(self, each.name) is not None}
        for name in sorted(given - _ALLOWED[self.view]):
            views = [view for view, names in _ALLOWED.items() if name in names]
            raise InputError(f"{_WORDS[name]} goes with {', '.join(views)}: not with the view {self.view}.")


_WORDS = {
    "index": "an index", "window": "a window", "direction": "a direction", "up": "what is up", "count": "a count",
    "azimuth_deg": "an azimuth", "elevation_deg": "an elevation", "axis": "an axis", "thickness_mm": "a thickness",
    "center_lps": "a centre", "size": "a size", "step_mm": "a step", "preset": "a preset", "seconds": "a duration",
    "markers": "writing markers",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RenderReport(Reported):
    """A picture that was written: where, its pixels, how many pictures it holds, and how long making it took."""

    picture: str
    width: int
    height: int
    pictures: int
    seconds: float


def render_series(
    archive: Archive,
    series_instance_uid: str,
    out: Path,
    request: PictureRequest = PictureRequest(),  # Frozen.
    *,
    study_instance_uid: str | None = None,
    stack: int = 0,
    progress: Progress | None = None,
) -> RenderReport:
    """Draw one stack of a series into a PNG or JPEG, or a turntable into a GIF.

    Of a stack with extra axes the first index of each is drawn. ``planes`` of a stack that has no third dimension
    becomes a sheet.

    Raises
    ------
    InputError
        The file's ending does not fit, or a value of the request is none that can be used.
    StorageError
        The picture cannot be written.
    """
    endings = {".gif"} if request.view == "turntable" else {".png", ".jpg", ".jpeg"}
    if out.suffix.lower() not in endings:  # Said before anything is computed.
        raise InputError(f"the view {request.view} is written as {' or '.join(sorted(endings))}, not {out.name!r}.")
    started = time.perf_counter()
    volume = archive.series(series_instance_uid, study_instance_uid).volume(stack)
    if volume.axes:
        volume = volume.at({axis.name: 0 for axis in volume.axes})
    images = _draw_turntable(volume, request, progress or no_progress) if request.view == "turntable" else []
    image = images[0] if images else draw_request(volume, request)
    markers = bool(request.markers)
    window = _window(request) if image.is_monochrome else None
    picture = image.picture(window=window, markers=markers)
    try:
        if out.parent != Path():
            out.parent.mkdir(parents=True, exist_ok=True)
        if images:
            save_turntable(images, out, window=window, seconds=request.seconds or 4.0, markers=markers)
        else:
            image.save(out, window=window, markers=markers)
    except OSError as error:
        raise StorageError(f"the picture cannot be written: {error.strerror}.", path=str(out)) from error
    return RenderReport(str(out), *picture.size, max(1, len(images)), time.perf_counter() - started)


def draw(volume: Volume, view: str, *, index: int | None = None) -> Image:
    """One view of a volume without extra axes."""
    return draw_request(volume, PictureRequest(view, index=index))


def draw_request(volume: Volume, request: PictureRequest) -> Image:
    """The picture that is wanted, of a volume without extra axes; for a turntable its first."""
    view, window = request.view, _window(request)
    if view == "planes" and volume.has_affine and volume.is_monochrome and volume.shape[0] > 1:
        return three_planes(volume, window=window)
    if view in ("planes", "sheet"):
        return slice_sheet(volume, window=window, **({} if request.count is None else {"count": request.count}))
    if view in PLANES:
        return volume.plane(view, volume.plane_count(view) // 2 if request.index is None else request.index)
    if view in ("oblique", "slab"):
        return _resampled(volume, request)
    aim = {name: getattr(request, name) for name in sorted(_FROM | {"thickness_mm", "center_lps"})}
    if view == "volume":
        return volume.render(request.preset, size=request.size or _VOLUME_SIZE, step_mm=request.step_mm, **aim)
    if view == "turntable":
        return _draw_turntable(volume, replace(request, count=1), no_progress)[0]
    return volume.project(PROJECTIONS[view], axis=request.axis, size=request.size, step_mm=request.step_mm, **aim)


def _resampled(volume: Volume, request: PictureRequest) -> Image:
    """The plane or mean slab across a view, kept as seen from there."""
    view = choose_view(request.direction, request.up, request.azimuth_deg, request.elevation_deg)
    down, right, _ = view.matrix()
    if request.view == "oblique":
        image = volume.reslice(request.center_lps, row_direction=right, column_direction=down)
    else:
        thickness_mm = request.thickness_mm or _SLAB_MM
        image = volume.slab(request.center_lps, thickness_mm=thickness_mm, row_direction=right, column_direction=down)
    return replace(image, as_seen=True, window=image.window or volume.window())


def _draw_turntable(volume: Volume, request: PictureRequest, progress: Progress) -> list[Image]:
    return volume.turntable(
        request.preset or "max",
        count=_TURNTABLE_COUNT if request.count is None else request.count,
        start_deg=request.azimuth_deg or 0.0,
        elevation_deg=request.elevation_deg or 0.0,
        size=request.size or _TURNTABLE_SIZE,
        step_mm=request.step_mm,
        progress=lambda done, count: progress("rendering", done, count),
    )


def _window(request: PictureRequest) -> Window | None:
    return None if request.window is None else Window(*request.window)
