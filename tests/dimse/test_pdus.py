from __future__ import annotations

import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from dimse.raw_peer import pdu, pdv
from hypothesis import given
from hypothesis import strategies as st

from pacscore.dimse.pdus import PduBuffer, fragments_of, pdus_of, send_all
from pacscore.errors import InvalidDicomError


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 3), st.binary(max_size=50)), max_size=8))
def test_fragments_come_back_as_they_were_sent(items: list[tuple[int, int, bytes]]) -> None:
    body = b"".join(pdv(*each) for each in items)
    assert [(context, control, bytes(data)) for context, control, data in fragments_of(memoryview(body))] == items


@given(st.binary(max_size=100))
def test_noise_in_a_pdu_is_refused_and_nothing_else(noise: bytes) -> None:
    try:
        list(fragments_of(memoryview(noise)))
    except InvalidDicomError:
        return


@given(st.lists(st.binary(max_size=1500), max_size=5), st.integers(1, 700))
def test_a_message_is_cut_into_fragments_that_make_it_again(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    stream = memoryview(b"".join(part for parts in pdus_of(5, 0, map(memoryview, pieces), size) for part in parts))
    found = []
    while stream:
        kind, _, length = struct.unpack_from(">BBI", stream)
        found += list(fragments_of(stream[6 : 6 + length]))
        assert kind == 4
        stream = stream[6 + length :]
    assert b"".join(bytes(part) for _, _, part in found) == data
    assert [control & 2 for _, control, _ in found] == [0] * (len(found) - 1) + [2]
    assert all(len(part) == size for _, _, part in found[:-1])
    assert len(found[-1][2]) <= size


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 11, 64, 1000])
def test_pdus_come_whole_however_the_stream_is_cut(size: int) -> None:
    sent = [(4, bytes([n]) * (n * 37 % 900)) for n in range(1, 60)]
    stream = b"".join(pdu(kind, body) for kind, body in sent)
    buffer, found = PduBuffer(1000), []
    left, right = socket.socketpair()
    with closing(left), closing(right):
        for at in range(0, len(stream), size):
            left.sendall(stream[at : at + size])
            buffer.fill(right)
            while (taken := buffer.take()) is not None:
                found.append((taken[0], bytes(taken[1])))
    assert found == sent
    assert buffer.is_empty


@pytest.mark.parametrize("head", [b"\x04\0\0\0\x03\xe9", b"\x04\0\xff\xff\xff\xff", b"\x09\0\0\0\0\x04", b"\0" * 6])
def test_too_long_a_pdu_and_an_unknown_one_are_refused_by_their_header(head: bytes) -> None:
    buffer = PduBuffer(1000)
    left, right = socket.socketpair()
    with closing(left), closing(right):
        left.sendall(head)
        buffer.fill(right)
        with pytest.raises(InvalidDicomError):
            buffer.take()


@pytest.mark.parametrize("count", [1, 700, 1500])
def test_parts_arrive_in_order_however_little_the_system_takes_at_a_time(count: int) -> None:
    parts = [bytes([n % 251]) * (n % 400) for n in range(count)]
    left, right = socket.socketpair()
    with closing(left), closing(right), ThreadPoolExecutor(1) as pool:
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        left.settimeout(10)
        sending = pool.submit(send_all, left, parts)
        came = b""
        while len(came) < sum(map(len, parts)):
            came += right.recv(1000)
        sending.result()
    assert came == b"".join(parts)
