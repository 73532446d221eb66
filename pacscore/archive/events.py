"""What happened, for those who follow: replication, notification, a larger system.

A position is one opaque text over the event log and each writer's journal, which count on their own so that receiving
needs one sync and not two. It names places in storage, so it survives a rebuild of the catalog, and has at most one
part per writer slot.

Per series the order is kept: in each round the log is read before the journals, and of those only what is not laid
out yet. An event may come again (a record that was copied forward); none is left out.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pacscore.archive.session import Session
from pacscore.errors import InputError
from pacscore.store.events import EventPosition
from pacscore.store.positions import Position, place_of


@dataclass(slots=True)
class _Place:
    """How far a follower has come: in the event log, and in the journal of each writer slot."""

    log: str | None = None
    journals: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, token: str | None) -> _Place:
        if token is None:
            return cls()
        try:
            value = json.loads(base64.urlsafe_b64decode(token.encode("ascii")))
            return cls(value["log"], dict(value["journals"]))
        except (binascii.Error, ValueError, KeyError, TypeError) as error:
            raise InputError("This is not a position that events() gave: take one from an event.") from error

    def token(self) -> str:
        text = json.dumps({"log": self.log, "journals": self.journals}, separators=(",", ":"), sort_keys=True)
        return base64.urlsafe_b64encode(text.encode()).decode("ascii")


def read_events(session: Session, after: str | None) -> Iterator[Mapping[str, Any]]:
    """Events behind a position, oldest first, each with its own ``position``.

    ``kind`` is ``commit`` (series became new generations, each with the UIDs the catalog knows it by), ``received``
    (one object is durable and findable) or ``collected`` (the ``files`` of superseded generations go; all they hold is
    in the heads of their series), ``quiet`` (nothing has come for a study for a while) or ``forwarded`` (a series was
    sent on to another node); see ``Archive.note``.

    Raises
    ------
    InputError
        ``after`` is no position.
    """
    session.refresh()
    place = _Place.of(after)
    for event in session.events.read(after=None if place.log is None else EventPosition(place.log)):
        place.log = str(event.position)
        yield {"position": place.token(), **_named(session, json.loads(event.payload))}
    waiting: set[str] | None = None
    for position, described in session.journal.heads(after=[Position(each) for each in place.journals.values()]):
        if waiting is None:  # Who looks often mostly finds nothing new.
            waiting = session.catalog.journal_positions()
        place.journals[str(place_of(position).slot)] = str(position)
        if position not in waiting:
            continue
        head = json.loads(described)
        yield {
            "position": place.token(),
            "kind": "received",
            "key": head["key"],
            "study_instance_uid": head["study"],
            "series_instance_uid": head["series"],
            "sop_instance_uid": head["sop"],
            "version": head["version"],
            "source": head.get("source", ""),
        }


def position_at_end(session: Session, *, journal: bool) -> str:
    """The position behind all that happened so far; without ``journal``, before the objects that wait there."""
    session.refresh()
    position = session.catalog_position()
    place = _Place(None if position is None else str(position))
    for record in session.journal.positions() if journal else ():
        place.journals[str(place_of(record).slot)] = str(record)
    return place.token()


def _named(session: Session, event: dict[str, Any]) -> dict[str, Any]:
    """An event of the log with the UIDs of its series, which the log knows by their keys."""
    for part in event.get("series", ()):
        stored = session.catalog.series_by_key(part["key"])
        if stored is not None:
            part["study_instance_uid"] = stored.study_instance_uid
            part["series_instance_uid"] = stored.series_instance_uid
    return event
