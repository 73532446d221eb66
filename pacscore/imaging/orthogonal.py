"""The layout of a three-plane picture.

Axial above coronal, which share the left-right axis; sagittal beside coronal, which share the head-foot axis; what is
known of the volume in the fourth quarter. All to one scale, so that distances compare between panels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.geometry import anatomical_axis
from pacscore.imaging.anatomy import PLANES
from pacscore.imaging.captions import INK, PAPER, QUIET_INK, Ink, facts, fit
from pacscore.imaging.image import Image
from pacscore.imaging.picture import draw_letters, draw_text, extent, place_of, render_scaled, text_width
from pacscore.imaging.selection import select
from pacscore.imaging.values import Window

if TYPE_CHECKING:
    from PIL import Image as PillowImage

    from pacscore.imaging.volume import Volume

_GAP = 10
_COLOURS = {"axial": (253, 214, 99), "coronal": (129, 201, 149), "sagittal": (138, 180, 248)}
_LINE_OPACITY = 0.55
_HOLE = 14
_BAR_LENGTHS_MM = (200, 100, 50, 20, 10, 5, 2, 1)


@dataclass(frozen=True, slots=True, eq=False)
class _Panel:
    """One plane, turned to be read, with its number and what it shows of the other two."""

    plane: str
    index: int
    count: int
    image: Image
    width: float
    height: float


def lay_out(
    volume: Volume, *, center: tuple[int, int, int] | None, window: Window | None, size: int, lines: bool
) -> Image:
    """The picture of ``sheets.three_planes``."""
    from PIL import Image as PillowImage

    if size < 256:
        raise InputError(f"Three planes need at least 256 pixels, not {size}.", found=size)
    place = tuple(length // 2 for length in volume.shape[:3]) if center is None else center
    box = select(place, volume.shape[:3]).box
    indices = tuple(part.start for part in box)
    shown = window or volume.shown_window()
    panels = {plane: _panel(volume, plane, indices) for plane in PLANES}
    axial, coronal, sagittal = (panels[plane] for plane in PLANES)
    width, height = max(axial.width, coronal.width), max(coronal.height, sagittal.height)
    scale = min((size - 3 * _GAP) / (width + sagittal.width), (size - 3 * _GAP) / (axial.height + height))
    size_of_text = max(12, size // 56)
    table = facts(volume, shown)
    left_width, right_width = round(width * scale), round(sagittal.width * scale)
    bottom_height, table_height = round(height * scale), round(size_of_text * (3.6 + 1.7 * len(table)))
    top_height = max(round(axial.height * scale), table_height)
    right_width = max(right_width, size // 3)
    sheet = PillowImage.new("RGB", (left_width + right_width + 3 * _GAP, top_height + bottom_height + 3 * _GAP), PAPER)
    corners = {
        "axial": (_GAP, _GAP, left_width, top_height),
        "coronal": (_GAP, 2 * _GAP + top_height, left_width, bottom_height),
        "sagittal": (2 * _GAP + left_width, 2 * _GAP + top_height, right_width, bottom_height),
    }
    cross = _Cross(volume.index_to_lps, indices) if lines else None
    for plane, (left, top, cell_width, cell_height) in corners.items():
        panel = panels[plane]
        picture = render_scaled(panel.image, scale, window=shown).convert("RGB")
        if cross is not None:
            picture = _rule(picture, panel, cross, scale)
        draw_letters(picture, panel.image, size_of_text)
        _label(picture, panel, size_of_text)
        if plane == "axial":
            _draw_bar(picture, scale, size_of_text)
        sheet.paste((0, 0, 0), (left, top, left + cell_width, top + cell_height))
        sheet.paste(picture, (left + (cell_width - picture.width) // 2, top + (cell_height - picture.height) // 2))
    corner = (2 * _GAP + left_width, _GAP)
    title = volume.presentation.modality or "Volume"
    _write_table(sheet, table, corner=corner, width=right_width, title=title, size=size_of_text)
    return Image(np.asarray(sheet), photometric="RGB")


def _panel(volume: Volume, plane: str, indices: tuple[int, ...]) -> _Panel:
    axis = anatomical_axis(volume.index_to_lps, plane)
    image = volume.plane(plane, indices[axis]).oriented()
    width, height = extent(image)
    return _Panel(plane, indices[axis], volume.shape[axis], image, width, height)


def _write_table(
    sheet: PillowImage.Image,
    table: list[tuple[str, str, Ink]],
    *,
    corner: tuple[int, int],
    width: int,
    title: str,
    size: int,
) -> None:
    left, top = corner[0] + size, corner[1] + size * 0.5
    draw_text(sheet, (left, top), title, size=size * 2, shadow=False)
    indent = max(text_width(name, size) for name, _, _ in table) + size
    for row, (name, value, ink) in enumerate(table):
        line = top + size * (3.1 + 1.7 * row)
        draw_text(sheet, (left, line), name, size=size, fill=QUIET_INK, shadow=False)
        room = width - size - indent
        draw_text(sheet, (left + indent, line), fit(value, size, room), size=size, fill=ink, shadow=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Cross:
    """The point where the three planes meet."""

    index_to_lps: NDArray[np.float64]
    indices: tuple[int, ...]


def _rule(picture: PillowImage.Image, panel: _Panel, cross: _Cross, scale: float) -> PillowImage.Image:
    """Draw where the other two planes cut this one, open at the point itself."""
    from PIL import Image as PillowImage
    from PIL import ImageDraw

    affine = cross.index_to_lps
    point = (affine @ [*cross.indices, 1.0])[:3]
    ruled = picture.copy()
    draw = ImageDraw.Draw(ruled)
    plane_of = {anatomical_axis(affine, plane): plane for plane in PLANES}
    axes = [axis for axis in range(3) if plane_of[axis] != panel.plane]
    middle = np.asarray(place_of(panel.image, point, scale))
    for axis, along in (axes, axes[::-1]):
        # The plane across ``axis`` cuts this one along the other axis.
        toward = np.asarray(place_of(panel.image, point + affine[:3, along], scale)) - middle
        unit = toward / np.linalg.norm(toward)
        reach = float(sum(picture.size))
        for sign in (-1.0, 1.0):
            start, stop = middle + sign * _HOLE * unit, middle + sign * reach * unit
            draw.line([*start.tolist(), *stop.tolist()], fill=_COLOURS[plane_of[axis]], width=1)
    return PillowImage.blend(picture, ruled, _LINE_OPACITY)


def _label(picture: PillowImage.Image, panel: _Panel, size: int) -> None:
    """The plane's name and number in its corner."""
    if min(picture.size) >= size * 3:
        text = f"{panel.plane} {panel.index + 1}/{panel.count}"
        draw_text(picture, (size * 0.5, size * 0.4), text, size=size, fill=_COLOURS[panel.plane])


def _draw_bar(picture: PillowImage.Image, scale: float, size: int) -> None:
    """A bar of a round length, at most a third of the width."""
    from PIL import ImageDraw

    lengths = [length for length in _BAR_LENGTHS_MM if length * scale <= picture.width / 3]
    if not lengths or picture.height < size * 5:
        return
    right, bottom = picture.width - size, picture.height - size
    left = right - lengths[0] * scale
    draw = ImageDraw.Draw(picture)
    draw.line([left, bottom, right, bottom], fill=INK, width=2)
    for end in (left, right):
        draw.line([end, bottom - 4, end, bottom + 4], fill=INK, width=2)
    draw_text(picture, ((left + right) / 2, bottom - 6), f"{lengths[0]} mm", size=size, anchor="ms")
