"""Sending stored objects to another node: contexts planned by what is stored, associations reused, failures named.

S1  An object counts as sent only when the peer has answered that it has it.
S2  A failure that may pass (the connection is lost, the peer is out of resources) is tried again after a while, each
    time twice as long; any other fails for this one object.
S3  What a peer accepts in no syntax is not asked for again: its objects fail without a further association.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pacscore.dimse.association import NodeAssociation
from pacscore.dimse.commands import StoreAnswer, StoreRequest
from pacscore.dimse.configuration import Limits
from pacscore.dimse.connecting import Address, connect
from pacscore.dimse.objects import Sendable, prepare, read_ahead
from pacscore.dimse.proposing import Kind, Proposal
from pacscore.errors import PacscoreError, RefusedError, UnreachableError

_OUT_OF_RESOURCES = 0xA700


@dataclass(frozen=True, slots=True)
class Failure:
    """One object that did not arrive, and why."""

    sop_instance_uid: str
    reason: str
    status: int = 0


@dataclass(slots=True)
class Sent:
    """What a sending has done."""

    objects: int = 0
    bytes: int = 0
    warnings: int = 0
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Sent) -> None:
        """Count what another sending has done."""
        self.objects += other.objects
        self.bytes += other.bytes
        self.warnings += other.warnings
        self.failures += other.failures

    def clear(self) -> None:
        """Begin to count anew."""
        self.objects = self.bytes = self.warnings = 0
        self.failures = []

    def as_dict(self) -> dict[str, Any]:
        """The same by name, ready for JSON."""
        return {
            "objects": self.objects,
            "bytes": self.bytes,
            "warnings": self.warnings,
            "failures": [
                {"sop_instance_uid": each.sop_instance_uid, "reason": each.reason, "status": each.status}
                for each in self.failures
            ],
        }


Stopped = Callable[[], bool]
Told = Callable[[str, bool], None]
"""Called for each object when it is over, with its SOP Instance UID and whether the peer has it."""


def _never() -> bool:
    return False


def _nobody(sop_instance_uid: str, arrived: bool) -> None:
    """Nobody is to be told."""


class Sender:
    """Sends objects to one node, one at a time; use it as a context manager.

    Parameters
    ----------
    originator
        AE title and message ID of the C-MOVE that asked for it, empty if none did.
    """

    def __init__(
        self,
        entity: Any,
        address: Address,
        limits: Limits,
        *,
        originator: tuple[str, int] = ("", 0),
        fast: bool = True,
    ) -> None:
        self._entity = entity
        self._address = address
        self._limits = limits
        self._originator = originator
        self._fast = fast
        self._association: NodeAssociation | None = None
        self._proposed: set[Kind] = set()
        self._planned: dict[Kind, None] = {}
        self._refused: set[Kind] = set()
        self._message_id = 0

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the association."""
        association, self._association = self._association, None
        if association is not None:
            with suppress(PacscoreError, OSError):
                association.end()

    def cut(self) -> None:
        """Cut the connection, as if the cable was pulled; for tests of peers that have to bear it."""
        association = self._association
        connection = None if association is None or association.dul.socket is None else association.dul.socket.socket
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def expect(self, objects: Iterable[Sendable]) -> None:
        """Say what will be sent, so that one association is asked for all of it."""
        self._planned |= dict.fromkeys((each.sop_class_uid, each.transfer_syntax_uid) for each in objects)

    def send(self, objects: Sequence[Sendable], sent: Sent, stopped: Stopped = _never, told: Told = _nobody) -> None:
        """Send objects, and add to ``sent`` what became of them.

        Raises
        ------
        UnreachableError, RefusedError
            The peer cannot be reached, or does not want an association; objects that were not tried are not in
            ``sent``, and nobody is told of them.
        """
        self.expect(objects)
        for each in read_ahead(objects):
            if stopped():
                return
            kind = (each.sop_class_uid, each.transfer_syntax_uid)
            before = sent.objects
            if self._is_open_to(kind):
                self._send_one(each, kind, sent, stopped)
            else:
                sent.failures.append(Failure(each.sop_instance_uid, f"the peer takes no objects of class {kind[0]}"))
            told(each.sop_instance_uid, sent.objects > before)

    def _is_open_to(self, kind: Kind) -> bool:
        """Have an association that was asked for such objects; whether the peer takes any of what was asked for."""
        if kind in self._refused:
            return False
        association = self._association
        if association is not None and kind in self._proposed and association.dul.is_alive():
            return True
        self.close()
        planned = [each for each in self._planned if each not in self._refused]
        at = planned.index(kind)
        proposal = Proposal(kind, planned[at + 1 :] + planned[:at])  # What comes next has more need of the room.
        self._proposed = proposal.kinds
        try:
            self._association = connect(
                self._entity, self._address, list(proposal.contexts), self._limits, fast=self._fast
            )
        except RefusedError as error:
            if not error.fields.get("accepts_nothing"):
                raise
            self._refused |= proposal.kinds
            return False
        return True

    def _send_one(self, one: Sendable, kind: Kind, sent: Sent, stopped: Stopped) -> None:
        uid = one.sop_instance_uid
        for attempt in range(self._limits.retry_count + 1):
            if attempt:
                time.sleep(self._limits.retry_seconds * 2.0 ** (attempt - 1))  # S2
            try:
                if not self._is_open_to(kind) or self._association is None:
                    sent.failures.append(Failure(uid, f"the peer takes no objects of class {kind[0]}"))
                    return
                answer, size = self._exchange(self._association, one)
            except UnreachableError as error:
                self.close()
                if attempt == self._limits.retry_count or stopped():
                    sent.failures.append(Failure(uid, error.message))
                    return
                continue
            except PacscoreError as error:
                sent.failures.append(Failure(uid, error.message))
                return
            if answer.is_stored:
                sent.objects += 1
                sent.bytes += size
                sent.warnings += answer.status != 0
                return
            is_transient = answer.status & 0xFF00 == _OUT_OF_RESOURCES
            if not is_transient or attempt == self._limits.retry_count or stopped():
                reason = answer.comment or "the peer refuses the object"
                sent.failures.append(Failure(uid, f"{reason} (status 0x{answer.status:04X})", answer.status))
                return

    def _exchange(self, association: NodeAssociation, one: Sendable) -> tuple[StoreAnswer, int]:
        contexts = association.contexts_for(one.sop_class_uid, one.transfer_syntax_uid)
        context, data = prepare(one, contexts)
        self._message_id = self._message_id % 65535 + 1
        request = StoreRequest(self._message_id, one.sop_class_uid, one.sop_instance_uid, *self._originator)
        return association.send_object(context.context_id, request, data), data.length


