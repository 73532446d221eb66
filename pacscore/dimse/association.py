"""One association: pynetdicom's, over our data path, with our services behind it.

Negotiation, association control and the messages of all services but C-STORE are pynetdicom's. What it would do every
millisecond is done when there is something to do.
"""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

from pydicom.uid import UID
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_FIND, C_STORE, N_EVENT_REPORT

from pacscore.dicom.syntaxes import transfer_syntax
from pacscore.dimse.admission import Admission
from pacscore.dimse.commands import FindRequest, StoreAnswer, StoreRequest
from pacscore.dimse.configuration import Limits, Right
from pacscore.dimse.conversion import choose_contexts
from pacscore.dimse.data_path import DataPath, Interrupted
from pacscore.dimse.status import SOP_CLASS_NOT_SUPPORTED
from pacscore.dimse.waking import Checkpoint, SignallingQueue
from pacscore.errors import DamagedError, StorageError, UnreachableError

if TYPE_CHECKING:
    from pacscore.archive.outgoing import Outgoing

_numbers = itertools.count(1)

FindAnswer = tuple[int, bytes, str]
"""Status of a C-FIND response, its encoded identifier, and a comment; either may be empty."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a service answers to a request."""

    status: int
    comment: str = ""


class Services(Protocol):
    """What stands behind an association that others made with us."""

    def admit(self, association: NodeAssociation) -> Admission:
        """Decide on the association's request."""
        ...

    def store(self, association: NodeAssociation, syntax: str, request: StoreRequest, data: Iterable[bytes]) -> Outcome:
        """Take an object that comes on the association."""
        ...

    def find_at_once(self, association: NodeAssociation, request: FindRequest, identifier: bytes, context: Any) -> bool:
        """Answer a query that has one answer at most; whether it is such a one. There is no time to cancel it."""
        ...

    def serve(self, association: NodeAssociation, request: Any, context: Any) -> None:
        """Answer any other request."""
        ...

    def closed(self, association: NodeAssociation) -> None:
        """Take note of an association that has ended."""
        ...


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """A presentation context both sides agreed on."""

    context_id: int
    sop_class_uid: str
    transfer_syntax_uid: str
    we_send: bool
    """Whether we are the user (SCU) of its service."""


class _Control(ACSE):  # type: ignore[misc]  # pynetdicom is not typed for us (pyproject).
    """Association control that asks for admission first."""

    def negotiate_association(self) -> None:
        """Refuse, or negotiate as pynetdicom does."""
        association: NodeAssociation = self._assoc
        if association.is_acceptor and not association.admit():
            return
        super().negotiate_association()


