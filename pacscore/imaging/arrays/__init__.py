"""Checked functions on plain arrays; each module is a family of them.

Each checks shape, dtype, memory order and range and then calls the unchecked kernel of ``pacscore.kernels`` that does
the work. Arrays that a kernel cannot take as they are (strided, byte-swapped, another dtype) are copied first; the
caller's own are never changed, save an explicit ``out``.
"""

from pacscore.imaging.arrays.checks import output_array
from pacscore.imaging.arrays.intensity import (
    VOI_FUNCTIONS,
    check_window,
    look_up,
    mask_stored,
    percentile_limits,
    rescale,
    window,
)

__all__ = [
    "VOI_FUNCTIONS",
    "check_window",
    "look_up",
    "mask_stored",
    "output_array",
    "percentile_limits",
    "rescale",
    "window",
]
