"""The record of a run: what is done, so that a killed run goes on where it stopped.

    RUN/run.json         what the run is: selection, function, parameters; written once
    RUN/done.log         one line for each item that ended, and for each time the run was started
    RUN/results/         arrays and pictures
    RUN/values.parquet   the values of all items, made of the record at the end of the run
    RUN/report.json      what the run came to

R1  A line is the CRC32C of its text as eight hexadecimal digits, a space, the text (JSON), a line end. It exists only
    if they agree. Behind the last valid line may lie a torn one, which a resumed run drops; damage anywhere else is an
    error, since what it said would be computed again, or be lost.
R2  An item is done once its line is synced; until then it is not told to the caller. Files it names are synced before.
R3  A run folder is used by one process at a time, which holds its lock.
R4  A volume that becomes a derived series is announced before it is stored, with the place of the event log, and
    carries the run's token in its derivation. So a run that was killed between storing and recording finds the series
    again and stores no second one.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import google_crc32c

from pacscore.archive.selection import Selection
from pacscore.bulk.keeping import RESULTS
from pacscore.bulk.outcomes import Kind, Outcome, Status
from pacscore.errors import DamagedError, InputError, RetryError, StorageError
from pacscore.filesystem import PENDING_PREFIX, LocalFileSystem, WritableFile
from pacscore.locks import Lock

IDENTITY, LOG, LOCK, REPORT, VALUES = "run.json", "done.log", "run.lock", "report.json", "values.parquet"
_FORMAT = 1
_MADE_OF = ("selection", "function", "source_sha256", "parameters", "take", "stack", "volumes")


@dataclass(slots=True)
class Recorded:
    """What a record says.

    Attributes
    ----------
    outcomes : dict of int to Outcome
        The items that ended; of those tried again the last outcome.
    sessions : list of dict
        Library versions, one for each time the run was started.
    session_of : dict of int to int
        Which of them an item was done in.
    announced : dict of int to str
        Items whose volume was about to be stored and of which nothing is said since: the place in the event log.
    """

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    sessions: list[dict[str, Any]] = field(default_factory=list)
    session_of: dict[int, int] = field(default_factory=dict)
    announced: dict[int, str] = field(default_factory=dict)

    def take(self, line: Mapping[str, Any]) -> None:
        """Mind one more line."""
        if "session" in line:
            self.sessions.append(dict(line["session"]))
        elif "storing" in line:
            self.announced[line["storing"]] = line["position"]
        else:
            outcome = _outcome_of(line)
            self.outcomes[outcome.index] = outcome
            self.session_of[outcome.index] = len(self.sessions) - 1
            self.announced.pop(outcome.index, None)


class Record:
    """The record of one run, open for adding to it."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], recorded: Recorded, log: WritableFile, lock: Lock):
        self.folder = folder
        self.token = str(identity["token"])
        self._identity = identity
        self.recorded = recorded
        self._log = log
        self._lock = lock

    @staticmethod
    def check(folder: Path, wanted: Mapping[str, Any], *, resume: bool) -> None:
        """Refuse a folder that ``open`` would refuse, without a lock and without a change.

        Raises
        ------
        InputError
            As ``open``.
        """
        if (folder / IDENTITY).exists():
            _refuse_other(folder, _identity(folder), json.loads(json.dumps(wanted)), resume=resume)
        elif folder.is_dir():
            _refuse_full(folder)

    @classmethod
    def open(cls, folder: Path, wanted: Mapping[str, Any], *, resume: bool, versions: Mapping[str, str]) -> Record:
        """Start a run in a new or empty folder, or go on with the one there.

        Parameters
        ----------
        wanted
            What the run is, by the names of ``run.json``.
        resume
            Whether a folder that holds a run may be gone on with.

        Raises
        ------
        InputError
            The folder holds something else, or a run of another function, selection or parameters.
        RetryError
            Another process uses it.
        DamagedError
            The record is damaged.
        """
        seam = LocalFileSystem()
        wanted = json.loads(json.dumps(wanted))
        lock = _lock(folder, seam)
        try:
            if not (folder / IDENTITY).exists():
                _refuse_full(folder)
                identity = _begin(folder, wanted, seam)
            else:
                identity = _identity(folder)
                _refuse_other(folder, identity, wanted, resume=resume)
            recorded = read_record(folder, cut=seam)
            log = seam.open_append(folder / LOG)
            record = cls(folder, identity, recorded, log, lock)
            record.add([{"session": {"time": time.time(), "versions": dict(versions)}}])
        except BaseException:
            lock.release()
            raise
        recorded.sessions.append({"time": time.time(), "versions": dict(versions)})
        return record

    def add(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Add lines, and return when they are on the disk (R2)."""
        text = b"".join(_encoded(line) for line in lines)
        if text:
            self._log.append(text)
            self._log.sync()

    def add_outcomes(self, outcomes: Iterable[Outcome]) -> None:
        """Record items that ended."""
        outcomes = list(outcomes)
        self.add(_line_of(outcome) for outcome in outcomes)
        for outcome in outcomes:
            self.recorded.outcomes[outcome.index] = outcome
            self.recorded.session_of[outcome.index] = len(self.recorded.sessions) - 1

    def announce(self, index: int, position: str) -> None:
        """Say that the volume of an item is about to be stored (R4)."""
        self.add([{"storing": index, "position": position}])

    def about(self) -> dict[str, Any]:
        """What made all results: function, parameters, and the versions of each time the run was started, once each."""
        found = {key: self._identity[key] for key in ("function", "source_sha256", "parameters")}
        versions: list[Any] = []
        for session in self.recorded.sessions:
            if session["versions"] not in versions:
                versions.append(session["versions"])
        return {**found, "versions": versions}

    def publish(self, name: str, data: bytes) -> Path:
        """Make a file of the run folder appear whole."""
        LocalFileSystem().publish(self.folder / name, data)
        return self.folder / name

    def close(self) -> None:
        """Close the log and give the folder free; a second call does nothing."""
        self._log.close()
        self._lock.release()


def selection_of(run: Path | str) -> Selection:
    """The selection that a run folder was started with: to go on with it when the archive holds more by now.

    Raises
    ------
    InputError
        The folder holds no run, or one of a newer pacscore.
    """
    folder = Path(run)
    if not (folder / IDENTITY).exists():
        raise InputError("The folder holds no run.", path=str(folder))
    return Selection.from_dict(_identity(folder)["selection"])


def read_record(folder: Path, *, cut: LocalFileSystem | None = None) -> Recorded:
    """What the record of a run says.

    Parameters
    ----------
    cut
        Drop a torn line at the end; otherwise it is passed over.

    Raises
    ------
    DamagedError
        A line in the middle is damaged (R1).
    """
    try:
        content = (folder / LOG).read_bytes()
    except OSError as error:
        raise StorageError(f"The record of the run cannot be read: {error.strerror}.", path=str(folder)) from error
    recorded, valid = Recorded(), 0
    for number, (line, end) in enumerate(_lines(content), 1):
        if line is None:
            continue
        if valid != end[0]:
            raise DamagedError(
                f"Line {number - 1} of {LOG} is damaged, and others follow it: restore a copy, or start a new run.",
                path=str(folder),
            )
        recorded.take(line)
        valid = end[1]
    if cut is not None and valid < len(content):
        cut.truncate(folder / LOG, valid)
    return recorded


def _lines(content: bytes) -> Iterator[tuple[Any, tuple[int, int]]]:
    """Each line with where it begins and ends; None in place of one that is not valid."""
    start = 0
    while start < len(content):
        stop = content.find(b"\n", start) + 1 or len(content)
        yield _decoded(content[start:stop]), (start, stop)
        start = stop


def _encoded(line: Mapping[str, Any]) -> bytes:
    text = json.dumps(line, separators=(",", ":")).encode()
    return b"%08x %s\n" % (google_crc32c.value(text), text)


def _decoded(line: bytes) -> Any:
    if not line.endswith(b"\n") or len(line) < 10:
        return None
    text = line[9:-1]
    try:
        return json.loads(text) if int(line[:8], 16) == google_crc32c.value(text) else None
    except ValueError:
        return None


def _line_of(outcome: Outcome) -> dict[str, Any]:
    line: dict[str, Any] = {
        "index": outcome.index,
        "status": outcome.status.value,
        "seconds": round(outcome.seconds, 6),
        "generation": outcome.generation,
    }
    if outcome.status is Status.DONE:
        return line | {"kind": outcome.kind.value, "value": outcome.value}
    return line | {"error": outcome.error, "trace": outcome.trace}


def _outcome_of(line: Mapping[str, Any]) -> Outcome:
    return Outcome(
        line["index"],
        Status(line["status"]),
        line.get("value"),
        Kind(line.get("kind", Kind.VALUE.value)),
        line.get("error", ""),
        line.get("trace", ""),
        line["seconds"],
        line["generation"],
    )


def _lock(folder: Path, seam: LocalFileSystem) -> Lock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The run folder cannot be made: {error.strerror}.", path=str(folder)) from error
    try:
        return seam.lock(folder / LOCK, wait_seconds=0.0)
    except RetryError as error:
        raise RetryError("Another process works in this run folder. Wait for it, or name another.") from error


def _refuse_full(folder: Path) -> None:
    """Refuse a folder without a run that holds more than a start that was interrupted leaves."""
    names = {path.name for path in folder.iterdir()} - {LOCK, LOG, RESULTS}
    if any(not name.startswith(PENDING_PREFIX) for name in names):
        raise InputError("The folder is not empty, and holds no run: name a new one.", path=str(folder))


def _begin(folder: Path, wanted: Mapping[str, Any], seam: LocalFileSystem) -> dict[str, Any]:
    identity = {"format": _FORMAT, "token": secrets.token_hex(8), **wanted}
    seam.make_folder(folder / RESULTS, exist_ok=True)
    seam.publish(folder / LOG, b"")
    seam.publish(folder / IDENTITY, json.dumps(identity, indent=1).encode())
    return identity


def _identity(folder: Path) -> dict[str, Any]:
    try:
        identity: dict[str, Any] = json.loads((folder / IDENTITY).read_text("utf-8"))
        newer = identity["format"] > _FORMAT
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{IDENTITY} of the run cannot be read: start a new run.", path=str(folder)) from error
    if newer:
        raise InputError("A newer pacscore made this run: install it to go on.", path=str(folder))
    return identity


def _refuse_other(folder: Path, identity: Mapping[str, Any], wanted: Mapping[str, Any], *, resume: bool) -> None:
    if not resume:
        raise InputError(
            "The folder holds a run already: go on with it (--resume, resume=True), or name another.", path=str(folder)
        )
    names = {"source_sha256": "source of the function", "selection": "selection (bulk.selection_of gives its own)"}
    changed = [names.get(key, key) for key in _MADE_OF if identity.get(key) != wanted.get(key)]
    if changed:
        raise InputError(
            f"The folder holds a run with another {', '.join(changed)}: what is done there was done otherwise. Name a "
            "new folder.",
            path=str(folder),
            found=changed,
        )
