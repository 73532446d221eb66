"""The manifest of one series in a generation: where every byte of every object lies.

Columns, one row for each object, span, frame or fragment; ``docs/format.md`` describes each. An object is
``header | pixel value | trailer``. Its header and trailer are one record inside a header span; its pixel value lies
in an array (frame by frame), or in spans of its own.

M1  The manifest holds all that the archive's event for this generation holds, so that the log can be rebuilt.
M2  Spans name their member by its name below the series, so a generation may be unpacked or moved into a pack.
M3  Every span carries the CRC32C of its stored bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import DamagedError
from pacscore.parallel import lazy_property
from pacscore.store.plan import SeriesPlan, StackPlan, Treatment
from pacscore.store.sections import SectionReader, Value, write_sections
from pacscore.store.strategy import Strategy

RAW, ZSTD = 0, 1
SHA256_BYTES = 32

OBJECT_COLUMNS = {
    "sop_class": np.uint16,
    "transfer_syntax": np.uint16,
    "treatment": np.uint8,
    "swap": np.uint8,
    "pad": np.uint32,
    "version": np.uint32,
    "current": np.uint8,
    "length": np.int64,
    "prefix_length": np.int64,
    "header_length": np.int64,
    "pixel_length": np.int64,
    "header_crc32c": np.uint32,
    "header_span": np.int64,
    "header_start": np.int64,
    "header_kept": np.int64,
    "first_span": np.int64,
    "span_count": np.int64,
    "first_frame": np.int64,
    "frame_count": np.int64,
}
SPAN_COLUMNS = {
    "span_member": np.uint16,
    "span_offset": np.int64,
    "span_length": np.int64,
    "span_raw_length": np.int64,
    "span_crc32c": np.uint32,
    "span_codec": np.uint8,
}


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive bytes of a member.

    Attributes
    ----------
    member : str
        Its name below the series.
    offset, length : int
        Of the stored bytes, in the member.
    raw_length : int
        Of the bytes they stand for.
    crc32c : int
        Of the stored bytes.
    codec : int
        RAW or ZSTD.
    """

    member: str
    offset: int
    length: int
    raw_length: int
    crc32c: int
    codec: int


@dataclass(slots=True)
class ObjectRow:
    """Where one object came to lie; the writer fills it in."""

    sha256: bytes = b""
    header_span: int = -1
    header_start: int = 0
    header_kept: int = 0
    first_span: int = 0
    span_count: int = 0


def build_manifest(
    plan: SeriesPlan, rows: Sequence[ObjectRow], spans: Sequence[Span], altered: Sequence[NDArray[np.int64]]
) -> bytes:
    """The bytes of ``manifest.bin``; ``altered`` counts of each object and frame the words that masking alters."""
    objects = plan.objects
    classes = list(dict.fromkeys(item.sop_class_uid for item in objects))
    syntaxes = list(dict.fromkeys(item.transfer_syntax_uid for item in objects))
    members = list(dict.fromkeys(span.member for span in spans))
    series = {
        "key": plan.key,
        "study_instance_uid": plan.study_instance_uid,
        "series_instance_uid": plan.series_instance_uid,
        "parent": plan.parent,
        "strategy": plan.strategy.as_dict(),
        "stacks": [_stack_entry(stack) for stack in plan.stacks],
        "sop_classes": classes,
        "transfer_syntaxes": syntaxes,
        "members": members,
    }
    columns: dict[str, Value] = {"series": series, "document": plan.document, "catalog": plan.catalog}
    class_number = {uid: number for number, uid in enumerate(classes)}
    syntax_number = {uid: number for number, uid in enumerate(syntaxes)}
    frame_count = [_frame_count(item) for item in objects]
    given: dict[str, list[int]] = {
        "sop_class": [class_number[item.sop_class_uid] for item in objects],
        "transfer_syntax": [syntax_number[item.transfer_syntax_uid] for item in objects],
        "first_frame": _first(frame_count, [item.treatment for item in objects]),
        "frame_count": frame_count,
    }
    for name, dtype in OBJECT_COLUMNS.items():
        values = given.get(name)
        if values is None:
            source: Sequence[Any] = rows if hasattr(ObjectRow, name) else objects
            values = [getattr(item, name) for item in source]
        columns[name] = np.array(values, dtype)
    uids = [item.sop_instance_uid.encode() for item in objects]
    columns["uid_end"] = np.cumsum([len(uid) for uid in uids], dtype=np.int64)
    columns["uids"] = np.frombuffer(b"".join(uids), np.uint8)
    columns["sha256"] = np.frombuffer(b"".join(row.sha256 for row in rows), np.uint8)
    if any(item.source for item in objects):
        columns["sources"] = [item.source for item in objects]
    member_number = {name: number for number, name in enumerate(members)}
    columns["span_member"] = np.array([member_number[span.member] for span in spans], np.uint16)
    for name, dtype in SPAN_COLUMNS.items():
        if name != "span_member":
            columns[name] = np.array([getattr(span, name.removeprefix("span_")) for span in spans], dtype)
    return write_sections(columns | _frame_columns(plan, altered))


