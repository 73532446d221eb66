"""A peer made of a socket and PS3.8 alone: it says whatever a test wants it to say."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body)) + body


def associate_rq(
    contexts: Sequence[tuple[str, Sequence[str]]],
    *,
    calling: str = "RAW",
    called: str = "PACSCORE",
    max_pdu: int = 16384,
) -> bytes:
    body = struct.pack(">HH", 1, 0) + called.encode().ljust(16) + calling.encode().ljust(16) + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, (abstract, syntaxes) in enumerate(contexts):
        inner = item(0x30, abstract.encode()) + b"".join(item(0x40, each.encode()) for each in syntaxes)
        body += item(0x20, bytes([2 * number + 1, 0, 0, 0]) + inner)
    user = item(0x51, struct.pack(">I", max_pdu)) + item(0x52, b"1.2.3.4")
    return pdu(1, body + item(0x50, user))


def element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, number, len(value)) + value


def uid(text: str) -> bytes:
    return text.encode() + (b"\0" if len(text) % 2 else b"")


def command(
    field: int, *, message_id: int = 1, has_data: bool = False, sop_class: str = "", instance: str = ""
) -> bytes:
    body = element(0x0002, uid(sop_class)) if sop_class else b""
    body += element(0x0100, struct.pack("<H", field)) + element(0x0110, struct.pack("<H", message_id))
    body += element(0x0700, b"\0\0") if field != 0x30 else b""
    body += element(0x0800, struct.pack("<H", 1 if has_data else 0x0101))
    body += element(0x1000, uid(instance)) if instance else b""
    return element(0, struct.pack("<I", len(body))) + body


def pdv(context_id: int, control: int, data: bytes) -> bytes:
    return struct.pack(">IBB", len(data) + 2, context_id, control) + data


def element_of(raw: bytes, number: int) -> bytes:
    position = 0
    while position < len(raw):
        _, found, length = struct.unpack_from("<HHI", raw, position)
        if found == number:
            return raw[position + 8 : position + 8 + length]
        position += 8 + length
    return b""


class RawPeer:
    """One connection; every read has a deadline."""

    def __init__(self, port: int, seconds: float = 20.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *unused: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def exactly(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            piece = self.socket.recv(count - len(taken))
            if not piece:
                raise EOFError
            taken += piece
        return taken

    def read(self) -> tuple[int, bytes]:
        kind, _, length = struct.unpack(">BBI", self.exactly(6))
        return kind, self.exactly(length)

    def associate(self, contexts: Sequence[tuple[str, Sequence[str]]], **names: str) -> dict[int, tuple[int, str]]:
        """Result and transfer syntax of each context."""
        self.send(associate_rq(contexts, **names))  # type: ignore[arg-type]
        kind, body = self.read()
        assert kind == 2, kind
        answers: dict[int, tuple[int, str]] = {}
        position = 68
        while position < len(body):
            found, _, length = struct.unpack_from(">BBH", body, position)
            value = body[position + 4 : position + 4 + length]
            if found == 0x21:
                answers[value[0]] = (value[2], value[8:].decode())
            position += 4 + length
        return answers

    def response(self) -> tuple[int, int]:
        """Command field and status of the next response."""
        kind, body = self.read()
        assert kind == 4, kind
        raw = body[6:]
        return (
            int.from_bytes(element_of(raw, 0x0100), "little"),
            int.from_bytes(element_of(raw, 0x0900), "little"),
        )

    def store(self, data: bytes, *, sop_class: str = CT, instance: str = "1.2.3", context_id: int = 1) -> int:
        """Send an object and return the status."""
        request = command(1, has_data=True, sop_class=sop_class, instance=instance)
        self.send(pdu(4, pdv(context_id, 3, request)))
        size = 16000
        pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
        for number, piece in enumerate(pieces):
            self.send(pdu(4, pdv(context_id, 2 if number == len(pieces) - 1 else 0, piece)))
        return self.response()[1]

    def echo(self, context_id: int = 1) -> int:
        self.send(pdu(4, pdv(context_id, 3, command(0x30, sop_class=VERIFICATION))))
        return self.response()[1]

    def release(self) -> None:
        self.send(pdu(5, bytes(4)))
        assert self.read()[0] == 6

    def is_aborted(self) -> bool:
        """Whether the node ends the association: by A-ABORT, or by closing."""
        try:
            while True:
                if self.read()[0] == 7:
                    return True
        except (EOFError, ConnectionError):
            return True
