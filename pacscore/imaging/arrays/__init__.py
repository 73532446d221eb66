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
from pacscore.imaging.arrays.projection import (
    PROJECTION_KINDS,
    check_kind,
    finish_projection,
    fold_axis,
    neutral_projection,
    project_axis,
)
from pacscore.imaging.arrays.ranks import median, rank
from pacscore.imaging.arrays.rays import RayGrid, RayVolume, project_rays
from pacscore.imaging.arrays.rendering import UNLIT, ClassificationTable, Lighting, render_rays
from pacscore.imaging.arrays.sampling import (
    COMBINATIONS,
    Scale,
    plane_lines,
    regrid,
    sample_lines,
    spline_coefficients,
)
from pacscore.imaging.arrays.taps import INTERPOLATIONS, AxisTaps, axis_taps, check_interpolation
from pacscore.imaging.arrays.watching import Watch

__all__ = [
    "COMBINATIONS",
    "INTERPOLATIONS",
    "PROJECTION_KINDS",
    "UNLIT",
    "VOI_FUNCTIONS",
    "AxisTaps",
    "ClassificationTable",
    "Lighting",
    "RayGrid",
    "RayVolume",
    "Scale",
    "Watch",
    "amplify_detail",
    "axis_taps",
    "bilateral",
    "box",
    "check_interpolation",
    "check_kind",
    "check_window",
    "clahe",
    "equalize",
    "finish_projection",
    "fold_axis",
    "gamma",
    "gaussian",
    "laplacian",
    "look_up",
    "mask_stored",
    "match_histogram",
    "median",
    "neutral_projection",
    "nlm",
    "output_array",
    "percentile_limits",
    "plane_lines",
    "project_axis",
    "project_rays",
    "rank",
    "regrid",
    "render_rays",
    "rescale",
    "sample_lines",
    "sobel",
    "spline_coefficients",
    "unsharp",
    "window",
]
