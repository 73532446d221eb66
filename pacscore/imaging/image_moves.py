"""An image enlarged, turned, mirrored or moved, at sub-pixel accuracy, its place in space with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging import arrays

if TYPE_CHECKING:
    from pacscore.imaging.image import Image

_PIXELS_MAX = 1 << 30


def magnify(
    image: Image, factor: float | Sequence[float], *, interpolation: str = "cubic", smooth: bool = True
) -> Image:
    """The same picture with more pixels, or with fewer.

    Parameters
    ----------
    factor : float or two of them
        Along rows' and columns' direction: (down, across); above 1 there are more pixels. The picture's outer borders
        stay where they are, as nearly as whole numbers of pixels allow.
    interpolation : str
        ``nearest``, ``linear``, ``cubic`` (Catmull-Rom) or ``bspline``.
    smooth : bool
        Where there are fewer pixels, average, so that fine detail does not alias.

    Raises
    ------
    InputError
        A factor is not positive, or the result would be empty or too large.
    """
    factors = np.broadcast_to(np.asarray(factor, np.float64).reshape(-1), 2) if np.size(factor) in {1, 2} else None
    if factors is None or not (np.isfinite(factors).all() and (factors > 0).all()):
        raise InputError("A factor is one positive number, or two: down, across.")
    counts = [max(1, round(length * each)) for length, each in zip(image.shape, factors.tolist(), strict=False)]
    _check_size(counts)
    steps = [1 / each for each in factors.tolist()]
    starts = [((n - 1) - (count - 1) * step) / 2 for n, count, step in zip(image.shape, counts, steps, strict=False)]
    one = arrays.axis_taps(1, start=0.0, step=1.0, count=1)
    down, across = (
        arrays.axis_taps(length, start=start, step=step, count=count, interpolation=interpolation, smooth=smooth)
        for length, start, step, count in zip(image.shape, starts, steps, counts, strict=False)
    )

    def layer(values: NDArray[Any], out: NDArray[np.float32]) -> None:
        source = arrays.spline_coefficients(values) if interpolation == "bspline" else values
        arrays.regrid(source, (one, down, across), out=out[None])

    mapping = np.array([[steps[0], 0, starts[0]], [0, steps[1], starts[1]]])
    words = f"magnified {factors[0]:.4g} x {factors[1]:.4g}, {interpolation}"
    return _moved(image, mapping, (counts[0], counts[1]), layer, words)


def rotate(
    image: Image, angle_deg: float, *, whole: bool = True, interpolation: str = "cubic", background: float | None = None
) -> Image:
    """The picture turned about its middle, counter-clockwise as one looks at it.

    Parameters
    ----------
    angle_deg : float
    whole : bool
        Add rows and columns until all of the picture has room; else the shape stays.
    interpolation : str
        As in ``magnify``.
    background : float, optional
        What stands outside; by default the smallest value of the image, black for RGB.

    Raises
    ------
    InputError
        The angle is not finite, or the interpolation has another name.
    """
    if not math.isfinite(angle_deg):
        raise InputError("An angle is a finite number of degrees.")
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    turn = np.round([[cosine, -sine], [sine, cosine]], 15)  # Quarter turns are exact.
    aspect = image.pixel_aspect if image.spacing_mm is None else image.spacing_mm[0] / image.spacing_mm[1]
    size = np.array([aspect, 1.0])
    mapping = turn.T * (size[None, :] / size[:, None])
    counts = np.array(image.shape[:2])
    if whole:
        counts = np.ceil(np.abs(turn) @ (counts * size) / size - 1e-6).astype(int)
    words = f"rotated by {angle_deg:g} degrees, {interpolation}"
    return _along_lines(image, mapping, (int(counts[0]), int(counts[1])), interpolation, background, derivation=words)


def pan(
    image: Image, rows: float, columns: float, *, interpolation: str = "cubic", background: float | None = None
) -> Image:
    """The picture moved down by ``rows`` and right by ``columns`` pixels, within the same frame.

    Parameters
    ----------
    rows, columns : float
        Parts of a pixel too.
    interpolation, background
        As in ``rotate``.

    Raises
    ------
    InputError
        A number is not finite, or the interpolation has another name.
    """
    if not (math.isfinite(rows) and math.isfinite(columns)):
        raise InputError("A picture is moved by finite numbers of rows and columns.")
    shape = (image.shape[0], image.shape[1])
    words = f"moved by {rows:g} rows and {columns:g} columns, {interpolation}"
    shift = np.array([-rows, -columns])
    return _along_lines(image, np.eye(2), shape, interpolation, background, derivation=words, shift=shift)


def flip(image: Image, *, rows: bool = False, columns: bool = False) -> Image:
    """The picture mirrored: ``rows`` puts the last row first, ``columns`` the last column."""
    mapping = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    array, derivation = image.array, image.derivation
    for axis, wanted in enumerate((rows, columns)):
        if wanted:
            derivation = (*derivation, f"{('rows', 'columns')[axis]} mirrored")
            mapping[axis, axis], mapping[axis, 2] = -1.0, image.shape[axis] - 1.0
            array = np.flip(array, axis)
    return replace(image, array=np.ascontiguousarray(array), index_to_lps=_place(image, mapping), derivation=derivation)


def _along_lines(
    image: Image,
    mapping: NDArray[np.float64],
    shape: tuple[int, int],
    interpolation: str,
    background: float | None,
    *,
    derivation: str,
    shift: NDArray[np.float64] | None = None,
) -> Image:
    """Sample at ``mapping @ pixel`` about both middles, moved by ``shift``."""
    arrays.check_interpolation(interpolation)
    _check_size(shape)
    middle, new_middle = (np.array(image.shape[:2]) - 1) / 2, (np.array(shape) - 1) / 2
    start = middle - mapping @ new_middle + (0.0 if shift is None else shift)
    whole = np.column_stack([mapping, start])
    whole = np.where(np.abs(whole - np.rint(whole)) < 1e-9, np.rint(whole), whole)
    outside = background
    if outside is None:
        outside = float(np.nanmin(image.array)) if image.is_monochrome and not np.isnan(image.array).all() else 0.0
    lines = arrays.plane_lines(
        (0.0, *whole[:, 2]), row_step=(0.0, *whole[:, 0]), column_step=(0.0, *whole[:, 1]), rows=shape[0]
    )

    def layer(values: NDArray[Any], out: NDArray[np.float32]) -> None:
        source = arrays.spline_coefficients(values) if interpolation == "bspline" else values
        arrays.sample_lines(
            source, lines, shape[1], interpolation=interpolation, scale=arrays.Scale(background=outside), out=out
        )

    return _moved(image, whole, shape, layer, derivation)


def _moved(image: Image, mapping: NDArray[np.float64], shape: tuple[int, int], layer: Any, derivation: str) -> Image:
    """The image whose layers ``layer`` samples, each pixel from ``mapping @ (row, column, 1)`` of this one."""
    layers = image.array[None] if image.is_monochrome else np.moveaxis(image.array, -1, 0)
    values = np.empty((len(layers), *shape), np.float32)
    for source, target in zip(layers, values, strict=True):
        layer(np.ascontiguousarray(source)[None], target)
    if image.is_monochrome:
        array: NDArray[Any] = values[0]
    else:
        white = (1 << image.bits_stored) - 1
        array = np.clip(np.rint(np.moveaxis(values, 0, -1)), 0, white).astype(image.array.dtype)
    steps = np.abs(mapping[:, :2])
    spacing, aspect = image.spacing_mm, image.pixel_aspect
    if spacing is not None:
        lengths = np.hypot(steps[0] * spacing[0], steps[1] * spacing[1])
        spacing = (float(lengths[0]), float(lengths[1]))
    else:
        lengths = np.hypot(steps[0] * aspect, steps[1])
        aspect = float(lengths[0] / lengths[1])
    return replace(
        image, array=np.ascontiguousarray(array), index_to_lps=_place(image, mapping), spacing_mm=spacing,
        pixel_aspect=aspect, derivation=(*image.derivation, derivation),
    )  # fmt: skip


def _place(image: Image, mapping: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The affine of an image whose pixel (row, column) is this one's ``mapping @ (row, column, 1)``."""
    if image.index_to_lps is None:
        return None
    affine = image.index_to_lps.copy()
    affine[:3, 1:3] = image.index_to_lps[:3, 1:3] @ mapping[:, :2]
    affine[:3, 3] += image.index_to_lps[:3, 1:3] @ mapping[:, 2]
    return affine


def _check_size(counts: Sequence[int]) -> None:
    if math.prod(counts) > _PIXELS_MAX:
        raise InputError(f"A picture of {counts[0]} × {counts[1]} pixels cannot be made.", found=tuple(counts))
