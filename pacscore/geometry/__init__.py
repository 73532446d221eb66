"""Stacks, verdicts, affines, coordinate systems."""

from pacscore.geometry.attributes import Document
from pacscore.geometry.coordinates import anatomical_axis, column_row_slice, handedness, lps_to_ras
from pacscore.geometry.frames import GEOMETRY_KEYWORDS, FrameReader, frames_of
from pacscore.geometry.header import FrameHeader, PixelClass
from pacscore.geometry.stack import Axis, Stack, StackGeometry
from pacscore.geometry.stacking import build_stacks, series_verdict
from pacscore.geometry.verdict import Finding, Verdict

__all__ = [
    "GEOMETRY_KEYWORDS",
    "Axis",
    "Document",
    "Finding",
    "FrameHeader",
    "FrameReader",
    "PixelClass",
    "Stack",
    "StackGeometry",
    "Verdict",
    "anatomical_axis",
    "build_stacks",
    "column_row_slice",
    "frames_of",
    "handedness",
    "lps_to_ras",
    "series_verdict",
]
