"""Every sync that a promise rests on is missed by a test when it is taken out (DESIGN promise 1)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from archive_under_stress import JOBS, Job, Twin, broken_promises, quick_folder, whole_job

from tests.failing_filesystem import Crash

_SEEDS = (2, 14, 19, 28)  # Of the twin's power cuts, some that keep nothing whole which is not synced.


def skipped(job: Job, where: Path, *, number: int, crash_at: int | None, seed: int) -> list[str]:
    """What is broken when a sync did nothing and said it did, and the power went later."""
    root, promises, folder = job.begin(where)
    fs = Twin(where, skip_sync_at=number, crash_at=crash_at)
    with suppress(Crash):
        job.work(root, fs, promises, folder)
    fs.cut_power(seed, root, [{}])
    return broken_promises(root, promises)


def is_noticed(job: Job, *, number: int, step: int, count: int) -> bool:
    for crash_at in (None, *range(step + 1, count + 1)):
        for seed in _SEEDS:
            with quick_folder() as where:
                if skipped(job, where / "job", number=number, crash_at=crash_at, seed=seed):
                    return True
    return False


def nothing_rests_on(what: str, before: str, *, is_after_commit: bool) -> bool:
    """Whether a sync is one that no promise made in the job rests on, each for its own reason."""
    return (
        # What comes back is not needed any more, and goes again with the next who comes by.
        before.startswith("remove")
        # Sealed already: a record that comes back is recognised by its hash and retired again.
        or (is_after_commit and what.endswith(".log"))
        # Names that creation has synced; again for a maker who died before (test_crash_steps tells).
        or what in {"folder archive", "folder journal"}
        or (what == "folder events" and before.startswith("lock"))
        # The same folder is synced again before anything is acknowledged, or recovery puts a reason beside the object.
        or what == "folder quarantine"
        # The same file is synced again, with its first record, before anything in it is acknowledged.
        or what.startswith(".pending")
    )


@pytest.mark.parametrize("name", ["receive and seal", pytest.param("ingest", marks=pytest.mark.slow)])
def test_skipping_any_sync_that_a_promise_rests_on_is_noticed(name: str) -> None:
    job = JOBS[name]
    whole = whole_job(job)
    last_note = max(number for number, step in enumerate(whole.steps, 1) if step.endswith(".target"))
    covered, unnoticed = [], []
    for number, (what, step) in enumerate(zip(whole.syncs, whole.steps_of_syncs, strict=True), 1):
        before = whole.steps[step - 2]
        if not nothing_rests_on(what, before, is_after_commit=step > last_note):
            covered.append(what)
            if not is_noticed(job, number=number, step=step, count=len(whole.steps)):
                unnoticed.append(f"{number}: {what}, after {before!r}")
    assert len(covered) >= 10
    assert {"folder series", "folder events", "folder staging"} <= set(covered)
    assert not unnoticed
