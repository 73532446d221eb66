"""Volumes and images with their geometry.

``Volume`` reads stored or modality values through an ``ArraySource``; ``Image`` is one plane of it and becomes a
picture; ``contact_sheet``, ``slice_sheet`` and ``three_planes`` make pictures of many. ``arrays`` holds the same steps
on plain arrays.
"""

from pacscore.imaging.attributes import IMAGING_KEYWORDS, StackAttributes, read_attributes
from pacscore.imaging.image import Image
from pacscore.imaging.masks import Mask
from pacscore.imaging.presets import automatic_window, preset
from pacscore.imaging.regions import Ellipse, Polygon, angle_rad, distance_mm
from pacscore.imaging.sheets import contact_sheet, slice_sheet, three_planes
from pacscore.imaging.sources import ArrayInMemory, ArraySource, Box, InterleavedSource, PartOfSource
from pacscore.imaging.uptake import Uptake
from pacscore.imaging.values import LookupTable, Presentation, Rescale, StoredFormat, VoiTable, Window
from pacscore.imaging.volume import Volume

__all__ = [
    "IMAGING_KEYWORDS",
    "ArrayInMemory",
    "ArraySource",
    "Box",
    "Ellipse",
    "Image",
    "InterleavedSource",
    "LookupTable",
    "Mask",
    "PartOfSource",
    "Polygon",
    "Presentation",
    "Rescale",
    "StackAttributes",
    "StoredFormat",
    "Uptake",
    "VoiTable",
    "Volume",
    "Window",
    "angle_rad",
    "automatic_window",
    "contact_sheet",
    "distance_mm",
    "preset",
    "read_attributes",
    "slice_sheet",
    "three_planes",
]
