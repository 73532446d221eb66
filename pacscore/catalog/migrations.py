"""The schema's versions, and the ordered steps between them.

The catalog is derived, so a step may also be "drop everything": the archive then rebuilds. A released step is never
edited.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, inspect, select

from pacscore.catalog import dialect, schema
from pacscore.errors import FormatVersionError


def _create(connection: Connection) -> None:
    schema.metadata.create_all(connection)
    dialect.create_trigram_tables(connection)


def _add_superseded(connection: Connection) -> None:
    """What commits have replaced stands in the event log, which is followed from its beginning again."""
    schema.superseded.create(connection, checkfirst=True)
    connection.execute(schema.position.delete())


STEPS: tuple[Callable[[Connection], None], ...] = (_create, _add_superseded)
VERSION = len(STEPS)


def version_of(connection: Connection) -> int:
    """The version of the schema found; 0 for an empty file."""
    if not inspect(connection).has_table("schema_version"):
        return 0
    found = connection.execute(select(schema.schema_version.c.version)).scalar()
    return int(found or 0)


def migrate(connection: Connection) -> None:
    """Bring the schema to `VERSION`, in one transaction.

    Raises
    ------
    FormatVersionError
        The catalog was made by a newer pacscore.
    """
    check(version_of(connection))
    if version_of(connection) == VERSION:
        return
    with dialect.transaction(connection):
        found = version_of(connection)  # Again, under the lock: two processes may open a new archive at once.
        for step in STEPS[found:]:
            step(connection)
        if found < VERSION:
            connection.execute(schema.schema_version.delete())
            connection.execute(schema.schema_version.insert().values(version=VERSION))


def check(found: int) -> None:
    """Refuse a schema that is newer than this program."""
    if found > VERSION:
        raise FormatVersionError(
            f"The catalog has schema version {found}, this pacscore knows {VERSION}. Use a newer pacscore, or delete "
            "catalog.sqlite: it is rebuilt from the archive.",
            expected=VERSION,
            found=found,
        )


def check_readable(found: int) -> None:
    """Refuse what a reader, who may not migrate, cannot read."""
    check(found)
    if found < VERSION:
        raise FormatVersionError(
            f"The catalog has schema version {found}, this pacscore reads {VERSION}. Open the archive once for "
            "writing: that migrates it.",
            expected=VERSION,
            found=found,
        )
