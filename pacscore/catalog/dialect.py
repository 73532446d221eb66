"""What only SQLite knows: connections, pragmas, the trigram index, functions in SQL, plans.

Another database gets a module with these same functions.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Index, Select, Table, create_engine, select
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql.elements import ColumnElement, UnaryExpression
from sqlalchemy.sql.operators import custom_op

from pacscore.catalog.attributes import BY_KEYWORD, TRIGRAM_SERIES, TRIGRAM_STUDY
from pacscore.catalog.schema import SEARCH_INDEXES
from pacscore.errors import (
    CancelledError,
    DamagedError,
    ReadOnlyError,
    RetryError,
    StorageError,
    StorageFullError,
    UnsupportedError,
)

BUSY_SECONDS = 60.0
CACHE_KIB = 64 * 1024
_BULK_CACHE_KIB = 512 * 1024
MAPPED_BYTES = 4 << 30
# Longer documents (functional groups of thousands of frames) are deflated: under this, SQL reads them three times
# as fast as a function of ours could.
PLAIN_BYTES_MAX = 16 * 1024
_INSERT_ROWS = 16  # In one statement.
_INTERRUPT_OPERATIONS = 20_000
_VERSION_MIN = (3, 34, 0)  # The trigram tokenizer.


def engine_for(path: Path, *, read_only: bool) -> Engine:
    """An engine whose connections are set up once and are in autocommit until a transaction is begun by name."""
    if sqlite3.sqlite_version_info < _VERSION_MIN:
        raise UnsupportedError(
            f"The catalog needs SQLite {'.'.join(map(str, _VERSION_MIN))} or newer: Python was built with "
            f"{sqlite3.sqlite_version}. Use another build of Python.",
            expected=_VERSION_MIN,
            found=sqlite3.sqlite_version,
        )
    name = _uri(path, read_only=read_only)

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            name, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.create_function("document_text", 1, document_text, deterministic=True)
        for pragma in _pragmas(read_only=read_only):
            connection.execute(pragma)
        return connection

    # No reset on return: the driver is in autocommit mode and `transaction` ends what it begins, so there is nothing to
    # roll back; and a reset that Ctrl-C meets is logged with a traceback.
    return create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, pool_size=8, max_overflow=-1, pool_reset_on_return=None
    )


def _uri(path: Path, *, read_only: bool) -> str:
    name = f"file:{quote(os.fspath(path.resolve()))}?mode={'ro' if read_only else 'rwc'}"
    if read_only and not os.access(path.resolve().parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists():
        return name + "&immutable=1"  # Even a reader of a WAL needs a file beside it; nobody can be writing here.
    return name


def _pragmas(*, read_only: bool) -> Iterator[str]:
    if not read_only:
        yield "PRAGMA page_size = 4096"
        yield "PRAGMA journal_mode = WAL"
        # The catalog is derived: what a power cut takes from its log is read again from the journal and the events.
        yield "PRAGMA synchronous = NORMAL"
        yield "PRAGMA wal_autocheckpoint = 4000"
        yield "PRAGMA journal_size_limit = 67108864"
    else:
        yield "PRAGMA query_only = ON"
    yield f"PRAGMA cache_size = -{CACHE_KIB}"
    yield f"PRAGMA mmap_size = {MAPPED_BYTES}"
    yield "PRAGMA temp_store = MEMORY"


def pack_document(text: str) -> str | bytes:
    """The stored form of a document's JSON text."""
    if len(text) <= PLAIN_BYTES_MAX:
        return text
    return zlib.compress(text.encode(), 1)


def document_text(stored: str | bytes | None) -> str | None:
    """The JSON text of a stored document."""
    if stored is None or isinstance(stored, str):
        return stored
    return zlib.decompress(stored).decode()


