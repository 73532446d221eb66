"""Finding a derived series that was stored lately by words of its derivation: for those who died before noting it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pacscore.archive.commits import commits_of
from pacscore.archive.series import Series
from pacscore.store.events import EventPosition

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive


def last_position(archive: Archive) -> str:
    """The place in the event log that the archive's catalog has followed to."""
    session = archive._session
    session.follow()
    return str(session.catalog_position() or "")


def derived_since(archive: Archive, position: str, words: str) -> str | None:
    """The UID of a series committed after a place whose Derivation Description (0008,2111) holds these words."""
    session = archive._session
    session.refresh()
    for event in session.events.read(after=EventPosition(position) if position else None):
        for commit in commits_of(event):
            stored = session.catalog.series_by_key(commit.key)
            instances = () if stored is None else Series(session, stored).instances
            if stored is None or not instances:
                continue
            document = instances[0].document(keywords=("DerivationDescription",))
            if words in str(document.get("DerivationDescription", "")):
                return stored.series_instance_uid
    return None
