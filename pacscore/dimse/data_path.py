"""The way of the bytes: PDUs walked in place in one buffer, stored objects sent by gathering writes (decision 0006).

This is pynetdicom's upper layer provider with two of its steps replaced: how it waits for the peer, and how it takes
P-DATA. State machine, timers, association control and all messages but C-STORE stay pynetdicom's.

D1  Nothing is allocated by a number from the peer before that number was compared with a limit.
D2  In the established state (Sta6 of PS3.8 9.2.1) P-DATA is walked here; any other PDU, and P-DATA in any other state,
    goes to the state machine.
D3  The fragments of one message come one after another on one presentation context (PS3.7 annex F, PS3.8 annex E);
    anything else is an invalid PDU (Evt19).
D4  A message is written as a whole: whoever writes holds the lock until its last fragment is with the kernel.
D5  A PDU that has begun must be complete within ``stall_seconds``.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from pacscore.dimse.commands import (
    C_STORE_RQ,
    C_STORE_RSP,
    Command,
    FindRequest,
    StoreAnswer,
    StoreRequest,
    decode_command,
)
from pacscore.dimse.incoming_data import DataSet
from pacscore.dimse.lines import tell
from pacscore.dimse.pdus import COMMAND, HEADER, LAST, P_DATA_TF, PduBody, PduBuffer, fragments_of, pdus_of, send_all
from pacscore.errors import InvalidDicomError

if TYPE_CHECKING:
    from pacscore.dimse.association import NodeAssociation

_TICK_SECONDS = 0.25
_PDU_BYTES_SENT = 1 << 17  # Larger ones gain nothing on loopback, and some peers allocate what is announced.
_BYTES_PER_WRITE = 1 << 20
_MALFORMED = (ValueError, KeyError, IndexError, TypeError, AttributeError, NotImplementedError, struct.error)


class Interrupted(Exception):
    """The association ended within a message; what came of it counts for nothing."""


class DataPath(DULServiceProvider):  # type: ignore[misc]  # pynetdicom is not typed for us (pyproject).
    """The upper layer provider of one association, with a data path of our own."""

    assoc: NodeAssociation

    def __init__(self, association: NodeAssociation) -> None:
        super().__init__(association)
        self.answers: queue.SimpleQueue[StoreAnswer | None] = queue.SimpleQueue()
        """Answers to our C-STORE requests; None when no more will come."""
        self._limits = association.limits
        self._buffer = PduBuffer(self._limits.pdu_bytes_max)
        self._items: Iterator[tuple[int, int, memoryview]] = iter(())
        self._pending: PduBody | None = None
        self._begun = 0.0
        self._command = bytearray()
        self._message_bytes = 0
        self._context_id: int | None = None  # Of the message that is being received.
        self._query: tuple[FindRequest, bytearray] | None = None
        self._expects_data = False
        self._write_lock = threading.RLock()
        self._wake_lock = threading.Lock()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._poll = select.poll()
        self._poll.register(self._wake_read, select.POLLIN)
        self._polled: socket.socket | None = None
        self._run_loop_delay = 0

    # Waiting, instead of looking every millisecond.

    def wake(self) -> None:
        """Let the provider look at what is to be sent, or whether it is to end."""
        with self._wake_lock:
            if self._wake_write >= 0:
                with suppress(BlockingIOError):  # It is awake already.
                    os.write(self._wake_write, b"\0")

    def send_pdu(self, primitive: Any) -> None:
        """Queue a primitive and wake the provider."""
        super().send_pdu(primitive)
        self.wake()

    def kill_dul(self) -> None:
        """End the provider."""
        super().kill_dul()
        self.wake()

    def stop_dul(self) -> bool:
        """End the provider if the association is over."""
        if self.state_machine.current_state != "Sta1":
            return False
        self.kill_dul()
        if threading.current_thread() is not self:
            self.join()
        return True

    def run_reactor(self) -> None:
        """Serve the association until it ends; then let nobody wait for it."""
        try:
            super().run_reactor()
        finally:
            self.answers.put(None)
            if self.socket is not None:
                self.socket._ready.set()  # Who asked for an association may wait for the connection.
            with self._wake_lock:
                for descriptor in (self._wake_read, self._wake_write):
                    os.close(descriptor)
                self._wake_write = -1
            self.assoc.signal()

    def _is_transport_event(self) -> bool:
        if not self.event_queue.empty():
            return False
        if self.state_machine.current_state == "Sta13":
            return bool(super()._is_transport_event())
        if self.socket is not None and self.socket.socket is not None and not self.socket._is_connected:
            self._wait(None)  # We are about to ask for the connection.
            return False
        try:
            found = self._next_pdu(wait=False)
            if found is None:
                return False
            try:
                self._take(*found)
            except Interrupted:
                if self._pending is None:
                    raise
                found, self._pending = self._pending, None  # Another PDU cut a message off.
                self._take(*found)
        except Interrupted:
            return False  # The event that says why is in the queue.
        except InvalidDicomError as error:
            self._refuse(error.message)
        except _MALFORMED as error:
            self._refuse(type(error).__name__)
        return True

    def _refuse(self, reason: str) -> None:
        tell("pdu.invalid", level=logging.WARNING, association=self.assoc.number, reason=reason)
        self.event_queue.put("Evt19")
        if self.state_machine.current_state == "Sta2":
            self.to_user_queue.put(None)  # Nobody will ask for an association any more.

    def _next_pdu(self, *, wait: bool) -> PduBody | None:
        """The next PDU: where ``wait``, until it is there; else None as soon as there is something else to do."""
        while True:
            found = self._buffer.take()
            if found is not None:
                self._begun = 0.0
                return found
            connection = None if self.socket is None else self.socket.socket
            if connection is None or connection.fileno() < 0:
                self._close("Evt17")
            elif self._is_readable(connection):
                self._fill(connection)
                continue
            elif self._is_overdue() and not self._is_readable(connection):
                # It is looked a last time: a machine that slept meanwhile has not heard the peer yet.
                tell("association.stalled", level=logging.WARNING, association=self.assoc.number)
                self._close("Evt19")
            elif not wait or self._kill_thread:
                if self._kill_thread and wait:
                    raise Interrupted
                return None
            if wait and not self._begun:
                self._begun = time.monotonic()  # Within a message each PDU is due.

    def _is_overdue(self) -> bool:
        return bool(self._begun) and time.monotonic() > self._begun + self._limits.stall_seconds

    def _fill(self, connection: socket.socket) -> None:
        try:
            if isinstance(connection, ssl.SSLSocket):
                with self._write_lock:  # One connection of OpenSSL is for one thread at a time.
                    count = self._fill_secure(connection)
            else:
                count = self._buffer.fill(connection)
        except (ssl.SSLWantReadError, BlockingIOError, InterruptedError):
            return
        except OSError:
            count = 0
        if not count:
            self._close("Evt17")
        self._begun = self._begun or time.monotonic()

    def _fill_secure(self, connection: ssl.SSLSocket) -> int:
        """Take what is decrypted; half a record is waited for by polling, so that others may write meanwhile."""
        connection.settimeout(0)
        try:
            return self._buffer.fill(connection)
        finally:
            connection.settimeout(self._limits.stall_seconds)

    def _close(self, event: str) -> None:
        self.event_queue.put(event)
        if self.state_machine.current_state == "Sta2":
            self.to_user_queue.put(None)  # Nobody will ask for an association any more.
        raise Interrupted

    def _is_readable(self, connection: socket.socket) -> bool:
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        return self._wait(connection)

    def _wait(self, connection: socket.socket | None) -> bool:
        """Wait a moment, or until there is something to do; whether the connection has something for us."""
        try:
            if connection is not None and connection is not self._polled:
                self._poll.register(connection, select.POLLIN)
                self._polled = connection
            ready = self._poll.poll(_TICK_SECONDS * 1000)
        except (OSError, ValueError):
            return True  # Reading says what is wrong.
        is_readable = False
        for descriptor, _ in ready:
            if descriptor == self._wake_read:
                os.read(self._wake_read, 4096)
            else:
                is_readable = True
        return is_readable

    # Receiving.

    def _take(self, kind: int, body: memoryview) -> None:
        if kind == P_DATA_TF and self.state_machine.current_state == "Sta6":
            self._items = fragments_of(body)
            while (item := next(self._items, None)) is not None:  # A data set may go on in PDUs to come.
                self._fragment(*item)
            return
        pdu, event = self._decode_pdu(bytearray(HEADER.pack(kind, 0, len(body)) + body))
        self._recv_pdu.put(pdu)
        self.event_queue.put(event)

    def _fragment(self, context_id: int, control: int, data: memoryview) -> None:
        self._check_order(context_id, control)
        self._context_id = context_id
        self._message_bytes += len(data)
        if self._message_bytes > self._limits.message_bytes_max:
            raise InvalidDicomError(
                f"a message passes {self._limits.message_bytes_max} bytes.", expected=self._limits.message_bytes_max
            )
        if control & COMMAND:
            self._command += data
            if control & LAST:
                self._command_done(context_id)
        else:
            if self._query is None:
                self._forward(context_id, control, data)
            else:
                self._query[1].extend(data)
            if control & LAST:
                query, self._query = self._query, None
                self._message_done()
                if query is not None:
                    self.assoc.take_query(context_id, query[0], bytes(query[1]))

    def _check_order(self, context_id: int, control: int) -> None:
        begun = self._context_id is not None
        if begun and context_id != self._context_id:
            raise InvalidDicomError("fragments of two messages are mixed.", found=context_id)  # D3
        if bool(control & COMMAND) == self._expects_data:
            raise InvalidDicomError("a command where a data set must come, or the other way round.", found=control)
        if context_id not in self.assoc.context_ids:
            raise InvalidDicomError(f"presentation context {context_id} was not accepted.", found=context_id)

    def _command_done(self, context_id: int) -> None:
        command = decode_command(self._command)
        if command.field == C_STORE_RQ and command.has_data_set:
            self._message_done()
            self._store(context_id, command)
        elif command.field == C_STORE_RSP and not command.has_data_set:
            self._message_done()
            self.answers.put(StoreAnswer.of(command))
        else:
            self._expects_data = command.has_data_set
            query = FindRequest.of(command)
            if query is not None:
                self._query = query, bytearray()
            else:
                self._forward(context_id, COMMAND | LAST, memoryview(bytes(self._command)))
            if not self._expects_data:
                self._message_done()
        self._command.clear()

    def _message_done(self) -> None:
        self._context_id, self._expects_data, self._message_bytes = None, False, 0

    def _forward(self, context_id: int, control: int, data: memoryview) -> None:
        """Give a fragment to pynetdicom's message layer."""
        primitive = P_DATA()
        primitive.presentation_data_value_list.append((context_id, bytes((control,)) + data))
        self.assoc.dimse.receive_primitive(primitive)

    def _store(self, context_id: int, command: Command) -> None:
        request = StoreRequest.of(command)
        pieces = DataSet(self, context_id, self._limits.object_bytes_max)
        outcome = self.assoc.take_object(context_id, request, pieces)
        pieces.skip_rest()
        self.write_message(context_id, request.answer(outcome.status, outcome.comment))

    def next_fragment(self, context_id: int) -> tuple[memoryview, bool]:
        """The next fragment of a data set, and whether it is the last; the view holds until the next call.

        Raises
        ------
        Interrupted
            The association ended, another PDU came, or the fragment belongs to another message (D3): whoever takes the
            data set must not go on as if it alone had failed.
        """
        try:
            while (item := next(self._items, None)) is None:
                found = self._next_pdu(wait=True)
                assert found is not None
                kind, body = found
                if kind != P_DATA_TF:
                    self._pending = found
                    raise Interrupted
                self._items = fragments_of(body)
            found_id, control, data = item
            if found_id != context_id or control & COMMAND:
                raise InvalidDicomError("fragments of two messages are mixed.", found=found_id)
        except InvalidDicomError as error:
            self._refuse(error.message)
            raise Interrupted from error
        return data, bool(control & LAST)

    # Sending.

    def _send(self, pdu: Any) -> None:
        with self._write_lock:
            super()._send(pdu)

    def write_message(self, context_id: int, command: bytes, data: Iterable[bytes | memoryview] | None = None) -> None:
        """Write a command, and the pieces of its data set where there is one.

        An error of the pieces leaves a message unfinished: nothing else can be said on this association any more.

        Raises
        ------
        Interrupted
            As ``write_messages``.
        """
        self.write_messages(context_id, [(command, data)])

    def write_messages(
        self, context_id: int, messages: Sequence[tuple[bytes, Iterable[bytes | memoryview] | None]]
    ) -> None:
        """Write messages one behind the other, small ones by one call of the system.

        Raises
        ------
        Interrupted
            The connection is closed, or the peer has not taken a byte for ``stall_seconds``.
        """
        peer_max = self.assoc.dimse.maximum_pdu_size or _PDU_BYTES_SENT
        size = max(min(peer_max, _PDU_BYTES_SENT) - 6, 1024)
        parts: list[Any] = []
        waiting = 0
        with self._write_lock:
            for command, data in messages:
                for pdus in pdus_of(context_id, COMMAND, (command,), size):
                    parts += pdus
                for pdus in () if data is None else pdus_of(context_id, 0, data, size):
                    parts += pdus
                    waiting += len(pdus) // 2 * size
                    if waiting >= _BYTES_PER_WRITE:
                        self._write(parts)
                        parts, waiting = [], 0
            self._write(parts)

    def _write(self, parts: list[Any]) -> None:
        connection = None if self.socket is None else self.socket.socket
        if connection is None:
            raise Interrupted
        try:
            if isinstance(connection, ssl.SSLSocket):
                connection.sendall(b"".join(parts))
                return
            send_all(connection, parts)
        except OSError as error:
            raise Interrupted from error