def trigram_tables() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Name of each trigram index, the table it follows, and the columns in it."""
    for table, keywords in (("study", TRIGRAM_STUDY), ("series", TRIGRAM_SERIES)):
        yield f"{table}_trigram", table, tuple(BY_KEYWORD[keyword].folded_column for keyword in keywords)


def create_trigram_tables(connection: Connection) -> None:
    """Make the trigram indexes; they follow their tables by triggers."""
    for name, table, columns in trigram_tables():
        connection.exec_driver_sql(
            f"CREATE VIRTUAL TABLE {name} USING fts5({', '.join(columns)}, content='{table}', content_rowid='id', "
            "tokenize='trigram', detail=none, columnsize=0)"
        )
    create_trigram_triggers(connection)


def create_trigram_triggers(connection: Connection) -> None:
    """Let the trigram indexes follow every change of their tables."""
    for name, table, columns in trigram_tables():
        listed = ", ".join(columns)
        new = ", ".join(f"new.{column}" for column in columns)
        old = ", ".join(f"old.{column}" for column in columns)
        add = f"INSERT INTO {name} (rowid, {listed}) VALUES (new.id, {new});"
        drop = f"INSERT INTO {name} ({name}, rowid, {listed}) VALUES ('delete', old.id, {old});"
        changed = " OR ".join(f"old.{column} IS NOT new.{column}" for column in columns)
        connection.exec_driver_sql(f"CREATE TRIGGER {name}_insert AFTER INSERT ON {table} BEGIN {add} END")
        connection.exec_driver_sql(f"CREATE TRIGGER {name}_delete AFTER DELETE ON {table} BEGIN {drop} END")
        connection.exec_driver_sql(
            f"CREATE TRIGGER {name}_update AFTER UPDATE OF {listed} ON {table} WHEN {changed} BEGIN {drop} {add} END"
        )


def drop_trigram_triggers(connection: Connection) -> None:
    """Before a bulk load: ``rebuild_trigram_tables`` follows it."""
    for name, _, _ in trigram_tables():
        for event in ("insert", "delete", "update"):
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}_{event}")


def rebuild_trigram_tables(connection: Connection) -> None:
    """Fill the trigram indexes from their tables."""
    for name, _, _ in trigram_tables():
        connection.exec_driver_sql(f"INSERT INTO {name} ({name}) VALUES ('rebuild')")


def unindexed(expression: ColumnElement[Any]) -> ColumnElement[Any]:
    """The same value, which no index can serve: how a plan is chosen (SQLite's unary plus)."""
    return UnaryExpression(expression, operator=custom_op("+"), type_=expression.type)


def glob(pattern: str) -> str:
    """A DICOM wildcard pattern (``*``, ``?``) as a GLOB pattern."""
    return pattern.replace("[", "[[]")


@contextmanager
def transaction(connection: Connection) -> Iterator[Connection]:
    """A write transaction that holds the write lock from its start; errors become ours."""
    with errors_translated():
        driver = raw(connection)
        driver.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            # What ended the statement, as Ctrl-C does, may have closed the connection, and SQLite has rolled back then.
            # An error here would hide the first one; a transaction left open is refused by the next BEGIN.
            with suppress(sqlite3.Error):
                driver.execute("ROLLBACK")
            raise
        driver.execute("COMMIT")


def copy_catalog(source: Path, target: Path) -> None:
    """Copy a catalog as it is at one moment, whoever writes to it meanwhile; nothing where there is none."""
    if not source.exists():
        return
    with (
        errors_translated(),
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as given,
        closing(sqlite3.connect(target)) as made,
    ):
        given.backup(made)


def run_many(connection: Connection, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run one statement for each row, if there are any.

    Straight to the driver: the engine's own bookkeeping costs 0.1 ms a statement, more than writing one row does, and
    a receiver writes few at a time.
    """
    if rows:
        raw(connection).executemany(sql, rows)


def insert_many(connection: Connection, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows, many with one statement: each statement gives the interpreter's lock away several times.

    Raises
    ------
    sqlite3.IntegrityError
        One of them cannot be inserted. Those of earlier statements are; the transaction goes on.
    """
    driver = raw(connection)
    head, _, marks = sql.rpartition(" VALUES ")
    for start in range(0, len(rows), _INSERT_ROWS):
        part = rows[start : start + _INSERT_ROWS]
        driver.execute(f"{head} VALUES {', '.join([marks] * len(part))}", list(itertools.chain.from_iterable(part)))


def fetch(connection: Connection, sql: str, values: Sequence[Any] = ()) -> list[Any]:
    """All rows of an answer, likewise straight from the driver."""
    return raw(connection).execute(sql, values).fetchall()


@contextmanager
def errors_translated() -> Iterator[None]:
    """Turn what the driver raises into the tree of ``pacscore.errors``."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        name = getattr(cause, "sqlite_errorname", "") or ""
        if name in {"SQLITE_ERROR", "SQLITE_MISUSE"}:
            raise  # Our SQL is wrong: nobody but us can mend that.
        raise _translated(name, str(cause)) from error


def _translated(name: str, text: str) -> Exception:
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return RetryError(f"Another process kept the catalog locked for {BUSY_SECONDS:.0f} s. Try again.", found=name)
    if name.startswith("SQLITE_INTERRUPT"):
        return CancelledError("The query was cancelled.")
    if name.startswith("SQLITE_FULL"):
        return StorageFullError("No space is left for the catalog. Free some and try again.", found=name)
    if name.startswith("SQLITE_READONLY"):
        return ReadOnlyError("The catalog was opened for reading. Open the archive for writing.", found=name)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return DamagedError(
            "The catalog is damaged. It is derived: delete it, and the archive rebuilds it.", found=name
        )
    return StorageError(
        f"The catalog could not be read or written ({name or 'no code'}: {text}). Look at the disk; the catalog is "
        "derived and can be rebuilt from the archive.",
        found=name,
    )


@contextmanager
def cancelable(connection: Connection, cancel: Event | None) -> Iterator[None]:
    """Let ``cancel`` end a running statement with `CancelledError`."""
    if cancel is None:
        yield
        return
    driver = raw(connection)
    asked: Callable[[], bool] = cancel.is_set
    driver.set_progress_handler(asked, _INTERRUPT_OPERATIONS)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)


def raw(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def data_version(connection: Connection) -> int:
    """A number that changes when another connection has changed the catalog."""
    return int(raw(connection).execute("PRAGMA data_version").fetchone()[0])


def compiled(statement: Any) -> str:
    """The SQL text of a statement for the driver, its parameters by position in the order they were named."""
    return str(statement.compile(dialect=sqlite_dialect.dialect(paramstyle="qmark")))


def upsert(table: Table) -> str:
    """SQL that inserts a whole row, or replaces all columns of the row with the same primary key."""
    statement = sqlite_dialect.insert(table)
    keys = [column.name for column in table.primary_key.columns]
    rest = {name: statement.excluded[name] for name in table.columns.keys() if name not in keys}  # noqa: SIM118
    if not rest:
        return compiled(statement.on_conflict_do_nothing())
    return compiled(statement.on_conflict_do_update(index_elements=keys, set_=rest))


def trigram_rows(table: str, literals: Sequence[str]) -> Select[Any] | None:
    """The numbers of the rows of ``table`` that may hold every literal; None when none has three letters.

    They have every trigram of them, in some column. Asked so, the index answers alone: a GLOB on it would read each
    row's text again, twenty times as slow.
    """
    trigrams = {part[at : at + 3] for part in literals for at in range(len(part) - 2)}
    if not trigrams:
        return None
    quoted = ('"' + trigram.replace('"', '""') + '"' for trigram in sorted(trigrams))
    index = sql_table(f"{table}_trigram", sql_column("rowid"))
    whole: ColumnElement[Any] = sql_column(f"{table}_trigram", _selectable=index)
    return select(index.c.rowid).correlate(None).where(whole.op("MATCH", is_comparison=True)(" AND ".join(quoted)))


class Bulk:
    """The indexes that are away while very many rows are written; `bulk` brings them back."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keyed = {index.info["keyword"]: index for index in SEARCH_INDEXES if "keyword" in index.info}
        for index in SEARCH_INDEXES:
            if "keyword" not in index.info:
                index.drop(connection, checkfirst=True)

    def expect(self, keywords: Collection[str]) -> None:
        """Rows that state these are about to be written.

        The index of an attribute that nothing states yet costs nothing, and making it anew would read all rows.
        """
        for keyword in self._keyed.keys() & keywords:
            self._keyed.pop(keyword).drop(self._connection, checkfirst=True)

    def need(self, index: Index) -> None:
        """Rows must be found by this index, now and until the end."""
        index.create(self._connection, checkfirst=True)


@contextmanager
def bulk(connection: Connection) -> Iterator[Bulk]:
    """Inside a transaction: take the search indexes away, and make them anew at the end."""
    connection.exec_driver_sql(f"PRAGMA cache_size = -{_BULK_CACHE_KIB}")
    try:
        drop_trigram_triggers(connection)
        yield Bulk(connection)
        for index in SEARCH_INDEXES:
            index.create(connection, checkfirst=True)
        rebuild_trigram_tables(connection)
        create_trigram_triggers(connection)
    finally:
        connection.exec_driver_sql(f"PRAGMA cache_size = -{CACHE_KIB}")
