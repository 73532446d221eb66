"""Peers that do what no peer should: the node stays up, bounded, and says a clear line."""

from __future__ import annotations

import dataclasses
import logging
import socket
import struct
import threading
import time
import types

import pytest
from dimse.conftest import LIMITS, Started
from dimse.objects_made import data_set
from dimse.raw_peer import CT, EXPLICIT, IMPLICIT, VERIFICATION, RawPeer, associate_rq, command, pdu, pdv

from pacscore.dimse import data_path
from pacscore.dimse.configuration import Limits
from pacscore.dimse.server import DicomServer

CONTEXTS = [(CT, [EXPLICIT]), (VERIFICATION, [IMPLICIT])]
STORE = command(1, has_data=True, sop_class=CT, instance="1.2.3.1")


def _still_serves(server: DicomServer) -> None:
    with RawPeer(server.port) as peer:
        peer.associate([(CT, [EXPLICIT])])
        assert peer.store(data_set("1.2.3.77"), instance="1.2.3.77") == 0
        peer.release()


BROKEN = {
    "data without a command": pdv(1, 2, b"data"),
    "a context nobody accepted": pdv(9, 3, STORE),
    "an item beyond the pdu": struct.pack(">IBB", 5000, 1, 3) + STORE,
    "an item of no length": struct.pack(">I", 0) + pdv(1, 3, STORE),
    "half an item header": pdv(1, 1, STORE) + b"\0\0",
    "a command of noise": pdv(1, 3, b"\xff" * 40),
    "a command without a field": pdv(1, 3, STORE[:12]),
    "a command after a command": pdv(1, 3, command(0x20, has_data=True, sop_class=CT)) + pdv(1, 3, STORE),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_an_invalid_pdu_ends_its_association_and_no_other(
    server: DicomServer, fast: bool, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    if not fast:
        pytest.skip("what pynetdicom's own path makes of invalid PDUs is its own affair (until 2027-12-31)")
    with caplog.at_level(logging.INFO, "pacscore.dimse"), RawPeer(server.port) as peer:
        peer.associate(CONTEXTS)
        peer.send(pdu(4, body))
        assert peer.is_aborted()
    assert "pdu.invalid" in caplog.messages
    _still_serves(server)


@pytest.mark.parametrize(
    "stream",
    [
        b"\x09\0\0\0\0\x04abcd",
        b"\x04\0\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\x04\0\0\0\0\x00",
    ],
)
def test_what_is_no_association_request_is_refused_at_once(start: Started, fast: bool, stream: bytes) -> None:
    if not fast:
        pytest.skip("pynetdicom's own path waits for the rest of it (until 2027-12-31)")
    server = start(limits=dataclasses.replace(LIMITS, negotiation_seconds=1))
    with RawPeer(server.port) as peer:
        peer.send(stream)
        assert peer.is_aborted()
    _still_serves(server)


def test_contexts_that_are_mixed_within_a_message_end_the_association(server: DicomServer, fast: bool) -> None:
    if not fast:
        pytest.skip("pynetdicom's own path does not look (until 2027-12-31)")
    with RawPeer(server.port) as peer:
        peer.associate([(CT, [EXPLICIT]), (CT, [EXPLICIT])])
        peer.send(pdu(4, pdv(1, 3, STORE) + pdv(1, 0, b"abc") + pdv(3, 0, b"def")))
        assert peer.is_aborted()
    assert not list(server.archive.find("instance"))
    _still_serves(server)


@pytest.mark.parametrize("ending", ["abort", "close", "reset", "release"])
def test_an_association_that_ends_within_an_object_leaves_nothing(server: DicomServer, ending: str) -> None:
    with RawPeer(server.port) as peer:
        peer.associate(CONTEXTS)
        peer.send(pdu(4, pdv(1, 3, STORE)) + pdu(4, pdv(1, 0, data_set()[:200])))
        if ending == "abort":
            peer.send(pdu(7, bytes(4)))
        elif ending == "release":
            peer.send(pdu(5, bytes(4)))
        elif ending == "reset":
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _still_serves(server)
    assert [row["SOPInstanceUID"] for row in server.archive.find("instance")] == ["1.2.3.77"]


def test_a_peer_that_stops_within_a_pdu_is_given_up(start: Started, fast: bool) -> None:
    if not fast:
        pytest.skip("pynetdicom's own path waits for the idle time (until 2027-12-31)")
    server = start(limits=Limits(stall_seconds=0.5, quiet_seconds=0, free_bytes_min=0))
    with RawPeer(server.port) as peer:
        peer.associate(CONTEXTS)
        peer.send(pdu(4, pdv(1, 3, STORE)) + pdu(4, pdv(1, 0, bytes(100)))[:50])
        started = time.monotonic()
        assert peer.is_aborted()
        assert time.monotonic() - started < 5
    _still_serves(server)


def test_a_machine_that_slept_within_a_pdu_hears_the_peer_out(
    start: Started, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fast:
        pytest.skip("pynetdicom's own path waits for the idle time (until 2027-12-31)")
    asleep = 0.0
    clock = types.SimpleNamespace(monotonic=lambda: time.monotonic() + asleep)
    monkeypatch.setattr(data_path, "time", clock)
    monkeypatch.setattr(data_path, "_TICK_SECONDS", 1.5)
    server = start()
    with RawPeer(server.port) as peer:
        peer.associate(CONTEXTS)
        whole = pdu(4, pdv(3, 3, command(0x30, sop_class=VERIFICATION)))
        peer.send(whole[:20])
        time.sleep(0.5)
        asleep = 1000.0
        time.sleep(1.75)  # Within the tick behind the one in which it is noticed that time is over.
        peer.send(whole[20:])
        assert peer.response() == (0x8030, 0)


def test_a_connection_that_says_nothing_is_closed(start: Started) -> None:
    server = start(limits=Limits(negotiation_seconds=0.5, quiet_seconds=0, free_bytes_min=0))
    with RawPeer(server.port) as peer:
        assert peer.is_aborted()
    _still_serves(server)


def test_an_association_that_idles_is_ended(start: Started) -> None:
    server = start(limits=Limits(idle_seconds=0.5, quiet_seconds=0, free_bytes_min=0))
    with RawPeer(server.port) as peer:
        peer.associate(CONTEXTS)
        assert peer.is_aborted()


def test_a_flood_of_associations_is_bounded(start: Started) -> None:
    server = start(limits=Limits(association_count_max=4, connection_count_max=8, quiet_seconds=0, free_bytes_min=0))
    peers, answers = [], []
    for _ in range(20):
        try:
            peer = RawPeer(server.port)
            peer.send(associate_rq(CONTEXTS))
            answers.append(peer.read()[0])
            peers.append(peer)
        except (EOFError, ConnectionError):
            answers.append(0)
    assert answers.count(2) == 4
    assert threading.active_count() < 60
    for peer in peers:
        peer.socket.close()
    deadline = time.monotonic() + 10
    while server._at_work() and time.monotonic() < deadline:
        time.sleep(0.05)
    _still_serves(server)


def test_a_message_beyond_its_limit_ends_the_association(start: Started, fast: bool) -> None:
    if not fast:
        pytest.skip("pynetdicom's own path knows no limit (until 2027-12-31)")
    server = start(limits=Limits(message_bytes_max=10_000, quiet_seconds=0, free_bytes_min=0))
    with RawPeer(server.port) as peer:
        peer.associate(CONTEXTS)
        peer.send(pdu(4, pdv(1, 1, b"\0" * 8000)) + pdu(4, pdv(1, 1, b"\0" * 8000)))
        assert peer.is_aborted()
    _still_serves(server)


def test_a_line_of_the_log_cannot_be_forged_and_names_no_patient(
    server: DicomServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), RawPeer(server.port) as peer:
        peer.associate(CONTEXTS, calling='A B="C')
        assert peer.store(data_set(name="SECRET^NAME"), instance="1.2.3.1") == 0
        assert peer.store(data_set(name="SECRET^NAME"), instance="1.2.3.5") == 0xA900
        peer.release()
    assert "SECRET" not in caplog.text
    assert LIMITS.stall_seconds
