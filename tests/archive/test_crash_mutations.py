"""Every sync that a promise rests on is missed by a test when it is taken out (DESIGN promise 1)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from archive_under_stress import JOBS, LOSES_ALL, Job, Twin, broken_promises, quick_folder, whole_job

from tests.failing_filesystem import Crash


def skipped(job: Job, where: Path, *, number: int, crash_at: int | None) -> list[str]:
    """What is broken when a sync did nothing and said it did, and the power went later."""
    root, promises, folder = job.begin(where)
    fs = Twin(where, skip_sync_at=number, crash_at=crash_at)
    with suppress(Crash):
        job.work(root, fs, promises, folder)
    fs.cut_power(LOSES_ALL, root, [{}])
    if not (root / "pacscore.toml").exists():
        return ["the archive is lost"]
    return broken_promises(root, promises)


def is_noticed(job: Job, *, number: int, step: int) -> bool:
    for crash_at in (None, *range(step + 1, step + 8)):
        with quick_folder() as where:
            if skipped(job, where / "job", number=number, crash_at=crash_at):
                return True
    return False


@pytest.mark.parametrize("name", ["receive and seal", "ingest"])
def test_skipping_any_sync_that_a_promise_rests_on_is_noticed(name: str) -> None:
    job = JOBS[name]
    whole = whole_job(job)
    unnoticed = []
    for number, (what, step) in enumerate(zip(whole.syncs, whole.steps_of_syncs, strict=True), 1):
        if not is_noticed(job, number=number, step=step):
            before = whole.steps[step - 2]
            unnoticed.append(f"{number}: {what}, after {before!r}")
    print(whole.syncs)
    assert not unnoticed, "\n".join(unnoticed)
