"""Objects that come by the network, by both data paths."""

from __future__ import annotations

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dimse.conftest import LIMITS, Started
from dimse.objects_made import data_set
from dimse.raw_peer import CT, EXPLICIT, IMPLICIT, VERIFICATION, RawPeer, command, pdu, pdv

from pacscore.dimse.configuration import Limits, Peer, Right
from pacscore.dimse.connecting import Address, make_entity
from pacscore.dimse.objects import FileObject, files_to_send
from pacscore.dimse.requesting import echo
from pacscore.dimse.sending import Sender, Sent
from pacscore.dimse.server import DicomServer

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


def test_a_node_answers_an_echo(server: DicomServer) -> None:
    echo(Address("127.0.0.1", server.port, "PACSCORE"))
    with RawPeer(server.port) as peer:
        peer.associate([(VERIFICATION, [IMPLICIT])])
        assert peer.echo() == 0
        peer.release()


def test_an_object_is_in_the_archive_before_it_is_acknowledged(server: DicomServer) -> None:
    data = data_set()
    with RawPeer(server.port) as peer:
        peer.associate([(CT, [EXPLICIT])])
        assert peer.store(data, instance="1.2.3.1") == 0
        assert server.archive.instance("1.2.3.1").dataset_bytes() == data
        assert peer.store(data, instance="1.2.3.1") == 0  # Again: a duplicate is a success.
    assert len(list(server.archive.find("instance"))) == 1


def test_every_real_object_arrives_byte_for_byte(server: DicomServer, data: Path) -> None:
    objects = [each for each in files_to_send([data / "single"]) if isinstance(each, FileObject)]
    if not server.fast:  # pynetdicom aborts where a UID is longer than the Standard allows; our path takes it.
        objects = [each for each in objects if len(each.sop_instance_uid) <= 64]
    sent = Sent()
    limits = Limits(answer_seconds=60)
    with Sender(make_entity("TEST", limits), Address("127.0.0.1", server.port), limits) as sender:
        sender.send(objects, sent)
    refused = {each.sop_instance_uid for each in sent.failures}
    unidentified = {each.sop_instance_uid for each in sent.failures if "Series Instance UID" in each.reason}
    other_services = {"1.2.840.10008.1.5.7", "1.2.840.113986.2.664566.21121125.85669.969"}  # A palette, a protocol.
    assert refused <= unidentified | other_services, sent.failures
    found = {hashlib.sha256(each.dataset_bytes()).digest() for each in _all(server)}
    expected = {
        hashlib.sha256(each.outgoing_in(each.transfer_syntax_uid).joined()).digest()
        for each in objects
        if each.sop_instance_uid not in refused
    }
    assert expected <= found
    assert len(expected) > 60


def _all(server: DicomServer) -> list[object]:
    return [
        instance
        for row in server.archive.find("series")
        for instance in server.archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"]).all_versions
    ]


@pytest.mark.parametrize("claimed", [("1.2.840.10008.5.1.4.1.1.4", "1.2.3.1"), (CT, "1.2.3.99")])
def test_an_object_that_is_not_what_the_request_says_is_refused_with_a900(
    server: DicomServer, claimed: tuple[str, str]
) -> None:
    with RawPeer(server.port) as peer:
        peer.associate([(claimed[0], [EXPLICIT])])
        assert peer.store(data_set(), sop_class=claimed[0], instance=claimed[1]) == 0xA900
    assert not list(server.archive.find("instance"))


def test_what_cannot_be_parsed_is_refused_with_c000_and_quarantined(server: DicomServer) -> None:
    noise = b"\x08\0\x16\0UI\xff\xff" + b"noise" * 50
    with RawPeer(server.port) as peer:
        peer.associate([(CT, [EXPLICIT])])
        assert peer.store(noise) == 0xC000
        assert peer.store(data_set(), instance="1.2.3.1") == 0  # The association goes on.
    name = hashlib.sha256(noise).hexdigest()
    assert (server.archive.root / "quarantine" / f"{name}.dcm").read_bytes() == noise


def test_near_a_full_disk_nothing_is_taken(start: Started) -> None:
    server = start(limits=Limits(free_bytes_min=1 << 60, quiet_seconds=0))
    with RawPeer(server.port) as peer:
        peer.associate([(CT, [EXPLICIT])])
        assert peer.store(data_set(), instance="1.2.3.1") == 0xA700


def test_an_object_beyond_the_limit_is_refused_and_the_association_goes_on(start: Started, fast: bool) -> None:
    if not fast:
        pytest.skip("pynetdicom's own path knows no limit of objects (until 2027-12-31)")
    server = start(limits=Limits(object_bytes_max=20_000, quiet_seconds=0, free_bytes_min=0))
    with RawPeer(server.port) as peer:
        peer.associate([(CT, [EXPLICIT])])
        assert peer.store(data_set(size=160_000), instance="1.2.3.1") == 0xA700
        assert peer.store(data_set(), instance="1.2.3.1") == 0


