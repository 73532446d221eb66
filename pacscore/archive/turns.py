"""What threads that receive objects at the same time share: whose turn it is with a UID, and the rows to be written.

T1  Two who store objects of one SOP Instance UID, threads or processes, take turns from the comparison to the catalog
    row, so that neither can miss the other's object.
T2  Rows are written in groups, like the journal's syncs: whoever finds no writer at work writes all that wait.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pacscore.catalog import Catalog, ReceivedRow
from pacscore.errors import RetryError
from pacscore.locks import NumberedLocks


@dataclass(slots=True)
class _Group:
    """Rows that are written in one transaction, and what became of it."""

    rows: list[ReceivedRow] = field(default_factory=list)
    done: bool = False
    failure: Exception | None = None


def _number_of(uid: str) -> int:
    """The number of a UID's lock, the same in every process. Two UIDs of one number would only wait for each other."""
    return int.from_bytes(hashlib.blake2b(uid.encode(), digest_size=8).digest(), "big") >> 2


class Receiving:
    """What the threads that receive share: whose turn it is with a UID, and the rows to be written."""

    def __init__(self, catalog: Catalog, others: NumberedLocks) -> None:
        self._catalog = catalog
        self._others = others
        self._turns: dict[int, threading.Lock] = {}
        self._turn_users: dict[int, int] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._group = _Group()
        self._writing = False

    @contextmanager
    def turn(self, uid: str) -> Iterator[None]:
        """Wait until nobody else is storing an object of that UID, in this process or another."""
        number = _number_of(uid)
        with self._lock:
            lock = self._turns.setdefault(number, threading.Lock())
            self._turn_users[number] = self._turn_users.get(number, 0) + 1
        try:
            with lock, self._others.held(number):
                yield
        finally:
            with self._lock:
                self._turn_users[number] -= 1
                if not self._turn_users[number]:
                    del self._turn_users[number], self._turns[number]

    def put(self, row: ReceivedRow) -> None:
        """Write a row into the catalog, together with those of other threads that wait; return when it is written.

        Raises
        ------
        StorageError
            The catalog refused the group. The record is in the journal and gets its row when the archive is opened.
        """
        with self._changed:
            group = self._group
            group.rows.append(row)
            while not group.done:
                if self._writing:
                    self._changed.wait()
                    continue
                self._write_group()
            if group.failure is not None:
                raise group.failure

    def _write_group(self) -> None:
        group, self._group = self._group, _Group()
        self._writing = True
        self._lock.release()
        try:
            self._catalog.put_received(group.rows)
        except BaseException as error:
            # Whatever ended it, nobody who waits for this group may be told that their row is there.
            group.failure = (
                error if isinstance(error, Exception) else RetryError("the catalog's writer was interrupted.")
            )
            raise
        finally:
            self._lock.acquire()
            self._writing = False
            group.done = True
            self._changed.notify_all()
