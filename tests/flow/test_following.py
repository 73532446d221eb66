"""From events to jobs: quiet time, rules, and a position that never runs ahead of the queue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dimse.objects_made import data_set

import pacscore
from pacscore.errors import InputError, ReadOnlyError
from pacscore.flow.following import Follower
from pacscore.flow.queue import WorkQueue
from pacscore.flow.rules import Rule

EXPLICIT = "1.2.840.10008.1.2.1"


class Bench:
    def __init__(self, folder: Path, archive: pacscore.Archive) -> None:
        self.archive, self.now = archive, 0.0
        self.queue = WorkQueue(folder / "queue")

    def follower(self, *rules: Rule, webhooks: tuple[str, ...] = ()) -> Follower:
        return Follower(self.archive, self.queue, rules, webhooks=webhooks, quiet_seconds=10, clock=lambda: self.now)

    def receive(self, uid: str, **options: str) -> None:
        source = options.pop("source", "CT1@127.0.0.1")
        self.archive.receive(data_set(uid, **options), transfer_syntax=EXPLICIT, source=source)  # type: ignore[arg-type]

    def forwarded(self) -> list[tuple[str, str]]:
        return [(job.destination, job.payload["series"]) for job in self.queue.jobs() if job.kind == "forward"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with pacscore.create(tmp_path / "archive") as archive:
        yield Bench(tmp_path / "archive", archive)


def test_a_series_goes_on_once_its_study_is_quiet(bench: Bench) -> None:
    follower = bench.follower(Rule("CACHE", quiet_seconds=10))
    bench.receive("1.2.3.1")
    follower.step()
    bench.now = 8
    bench.receive("1.2.3.2")
    follower.step()
    bench.now = 17
    follower.step()
    assert bench.forwarded() == []
    bench.now = 18
    follower.step()
    follower.step()
    assert bench.forwarded() == [("CACHE", "1.2.3.0.1")]


def test_what_was_there_before_the_rules_stays(bench: Bench) -> None:
    bench.receive("1.2.3.1")
    follower = bench.follower(Rule("CACHE", quiet_seconds=0))
    assert follower.step() == 0


def test_rules_choose_by_key_and_by_sender(bench: Bench) -> None:
    follower = bench.follower(
        Rule("A", {"Modality": "CT"}, quiet_seconds=0),
        Rule("B", {"Modality": "MR"}, quiet_seconds=0),
        Rule("C", sender="CT1", quiet_seconds=0),
        Rule("D", sender="CT2", quiet_seconds=0),
    )
    bench.receive("1.2.3.1")
    follower.step()
    assert {to for to, _ in bench.forwarded()} == {"A", "C"}


def test_late_objects_go_on_and_a_seal_alone_does_not(bench: Bench) -> None:
    follower = bench.follower(Rule("CACHE", quiet_seconds=1))
    bench.receive("1.2.3.1")
    follower.step()
    bench.now = 20
    follower.step()
    bench.archive.seal()
    bench.now = 40
    follower.step()
    bench.now = 60
    follower.step()
    assert len(bench.forwarded()) == 1
    bench.receive("1.2.3.2")
    follower.step()
    bench.now = 80
    follower.step()
    assert len(bench.forwarded()) == 2


def test_a_restart_before_the_study_is_quiet_loses_nothing(bench: Bench) -> None:
    bench.follower(Rule("CACHE", quiet_seconds=10)).step()
    first = bench.follower(Rule("CACHE", quiet_seconds=10))
    bench.receive("1.2.3.0.9")
    first.step()
    bench.archive.seal()
    second = bench.follower(Rule("CACHE", quiet_seconds=10))
    second.step()
    bench.now = 30
    second.step()
    assert bench.forwarded() == [("CACHE", "1.2.3.0.1")]


HOOK = "http://127.0.0.1:1/hook"


def _noted(archive: pacscore.Archive) -> list[dict[str, object]]:
    events = [dict(event) for event in archive.events()]
    return [event for event in events if event["kind"] in ("quiet", "forwarded")]


def test_that_a_study_became_quiet_is_an_event_and_a_webhook_is_told(bench: Bench) -> None:
    follower = bench.follower(webhooks=(HOOK,))
    bench.receive("1.2.3.1")
    bench.receive("1.2.3.2")
    follower.step()
    assert _noted(bench.archive) == []
    bench.now = 30
    follower.step()
    (event,) = _noted(bench.archive)
    del event["position"]
    assert isinstance(event.pop("time"), float)
    assert event == {"kind": "quiet", "study_instance_uid": "1.2.3.0", "series_count": 1, "instance_count": 2}
    follower.step()
    (job,) = bench.queue.jobs()
    assert (job.kind, job.destination) == ("webhook", HOOK)
    assert {name: value for name, value in job.payload.items() if name != "time"} == event
    bench.now = 100
    follower.step()
    assert len(bench.queue.jobs()) == len(_noted(bench.archive)) == 1


def test_what_was_noted_survives_sealing_and_a_rebuild_and_can_be_followed(bench: Bench) -> None:
    bench.receive("1.2.3.1")
    position = bench.archive.last_position()
    assert list(bench.archive.events(after=position)) == []
    bench.archive.note("forwarded", study_instance_uid="1.2.3.0", to="CACHE", instance_count=1)
    bench.archive.seal()
    bench.archive.rebuild()
    kinds = [event["kind"] for event in bench.archive.events(after=position)]
    assert kinds[:2] == ["forwarded", "commit"]
    assert not bench.archive.verify().findings
    assert len(list(bench.archive.find("instance"))) == 1


def test_a_webhook_is_told_of_what_was_forwarded_even_after_a_restart(bench: Bench) -> None:
    bench.follower(webhooks=(HOOK,)).step()
    bench.archive.note("forwarded", study_instance_uid="1.2.3.0", to="CACHE", instance_count=1)
    bench.follower(webhooks=(HOOK,)).step()
    (job,) = bench.queue.jobs()
    assert (job.payload["kind"], job.payload["to"]) == ("forwarded", "CACHE")


def test_only_known_kinds_are_noted_and_only_by_a_writer(bench: Bench) -> None:
    with pytest.raises(InputError):
        bench.archive.note("commit", series=[])
    with pacscore.open(bench.archive.root, read_only=True) as reader, pytest.raises(ReadOnlyError):
        reader.note("quiet", study_instance_uid="1.2.3.0")


def test_what_waits_when_another_took_over_is_said_to_be_quiet_once(bench: Bench) -> None:
    bench.receive("1.2.3.1")
    quiet: list[frozenset[str]] = []
    follower = Follower(bench.archive, bench.queue, (), quiet_seconds=10, quiet=quiet.append, clock=lambda: bench.now)
    follower.take_over()
    follower.step()
    assert quiet == []
    bench.now = 11
    follower.step()
    follower.step()
    assert quiet == [frozenset({"1.2.3.0.1"})]
    bench.archive.seal()
    follower.take_over()
    bench.now = 40
    follower.step()
    assert len(quiet) == 1  # Nothing waits any more.
    assert bench.queue.jobs() == []
