"""Pictures of many images: contact sheets, and the three planes of a volume.

Captions say what and how trustworthy: modality, size, spacing, verdict, window. Nothing that names a patient is read
here, so nothing can be written (promise 11).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pacscore.errors import InputError, PacscoreError
from pacscore.imaging.captions import PAPER, QUIET_INK, Line, describe, describe_image, fit, wrap
from pacscore.imaging.image import Image
from pacscore.imaging.orthogonal import lay_out
from pacscore.imaging.picture import draw_text, extent, render_scaled
from pacscore.imaging.values import Window
from pacscore.imaging.volume import Volume

if TYPE_CHECKING:
    from PIL import Image as PillowImage

_CELL = (0, 0, 0)
_GAP = 10


def contact_sheet(
    items: Sequence[Volume | Image],
    *,
    captions: Sequence[str] | None = None,
    columns: int | None = None,
    tile: int = 256,
) -> Image:
    """One picture per volume (its middle frame) or image, in a grid, each with a caption.

    Parameters
    ----------
    items : sequence of Volume or Image
        At least one.
    captions : sequence of str, optional
        The first line below each picture; by default modality and size. The caller answers for what they say.
    columns : int, optional
        By default as many as make the sheet a little wider than high.
    tile : int
        Width and height of a cell in pixels, at least 64.

    Returns
    -------
    Image
        RGB; ``save`` it, or let a notebook show it.

    Raises
    ------
    InputError
        There is nothing to show, or captions or sizes do not fit.

    Notes
    -----
    A picture that cannot be made (no decoder, no conversion to RGB) is a cell that says so: one bad series must not
    cost the sheet.
    """
    if not items:
        raise InputError("A contact sheet needs at least one volume or image.")
    if captions is not None and len(captions) != len(items):
        raise InputError(f"{len(captions)} captions for {len(items)} pictures.")
    size = _text_size(tile)
    cells = []
    for place, item in enumerate(items):
        lines = _caption(item, size)
        if captions is not None:
            lines[0] = replace(lines[0], text=captions[place])
        cells.append((_tile(item, tile), lines))
    return _grid(cells, columns=columns, tile=tile)


def slice_sheet(
    volume: Volume, *, count: int = 20, columns: int | None = None, tile: int = 192, window: Window | None = None
) -> Image:
    """Frames of one volume, evenly spread, all shown with the same window.

    Parameters
    ----------
    volume : Volume
        With extra axes, the frames run through all of them in order.
    count : int
        How many frames at most.
    columns, tile
        As for ``contact_sheet``.
    window : Window, optional
        By default ``volume.shown_window()``.

    Raises
    ------
    InputError
        ``count`` or a size is not positive.
    """
    if count < 1:
        raise InputError("A sheet shows at least one frame.", found=count)
    total = volume.frame_count
    shown = window or volume.shown_window()
    places = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    cells: list[tuple[PillowImage.Image, list[Line]]] = []
    for place in places:
        picture = _fitted(volume.frame(int(place)), tile, window=shown)
        draw_text(picture, (6, 4), f"{place + 1}/{total}", size=max(11, tile // 16))
        cells.append((picture, []))
    return _grid(cells, columns=columns, tile=tile)


def three_planes(
    volume: Volume,
    *,
    center: tuple[int, int, int] | None = None,
    window: Window | None = None,
    size: int = 960,
    lines: bool = True,
) -> Image:
    """Axial, coronal and sagittal planes through one point, to one scale, with what is known about the volume.

    Parameters
    ----------
    volume : Volume
        With an affine and without extra axes.
    center : tuple of int, optional
        ``(slice, row, column)`` of the point; the middle by default.
    window : Window, optional
        By default ``volume.shown_window()``.
    size : int
        Longer side of the picture in pixels, about; at least 256.
    lines : bool
        Draw where the planes cut each other.

    Raises
    ------
    GeometryError, AmbiguousError
        The volume has no such planes (see ``Volume.plane``).
    SelectionError
        The point lies outside.
    InputError
        The size is too small.
    """
    return lay_out(volume, center=center, window=window, size=size, lines=lines)


def _caption(item: Volume | Image, size: int) -> list[Line]:
    if isinstance(item, Image):
        return describe_image(item, size)
    first, *others = describe(item, size)
    return [replace(first, text=f"{item.presentation.modality or 'volume'} · {first.text}"), *others]


def _tile(item: Volume | Image, tile: int) -> PillowImage.Image:
    try:
        if isinstance(item, Image):
            return _fitted(item, tile, window=None)
        return _fitted(item.frame(item.frame_count // 2), tile, window=None)
    except PacscoreError as error:
        return _placard(error.message, tile)


def _fitted(image: Image, tile: int, *, window: Window | None) -> PillowImage.Image:
    turned = image.oriented()
    width, height = extent(turned)
    return render_scaled(turned, tile / max(width, height), window=window).convert("RGB")


def _placard(message: str, tile: int) -> PillowImage.Image:
    from PIL import Image as PillowImage

    picture = PillowImage.new("RGB", (tile, tile), _CELL)
    size = max(11, tile // 20)
    for line, text in enumerate(wrap(message, size, tile - 24)[:6]):
        draw_text(picture, (12, 12 + line * size * 1.4), text, size=size, fill=QUIET_INK, shadow=False)
    return picture


def _text_size(tile: int) -> int:
    return max(11, tile // 18)


def _grid(cells: Sequence[tuple[PillowImage.Image, list[Line]]], *, columns: int | None, tile: int) -> Image:
    from PIL import Image as PillowImage

    if tile < 64 or (columns is not None and columns < 1):
        raise InputError(f"Cells of at least 64 pixels in at least one column: not {tile} in {columns}.")
    across = min(len(cells), columns or math.ceil(math.sqrt(len(cells) * 1.25)))
    down = math.ceil(len(cells) / across)
    size = _text_size(tile)
    line_height = round(size * 1.35)
    caption_lines = max(len(lines) for _, lines in cells)
    cell_height = tile + (caption_lines * line_height + 8 if caption_lines else 0)
    sheet = PillowImage.new("RGB", (across * (tile + _GAP) + _GAP, down * (cell_height + _GAP) + _GAP), PAPER)
    for place, (picture, lines) in enumerate(cells):
        left = _GAP + place % across * (tile + _GAP)
        top = _GAP + place // across * (cell_height + _GAP)
        sheet.paste(_CELL, (left, top, left + tile, top + tile))
        sheet.paste(picture, (left + (tile - picture.width) // 2, top + (tile - picture.height) // 2))
        for number, line in enumerate(lines):
            where = (left + 2, top + tile + 6 + number * line_height)
            draw_text(sheet, where, fit(line.text, size, tile - 4), size=size, fill=line.ink, shadow=False)
    return Image(np.asarray(sheet), photometric="RGB")
