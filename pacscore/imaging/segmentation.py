"""Segments of Segmentation objects (BINARY, FRACTIONAL, LABELMAP), drawn on a volume's grid.

PS3.3 C.8.20. Frames that are not there are empty: a segmentation may leave out what holds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError
from pacscore.geometry import FrameHeader

SEGMENTATION_KEYWORDS = frozenset({
    "Modality", "SegmentationType", "MaximumFractionalValue", "SegmentSequence", "FrameOfReferenceUID",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "NumberOfFrames",
})  # fmt: skip
"""The top-level attributes read here, beside those of the geometry of frames."""

_NEAR_VOXELS = 0.01
"""How far from the centres of a volume's voxels those of a segment may lie to be taken over as they are."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment.

    Attributes
    ----------
    number, label
        Segment Number (0062,0004) and Segment Label (0062,0005).
    frame_indices : tuple of int
        Frames that may show it, from 0.
    least, most : int
        A sample shows it where it lies between these: 1 in a binary one, the number in a label map, half of Maximum
        Fractional Value (0062,000E) and more in a fractional one.
    """

    number: int
    label: str
    frame_indices: tuple[int, ...]
    least: int
    most: int


def read_segments(document: Mapping[str, Any]) -> tuple[Segment, ...]:
    """The segments of a segmentation; number 0 of a label map is background and left out."""
    kind = document.get("SegmentationType")
    count = document.get("NumberOfFrames")
    frames = count if isinstance(count, int) and count > 0 else 1
    shown = [_segment_number(document, index) for index in range(frames)]
    top = document.get("MaximumFractionalValue")
    found = []
    for item in _items(document.get("SegmentSequence")):
        number = item.get("SegmentNumber")
        if not isinstance(number, int) or number == 0:
            continue
        label = str(item.get("SegmentLabel") or "")
        if kind == "LABELMAP":
            found.append(Segment(number, label, tuple(range(frames)), number, number))
            continue
        indices = tuple(index for index, other in enumerate(shown) if other == number)
        half = (top + 1) // 2 if kind == "FRACTIONAL" and isinstance(top, int) and top > 0 else 1
        found.append(Segment(number, label, indices, half, 255))
    return tuple(found)


def draw_segment(
    segment: Segment,
    frames: Sequence[FrameHeader],
    read: Callable[[int], NDArray[Any]],
    index_to_lps: NDArray[np.float64],
    shape: tuple[int, int, int],
) -> NDArray[np.bool_]:
    """The voxels of a volume's grid that a segment shows.

    Parameters
    ----------
    frames : sequence of FrameHeader
        Of all frames of the object: where they lie.
    read : callable
        Gives the ``(rows, columns)`` samples of a frame by its index.
    index_to_lps, shape
        The grid: 4 × 4, not of a single slice, and ``(slices, rows, columns)``.

    Raises
    ------
    GeometryError
        A frame has no place, or frames are not parallel.

    Notes
    -----
    Where frames lie on slices of the grid, samples are taken over as they are; else each voxel takes the sample whose
    centre is nearest, if its own centre lies within that sample.
    """
    mask = np.zeros(shape, np.bool_)
    indices = [index for index in segment.frame_indices if index < len(frames)]
    if not indices:
        return mask
    if any(frames[index].problems for index in indices):
        raise GeometryError("A frame of the segmentation has no position, orientation or spacing: it cannot be placed.")
    inside = {index: _holds(segment, read(index)) for index in indices}
    placed = {index: _on_slice(frames[index], index_to_lps) for index in indices}
    if all(place is not None for place in placed.values()):
        for index, place in placed.items():
            assert place is not None
            _take_over(inside[index], place, mask)
        return mask
    _sample(frames, inside, index_to_lps, mask)
    return mask


def frame_steps(frame: FrameHeader) -> NDArray[np.float64]:
    """4 × 4 of a frame: ``(distance along the normal in mm, row, column, 1)`` to LPS millimetres."""
    assert frame.orientation is not None
    assert frame.pixel_spacing is not None
    assert frame.position is not None
    right, down = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
    steps = np.eye(4)
    steps[:3, 0] = np.cross(right, down)
    steps[:3, 1], steps[:3, 2] = down * frame.pixel_spacing[0], right * frame.pixel_spacing[1]
    steps[:3, 3] = frame.position
    return steps


def _on_slice(frame: FrameHeader, index_to_lps: NDArray[np.float64]) -> tuple[int, int, int] | None:
    """The (slice, row, column) of a frame's first sample, where its samples lie on voxels of the grid."""
    there = np.linalg.solve(index_to_lps, frame_steps(frame))
    side = max(frame.pixels.rows, frame.pixels.columns)
    aligned = np.abs(there[:3, 1:3] - np.eye(3)[:, 1:]).max() * side <= _NEAR_VOXELS * 10
    first = np.floor(there[:3, 3] + 0.5)
    if not aligned or np.abs(there[:3, 3] - first).max() > _NEAR_VOXELS:
        return None
    return int(first[0]), int(first[1]), int(first[2])


