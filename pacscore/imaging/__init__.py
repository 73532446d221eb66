"""Volumes and images with their geometry.

``Volume`` reads stored or modality values through an ``ArraySource``; ``Image`` is one plane of it and becomes a
picture; ``contact_sheet``, ``slice_sheet`` and ``three_planes`` make pictures of many. A ``Scene`` is a volume made
ready to be seen from any side. ``arrays`` holds the same steps on plain arrays.
"""

from pacscore.imaging.attributes import IMAGING_KEYWORDS, StackAttributes, read_attributes
from pacscore.imaging.curved_planes import CenterLine, center_line
from pacscore.imaging.image import Image
from pacscore.imaging.pipeline import Pipeline
from pacscore.imaging.rendering import save_turntable
from pacscore.imaging.scene import Scene
from pacscore.imaging.sheets import contact_sheet, slice_sheet, three_planes
from pacscore.imaging.sources import ArrayInMemory, ArraySource, Box, InterleavedSource, PartOfSource
from pacscore.imaging.transfer import PRESETS, TransferFunction
from pacscore.imaging.values import LookupTable, Presentation, Rescale, StoredFormat, Window
from pacscore.imaging.views import DIRECTIONS, Framing, View
from pacscore.imaging.volume import Volume

__all__ = [
    "DIRECTIONS",
    "IMAGING_KEYWORDS",
    "PRESETS",
    "ArrayInMemory",
    "ArraySource",
    "Box",
    "CenterLine",
    "Framing",
    "Image",
    "InterleavedSource",
    "LookupTable",
    "PartOfSource",
    "Pipeline",
    "Presentation",
    "Rescale",
    "Scene",
    "StackAttributes",
    "StoredFormat",
    "TransferFunction",
    "View",
    "Volume",
    "Window",
    "center_line",
    "contact_sheet",
    "read_attributes",
    "save_turntable",
    "slice_sheet",
    "three_planes",
]