def _stack_entry(stack: StackPlan) -> dict[str, Any]:
    return {
        "shape": list(stack.shape),
        "dtype": stack.dtype,
        "frame_rank": stack.frame_rank,
        "dimension_names": list(stack.dimension_names),
        "attributes": dict(stack.attributes),
    }


def _frame_count(item: Any) -> int:
    if item.treatment == Treatment.ARRAY:
        return len(item.positions)
    return item.fragments.frame_count if item.fragments is not None else 0


def _first(counts: Sequence[int], treatments: Sequence[Treatment]) -> list[int]:
    """Where each object's frames begin in the table of its treatment."""
    next_frame = {Treatment.ARRAY: 0, Treatment.ENCAPSULATED: 0}
    first = []
    for count, treatment in zip(counts, treatments, strict=True):
        first.append(next_frame.get(treatment, 0))
        if treatment in next_frame:
            next_frame[treatment] += count
    return first


def _frame_columns(plan: SeriesPlan, altered: Sequence[NDArray[np.int64]]) -> dict[str, Value]:
    """Stack, position and altered words of frames in arrays; fragments of encapsulated frames."""
    counts = [own for item, own in zip(plan.objects, altered, strict=True) if item.treatment == Treatment.ARRAY]
    stacks: list[int] = []
    positions: list[int] = []
    frame_fragment, offsets, lengths = [0], [], []
    for item in plan.objects:
        if item.treatment == Treatment.ARRAY:
            stacks.extend(item.frame_stacks or [item.stack] * len(item.positions))
            positions.extend(item.positions)
        elif item.fragments is not None:
            for frame in range(item.fragments.frame_count):
                for offset, length in item.fragments.fragments(frame):
                    offsets.append(offset)
                    lengths.append(length)
                frame_fragment.append(len(offsets))
    return {
        "array_stack": np.array(stacks, np.uint32),
        "array_position": np.array(positions, np.int64),
        "array_altered": np.concatenate(counts) if counts else np.zeros(0, np.int64),
        "frame_fragment": np.array(frame_fragment, np.int64),
        "fragment_offset": np.array(offsets, np.int64),
        "fragment_length": np.array(lengths, np.int64),
    }


