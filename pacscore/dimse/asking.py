"""Requests on an association that we asked for: their responses one by one, or their withdrawal."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_CANCEL

from pacscore.dimse.association import NodeAssociation
from pacscore.dimse.status import PENDING, PENDING_WITHOUT_SOME_KEYS
from pacscore.errors import RefusedError, UnreachableError

NOT_FINAL = (PENDING, PENDING_WITHOUT_SOME_KEYS)
_WITHDRAWAL_SECONDS = 3.0


def ask(association: NodeAssociation, request: Any) -> Any:
    """The one response to a request."""
    return next(answers_to(association, request))


def answers_to(association: NodeAssociation, request: Any) -> Generator[Any, None, None]:
    """The responses to a request, up to the final one; closed before that it is withdrawn."""
    uid = str(request.AffectedSOPClassUID)
    context = next((each for each in association.contexts if each.sop_class_uid == uid), None)
    if context is None:
        raise RefusedError(f"{association.acceptor.ae_title} does not offer {UID(uid).name}.")
    association.dimse.send_msg(request, context.context_id)
    is_over = False
    try:
        while not is_over:
            answer = association.answer()
            if answer is None or answer.Status is None:
                is_over = not association.dul.is_alive()
                raise UnreachableError(
                    f"the association with {association.acceptor.ae_title} ended before it answered."
                )
            is_over = answer.Status not in NOT_FINAL
            yield answer
    finally:
        if not is_over:
            _withdraw(association, request)


def _withdraw(association: NodeAssociation, request: Any) -> None:
    """Cancel what nobody waits for any more, as after Ctrl-C; abort where the peer does not end it in a moment."""
    try:
        cancel(association, request)
        deadline = time.monotonic() + _WITHDRAWAL_SECONDS
        while (left := deadline - time.monotonic()) > 0 and association.dul.is_alive():
            answer = association.answer(left)
            if answer is not None and answer.Status not in NOT_FINAL:
                return
    except KeyboardInterrupt:
        association.abort()  # Asked twice, it does not wait.
        raise
    association.abort()


def cancel(association: NodeAssociation, request: Any) -> None:
    """Ask the peer to stop (PS3.7 9.3.2.3, 9.3.3.3, 9.3.4.3)."""
    uid = str(request.AffectedSOPClassUID)
    context = next(each for each in association.contexts if each.sop_class_uid == uid)
    message = C_CANCEL()
    message.MessageIDBeingRespondedTo = request.MessageID
    association.dimse.send_msg(message, context.context_id)
