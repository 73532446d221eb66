"""What compiles the kernels of intensity and analysis ahead: each once, with the kinds of arrays that volumes have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pacscore.imaging import arrays

_WORDS = (np.uint8, np.int16, np.uint16)


def _displays() -> None:
    for dtype in _WORDS:
        words = np.arange(3 * 8 * 64, dtype=dtype).reshape(3, 8, 64)
        bits = words.dtype.itemsize * 8 - 2
        arrays.mask_stored(words, bits_stored=bits, high_bit=bits - 1, signed=words.dtype.kind == "i")
        arrays.look_up(words, first=0, table=np.ones(2, np.float32))
        for function in arrays.VOI_FUNCTIONS:
            for shown_bits in (8, 16):
                arrays.display_stored(words, 40, 80, function=function, bits=shown_bits)
    for other in (*_WORDS, np.int8, np.int32, np.uint32, np.float32):
        arrays.rescale(np.ones((3, 8, 8), other), 1.0, 0.0)
        arrays.rescale_box(np.ones((3, 8, 8), other), (slice(0, 2),) * 3, 1.0, 0.0)
    shown = np.zeros((8, 8), np.uint8)
    arrays.pseudo_colour(shown, "grey")
    arrays.fuse(shown, shown)


def _measures() -> None:
    mask = np.zeros((4, 9, 70), np.bool_)
    mask[1:3, 2:6, 3:68:2] = True
    for kind in (*_WORDS, np.float32, np.float64):
        values = np.ones(mask.shape, kind)
        for where in (None, mask):
            arrays.statistics(values, mask=where)
            arrays.histogram(values, mask=where)
    for connectivity in arrays.CONNECTIVITIES:
        arrays.label_components(mask, connectivity=connectivity)
    for dtype in (np.uint16, np.uint32):
        labels, _ = arrays.label_components(mask, dtype=dtype)
        arrays.measure_labels(labels, np.ones(mask.shape, np.float32))
    arrays.polygon_mask([[(0, 0), (0, 2), (2, 2)]], (3, 3))


WARM_CALLS: tuple[tuple[str, Callable[[], None]], ...] = (
    ("display", _displays),
    ("statistics and components", _measures),
)
"""Name for people, and the function that calls every kernel of the family once with each kind of array."""