def _take_over(inside: NDArray[np.bool_], place: tuple[int, int, int], mask: NDArray[np.bool_]) -> None:
    """Or a frame into the slice it lies on; what lies outside the grid is left out."""
    index, *first = place
    if not 0 <= index < mask.shape[0]:
        return
    source, target = [], []
    for start, length, side in zip(first, inside.shape, mask.shape[1:], strict=True):
        low, high = max(0, start), min(side, start + length)
        if low >= high:
            return
        source.append(slice(low - start, high - start))
        target.append(slice(low, high))
    mask[index][tuple(target)] |= inside[tuple(source)]


def _sample(
    frames: Sequence[FrameHeader],
    inside: Mapping[int, NDArray[np.bool_]],
    index_to_lps: NDArray[np.float64],
    mask: NDArray[np.bool_],
) -> None:
    """Let each voxel take the nearest sample."""
    order = list(inside)
    first = frame_steps(frames[order[0]])
    stacked = [np.linalg.solve(first, frame_steps(frames[index])) for index in order]
    turned = max(float(np.abs(each[:3, :3] - np.eye(3)).max()) for each in stacked)
    shifted = max(float(np.abs(each[1:3, 3]).max()) for each in stacked)
    if turned > 1e-3 or shifted > 0.1:
        raise GeometryError(
            "Frames of the segmentation are not parallel, or shifted against each other, so that they cannot be "
            "sampled on another grid."
        )
    heights = np.array([each[0, 3] for each in stacked])
    ranked = np.argsort(heights)
    reach = _frame_distance(frames, first, index_to_lps) / 2
    to_frame = np.linalg.solve(first, index_to_lps)
    rows, columns = np.meshgrid(np.arange(mask.shape[1]), np.arange(mask.shape[2]), indexing="ij")
    lengths = inside[order[0]].shape
    for index in range(mask.shape[0]):
        places = np.tensordot(to_frame[:3, 1], rows, 0) + np.tensordot(to_frame[:3, 2], columns, 0)
        places += (to_frame[:3, 0] * index + to_frame[:3, 3])[:, None, None]
        # Halfway between two frames belongs to the upper one, as halfway between two samples to the next.
        upper = np.clip(np.searchsorted(heights[ranked], places[0]), 0, len(order) - 1)
        lower = np.maximum(upper - 1, 0)
        above = np.abs(heights[ranked[upper]] - places[0]) <= np.abs(heights[ranked[lower]] - places[0])
        nearest = np.where(above, upper, lower)
        apart = places[0] - heights[ranked[nearest]]
        down, right = (np.floor(places[axis] + 0.5).astype(np.int64) for axis in (1, 2))
        within = (apart >= -reach) & (apart < reach)
        within &= (down >= 0) & (down < lengths[0]) & (right >= 0) & (right < lengths[1])
        for rank in np.unique(nearest[within]).tolist():
            here = within & (nearest == rank)
            height = heights[ranked[rank]]
            for member, index_of_frame in enumerate(order):  # Several frames of one place, of overlapping parts.
                if math.isclose(heights[member], height, abs_tol=1e-3):
                    mask[index][here] |= inside[index_of_frame][down[here], right[here]]


def _frame_distance(
    frames: Sequence[FrameHeader], first: NDArray[np.float64], index_to_lps: NDArray[np.float64]
) -> float:
    """Millimetres from one frame of the object to the next, whichever segments they show.

    Stated, else the least that there is; of an object with one frame and no statement, the grid's own step.
    """
    stated = frames[0].stated_spacing
    if stated is not None and stated > 0:
        return stated
    heights = [np.linalg.solve(first, np.array([*frame.position, 1.0]))[0] for frame in frames if frame.position]
    steps = np.diff(np.unique(np.round(heights, 3)))
    if steps.size:
        return float(steps.min())
    return abs(float(np.linalg.solve(first, index_to_lps)[0, 0])) or 1.0


def _holds(segment: Segment, samples: NDArray[Any]) -> NDArray[np.bool_]:
    held: NDArray[np.bool_] = (samples >= segment.least) & (samples <= segment.most)
    return held


def _segment_number(document: Mapping[str, Any], index: int) -> int | None:
    """Referenced Segment Number (0062,000B) of a frame."""
    per_frame = _items(document.get("PerFrameFunctionalGroupsSequence"))
    groups = [*per_frame[index : index + 1], *_items(document.get("SharedFunctionalGroupsSequence"))[:1]]
    for group in groups:
        for item in _items(group.get("SegmentIdentificationSequence"))[:1]:
            number = item.get("ReferencedSegmentNumber")
            if isinstance(number, int):
                return number
    return None


def _items(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, (list, tuple)) else []
