"""The process ends, or the power goes, at any step of whatever an archive does (DESIGN promises 1, 3, 9 and 10)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from archive_under_stress import (
    JOBS,
    LOSES_ALL,
    Job,
    Promises,
    Twin,
    broken_promises,
    catalog_files,
    opened,
    quick_folder,
    whole_job,
)

from pacscore.filesystem import LocalFileSystem
from pacscore.settings import Settings
from pacscore.store.events import EventLog
from tests.failing_filesystem import Crash


def work_until_crash(job: Job, root: Path, fs: Twin, promises: Promises, folder: Path, *, crash_at: int) -> None:
    """Do the job until it ends at that step.

    On a loaded machine a run may take a step or two fewer than the one that was counted, and be done before its last
    ones: that is a whole job, and all that is asked of a crashed one holds for it. A step that was reached must end it.
    """
    try:
        job.work(root, fs, promises, folder)
    except Crash:
        return
    assert crash_at - 3 <= len(fs.steps) < crash_at, (
        f"{len(fs.steps)} steps were taken, and no crash came at {crash_at}"
    )


def after_crash(job: Job, where: Path, *, crash_at: int) -> list[str]:
    """What is broken after the job was ended at a step, and after it was then done again."""
    root, promises, folder = job.begin(where)
    fs = Twin(where, crash_at=crash_at, seed=crash_at)
    work_until_crash(job, root, fs, promises, folder, crash_at=crash_at)
    fs.die()
    broken = broken_promises(root, promises) if (root / "pacscore.toml").exists() else []
    if not broken:
        job.work(root, Twin(where), promises, folder)
        broken = broken_promises(root, promises)
    return [f"step {crash_at} ({fs.steps[-1]}): {line}" for line in broken]


def after_power_cut(job: Job, where: Path, *, crash_at: int, seed: int) -> list[str]:
    """What is broken after the power went at a step, and after the job was then done again."""
    root, promises, folder = job.begin(where)
    fs = Twin(where, crash_at=crash_at, seed=seed)
    catalogs = [catalog_files(root)]
    with suppress(Crash):
        job.work(root, fs, promises, folder)
    catalogs.append(catalog_files(root))
    files = {path: path.read_bytes() for path in folder.iterdir()}
    fs.cut_power(seed * 1000 + crash_at, root, catalogs)
    folder.mkdir(exist_ok=True)
    for path, content in files.items():
        path.write_bytes(content)
    broken = broken_promises(root, promises) if (root / "pacscore.toml").exists() else list(promises.acknowledged)
    if not broken:
        job.work(root, Twin(where), promises, folder)
        broken = broken_promises(root, promises)
    return [f"step {crash_at} ({fs.steps[-1]}), seed {seed}: {line}" for line in broken]


def steps_of(job: Job, *, at_most: int | None = None) -> range:
    """The steps of a job, all or evenly spread ones."""
    count = len(whole_job(job).steps)
    return range(1, count + 1, 1 if at_most is None else -(-count // at_most))


def crashes(name: str, *, at_most: int | None = None) -> list[str]:
    job = JOBS[name]
    broken: list[str] = []
    for crash_at in steps_of(job, at_most=at_most):
        with quick_folder() as where:
            broken += after_crash(job, where / "job", crash_at=crash_at)
    return broken


@pytest.mark.parametrize("name", JOBS)
def test_after_a_crash_every_promise_is_kept_and_the_job_can_be_done_again(name: str) -> None:
    assert not crashes(name, at_most=25)


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_after_a_crash_at_any_step_every_promise_is_kept_and_the_job_can_be_done_again(name: str) -> None:
    assert not crashes(name)


def power_cuts(name: str, *, seeds: range, at_most: int | None = None) -> list[str]:
    job = JOBS[name]
    broken: list[str] = []
    for crash_at in steps_of(job, at_most=at_most):
        for seed in seeds:
            with quick_folder() as where:
                broken += after_power_cut(job, where / "job", crash_at=crash_at, seed=seed + crash_at % 7)
    return broken


@pytest.mark.parametrize("name", JOBS)
def test_after_a_power_cut_every_promise_is_kept_and_the_job_can_be_done_again(name: str) -> None:
    assert not power_cuts(name, seeds=range(1), at_most=12)


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_after_a_power_cut_at_any_step_every_promise_is_kept_whatever_the_outcome(name: str) -> None:
    assert not power_cuts(name, seeds=range(7, 17))


def killed_then_power_cut(job: Job, where: Path, *, crash_at: int, seed: int) -> list[str]:
    """What is broken when the process is killed at a step, the job done again, and only then the power goes.

    What the dead process had not synced is there to be seen, and nobody may take it for durable.
    """
    root, promises, folder = job.begin(where)
    fs = Twin(where, crash_at=crash_at, seed=seed)
    work_until_crash(job, root, fs, promises, folder, crash_at=crash_at)
    fs.revive()
    job.work(root, fs, promises, folder)
    fs.cut_power(seed, root, [catalog_files(root)])
    return [f"step {crash_at} ({fs.steps[:crash_at][-1]}), seed {seed}: {x}" for x in broken_promises(root, promises)]


@pytest.mark.parametrize("name", JOBS)
def test_what_a_killed_process_had_not_synced_is_not_taken_for_durable(name: str) -> None:
    job = JOBS[name]
    broken: list[str] = []
    for crash_at in steps_of(job, at_most=10):
        with quick_folder() as where:
            broken += killed_then_power_cut(job, where / "job", crash_at=crash_at, seed=LOSES_ALL)
    assert not broken


def moments_around_a_commit(job: Job) -> list[int]:
    """Steps at which recovery has the most to do: from the publication of a generation to the end of its commit."""
    steps = whole_job(job).steps
    published = [number for number, step in enumerate(steps, 1) if step.startswith("rename") and step.endswith(".zip")]
    return [published[-1] + 1, published[-1] + 4]


def recovery_interrupted(job: Job, where: Path, *, crash_at: int, again_at: int) -> tuple[bool, list[str]]:
    """Whether recovery came as far as ``again_at``, and what is broken after it was ended there."""
    root, promises, folder = job.begin(where)
    fs = Twin(where, crash_at=crash_at, seed=crash_at)
    work_until_crash(job, root, fs, promises, folder, crash_at=crash_at)
    recovering = Twin(where, crash_at=again_at, seed=again_at)
    came_so_far = False
    try:
        with opened(root, recovering):
            recovering.revive()
    except Crash:
        came_so_far = True
    broken = broken_promises(root, promises)
    return came_so_far, [f"step {crash_at}, then {again_at} ({recovering.steps[-1]}): {x}" for x in broken]


def interrupted_recoveries(name: str, *, every: int) -> list[str]:
    job = JOBS[name]
    broken: list[str] = []
    for crash_at in moments_around_a_commit(job):
        again_at, came_so_far = 1 - every, True
        while came_so_far:
            again_at += every
            with quick_folder() as where:
                came_so_far, found = recovery_interrupted(job, where / "job", crash_at=crash_at, again_at=again_at)
                broken += found
    return broken


@pytest.mark.parametrize("name", ["late", "ingest"])
def test_recovery_that_is_itself_ended_is_done_again(name: str) -> None:
    assert not interrupted_recoveries(name, every=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["late", "ingest"])
def test_recovery_that_is_itself_ended_at_any_step_is_done_again(name: str) -> None:
    assert not interrupted_recoveries(name, every=1)


def test_an_event_in_a_segment_whose_maker_died_before_its_folder_sync_is_durable(tmp_path: Path) -> None:
    """Whoever appends to a segment he did not make syncs its folder first: the name may not be on the disk yet."""

    def append(fs: Twin, root: Path, event: bytes) -> None:
        with EventLog.open(root, fs, Settings()) as log:
            log.append(lambda events: True, event)

    def begun(where: Path, crash_at: int | None) -> tuple[Twin, Path]:
        where.mkdir()
        fs = Twin(where, crash_at=crash_at, seed=LOSES_ALL)
        fs.make_folder(where / "events")
        fs.sync_folder(where)
        return fs, where / "events"

    whole, root = begun(tmp_path / "whole", None)
    append(whole, root, b"first")
    lost: list[str] = []
    for crash_at in range(3, len(whole.steps) + 1):
        fs, root = begun(tmp_path / str(crash_at), crash_at)
        with pytest.raises(Crash):
            append(fs, root, b"first")
        fs.revive()
        append(fs, root, b"acknowledged")
        fs.power_cut(LOSES_ALL)
        with EventLog.open(root, LocalFileSystem(), Settings()) as log:
            if b"acknowledged" not in [event.payload for event in log.read()]:
                lost.append(f"step {crash_at}: {whole.steps[crash_at - 1]}")
    assert not lost
