"""Receivers killed at random moments: what the sender was told is stored, is there (promise 1)."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from dimse.objects_made import data_set
from dimse.raw_peer import CT, EXPLICIT, RawPeer
from dimse.serving import start_serving

import pacscore


def _load(port: int, prefix: str, acknowledged: dict[str, bytes], stopped: threading.Event) -> None:
    number = 0
    try:
        with RawPeer(port, 20) as peer:
            peer.associate([(CT, [EXPLICIT])])
            while not stopped.is_set():
                uid = f"{prefix}.{number}"
                raw = data_set(uid, series=f"{prefix}.0", number=number, size=64 if number % 5 else 60_000)
                if peer.store(raw, instance=uid) == 0:
                    acknowledged[uid] = raw
                number += 1
    except (OSError, EOFError, AssertionError):
        return


def _campaign(folder: Path, kills: int, seed: int) -> dict[str, bytes]:
    choose, acknowledged = random.Random(seed), dict[str, bytes]()
    pacscore.create(folder).close()
    for round_number in range(kills):
        process, port = start_serving(folder)
        stopped = threading.Event()
        loads = [
            threading.Thread(target=_load, args=(port, f"1.2.{round_number + 1}.{n + 1}", acknowledged, stopped))
            for n in range(3)
        ]
        for load in loads:
            load.start()
        before, deadline = len(acknowledged), time.monotonic() + 30
        while len(acknowledged) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(choose.uniform(0.0, 0.8))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        stopped.set()
        for load in loads:
            load.join()
        if process.stdout is not None:
            process.stdout.close()
    return acknowledged


def _check(folder: Path, acknowledged: dict[str, bytes]) -> None:
    with pacscore.open(folder) as archive:
        there: dict[str, bytes] = {}
        for row in archive.find("series"):  # By series: an instance that waits is found by planning all of its series.
            for instance in archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"]).instances:
                there[instance.sop_instance_uid] = instance.dataset_bytes()
        for uid, raw in acknowledged.items():
            assert there.get(uid) == raw, uid
        some = min(acknowledged)
        assert archive.instance(some).dataset_bytes() == acknowledged[some]
        assert not archive.verify().findings


def test_promise_1_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    acknowledged = _campaign(tmp_path / "archive", kills=3, seed=7)
    assert acknowledged
    _check(tmp_path / "archive", acknowledged)


@pytest.mark.slow
def test_promise_1_two_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    acknowledged = _campaign(tmp_path / "archive", kills=200, seed=int(os.environ.get("PACSCORE_KILL_SEED", "1")))
    assert len(acknowledged) > 200
    _check(tmp_path / "archive", acknowledged)


def test_several_receivers_share_a_port_and_drain_when_told(tmp_path: Path) -> None:
    process, port = start_serving(tmp_path / "archive", "--processes", "2")
    try:
        for number in range(8):
            deadline = time.monotonic() + 20
            with RawPeer(port, 20) as peer:
                peer.associate([(CT, [EXPLICIT])])
                assert peer.store(data_set(f"1.2.3.{number}", number=number), instance=f"1.2.3.{number}") == 0
                peer.release()
            assert time.monotonic() < deadline
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        if process.stdout is not None:
            process.stdout.close()
    with pacscore.open(tmp_path / "archive", read_only=True) as archive:
        assert len(list(archive.find("instance"))) == 8
