"""Kernels that map each word by itself: stored values to display values in one pass, display values to colours.

A word's *key* is ``((word & mask) ^ sign)`` as an unsigned number: masking drops the bits that are not stored, and
turning the sign bit round puts signed values in rising order. Key 0 is the smallest stored value.

Unchecked: the checked entries are in ``pacscore.imaging.arrays.showing`` and ``.colour``. Twins:
``tests/reference/showing.py``.
"""

# mypy: disable-error-code="untyped-decorator"
# Reason: ``kernel`` returns Any, as Numba types kernels by their arguments.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import (
    convert_to,
    load_of,
    minimum,
    multiply_high,
    splat_of,
    store,
    store_past_cache,
    subtract_saturated,
)

LANES = 64
"""How many display values are stored at once, and what an address must be a multiple of to store past the cache."""

_load, _splat = load_of(LANES), splat_of(LANES)
_to_uint8, _to_uint16 = convert_to("uint8"), convert_to("uint16")


@kernel
def ramp_into(words: NDArray[np.uint16], numbers: NDArray[np.uint16], past_cache: bool, out: NDArray[np.uint8]) -> None:
    """Map keys to display values: ``((((step * factor + addend) >> 16) + offset) >> drop) ^ flip``.

    words : (pixels,) uint16, C order
    numbers : (10,) uint16, (mask, sign, base, span, shift, factor, addend, offset, drop, flip); step is the key less
        base, held within 0 and span, times 2**shift. Neither it nor what ``drop`` shifts may exceed 65535, what comes
        out must not exceed 255
    past_cache : ``out`` begins at a multiple of 64 bytes and is not read again soon
    out : (pixels,) uint8, C order, must not overlap words

    Exact integer arithmetic, 64 lanes at once: the 32-bit product is put together from its two 16-bit halves. As a
    plain loop, whose 16-bit numbers compilers widen to 64 bits, it takes 1.8 times as long.
    """
    mask, sign, base, span, shift = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    factor, addend, offset, drop, flip = numbers[5], numbers[6], numbers[7], numbers[8], np.uint8(numbers[9])
    masks, signs, bases, spans, shifts = _splat(mask), _splat(sign), _splat(base), _splat(span), _splat(shift)
    factors, addends, offsets, drops, flips = _splat(factor), _splat(addend), _splat(offset), _splat(drop), _splat(flip)
    full = words.shape[0] // LANES * LANES
    for start in range(0, full, LANES):
        step = minimum(subtract_saturated((_load(words, start) & masks) ^ signs, bases), spans) << shifts
        low = step * factors + addends
        high = multiply_high(step, factors) + _to_uint16(low < addends)
        shown = _to_uint8((high + offsets) >> drops) ^ flips
        if past_cache:
            store_past_cache(out, start, shown)
        else:
            store(out, start, shown)
    for pixel in range(full, words.shape[0]):
        key = np.int64((words[pixel] & mask) ^ sign)
        place = min(max(key - np.int64(base), np.int64(0)), np.int64(span)) << np.int64(shift)
        value = np.int64(offset) + ((place * np.int64(factor) + np.int64(addend)) >> np.int64(16))
        out[pixel] = np.uint8(value >> np.int64(drop)) ^ flip


@kernel(inline=True)
def _addends(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    shown: NDArray[np.uint8], edges: NDArray[np.int64], flip: int, shift: int, level: int, factor: int
) -> Any:
    """The least and the most that may be added to ``step * factor`` of ``fit_ramp``; below it where nothing may."""
    base, top = edges[0], edges[-1] + 1
    first = np.int64(shown[base]) ^ flip
    least = np.int64(0)
    most = min(level, ((np.int64(shown[top]) ^ flip) - first + 1) * level - ((top - base) << shift) * factor) - 1
    for edge in edges:
        product = ((edge - base) << shift) * factor
        most = min(most, ((np.int64(shown[edge]) ^ flip) - first + 1) * level - 1 - product)
        least = max(least, ((np.int64(shown[edge + 1]) ^ flip) - first) * level - (product + (factor << shift)))
    return least, most


