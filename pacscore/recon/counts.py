"""From detector counts to line integrals: dark and flat fields, scatter, bad pixels, the logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore import parallel
from pacscore.errors import InputError

Array = NDArray[np.float32]
_GAIN_MIN = 0.25
_NEIGHBOURS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Normalized:
    """Line integrals and what had to be repaired.

    Attributes
    ----------
    projections : NDArray of float32
        (views, rows, columns), ``-ln`` of the transmission.
    bad_pixels : NDArray of bool
        (rows, columns) of pixels that were interpolated in all views.
    repaired : int
        Further single values without a logarithm that were interpolated.
    """

    projections: Array
    bad_pixels: NDArray[np.bool_]
    repaired: int


def line_integrals(
    counts: NDArray[Any],
    *,
    flats: NDArray[Any],
    darks: NDArray[Any] | float = 0.0,
    scatter: ArrayLike = 0.0,
    bad_pixels: NDArray[np.bool_] | None = None,
    transmission_min: float = 1e-4,
) -> Normalized:
    """Turn counts into line integrals, ``-ln((counts - darks - scatter) / (flats - darks))``.

    Parameters
    ----------
    counts : (views, rows, columns) array
    flats, darks : (frames, rows, columns) or (rows, columns) array
        Without the object, and without the beam; frames are averaged.
    scatter : float or array that fits counts
        Estimated scatter in counts: a constant, an image, or one for each view.
    bad_pixels : (rows, columns) array of bool, optional
        By default found by ``find_bad_pixels``.
    transmission_min : float
        Smaller transmissions are raised to it: beyond it there is noise only.

    Raises
    ------
    InputError
        Shapes do not fit, or flat fields are nowhere above dark fields.

    Examples
    --------
    >>> counts = np.full((2, 1, 3), 135.0)
    >>> line_integrals(counts, flats=np.full((1, 3), 367.0)).projections[0].round(2)
    array([[1., 1., 1.]], dtype=float32)
    """
    given = np.asarray(counts)
    if given.ndim != 3:
        raise InputError(f"Counts are (views, rows, columns), not of shape {given.shape}.", found=given.shape)
    shape = given.shape[1:]
    bright, dark = _mean_field(flats, shape, "flats"), _mean_field(darks, shape, "darks")
    bad = find_bad_pixels(bright - dark) if bad_pixels is None else np.asarray(bad_pixels, bool)
    if bad.shape != shape:
        raise InputError(f"bad_pixels must be {shape}, not {bad.shape}.", expected=shape, found=bad.shape)
    if bad.all():
        raise InputError("Flat fields are nowhere above dark fields: are the two exchanged?")
    try:
        spread = np.broadcast_to(np.asarray(scatter, np.float32), given.shape)
    except ValueError as error:
        raise InputError(f"scatter does not fit counts of shape {given.shape}.") from error
    gain = np.where(bad, 1.0, bright - dark).astype(np.float32)
    result = np.empty(given.shape, np.float32)
    repaired = np.zeros(given.shape[0], np.int64)

    def run(start: int, stop: int) -> None:
        for view in range(start, stop):
            passed = (given[view] - dark - spread[view]) / gain
            # A single count may well be 0 behind much material; only what is no number at all is interpolated.
            lost = ~np.isfinite(passed) & ~bad
            repaired[view] = np.count_nonzero(lost)
            with np.errstate(invalid="ignore"):
                image = -np.log(np.maximum(passed, transmission_min))
            result[view] = _interpolated(image.astype(np.float32), bad | lost)

    parallel.run_tiles(run, given.shape[0], tile=4)
    return Normalized(result, bad, int(repaired.sum()))


def _mean_field(field: NDArray[Any] | float, shape: tuple[int, ...], name: str) -> NDArray[np.float64]:
    given = np.asarray(field, np.float64)
    mean = given.mean(axis=0) if given.ndim == 3 else given
    if mean.shape not in {shape, ()}:
        raise InputError(f"{name} must be {shape} or a stack of such, not {given.shape}.", expected=shape)
    return np.broadcast_to(mean, shape)


def find_bad_pixels(gain: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels whose gain (flat minus dark) is not finite, not positive, or far below or above that of its neighbours.

    Far is less than a quarter, or more than four times, the median of the nine columns around it.
    """
    values = np.asarray(gain, np.float64)
    usable = np.isfinite(values) & (values > 0)
    padded = np.pad(np.where(usable, values, np.nan), ((0, 0), (_NEIGHBOURS, _NEIGHBOURS)), constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBOURS + 1, axis=1)
    known = np.isfinite(around).any(axis=-1)
    typical = np.full(values.shape, np.nan)
    typical[known] = np.nanmedian(around[known], axis=-1)
    with np.errstate(invalid="ignore"):
        odd = (values < _GAIN_MIN * typical) | (values * _GAIN_MIN > typical)
    return ~usable | odd


def repair_pixels(projections: NDArray[Any], bad: NDArray[np.bool_] | None = None) -> Array:
    """Projections in which bad pixels are interpolated along their row from the next good ones on both sides.

    Parameters
    ----------
    projections : (views, rows, columns) array
    bad : array of bool, optional
        (rows, columns), or (views, rows, columns); by default what is not finite.

    Raises
    ------
    InputError
        The mask does not fit, or a whole view is bad.
    """
    given = np.asarray(projections, np.float32)
    mask = ~np.isfinite(given) if bad is None else np.asarray(bad, bool)
    if given.ndim != 3 or mask.shape not in {given.shape, given.shape[1:]}:
        raise InputError(f"A mask of shape {mask.shape} does not fit projections of shape {given.shape}.")
    result = np.empty(given.shape, np.float32)

    def run(start: int, stop: int) -> None:
        for view in range(start, stop):
            result[view] = _interpolated(given[view], mask if mask.ndim == 2 else mask[view])

    parallel.run_tiles(run, given.shape[0], tile=8)
    return result


def _interpolated(image: Array, bad: NDArray[np.bool_]) -> Array:
    if not bad.any():
        return image
    if bad.all():
        raise InputError("A view has no good pixel to interpolate from.")
    result = image.copy()
    columns = np.arange(image.shape[1])
    whole = bad.all(axis=1)
    for row in np.flatnonzero(bad.any(axis=1) & ~whole):
        good = ~bad[row]
        result[row, bad[row]] = np.interp(columns[bad[row]], columns[good], image[row, good])
    for row in np.flatnonzero(whole):
        kept = np.flatnonzero(~whole)
        result[row] = result[kept[np.argmin(np.abs(kept - row))]]
    return result
