"""From an image to square pixels, and the letters and lines drawn on it.

Geometry of a picture: the horizontal axis runs along the column direction. Where the two directions of the image are
not at right angles (a reformat of a tilted stack), the picture is sheared straight, so that distances and angles in it
are true.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError, InputError
from pacscore.imaging.anatomy import direction_letters

if TYPE_CHECKING:
    from PIL import Image as PillowImage
    from PIL import ImageFont

    from pacscore.imaging.image import Image
    from pacscore.imaging.values import Window

_LETTER = (232, 234, 237)
_SHADOW = (0, 0, 0)
_SHEAR_MIN = 1e-3
# A header may claim that pixels are 1000 mm high and 0.001 wide: its picture is kept to the size of four mammograms.
_PIXELS_MAX = 64 << 20


def step_sizes(image: Image) -> tuple[float, float]:
    """Height and width of a pixel: millimetres where the spacing is known, else by the aspect ratio."""
    return image.spacing_mm or (image.pixel_aspect, 1.0)


def shear(image: Image) -> float:
    """Steps along the column direction, in the unit of ``step_sizes``, that one row down moves; 0 at right angles."""
    if image.index_to_lps is None:
        return 0.0
    down, right = image.index_to_lps[:3, 1], image.index_to_lps[:3, 2]
    slip = float(down @ right) / float(np.linalg.norm(right))
    return slip if abs(slip) > _SHEAR_MIN * float(np.linalg.norm(down)) else 0.0


def extent(image: Image) -> tuple[float, float]:
    """Width and height that an image takes, in the unit of ``step_sizes``."""
    down, right = step_sizes(image)
    slip = shear(image)
    height = math.sqrt(max(down * down - slip * slip, 0.0)) or down
    rows, columns = image.shape[:2]
    return columns * right + abs(slip) * (rows - 1), rows * height


def render(
    image: Image, *, window: Window | None = None, size: tuple[int, int] | None = None, markers: bool = False
) -> PillowImage.Image:
    """Make the picture of ``Image.picture``."""
    turned = image.oriented()
    width, height = extent(turned)
    if size is None:
        scale = min(1 / min(step_sizes(turned)), math.sqrt(_PIXELS_MAX / (width * height)))
    else:
        if min(size) < 1:
            raise InputError(f"A picture has a positive size: {size} is none.", found=size)
        scale = min(size[0] / width, size[1] / height)
    return render_scaled(turned, scale, window=window, markers=markers)


def render_scaled(
    turned: Image, scale: float, *, window: Window | None = None, markers: bool = False
) -> PillowImage.Image:
    """The picture of an image already turned, at ``scale`` pixels per unit of ``step_sizes``."""
    from PIL import Image as PillowImage

    width, height = extent(turned)
    pixels = (max(1, round(width * scale)), max(1, round(height * scale)))
    if turned.is_monochrome:
        chosen = window or turned.window or turned.automatic_window()
        values, outside = _held_near(turned, chosen)
        resized = _resample(PillowImage.fromarray(values), turned, pixels, outside)
        picture = PillowImage.fromarray(replace(turned, array=np.asarray(resized)).display(chosen))
    else:
        picture = _resample(PillowImage.fromarray(turned.display(window)), turned, pixels, None)
    if markers:
        picture = picture.convert("RGB")
        draw_letters(picture, turned, max(14, min(20, min(picture.size) // 22)))
    return picture


def _held_near(turned: Image, window: Window) -> tuple[NDArray[np.float32], float]:
    """Values to resample, held within a window's width of what it shows; and the value of what lies outside: black.

    Resampling before windowing keeps edges smooth; holding the values keeps metal and air from ringing far into tissue.
    """
    low, high = window.limits()
    floor, ceiling = low - window.width, high + window.width
    values = np.clip(np.where(np.isnan(turned.array), floor, turned.array), floor, ceiling)
    return values.astype(np.float32), ceiling if turned.photometric == "MONOCHROME1" else floor


def _resample(
    picture: PillowImage.Image, turned: Image, pixels: tuple[int, int], outside: float | None
) -> PillowImage.Image:
    """To ``pixels``, straight: where the image is sheared, each pixel is fetched from where it lies in it."""
    from PIL import Image as PillowImage

    # Bicubic rings least of Pillow's smooth kernels, and averages when shrinking, as LANCZOS does.
    if not shear(turned):
        return picture.resize(pixels, PillowImage.Resampling.BICUBIC)
    rows = turned.shape[0]
    slip = shear(turned)
    right = step_sizes(turned)[1]
    width = extent(turned)[0]
    left = min(0.0, slip * (rows - 1))
    per_x = width / pixels[0] / right
    per_y = rows / pixels[1]
    # Column of the image = (x in mm + left - slip * row) / right, row = y * per_y; Pillow counts from pixel corners.
    matrix = (per_x, -slip / right * per_y, (left + slip / 2) / right, 0.0, per_y, 0.0)
    affine, bicubic = PillowImage.Transform.AFFINE, PillowImage.Resampling.BICUBIC
    return picture.transform(pixels, affine, matrix, bicubic, fillcolor=outside)


def place_of(turned: Image, point_lps: NDArray[np.float64], scale: float) -> tuple[float, float]:
    """Where in the picture of ``render_scaled`` a point of the plane lies: x and y in pixels.

    Raises
    ------
    GeometryError
        The image has no affine.
    """
    if turned.index_to_lps is None:
        raise GeometryError("An image without affine has no place for a point.")
    steps = turned.index_to_lps[:3, 1:3]
    row, column = np.linalg.lstsq(steps, point_lps - turned.index_to_lps[:3, 3], rcond=None)[0]
    height = extent(turned)[1]
    slip = shear(turned)
    left = min(0.0, slip * (turned.shape[0] - 1))
    x = (column + 0.5) * step_sizes(turned)[1] + slip * row - left
    return float(x * scale), float((row + 0.5) * height / turned.shape[0] * scale)


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: the same letters on every machine. It has no sign beyond Latin-1's first half and ``·°±``."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def draw_text(
    picture: PillowImage.Image,
    place: tuple[float, float],
    text: str,
    *,
    size: int,
    anchor: str = "la",
    fill: tuple[int, int, int] = _LETTER,
    shadow: bool = True,
) -> None:
    """Write a line; ``anchor`` is Pillow's. The shadow keeps it readable on bright pixels."""
    from PIL import ImageDraw

    stroke: dict[str, Any] = {"stroke_width": 2, "stroke_fill": _SHADOW} if shadow else {}
    ImageDraw.Draw(picture).text(place, text, fill=fill, font=font(size), anchor=anchor, **stroke)


def text_width(text: str, size: int) -> float:
    """Width of a line in pixels."""
    return float(font(size).getlength(text))


def draw_letters(picture: PillowImage.Image, turned: Image, size: int) -> None:
    """Write the patient's directions at the edges of an image's picture; nothing where they are not known."""
    if turned.index_to_lps is None or min(picture.size) < size * 4:
        return
    down, right = turned.index_to_lps[:3, 1], turned.index_to_lps[:3, 2]
    width, height = picture.size
    inset = size * 0.4
    for direction, place, anchor in (
        (-right, (inset, height / 2), "lm"),
        (right, (width - inset, height / 2), "rm"),
        (-down, (width / 2, inset), "ma"),
        (down, (width / 2, height - inset), "md"),
    ):
        draw_text(picture, place, direction_letters(direction), size=size, anchor=anchor)
