"""What can be sent: an object of the archive, or a file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pydicom

from pacscore.archive.frames import decoded_description
from pacscore.dicom.elements import NeedMore
from pacscore.dicom.scan import Scan, is_dicomdir, scan
from pacscore.dimse.conversion import DecodedFrames, convert
from pacscore.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    from pacscore.archive.instance import Instance

_AHEAD = 2


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

    def data_set_in(self, transfer_syntax_uid: str) -> bytes:
        """Its data set: as it is in its own transfer syntax, else written anew.

        Raises
        ------
        UnsupportedError, UndecodableError
            It cannot be converted.
        """
        ...


@dataclass(frozen=True)
class StoredObject:
    """An instance of the archive."""

    instance: Instance

    @cached_property
    def sop_class_uid(self) -> str:
        """From its header."""
        return str(self.instance.document(("SOPClassUID",)).get("SOPClassUID", ""))

    @property
    def sop_instance_uid(self) -> str:
        """Its name."""
        return self.instance.sop_instance_uid

    @property
    def transfer_syntax_uid(self) -> str:
        """As stored."""
        return self.instance.transfer_syntax_uid

    def data_set_in(self, transfer_syntax_uid: str) -> bytes:
        """The stored bytes, hashed again, or converted ones."""
        if transfer_syntax_uid == self.transfer_syntax_uid:
            return self.instance.dataset_bytes()
        return convert(self.instance.dataset(), self.transfer_syntax_uid, transfer_syntax_uid, self._decoded)

    def _decoded(self, count: int) -> DecodedFrames:
        frames = [self.instance.frame(index) for index in range(count)]
        description = decoded_description(self.instance.series.frames, self.instance.ordinal, 0)
        return DecodedFrames(frames, description.photometric, description.samples)


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

    def data_set_in(self, transfer_syntax_uid: str) -> bytes:
        """The file's bytes behind its file meta, or converted ones."""
        whole = self.path.read_bytes()
        if transfer_syntax_uid == self.transfer_syntax_uid:
            return whole[self.scanned.parts.prefix_length :]
        data_set = pydicom.dcmread(BytesIO(whole), force=True)
        return convert(data_set, self.transfer_syntax_uid, transfer_syntax_uid, _undecoded)


def _undecoded(count: int) -> DecodedFrames:
    raise UnsupportedError(
        "compressed files are not decoded on their way: take them into an archive, and send from it."
    )


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
class _ReadAhead:
    """An object whose stored data set is being read while its predecessor is on its way."""

    one: StoredObject
    reading: Future[bytes]

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

    def data_set_in(self, transfer_syntax_uid: str) -> bytes:
        """What was read, or converted bytes."""
        if transfer_syntax_uid == self.transfer_syntax_uid:
            return self.reading.result()
        return self.one.data_set_in(transfer_syntax_uid)


def read_ahead(objects: Sequence[StoredObject]) -> Iterator[Sendable]:
    """Objects in order, at most two of them read before they are needed: so many are in memory at once."""
    with ThreadPoolExecutor(_AHEAD, thread_name_prefix="read-ahead") as pool:
        waiting: deque[_ReadAhead] = deque()
        for one in objects:
            waiting.append(_ReadAhead(one, pool.submit(one.data_set_in, one.transfer_syntax_uid)))
            if len(waiting) > _AHEAD:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
