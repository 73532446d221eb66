"""What compiles the kernels of resampling ahead: each once, with the kinds of arrays that volumes have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pacscore.imaging import arrays
from pacscore.imaging.sampled import Lines, note_met_boxes


def _samples() -> None:
    lines = arrays.plane_lines((0, 0, 0), row_step=(0, 1, 0), column_step=(0.1, 0.1, 1), rows=2)
    axis = arrays.axis_taps(9, start=0, step=1, count=9)
    for dtype in (np.int16, np.uint16, np.float32):
        words = np.ones((9, 9, 9), dtype)
        for result in {dtype, np.float32}:
            for interpolation in ("nearest", "linear", "cubic"):
                arrays.sample_lines(words, lines, 8, interpolation=interpolation, out=np.empty((2, 8), result))
            arrays.regrid(words, (axis, axis, axis), out=np.empty((9, 9, 9), result))
    coefficients = arrays.spline_coefficients(words)
    for result in (np.int16, np.uint16):  # Stored values of a spline.
        arrays.sample_lines(coefficients, lines, 8, interpolation="bspline", out=np.empty((2, 8), result))
        arrays.regrid(coefficients, (axis, axis, axis), out=np.empty((9, 9, 9), result))
    note_met_boxes((9, 9, 9), (4, 4, 4), Lines(lines, 8), (0, 2, 0, 8))


WARM_CALLS: tuple[tuple[str, Callable[[], None]], ...] = (("resampling", _samples),)
"""Name for people, and the function that calls every kernel of the family once with each kind of array."""
