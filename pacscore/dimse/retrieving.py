"""C-GET and C-MOVE: stored objects on their way out, each a C-STORE sub-operation (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_GET, C_MOVE

from pacscore.dimse import models
from pacscore.dimse.association import NodeAssociation
from pacscore.dimse.choosing import Choice, chosen, unique_keys
from pacscore.dimse.commands import StoreRequest
from pacscore.dimse.configuration import Peer, Right
from pacscore.dimse.connecting import Address
from pacscore.dimse.identifiers import encode_data_set, read_identifier
from pacscore.dimse.lines import tell
from pacscore.dimse.objects import Sendable, prepare, read_ahead
from pacscore.dimse.security import client_context
from pacscore.dimse.sending import Sender, Sent
from pacscore.dimse.status import (
    CANCELLED,
    MOVE_DESTINATION_UNKNOWN,
    NOT_AUTHORIZED,
    PENDING,
    SOME_FAILED,
    SUCCESS,
    UNABLE_TO_SEND,
    comment_of,
    statuses_of,
)
from pacscore.errors import PacscoreError, UnreachableError

if TYPE_CHECKING:
    from pacscore.dimse.server import DicomServer

_PENDING_SECONDS = 0.1


@dataclass(slots=True)
class _Progress:
    """The sub-operations of one retrieval, and its responses."""

    association: NodeAssociation
    request: Any
    context: Any
    remaining: int = 0
    completed: int = 0
    failed: list[str] = field(default_factory=list)
    warnings: int = 0
    told: float = float("-inf")

    def response(self, status: int, comment: str = "") -> Any:
        """A response with the counts as they are."""
        answer = C_GET() if isinstance(self.request, C_GET) else C_MOVE()
        answer.MessageIDBeingRespondedTo = self.request.MessageID
        answer.AffectedSOPClassUID = self.request.AffectedSOPClassUID
        answer.Status = status
        if status in (PENDING, CANCELLED):
            answer.NumberOfRemainingSuboperations = min(self.remaining, 65535)
        if status in (PENDING, CANCELLED, SUCCESS, SOME_FAILED, UNABLE_TO_SEND):
            answer.NumberOfCompletedSuboperations = min(self.completed, 65535)
            answer.NumberOfFailedSuboperations = min(len(self.failed), 65535)
            answer.NumberOfWarningSuboperations = min(self.warnings, 65535)
        if comment:
            answer.ErrorComment = comment
        return answer

    def tell_pending(self) -> None:
        """Tell the peer how far it is, now and then: a response for each small object would take longer than it."""
        now = time.monotonic()
        if now - self.told >= _PENDING_SECONDS and self.remaining:
            self.told = now
            self.association.dimse.send_msg(self.response(PENDING), self.context.context_id)

    def finish(self, *, cancelled: bool) -> None:
        """The last response: whether all arrived, and which did not (PS3.4 C.4.2.1.6)."""
        status = SUCCESS
        if cancelled:
            status = CANCELLED
        elif self.failed:
            status = SOME_FAILED if self.completed else UNABLE_TO_SEND
        self.remaining *= cancelled
        answer = self.response(status)
        if self.failed:
            data_set = Dataset()
            data_set.FailedSOPInstanceUIDList = self.failed
            answer.Identifier = encode_data_set(data_set, str(self.context.transfer_syntax[0]))
        self.association.dimse.send_msg(answer, self.context.context_id)

    @property
    def is_cancelled(self) -> bool:
        """Whether the peer has asked to stop."""
        return self.request.MessageID in self.association.dimse.cancel_req

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.is_cancelled or not self.association.dul.is_alive()


def answer_get(server: DicomServer, association: NodeAssociation, request: Any, context: Any) -> None:
    """Send what is asked for on the same association."""
    progress = _Progress(association, request, context)
    with _failures_told(progress):
        choices = _choices(server, progress)
        if choices is None:
            return
        message_id = 0
        for one in _objects(choices):
            if progress.is_over:
                break
            message_id = message_id % 65535 + 1
            _get_one(progress, one, message_id)
            progress.remaining -= 1
            progress.tell_pending()
        _done(server, progress, "get.answered")


def _get_one(progress: _Progress, one: Sendable, message_id: int) -> None:
    try:
        context, data = prepare(one, progress.association.contexts_for(one.sop_class_uid, one.transfer_syntax_uid))
        store = StoreRequest(message_id, one.sop_class_uid, one.sop_instance_uid)
        answer = progress.association.send_object(context.context_id, store, data)
    except UnreachableError:
        raise
    except PacscoreError as error:
        tell("get.failed", association=progress.association.number, uid=one.sop_instance_uid, reason=error.message)
        progress.failed.append(one.sop_instance_uid)
        return
    if not answer.is_stored:
        progress.failed.append(one.sop_instance_uid)
    elif answer.status:
        progress.warnings += 1
    else:
        progress.completed += 1


def answer_move(server: DicomServer, association: NodeAssociation, request: Any, context: Any) -> None:
    """Send what is asked for to a configured destination."""
    progress = _Progress(association, request, context)
    with _failures_told(progress):
        destination = str(request.MoveDestination or "").strip()
        peer = server.node.destination(destination)
        if peer is None and association.may(Right.RETRIEVE):
            tell("move.unknown", association=association.number, destination=destination)
            answer = progress.response(MOVE_DESTINATION_UNKNOWN, "no peer with a port has this AE title")
            association.dimse.send_msg(answer, context.context_id)
            return
        choices = _choices(server, progress)
        if choices is None or peer is None:
            return
        originator = (association.calling, int(request.MessageID))
        sender = Sender(
            server.entity, address_of(server, peer), server.node.limits, originator=originator, fast=server.fast
        )
        with sender:
            _move_all(progress, choices, sender)
        _done(server, progress, "move.answered")


def _move_all(progress: _Progress, choices: list[Choice], sender: Sender) -> None:
    sent = Sent()
    count = progress.remaining
    over: set[str] = set()

    def told(uid: str, arrived: bool) -> None:
        over.add(uid)
        progress.completed, progress.warnings = sent.objects - sent.warnings, sent.warnings
        progress.failed += [each.sop_instance_uid for each in sent.failures[len(progress.failed) :]]
        progress.remaining = count - sent.objects - len(sent.failures)
        progress.tell_pending()

    for choice in choices:
        sender.expect(choice.objects)
    for choice in choices:
        if progress.is_over:
            return
        try:
            sender.send(choice.objects, sent, lambda: progress.is_over, told)
        except PacscoreError as error:
            # The destination cannot be reached: what is left is not tried, each object, for a minute.
            tell("move.failed", association=progress.association.number, reason=error.message)
            left = [each.sop_instance_uid for one in choices for each in one.objects]
            progress.failed += [uid for uid in left if uid not in over]
            progress.remaining = 0
            return


def address_of(server: DicomServer, peer: Peer) -> Address:
    """Where a peer is reached."""
    tls = client_context(server.node.tls) if peer.tls and server.node.tls is not None else None
    return Address(peer.host, peer.port, peer.ae_title, tls)


def _choices(server: DicomServer, progress: _Progress) -> list[Choice] | None:
    """The objects a request is about; None when it was answered already."""
    association, request, context = progress.association, progress.request, progress.context
    if not association.may(Right.RETRIEVE):
        association.dimse.send_msg(progress.response(NOT_AUTHORIZED, "this peer may not retrieve"), context.context_id)
        return None
    levels = models.levels_of(str(request.AffectedSOPClassUID))
    identifier = read_identifier(request.Identifier, str(context.transfer_syntax[0]), levels)
    found = list(chosen(server.archive, unique_keys(identifier.match, identifier.level)))
    progress.remaining = sum(len(each.objects) for each in found)
    return found


def _objects(choices: list[Choice]) -> Iterator[Sendable]:
    for choice in choices:
        yield from read_ahead(choice.objects)


def _done(server: DicomServer, progress: _Progress, event: str) -> None:
    server.counters.add(sent=progress.completed + progress.warnings)
    tell(
        event,
        association=progress.association.number,
        completed=progress.completed + progress.warnings,
        failed=len(progress.failed),
    )
    if progress.association.dul.is_alive():
        progress.finish(cancelled=progress.is_cancelled and progress.remaining > 0)


class _failures_told:  # noqa: N801  # It reads as what it does.
    """Answer a failure of the whole retrieval with its status."""

    def __init__(self, progress: _Progress) -> None:
        self._progress = progress

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Callable[..., object] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, PacscoreError | OSError):
            return False
        association, context = self._progress.association, self._progress.context
        if association.dul.is_alive():
            answer = self._progress.response(statuses_of(error).retrieve, comment_of(str(error)))
            association.dimse.send_msg(answer, context.context_id)
        return True
