"""C-STORE: an object that comes goes into the archive as it is, and is acknowledged when it is durable (promise 1)."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pacscore.archive.report import ReceiveStatus
from pacscore.dimse.association import NodeAssociation, Outcome
from pacscore.dimse.commands import StoreRequest
from pacscore.dimse.configuration import Limits, Right
from pacscore.dimse.lines import tell
from pacscore.dimse.status import (
    NOT_AUTHORIZED,
    OUT_OF_RESOURCES,
    STORE_CANNOT_UNDERSTAND,
    SUCCESS,
    comment_of,
    statuses_of,
)
from pacscore.errors import PacscoreError

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

_SPACE_SECONDS = 1.0


@dataclass(slots=True)
class Counters:
    """What the node has done since it started."""

    associations: int = 0
    refused: int = 0
    stored: int = 0
    stored_bytes: int = 0
    failed: int = 0
    sent: int = 0
    queries: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, **counts: int) -> None:
        """Count."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def as_dict(self) -> dict[str, int]:
        """The same by name."""
        with self._lock:
            return {name: getattr(self, name) for name in self.__slots__ if not name.startswith("_")}


class Receiver:
    """Takes objects into an archive."""

    def __init__(self, archive: Archive, limits: Limits, counters: Counters) -> None:
        self._archive = archive
        self._limits = limits
        self._counters = counters
        self._space_lock = threading.Lock()
        self._space_looked = float("-inf")
        self._has_space = True

    def store(self, association: NodeAssociation, syntax: str, request: StoreRequest, data: Iterable[bytes]) -> Outcome:
        """Take one object.

        Parameters
        ----------
        syntax
            Transfer Syntax UID of the presentation context.
        data
            The data set, in pieces.
        """
        if not association.may(Right.STORE):
            return Outcome(NOT_AUTHORIZED, "this peer may not store")
        try:
            outcome, length = self._store(association, syntax, request, data)
        except (PacscoreError, OSError) as error:
            outcome, length = Outcome(statuses_of(error).store, comment_of(str(error))), 0
        if outcome.status == SUCCESS:
            association.object_count += 1
            association.object_bytes += length
            self._counters.add(stored=1, stored_bytes=length)
        else:
            self._counters.add(failed=1)
            tell(
                "store.failed",
                level=logging.WARNING,
                association=association.number,
                calling=association.calling,
                sop_instance_uid=request.sop_instance_uid,
                status=f"0x{outcome.status:04X}",
                reason=outcome.comment,
            )
        return outcome

    def _store(
        self, association: NodeAssociation, syntax: str, request: StoreRequest, data: Iterable[bytes]
    ) -> tuple[Outcome, int]:
        if not self._space_left():
            return Outcome(OUT_OF_RESOURCES, "the disk is nearly full"), 0
        counted = _Counted(iter(data))
        receipt = self._archive.receive(
            counted, transfer_syntax=syntax, source=f"{association.calling}@{association.address}",
            stated=(request.sop_class_uid, request.sop_instance_uid),
        )  # fmt: skip
        if receipt.status is ReceiveStatus.QUARANTINED:
            return Outcome(STORE_CANNOT_UNDERSTAND, comment_of(receipt.reason)), 0
        return Outcome(SUCCESS), counted.length

    def _space_left(self) -> bool:
        now = time.monotonic()
        with self._space_lock:
            if now - self._space_looked > _SPACE_SECONDS:
                self._has_space = shutil.disk_usage(self._archive.root).free >= self._limits.free_bytes_min
                self._space_looked = now
            return self._has_space


class _Counted(Iterator[bytes]):
    """Pieces, and how long they were together."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.length = 0

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        self.length += len(piece)
        return piece
