"""What becomes of the items of a run, as values: an outcome from the worker, a result for the caller, a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pacscore.archive.report import Reported
from pacscore.archive.selection import SelectedSeries


class Status(StrEnum):
    """How an item ended."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed out"


class Kind(StrEnum):
    """What a result is."""

    VALUE = "value"
    """Numbers, text, lists and mappings of them; without a run folder, whatever the function gave."""
    ARRAY = "array"
    """A Zarr array in the run folder; the value is its path there."""
    PICTURE = "picture"
    """A PNG in the run folder; the value is its path there."""
    VOLUME = "volume"
    """A volume on its way into the archive."""
    SERIES = "series"
    """A derived series in the archive; the value is its Series Instance UID."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worker says of one item. ``trace`` is where an error was raised, or where a hanging item stood."""

    index: int
    status: Status
    value: Any = None
    kind: Kind = Kind.VALUE
    error: str = ""
    trace: str = ""
    seconds: float = 0.0
    generation: str = ""


@dataclass(frozen=True, slots=True)
class Provenance(Reported):
    """From what, by what and with what a result was made.

    Attributes
    ----------
    generation : str
        What was read; "" for a series that waited in the journal. Of a group those of its series, by commas.
    function, source_sha256 : str
        ``module:name``, and the hash of its source alone: what it calls is named by the versions, or not at all.
    parameters, versions : mapping
        What it was given beside the volume; of Python, pacscore, NumPy and Numba, by name.
    """

    generation: str
    function: str
    source_sha256: str
    parameters: Mapping[str, Any]
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Result:
    """One item of a run.

    Attributes
    ----------
    index : int
        In the selection, or of the group in ``selection.groups()``.
    item : SelectedSeries
        Which series; of a group what its series share, with "" for the Series Instance UID.
    status : Status
        ``done``, ``failed`` or ``timed out``.
    value, kind
        What the function gave, or where it was put; see ``Kind``.
    error, trace : str
        Kind and message of the error, and its traceback; "" where there is none.
    seconds : float
        Opening, function, and writing what it gave.
    provenance : Provenance
        From what and by what it was made.
    resumed : bool
        It was recorded by an earlier run in the same folder, and not computed again.
    """

    index: int
    item: SelectedSeries
    status: Status
    value: Any
    kind: Kind
    error: str
    trace: str
    seconds: float
    provenance: Provenance
    resumed: bool = False

    @property
    def is_done(self) -> bool:
        """The function came to its end."""
        return self.status is Status.DONE


@dataclass(frozen=True, slots=True)
class Failure(Reported):
    """An item that gave no result."""

    index: int
    series_instance_uid: str
    status: str
    error: str
    trace: str


@dataclass(frozen=True, slots=True)
class MapReport(Reported):
    """What a run came to.

    Attributes
    ----------
    total, done, failed, timed_out, resumed, left : int
        Items; ``resumed`` of them were there already, ``left`` were not begun because the run was cancelled.
    failures : tuple of Failure
        The items without a result, in their order, at most the first thousand.
    seconds, rate : float
        Of this run, and items it finished per second.
    out, values : str
        The run folder and the Parquet file in it; "" where there is none.
    """

    total: int
    done: int
    failed: int
    timed_out: int
    resumed: int
    left: int
    seconds: float
    rate: float
    failures: tuple[Failure, ...] = field(default=())
    out: str = ""
    values: str = ""
