"""What an operation says when it is done, as frozen values with ``as_dict()`` for JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Protocol


class Progress(Protocol):
    """Called now and then from the working thread: which phase, how many of how many are done."""

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Take note."""
        ...


def no_progress(phase: str, done: int, total: int) -> None:
    """For callers who do not watch."""


class Reported:
    """The base of all reports."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """The same by name, ready for JSON."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]  # Every report is a dataclass.


@dataclass(frozen=True, slots=True)
class LeftOut(Reported):
    """A file that was not taken, and why. Paths appear because the caller asked for this report."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class IngestReport(Reported):
    """What became of the files of one ingest.

    Attributes
    ----------
    stored, duplicates, versions
        Objects stored anew; identical ones that were there already; same UID with another data set, kept as a further
        version (counted in ``stored`` as well; their UIDs in ``version_uids``).
    quarantined, skipped
        Copied to quarantine because it cannot be parsed; left alone because it is no DICOM object.
    unreadable
        Files and folders that could not be read, or changed meanwhile: mend that and ingest again.
    bytes_in, bytes_stored
        Bytes of the objects stored, and what they take in the archive.
    """

    stored: int
    duplicates: int
    versions: int
    quarantined: tuple[LeftOut, ...]
    skipped: tuple[LeftOut, ...]
    unreadable: tuple[LeftOut, ...]
    version_uids: tuple[str, ...]
    bytes_in: int
    bytes_stored: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SealReport(Reported):
    """What a seal laid out, and the series that could not be read back and were left as they are."""

    series: int
    objects: int
    damaged: tuple[LeftOut, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ExportReport(Reported):
    """What an export wrote."""

    series: int
    objects: int
    bytes_out: int
    seconds: float
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RebuildReport(Reported):
    """What a rebuild catalogued."""

    series: int
    instances: int
    seconds: float


@dataclass(frozen=True, slots=True)
class CollectReport(Reported):
    """What a collection removed: files of superseded generations, and their bytes."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class VerifyFinding(Reported):
    """One thing that is not as it should be."""

    code: str
    message: str
    series_instance_uid: str = ""
    sop_instance_uid: str = ""


@dataclass(frozen=True, slots=True)
class VerifyReport(Reported):
    """What a verification saw."""

    series: int
    objects: int
    findings: tuple[VerifyFinding, ...]
    seconds: float


class ReceiveStatus(StrEnum):
    """What became of one received object."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    VERSION = "version"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Receipt(Reported):
    """The acknowledgement of one received object; given only when it is durable (promise 1)."""

    status: ReceiveStatus
    sop_instance_uid: str
    series_instance_uid: str
    sha256: str
    reason: str = ""
