"""From the objects of one series to the plan of a generation: what lies where, and why.

P1  The plan does not depend on the order in which objects were found: they are sorted by what they are, then by
    where their frames lie in the stacks.
P2  Everything a reader or a rebuild needs beside the pixels is in the plan's ``document`` and ``catalog``, so that a
    catalog made from storage alone equals the one made at commit (promise 5).
P3  Frames that cannot lie in an array (encapsulated, one-bit, oddly long) still have their stack and geometry; they
    are decoded when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from pacscore.archive.candidates import Candidate
from pacscore.archive.records import SeriesRecord, StackRecord, ome_of
from pacscore.catalog import SERIES_KEYWORDS, STUDY_KEYWORDS
from pacscore.dicom.attributes import Header, constants_and_varying
from pacscore.dicom.description import PIXEL_KEYWORDS
from pacscore.dicom.documents import choose_documents
from pacscore.dicom.elements import PIXEL_TAGS
from pacscore.dicom.encapsulated import FrameMap, map_frames
from pacscore.dicom.pixels import NativeMapping, PixelDescription, SampleKind, describe_pixels, native_mapping
from pacscore.dicom.scan import Scan
from pacscore.errors import InputError
from pacscore.geometry import GEOMETRY_KEYWORDS, FrameReader, Stack, build_stacks
from pacscore.imaging.attributes import IMAGING_KEYWORDS, read_attributes
from pacscore.parallel import map_ordered
from pacscore.settings import Settings
from pacscore.store.plan import ObjectPlan, SeriesPlan, StackPlan, StoredBits, Treatment
from pacscore.store.strategy import Strategy

_INSTANCE_KEYWORDS = frozenset({"InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames"})
SERIES_ROW_KEYWORDS = STUDY_KEYWORDS | SERIES_KEYWORDS
_PLAN_KEYWORDS = GEOMETRY_KEYWORDS | IMAGING_KEYWORDS | PIXEL_KEYWORDS | _INSTANCE_KEYWORDS


@dataclass(frozen=True, slots=True)
class Described:
    """One object with what planning needs to know of it."""

    candidate: Candidate
    scan: Scan
    header: Header
    document: dict[str, Any]
    description: PixelDescription | None
    mapping: NativeMapping | None
    fragments: FrameMap | None

    @property
    def frame_count(self) -> int:
        """Frames that can be read; 0 without pixel data."""
        return self.description.frames if self.description is not None else 0


def plan_series(
    candidates: Sequence[Candidate],
    *,
    key: str,
    parent: str | None,
    strategy: Strategy,
    settings: Settings,
    wanted: frozenset[str] = SERIES_ROW_KEYWORDS,
) -> tuple[SeriesPlan, list[Candidate]]:
    """Decide where everything of a series belongs.

    Parameters
    ----------
    wanted
        Keywords that the catalog wants a value of even where it varies over the series.

    Returns
    -------
    plan, ordered
        The plan, and the candidates in the order of its objects, their headers let go.
    """
    by_name = sorted(candidates, key=lambda each: (each.sop_instance_uid, each.version, each.sha256 or b""))
    described = _describe_all(by_name, settings)
    described, stacks = _in_stack_order(described, stack_objects(described))
    records = [_stack_record(stack, described) for stack in stacks]
    arrays = _number_arrays(records, described)
    document, varying = _series_document(described, wanted)
    record = SeriesRecord.of(arrays.records, [each.document for each in described], varying=varying)
    record = replace(record, stated_by=by_name[0].sop_instance_uid)
    plan = SeriesPlan(
        key,
        by_name[0].study_instance_uid,
        by_name[0].series_instance_uid,
        parent,
        tuple(_object_plan(each, arrays.places[index]) for index, each in enumerate(described)),
        arrays.plans,
        document,
        strategy,
        record.as_dict(),
    )
    return plan, [each.candidate.unloaded() for each in described]


def _is_at_hand(candidate: Candidate) -> bool:
    """Whether an object can be described without reading it again."""
    scan = candidate.scan
    return scan is not None and candidate.header is not None and not (scan.pixels and scan.pixels.encapsulated)


def _describe_all(candidates: Sequence[Candidate], settings: Settings) -> list[Described]:
    if not all(map(_is_at_hand, candidates)):
        return list(map_ordered(lambda each: describe(each, settings), candidates, threads=settings.threads()))
    # Decoding holds the interpreter's lock: only reading objects again is worth handing to other threads.
    headers = [_header_of(each) for each in candidates]
    documents = choose_documents(headers, _PLAN_KEYWORDS)
    return [_described(*each) for each in zip(candidates, headers, documents, strict=True)]


def describe(candidate: Candidate, settings: Settings) -> Described:
    """Decode what planning needs of one object; an encapsulated one is read whole for its fragments."""
    loaded = candidate.loaded(settings)
    header = _header_of(loaded)
    return _described(loaded, header, header.document(keywords=_PLAN_KEYWORDS))


def _header_of(candidate: Candidate) -> Header:
    assert candidate.header is not None
    assert candidate.scan is not None
    return Header(candidate.header, candidate.scan)


def _described(loaded: Candidate, header: Header, document: dict[str, Any]) -> Described:
    scan = loaded.scan
    assert scan is not None
    description, mapping, fragments = None, None, None
    tag = pixel_tag(scan)
    if tag is not None:
        description = _described_pixels(document, scan, tag)
    if scan.pixels is not None and scan.pixels.encapsulated:
        fragments = _fragments(loaded, scan, header, description)
    elif scan.pixels is not None and description is not None:
        mapping = native_mapping(description, scan.pixels, scan.parts.transfer_syntax_uid)
    return Described(loaded, scan, header, document, description, mapping, fragments)


def pixel_tag(scan: Scan) -> int | None:
    """The tag of the pixel element; of a deflated data set, the one inside it, where the table ends."""
    if scan.pixels is not None:
        return scan.pixels.tag
    last = int(scan.elements.tag[-1]) if scan.inflated is not None and len(scan.elements) else 0
    return last if last in PIXEL_TAGS else None


def _described_pixels(document: Mapping[str, Any], scan: Scan, tag: int) -> PixelDescription | None:
    """What the header says of the pixels; None where it contradicts itself: the bytes are kept, no frame is made."""
    try:
        return describe_pixels(document.get, scan.parts.transfer_syntax_uid, tag)
    except InputError:
        return None


def _fragments(
    candidate: Candidate, scan: Scan, header: Header, description: PixelDescription | None
) -> FrameMap | None:
    place = scan.pixels
    assert place is not None
    if description is None:
        return None
    whole = candidate.source.buffer()
    value = memoryview(whole)[place.offset : place.offset + place.length]
    try:
        return map_frames(
            value,
            description.frames,
            scan.parts.transfer_syntax_uid,
            extended_offsets=header.value_bytes("ExtendedOffsetTable"),
            extended_lengths=header.value_bytes("ExtendedOffsetTableLengths"),
        )
    except InputError:  # Frames cannot be told apart: kept, found and returned, but not decoded.
        return None


def stack_objects(described: Sequence[Described]) -> tuple[Stack, ...]:
    """The stacks of the current objects' frames; instances are numbered by their place in ``described``."""
    frames, reader = [], FrameReader()
    for index, each in enumerate(described):
        if each.candidate.current and each.frame_count and (each.mapping or not _undelimited(each)):
            frames += reader.read(each.document, index)
    return build_stacks(frames)


