"""The process ends, or the power goes, at any step of whatever an archive does (DESIGN promises 1, 3, 9 and 10)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from archive_under_stress import JOBS, Job, Twin, broken_promises, catalog_files, quick_folder, whole_job

from tests.failing_filesystem import Crash


def after_crash(job: Job, where: Path, *, crash_at: int) -> list[str]:
    """What is broken after the job was ended at a step, and after it was then done again."""
    root, promises, folder = job.begin(where)
    fs = Twin(where, crash_at=crash_at, seed=crash_at)
    with pytest.raises(Crash):
        job.work(root, fs, promises, folder)
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


@pytest.mark.parametrize("name", JOBS)
def test_after_a_crash_at_any_step_every_promise_is_kept_and_the_job_can_be_done_again(name: str) -> None:
    job = JOBS[name]
    broken: list[str] = []
    for crash_at in range(1, len(whole_job(job).steps) + 1):
        with quick_folder() as where:
            broken += after_crash(job, where / "job", crash_at=crash_at)
    assert not broken


def power_cuts(name: str, *, every: int, seeds: range) -> list[str]:
    job = JOBS[name]
    broken: list[str] = []
    for crash_at in range(1, len(whole_job(job).steps) + 1):
        for seed in seeds if crash_at % every == 0 else ():
            with quick_folder() as where:
                broken += after_power_cut(job, where / "job", crash_at=crash_at, seed=seed + crash_at % 7)
    return broken


@pytest.mark.parametrize("name", JOBS)
def test_after_a_power_cut_every_promise_is_kept_and_the_job_can_be_done_again(name: str) -> None:
    assert not power_cuts(name, every=3, seeds=range(1))


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_after_a_power_cut_at_any_step_every_promise_is_kept_whatever_the_outcome(name: str) -> None:
    assert not power_cuts(name, every=1, seeds=range(7, 17))