@kernel
def fit_ramp(shown: NDArray[np.uint8], edges: NDArray[np.int64], numbers: NDArray[np.uint16]) -> bool:
    """Seek the numbers with which ``ramp_into`` gives a table, and say whether there are any.

    shown : (keys,) display values of all keys, at most 65536
    edges : (changes,) rising, every key whose successor is shown otherwise; at least one
    numbers : (10,) uint16; in: mask, sign; out, where found: the rest

    Values that fall are turned round by ``flip``. Only the places beside edges bind the factor, and the room that one
    leaves for the addend is a concave function of it, so halving finds the factor with most room. It is to have all of
    its 16 bits: a steep ramp is multiplied after a shift, a flat one shifted afterwards.
    """
    base, top = edges[0], edges[-1] + 1
    span = top - base
    flip = np.int64(255) if shown[base] > shown[top] else np.int64(0)
    height = abs(np.int64(shown[top]) - np.int64(shown[base]))
    shift, drop = np.int64(0), np.int64(0)
    while height > span << shift:
        shift += 1
    while drop < 7 and height << (drop + 1) < span:
        drop += 1
    if span << shift > 65535:
        return False
    level = np.int64(1) << (16 + drop)
    low, high = np.int64(0), np.int64(65535)
    while low < high:
        factor = (low + high) // 2
        least, most = _addends(shown, edges, flip, shift, level, factor)
        least_next, most_next = _addends(shown, edges, flip, shift, level, factor + 1)
        if most - least < most_next - least_next:
            low = factor + 1
        else:
            high = factor
    least, most = _addends(shown, edges, flip, shift, level, low)
    addend = (least + most) // 2
    numbers[2], numbers[3], numbers[4], numbers[5] = base, span, shift, low
    numbers[6], numbers[7] = addend & 65535, ((np.int64(shown[base]) ^ flip) << drop) + (addend >> 16)
    numbers[8], numbers[9] = drop, flip
    return bool(least <= most)


@kernel
def table_into(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    words: NDArray[Any], mask: int, sign: int, base: int, table: NDArray[Any], out: NDArray[Any]
) -> None:
    """Map keys through a table; below its first key the first entry applies, above its last the last.

    words : (pixels,) uint8 or uint16, C order
    base : the key of the first entry
    table : (entries,) uint8 or uint16
    out : (pixels,) of the table's dtype, C order, must not overlap words

    A table cut to the keys whose display values differ lies in the first cache.
    """
    last = np.int64(table.shape[0] - 1)
    for pixel in range(words.shape[0]):
        place = ((np.int64(words[pixel]) & np.int64(mask)) ^ np.int64(sign)) - np.int64(base)
        out[pixel] = table[np.uint64(min(max(place, np.int64(0)), last))]


@kernel
def colour_into(shown: NDArray[np.uint8], palette: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Give 8-bit display values the colours of a palette.

    shown : (pixels,) uint8, C order
    palette : (256, 3) uint8
    out : (pixels, 3) uint8, C order
    """
    for pixel in range(shown.shape[0]):
        colour = palette[shown[pixel]]
        out[pixel, 0] = colour[0]
        out[pixel, 1] = colour[1]
        out[pixel, 2] = colour[2]


@kernel
def fuse_into(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    below: NDArray[np.uint8],
    above: NDArray[np.uint8],
    palette_below: NDArray[np.uint8],
    palette_above: NDArray[np.uint8],
    opacity: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> None:
    """Lay one picture over another, both as 8-bit display values.

    below, above : (pixels,) uint8, C order
    palette_below, palette_above : (256, 3) uint8
    opacity : (256,) uint8, of each value of ``above``: 0 shows what is below, 255 hides it
    out : (pixels, 3) uint8, C order

    below + (above - below) * opacity / 255, rounded to nearest.
    """
    for pixel in range(below.shape[0]):
        alpha = np.int32(opacity[above[pixel]])
        under, over = palette_below[below[pixel]], palette_above[above[pixel]]
        for sample in range(3):
            mixed = np.int32(under[sample]) * (255 - alpha) + np.int32(over[sample]) * alpha
            out[pixel, sample] = (mixed + 127) // 255
