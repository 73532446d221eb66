"""Storage commitment and forwarding: what the queue carries."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from dimse.conftest import Started
from dimse.objects_made import data_set
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE, evt

from pacscore.dimse.configuration import Peer, Right
from pacscore.dimse.models import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from pacscore.dimse.server import DicomServer
from pacscore.flow.rules import Rule

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
ALL = frozenset(Right)


def _asked(*references: tuple[str, str]) -> Dataset:
    asked = Dataset()
    asked.TransactionUID = "1.2.3.4.5.6"
    items = []
    for sop_class, instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        items.append(item)
    asked.ReferencedSOPSequence = Sequence(items)
    return asked


def _uids(sequence: Any) -> list[str]:
    return [str(each.ReferencedSOPInstanceUID) for each in sequence or ()]


class Reports:
    """Takes N-EVENT-REPORTs."""

    def __init__(self) -> None:
        self.came: list[tuple[int, Dataset]] = []
        self.one = threading.Event()

    def __call__(self, event: evt.Event) -> tuple[int, None]:
        self.came.append((event.event_type, event.event_information))
        self.one.set()
        return 0, None


def _act(server: DicomServer, asked: Dataset, handlers: list[Any], *, stay: threading.Event | None = None) -> int:
    entity = AE("ASKER")
    entity.add_requested_context(STORAGE_COMMITMENT)
    association = entity.associate("127.0.0.1", server.port, evt_handlers=handlers)
    assert association.is_established
    status, _ = association.send_n_action(asked, 1, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE)
    if stay is not None:
        assert stay.wait(20)
        time.sleep(0.2)
    association.release()
    return int(status.Status)


def test_the_report_comes_on_the_same_association_while_it_stands(server: DicomServer) -> None:
    server.archive.receive(data_set("1.2.3.1"), transfer_syntax=EXPLICIT)
    server.archive.receive(data_set("1.2.3.2"), transfer_syntax=EXPLICIT)
    reports = Reports()
    asked = _asked((CT, "1.2.3.1"), (CT, "1.2.3.9"), ("1.2.840.10008.5.1.4.1.1.4", "1.2.3.2"))
    assert _act(server, asked, [(evt.EVT_N_EVENT_REPORT, reports)], stay=reports.one) == 0
    ((kind, report),) = reports.came
    assert kind == 2
    assert report.TransactionUID == "1.2.3.4.5.6"
    assert _uids(report.ReferencedSOPSequence) == ["1.2.3.1"]
    assert [(str(each.ReferencedSOPInstanceUID), each.FailureReason) for each in report.FailedSOPSequence] == [
        ("1.2.3.9", 0x0112),
        ("1.2.3.2", 0x0119),
    ]
    _wait_until(lambda: server.queue.jobs() == [])


def test_the_report_comes_on_a_new_association_when_the_peer_has_gone(start: Started) -> None:
    reports = Reports()
    asker = AE("ASKER")
    asker.add_supported_context(STORAGE_COMMITMENT, scu_role=False, scp_role=True)
    listener = asker.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, reports)])
    try:
        server = start(peers=(Peer("ASKER", "127.0.0.1", listener.server_address[1], ALL),))
        server.archive.receive(data_set("1.2.3.1"), transfer_syntax=EXPLICIT)
        assert _act(server, _asked((CT, "1.2.3.1")), []) == 0
        assert reports.one.wait(20)
        _wait_until(lambda: server.queue.jobs() == [])
    finally:
        listener.shutdown()
    assert reports.came[0][0] == 1


def test_a_report_that_nobody_takes_waits_in_the_queue(server: DicomServer) -> None:
    assert _act(server, _asked((CT, "1.2.3.1")), []) == 0
    _wait_until(lambda: any(job.attempts for job in server.queue.jobs()))
    (job,) = server.queue.jobs()
    assert (job.kind, job.destination) == ("commit", "ASKER")
    assert "no peer" in job.reason


def test_a_peer_without_the_right_is_promised_nothing(start: Started) -> None:
    server = start(peers=(Peer("ASKER", "127.0.0.1", rights=frozenset({Right.STORE})),))
    assert _act(server, _asked((CT, "1.2.3.1")), []) == 0x0124
    assert server.queue.jobs() == []


def test_what_arrives_goes_on_to_another_node(start: Started) -> None:
    target = start("target", ae_title="TARGET")
    peers = (Peer("TARGET", "127.0.0.1", target.port, ALL),)
    server = start("source", peers=peers, rules=(Rule("TARGET", {"Modality": "CT"}, quiet_seconds=0.5),))
    for number in range(3):
        server.archive.receive(data_set(f"1.2.3.{number}", number=number), transfer_syntax=EXPLICIT)
    _wait_until(lambda: len(list(target.archive.find("instance"))) == 3)
    for number in range(3):
        sent, came = (each.archive.instance(f"1.2.3.{number}").dataset_bytes() for each in (server, target))
        assert sent == came


def _wait_until(condition: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("it has not come to that in time")
        time.sleep(0.05)
