"""What a peer has confirmed, kept in a small file, so that a sending that was cut off goes on where it was.

The first line names the peer; each further one is the SOP Instance UID of an object that it has confirmed. A line is
written when the answer came, so after a crash at most the last few objects are sent again, which a peer bears.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO

from pacscore.dimse.connecting import Address
from pacscore.dimse.objects import Sendable
from pacscore.errors import InputError, StorageError


class SentRecord:
    """The record of one sending to one peer; use it as a context manager.

    Raises
    ------
    InputError
        The file is no such record, or is about another peer.
    StorageError
        It cannot be read or written.
    """

    def __init__(self, path: Path, address: Address) -> None:
        self._path = path
        self._peer = {"host": address.host, "port": address.port, "ae_title": address.ae_title}
        self._sent = self._read()
        try:
            self._file: TextIO = path.open("a", encoding="ascii")
        except OSError as error:
            raise StorageError(f"the record cannot be written: {error.strerror}.", path=str(path)) from error
        if not self._file.tell():
            self._file.write(json.dumps(self._peer) + "\n")

    def __enter__(self) -> SentRecord:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def count(self) -> int:
        """How many objects the peer has confirmed."""
        return len(self._sent)

    def left(self, objects: Sequence[Sendable]) -> list[Sendable]:
        """Those of some objects that the peer has not confirmed."""
        return [each for each in objects if each.sop_instance_uid not in self._sent]

    def add(self, sop_instance_uid: str) -> None:
        """Note that the peer has confirmed an object."""
        self._sent.add(sop_instance_uid)
        self._file.write(sop_instance_uid + "\n")
        self._file.flush()

    def finish(self) -> None:
        """Forget it: everything has arrived."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _read(self) -> set[str]:
        try:
            text = self._path.read_text("ascii")
        except FileNotFoundError:
            return set()
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError("the record of what was sent cannot be read.", path=str(self._path)) from error
        whole = text[: text.rfind("\n") + 1]  # A last line that was cut off counts for nothing.
        lines = whole.splitlines()
        if not lines:
            return set()
        try:
            peer = json.loads(lines[0])
        except ValueError as error:
            raise InputError("the file is no record of a sending. Name another one.", path=str(self._path)) from error
        if peer != self._peer:
            raise InputError(
                "the record is about another node. Name another file, or remove it.",
                path=str(self._path),
                expected=self._peer,
                found=peer,
            )
        return set(lines[1:])
