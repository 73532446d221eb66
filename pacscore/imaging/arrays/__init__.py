"""Checked functions on plain arrays; each module is a family of them.

Each checks shape, dtype, memory order and range and then calls the unchecked kernel of ``pacscore.kernels`` that does
the work. Arrays that a kernel cannot take as they are (strided, byte-swapped, another dtype) are copied first; the
caller's own are never changed, save an explicit ``out``.
"""

from pacscore.imaging.arrays.checks import output_array
from pacscore.imaging.arrays.contrast import clahe, equalize, gamma, match_histogram
from pacscore.imaging.arrays.denoise import bilateral, nlm
from pacscore.imaging.arrays.detail import amplify_detail
from pacscore.imaging.arrays.filters import box, gaussian, laplacian, sobel, unsharp
from pacscore.imaging.arrays.intensity import (
    VOI_FUNCTIONS,
    check_window,
    look_up,
    mask_stored,
    percentile_limits,
    rescale,
    window,
)
from pacscore.imaging.arrays.ranks import median, rank
from pacscore.imaging.arrays.watching import Watch

__all__ = [
    "VOI_FUNCTIONS",
    "Watch",
    "amplify_detail",
    "bilateral",
    "box",
    "check_window",
    "clahe",
    "equalize",
    "gamma",
    "gaussian",
    "laplacian",
    "look_up",
    "mask_stored",
    "match_histogram",
    "median",
    "nlm",
    "output_array",
    "percentile_limits",
    "rank",
    "rescale",
    "sobel",
    "unsharp",
    "window",
]
