"""What threads that receive at the same time share: whose turn it is with a UID, and what is made durable together.

T1  Two who store objects of one SOP Instance UID, threads or processes, take turns from the comparison to the catalog
    row, so that neither can miss the other's object.
T2  Objects are committed in groups: one thread writes what all who wait have brought, makes it durable, then writes
    their rows in one transaction, while the next group is already written and synced. Rows come in the order of the
    groups: who follows the journal passes over a record that has none, and would never come back.
T3  A thread that waits is woken once: when its object is committed, or to commit the next group.
T4  Whatever ends a group, nobody of it is told that their object is there.
T5  A thread that is interrupted stays until its group has ended, so that its turn ends no earlier.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pacscore.errors import RetryError
from pacscore.locks import NumberedLocks

Item = TypeVar("Item")


def _number_of(uid: str) -> int:
    """The number of a UID's lock, the same in every process. Two UIDs of one number would only wait for each other."""
    return int.from_bytes(hashlib.blake2b(uid.encode(), digest_size=8).digest(), "big") >> 2


class Turns:
    """Whose turn it is with a UID; ``others`` is what other processes hold."""

    def __init__(self, others: NumberedLocks) -> None:
        self._others = others
        self._freed = threading.Condition(threading.Lock())
        self._busy: set[int] = set()
        self._waiting = 0

    @contextmanager
    def turn(self, uid: str) -> Iterator[None]:
        """Wait until nobody else is storing an object of that UID, in this process or another."""
        number = _number_of(uid)
        with self._freed:
            self._waiting += 1
            try:
                while number in self._busy:
                    self._freed.wait()
            finally:
                self._waiting -= 1
            self._busy.add(number)
        try:
            with self._others.held(number):
                yield
        finally:
            with self._freed:
                self._busy.discard(number)
                if self._waiting:
                    self._freed.notify_all()


@dataclass(slots=True, eq=False)
class _Call(Generic[Item]):
    """One thread's object. Its lock is held until the thread is to be woken."""

    item: Item
    sleep: threading.Lock = field(default_factory=threading.Lock)
    commits: bool = False
    has_ended: bool = False
    failure: Exception | None = None


class GroupCommits(Generic[Item]):
    """The objects that the threads of one process have brought and want committed (T2).

    Parameters
    ----------
    write
        Writes a group's objects. One group at a time.
    sync
        Makes durable what was written. One group at a time.
    put
        Writes the rows of a group whose ``sync`` has returned; ``write`` and ``sync`` of the next may run beside it.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], None],
        sync: Callable[[Sequence[Item]], None],
        put: Callable[[Sequence[Item]], None],
    ) -> None:
        self._write = write
        self._sync = sync
        self._put = put
        self._lock = threading.Lock()
        self._waiting: list[_Call[Item]] = []
        self._appointed: _Call[Item] | None = None
        self._last_put = threading.Event()
        self._last_put.set()

    @property
    def waiting(self) -> int:
        """How many objects are in no group yet."""
        with self._lock:
            return len(self._waiting)

    def commit(self, item: Item) -> None:
        """Return once an object is durable and has its row.

        Raises
        ------
        StorageError
            Its group was refused. A record that is in the journal gets its row when the archive is opened.
        RetryError
            The thread that committed its group was interrupted.
        """
        call = _Call(item)
        call.sleep.acquire()
        with self._lock:
            self._waiting.append(call)
            self._appoint()
        try:
            call.sleep.acquire()
            if call.commits:
                self._commit_group()
        except BaseException:
            self._leave(call)
            raise
        if call.failure is not None:
            raise call.failure

    def _appoint(self) -> None:
        """Wake the first who waits to commit a group, if nobody is at it. The lock is held."""
        if self._appointed is None and self._waiting:
            self._appointed = self._waiting[0]
            self._appointed.commits = True
            self._appointed.sleep.release()

    def _commit_group(self) -> None:
        """Commit all that wait, the caller's own object among them."""
        own = self._appointed
        group: list[_Call[Item]] = []
        is_put = threading.Event()
        try:
            with self._lock:
                group, self._waiting = self._waiting, []
                before, self._last_put = self._last_put, is_put
            items = [call.item for call in group]
            try:
                self._write(items)
                self._sync(items)
            finally:
                with self._lock:
                    self._appointed = None
                    self._appoint()
            before.wait()
            self._put(items)
        except BaseException as error:
            # Whatever ended it, nobody of this group may be told that their object is there.
            failure = error if isinstance(error, Exception) else RetryError("the receiving thread was interrupted.")
            for call in group:
                call.failure = failure
            if failure is not error:
                raise
        finally:
            is_put.set()
            for call in group:
                call.has_ended = True
                if call is not own:
                    call.sleep.release()

    def _leave(self, call: _Call[Item]) -> None:
        """Let the others go on without a thread that was interrupted (T5)."""
        with self._lock:
            is_in_group = call not in self._waiting
            if not is_in_group:
                self._waiting.remove(call)
            if self._appointed is call:
                self._appointed = None
                self._appoint()
        if is_in_group and not call.has_ended:
            call.sleep.acquire()
