"""What happened, for those who follow: replication, notification, a larger system."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pacscore.archive.session import Session
from pacscore.store.events import EventPosition


def read_events(session: Session, after: str | None) -> Iterator[Mapping[str, Any]]:
    """Events behind a position, oldest first, each with its own ``position``."""
    for event in session.events.read(after=None if after is None else EventPosition(after)):
        yield {"position": str(event.position), **json.loads(event.payload)}
