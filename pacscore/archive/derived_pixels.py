"""From the values of a derived volume to the pixel words of DICOM objects.

W1  Integers of at most 16 bits are stored as they are, wider ones where their values fit; nothing is rounded.
W2  Floats that are whole numbers within a range of 16 bits are stored exactly. All others are quantised in equal steps,
    and the largest change that the reader will see is measured, not estimated.
W3  Zero stays zero wherever the values contain it: masks and air do not begin to glow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, UnsupportedError
from pacscore.imaging import Volume
from pacscore.parallel import run_tiles

_EXTREME = float(np.finfo(np.float32).max)
_STEPS = 65535


@dataclass(frozen=True, slots=True, eq=False)
class DerivedPixels:
    """The words of a derived series and how they become modality values again.

    Attributes
    ----------
    words : NDArray
        ``(slices, rows, columns)``, 8 or 16 bits, C order, little endian.
    slopes, intercepts : tuple of str
        Rescale Slope and Rescale Intercept of each slice, as DICOM writes them.
    largest_error : float
        The largest difference between a value of the volume and what is read back, in the unit of the values; 0 when
        all are equal.
    are_stored_values : bool
        The words are the volume's own stored values: what was said of those, padding for example, is true of them.
    """

    words: NDArray[Any]
    slopes: tuple[str, ...]
    intercepts: tuple[str, ...]
    largest_error: float = 0.0
    are_stored_values: bool = True


def derive_pixels(volume: Volume, *, zero_intercept: bool = False) -> DerivedPixels:
    """Make the pixel words of a volume.

    Parameters
    ----------
    volume : Volume
        Monochrome, ``(slices, rows, columns)``.
    zero_intercept : bool
        Quantise with Rescale Intercept 0, as PET images must (PS3.3 C.8.9.4).

    Raises
    ------
    InputError
        A value is NaN, infinite or beyond float32; or the values are no real numbers.
    UnsupportedError
        Integers need more than 16 bits, or the volume's header names a transformation that cannot be done.
    """
    kind = volume.dtype.kind
    if kind not in "biuf":
        raise InputError(f"A DICOM image holds real numbers, not {volume.dtype}.", found=str(volume.dtype))
    if volume.rescale.missing:
        raise UnsupportedError(volume.rescale.missing)
    if kind == "f" or volume.rescale.tables:
        return _quantised(volume, zero_intercept)
    words = volume.array()
    words = words.astype(np.uint8) if kind == "b" else _narrowed(words)
    count = len(words)
    slopes, intercepts = (
        tuple(map(decimal_text, np.broadcast_to(numbers, (count,)).tolist()))
        for numbers in (volume.rescale.slopes, volume.rescale.intercepts)
    )
    return DerivedPixels(_little_endian(words), slopes, intercepts)


def decimal_text(number: float) -> str:
    """A number as DICOM's Decimal String writes it: at most 16 characters, as exact as they allow (PS3.5 6.2).

    Examples
    --------
    >>> decimal_text(1 / 3), decimal_text(-0.0)
    ('0.33333333333333', '0.0')
    """
    from pydicom.valuerep import format_number_as_ds

    return str(format_number_as_ds(float(number) + 0.0))


def coding(low: float, high: float, *, whole: bool, zero_intercept: bool) -> tuple[np.dtype[Any], float, float]:
    """Choose how values from ``low`` to ``high`` become 16-bit words.

    Parameters
    ----------
    low, high : float
        Finite, low <= high.
    whole : bool
        All values are whole numbers.
    zero_intercept : bool
        The intercept must be 0.

    Returns
    -------
    dtype, slope, intercept
        ``word * slope + intercept`` is the value. Slope and intercept are numbers that a Decimal String holds exactly.

    Examples
    --------
    >>> coding(-1024.0, 3071.0, whole=True, zero_intercept=False)
    (dtype('int16'), 1.0, 0.0)
    >>> coding(0.0, 0.65535, whole=False, zero_intercept=False)
    (dtype('uint16'), 1e-05, 0.0)
    """
    unsigned: np.dtype[Any] = np.dtype(np.uint16)
    signed: np.dtype[Any] = np.dtype(np.int16)
    if whole and low >= 0 and high <= _STEPS:
        return unsigned, 1.0, 0.0
    if whole and low >= -32768 and high <= 32767:
        return signed, 1.0, 0.0
    if whole and high - low <= _STEPS and not zero_intercept:
        return unsigned, 1.0, float(decimal_text(low))
    dtype, base, step = unsigned, float(decimal_text(low)), (high - low) / _STEPS
    if low < 0 and (high >= 0 or zero_intercept):
        dtype, base, step = signed, 0.0, max(high / 32767, low / -32768)
    elif zero_intercept:
        base, step = 0.0, high / _STEPS
    slope = float(decimal_text(step))
    return dtype, slope if slope > 0 else 1.0, base


def _narrowed(words: NDArray[Any]) -> NDArray[Any]:
    """Integers in at most 16 bits, their values unchanged."""
    if words.dtype.itemsize <= 2:
        return words
    low, high = int(words.min()), int(words.max())
    for dtype in (np.int16, np.uint16):
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return words.astype(dtype)
    raise UnsupportedError(
        f"Integers from {low} to {high} do not fit into 16 bits. Number labels anew, or make measurements float32: "
        "those are quantised with a stated error.",
        expected=16,
        found=str(words.dtype),
    )


def _quantised(volume: Volume, zero_intercept: bool) -> DerivedPixels:
    low, high, whole = _survey(volume)
    dtype, slope, intercept = coding(low, high, whole=whole, zero_intercept=zero_intercept)
    words = np.empty(volume.shape, dtype)
    errors = np.zeros(len(volume))
    limits = np.iinfo(dtype)

    def fill(start: int, stop: int) -> None:
        values = _modality(volume, start, stop)
        steps = np.rint((values - intercept) / slope)
        np.clip(steps, limits.min, limits.max, out=steps)
        words[start:stop] = steps
        steps *= slope
        steps += intercept
        # Readers give float32: that rounding belongs to what they see.
        np.subtract(steps.astype(np.float32), values, out=steps)
        errors[start:stop] = np.abs(steps).max()

    _over_slices(volume, fill)
    count = len(volume)
    return DerivedPixels(
        _little_endian(words),
        (decimal_text(slope),) * count,
        (decimal_text(intercept),) * count,
        float(errors.max()),
        are_stored_values=False,
    )


def _survey(volume: Volume) -> tuple[float, float, bool]:
    """The smallest and largest value, and whether all are whole numbers."""
    lows, highs = np.empty(len(volume)), np.empty(len(volume))
    whole = np.zeros(len(volume), bool)

    def look(start: int, stop: int) -> None:
        values = _modality(volume, start, stop)
        lows[start:stop], highs[start:stop] = values.min(), values.max()
        if not (math.isfinite(lows[start]) and math.isfinite(highs[start])):  # Both carry a NaN on.
            raise InputError(
                f"There are NaN or infinite values in slices {start} to {stop - 1}: pixels cannot say them. Put a "
                "number in their place.",
                slice_index=start,
            )
        whole[start:stop] = np.array_equal(values, np.rint(values))

    _over_slices(volume, look)
    low, high = float(lows.min()), float(highs.max())
    if max(-low, high) > _EXTREME:
        raise InputError("A value is beyond the range of float32, in which modality values are read.", found=high)
    return low, high, bool(whole.all())


def _over_slices(volume: Volume, work: Callable[[int, int], None]) -> None:
    """Call ``work(start, stop)`` for all slices, whole chunks at a time, side by side."""
    run_tiles(work, len(volume), tile=max(1, volume.source.chunk_shape[0]))


def _modality(volume: Volume, start: int, stop: int) -> NDArray[np.float64]:
    """Modality values of some slices."""
    stored = volume.read_box((slice(start, stop), *(slice(0, length) for length in volume.shape[1:])))
    if volume.rescale.is_identity:
        return stored.astype(np.float64)
    if stored.dtype.kind == "f" and stored.dtype.itemsize not in (4, 8):
        stored = stored.astype(np.float64)  # No kernel takes half or extended floats.
    return volume.rescale.frames(slice(start, stop)).apply(stored).astype(np.float64)


def _little_endian(words: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(words, words.dtype.newbyteorder("<"))
