"""More kinds of object than one association has contexts for: several, and nothing is lost or sent twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from dimse.conftest import LIMITS, Started
from dimse.objects_made import data_set
from dimse.sink import Sink

import pacscore
from pacscore.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from pacscore.dimse.configuration import Peer, Right
from pacscore.dimse.connecting import Address, make_entity
from pacscore.dimse.objects import StoredObject
from pacscore.dimse.proposing import CONTEXT_COUNT_MAX, Proposal, class_groups, contexts_to_get, usual_classes
from pacscore.dimse.requesting import get, move
from pacscore.dimse.sending import Sender, Sent
from pacscore.dimse.server import DicomServer

COUNT = 45  # Classes, private ones: with both syntaxes 90 kinds, of three contexts each.


@pytest.fixture
def fast() -> bool:
    """What is tested here does not depend on the data path."""
    return True


def _class(number: int) -> str:
    return f"1.2.826.0.1.3680043.9.9999.1.{number}"


def _fill(server: DicomServer, count: int = COUNT) -> dict[str, bytes]:
    """Objects of many classes, neighbours of different ones, each in one of two syntaxes."""
    made = {}
    for number in range(2 * count):
        uid, is_explicit = f"1.2.3.{number}", number < count
        made[uid] = data_set(uid, sop_class=_class(number % count), number=number, explicit=is_explicit)
        server.archive.receive(made[uid], transfer_syntax=EXPLICIT_LITTLE if is_explicit else IMPLICIT_LITTLE)
    return made


def _content(archive: pacscore.Archive) -> dict[str, bytes]:
    return {
        row["SOPInstanceUID"]: archive.instance(row["SOPInstanceUID"]).dataset_bytes()
        for row in archive.find("instance")
    }


def test_what_is_sent_by_several_sub_associations_arrives_as_it_is(start: Started) -> None:
    target = start("target", ae_title="TARGET")
    source = start("source", peers=(Peer("TARGET", "127.0.0.1", target.port, frozenset(Right)),))
    made = _fill(source)
    state = move(Address("127.0.0.1", source.port), "study", {"StudyInstanceUID": "1.2.3.0"}, "TARGET")
    assert (state.completed, state.failed) == (2 * COUNT, 0)
    assert _content(target.archive) == made
    assert target.counters.associations == 3  # Nothing is asked for twice: neighbours differ, and yet none thrash.


def test_what_is_fetched_by_several_associations_comes_once_and_as_it_is(start: Started, tmp_path: Path) -> None:
    source = start("source")
    made = _fill(source)
    classes = [_class(number) for number in (*range(100, 125), *range(COUNT))]
    with pacscore.create(tmp_path / "other") as other:
        address = Address("127.0.0.1", source.port)
        state = get(address, "study", {"StudyInstanceUID": "1.2.3.0"}, other, sop_class_uids=classes)
        assert (state.completed, state.failed, state.failed_uids) == (2 * COUNT, 0, [])
        assert state.received == 2 * COUNT
        assert set(_content(other)) == set(made)
    assert source.counters.associations == 2


def test_what_a_peer_takes_in_no_syntax_is_asked_for_once(start: Started) -> None:
    source = start("source")
    _fill(source, 3)
    sink = Sink(_class(1), [EXPLICIT_LITTLE])
    try:
        series = source.archive.series("1.2.3.0.1")
        sent = Sent()
        address = Address("127.0.0.1", sink.port, "TARGET")
        with Sender(make_entity("TEST", LIMITS), address, LIMITS) as sender:
            chosen = [each for each in map(StoredObject, series.instances) if each.sop_class_uid != _class(1)]
            sender.send(chosen, sent)
    finally:
        sink.stop()
    assert sent.objects == 0
    assert len(sent.failures) == 4
    assert all("takes no objects of class" in each.reason for each in sent.failures)


def test_proposals_and_groups_never_pass_the_limit_and_leave_nothing_out() -> None:
    kinds = [(_class(number), syntax) for number in range(COUNT) for syntax in (EXPLICIT_LITTLE, IMPLICIT_LITTLE)]
    proposal = Proposal(kinds[0], kinds[1:])
    assert CONTEXT_COUNT_MAX - 3 < len(proposal.contexts) <= CONTEXT_COUNT_MAX
    assert proposal.kinds == set(kinds[: len(proposal.kinds)])
    classes = usual_classes()
    groups = class_groups(classes)
    assert [uid for group in groups for uid in group] == classes
    for group in [*groups, classes[:1], classes[:5], classes[:42]]:
        contexts = list(contexts_to_get(group))
        assert len(contexts) < CONTEXT_COUNT_MAX
        assert {uid for uid, _ in contexts} == set(group)
        offered = [syntax for uid, syntaxes in contexts if uid == group[0] for syntax in syntaxes]
        assert len(offered) == len(set(offered))
        assert {EXPLICIT_LITTLE, IMPLICIT_LITTLE, "1.2.840.10008.1.2.4.90"} <= set(offered)