def _undelimited(each: Described) -> bool:
    place = each.scan.pixels
    return place is not None and place.encapsulated and each.fragments is None


def _in_stack_order(described: list[Described], stacks: Sequence[Stack]) -> tuple[list[Described], list[Stack]]:
    """Objects in the order in which their first frames lie, so that reading a stack reads headers and blobs forward."""
    order: dict[int, None] = {}
    for stack in stacks:
        order.update(dict.fromkeys(stack.frames[..., 0].ravel().tolist()))
    order.update(dict.fromkeys(range(len(described))))
    places = np.empty(len(described), np.int32)
    places[list(order)] = np.arange(len(described), dtype=np.int32)

    def renumbered(stack: Stack) -> Stack:
        frames = stack.frames.copy()
        frames[..., 0] = places[frames[..., 0]]
        return replace(stack, frames=frames)

    return [described[index] for index in order], [renumbered(stack) for stack in stacks]


def _stack_record(stack: Stack, described: Sequence[Described]) -> StackRecord:
    frames = stack.frames.reshape(-1, 2)
    values = read_attributes((described[instance].document, frame) for instance, frame in frames.tolist())
    first = described[int(frames[0, 0])].description
    assert first is not None
    return StackRecord.of(stack, str(first.dtype()), values)


@dataclass(frozen=True, slots=True)
class _Arrays:
    records: list[StackRecord]
    plans: tuple[StackPlan, ...]
    places: list[NDArray[np.int64]]
    """Of each object: (frames, 2), array and flat position of each frame, -1 where it lies in none."""


