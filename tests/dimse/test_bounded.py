"""Much at once: memory stays bounded, sealing goes on beside, and work in the queue survives whoever does it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dimse.conftest import Started
from dimse.objects_made import data_set
from dimse.raw_peer import CT, EXPLICIT, RawPeer, command, pdu, pdv
from dimse.serving import serving

import pacscore
from pacscore.dimse.configuration import Limits
from pacscore.flow.queue import WorkQueue

MIB = 1 << 20
_PDU = 120_000


def _until(condition: Callable[[], bool], seconds: float = 30.0, *, every: float = 0.05) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(every)


def _peak_mb(process: int) -> float:
    text = Path(f"/proc/{process}/status").read_text("ascii", "ignore")
    return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM"))


def _store_large(port: int, number: int, megabytes: int) -> int:
    """Send a CT object of so many megabytes, made as it goes, and give the status."""
    uid = f"1.2.3.{number}"
    small = data_set(uid, series=f"1.2.4.{number}", number=number)
    rows, columns, length = 1024, 512, megabytes * MIB
    head = small[: small.index(b"\x28\0\x02\0US")]
    head += data_set(uid)[data_set(uid).index(b"\x28\0\x02\0US") : data_set(uid).index(b"\x28\0\x10\0US")]
    frames = str(length // (2 * rows * columns)).encode()
    head += (
        b"\x28\0\x08\0IS"
        + (len(frames) + len(frames) % 2).to_bytes(2, "little")
        + frames.ljust(len(frames) + len(frames) % 2)
    )
    for tag, value in ((0x10, rows), (0x11, columns), (0x100, 16), (0x101, 16), (0x102, 15), (0x103, 0)):
        head += (0x28).to_bytes(2, "little") + tag.to_bytes(2, "little") + b"US\2\0" + value.to_bytes(2, "little")
    head += b"\xe0\x7f\x10\0OW\0\0" + length.to_bytes(4, "little")
    block = (number * 7 + 1).to_bytes(2, "little") * (_PDU // 2)
    with RawPeer(port, 300) as peer:
        peer.associate([(CT, [EXPLICIT])])
        peer.send(pdu(4, pdv(1, 3, command(1, has_data=True, sop_class=CT, instance=uid))))
        peer.send(pdu(4, pdv(1, 0, head)))
        whole, left = pdu(4, pdv(1, 0, block)), length
        while left > len(block):
            peer.send(whole)
            left -= len(block)
        peer.send(pdu(4, pdv(1, 2, block[:left])))
        status = peer.response()[1]
        peer.release()
    return status


def _many_large(folder: Path, count: int, megabytes: int, limit_mb: float) -> None:
    with serving(folder) as (process, port):
        assert _store_large(port, 999, 1) == 0
        idle = _peak_mb(process)
        with ThreadPoolExecutor(count) as pool:
            statuses = list(pool.map(lambda number: _store_large(port, number, megabytes), range(count)))
        peak = _peak_mb(process)
    assert statuses == [0] * count
    assert peak - idle < limit_mb, (idle, peak)
    with pacscore.open(folder, read_only=True) as archive:
        assert len(list(archive.find("instance"))) == count + 1


def test_promise_8_twenty_large_objects_at_once_in_bounded_memory(tmp_path: Path) -> None:
    _many_large(tmp_path / "archive", 20, 24, limit_mb=200)  # Of 480 MB on their way.


@pytest.mark.slow
def test_promise_8_twenty_objects_of_a_gigabyte_at_once(tmp_path: Path) -> None:
    _many_large(tmp_path / "archive", 20, 1024, limit_mb=250)


def test_what_is_quiet_is_sealed_while_more_is_received(start: Started, fast: bool) -> None:
    if not fast:
        pytest.skip("sealing does not depend on the data path (until 2027-12-31)")
    server = start(limits=Limits(quiet_seconds=0.5, free_bytes_min=0))
    sent: dict[str, bytes] = {}
    with RawPeer(server.port) as peer:
        peer.associate([(CT, [EXPLICIT])])

        def store(uid: str, number: int, study: str) -> None:
            sent[uid] = data_set(uid, number=number, study=study, series=f"{study}.1")
            assert peer.store(sent[uid], instance=uid) == 0

        for number in range(5):
            store(f"1.2.3.{number}", number, "1.2.5")
        quiet = time.monotonic()
        while not server.archive.series("1.2.5.1").generation:
            store(f"1.2.4.{len(sent)}", len(sent), "1.2.6")
            assert time.monotonic() < quiet + 20
            time.sleep(0.02)  # Often enough to be never quiet; each that was received is compared below.
        assert not server.archive.series("1.2.6.1").generation
        peer.release()
    _until(lambda: bool(server.archive.series("1.2.6.1").generation))
    for uid, raw in sent.items():
        assert server.archive.instance(uid).dataset_bytes() == raw
    commits = [event for event in server.archive.events() if event["kind"] == "commit"]
    assert len(commits) == 2


_WORKING = """
import os, sys, time
from pathlib import Path
from pacscore.flow.queue import WorkQueue
from pacscore.flow.working import Worker

