"""Stored words to modality values to display values, on plain arrays.

Each checks shape, dtype, memory order and range and then calls the kernel of ``pacscore.kernels.display`` that does
the work. Arrays that a kernel cannot take as they are (strided, byte-swapped, another dtype) are copied first; the
caller's own are never changed, save an explicit ``out``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.checks import (
    kernel_input,
    native,
    output_array,
    per_frame,
    read_only,
    refuse_overlap,
)
from pacscore.kernels import display as kernels

VOI_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
"""Defined Terms of VOI LUT Function (0028,1056), PS3.3 C.11.2.1.3."""


def mask_stored(
    words: NDArray[Any],
    *,
    bits_stored: int,
    high_bit: int,
    signed: bool,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Take the stored values out of words: Bits Stored bits ending at High Bit, sign-extended where signed.

    Parameters
    ----------
    words : NDArray
        Integers of any shape. Bits outside the stored ones (overlays of old scanners, noise) are dropped.
    bits_stored, high_bit : int
        Bits Stored (0028,0101) and High Bit (0028,0102).
    signed : bool
        Pixel Representation (0028,0103) is 1.
    out : NDArray, optional
        Where to put the result: shape and dtype of ``words``, C order. It may be ``words`` itself.

    Raises
    ------
    InputError
        The words are not integers, the bits do not lie within them, or ``out`` does not fit.

    Notes
    -----
    PS3.5 8.1.1.

    Examples
    --------
    >>> mask_stored(np.array([0xF7FF, 0x0800], np.uint16), bits_stored=12, high_bit=11, signed=False)
    array([2047, 2048], dtype=uint16)
    """
    if words.dtype.kind not in "iu":
        raise InputError(f"Stored values lie in integers: the words are {words.dtype}.", found=str(words.dtype))
    if not 1 <= bits_stored <= high_bit + 1 <= words.dtype.itemsize * 8:
        raise InputError(
            f"Bits Stored {bits_stored} ending at High Bit {high_bit} do not lie within {words.dtype.itemsize * 8} "
            "bits: correct (0028,0101) and (0028,0102).",
            bits_stored=bits_stored,
            high_bit=high_bit,
        )
    ready = native(words)
    target = output_array(out, words.shape, ready.dtype)
    if target is not ready:
        np.copyto(target, ready)
    if bits_stored < words.dtype.itemsize * 8:
        kernels.mask_stored_into(target.reshape(-1), bits_stored, high_bit, signed)
    return target


