from __future__ import annotations

import json
from pathlib import Path

import pytest

from pacscore.errors import DamagedError, InputError, NotFoundError, UnreachableError
from pacscore.flow.queue import WAIT_SECONDS_MAX, Job, WorkQueue
from pacscore.flow.rules import rules_of
from pacscore.flow.working import Worker


class Carrier:
    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.carried: list[Job] = []

    def deliver(self, job: Job) -> None:
        if self.failures:
            self.failures -= 1
            raise UnreachableError("nobody answers")
        self.carried.append(job)


def test_a_job_survives_a_restart_and_comes_in_order(tmp_path: Path) -> None:
    queue = WorkQueue(tmp_path / "queue")
    made = [queue.put("forward", "CACHE", {"series": str(n)}) for n in range(5)]
    assert WorkQueue(tmp_path / "queue").jobs() == made


def test_a_job_that_is_done_is_gone(tmp_path: Path) -> None:
    queue, carrier = WorkQueue(tmp_path / "queue"), Carrier()
    queue.put("forward", "CACHE", {"series": "1"})
    assert Worker(queue, {"forward": carrier}, None, lambda *_: None).step() == 1
    assert len(carrier.carried) == 1
    assert queue.jobs() == []


def test_a_failure_puts_a_job_off_for_longer_each_time(tmp_path: Path) -> None:
    now = [1000.0]
    queue = WorkQueue(tmp_path / "queue", clock=lambda: now[0])
    queue.put("forward", "CACHE", {})
    worker = Worker(queue, {"forward": Carrier(failures=30)}, None, lambda *_: None)
    waits = []
    for attempt in range(1, 16):
        worker.step()
        (job,) = queue.jobs()
        assert (job.attempts, job.reason) == (attempt, "nobody answers")
        assert queue.due() == []
        waits.append(job.due - now[0])
        now[0] = job.due
    assert waits[:4] == [5, 10, 20, 40]
    assert waits[-1] == WAIT_SECONDS_MAX


def test_retry_makes_due_and_drop_removes(tmp_path: Path) -> None:
    queue = WorkQueue(tmp_path / "queue")
    job = queue.put("forward", "CACHE", {}, due=1e12)
    assert queue.due() == []
    assert queue.retry() == 1
    assert [each.name for each in queue.due()] == [job.name]
    queue.drop(job.name)
    assert queue.jobs() == []
    with pytest.raises(NotFoundError):
        queue.drop(job.name)


def test_a_dropped_job_is_not_brought_back_by_its_failure(tmp_path: Path) -> None:
    queue = WorkQueue(tmp_path / "queue")
    job = queue.put("forward", "CACHE", {})
    queue.drop(job.name)
    queue.failed(job, "too late")
    assert queue.jobs() == []


def test_one_worker_at_a_time_holds_the_queue(tmp_path: Path) -> None:
    import time

    queue, first, second = WorkQueue(tmp_path / "queue"), Carrier(), Carrier()
    workers = [Worker(queue, {"forward": each}, None, lambda *_: None) for each in (first, second)]
    workers[0].start()
    time.sleep(0.3)
    workers[1].start()
    for n in range(5):
        queue.put("forward", "CACHE", {"n": n})
    deadline = time.monotonic() + 10
    while queue.jobs() and time.monotonic() < deadline:
        time.sleep(0.05)
    for worker in workers:
        worker.stop()
    assert [job.payload["n"] for job in first.carried] == list(range(5))
    assert second.carried == []


def test_a_file_that_is_no_job_is_reported(tmp_path: Path) -> None:
    queue = WorkQueue(tmp_path / "queue")
    (tmp_path / "queue" / "0.json").write_text(json.dumps([1]))
    with pytest.raises(DamagedError):
        queue.jobs()


@pytest.mark.parametrize(
    "table", [{}, {"to": 3}, {"to": "A", "match": "CT"}, {"to": "A", "when": "now"}, {"to": "A", "quiet_seconds": -1}]
)
def test_a_rule_without_meaning_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(InputError):
        rules_of([table])
