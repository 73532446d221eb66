"""What is to be written into a generation, and what came of it: the values between the archive and the writer.

The archive scans objects, stacks their frames and says here where every byte belongs; the writer obeys and proves.
A plan is checked as a whole before the first byte is written, so that a wrong one leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

from pacscore.store.strategy import Strategy


class Treatment(IntEnum):
    """How an object's pixel value is kept. The numbers are part of the format."""

    NONE = 0
    """No pixel data: the header is the whole object."""
    ARRAY = 1
    """Native words, kept in an array of a stack."""
    BLOB = 2
    """Bytes kept as they are, or compressed as bytes: 1-bit, odd lengths, unknown encodings."""
    ENCAPSULATED = 3
    """An encapsulated pixel value, kept as it is with its fragment to frame map."""


class FrameFragments(Protocol):
    """Which fragments make up each frame of an encapsulated pixel value."""

    @property
    def frame_count(self) -> int:
        """How many frames there are."""
        ...

    def fragments(self, frame_index: int) -> Sequence[tuple[int, int]]:
        """Offset and length of each fragment's bytes, from the first byte of the pixel value."""
        ...


@dataclass(frozen=True, slots=True)
class StoredBits:
    """Which bits of a word are its stored value, where that is not all of them (PS3.5 8.1.1).

    Attributes
    ----------
    word_bits, stored : int
        Bits Allocated (0028,0100): 8, 16, 32 or 64; Bits Stored (0028,0101), fewer.
    shift : int
        How many bits lie below them: High Bit (0028,0102) + 1 - stored.
    signed : bool
        Pixel Representation (0028,0103) is 1.
    """

    word_bits: int
    stored: int
    shift: int
    signed: bool

    @property
    def value_range(self) -> tuple[int, int]:
        """The least and the largest stored value."""
        half = 1 << (self.stored - 1)
        return (-half, half - 1) if self.signed else (0, 2 * half - 1)


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """One object to be laid out: ``whole = header | pixel value | trailer``.

    Attributes
    ----------
    length, prefix_length, header_length, pixel_length : int
        Bytes: of the whole, of preamble and file meta, of all before the pixel value, of the pixel value. Without
        pixel data ``header_length == length``.
    header_crc32c : int
        CRC32C of the header bytes when they were scanned; a source that differs is refused with ``ChangedError``.
    stack, positions
        ARRAY: the stack of all its frames, and the flat position in it (over all axes before the rows) of each.
    frame_stacks
        ARRAY whose frames lie in several stacks: the stack of each frame; empty when all lie in ``stack``.
    swap : bool
        ARRAY: the words are big-endian in the object.
    pad : int
        ARRAY: bytes of the pixel value behind its last word.
    stored_bits : StoredBits or None
        ARRAY: which bits of its words are stored values; None where all are.
    fragments
        ENCAPSULATED: the frames, relative to the pixel value; None where they cannot be told apart.
    source : str
        Where it came from, for reports the caller asked for; never in messages.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    length: int
    prefix_length: int
    header_length: int
    pixel_length: int
    header_crc32c: int
    treatment: Treatment
    stack: int = -1
    positions: tuple[int, ...] = ()
    frame_stacks: tuple[int, ...] = ()
    swap: bool = False
    pad: int = 0
    fragments: FrameFragments | None = None
    version: int = 1
    current: bool = True
    source: str = ""
    stored_bits: StoredBits | None = None


@dataclass(frozen=True, slots=True)
class StackPlan:
    """One array to be written.

    Attributes
    ----------
    shape : tuple of int
        ``(axes…, slices, rows, columns)``, with ``samples`` behind for colour, or before the rows for planes of
        colour (Planar Configuration 1).
    dtype : str
        NumPy name of the words as stored, without byte order: ``"int16"``.
    dimension_names : tuple of str
        One for each axis.
    frame_rank : int
        How many of the last axes make up one frame: 2, or 3 with samples.
    attributes : mapping
        JSON; becomes the attribute ``pacscore`` of the array.
    ome : mapping or None
        One entry of OME-Zarr 0.5 ``multiscales``, without the path of its data set; None when the stack has no
        spacing that OME-Zarr could state.
    """

    shape: tuple[int, ...]
    dtype: str
    dimension_names: tuple[str, ...]
    frame_rank: int = 2
    attributes: Mapping[str, Any] = field(default_factory=dict)
    ome: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """One series to be laid out in one generation.

    ``document`` (the series' attributes) and ``catalog`` (what the archive wants back at a rebuild) are JSON and
    are returned as they were given. ``parent`` is the generation this one follows, or None.
    """

    key: str
    study_instance_uid: str
    series_instance_uid: str
    parent: str | None
    objects: tuple[ObjectPlan, ...]
    stacks: tuple[StackPlan, ...]
    document: Mapping[str, Any]
    strategy: Strategy
    catalog: Mapping[str, Any] = field(default_factory=dict)


class ObjectSource(Protocol):
    """Where the writer gets the objects of a plan from; called from several threads."""

    def read(self, index: int) -> bytes | memoryview:
        """The whole object ``index`` of the plan.

        ``bytes`` (or a view of them) cannot change any more and are read once. Any other view, say of a mapped
        file, may: what was written from it is proven by hashing the stored form again.
        """
        ...


@dataclass(frozen=True, slots=True)
class StagedSeries:
    """One series as it was staged and proven: what the archive puts into its event."""

    key: str
    prefix: str
    sha256: tuple[bytes, ...]
    bytes_in: int
    bytes_stored: int


@dataclass(frozen=True, slots=True)
class StagedGeneration:
    """A generation file that is complete, synced and proven, and not yet visible."""

    path: str
    series: tuple[StagedSeries, ...]
    bytes_stored: int