class Manifest:
    """One series' manifest, read column by column when first needed."""

    def __init__(self, data: bytes) -> None:
        """Check the directory of ``data``, the bytes of ``manifest.bin``.

        Raises
        ------
        DamagedError, FormatVersionError
            See ``SectionReader``; columns are checked when they are read.
        """
        self.sections = SectionReader(data)
        self._columns: dict[str, NDArray[Any]] = {}

    def column(self, name: str) -> NDArray[Any]:
        """One column, cached."""
        found = self._columns.get(name)
        if found is None:
            if name not in self.sections:
                raise DamagedError(f"A manifest has no column {name!r}.")
            found = self._columns[name] = self.sections.column(name)
        return found

    @lazy_property
    def series(self) -> dict[str, Any]:
        """Key, UIDs, parent, stacks and name lists."""
        found: dict[str, Any] = self.sections.text("series")
        return found

    @property
    def key(self) -> str:
        """Of the series."""
        return str(self.series["key"])

    @property
    def study_instance_uid(self) -> str:
        """Of the study."""
        return str(self.series["study_instance_uid"])

    @property
    def series_instance_uid(self) -> str:
        """Of the series."""
        return str(self.series["series_instance_uid"])

    @property
    def parent(self) -> str | None:
        """The generation this one follows."""
        found: str | None = self.series["parent"]
        return found

    @lazy_property
    def strategy(self) -> Strategy:
        """How it was laid out."""
        return Strategy.from_dict(self.series["strategy"])

    @lazy_property
    def document(self) -> dict[str, Any]:
        """As the archive gave it."""
        found: dict[str, Any] = self.sections.text("document")
        return found

    @lazy_property
    def catalog(self) -> dict[str, Any]:
        """As the archive gave it."""
        found: dict[str, Any] = self.sections.text("catalog")
        return found

    @property
    def object_count(self) -> int:
        """How many objects."""
        return len(self.column("length"))

    @lazy_property
    def sop_instance_uids(self) -> tuple[str, ...]:
        """Of each object."""
        text = self.column("uids").tobytes().decode()
        ends = self.column("uid_end").tolist()
        return tuple(text[start:end] for start, end in zip([0, *ends], ends, strict=False))

    @lazy_property
    def sources(self) -> tuple[str, ...]:
        """Where each object came from, or empty texts."""
        if "sources" not in self.sections:
            return ("",) * self.object_count
        return tuple(self.sections.text("sources"))

    def sop_class_uid(self, index: int) -> str:
        """Of one object."""
        return str(self.series["sop_classes"][self.column("sop_class")[index]])

    def transfer_syntax_uid(self, index: int) -> str:
        """Of one object."""
        return str(self.series["transfer_syntaxes"][self.column("transfer_syntax")[index]])

    def treatment(self, index: int) -> Treatment:
        """Of one object."""
        return Treatment(int(self.column("treatment")[index]))

    def sha256(self, index: int) -> bytes:
        """Of one object's data set, without preamble and file meta."""
        return self.column("sha256")[index * SHA256_BYTES : (index + 1) * SHA256_BYTES].tobytes()

    def number(self, name: str, index: int) -> int:
        """One number of a column."""
        return int(self.column(name)[index])

    def span(self, number: int) -> Span:
        """One span."""
        return Span(
            self.series["members"][self.number("span_member", number)],
            *(self.number(name, number) for name in SPAN_COLUMNS if name != "span_member"),
        )

    def frames(self, index: int) -> list[tuple[int, int]]:
        """Stack and position of each frame of an object whose words lie in arrays."""
        first = self.number("first_frame", index)
        chosen = slice(first, first + self.number("frame_count", index))
        stacks, positions = self.column("array_stack")[chosen], self.column("array_position")[chosen]
        return list(zip(stacks.tolist(), positions.tolist(), strict=True))

    def altered(self, stack: int) -> NDArray[np.int64] | None:
        """How many words of each frame of an array masking alters, by flat position; None where nobody counted."""
        if "array_altered" not in self.sections:
            return None
        counts = self.column("array_altered")
        if not counts.any():  # As of nearly all: no order is asked for then.
            return np.zeros(np.count_nonzero(self.column("array_stack") == stack), np.int64)
        stacks, counts = self._altered_in_order
        first, end = np.searchsorted(stacks, [stack, stack + 1]).tolist()
        return counts[first:end]

    @lazy_property
    def _altered_in_order(self) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Stack and altered words of each frame in an array, by stack and position."""
        stacks = self.column("array_stack")
        order = np.lexsort((self.column("array_position"), stacks))
        return stacks[order], self.column("array_altered")[order]

    def altered_of_object(self, index: int) -> NDArray[np.int64] | None:
        """The same for the frames of one object whose words lie in arrays."""
        if "array_altered" not in self.sections:
            return None
        first = self.number("first_frame", index)
        return self.column("array_altered")[first : first + self.number("frame_count", index)]

    def fragments(self, index: int, frame_index: int) -> list[tuple[int, int]]:
        """Offset and length, from the start of the pixel value, of the fragments of an encapsulated frame."""
        frame = self.number("first_frame", index) + frame_index
        first, end = self.column("frame_fragment")[frame : frame + 2].tolist()
        chosen = slice(first, end)
        offsets, lengths = self.column("fragment_offset")[chosen], self.column("fragment_length")[chosen]
        return list(zip(offsets.tolist(), lengths.tolist(), strict=True))