def rescale(
    words: NDArray[Any], slope: ArrayLike, intercept: ArrayLike, *, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Map stored values to modality values: ``slope * stored + intercept``.

    Parameters
    ----------
    words : NDArray
        ``(frames, …)``, integers or floats.
    slope, intercept : float or array
        One for all frames, or ``(frames,)``: PET rescales every frame differently.
    out : NDArray of float32, optional
        Shape of ``words``, C order, not overlapping them.

    Raises
    ------
    InputError
        A slope or intercept is not finite, their number is not that of the frames, or ``out`` does not fit.

    Notes
    -----
    PS3.3 C.11.1.1.2. Computed in float64, rounded once to float32.

    Examples
    --------
    >>> rescale(np.array([[24, 1064]], np.int16), 1.0, -1024.0)
    array([[-1000.,    40.]], dtype=float32)
    """
    if words.ndim < 1 or words.dtype.kind not in "iuf":
        raise InputError(f"Cannot rescale {words.dtype} of {words.ndim} axes: give (frames, …) numbers.")
    frames = words.shape[0]
    slopes, intercepts = per_frame(slope, frames, "Rescale Slope"), per_frame(intercept, frames, "Rescale Intercept")
    ready = kernel_input(words)
    target = output_array(out, words.shape, np.dtype(np.float32))
    refuse_overlap(ready, target)
    if words.size:
        kernels.rescale_into(ready.reshape(frames, -1), slopes, intercepts, target.reshape(frames, -1))
    return target


def rescale_box(
    words: NDArray[Any],
    box: tuple[slice, ...],
    slope: ArrayLike,
    intercept: ArrayLike,
    *,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Map the stored values of a box of an array to modality values: ``rescale(words[box], …)`` in one pass.

    Parameters
    ----------
    words : NDArray
        ``(slices, rows, columns)``, integers or floats, C order.
    box : tuple of slice
        One of step 1 for each axis, start and stop within the array.
    slope, intercept : float or array
        One for all slices, or one for each slice of the box.
    out : NDArray of float32, optional
        Shape of the box, C order, not overlapping ``words``.

    Raises
    ------
    InputError
        The box is not in the array, or as ``rescale``.

    Examples
    --------
    >>> words = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    >>> rescale_box(words, (slice(1, 2), slice(0, 2), slice(1, 2)), 2.0, 1.0).reshape(-1)
    array([11., 15.], dtype=float32)
    """
    if words.ndim != 3 or words.dtype.kind not in "iuf":
        raise InputError(f"Cannot rescale a box of {words.dtype} of {words.ndim} axes: give (slices, rows, columns).")
    inside = len(box) == 3 and all(
        part.step in (None, 1) and 0 <= part.start <= part.stop <= length
        for part, length in zip(box, words.shape, strict=True)
    )
    if not inside:
        raise InputError(f"The box {box} does not lie in an array of {words.shape}.", expected=words.shape)
    shape = tuple(part.stop - part.start for part in box)
    slopes, intercepts = (
        per_frame(given, shape[0], name) for given, name in ((slope, "Rescale Slope"), (intercept, "Rescale Intercept"))
    )
    ready = kernel_input(words)
    target = output_array(out, shape, np.dtype(np.float32))
    refuse_overlap(ready, target)
    if target.size:
        start = np.array([part.start for part in box], np.int64)
        kernels.rescale_box_into(ready, start, slopes, intercepts, target)
    return target


def look_up(
    words: NDArray[Any], *, first: int, table: NDArray[np.float32], out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Map stored values through a table, for example a Modality LUT.

    Parameters
    ----------
    words : NDArray
        Integers of at most 32 bits, any shape.
    first : int
        The stored value that the first entry stands for; below it the first entry applies, above the end the last.
    table : NDArray of float32
        ``(entries,)``, at least one.
    out : NDArray of float32, optional
        Shape of ``words``, C order.

    Raises
    ------
    InputError
        The words are not such integers, the table is empty, or ``out`` does not fit.

    Notes
    -----
    PS3.3 C.11.1.1.1.

    Examples
    --------
    >>> look_up(np.array([0, 5, 6, 99], np.uint8), first=5, table=np.array([10, 20], np.float32))
    array([10., 10., 20., 20.], dtype=float32)
    """
    if words.dtype.kind not in "iu" or words.dtype.itemsize > 4:
        raise InputError(f"A lookup table maps integers of at most 32 bits: the words are {words.dtype}.")
    if table.ndim != 1 or table.size == 0:
        raise InputError(f"A lookup table has one axis and at least one entry: it has shape {table.shape}.")
    ready = kernel_input(words)
    target = output_array(out, words.shape, np.dtype(np.float32))
    refuse_overlap(ready, target)
    entries = read_only(np.ascontiguousarray(table, np.float32))
    kernels.look_up_into(ready.reshape(-1), first, entries, target.reshape(-1))
    return target


def window(
    values: NDArray[Any],
    center: float,
    width: float,
    *,
    function: str = "LINEAR",
    inverse: bool = False,
    bits: int = 8,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Map modality values to 8 or 16-bit display values.

    Parameters
    ----------
    values : NDArray
        ``(rows, columns)`` in the unit of center and width; computed as float32. NaN is shown as 0.
    center, width : float
        Window Center (0028,1050) and Window Width (0028,1051).
    function : str
        LINEAR, LINEAR_EXACT or SIGMOID.
    inverse : bool
        Low values are bright: MONOCHROME1.
    bits : int
        8 gives uint8 of 0 to 255, 16 gives uint16 of 0 to 65535.
    out : NDArray, optional
        Shape of ``values``, C order.

    Raises
    ------
    InputError
        ``values`` has not two axes, the width is below 1 (LINEAR) or not above 0 (else), bits are
        neither 8 nor 16, or ``out`` does not fit.

    Notes
    -----
    PS3.3 C.11.2.1.2 and C.11.2.1.3, output range 0 to 2**bits - 1, ties round up.

    Examples
    --------
    >>> window(np.array([[-160.0, 39.5, 240.0]], np.float32), 40, 400)
    array([[  0, 128, 255]], dtype=uint8)
    """
    check_window(center, width, function)
    if values.ndim != 2 or values.dtype.kind not in "iuf":
        raise InputError(
            f"A window maps (rows, columns) of numbers: these are {values.dtype} of {values.ndim} axes.",
            found=values.shape,
        )
    if bits not in {8, 16}:
        raise InputError(f"Display values have 8 or 16 bits, not {bits}.", found=bits)
    ready = read_only(np.ascontiguousarray(values, np.float32))
    target = output_array(out, values.shape, np.dtype(f"u{bits // 8}"))
    shown = {
        "LINEAR": kernels.window_linear_into,
        "LINEAR_EXACT": kernels.window_linear_exact_into,
        "SIGMOID": kernels.window_sigmoid_into,
    }[function]
    shown(ready, float(center), float(width), float(2**bits - 1), target)
    if inverse:
        np.invert(target, out=target)
    return target


def check_window(center: float, width: float, function: str) -> None:
    """Raise InputError unless the three are a window of the Standard (PS3.3 C.11.2.1.2.1 and C.11.2.1.3)."""
    if function not in VOI_FUNCTIONS:
        raise InputError(
            f"VOI LUT Function is {function!r}, which is none of {', '.join(VOI_FUNCTIONS)}: (0028,1056).",
            tag="00281056",
            found=function,
        )
    if not (math.isfinite(center) and math.isfinite(width)):
        raise InputError("Window Center and Window Width must be finite: (0028,1050), (0028,1051).", tag="00281050")
    if function == "LINEAR" and width < 1:
        raise InputError(
            f"Window Width is {width:g} but LINEAR needs 1 or more: (0028,1051). Use LINEAR_EXACT or correct it.",
            tag="00281051",
            found=width,
        )
    if width <= 0:
        raise InputError(
            f"Window Width is {width:g} but {function} needs more than 0: (0028,1051).", tag="00281051", found=width
        )


def percentile_limits(
    values: NDArray[Any],
    *,
    low_percent: float = 1.0,
    high_percent: float = 99.5,
    padding: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """Find the range of values worth showing.

    Parameters
    ----------
    values : NDArray
        Any shape; NaN and infinities are left out.
    low_percent, high_percent : float
        Percentiles of the range.
    padding : tuple of float, optional
        Values between these two (Pixel Padding Value to Pixel Padding Range Limit, in the unit of ``values``) are
        left out.

    Returns
    -------
    tuple of float
        ``(low, high)`` with high > low. A range of one value ``v`` gives ``(v, v + 1)``; nothing to show, ``(0, 1)``.

    Notes
    -----
    A value that fills more than a quarter of the pixels and is the smallest is the background of a masked or
    zero-filled image (MR, PET): it is left out too, or the percentiles would describe air.

    Examples
    --------
    >>> percentile_limits(np.array([0, 0, 0, 5, 9]), low_percent=0, high_percent=100)
    (5.0, 9.0)
    """
    flat = np.asarray(values, np.float64).reshape(-1)
    flat = flat[np.isfinite(flat)]
    if padding is not None:
        flat = flat[(flat < padding[0]) | (flat > padding[1])]
    if flat.size:
        background = flat == flat.min()
        if flat.size > np.count_nonzero(background) > flat.size / 4:
            flat = flat[~background]
    if not flat.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(flat, (low_percent, high_percent)))
    return (low, high) if high > low else (low, low + 1.0)
