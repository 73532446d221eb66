"""What can be sent: an object of the archive, or a file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pydicom

from pacscore.archive.frames import decoded_description
from pacscore.archive.outgoing import Outgoing, cut_runs, read_data_set, read_run
from pacscore.dicom.elements import NeedMore
from pacscore.dicom.scan import Scan, is_dicomdir, scan
from pacscore.dimse.conversion import DecodedFrames, convert
from pacscore.errors import InputError, PacscoreError, UnsupportedError

if TYPE_CHECKING:
    from pacscore.archive.instance import Instance
    from pacscore.dimse.association import AcceptedContext

_RUNS_AHEAD = 2


class Sendable(Protocol):
    """One object on its way out."""

    @property
    def sop_class_uid(self) -> str:
        """SOP Class UID (0008,0016)."""
        ...

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID (0008,0018)."""
        ...

    @property
    def transfer_syntax_uid(self) -> str:
        """How its data set is encoded."""
        ...

    def outgoing_in(self, transfer_syntax_uid: str) -> Outgoing:
        """Its data set: as it is in its own transfer syntax, else written anew.

        Raises
        ------
        UnsupportedError, UndecodableError
            It cannot be converted.
        DamagedError, StorageError
            It cannot be read.
        """
        ...


@dataclass(frozen=True)
class StoredObject:
    """An instance of the archive."""

    instance: Instance

    @property
    def sop_class_uid(self) -> str:
        """As stored."""
        return self.instance.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """Its name."""
        return self.instance.sop_instance_uid

    @property
    def transfer_syntax_uid(self) -> str:
        """As stored."""
        return self.instance.transfer_syntax_uid

    def outgoing_in(self, transfer_syntax_uid: str) -> Outgoing:
        """The stored bytes, or converted ones."""
        if transfer_syntax_uid == self.transfer_syntax_uid:
            return read_data_set(self.instance)
        return _made(convert(self.instance.dataset(), self.transfer_syntax_uid, transfer_syntax_uid, self._decoded))

    def _decoded(self, count: int) -> DecodedFrames:
        frames = [self.instance.frame(index) for index in range(count)]
        description = decoded_description(self.instance.series.frames, self.instance.ordinal, 0)
        return DecodedFrames(frames, description)


@dataclass(frozen=True)
class FileObject:
    """A DICOM file, read when it is sent; a compressed one goes only where its own transfer syntax is taken."""

    path: Path
    scanned: Scan

    @property
    def sop_class_uid(self) -> str:
        """From its data set."""
        return self.scanned.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """Its name."""
        return self.scanned.sop_instance_uid

    @property
    def transfer_syntax_uid(self) -> str:
        """As its file meta states, or as proven."""
        return self.scanned.parts.transfer_syntax_uid

    def outgoing_in(self, transfer_syntax_uid: str) -> Outgoing:
        """The file's bytes behind its file meta, or converted ones."""
        whole = self.path.read_bytes()
        if transfer_syntax_uid == self.transfer_syntax_uid:
            return _made(memoryview(whole)[self.scanned.parts.prefix_length :])
        data_set = pydicom.dcmread(BytesIO(whole), force=True)
        return _made(convert(data_set, self.transfer_syntax_uid, transfer_syntax_uid, _undecoded))


def _made(data: bytes | memoryview) -> Outgoing:
    return Outgoing(len(data), (data,))


def _undecoded(count: int) -> DecodedFrames:
    raise UnsupportedError(
        "compressed files are not decoded on their way: take them into an archive, and send from it."
    )


def prepare(one: Sendable, contexts: Sequence[AcceptedContext]) -> tuple[AcceptedContext, Outgoing]:
    """An object as the peer takes it, and the context for it: the first of those given that it can be made for.

    Raises
    ------
    UnsupportedError, UndecodableError
        It can be made for none of them.
    """
    for context in contexts[:-1]:
        with suppress(UnsupportedError):
            return context, one.outgoing_in(context.transfer_syntax_uid)
    return contexts[-1], one.outgoing_in(contexts[-1].transfer_syntax_uid)


def files_to_send(paths: Iterable[Path]) -> Iterator[FileObject | tuple[Path, str]]:
    """The DICOM objects among files and in folders; a file that is none comes as its path with the reason."""
    for path in paths:
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if not each.is_file():
                continue
            try:
                scanned = scan(each.read_bytes())
            except (InputError, NeedMore) as error:
                yield each, str(error)
                continue
            if is_dicomdir(scanned) or not scanned.sop_instance_uid:
                yield each, "no object to send"
            else:
                yield FileObject(each, scanned)


@dataclass(frozen=True)
class _Ready:
    """An object whose stored data set was read before it is asked for; it is given out once."""

    one: StoredObject
    found: Outgoing | PacscoreError

    @property
    def sop_class_uid(self) -> str:
        """As the object's."""
        return self.one.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """As the object's."""
        return self.one.sop_instance_uid

    @property
    def transfer_syntax_uid(self) -> str:
        """As the object's."""
        return self.one.transfer_syntax_uid

    def outgoing_in(self, transfer_syntax_uid: str) -> Outgoing:
        """What was read, or converted bytes."""
        if transfer_syntax_uid != self.transfer_syntax_uid:
            return self.one.outgoing_in(transfer_syntax_uid)
        if isinstance(self.found, PacscoreError):
            raise self.found
        return self.found


def read_ahead(objects: Sequence[Sendable]) -> Iterator[Sendable]:
    """Objects in order; those of the archive are read some runs ahead, in a thread beside.

    While one is on its way the next are decoded, run by run: at most ``_RUNS_AHEAD`` runs are in memory besides the one
    that is going out. Files are read by the system.
    """
    stored = [each for each in objects if isinstance(each, StoredObject)]
    if len(stored) < len(objects) or len(stored) == 1:
        yield from objects
        return
    by_instance = {id(each.instance): each for each in stored}
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        waiting: deque[tuple[list[Instance], Future[list[Outgoing | PacscoreError]]]] = deque()
        for run in cut_runs([each.instance for each in stored]):
            waiting.append((run, pool.submit(read_run, run)))
            if len(waiting) > _RUNS_AHEAD:
                yield from _taken(*waiting.popleft(), by_instance)
        while waiting:
            yield from _taken(*waiting.popleft(), by_instance)


def _taken(
    run: list[Instance], reading: Future[list[Outgoing | PacscoreError]], objects: Mapping[int, StoredObject]
) -> Iterator[Sendable]:
    for instance, found in zip(run, reading.result(), strict=True):
        yield _Ready(objects[id(instance)], found)
