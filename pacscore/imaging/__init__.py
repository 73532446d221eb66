"""Volumes and images with their geometry.

``Volume`` reads stored or modality values through an ``ArraySource``; ``Image`` is one plane of it and becomes a
picture; ``contact_sheet``, ``slice_sheet`` and ``three_planes`` make pictures of many. ``arrays`` holds the same steps
on plain arrays.
"""

from pacscore.imaging.attributes import IMAGING_KEYWORDS, StackAttributes, read_attributes
from pacscore.imaging.image import Image
from pacscore.imaging.pipeline import Pipeline
from pacscore.imaging.sheets import contact_sheet, slice_sheet, three_planes
from pacscore.imaging.sources import ArrayInMemory, ArraySource, Box, InterleavedSource, PartOfSource
from pacscore.imaging.values import LookupTable, Presentation, Rescale, StoredFormat, Window
from pacscore.imaging.volume import Volume

__all__ = [
    "IMAGING_KEYWORDS",
    "ArrayInMemory",
    "ArraySource",
    "Box",
    "Image",
    "InterleavedSource",
    "LookupTable",
    "PartOfSource",
    "Pipeline",
    "Presentation",
    "Rescale",
    "StackAttributes",
    "StoredFormat",
    "Volume",
    "Window",
    "contact_sheet",
    "read_attributes",
    "slice_sheet",
    "three_planes",
]
