"""Checked functions on plain arrays; each module is a family of them.

Each checks shape, dtype, memory order and range and then calls the unchecked kernel of ``pacscore.kernels`` that does
the work. Arrays that a kernel cannot take as they are (strided, byte-swapped, another dtype) are copied first; the
caller's own are never changed, save an explicit ``out``.
"""

from pacscore.imaging.arrays.checks import output_array
from pacscore.imaging.arrays.colour import PALETTES, draw_overlay, fuse, palette, pseudo_colour, ybr_to_rgb
from pacscore.imaging.arrays.comparison import mean_squared_error, peak_signal_to_noise, structural_similarity
from pacscore.imaging.arrays.components import (
    CONNECTIVITIES,
    LabelStatistics,
    connected_region,
    grow_region,
    label_components,
    measure_labels,
)
from pacscore.imaging.arrays.contrast import clahe, equalize, gamma, match_histogram
from pacscore.imaging.arrays.denoise import bilateral, nlm
from pacscore.imaging.arrays.detail import amplify_detail
from pacscore.imaging.arrays.filters import box, gaussian, laplacian, sobel, unsharp
from pacscore.imaging.arrays.gsdf import ddl_of_p_values, jnd_of_luminance, luminance_of_jnd, p_values_of_ddl
from pacscore.imaging.arrays.intensity import (
    VOI_FUNCTIONS,
    check_window,
    look_up,
    mask_stored,
    percentile_limits,
    rescale,
    rescale_box,
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
from pacscore.imaging.arrays.regions import ellipse_mask, polygon_mask
from pacscore.imaging.arrays.rendering import UNLIT, ClassificationTable, Lighting, render_rays
from pacscore.imaging.arrays.sampling import COMBINATIONS, Scale, plane_lines, regrid, sample_lines, spline_coefficients
from pacscore.imaging.arrays.showing import DisplayMap, display_map, display_stored, stored_values
from pacscore.imaging.arrays.statistics import Histogram, Statistics, histogram, histogram_16, statistics
from pacscore.imaging.arrays.taps import INTERPOLATIONS, AxisTaps, axis_taps, check_interpolation
from pacscore.imaging.arrays.watching import UNWATCHED, Progress, Watch

__all__ = [
    "COMBINATIONS",
    "CONNECTIVITIES",
    "INTERPOLATIONS",
    "PALETTES",
    "PROJECTION_KINDS",
    "UNLIT",
    "UNWATCHED",
    "VOI_FUNCTIONS",
    "AxisTaps",
    "ClassificationTable",
    "DisplayMap",
    "Histogram",
    "LabelStatistics",
    "Lighting",
    "Progress",
    "RayGrid",
    "RayVolume",
    "Scale",
    "Statistics",
    "Watch",
    "amplify_detail",
    "axis_taps",
    "bilateral",
    "box",
    "check_interpolation",
    "check_kind",
    "check_window",
    "clahe",
    "connected_region",
    "ddl_of_p_values",
    "display_map",
    "display_stored",
    "draw_overlay",
    "ellipse_mask",
    "equalize",
    "finish_projection",
    "fold_axis",
    "fuse",
    "gamma",
    "gaussian",
    "grow_region",
    "histogram",
    "histogram_16",
    "jnd_of_luminance",
    "label_components",
    "laplacian",
    "look_up",
    "luminance_of_jnd",
    "mask_stored",
    "match_histogram",
    "mean_squared_error",
    "measure_labels",
    "median",
    "neutral_projection",
    "nlm",
    "output_array",
    "p_values_of_ddl",
    "palette",
    "peak_signal_to_noise",
    "percentile_limits",
    "plane_lines",
    "polygon_mask",
    "project_axis",
    "project_rays",
    "pseudo_colour",
    "rank",
    "regrid",
    "render_rays",
    "rescale",
    "rescale_box",
    "sample_lines",
    "sobel",
    "spline_coefficients",
    "statistics",
    "stored_values",
    "structural_similarity",
    "unsharp",
    "window",
    "ybr_to_rgb",
]
