"""Every sync that a promise rests on is missed by a test when it is taken out (DESIGN promise 1)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from archive_under_stress import JOBS, Job, Twin, broken_promises, quick_folder, whole_job

from tests.failing_filesystem import Crash

# Of the twin's power cuts: some that keep nothing whole which is not synced, then some that keep a part. A removal that
# is kept where a name that was made is not takes away what recovery would begin from.
_SEEDS = ((2, 14), (19, 28), (4, 20, 24, 36, 41, 59))
_PARTS = 3


def breaks_a_promise(job: Job, where: Path, *, number: int, crash_at: int | None, seeds: Sequence[int]) -> bool:
    """Whether something is broken when a sync did nothing and said it did, and the power went later."""
    root, promises, folder = job.begin(where)
    fs = Twin(where, skip_sync_at=number, crash_at=crash_at)
    with suppress(Crash):
        job.work(root, fs, promises, folder)
    for seed in seeds:  # Each is another outcome of the same cut: the twin still knows what was durable.
        fs.cut_power(seed, root, [{}])
        if broken_promises(root, promises):
            return True
    return False


def moments_after(step: int, steps: Sequence[str]) -> list[int | None]:
    """The end and every step after this one; first those that a sync came just before.

    A promise, or something that builds on what is not there, mostly follows a sync: a search that begins with these is
    over in a third of the time, and gives up no sooner.
    """
    later = range(step + 1, len(steps) + 1)
    return [None, *sorted(later, key=lambda at: not any(each.startswith("sync") for each in steps[at - 3 : at - 1]))]


def is_noticed(job: Job, *, number: int, step: int, steps: Sequence[str]) -> bool:
    for seeds in _SEEDS:
        for crash_at in moments_after(step, steps):
            with quick_folder() as where:
                if breaks_a_promise(job, where / "job", number=number, crash_at=crash_at, seeds=seeds):
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


@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.parametrize("name", ["receive and seal", pytest.param("ingest", marks=pytest.mark.slow)])
def test_skipping_any_sync_that_a_promise_rests_on_is_noticed(name: str, part: int) -> None:
    job = JOBS[name]
    whole = whole_job(job)
    last_note = max(number for number, step in enumerate(whole.steps, 1) if step.endswith(".target"))
    covered = [
        (number, what, step)
        for number, (what, step) in enumerate(zip(whole.syncs, whole.steps_of_syncs, strict=True), 1)
        if not nothing_rests_on(what, whole.steps[step - 2], is_after_commit=step > last_note)
    ]
    assert len(covered) >= 10
    assert {"folder series", "folder events", "folder staging"} <= {what for _, what, _ in covered}
    assert not [
        f"{number}: {what}, after {whole.steps[step - 2]!r}"
        for number, what, step in covered[part::_PARTS]
        if not is_noticed(job, number=number, step=step, steps=whole.steps)
    ]
