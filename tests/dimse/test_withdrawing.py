"""Requests that nobody waits for any more, as after Ctrl-C: cancelled, and the association ended in order."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dimse.conftest import Started
from dimse.objects_made import data_set
from dimse.sink import Sink

import pacscore
from pacscore.dimse import asking
from pacscore.dimse.connecting import Address
from pacscore.dimse.requesting import Retrieved, get, move, query
from pacscore.dimse.server import DicomServer

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
COUNT = 40


def _fill(server: DicomServer, *, series: int = 1) -> None:
    for number in range(COUNT):
        raw = data_set(f"1.2.3.{number}", number=number, series=f"1.2.3.0.{number % series}")
        server.archive.receive(raw, transfer_syntax=EXPLICIT)


def _told_of(caplog: pytest.LogCaptureFixture, event: str) -> dict[str, object]:
    """What a node tells of an event, when it does."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [each for each in caplog.records if each.message == event]
        if found:
            return dict(found[-1].__dict__["pacscore_fields"])
        time.sleep(0.02)
    raise AssertionError(f"nothing is told of {event}")


def _interrupted(state: Retrieved) -> None:
    if state.completed:
        raise KeyboardInterrupt


def test_an_interrupted_get_is_cancelled_and_its_association_released(
    server: DicomServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _fill(server)
    caplog.set_level("INFO", "pacscore.dimse")
    address = Address("127.0.0.1", server.port)
    with pacscore.create(tmp_path / "other") as other:
        with pytest.raises(KeyboardInterrupt):
            get(address, "study", {"StudyInstanceUID": "1.2.3.0"}, other, sop_class_uids=[CT], told=_interrupted)
        told = _told_of(caplog, "get.answered")
        assert len(list(other.find("instance"))) == told["completed"]
    assert 0 < int(str(told["completed"])) < COUNT
    assert _told_of(caplog, "association.closed")["ended"] == "released"


def test_ctrl_c_cancels_the_move_of_the_command(start: Started, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pacscore.dimse")
    sink = Sink(CT, [EXPLICIT, IMPLICIT], seconds=0.1)
    try:
        server = start(peers=(sink.peer,))
        _fill(server)
        command = [sys.executable, "-m", "pacscore", "move", f"127.0.0.1:{server.port}", "--destination", "TARGET"]
        process = subprocess.Popen([*command, "StudyInstanceUID=1.2.3.0"], stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 30
        while not sink.came and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    finally:
        sink.stop()
    assert process.returncode == 130
    assert "interrupted" in said
    assert 0 < len(sink.came) < COUNT
    assert _told_of(caplog, "move.answered")["completed"] == len(sink.came)
    assert _told_of(caplog, "association.closed")["ended"] == "released"


def test_a_peer_that_does_not_end_in_time_is_left_by_an_abort(
    start: Started, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "pacscore.dimse")
    monkeypatch.setattr(asking, "_WITHDRAWAL_SECONDS", 0.01)
    sink = Sink(CT, [EXPLICIT, IMPLICIT], seconds=0.2)
    try:
        server = start(peers=(sink.peer,))
        _fill(server)
        with pytest.raises(KeyboardInterrupt):
            move(
                Address("127.0.0.1", server.port),
                "study",
                {"StudyInstanceUID": "1.2.3.0"},
                "TARGET",
                told=_interrupted,
            )
        assert _told_of(caplog, "association.closed")["ended"] == "aborted"
    finally:
        sink.stop()
    assert len(sink.came) < COUNT


def test_a_query_that_is_left_early_is_withdrawn(server: DicomServer, caplog: pytest.LogCaptureFixture) -> None:
    _fill(server, series=COUNT)
    caplog.set_level("INFO", "pacscore.dimse")
    rows = query(Address("127.0.0.1", server.port), "series", {"StudyInstanceUID": "1.2.3.0"})
    next(rows)
    rows.close()  # type: ignore[attr-defined]  # It is a generator.
    assert _told_of(caplog, "association.closed")["ended"] == "released"
