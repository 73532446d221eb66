"""C-FIND: the catalog's answers, one response each (PS3.4 C.4.1).

Every key is matched at every level (relational queries), counts included. A key that this node does not know is left
out of the answers, which then say so (FF01H), and is told to the operator.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pacscore.dimse import models
from pacscore.dimse.association import FindAnswer, NodeAssociation
from pacscore.dimse.commands import FindRequest
from pacscore.dimse.configuration import Right
from pacscore.dimse.identifiers import answer_data_set, encode_data_set, read_identifier
from pacscore.dimse.lines import tell
from pacscore.dimse.plain_queries import PlainQuery, read_plain
from pacscore.dimse.status import (
    CANCELLED,
    NOT_AUTHORIZED,
    PENDING,
    PENDING_WITHOUT_SOME_KEYS,
    SUCCESS,
    comment_of,
    statuses_of,
)
from pacscore.errors import PacscoreError

if TYPE_CHECKING:
    from pacscore.dimse.server import DicomServer

_HELD_SECONDS = 0.02
_HELD_COUNT_MAX = 64


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query on its association; ``plain`` where it is a simple one."""

    server: DicomServer
    association: NodeAssociation
    request: FindRequest
    raw: bytes
    context: Any
    plain: PlainQuery | None

    def send(self, answers: Sequence[FindAnswer]) -> None:
        self.association.send_found(self.context.context_id, self.request, answers)


def answer_find(
    server: DicomServer, association: NodeAssociation, request: FindRequest, raw: bytes, context: Any
) -> None:
    """Answer a query; what is found is sent as it is found, until the peer cancels."""
    asked = _Asked(server, association, request, raw, context, _plain(server, request, raw, context))
    if association.may(Right.QUERY):
        _answer(asked)
    else:
        asked.send([(NOT_AUTHORIZED, b"", "this peer may not query")])


def answer_find_at_once(
    server: DicomServer, association: NodeAssociation, request: FindRequest, raw: bytes, context: Any
) -> bool:
    """Answer a query for one study or series by its UID; whether it is such a one."""
    plain = _plain(server, request, raw, context)
    if plain is None or not plain.names_one or not association.may(Right.QUERY):
        return False
    _answer(_Asked(server, association, request, raw, context, plain))
    return True


def _plain(server: DicomServer, request: FindRequest, raw: bytes, context: Any) -> PlainQuery | None:
    if str(context.abstract_syntax) not in models.SERVED:
        return None
    levels = models.levels_of(request.sop_class_uid)
    return read_plain(raw, str(context.transfer_syntax[0]), levels, server.node.ae_title)


def _answer(asked: _Asked) -> None:
    """Send the answers and the final response: together what is found at once, and one answer alone with the final."""
    held: list[FindAnswer] = []
    final: FindAnswer = SUCCESS, b"", ""
    sent = float("inf") if asked.plain is not None and asked.plain.names_one else float("-inf")
    count = 0
    try:
        for answer in _answers(asked):
            if asked.request.message_id in asked.association.dimse.cancel_req:
                final = CANCELLED, b"", ""
                break
            if not asked.association.dul.is_alive():
                return
            held.append(answer)
            count += 1
            now = time.monotonic()
            if now - sent >= _HELD_SECONDS or len(held) >= _HELD_COUNT_MAX:
                asked.send(held)
                held, sent = [], now
    except (PacscoreError, OSError) as error:
        final = statuses_of(error).find, b"", comment_of(str(error))
    finally:
        asked.server.counters.add(queries=1)
        tell("find.answered", association=asked.association.number, matches=count)
    asked.send([*held, final])


def _answers(asked: _Asked) -> Iterator[FindAnswer]:
    syntax, levels = str(asked.context.transfer_syntax[0]), models.levels_of(asked.request.sop_class_uid)
    identifier = read_identifier(BytesIO(asked.raw), syntax, levels) if asked.plain is None else None
    understood = identifier or asked.plain
    assert understood is not None
    status = PENDING
    if identifier is not None and identifier.unsupported:
        status = PENDING_WITHOUT_SOME_KEYS
        tell("find.unsupported", association=asked.association.number, keys=" ".join(identifier.unsupported))
    for found in asked.server.archive.find(models.LEVELS[understood.level], **understood.match):
        encoded = None if asked.plain is None else asked.plain.answer(found)
        if encoded is None:
            identifier = identifier or read_identifier(BytesIO(asked.raw), syntax, levels)
            answer = answer_data_set(found, identifier, asked.server.node.ae_title)
            encoded = encode_data_set(answer, syntax).getvalue()
        yield status, encoded, ""
