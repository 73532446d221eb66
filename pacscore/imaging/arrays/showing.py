"""Stored words to display values in one pass, on plain arrays.

Whatever lies between a stored value and a display value (rescale, modality and VOI tables, windows, inversion) is a
function of the stored value alone, so it is worked out once for every stored value there can be: a table. Where the
table is a straight ramp between two constant ends, as those of linear windows are, integer arithmetic takes its place,
which is twice as fast: a factor and an addend are sought and then proved against the table at every stored value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.checks import kernel_input, output_array, read_only, refuse_overlap
from pacscore.imaging.arrays.intensity import rescale, window
from pacscore.kernels import pointwise as kernels
from pacscore.parallel import run_tiles

_TILE = 1 << 20
_PAST_CACHE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, eq=False)
class DisplayMap:
    """How words become display values; make one with ``display_map`` and apply it to many arrays.

    Attributes
    ----------
    dtype : dtype
        Of the words: integers of 8 or 16 bits.
    table : NDArray of uint8 or uint16
        ``(entries,)`` display values of the keys from ``base`` on; a key is a stored value less the smallest there is.
    mask, sign, base : int
        ``((word & mask) ^ sign) - base`` is a word's place in the table, held within it.
    ramp : NDArray of uint16, optional
        The numbers of ``kernels.pointwise.ramp_into`` that give the same as the table.
    """

    dtype: np.dtype[Any]
    table: NDArray[Any]
    mask: int
    sign: int
    base: int
    ramp: NDArray[np.uint16] | None

    def apply(
        self, words: NDArray[Any], *, out: NDArray[Any] | None = None, threads: int | None = None
    ) -> NDArray[Any]:
        """Map words of any shape.

        Parameters
        ----------
        words : NDArray
            Integers of the map's dtype, either byte order.
        out : NDArray, optional
            Shape of ``words``, dtype of the table, C order, not overlapping them.
        threads : int, optional
            At most so many; by default those of ``Settings``.

        Raises
        ------
        InputError
            Another dtype, or ``out`` does not fit.
        """
        if words.dtype.newbyteorder("=") != self.dtype:
            raise InputError(f"The map is of {self.dtype} words, these are {words.dtype}.", found=str(words.dtype))
        ready = kernel_input(words)
        target = aligned_empty(words.shape, self.table.dtype) if out is None else out
        target = output_array(target, words.shape, self.table.dtype)
        refuse_overlap(ready, target)
        source, shown = ready.reshape(-1).view(f"u{self.dtype.itemsize}"), target.reshape(-1)
        numbers = self.ramp
        if numbers is not None:
            past_cache = target.nbytes >= _PAST_CACHE_BYTES and target.ctypes.data % kernels.LANES == 0

            def fill(start: int, stop: int) -> None:
                kernels.ramp_into(source[start:stop], numbers, past_cache, shown[start:stop])
        else:

            def fill(start: int, stop: int) -> None:
                kernels.table_into(source[start:stop], self.mask, self.sign, self.base, self.table, shown[start:stop])

        run_tiles(fill, source.size, tile=_TILE, threads=threads)
        return target


def display_map(
    shown: NDArray[Any], dtype: np.dtype[Any], *, bits_stored: int | None = None, high_bit: int | None = None
) -> DisplayMap:
    """The map that shows each stored value as a table says.

    Parameters
    ----------
    shown : NDArray of uint8 or uint16
        ``(2**bits_stored,)`` display values of all stored values in rising order (see ``stored_values``).
    dtype : dtype
        Of the words: 8 or 16 bits; signed where Pixel Representation is 1.
    bits_stored, high_bit : int, optional
        Bits Stored (0028,0101) and High Bit (0028,0102); by default the whole word.

    Raises
    ------
    InputError
        A dtype of more than 16 bits, or a table that does not fit.
    """
    width = dtype.itemsize * 8
    _refuse_wide(dtype)
    bits = width if bits_stored is None else bits_stored
    high = bits - 1 if high_bit is None else high_bit
    if not 1 <= bits <= high + 1 <= width or shown.shape != (1 << bits,) or shown.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"Bits Stored {bits} ending at High Bit {high} of {width} need a table of {1 << bits} uint8 or uint16: it "
            f"has {shown.shape} {shown.dtype}.",
            found=shown.shape,
        )
    mask, sign = (1 << bits) - 1, (1 << (bits - 1)) if dtype.kind == "i" else 0
    if high + 1 != bits:  # Stored values begin above the lowest bit: every word gets an entry of its own.
        words = np.arange(1 << width, dtype=np.uint32).astype(f"u{dtype.itemsize}")
        keys = ((words.astype(np.int64) >> (high + 1 - bits)) & mask) ^ sign
        shown, mask, sign = shown[keys], (1 << width) - 1, 0
    edges = np.flatnonzero(shown[1:] != shown[:-1])
    base, top = (int(edges[0]), int(edges[-1]) + 1) if edges.size else (0, 0)
    table = read_only(np.ascontiguousarray(shown[base : top + 1]))
    ramp = _find_ramp(shown, edges, mask, sign) if width == 16 and table.dtype == np.uint8 else None
    return DisplayMap(np.dtype(dtype).newbyteorder("="), table, mask, sign, base, ramp)


def stored_values(dtype: np.dtype[Any], bits_stored: int | None = None) -> NDArray[Any]:
    """All stored values that words can hold, rising: ``(2**bits_stored,)`` of the words' dtype.

    Examples
    --------
    >>> stored_values(np.dtype(np.int16), 3)
    array([-4, -3, -2, -1,  0,  1,  2,  3], dtype=int16)
    """
    bits = dtype.itemsize * 8 if bits_stored is None else bits_stored
    low = -(1 << (bits - 1)) if dtype.kind == "i" else 0
    return np.arange(low, low + (1 << bits), dtype=np.int32).astype(dtype)


def display_stored(
    words: NDArray[Any],
    center: float,
    width: float,
    *,
    function: str = "LINEAR",
    slope: float = 1.0,
    intercept: float = 0.0,
    bits_stored: int | None = None,
    high_bit: int | None = None,
    inverse: bool = False,
    bits: int = 8,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """Stored words to display values in one pass: mask, rescale, window, invert.

    Parameters
    ----------
    words : NDArray
        Integers of 8 or 16 bits, any shape; signed where Pixel Representation is 1.
    center, width, function
        The window, in modality values; see ``window``.
    slope, intercept : float
        Rescale Slope (0028,1053) and Rescale Intercept (0028,1052).
    bits_stored, high_bit : int, optional
        Bits Stored (0028,0101) and High Bit (0028,0102); by default the whole word.
    inverse : bool
        Low values are bright: MONOCHROME1, or Presentation LUT Shape INVERSE.
    bits : int
        8 or 16: display values of 0 to 255 (uint8) or 0 to 65535 (uint16).
    out : NDArray, optional
        Shape of ``words``, C order.
    threads : int, optional
        At most so many; the result does not depend on it.

    Raises
    ------
    InputError
        Words of more than 16 bits, no window of the Standard, other bits than 8 and 16, or ``out`` does not fit.

    Notes
    -----
    PS3.3 C.11.1.1.2 and C.11.2.1. Equal to ``window(rescale(mask_stored(words)))`` at every stored value.

    Examples
    --------
    >>> display_stored(np.array([864, 1064, 1264], np.int16), 40, 400, intercept=-1024)
    array([  0, 128, 255], dtype=uint8)
    """
    _refuse_wide(words.dtype)
    stored = stored_values(words.dtype.newbyteorder("="), bits_stored)
    values = rescale(stored[None], slope, intercept)
    shown = window(values, center, width, function=function, inverse=inverse, bits=bits)[0]
    mapped = display_map(shown, words.dtype, bits_stored=bits_stored, high_bit=high_bit)
    return mapped.apply(words, out=out, threads=threads)


def _refuse_wide(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "iu" or dtype.itemsize > 2:
        raise InputError(f"Words of 8 or 16 bits are shown by a table, not {dtype}. Window modality values instead.")


def _find_ramp(shown: NDArray[np.uint8], edges: NDArray[np.int64], mask: int, sign: int) -> NDArray[np.uint16] | None:
    """Numbers with which the kernel itself gives the display value of every stored value, None where there are none."""
    numbers = np.array([mask, sign, 0, 0, 0, 0, 0, shown[0], 0, 0], np.uint16)  # A constant's; else to be fitted.
    if edges.size and not kernels.fit_ramp(read_only(shown), read_only(edges), numbers):
        return None
    words = read_only(np.arange(len(shown), dtype=np.uint16) ^ np.uint16(sign))
    found = np.empty(len(shown), np.uint8)
    kernels.ramp_into(words, read_only(numbers), False, found)
    return numbers if np.array_equal(found, shown) else None


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array whose first item lies at a multiple of 64 bytes."""
    count = int(np.prod(shape, dtype=np.int64))
    room = np.empty(count * dtype.itemsize + kernels.LANES, np.uint8)
    skip = -room.ctypes.data % kernels.LANES
    return room[skip : skip + count * dtype.itemsize].view(dtype).reshape(shape)