def test_a_peer_without_the_right_stores_nothing(start: Started) -> None:
    server = start(peers=(Peer("READER", "127.0.0.1", rights=frozenset({Right.QUERY})),))
    with RawPeer(server.port) as peer:
        peer.associate([(CT, [EXPLICIT])], calling="READER")
        assert peer.store(data_set(), instance="1.2.3.1") == 0x0124
    with RawPeer(server.port) as peer:
        peer.associate([(CT, [EXPLICIT])], calling="OTHER")
        assert peer.store(data_set(), instance="1.2.3.1") == 0


def test_uncompressed_is_preferred_then_lossless_and_lossy_comes_last(server: DicomServer) -> None:
    with RawPeer(server.port) as peer:
        answers = peer.associate(
            [
                (CT, [JPEG_BASELINE, JPEG_LOSSLESS, EXPLICIT]),
                (CT, [JPEG_BASELINE, JPEG_LOSSLESS]),
                (CT, [JPEG_BASELINE]),
                ("1.2.3.4.5.6.7", [JPEG_BASELINE, IMPLICIT]),
                (CT, ["1.2.3.4.99"]),
                ("1.2.840.10008.5.1.1.9", [IMPLICIT]),
            ]
        )
    assert answers[1] == (0, EXPLICIT)
    assert answers[3] == (0, JPEG_LOSSLESS)
    assert answers[5] == (0, JPEG_BASELINE)
    assert answers[7] == (0, IMPLICIT)  # A private class.
    assert answers[9] == (0, "1.2.3.4.99")  # A private transfer syntax is taken as it is.
    assert answers[11][0] != 0  # Printing is not storage.


@pytest.mark.parametrize("size", [1, 2, 3, 7, 61, 200])
def test_fragments_may_be_split_anywhere_and_share_pdus(server: DicomServer, size: int) -> None:
    data, request = data_set(), command(1, has_data=True, sop_class=CT, instance="1.2.3.1")
    items = [pdv(1, 1, request[at : at + size]) for at in range(0, len(request), size)]
    items += [pdv(1, 3, b"")]
    items += [pdv(1, 0, data[at : at + size]) for at in range(0, len(data), size)]
    items += [pdv(1, 2, b"")]
    with RawPeer(server.port) as peer:
        peer.associate([(CT, [EXPLICIT])])
        for at in range(0, len(items), 5):
            peer.send(pdu(4, b"".join(items[at : at + 5])))
        assert peer.response() == (0x8001, 0)
    assert server.archive.instance("1.2.3.1").dataset_bytes() == data


def test_many_associations_at_once_lose_nothing(server: DicomServer) -> None:
    def store(number: int) -> list[int]:
        with RawPeer(server.port, 60) as peer:
            peer.associate([(CT, [EXPLICIT])])
            return [
                peer.store(data_set(f"1.2.3.{number}.{n}", number=n), instance=f"1.2.3.{number}.{n}") for n in range(5)
            ]

    with ThreadPoolExecutor(32) as pool:
        assert {status for statuses in pool.map(store, range(32)) for status in statuses} == {0}
    assert len(list(server.archive.find("instance"))) == 160


def test_a_large_object_goes_to_the_journal_as_it_comes(server: DicomServer) -> None:
    data = data_set(size=9_000_000)
    with RawPeer(server.port, 60) as peer:
        peer.associate([(CT, [EXPLICIT])])
        assert peer.store(data, instance="1.2.3.1") == 0
        assert peer.store(data, instance="1.2.3.99") == 0xA900
    assert server.archive.instance("1.2.3.1").dataset_bytes() == data


def test_a_large_object_that_is_cut_off_leaves_nothing(server: DicomServer) -> None:
    data, request = data_set(size=9_000_000), command(1, has_data=True, sop_class=CT, instance="1.2.3.1")
    with RawPeer(server.port) as peer:
        peer.associate([(CT, [EXPLICIT])])
        peer.send(pdu(4, pdv(1, 3, request)))
        for at in range(0, 6_000_000, 16_000):
            peer.send(pdu(4, pdv(1, 0, data[at : at + 16_000])))
    with RawPeer(server.port, 60) as peer:
        peer.associate([(CT, [EXPLICIT])])
        assert peer.store(data, instance="1.2.3.1") == 0
    assert server.archive.instance("1.2.3.1").dataset_bytes() == data
    assert len(list(server.archive.find("instance"))) == 1


def test_stopping_lets_an_object_finish(start: Started, fast: bool) -> None:
    if not fast:
        pytest.skip("pynetdicom's own path knows of an object only when it is whole (until 2027-12-31)")
    server = start(limits=LIMITS)
    data, request = data_set(size=160_000), command(1, has_data=True, sop_class=CT, instance="1.2.3.1")
    with RawPeer(server.port) as peer:
        peer.associate([(CT, [EXPLICIT])])
        peer.send(pdu(4, pdv(1, 3, request)) + pdu(4, pdv(1, 0, data[:1000])))
        time.sleep(0.3)
        stopping = threading.Thread(target=server.stop, kwargs={"drain_seconds": 10})
        stopping.start()
        time.sleep(0.3)
        rest = data[1000:]
        for at in range(0, len(rest), 16000):
            peer.send(pdu(4, pdv(1, 0, rest[at : at + 16000])))
        peer.send(pdu(4, pdv(1, 2, b"")))
        assert peer.response() == (0x8001, 0)
        stopping.join()
    assert server.archive.instance("1.2.3.1").dataset_bytes() == data