class Carrier:
    def deliver(self, job):
        with open(sys.argv[2], "a") as file:
            file.write(job.name + "\\n")
            file.flush()
            os.fsync(file.fileno())
        time.sleep(0.01)

Worker(WorkQueue(Path(sys.argv[1])), {"forward": Carrier()}, None, lambda *told: None).start()
print("working", flush=True)
time.sleep(60)
"""


def test_jobs_survive_workers_that_are_killed_and_none_is_done_twice_but_the_one_at_hand(tmp_path: Path) -> None:
    queue, done, choose = WorkQueue(tmp_path / "queue"), tmp_path / "done", random.Random(5)
    names = {queue.put("forward", "CACHE", {"series": str(number)}).name for number in range(120)}
    kills = 0
    while queue.jobs():
        worker = [sys.executable, "-c", _WORKING, str(queue.folder), str(done)]
        with subprocess.Popen(worker, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            end = time.monotonic() + 0.5 + choose.uniform(0.1, 0.6)
            while queue.jobs() and time.monotonic() < end:
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
        kills += 1
        assert kills < 30
    lines = done.read_text().split()
    assert set(lines) == names
    assert len(lines) <= len(names) + kills
    assert kills >= 2


def _is_sealed(folder: Path) -> bool:
    with pacscore.open(folder, read_only=True) as archive:
        return bool(archive.series("1.2.3.0.1").generation)


def test_of_several_receivers_one_notes_what_is_quiet_and_seals_what_all_have_got(tmp_path: Path) -> None:
    configuration = tmp_path / "node.toml"
    configuration.write_text("[limits]\nquiet_seconds = 0.6\nfree_bytes_min = 0\n")
    folder = tmp_path / "archive"
    with serving(folder, "--processes", "2", "--config", str(configuration)) as (_, port):

        def load(number: int) -> int:
            with RawPeer(port, 60) as peer:
                peer.associate([(CT, [EXPLICIT])])
                for count in range(8):
                    uid = f"1.2.3.{number}.{count}"
                    assert peer.store(data_set(uid, number=count), instance=uid) == 0
                peer.release()
            return 8

        def counts_noted() -> list[int]:
            with pacscore.open(folder, read_only=True) as archive:
                return [event["instance_count"] for event in archive.events() if event["kind"] == "quiet"]

        with ThreadPoolExecutor(4) as pool:
            total = sum(pool.map(load, range(4)))
        _until(lambda: total in counts_noted(), every=0.2)  # Each look opens the archive, at the receivers' cost.
        _until(lambda: _is_sealed(folder), every=0.2)
        noted = counts_noted()
        assert noted == sorted(set(noted))  # Two that follow would note the same twice.
    with pacscore.open(folder) as archive:
        assert len(list(archive.find("instance"))) == total
        assert not archive.verify().findings
