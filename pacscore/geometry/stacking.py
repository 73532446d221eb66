"""From the frames of a series to its stacks.

G1  Every frame given lies in exactly one stack, at one place.
G2  The result depends on the frames, not on the order in which they are given.
G3  Slices ascend along row cosines × column cosines; never by Instance Number or name.
G4  No spacing, position or order is made up: where headers do not say it, a finding does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacscore.geometry.attributes import INDEX
from pacscore.geometry.axes import Arrangement, Codes, Incomplete, Split, arrange, members_of
from pacscore.geometry.header import FRAMES, MOSAIC, VOLUME, FrameHeader
from pacscore.geometry.placement import POSITION_MM, TILT_DEG, Plane, judge, plane_codes, tolerance_mm
from pacscore.geometry.separation import Group, separate
from pacscore.geometry.stack import Axis, SpacingMm, Stack, StackGeometry
from pacscore.geometry.verdict import Finding, Verdict

ACQUISITION_SLICES_MIN = 8
"""Acquisition Numbers divide unevenly spaced slices only into parts of at least so many, all of them regular."""
STATED_SPACING_FRACTION = 0.01

_KIND_ORDER = {VOLUME: 0, MOSAIC: 1, FRAMES: 2}
_LAST = 1 << 62

Frames: TypeAlias = Sequence[FrameHeader]


def build_stacks(frames: Frames) -> tuple[Stack, ...]:
    """Group the frames of one series into stacks.

    Parameters
    ----------
    frames
        Of one series, in any order, as ``frames_of`` gives them.

    Returns
    -------
    tuple of Stack
        Volumes first, then mosaics, then loose frames; among equals the one with most frames first, then by Instance
        Number.
    """
    ordered = sorted(frames, key=_acquisition_order)
    stacks: list[tuple[tuple[object, ...], Stack]] = []
    for group in separate(ordered):
        separated = (_separated(group.by),) if group.by else ()
        for members, stack in _stack_group(group, separated):
            key = (_KIND_ORDER[stack.kind], -len(members), *_acquisition_order(members[0]))
            stacks.append((key, stack))
    stacks.sort(key=lambda item: item[0])
    return tuple(stack for _, stack in stacks)


class Judged(Protocol):
    """A stack as far as its verdict goes: ``Stack``, or the record of one."""

    @property
    def kind(self) -> str:
        """As in ``Stack``."""
        ...

    @property
    def geometry(self) -> StackGeometry:
        """As in ``Stack``."""
        ...


def series_verdict(stacks: Iterable[Judged]) -> Verdict:
    """One verdict for a series: the first in order of precedence among its volume stacks.

    So a series is regular if all its volume stacks are; without any it is ``none``.
    """
    return min((stack.geometry.verdict for stack in stacks if stack.kind == VOLUME), key=_rank, default=Verdict.NONE)


def _rank(verdict: Verdict) -> int:
    return verdict.rank


def _acquisition_order(frame: FrameHeader) -> tuple[int, str, int, int]:
    number = frame.instance_number
    return (_LAST if number is None else number, frame.sop_instance_uid, frame.frame_index, frame.instance)


def _separated(by: tuple[str, ...]) -> Finding:
    return Finding("separated", f"One of several stacks of its series, which differ in {', '.join(by)}.", {"by": [*by]})


def _stack_group(group: Group, findings: tuple[Finding, ...]) -> list[tuple[Frames, Stack]]:
    frames = group.frames
    if group.mixed:
        return [(frames, _mixed(frames, findings))]
    if frames[0].kind == MOSAIC:
        return _repeating(frames, None, np.zeros(len(frames), np.int64), findings)
    if group.orientation is None or group.pixel_spacing is None or frames[0].position is None:
        return [(frames, _loose(frames, findings))]
    spacing = (group.pixel_spacing[0], group.pixel_spacing[1])
    return _parallel(frames, Plane.of(group.orientation, spacing), findings)


def _parallel(frames: Frames, plane: Plane, findings: tuple[Finding, ...]) -> list[tuple[Frames, Stack]]:
    """Stacks of parallel planes."""
    positions = _positions(frames)
    distances = positions @ plane.normal
    codes = plane_codes(distances)
    if codes.max() + 1 == codes.size:
        stack = _place(frames, plane, codes, Arrangement((), ()), findings)
        acquisitions = _regular_acquisitions(frames, plane, stack)
        if acquisitions is None:
            return [(frames, stack)]
        return _each(frames, plane, acquisitions, (*findings, _separated(("acquisition",))))
    beside = _beside(positions, plane, codes)
    if beside is not None:
        return _each(frames, plane, beside, (*findings, _separated(("in_plane_position",))))
    return _repeating(frames, plane, codes, findings)


def _each(
    frames: Frames, plane: Plane | None, codes: Codes, findings: tuple[Finding, ...]
) -> list[tuple[Frames, Stack]]:
    stacks: list[tuple[Frames, Stack]] = []
    for part in members_of(codes):
        members = [frames[index] for index in part.tolist()]
        if plane is None:
            stacks += _repeating(members, None, np.zeros(len(members), np.int64), findings)
        else:
            stacks += _parallel(members, plane, findings)
    return stacks


def _repeating(
    frames: Frames, plane: Plane | None, codes: Codes, findings: tuple[Finding, ...]
) -> list[tuple[Frames, Stack]]:
    """Stacks of frames of which several lie in one plane. Without a ``plane``: mosaics."""
    arrangement = arrange(frames, codes) if codes.max() + 1 < codes.size else Arrangement((), ())
    if isinstance(arrangement, Split):
        return _each(frames, plane, arrangement.codes, (*findings, _separated((arrangement.name,))))
    if isinstance(arrangement, Incomplete):
        stacks: list[tuple[Frames, Stack]] = []
        for part, finding in zip(members_of(arrangement.codes), arrangement.findings, strict=True):
            members = [frames[index] for index in part.tolist()]
            stacks += _each(members, plane, np.zeros(len(members), np.int64), (*findings, finding))
        return stacks
    if arrangement is None:
        # Each frame a slice of its own, equal ones beside each other: none is dropped and none preferred.
        order = np.argsort(codes, kind="stable")
        own = np.empty_like(codes)
        own[order] = np.arange(codes.size)
        codes, arrangement = own, Arrangement((), ())
    return [(frames, _place(frames, plane, codes, arrangement, findings))]


def _place(
    frames: Frames, plane: Plane | None, codes: Codes, arrangement: Arrangement, findings: tuple[Finding, ...]
) -> Stack:
    """One stack: a table of which frame lies where, and its geometry."""
    slice_count = int(codes.max()) + 1
    lengths = tuple(len(axis.values) for axis in arrangement.axes)
    shape = (*lengths, slice_count)
    places = np.ravel_multi_index((*arrangement.indices, codes), shape)
    assert np.array_equal(np.sort(places), np.arange(np.prod(shape)))  # G1
    table = np.empty((len(frames), 2), np.int32)
    table[places] = _flat_table(frames)
    table = table.reshape(*shape, 2)
    noted = (*findings, *arrangement.findings)
    if plane is None:
        return _stack(frames, table, arrangement.axes, _mosaic_geometry(frames, slice_count, noted))
    positions = np.zeros((slice_count, 3))
    np.add.at(positions, codes, _positions(frames))
    positions /= np.bincount(codes)[:, None]
    judged = judge(positions, plane)
    verdict = judged.verdict
    if verdict.rank > Verdict.TIME.rank and any(finding.code == "incomplete-axis" for finding in noted):
        noted = (*noted, Finding("alone", f"By itself the stack is {verdict}.", {"verdict": verdict.value}))
        verdict = Verdict.TIME
    return _stack(
        frames,
        table,
        arrangement.axes,
        StackGeometry(
            verdict,
            (*judged.findings, *noted, *_stated_findings(frames, judged, codes, arrangement.axes)),
            judged.index_to_lps,
            judged.spacing_mm,
            judged.orientation,
            judged.positions_lps,
            frames[0].frame_of_reference_uid,
        ),
    )


def _stack(frames: Frames, table: NDArray[np.int32], axes: tuple[Axis, ...], geometry: StackGeometry) -> Stack:
    pixels = frames[0].pixels
    bits = sorted({(frame.bits_stored, frame.high_bit) for frame in frames})
    if len(bits) > 1:
        listed = ", ".join(str(stored) for stored, _ in bits)
        finding = Finding(
            "bits-stored",
            f"Bits Stored (0028,0101) differs between frames: {listed}.",
            {"bits_stored": [stored for stored, _ in bits], "high_bit": [high for _, high in bits]},
        )
        geometry = replace(geometry, findings=(*geometry.findings, finding))
    shape = (pixels.rows, pixels.columns) if pixels.samples == 1 else (pixels.rows, pixels.columns, pixels.samples)
    return Stack(frames[0].kind, axes, table, shape, geometry)


def _positions(frames: Frames) -> NDArray[np.float64]:
    return np.array([frame.position for frame in frames], np.float64)


def _beside(positions: NDArray[np.float64], plane: Plane, codes: Codes) -> Codes | None:
    """A number for each frame by its place within its plane, if some plane holds frames at different places."""
    lateral = positions @ np.column_stack((plane.row, plane.column))
    low = np.full((int(codes.max()) + 1, 2), np.inf)
    high = -low
    np.minimum.at(low, codes, lateral)
    np.maximum.at(high, codes, lateral)
    if (high - low).max() <= POSITION_MM:
        return None
    rows, columns = _chains(lateral[:, 0]), _chains(lateral[:, 1])
    numbers: Codes = np.unique(rows * (int(columns.max()) + 1) + columns, return_inverse=True)[1]
    return numbers if numbers.max() > 0 else None


def _chains(values: NDArray[np.float64]) -> Codes:
    order = np.argsort(values, kind="stable")
    codes = np.empty(values.size, np.int64)
    codes[order] = np.concatenate(([0], np.cumsum(np.diff(values[order]) > POSITION_MM)))
    return codes


def _regular_acquisitions(frames: Frames, plane: Plane, stack: Stack) -> Codes | None:
    """A number for each frame by Acquisition Number, if that makes regular volumes of unevenly spaced slices.

    Only large parts count: a scanner that moves the table between short acquisitions numbers them too, and there a
    missing slice must stay visible as a gap.
    """
    if stack.geometry.verdict not in (Verdict.GAPS, Verdict.IRREGULAR):
        return None
    index = INDEX["acquisition"]
    numbers = [frame.labels[index] for frame in frames]
    distinct = Counter(numbers)
    if None in distinct or len(distinct) < 2 or min(distinct.values()) < ACQUISITION_SLICES_MIN:
        return None
    values = np.array(numbers, np.float64)
    codes: Codes = np.unique(values, return_inverse=True)[1]
    positions = _positions(frames)
    for part in range(len(distinct)):
        own = positions[codes == part]
        verdict = judge(own[np.argsort(own @ plane.normal)], plane).verdict
        if verdict not in (Verdict.REGULAR, Verdict.TILTED):
            return None
    return codes


def _stated_findings(frames: Frames, geometry: StackGeometry, codes: Codes, axes: tuple[Axis, ...]) -> list[Finding]:
    """What the headers say of the third dimension that the positions contradict."""
    findings: list[Finding] = []
    spacing = None if geometry.spacing_mm is None else geometry.spacing_mm[0]
    if spacing is not None:
        stated = {abs(frame.stated_spacing) for frame in frames if frame.stated_spacing}
        wrong = sorted(
            value
            for value in stated
            if abs(value - spacing) > max(STATED_SPACING_FRACTION * spacing, tolerance_mm(spacing))
        )
        if wrong:
            findings.append(
                Finding(
                    "stated-spacing",
                    f"Spacing Between Slices (0018,0088) says {wrong[0]:.5g} mm, the positions {spacing:.5g} mm.",
                    {"stated_mm": [*wrong[:10]], "measured_mm": spacing},
                )
            )
    tilts = {frame.tilt for frame in frames if frame.tilt is not None and abs(frame.tilt) > TILT_DEG}
    if tilts and geometry.verdict is Verdict.REGULAR:
        findings.append(
            Finding(
                "stated-tilt",
                f"Gantry/Detector Tilt (0018,1120) says {min(tilts):.4g}°, but the slices lie along their normal.",
                {"stated_deg": [*sorted(tilts)[:10]]},
            )
        )
    numbers = [frame.instance_number for frame in frames]
    # The frames come in ascending order of Instance Number.
    reversed_order = len(frames) > 1 and not axes and bool((np.diff(codes) == -1).all())
    if reversed_order and None not in numbers and len(set(numbers)) == len(numbers):
        findings.append(
            Finding(
                "left-handed-order",
                "Instance Numbers run against the normal: stacked by them, the slices would be left-handed.",
            )
        )
    return findings


def _mosaic_geometry(frames: Frames, count: int, findings: tuple[Finding, ...]) -> StackGeometry:
    noted = [*findings, Finding("mosaic", "Each frame holds the tiles of a whole volume; they are kept as they are.")]
    if count > 1:
        noted.append(
            Finding("unexplained-repeats", f"No attribute tells {count} mosaics apart.", {"frame_count": count})
        )
    first = frames[0]
    return StackGeometry(
        Verdict.NONE,
        tuple(noted),
        spacing_mm=_in_plane(first),
        orientation=first.orientation,
        frame_of_reference_uid=first.frame_of_reference_uid,
    )


def _flat_table(frames: Frames) -> NDArray[np.int32]:
    return np.array([(frame.instance, frame.frame_index) for frame in frames], np.int32).reshape(len(frames), 2)


def _in_plane(frame: FrameHeader) -> SpacingMm | None:
    spacing = frame.pixel_spacing
    return None if spacing is None else (None, spacing[0], spacing[1])


def _loose(frames: Frames, findings: tuple[Finding, ...]) -> Stack:
    """Frames that cannot be placed, in order of acquisition."""
    problems = Counter(problem for frame in frames for problem in frame.problems)
    noted = [
        *findings,
        *(
            Finding(code, f"{_PROBLEMS[code]} ({count} of {len(frames)} frames).", {"frame_count": count})
            for code, count in sorted(problems.items())
        ),
    ]
    first = frames[0]
    geometry = StackGeometry(
        Verdict.NONE,
        tuple(noted),
        spacing_mm=_in_plane(first),
        orientation=first.orientation,
        frame_of_reference_uid=first.frame_of_reference_uid,
    )
    return _stack(frames, _flat_table(frames), (), geometry)


def _mixed(frames: Frames, findings: tuple[Finding, ...]) -> Stack:
    count = len({frame.orientation for frame in frames})
    noted = Finding("mixed-orientations", f"{len(frames)} single planes of {count} orientations.", {"count": count})
    geometry = StackGeometry(
        Verdict.MIXED,
        (*findings, noted),
        positions_lps=_positions(frames),
        frame_of_reference_uid=frames[0].frame_of_reference_uid,
    )
    return _stack(frames, _flat_table(frames), (), geometry)


_PROBLEMS = {
    "position-missing": "Image Position (Patient) (0020,0032) is missing",
    "position-unusable": "Image Position (Patient) (0020,0032) is not three numbers of a possible size",
    "orientation-missing": "Image Orientation (Patient) (0020,0037) is missing",
    "orientation-unusable": "Image Orientation (Patient) (0020,0037) is not two unit vectors at a right angle",
    "pixel-spacing-missing": "Pixel Spacing (0028,0030) is missing",
    "pixel-spacing-unusable": "Pixel Spacing (0028,0030) is not two numbers above zero",
    "frame-offsets-unusable": "Grid Frame Offset Vector (3004,000C) does not give a place to each frame",
    "tiled": "Tiles of a larger image",
}
