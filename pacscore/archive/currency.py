"""Whether the catalog in the archive says what storage says, so that a reader can use it as it is."""

from __future__ import annotations

import time
from pathlib import Path

from pacscore.catalog import Catalog
from pacscore.errors import FormatVersionError, NotFoundError
from pacscore.settings import Settings
from pacscore.store.events import EventLog, EventPosition
from pacscore.store.journal import Journal

EVENTS = "events"
"""The name under which the catalog holds how far it has followed the event log."""

_LOOKS, _LOOK_SECONDS = 10, 0.02


def is_current(path: Path, events: EventLog, journal: Journal, settings: Settings) -> bool:
    """Whether a catalog has followed the event log and the journal to their ends."""
    try:
        with Catalog.open(path, read_only=True, settings=settings) as catalog:
            if next(events.read(after=event_position(catalog.positions().get(EVENTS))), None) is not None:
                return False
            apart = catalog.journal_positions() ^ set(journal.positions())
            for _ in range(_LOOKS if apart else 0):
                # A writer at work has a record before its row: what he is about to enter is not acknowledged yet.
                time.sleep(_LOOK_SECONDS)
                apart &= catalog.journal_positions() ^ set(journal.positions())
                if not apart:
                    break
            return not apart
    except (NotFoundError, FormatVersionError):
        return False


def event_position(token: str | None) -> EventPosition | None:
    """The position that the catalog kept as text."""
    return None if token is None else EventPosition(token)
