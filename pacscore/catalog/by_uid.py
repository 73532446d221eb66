"""A series or study asked for by its UIDs and by nothing else: one statement, and no plan to be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from pacscore.catalog import dialect
from pacscore.catalog.answers import SERIES_COLUMNS, STUDY_COLUMNS, place
from pacscore.catalog.attributes import Level
from pacscore.catalog.matching import Equals, Test
from pacscore.catalog.schema import study

_STUDY_UID, _SERIES_UID = "StudyInstanceUID", "SeriesInstanceUID"


def _select(columns: Sequence[Any], rest: str) -> str:
    return f"SELECT {', '.join(f'{each.table.name}.{each.name}' for each in columns)} FROM {rest} = ? LIMIT 2"


_OF_STUDY = _select(STUDY_COLUMNS, "study WHERE study_instance_uid")
_OF_SERIES = _select(
    (*STUDY_COLUMNS, *SERIES_COLUMNS), "series JOIN study ON study.id = study_row WHERE series_instance_uid"
)


def uids_asked(tests: Mapping[str, Test], level: Level) -> Mapping[str, str] | None:
    """The UIDs by keyword, that of the level among them; None where anything else is asked or several are."""
    own = {Level.STUDY: _STUDY_UID, Level.SERIES: _SERIES_UID}.get(level)
    if own not in tests or not tests.keys() <= ({_STUDY_UID} if level is Level.STUDY else {_STUDY_UID, _SERIES_UID}):
        return None
    found = {
        key: next(iter(test.texts))
        for key, test in tests.items()
        if isinstance(test, Equals) and len(test.texts) == 1 and not test.numbers
    }
    return found if len(found) == len(tests) else None


def rows_of(connection: Connection, uids: Mapping[str, str], level: Level) -> list[Sequence[Any]] | None:
    """The row, none, or None where two studies hold a series of that UID: then the order is to be asked for."""
    statement, key = (_OF_SERIES, _SERIES_UID) if level is Level.SERIES else (_OF_STUDY, _STUDY_UID)
    rows = dialect.fetch(connection, statement, (uids[key],))
    if len(rows) > 1:
        return None
    wanted = uids.get(_STUDY_UID)
    return [row for row in rows if wanted is None or place(row, study.c.study_instance_uid) == wanted]
