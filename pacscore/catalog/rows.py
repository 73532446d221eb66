"""The values that go into the catalog and come out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

Value: TypeAlias = "str | int | float | list[Value] | dict[str, Value] | None"
Document: TypeAlias = Mapping[str, Value]


class ReceivedRow(NamedTuple):
    """One instance that lies in the journal.

    Attributes
    ----------
    key : str
        The series key.
    position : str
        Where the journal holds it; unique.
    document : Document
        Its values of ``CATALOG_KEYWORDS`` (more do no harm and are not kept).
    digest : bytes
        SHA-256 of its data set.
    transfer_syntax_uid : str
        With ``digest`` the identity of the object.
    version, current
        As the archive decided after ``Catalog.lookup``.
    length : int
        Bytes of the whole object.
    """

    key: str
    position: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    document: Document
    digest: bytes
    transfer_syntax_uid: str
    version: int = 1
    current: bool = True
    length: int = 0


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One sealed series.

    Attributes
    ----------
    document : Document
        The attributes that are equal in all its current instances; of the ``STUDY_KEYWORDS`` and ``SERIES_KEYWORDS``
        that vary, also the value of the instance with the smallest SOP Instance UID that has one.
    varying : tuple of str
        The keywords that vary over its instances, those of the second kind included.
    generation : str
        Where the store holds it; opaque here.
    verdict : str
        The series' geometry verdict, ``geometry=`` in queries.
    kinds : tuple of str
        The kinds of its stacks.
    stated_by : str
        The smallest SOP Instance UID: late instances are compared with it.
    """

    key: str
    study_instance_uid: str
    series_instance_uid: str
    document: Document
    generation: str
    varying: tuple[str, ...] = ()
    verdict: str = "none"
    kinds: tuple[str, ...] = ()
    frame_count: int = 0
    bytes_original: int = 0
    bytes_stored: int = 0
    strategy: str = ""
    stated_by: str = ""


@dataclass(frozen=True, slots=True)
class InstanceColumns:
    """The instances of one series, column by column; the ordinal is the index.

    ``sop_class_uids`` may have one entry for all. Empty columns mean "not stated" (``versions`` 1, ``current`` true).
    """

    sop_instance_uids: Sequence[str]
    sop_class_uids: Sequence[str] = ()
    instance_numbers: Sequence[int | None] = ()
    rows: Sequence[int | None] = ()
    columns: Sequence[int | None] = ()
    bits: Sequence[int | None] = ()
    frames: Sequence[int | None] = ()
    versions: Sequence[int] = ()
    current: Sequence[bool] = ()


@dataclass(frozen=True, slots=True)
class Location:
    """Where an instance lies: ``position`` in the journal, or ``ordinal`` in ``generation``.

    Found by a 64-bit hash of the SOP Instance UID: for a sealed instance the caller compares the UID with the manifest.
    ``digest`` is empty for sealed ones (the manifest has it).
    """

    key: str
    study_instance_uid: str
    series_instance_uid: str
    version: int
    current: bool
    ordinal: int | None = None
    generation: str | None = None
    position: str | None = None
    digest: bytes = b""
    transfer_syntax_uid: str = ""


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """A series as the catalog knows it. ``state`` is ``journal``, ``sealed``, or ``both`` (late instances wait)."""

    key: str
    study_instance_uid: str
    series_instance_uid: str
    generation: str | None
    state: str
    verdict: str
    kinds: tuple[str, ...]
    instance_count: int
    journal_count: int
    frame_count: int
    bytes_original: int
    bytes_stored: int
    strategy: str
    varying: tuple[str, ...] = field(default=())
    document: Document = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is."""

    patients: int
    studies: int
    series: int
    instances: int
    journal_instances: int
    bytes_original: int
    bytes_stored: int
