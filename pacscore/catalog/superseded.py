"""Generations that are no longer the head of their series, until their files are collected.

The event log says all of it: a commit names the generation it replaces, a later event that its file is to go. Every
function runs inside the transaction its caller holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from pacscore.catalog import dialect, schema
from pacscore.catalog.dialect import run_many

_UPSERT = dialect.upsert(schema.superseded)


@dataclass(frozen=True, slots=True)
class Superseded:
    """One generation that another has replaced.

    Attributes
    ----------
    locator, file, key : str
        The generation, the file it lies in (with others, if that is a pack), its series.
    since : float
        When its successor was committed: seconds since 1970, as the commit states.
    collected : bool
        The log says that its file goes; whether it is gone is for the disk to say.
    """

    locator: str
    file: str
    key: str
    since: float
    collected: bool = False


def note(connection: Connection, rows: Iterable[Superseded]) -> None:
    """Add generations; those known already are replaced."""
    values = [(row.locator, row.file, row.key, row.since, int(row.collected)) for row in rows]
    run_many(connection, _UPSERT, values)


def mark_collected(connection: Connection, files: Sequence[str]) -> None:
    """Note that the log says of these files that they go."""
    run_many(connection, "UPDATE superseded SET collected = 1 WHERE file = ?", [(file,) for file in files])


def forget(connection: Connection, files: Sequence[str]) -> None:
    """Forget the generations of files that are gone."""
    run_many(connection, "DELETE FROM superseded WHERE file = ?", [(file,) for file in files])


def read(connection: Connection) -> tuple[Superseded, ...]:
    """All there are, by file and locator."""
    rows = connection.exec_driver_sql(
        "SELECT locator, file, key, since, collected FROM superseded ORDER BY file, locator"
    ).fetchall()
    return tuple(Superseded(locator, file, key, since, bool(gone)) for locator, file, key, since, gone in rows)
