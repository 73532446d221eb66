"""A sending that is cut off goes on where it was; what fails for the moment is tried again, and later each time."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
import time
from pathlib import Path

import pytest
from dimse.conftest import LIMITS, Started
from dimse.objects_made import data_set
from typer.testing import CliRunner

import pacscore
from pacscore.cli.app import app
from pacscore.dimse.association import Outcome
from pacscore.dimse.connecting import Address, make_entity
from pacscore.dimse.objects import StoredObject
from pacscore.dimse.resuming import SentRecord
from pacscore.dimse.sending import Sender, Sent, send_all
from pacscore.dimse.server import DicomServer
from pacscore.errors import InputError, UnreachableError

EXPLICIT = "1.2.840.10008.1.2.1"
COUNT = 12


@pytest.fixture
def fast() -> bool:
    """What is tested here does not depend on the data path."""
    return True


@pytest.fixture
def source(tmp_path: Path) -> Path:
    with pacscore.create(tmp_path / "source") as archive:
        for number in range(COUNT):
            archive.receive(
                data_set(f"1.2.3.{number}", series=f"1.2.4.{number % 4}", number=number), transfer_syntax=EXPLICIT
            )
    return tmp_path / "source"


class _Failing:
    """Stands before a node's receiver, and lets it fail as told, by the number of the request."""

    def __init__(self, server: DicomServer, outcomes: dict[int, Outcome | None]) -> None:
        self.uids: list[str] = []
        self.moments: list[float] = []
        self._store, self._outcomes, self._lock = server.receiver.store, outcomes, threading.Lock()
        server.receiver.store = self._take  # type: ignore[method-assign]

    def _take(self, association, syntax, request, data):  # type: ignore[no-untyped-def]
        with self._lock:
            number = len(self.uids)
            self.uids.append(request.sop_instance_uid)
            self.moments.append(time.monotonic())
        if number in self._outcomes:
            outcome = self._outcomes[number]
            if outcome is None:
                association.dul.socket.socket.shutdown(socket.SHUT_RDWR)  # As if the cable was pulled.
                return Outcome(0xA700)
            return outcome
        return self._store(association, syntax, request, data)


def _send(port: int, source: Path, *options: str) -> dict[str, object]:
    result = CliRunner().invoke(app, ["send", f"localhost:{port}", str(source), "--json", *options])
    assert result.exit_code in (0, 1), result.output
    return dict(json.loads(result.stdout))


def test_what_was_confirmed_is_not_sent_again(server: DicomServer, source: Path, tmp_path: Path) -> None:
    record = tmp_path / "sent.txt"
    failing = _Failing(server, {number: Outcome(0xC000, "not today") for number in range(5, COUNT)})
    first = _send(server.port, source, "--resume", str(record))
    assert (first["objects"], len(first["failures"])) == (5, COUNT - 5)  # type: ignore[arg-type]
    failing.uids.clear()
    failing._outcomes.clear()
    with record.open("a") as file:
        file.write("1.2.3.torn")  # A crash while the record was written.
    second = _send(server.port, source, "--resume", str(record))
    assert (second["objects"], second["arrived_before"], second["failures"]) == (COUNT - 5, 5, [])
    assert len(failing.uids) == COUNT - 5
    assert not record.exists()
    assert len(list(server.archive.find("instance"))) == COUNT


def test_a_record_of_another_node_or_none_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sent.txt"
    with SentRecord(path, Address("localhost", 11112, "A")) as record:
        record.add("1.2.3")
    with SentRecord(path, Address("localhost", 11112, "A")) as record:
        assert record.count == 1
    with pytest.raises(InputError, match="another node"):
        SentRecord(path, Address("localhost", 11113, "A"))
    path.write_text("hello\n")
    with pytest.raises(InputError, match="no record"):
        SentRecord(path, Address("localhost", 11112, "A"))


def test_what_fails_for_the_moment_is_tried_again_later_each_time(server: DicomServer, source: Path) -> None:
    failing = _Failing(server, {1: Outcome(0xA700, "full"), 2: Outcome(0xA700, "full"), 4: None})
    limits, sent = dataclasses.replace(LIMITS, retry_count=3, retry_seconds=0.05), Sent()
    with pacscore.open(source, read_only=True) as archive:
        series = archive.series("1.2.4.0")
        with Sender(make_entity("TEST", limits), Address("localhost", server.port), limits) as sender:
            sender.send([StoredObject(each) for each in series.instances], sent)
    assert (sent.objects, sent.failures) == (3, [])
    assert len(failing.uids) == 3 + 3
    assert failing.uids[1] == failing.uids[2] == failing.uids[3]
    waits = [later - earlier for earlier, later in zip(failing.moments[1:3], failing.moments[2:4], strict=True)]
    assert waits[0] >= 0.05
    assert waits[1] >= 0.1
    assert server.counters.associations == 2


def test_a_refusal_for_good_is_not_tried_again(server: DicomServer, source: Path) -> None:
    failing = _Failing(server, {0: Outcome(0xC000, "no")})
    sent = Sent()
    sender = Sender(make_entity("TEST", LIMITS), Address("localhost", server.port), LIMITS)
    with pacscore.open(source, read_only=True) as archive, sender:
        sender.send([StoredObject(each) for each in archive.series("1.2.4.0").instances], sent)
    assert (sent.objects, [each.status for each in sent.failures]) == (2, [0xC000])
    assert len(failing.uids) == 3


def test_several_associations_send_each_object_once(server: DicomServer, source: Path) -> None:
    failing = _Failing(server, {})
    told = _send(server.port, source, "--associations", "3")
    assert told["objects"] == COUNT
    assert sorted(failing.uids) == sorted(f"1.2.3.{number}" for number in range(COUNT))
    assert server.counters.associations == 3


def test_a_peer_that_goes_away_ends_the_sending_with_its_record(start: Started, source: Path, tmp_path: Path) -> None:
    server = start()
    _Failing(server, {3: None})
    limits = dataclasses.replace(LIMITS, retry_count=0)
    address = Address("localhost", server.port)
    with pacscore.open(source, read_only=True) as archive, SentRecord(tmp_path / "record", address) as record:
        batches = [[StoredObject(each) for each in archive.series(f"1.2.4.{number}").instances] for number in range(4)]

        def arrived(uid: str) -> None:
            record.add(uid)
            if record.count == 3:
                server._listener.close()

        with pytest.raises(UnreachableError):
            send_all(batches, [Sender(make_entity("TEST", limits), address, limits)], lambda sent: None, arrived)
        assert record.count == 3
        assert sum(len(record.left(batch)) for batch in batches) == COUNT - 3
