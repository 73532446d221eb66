"""Notes in the event log of what others did with an archive's studies: become quiet, sent on to another node.

Such an event says nothing of storage: whoever follows the log for the catalog's sake passes it over.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from pacscore.errors import InputError

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

NOTED_KINDS = frozenset({"quiet", "forwarded"})


def note_event(archive: Archive, kind: str, **fields: Any) -> None:
    """Append an event to the log, durably: ``archive.events`` gives it with its ``time`` (seconds since 1970).

    Parameters
    ----------
    kind
        ``quiet`` (nothing has come for a study for a while: with ``study_instance_uid``, ``series_count`` and
        ``instance_count``) or ``forwarded`` (with ``study_instance_uid``, ``series_instance_uid``, ``to`` and
        ``instance_count``).
    **fields
        What is known about it, as JSON has it.

    Raises
    ------
    InputError
        There is no such kind.
    ReadOnlyError
        The archive was opened for reading.
    """
    if kind not in NOTED_KINDS:
        raise InputError(f"{kind!r} is none of {', '.join(sorted(NOTED_KINDS))}.", found=kind)
    session = archive._session
    session.check_writable()
    event = {"kind": kind, "time": time.time(), **fields}
    payload = json.dumps(event, separators=(",", ":")).encode()
    session.events.append(lambda _: True, payload, after=session.catalog_position())


def last_position(archive: Archive, *, journal: bool = True) -> str:
    """The position to follow from for whom only what comes next matters; no event is read.

    Without ``journal``, what has been received and is not laid out yet comes as well.
    """
    from pacscore.archive.events import position_at_end

    return position_at_end(archive._session, journal=journal)
