"""The connections of one open catalog: one that writes, one kept for looking up, and those of readers.

N1  One thread writes at a time. A connection whose transaction failed is never used again: it may be closed, or
    between two states.
N2  After a fork the child touches none of its parent's connections: it opens its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from sqlalchemy import Connection, Engine

from pacscore.catalog import dialect
from pacscore.errors import ReadOnlyError


class Connections:
    """Gives out connections, each to one user at a time."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self._path = path
        self._read_only = read_only
        self._begin()

    def _begin(self) -> None:
        self.engine: Engine = dialect.engine_for(self._path, read_only=self._read_only)
        self._process = os.getpid()
        self._write_lock = RLock()
        self._writing: Connection | None = None
        self._lookup_lock = RLock()
        self._looking: Connection | None = None

    def _own_process(self) -> None:
        if self._process != os.getpid():
            self.engine.dispose(close=False)
            self._begin()

    def close(self) -> None:
        """Close every connection of this process. Harmless when repeated."""
        with self._write_lock, self._lookup_lock:
            own = self._process == os.getpid()
            for kept in filter(None, (self._writing, self._looking) if own else ()):
                kept.close()
            self._writing = self._looking = None
            self.engine.dispose(close=own)

    @contextmanager
    def plain(self) -> Iterator[Connection]:
        """A connection; errors are SQLAlchemy's."""
        self._own_process()
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with."""
        with dialect.errors_translated(), self.plain() as connection:
            yield connection

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """The connection that is kept for looking up: taking one from the pool takes longer than a look."""
        self._own_process()
        with dialect.errors_translated(), self._lookup_lock:
            if self._looking is None:
                self._looking = self.engine.connect()
            try:
                yield self._looking
            except BaseException:
                self._looking.invalidate()  # As in a transaction.
                self._looking = None
                raise

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """The connection that writes, in a transaction; the same object until one fails.

        Raises
        ------
        ReadOnlyError
            The catalog was opened for reading.
        """
        if self._read_only:
            raise ReadOnlyError("The catalog was opened for reading. Open the archive for writing.")
        self._own_process()
        with self._write_lock:
            if self._writing is None:
                self._writing = self.engine.connect()
            try:
                with dialect.transaction(self._writing) as connection:
                    yield connection
            except BaseException:
                self._writing.invalidate()  # N1: the next write opens another.
                self._writing = None
                raise
