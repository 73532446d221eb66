"""C-FIND: the catalog's answers, one response each (PS3.4 C.4.1).

Every key is matched at every level (relational queries), counts included. A key that this node does not know is left
out of the answers, which then say so (FF01H), and is told to the operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynetdicom.dimse_primitives import C_FIND

from pacscore.dimse import models
from pacscore.dimse.association import NodeAssociation
from pacscore.dimse.configuration import Right
from pacscore.dimse.identifiers import answer_data_set, encode_data_set, read_identifier
from pacscore.dimse.lines import tell
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


def answer_find(server: DicomServer, association: NodeAssociation, request: Any, context: Any) -> None:
    """Answer a query; what is found is sent as it is found, until the peer cancels."""
    count = 0
    try:
        if not association.may(Right.QUERY):
            _final(association, request, context, NOT_AUTHORIZED, "this peer may not query")
            return
        syntax = str(context.transfer_syntax[0])
        identifier = read_identifier(request.Identifier, syntax, models.levels_of(str(request.AffectedSOPClassUID)))
        if identifier.unsupported:
            tell("find.unsupported", association=association.number, keys=" ".join(identifier.unsupported))
        status = PENDING_WITHOUT_SOME_KEYS if identifier.unsupported else PENDING
        for found in server.archive.find(models.LEVELS[identifier.level], **identifier.match):
            if request.MessageID in association.dimse.cancel_req:
                _final(association, request, context, CANCELLED)
                return
            if not association.dul.is_alive():
                return
            answer = _response(request, status)
            answer.Identifier = encode_data_set(answer_data_set(found, identifier, server.node.ae_title), syntax)
            association.send_answer(context.context_id, answer)
            count += 1
        _final(association, request, context, SUCCESS)
    except (PacscoreError, OSError) as error:
        _final(association, request, context, statuses_of(error).find, comment_of(str(error)))
    finally:
        server.counters.add(queries=1)
        tell("find.answered", association=association.number, matches=count)


def _response(request: Any, status: int) -> Any:
    answer = C_FIND()
    answer.MessageIDBeingRespondedTo = request.MessageID
    answer.AffectedSOPClassUID = request.AffectedSOPClassUID
    answer.Status = status
    return answer


def _final(association: NodeAssociation, request: Any, context: Any, status: int, comment: str = "") -> None:
    answer = _response(request, status)
    if comment:
        answer.ErrorComment = comment
    association.send_answer(context.context_id, answer)