def send_all(
    batches: Iterable[Sequence[Sendable]],
    senders: Sequence[Sender],
    told: Callable[[Sent], None],
    arrived: Callable[[str], None] = lambda uid: None,
) -> Sent:
    """Send batches by several senders at once, each batch by one of them.

    Parameters
    ----------
    told
        Called with the counts so far, often; by one thread at a time.
    arrived
        Called with the SOP Instance UID of each object that the peer has confirmed; likewise.

    Raises
    ------
    UnreachableError, RefusedError
        The peer cannot be reached; what was sent before has arrived.
    """
    total, waiting, lock = Sent(), iter(batches), threading.Lock()
    troubles: list[PacscoreError] = []

    def work(sender: Sender) -> None:
        sent = Sent()

        def over(uid: str, has_arrived: bool) -> None:
            with lock:
                total.add(sent)
                sent.clear()
                if has_arrived:
                    arrived(uid)
                told(total)

        with sender:
            while not troubles:
                with lock:
                    batch = next(waiting, None)
                if batch is None:
                    return
                try:
                    sender.send(batch, sent, lambda: bool(troubles), over)
                except PacscoreError as error:
                    troubles.append(error)

    threads = [threading.Thread(target=work, args=(each,), name=f"sender-{n}") for n, each in enumerate(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if troubles:
        raise troubles[0]
    return total
