"""Noise reduction that keeps edges: bilateral filter and non-local means, on planes and stacks.

Beyond the border the image is mirrored, the border itself not repeated. Averages are float32, or rounded, ties to even,
into an ``out`` of the values' own integers.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.stacks import PerAxis, average_output, per_axis, stack_of
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import denoise as kernels

_LOG2_E = math.log2(math.e)
_REACH_MAX = 64
_SPARE = 64
_TILE_PLANE = (1, 64, 512)
_TILE_STACK = (32, 32, 256)


def bilateral(
    values: NDArray[Any],
    sigma: PerAxis,
    *,
    sigma_value: float,
    reach: PerAxis | None = None,
    out: NDArray[Any] | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[Any]:
    """Smooth within regions: neighbours weigh by how near they are and by how little they differ.

    Parameters
    ----------
    values : NDArray
        ``(rows, columns)`` or ``(slices, rows, columns)``, integers or floats; computed in float32.
    sigma : float or sequence
        Standard deviation of the nearness in samples, for all axes or for each; 0 leaves an axis out.
    sigma_value : float
        Standard deviation of the difference, in the values' unit, above 0.
    reach : int or sequence, optional
        How many samples the neighbourhood goes to each side, at most 64; it is a disc, ball or ellipsoid. By default
        twice sigma, at least 1.
    out : NDArray, optional
        Shape of ``values``; float32, or their own integers, to which results are then rounded.
    watch : Watch
        Progress, cancelling, threads.

    Raises
    ------
    InputError
        The array or a number is not as described, or ``out`` does not fit.
    CancelledError
        ``watch`` says so.

    Notes
    -----
    Tomasi and Manduchi, ICCV 1998, 839. Weights are exact to 3e-6. NaN spreads over the neighbourhood.

    Examples
    --------
    >>> bilateral(np.array([[0, 2, 0, 100, 102, 100]], np.float32), (0, 2.0), sigma_value=10).round(1)
    array([[  0.9,   0.9,   0.8, 100.8, 100.9, 100.9]], dtype=float32)
    """
    sigmas = per_axis(sigma, values.ndim, "sigma", at_least=0, plane=0)
    if not (math.isfinite(sigma_value) and sigma_value > 0):
        raise InputError(f"sigma_value must be finite and above 0: it is {sigma_value}.", found=sigma_value)
    wanted = [max(1, int(2 * each + 0.5)) for each in sigmas][3 - values.ndim :] if reach is None else reach
    reaches = _whole(wanted, values.ndim, "reach", least=0, most=_REACH_MAX)
    reaches = [0 if each == 0 else length for each, length in zip(sigmas, reaches, strict=True)]
    stack, target = stack_of(values), average_output(values, out)
    if not stack.size:
        return target
    result = target.reshape(stack.shape)
    scale = math.sqrt(_LOG2_E / 2) / sigma_value
    padded = _mirrored(stack, reaches, scale)
    offsets, exponents = _neighbours(reaches, sigmas, padded.shape)
    columns = -(-stack.shape[2] // kernels.LANES) * kernels.LANES
    is_whole = target.dtype.kind != "f"

    def smooth(start: int, stop: int) -> None:
        kernels.bilateral_rows_into(
            padded, np.array(reaches, np.int64), offsets, exponents, scale, is_whole, np.empty(columns, np.float32),
            result, start, stop,
        )  # fmt: skip

    watch.run("bilateral filter", smooth, stack.shape[0] * stack.shape[1], tile=32)
    return target


def nlm(
    values: NDArray[Any],
    *,
    strength: float,
    patch: PerAxis = 5,
    search: PerAxis = 5,
    noise: float = 0.0,
    cutoff: float = math.inf,
    out: NDArray[Any] | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[Any]:
    """Non-local means: average each sample with those around it whose neighbourhoods look alike.

    Parameters
    ----------
    values : NDArray
        ``(rows, columns)`` or ``(slices, rows, columns)``, integers or floats; computed in float32.
    strength : float
        h, in the values' unit, above 0: how different patches may be, root of their mean squared difference.
    patch : int or sequence
        Samples of a patch along all axes or each, 1 to 64. An even patch begins ``patch / 2 - 1`` samples before.
    search : int or sequence
        How many samples to look to each side, at most 64; 0 keeps to the axis's own place.
    noise : float
        Standard deviation of the noise: twice its square is taken off the mean squared difference.
    cutoff : float
        Patches whose squared difference exceeds so many squares of ``strength`` do not count.
    out, watch
        As for ``bilateral``.

    Raises
    ------
    InputError
        The array or a number is not as described, or ``out`` does not fit.
    CancelledError
        ``watch`` says so.

    Notes
    -----
    Weight exp(-max(d - 2 noise**2, 0) / strength**2), d the mean squared difference of the patches; 1 for the sample
    itself. Buades, Coll and Morel, Multiscale Model. Simul. 4 (2005) 490. Weights are exact to 3e-6; the cost grows
    with the number of samples searched, hardly with the patch. NaN spreads over patch and search.

    Examples
    --------
    >>> stripes = np.array([[0, 50, 1, 51, 0, 50]] * 3, np.float32)
    >>> nlm(stripes, strength=9.0, patch=1, search=(0, 5)).round(1)[0]
    array([ 0.4, 50.4,  0.4, 50.4,  0.4, 50.4], dtype=float32)
    """
    if not (math.isfinite(strength) and strength > 0 and noise >= 0 and math.isfinite(noise) and cutoff >= 0):
        raise InputError(
            f"strength must be above 0, noise and cutoff 0 or more: they are {strength}, {noise} and {cutoff}."
        )
    patches = np.array(_whole(patch, values.ndim, "patch", least=1, most=_REACH_MAX, plane=1), np.int64)
    reaches = np.array(_whole(search, values.ndim, "search", least=0, most=_REACH_MAX), np.int64)
    stack, target = stack_of(values), average_output(values, out)
    if not stack.size:
        return target
    before = (patches - 1) // 2
    after = patches - 1 - before
    pads = reaches + np.maximum(before, after)
    tile = np.minimum(_TILE_STACK if reaches[0] else _TILE_PLANE, stack.shape)
    padded = _mirrored(stack, pads.tolist())
    stride = -(-int(tile[2] + reaches[2] + patches[2] + _SPARE) // kernels.LANES) * kernels.LANES
    samples = float(np.prod(patches))
    factor = _LOG2_E / (strength**2 * samples)
    bias = 2 * noise**2 * _LOG2_E / strength**2
    limit = min(cutoff * _LOG2_E, float(np.finfo(np.float32).max))
    result = target.reshape(stack.shape)
    is_whole = target.dtype.kind != "f"

    def average(start: int, stop: int) -> None:
        line_count = int(tile[1] + reaches[1] + patches[1]) if patches[0] > 1 else 0
        kernels.nlm_tiles_into(
            padded, pads, before, after, reaches, tile, factor, bias, limit,
            np.empty(int(patches[0]) * line_count * stride, np.float32),
            np.empty(int(patches[1]) * stride, np.float32),
            np.empty(stride, np.float32), np.empty(stride, np.float32),
            np.empty(int(patches[0] + patches[1]), np.int64), np.empty(9, np.int64),
            np.empty(int(tile[0] * tile[1]) * stride, np.float32),
            np.empty(int(tile[0] * tile[1]) * stride, np.float32),
            is_whole, result, start, stop,
        )  # fmt: skip

    watch.run("non-local means", average, int(np.prod(-(-np.array(stack.shape) // tile))))
    return target


def _whole(value: PerAxis, ndim: int, name: str, *, least: int, most: int, plane: int = 0) -> list[int]:
    numbers = per_axis(value, ndim, name, at_least=least, plane=plane)
    if any(each != int(each) or each > most for each in numbers):
        raise InputError(f"{name} is whole numbers from {least} to {most}: it is {value}.", found=value)
    return [int(each) for each in numbers]


def _mirrored(stack: NDArray[Any], reaches: list[int], scale: float = 1.0) -> NDArray[np.float32]:
    """The stack as float32, scaled, with its mirror image around, and columns to spare for whole vectors."""
    sides = [(reach, reach) for reach in reaches]
    slices, rows, columns = (length + 2 * reach for length, reach in zip(stack.shape, reaches, strict=True))
    padded = np.empty((slices, rows, columns + _SPARE), np.float32)
    np.multiply(
        np.pad(stack, sides, mode="reflect"), np.float32(scale), out=padded[:, :, :columns], casting="same_kind"
    )
    padded[:, :, columns:] = 0
    return padded


def _neighbours(
    reaches: list[int], sigmas: tuple[float, float, float], shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Where the neighbours lie in a padded array, and the exponents of two for their distance."""
    offsets, exponents = [], []
    for place in itertools.product(*(range(-reach, reach + 1) for reach in reaches)):
        inside = sum((step / reach) ** 2 for step, reach in zip(place, reaches, strict=True) if reach)
        if inside <= 1 + 1e-9:
            near = sum((step / sigma) ** 2 for step, sigma in zip(place, sigmas, strict=True) if sigma)
            offsets.append((place[0] * shape[1] + place[1]) * shape[2] + place[2])
            exponents.append(near / 2 * _LOG2_E)
    return np.array(offsets, np.int64), np.array(exponents, np.float32)