def _number_arrays(records: Sequence[StackRecord], described: Sequence[Described]) -> _Arrays:
    """Give an array to each stack whose frames are all native words, if their objects have no frame elsewhere (P3)."""
    places = [np.full((each.frame_count, 2), -1, np.int64) for each in described]
    for number, record in enumerate(records):
        for position, (instance, frame) in enumerate(record.frames.tolist()):
            places[instance][frame] = number, position
    fits = [
        all(_fits(described[instance], record) for instance in np.unique(record.frames[:, 0]).tolist())
        for record in records
    ]
    whole = [bool((place[:, 0] >= 0).all()) for place in places]
    changed = True
    while changed:  # An object lies in arrays whole or not at all: one unfit stack may pull others with it.
        changed = False
        for place in places:
            stacks = np.unique(place[place[:, 0] >= 0, 0]).tolist()
            if len(stacks) and not all(fits[stack] for stack in stacks) and any(fits[stack] for stack in stacks):
                for stack in stacks:
                    fits[stack] = False
                changed = True
    for number, record in enumerate(records):
        if not all(whole[instance] for instance in np.unique(record.frames[:, 0]).tolist()):
            fits[number] = False
    numbers = np.cumsum(fits) - 1
    numbered = [replace(record, array=int(numbers[n]) if fits[n] else -1) for n, record in enumerate(records)]
    target = np.array([record.array for record in numbered] + [-1], np.int64)
    for place in places:
        place[:, 0] = target[place[:, 0]]
    return _Arrays(numbered, tuple(_stack_plan(record) for record in numbered if record.array >= 0), places)


def _fits(each: Described, record: StackRecord) -> bool:
    mapping = each.mapping
    return mapping is not None and mapping.frame_shape == record.frame_shape and str(mapping.dtype) == record.dtype


def _stack_plan(record: StackRecord) -> StackPlan:
    return StackPlan(
        record.shape,
        record.dtype,
        record.dimension_names,
        len(record.frame_shape),
        record.array_attributes(),
        ome_of(record),
    )


def _object_plan(each: Described, places: NDArray[np.int64]) -> ObjectPlan:
    candidate, scan, pixels = each.candidate, each.scan, each.scan.pixels
    assert candidate.header is not None
    treatment = Treatment.NONE
    if pixels is not None:
        treatment = Treatment.ENCAPSULATED if pixels.encapsulated else Treatment.BLOB
    in_array = each.mapping is not None and len(places) > 0 and bool((places[:, 0] >= 0).all())
    stacks = places[:, 0]
    return ObjectPlan(
        candidate.sop_instance_uid,
        scan.sop_class_uid,
        candidate.transfer_syntax_uid,
        candidate.source.size,
        scan.parts.prefix_length,
        scan.header_length,
        pixels.length if pixels is not None else 0,
        google_crc32c.value(candidate.header),
        Treatment.ARRAY if in_array else treatment,
        stack=int(stacks[0]) if in_array else -1,
        positions=tuple(places[:, 1].tolist()) if in_array else (),
        frame_stacks=tuple(stacks.tolist()) if in_array and bool((stacks != stacks[0]).any()) else (),
        swap=in_array and each.mapping is not None and each.mapping.swap,
        pad=each.mapping.pad if in_array and each.mapping is not None else 0,
        fragments=each.fragments,
        version=candidate.version,
        current=candidate.current,
        stored_bits=_stored_bits(each.description) if in_array else None,
    )


def _stored_bits(description: PixelDescription | None) -> StoredBits | None:
    if description is None or description.kind is SampleKind.FLOAT:
        return None
    allocated, stored = description.bits_allocated, description.bits_stored
    shift = description.high_bit + 1 - stored
    return None if stored == allocated else StoredBits(allocated, stored, shift, description.signed)


def _series_document(described: Sequence[Described], wanted: frozenset[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The attributes that all current objects share; of ``wanted``, also a value of those that vary.

    That value is of the object with the smallest SOP Instance UID that has one, so that it does not depend on who
    came first.
    """
    current = sorted(
        (each for each in described if each.candidate.current), key=lambda each: each.candidate.sop_instance_uid
    )
    document, varying = constants_and_varying([each.header for each in current])
    for keyword in wanted.intersection(varying):
        for each in current:
            value = each.header.get(keyword)
            if value is not None:
                document[keyword] = value
                break
    return document, varying