class NodeAssociation(Association):  # type: ignore[misc]  # As above.
    """An association of this node, in either role.

    ``fast`` chooses the data path; without it every byte goes through pynetdicom, with the same answers.
    """

    def __init__(self, ae: Any, mode: str, limits: Limits, services: Services | None, *, fast: bool) -> None:
        super().__init__(ae, mode)
        self.number = next(_numbers)
        self.limits = limits
        self.services = services
        self.admission = Admission(frozenset())
        self.is_busy = False
        self.object_count = self.object_bytes = 0
        self._fast = fast
        self._context_ids: frozenset[int] | None = None
        self._contexts: tuple[AcceptedContext, ...] = ()
        self._chosen: dict[tuple[str, str], tuple[AcceptedContext, ...]] = {}
        self._reports: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.acse = _Control(self)
        if fast:
            self.dul = DataPath(self)
            self._reactor_checkpoint = Checkpoint(self._serve_waiting)
            self._reactor_checkpoint.set()
            self.dimse.msg_queue = SignallingQueue(self.signal)
            self.dul.to_user_queue = SignallingQueue(self.signal)
        self.acse_timeout = limits.negotiation_seconds
        self.connection_timeout = limits.negotiation_seconds
        self.dimse_timeout = limits.answer_seconds
        self.network_timeout = limits.idle_seconds

    def signal(self) -> None:
        """Wake the reactor: there is something for it to do."""
        if isinstance(self._reactor_checkpoint, Checkpoint):
            self._reactor_checkpoint.work.set()

    @property
    def contexts(self) -> tuple[AcceptedContext, ...]:
        """What both sides agreed on, by identifier; it does not change once the association stands."""
        if not self._contexts:
            self._contexts = tuple(
                AcceptedContext(
                    each.context_id, str(each.abstract_syntax), str(each.transfer_syntax[0]), bool(each.as_scu)
                )
                for each in self.accepted_contexts
            )
        return self._contexts

    def contexts_for(self, sop_class_uid: str, stored: str) -> tuple[AcceptedContext, ...]:
        """The contexts that an object of a class, stored in a syntax, can be sent on, the best first.

        Raises
        ------
        UnsupportedError
            There is none.
        """
        kind = (sop_class_uid, stored)
        found = self._chosen.get(kind)
        if found is None:
            found = self._chosen[kind] = choose_contexts(self.contexts, sop_class_uid, stored)
        return found

    @property
    def context_ids(self) -> frozenset[int]:
        """The identifiers of the accepted contexts; they do not change once the association stands."""
        if self._context_ids is None or not self._context_ids:
            self._context_ids = frozenset(self._accepted_cx)
        return self._context_ids

    @property
    def calling(self) -> str:
        """The AE title of who asked for the association."""
        return str(self.requestor.ae_title or "").strip()

    @property
    def address(self) -> str:
        """The other side's address."""
        return str((self.requestor if self.is_acceptor else self.acceptor).address)

    def may(self, right: Right) -> bool:
        """Whether the peer may ask for that."""
        return right in self.admission.rights

    # As the acceptor.

    def admit(self) -> bool:
        """Ask the services; what they refuse is rejected."""
        assert self.services is not None
        request = self.requestor.primitive
        self.requestor.ae_title = request.calling_ae_title
        self.admission = self.services.admit(self)
        if self.admission.refusal:
            self.acse.send_reject(*self.admission.refusal)
            self.kill()
            return False
        for context in request.presentation_context_definition_list:
            wanted = sorted(context.transfer_syntax, key=_preference)
            if wanted != context.transfer_syntax:  # Each one that is set is validated several times.
                context.transfer_syntax = wanted
        return True

    def take_object(self, context_id: int, request: StoreRequest, data: Iterable[bytes]) -> Outcome:
        """Give an object that comes on this association to who takes it."""
        if self.services is None:
            return Outcome(SOP_CLASS_NOT_SUPPORTED)
        syntax = str(self._accepted_cx[context_id].transfer_syntax[0])
        self.is_busy = True
        try:
            return self.services.store(self, syntax, request, data)
        finally:
            self.is_busy = False
            self.dul._idle_timer.restart()

    def take_query(self, context_id: int, request: FindRequest, identifier: bytes) -> None:
        """Have a query answered: at once by who has read it, where that takes no longer than handing it on."""
        if not self.is_busy and self.services is not None and not self._sent_release:
            self.is_busy = True
            try:
                if self.services.find_at_once(self, request, identifier, self._accepted_cx[context_id]):
                    self.dul._idle_timer.restart()
                    return
            finally:
                self.is_busy = False
        message = C_FIND()
        message.MessageID, message.Priority = request.message_id, 0
        message.AffectedSOPClassUID = UID(request.sop_class_uid)
        message.Identifier = BytesIO(identifier)
        self.dimse.msg_queue.put((context_id, message))

    def run_reactor(self) -> None:
        """Serve until the association ends."""
        try:
            super().run_reactor()
        finally:
            if self.dul.socket is not None:
                self.dul.socket._shutdown_socket()
            if self.services is not None:
                self.services.closed(self)

    def _serve_waiting(self) -> bool:
        """Serve the messages that have come; whether there was one."""
        has_served = False
        while not self._kill:
            context_id, message = self.dimse.get_msg(block=False)
            if not message:
                break
            self._serve_request(message, context_id)
            has_served = True
        return has_served

    def _serve_request(self, msg: Any, context_id: int) -> None:
        if isinstance(msg, N_EVENT_REPORT) and not msg.is_valid_request:
            self._reports.put(msg)
            return
        if self._sent_release or not msg.is_valid_request or self.services is None:
            return
        context = self._accepted_cx.get(context_id)
        if context is None:
            self.abort()
            return
        self._is_paused = True  # The service may send requests of its own.
        self.is_busy = True
        try:
            if isinstance(msg, C_STORE):  # Only on pynetdicom's own path.
                self._serve_store(msg, context)
            else:
                self.services.serve(self, msg, context)
        except Interrupted:
            return
        finally:
            self.dimse.cancel_req = {}
            self.is_busy = False
            self._is_paused = False
            self.dul._idle_timer.restart()

    def _serve_store(self, msg: Any, context: Any) -> None:
        request = StoreRequest(
            msg.MessageID,
            str(msg.AffectedSOPClassUID or ""),
            str(msg.AffectedSOPInstanceUID or ""),
            msg.MoveOriginatorApplicationEntityTitle or "",
            msg.MoveOriginatorMessageID or 0,
        )
        data = [msg.DataSet.getvalue()] if msg.DataSet is not None else []
        outcome = self.take_object(context.context_id, request, data)
        answer = C_STORE()
        answer.MessageIDBeingRespondedTo = msg.MessageID
        answer.AffectedSOPClassUID = msg.AffectedSOPClassUID
        answer.AffectedSOPInstanceUID = msg.AffectedSOPInstanceUID
        answer.Status = outcome.status
        if outcome.comment:
            answer.ErrorComment = outcome.comment
        self.dimse.send_msg(answer, context.context_id)

    def send_found(self, context_id: int, request: FindRequest, answers: Sequence[FindAnswer]) -> None:
        """Send responses to a query, with their encoded identifiers: on our path by who has made them, together."""
        if self._fast:
            messages = [
                (
                    request.answer(status, comment, has_data_set=bool(identifier)),
                    (identifier,) if identifier else None,
                )
                for status, identifier, comment in answers
            ]
            self.dul.write_messages(context_id, messages)
            return
        for status, identifier, comment in answers:
            answer = C_FIND()
            answer.MessageIDBeingRespondedTo = request.message_id
            answer.AffectedSOPClassUID = UID(request.sop_class_uid)
            answer.Status = status
            if identifier:
                answer.Identifier = BytesIO(identifier)
            if comment:
                answer.ErrorComment = comment
            self.dimse.send_msg(answer, context_id)

    # Sending objects, in either role.

    def send_object(self, context_id: int, request: StoreRequest, data: Outgoing) -> StoreAnswer:
        """Send a data set as it is and wait for the answer.

        Raises
        ------
        UnreachableError
            The association ended, or the peer has not answered in time.
        DamagedError, StorageError
            A large object turned out to be damaged on its way: the association is aborted, since its message cannot
            be finished.
        """
        self.object_count += 1
        self.object_bytes += data.length
        try:
            if self._fast:
                self.dul.write_message(context_id, request.encode(), data.pieces)
                answer = self.dul.answers.get(timeout=self.limits.answer_seconds)
            else:
                answer = self._send_slowly(context_id, request, data.joined())
        except (DamagedError, StorageError):
            self.abort()
            raise
        except (Interrupted, queue.Empty) as error:
            raise self._lost() from error
        if answer is None:
            raise self._lost()
        return answer

    def _send_slowly(self, context_id: int, request: StoreRequest, data: bytes) -> StoreAnswer | None:
        message = C_STORE()
        message.MessageID = request.message_id
        message.AffectedSOPClassUID = UID(request.sop_class_uid)
        message.AffectedSOPInstanceUID = UID(request.sop_instance_uid)
        message.Priority = request.priority
        message.DataSet = BytesIO(data)
        if request.move_originator:
            message.MoveOriginatorApplicationEntityTitle = request.move_originator
            message.MoveOriginatorMessageID = request.move_originator_message_id
        self.dimse.send_msg(message, context_id)
        found = self.answer()
        return None if found is None else StoreAnswer(found.Status, found.ErrorComment or "")

    def answer(self, seconds: float | None = None) -> Any:
        """The next message that the peer sent us, None when the association ended or none came in time."""
        deadline = time.monotonic() + (self.limits.answer_seconds if seconds is None else seconds)
        while time.monotonic() < deadline:
            try:
                return self.dimse.msg_queue.get(timeout=0.25)[1]
            except queue.Empty:
                if not self.dul.is_alive() or self.acse.is_aborted():
                    return None
        return None

    def ask_back(self, request: Any, context_id: int) -> int | None:
        """Ask something on an association that the peer made, and give the status; None if there is no answer."""
        if not self.is_established or not self.dul.is_alive():
            return None
        self.dimse.send_msg(request, context_id)
        deadline = time.monotonic() + self.limits.stall_seconds
        while time.monotonic() < deadline and self.dul.is_alive():
            try:
                return int(self._reports.get(timeout=0.25).Status)
            except queue.Empty:
                continue
        return None

    def _lost(self) -> UnreachableError:
        return UnreachableError(f"the association with {self.acceptor.ae_title} ended before it answered.")

    def end(self) -> None:
        """Release an association that we asked for; abort one that does not let itself be released."""
        if self.is_established and self.dul.is_alive():
            self.release()
        if self.is_established:
            self.abort()


def _preference(uid: str) -> int:
    """Uncompressed before lossless before lossy, whatever order the requestor lists them in."""
    syntax = transfer_syntax(str(uid))
    if syntax.known and not syntax.encapsulated and not syntax.deflated:
        return 0
    return 1 if syntax.lossless else 2 if syntax.lossless is None else 3
