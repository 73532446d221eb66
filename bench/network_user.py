"""A user of nodes made of a socket: what it costs itself is little, and the same for every node."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any

import pydicom

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
VERIFICATION = "1.2.840.10008.1.1"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"


class Template:
    """CT objects of about 4 KB, made of a real one: only the UIDs differ, each a series of its own or of one."""

    def __init__(self, path: Path) -> None:
        made = pydicom.dcmread(path)
        made.Rows = made.Columns = 32
        made.PixelData = bytes(2 * 32 * 32)
        made.SOPInstanceUID, made.SeriesInstanceUID, made.StudyInstanceUID = (
            f"2.25.{root}.1000000" for root in (8200, 8201, 8202)
        )
        buffer = pydicom.filebase.DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        del made.file_meta
        pydicom.filewriter.write_dataset(buffer, made)
        self._data: bytes = buffer.getvalue()

    def object(self, number: int, *, series: int = 0) -> tuple[str, bytes]:
        """SOP Instance UID and data set of one."""
        data = self._data.replace(b"2.25.8200.1000000", b"2.25.8200.%07d" % (1_000_000 + number))
        for root in (b"2.25.8201", b"2.25.8202"):
            data = data.replace(root + b".1000000", root + b".%07d" % (1_000_000 + series))
        return f"2.25.8200.{1_000_000 + number}", data


def series_uid_of(series: int) -> str:
    """Series Instance UID of the template's series of a number."""
    return f"2.25.8201.{1_000_000 + series}"


class User:
    """One association, without TLS, with one context."""

    def __init__(self, port: int, abstract: str, syntax: str, *, called: str) -> None:
        self._abstract = abstract
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        inner = _item(0x30, abstract.encode()) + _item(0x40, syntax.encode())
        body = struct.pack(">HH", 1, 0) + called.encode().ljust(16) + b"BENCH".ljust(16) + bytes(32)
        body += _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, bytes([1, 0, 0, 0]) + inner)
        body += _item(0x50, _item(0x51, struct.pack(">I", 1 << 17)) + _item(0x52, b"1.2.826.0.1.3680043.9"))
        self._send(1, body)
        kind, _ = self._read()
        assert kind == 2, kind

    def __enter__(self) -> User:
        return self

    def __exit__(self, *unused: object) -> None:
        self._send(5, bytes(4))
        self._read()
        self._socket.close()

    def store(self, uid: str, data: bytes) -> int:
        """C-STORE, and its status."""
        values = [(0x0002, _uid(self._abstract)), (0x0100, b"\1\0"), (0x0110, b"\1\0"), (0x0700, b"\0\0")]
        command = _command([*values, (0x0800, b"\1\0"), (0x1000, _uid(uid))])
        self._send(4, _value(3, command) + _value(2, data))
        return self._status()

    def find(self, identifier: bytes) -> int:
        """C-FIND, and how many answers there were."""
        values = [(0x0002, _uid(self._abstract)), (0x0100, b"\x20\0"), (0x0110, b"\1\0"), (0x0700, b"\0\0")]
        self._send(4, _value(3, _command([*values, (0x0800, b"\1\0")])) + _value(2, identifier))
        count = 0
        while (status := self._status()) in (0xFF00, 0xFF01):
            count += 1
        assert status == 0, hex(status)
        return count

    def echo(self) -> None:
        """C-ECHO: what a message costs that asks for nothing."""
        values = [(0x0002, _uid(self._abstract)), (0x0100, b"\x30\0"), (0x0110, b"\1\0"), (0x0800, b"\1\1")]
        self._send(4, _value(3, _command(values)))
        assert self._status() == 0

    def _status(self) -> int:
        """Of the next response; data sets are read and passed over."""
        while True:
            kind, body = self._read()
            assert kind == 4, kind
            at = 0
            status = None
            while at < len(body):
                length, _, control = struct.unpack_from(">IBB", body, at)
                if control & 1:
                    raw = body[at + 6 : at + 4 + length]
                    found = raw.find(b"\0\0\0\x09\2\0\0\0")
                    status = int.from_bytes(raw[found + 8 : found + 10], "little")
                at += 4 + length
            if status is not None:
                return status

    def _send(self, kind: int, body: bytes) -> None:
        self._socket.sendall(struct.pack(">BBI", kind, 0, len(body)) + body)

    def _read(self) -> tuple[int, bytes]:
        kind, _, length = struct.unpack(">BBI", self._exactly(6))
        return kind, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count:
            part = self._socket.recv(count)
            assert part, "the node has closed the connection"
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def identifier_of(**keys: Any) -> bytes:
    """An identifier in Implicit VR Little Endian."""
    made = pydicom.Dataset()
    for keyword, value in keys.items():
        setattr(made, keyword, value)
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, True
    pydicom.filewriter.write_dataset(buffer, made)
    return bytes(buffer.getvalue())


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _value(control: int, data: bytes) -> bytes:
    return struct.pack(">IBB", len(data) + 2, 1, control) + data


def _uid(text: str) -> bytes:
    return text.encode() + (b"\0" if len(text) % 2 else b"")


def _command(values: list[tuple[int, bytes]]) -> bytes:
    body = b"".join(struct.pack("<HHI", 0, tag, len(value)) + value for tag, value in values)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body
