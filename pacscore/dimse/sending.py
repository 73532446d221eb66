"""Sending stored objects to another node: contexts planned by what is stored, associations reused, failures named.

For each SOP class and stored transfer syntax a context of its own is proposed, and one for the uncompressed syntaxes
besides, so that the peer's answer says for each whether the stored bytes can go as they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pacscore.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from pacscore.dimse.association import NodeAssociation
from pacscore.dimse.commands import StoreAnswer, StoreRequest
from pacscore.dimse.configuration import Limits
from pacscore.dimse.connecting import CONTEXT_COUNT_MAX, Address, connect
from pacscore.dimse.conversion import choose_context
from pacscore.dimse.objects import Sendable, read_ahead
from pacscore.errors import PacscoreError, UnreachableError

_UNCOMPRESSED = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
Context = tuple[str, tuple[str, ...]]


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


class Sender:
    """Sends objects to one node; use it as a context manager.

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
        self._proposed: dict[Context, None] = {}
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

    def send(self, objects: Sequence[Sendable], sent: Sent, stopped: Callable[[], bool] = lambda: False) -> None:
        """Send objects and add to ``sent`` what became of them.

        Raises
        ------
        UnreachableError, RefusedError
            The peer cannot be reached; objects that were not tried are not in ``sent``.
        """
        kinds = [(each.sop_class_uid, each.transfer_syntax_uid) for each in objects]
        for each, (sop_class_uid, syntax) in zip(read_ahead(objects), kinds, strict=True):
            if stopped():
                return
            self._prepare(sop_class_uid, syntax, kinds)
            self._send_one(each, sent)

    def _prepare(self, sop_class_uid: str, syntax: str, kinds: Iterable[tuple[str, str]]) -> None:
        """Have an association that proposes what is needed now, and all that will be as far as it fits."""
        needed: Context = (sop_class_uid, (syntax,))
        if self._association is not None and needed in self._proposed and self._association.dul.is_alive():
            return
        if needed not in self._proposed:
            proposed = dict.fromkeys([*_contexts([(sop_class_uid, syntax)]), *_contexts(kinds), *self._proposed])
            self._proposed = dict.fromkeys(list(proposed)[:CONTEXT_COUNT_MAX])
        self.close()
        self._association = connect(self._entity, self._address, list(self._proposed), self._limits, fast=self._fast)

    def _send_one(self, one: Sendable, sent: Sent) -> None:
        uid = one.sop_instance_uid
        for attempt in range(self._limits.retry_count + 1):
            try:
                if self._association is None:
                    self._association = connect(
                        self._entity, self._address, list(self._proposed), self._limits, fast=self._fast
                    )
                answer, size = self._exchange(self._association, one)
            except UnreachableError as error:
                self.close()
                if attempt == self._limits.retry_count:
                    sent.failures.append(Failure(uid, error.message))
                continue
            except PacscoreError as error:
                sent.failures.append(Failure(uid, error.message))
                return
            if answer.is_stored:
                sent.objects += 1
                sent.bytes += size
                sent.warnings += answer.status != 0
                return
            is_transient = answer.status & 0xFF00 == 0xA700
            if not is_transient or attempt == self._limits.retry_count:
                reason = answer.comment or "the peer refuses the object"
                sent.failures.append(Failure(uid, f"{reason} (status 0x{answer.status:04X})", answer.status))
                return

    def _exchange(self, association: NodeAssociation, one: Sendable) -> tuple[StoreAnswer, int]:
        context = choose_context(association.contexts, one.sop_class_uid, one.transfer_syntax_uid)
        data = one.outgoing_in(context.transfer_syntax_uid)
        self._message_id = self._message_id % 65535 + 1
        request = StoreRequest(self._message_id, one.sop_class_uid, one.sop_instance_uid, *self._originator)
        return association.send_object(context.context_id, request, data), data.length


def _contexts(kinds: Iterable[tuple[str, str]]) -> Iterator[Context]:
    """One context for each class and stored syntax, and one for what it could be converted to."""
    for sop_class_uid, syntax in dict.fromkeys(kinds):
        yield sop_class_uid, (syntax,)
        if syntax not in _UNCOMPRESSED:
            yield sop_class_uid, _UNCOMPRESSED
        else:
            yield sop_class_uid, tuple(each for each in _UNCOMPRESSED if each != syntax)


def send_all(batches: Iterable[Sequence[Sendable]], senders: Sequence[Sender], told: Callable[[Sent], None]) -> Sent:
    """Send batches by several senders at once, each batch by one of them.

    Raises
    ------
    UnreachableError, RefusedError
        The peer cannot be reached; what was sent before has arrived.
    """
    total, waiting, lock = Sent(), iter(batches), threading.Lock()
    troubles: list[PacscoreError] = []

    def work(sender: Sender) -> None:
        with sender:
            while not troubles:
                with lock:
                    batch = next(waiting, None)
                if batch is None:
                    return
                sent = Sent()
                try:
                    sender.send(batch, sent, lambda: bool(troubles))
                except PacscoreError as error:
                    troubles.append(error)
                with lock:
                    total.add(sent)
                    told(total)

    threads = [threading.Thread(target=work, args=(each,), name=f"sender-{n}") for n, each in enumerate(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if troubles:
        raise troubles[0]
    return total
