"""Which frames can lie in one array at all: the first cut of a series.

Frames of different pixel class, kind, Frame of Reference, stack, orientation, pixel spacing, complex component, or of
different first three values of Image Type (pixel data characteristics, patient examination, and the modality's own
first, such as AXIAL or LOCALIZER; PS3.3 C.7.6.1.1.2) never share a stack. Later values of Image Type separate only
where planes repeat (``axes.py``): scanners also use them for details of reconstruction within one volume.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pacscore.geometry.header import FrameHeader

SAME_COSINE = 1e-4
"""Cosines that differ by at most this are one orientation: 0.025 mm at 250 mm from the center."""
SAME_SPACING = 1e-5
"""Pixel spacings that differ by at most this fraction are one."""

Key: TypeAlias = tuple[object, ...]

_KEY_NAMES = (
    "pixels",
    "kind",
    "frame_of_reference",
    "stack_id",
    "image_type",
    "component",
    "placed",
    "orientation",
    "pixel_spacing",
)


@dataclass(frozen=True, slots=True)
class Group:
    """Frames that may share a stack.

    Attributes
    ----------
    frames : sequence of FrameHeader
        In the order given to ``separate``.
    orientation, pixel_spacing : tuple of float or None
        Of all of them, where they have any.
    mixed : bool
        Single frames of different orientations, collected.
    by : tuple of str
        What separates the groups of the series.
    """

    frames: Sequence[FrameHeader]
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, ...] | None
    mixed: bool
    by: tuple[str, ...]


def separate(frames: Sequence[FrameHeader]) -> list[Group]:
    """Cut a series into groups. Their frames keep their order; what the groups are does not depend on it."""
    buckets: dict[Key, list[FrameHeader]] = {}
    for frame in frames:
        key: Key = (
            frame.pixels,
            frame.kind,
            frame.frame_of_reference_uid,
            frame.stack_id,
            frame.image_type[:3],
            frame.component,
            frame.position is not None and frame.orientation is not None and frame.pixel_spacing is not None,
        )
        buckets.setdefault(key, []).append(frame)
    parts: list[tuple[Key, list[FrameHeader], bool]] = []
    for key, bucket in buckets.items():
        parts.extend(_by_plane(key, bucket))
    by = _differences([key for key, _, _ in parts])
    return [Group(members, *_shared_plane(key), mixed, by) for key, members, mixed in parts]


def _by_plane(key: Key, frames: list[FrameHeader]) -> list[tuple[Key, list[FrameHeader], bool]]:
    """Cut by orientation and pixel spacing; single frames of several orientations stay together as one mixed group."""
    placed = key[6]
    orientations = _cluster({frame.orientation for frame in frames}, SAME_COSINE, relative=False)
    spacings = _cluster({frame.pixel_spacing for frame in frames}, SAME_SPACING, relative=True)
    groups: dict[Key, list[FrameHeader]] = {}
    for frame in frames:
        plane = (orientations[frame.orientation], spacings[frame.pixel_spacing])
        groups.setdefault(key + plane, []).append(frame)
    if not placed:
        return [(own, members, False) for own, members in groups.items()]
    single = [own for own, members in groups.items() if len(members) == 1]
    if len({own[7] for own in single}) < 2:
        return [(own, members, False) for own, members in groups.items()]
    alone = set(single)
    collected = [frame for own, members in groups.items() if own in alone for frame in members]
    kept = [(own, members, False) for own, members in groups.items() if own not in alone]
    # Frames of different spacing stay together here as well: such a stack has no affine anyway.
    return [*kept, ((*key, "several", None), collected, True)]


def _shared_plane(key: Key) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    orientation, spacing = key[7], key[8]
    return (
        orientation if isinstance(orientation, tuple) else None,
        spacing if isinstance(spacing, tuple) else None,
    )


def _cluster(
    values: Iterable[tuple[float, ...] | None], limit: float, *, relative: bool
) -> dict[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Map each vector to a representative within ``limit`` of it; which one does not depend on their order."""
    found: dict[tuple[float, ...] | None, tuple[float, ...] | None] = {None: None}
    distinct = sorted({value for value in values if value is not None})
    if len(distinct) == 1:
        return found | {distinct[0]: distinct[0]}
    if not distinct:
        return found
    vectors = np.array(distinct)
    limits = limit * np.abs(vectors) if relative else np.full(vectors.shape, limit)
    # Sorted by their first component, so that near ones follow within a short range.
    ends = np.searchsorted(vectors[:, 0], vectors[:, 0] + limits[:, 0], side="right")
    left = np.ones(len(distinct), bool)
    for seed, end in enumerate(ends.tolist()):
        if left[seed]:
            near = left[seed:end] & (np.abs(vectors[seed:end] - vectors[seed]) <= limits[seed]).all(axis=1)
            left[seed:end] &= ~near
            found.update((distinct[seed + index], distinct[seed]) for index in np.flatnonzero(near).tolist())
    return found


def _differences(keys: list[Key]) -> tuple[str, ...]:
    """The names of the places in which the keys differ."""
    return tuple(name for index, name in enumerate(_KEY_NAMES) if len({key[index] for key in keys}) > 1)
