"""The node: it listens, admits, hands requests to the services, and drains when it is told to stop."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from pynetdicom import build_context
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE, N_ACTION

from pacscore.dicom.syntaxes import DEFLATED_LITTLE, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from pacscore.dimse import committing, forwarding, models
from pacscore.dimse.admission import Admission, judge
from pacscore.dimse.association import NodeAssociation, Outcome
from pacscore.dimse.commands import FindRequest
from pacscore.dimse.committing import Committing
from pacscore.dimse.configuration import Node
from pacscore.dimse.connecting import accept, make_entity
from pacscore.dimse.finding import answer_find, answer_find_at_once
from pacscore.dimse.forwarding import Forwarding
from pacscore.dimse.lines import tell
from pacscore.dimse.retrieving import answer_get, answer_move
from pacscore.dimse.sealing import QuietSealing
from pacscore.dimse.security import server_context
from pacscore.dimse.status import SOP_CLASS_NOT_SUPPORTED, SUCCESS, UNRECOGNIZED_OPERATION
from pacscore.dimse.storing import Counters, Receiver
from pacscore.errors import OperatorError
from pacscore.flow.following import Follower
from pacscore.flow.queue import Job, Transport, WorkQueue
from pacscore.flow.webhook import Webhook
from pacscore.flow.working import Worker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pacscore.archive.archive import Archive
    from pacscore.dimse.commands import StoreRequest
    from pacscore.flow.rules import Rule

_BACKLOG = 128
_UNCOMPRESSED = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED_LITTLE)


class DicomServer:
    """A node at work on an open archive; use it as a context manager.

    Parameters
    ----------
    archive
        Open for writing.
    rules, webhooks
        What goes on to whom, and who is told when a study has become quiet or was sent on.
    fast
        Use our data path; without it everything goes through pynetdicom.
    listener
        A socket that listens already, for several processes on one port.

    Raises
    ------
    OperatorError
        The port is taken, or the address is not of this machine.
    """

    def __init__(
        self,
        archive: Archive,
        node: Node,
        *,
        rules: Iterable[Rule] = (),
        webhooks: Iterable[str] = (),
        fast: bool = True,
        listener: socket.socket | None = None,
    ) -> None:
        self.archive = archive
        self.node = node
        self.counters = Counters()
        self.entity = make_entity(node.ae_title, node.limits)
        self.fast = fast
        self.receiver = Receiver(archive, node.limits, self.counters)
        self.committing = Committing(self)
        self.queue = WorkQueue(archive.root / "queue")
        rules, webhooks = tuple(rules), tuple(webhooks)
        quiet = node.limits.quiet_seconds
        self._sealing = QuietSealing(archive, self.counters)
        follower = Follower(
            archive,
            self.queue,
            rules,
            webhooks=webhooks,
            quiet_seconds=quiet,
            quiet=self._sealing.add if quiet else None,
        )
        transports: dict[str, Transport] = {
            committing.KIND: self.committing,
            forwarding.KIND: Forwarding(self),
            "webhook": Webhook(),
        }
        self.worker = Worker(self.queue, transports, follower if rules or webhooks or quiet else None, _tell_job)
        self._contexts = [build_context(uid, list(_UNCOMPRESSED)) for uid in models.SERVED]
        self._tls = server_context(node.tls) if node.tls is not None else None
        self._listener = listener if listener is not None else listen(node.host, node.port)
        self._associations: dict[int, NodeAssociation] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._acceptor = threading.Thread(target=self._accept_all, name="acceptor", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def start(self) -> DicomServer:
        """Begin to serve, in threads of its own."""
        self._listener.settimeout(0.1)
        self._acceptor.start()
        self._sealing.start()
        self.worker.start()
        tell("node.started", ae_title=self.node.ae_title, host=self.node.host, port=self.port)
        return self

    def stop(self, *, drain_seconds: float | None = None) -> None:
        """Take no new associations, let those at work finish, end the rest."""
        self._stopping.set()
        self._acceptor.join()
        self._listener.close()
        seconds = self.node.limits.drain_seconds if drain_seconds is None else drain_seconds
        deadline = time.monotonic() + seconds
        while self._at_work(busy=True) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(min(0.2, seconds))  # An answer is with its peer a moment before the peer has released.
        for association in self._at_work():
            association.abort()
        for association in self._at_work():
            association.join(5)
        self.worker.stop()
        self._sealing.stop()
        tell("node.stopped", **self.counters.as_dict())

    def __enter__(self) -> DicomServer:
        return self.start()

    def __exit__(self, *unused: object) -> None:
        self.stop(drain_seconds=1.0)

    # Connections.

    def _accept_all(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, peer = self._listener.accept()
            except TimeoutError:
                continue
            except OSError as error:
                tell("connection.failed", level=logging.ERROR, reason=error.strerror)
                time.sleep(0.1)  # Out of descriptors, most likely: those at work give theirs back.
                continue
            self._welcome(connection, peer)

    def _welcome(self, connection: socket.socket, peer: Any) -> None:
        connection.settimeout(self.node.limits.stall_seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            is_full = len(self._associations) >= self.node.limits.connection_count_max
        if is_full:
            self.counters.add(refused=1)
            tell("connection.refused", level=logging.WARNING, address=peer[0], reason="too many connections")
            connection.close()
            return
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            association = accept(
                self.entity,
                connection,
                limits=self.node.limits,
                services=self,
                contexts=self._contexts,
                fast=self.fast,
            )
            with self._lock:
                self._associations[association.number] = association
            association.start()
        except (OSError, ssl.SSLError, RuntimeError) as error:  # RuntimeError: no further thread can be started.
            tell("connection.failed", level=logging.ERROR, address=peer[0], reason=str(error))
            connection.close()

    def association(self, number: int) -> NodeAssociation | None:
        """The association of a number, while it stands."""
        with self._lock:
            return self._associations.get(number)

    def _at_work(self, *, busy: bool = False) -> list[NodeAssociation]:
        with self._lock:
            return [each for each in self._associations.values() if each.is_busy or not busy]

    # What associations ask for.

    def admit(self, association: NodeAssociation) -> Admission:
        """Decide on an association's request."""
        called = str(association.requestor.primitive.called_ae_title or "").strip()
        admission = judge(self.node, calling=association.calling, called=called, address=association.address)
        if admission.refusal:
            self.counters.add(refused=1)
        else:
            self.counters.add(associations=1)
            tell(
                "association.opened",
                association=association.number,
                calling=association.calling,
                called=called,
                address=association.address,
            )
        return admission

    def store(self, association: NodeAssociation, syntax: str, request: StoreRequest, data: Iterable[bytes]) -> Outcome:
        """Take an object."""
        return self.receiver.store(association, syntax, request, data)

    def find_at_once(self, association: NodeAssociation, request: FindRequest, identifier: bytes, context: Any) -> bool:
        """Answer a query for one study or series by its UID."""
        return answer_find_at_once(self, association, request, identifier, context)

    def serve(self, association: NodeAssociation, request: Any, context: Any) -> None:
        """Answer any other request."""
        if str(context.abstract_syntax) not in models.SERVED:
            # pynetdicom takes a class it has no name for as storage; nothing but storing is offered there.
            self._answer(association, request, context, SOP_CLASS_NOT_SUPPORTED)
        elif isinstance(request, C_FIND):
            raw = b"" if request.Identifier is None else request.Identifier.getvalue()
            find = FindRequest(int(request.MessageID), str(request.AffectedSOPClassUID))
            answer_find(self, association, find, raw, context)
        elif isinstance(request, C_GET):
            answer_get(self, association, request, context)
        elif isinstance(request, C_MOVE):
            answer_move(self, association, request, context)
        elif isinstance(request, N_ACTION):
            self.committing.answer(association, request, context)
        else:
            self._answer(
                association, request, context, SUCCESS if isinstance(request, C_ECHO) else UNRECOGNIZED_OPERATION
            )

    def _answer(self, association: NodeAssociation, request: Any, context: Any, status: int) -> None:
        answer = type(request)()
        answer.MessageIDBeingRespondedTo = request.MessageID
        answer.Status = status
        if isinstance(request, N_ACTION):
            answer.AffectedSOPClassUID = request.RequestedSOPClassUID
        else:
            answer.AffectedSOPClassUID = request.AffectedSOPClassUID
        association.dimse.send_msg(answer, context.context_id)

    def closed(self, association: NodeAssociation) -> None:
        """Forget an association that has ended."""
        with self._lock:
            known = self._associations.pop(association.number, None)
        if known is not None and not association.admission.refusal:
            tell(
                "association.closed",
                association=association.number,
                objects=association.object_count,
                bytes=association.object_bytes,
                ended="released" if association.is_released else "aborted",
            )


def _tell_job(event: str, job: Job) -> None:
    level = logging.WARNING if job.reason else logging.INFO
    tell(event, level=level, job=job.name, kind=job.kind, to=job.destination, attempts=job.attempts, reason=job.reason)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises
    ------
    OperatorError
        The port is taken, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise OperatorError(
            f"cannot listen on {host}:{port}: {error.strerror or error}. Choose another port, or stop what uses it."
        ) from error
    return made
