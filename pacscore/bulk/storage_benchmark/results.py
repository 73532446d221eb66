"""What a run found, and its JSON (``docs/benchmark.md``)."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pacscore.errors import FormatVersionError, InputError

SCHEMA = "pacscore.storage-benchmark"
VERSION = 1
INTERRUPTED = "interrupted before it was measured"


@dataclass(frozen=True, slots=True)
class DataFact:
    """One series that was measured."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    files: int
    bytes_files: int
    bytes_words: int


@dataclass(frozen=True, slots=True)
class WayFact:
    """One way to store: its settings, and what it takes on the disk."""

    name: str
    what: str
    versions: Mapping[str, str]
    bytes_stored: int
    files: int
    keeps_originals: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of the table: seconds of each round, their median, and where it lies with 95 % (bootstrap)."""

    way: str
    workload: str
    state: str
    seconds: tuple[float, ...]
    low: float
    high: float
    bytes_read: int

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def column(self) -> str:
        """Workload and state."""
        return f"{self.workload}, {self.state}" if self.state == "cold" else self.workload


@dataclass(frozen=True, slots=True)
class Results:
    """A run.

    ``left_out`` says of each way, series or cell that was not measured why.
    """

    made: str
    machine: Mapping[str, str]
    settings: Mapping[str, Any]
    data: tuple[DataFact, ...]
    ways: tuple[WayFact, ...]
    rows: tuple[Row, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def bytes_words(self) -> int:
        """Of all series, uncompressed."""
        return sum(each.bytes_words for each in self.data)

    @property
    def interrupted(self) -> bool:
        """Ctrl-C came before all was measured."""
        return INTERRUPTED in self.left_out.values()

    @property
    def columns(self) -> list[str]:
        """Workloads and states, in their order."""
        return list(dict.fromkeys(row.column for row in self.rows))

    def cell(self, way: str, column: str) -> Row | None:
        """One cell, if it was measured."""
        return next((row for row in self.rows if row.way == way and row.column == column), None)

    def save(self, path: Path) -> None:
        """Write the JSON."""
        values = {"schema": SCHEMA, "version": VERSION, **asdict(self)}
        values["rows"] = [{**asdict(row), "median": row.median} for row in self.rows]
        path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", "utf-8")


def load_results(path: Path) -> Results:
    """Read what ``save`` wrote.

    Raises
    ------
    InputError
        It is no such file.
    FormatVersionError
        A newer pacscore wrote it.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
        if values["schema"] != SCHEMA:
            raise InputError(f"{path.name} is not the result of a storage benchmark.", path=str(path))
        if values["version"] > VERSION:
            raise FormatVersionError(
                f"{path.name} has version {values['version']}; this pacscore reads up to {VERSION}.", path=str(path)
            )
        return Results(
            made=values["made"],
            machine=values["machine"],
            settings=values["settings"],
            data=tuple(DataFact(**_known(DataFact, each)) for each in values["data"]),
            ways=tuple(WayFact(**_known(WayFact, each)) for each in values["ways"]),
            rows=tuple(Row(**{**_known(Row, each), "seconds": tuple(each["seconds"])}) for each in values["rows"]),
            left_out=values["left_out"],
        )
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} cannot be read.", path=str(path)) from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path.name} is not the result of a storage benchmark.", path=str(path)) from error


def _known(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    known: Sequence[str] = kind.__slots__
    found = {name: values[name] for name in known}
    return {**found, "shape": tuple(found["shape"])} if "shape" in found else found
