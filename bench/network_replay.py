"""A node of no cost: it says again what another node said, byte for byte, and does nothing else.

    python bench/network_replay.py record FILE LISTEN:NODE [LISTEN:SINK]
    python bench/network_replay.py replay FILE LISTEN [SINK] [--durable JOURNAL]

``record`` stands between a user and a node, and between the node and the sink that C-MOVE sends to, and writes what
passed when it is told to end (SIGTERM). ``replay`` takes the node's place: it reads as many bytes as the node had read
and sends what the node had sent, in the same order. So the time of an exchange with it is that of the user's program,
of the network and of the sink: no node can be faster. With ``--durable`` each object that was read is also written and
synced before it is answered, in zeros written ahead: the least that promise 1 asks for.
"""

from __future__ import annotations

import argparse
import os
import pickle
import signal
import socket
import sys
import threading
from pathlib import Path

Step = tuple[str, int | bytes]
"""Channel ("user" or "sink") with what the node did there: read so many bytes, send these, or close (0 bytes)."""

_OBJECT_BYTES_MIN = 2048
_BUFFER_BYTES = 1 << 20
_ROOM_BYTES = 256 << 20


class _Recorder:
    """What passed, in its order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.steps: list[tuple[str, int | list[bytes]]] = []

    def add(self, channel: str, data: bytes, *, by_node: bool) -> None:
        with self._lock:
            last = self.steps[-1] if self.steps else ("", 0)
            if by_node and last[0] == channel and isinstance(last[1], list) and data:
                last[1].append(data)
            elif not by_node and last[0] == channel and isinstance(last[1], int) and last[1] and data:
                self.steps[-1] = (channel, last[1] + len(data))
            else:
                self.steps.append((channel, [data] if by_node else len(data)))

    def save(self, path: Path) -> None:
        with self._lock:
            steps = [(each, how if isinstance(how, int) else b"".join(how)) for each, how in self.steps]
        path.with_suffix(".tmp").write_bytes(pickle.dumps(steps))
        path.with_suffix(".tmp").replace(path)


def _relay(recorder: _Recorder, channel: str, source: socket.socket, sink: socket.socket, *, by_node: bool) -> None:
    while data := source.recv(_BUFFER_BYTES):
        recorder.add(channel, data, by_node=by_node)
        sink.sendall(data)
    if by_node:
        recorder.add(channel, b"", by_node=True)
    sink.shutdown(socket.SHUT_WR)


def _between(recorder: _Recorder, channel: str, listen: int, target: int) -> None:
    with socket.create_server(("127.0.0.1", listen)) as server:
        while True:
            near, _ = server.accept()
            far = socket.create_connection(("127.0.0.1", target))
            for each in (near, far):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            node, other = (far, near) if channel == "user" else (near, far)
            for source, sink, by_node in ((node, other, True), (other, node, False)):
                threading.Thread(
                    target=_relay, args=(recorder, channel, source, sink), kwargs={"by_node": by_node}, daemon=True
                ).start()


def record(path: Path, places: list[str]) -> None:
    """Stand between, until told to end."""
    recorder = _Recorder()
    for channel, place in zip(("user", "sink"), places, strict=False):
        listen, target = map(int, place.split(":"))
        threading.Thread(target=_between, args=(recorder, channel, listen, target), daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    recorder.save(path)


class _Journal:
    """Where a durable answer puts what it has read."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o644)
        for at in range(0, _ROOM_BYTES, _BUFFER_BYTES):
            os.pwrite(self._descriptor, bytes(_BUFFER_BYTES), at)
        os.fdatasync(self._descriptor)
        self._at = 0

    def put(self, parts: list[bytes]) -> None:
        length = sum(map(len, parts))
        if self._at + length > _ROOM_BYTES:
            self._at = 0
        os.pwritev(self._descriptor, parts, self._at)
        self._at += length
        os.fdatasync(self._descriptor)


def replay(path: Path, listen: int, sink: int, journal: Path | None) -> None:
    """Answer one user after the other, until told to end (SIGTERM ends the process)."""
    steps: list[Step] = pickle.loads(path.read_bytes())
    durable = None if journal is None else _Journal(journal)
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    with socket.create_server(("127.0.0.1", listen)) as server:
        while True:
            channels: dict[str, socket.socket] = {}
            for channel, how in steps:
                if channel not in channels:
                    channels[channel] = (
                        server.accept()[0] if channel == "user" else socket.create_connection(("127.0.0.1", sink))
                    )
                    channels[channel].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection = channels[channel]
                if isinstance(how, int):
                    parts = _read(connection, how, buffer, keep=durable is not None)
                    if durable is not None and how >= _OBJECT_BYTES_MIN:
                        durable.put(parts)
                elif how:
                    connection.sendall(how)
                else:
                    channels.pop(channel).close()
            for connection in channels.values():
                connection.close()


def _read(connection: socket.socket, count: int, buffer: memoryview, *, keep: bool) -> list[bytes]:
    parts: list[bytes] = []
    while count:
        got = connection.recv_into(buffer[:count])
        if not got:
            sys.exit("The user said less than it had said in the recorded run.")
        count -= got
        if keep:
            parts.append(bytes(buffer[:got]))
    return parts


def main() -> None:
    """Record or replay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("record", "replay"))
    parser.add_argument("file", type=Path)
    parser.add_argument("places", nargs="+", metavar="PORT")
    parser.add_argument("--durable", type=Path, metavar="JOURNAL")
    given = parser.parse_args()
    if given.mode == "record":
        record(given.file, given.places)
    else:
        listen, sink = [*map(int, given.places), 0][:2]
        replay(given.file, listen, sink, given.durable)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT} if "record" in sys.argv[1:2] else set())
    main()
