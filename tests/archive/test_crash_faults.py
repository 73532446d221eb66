"""The disk is full, writes short, or fails to sync: a clear error, no false acknowledgement, and a usable archive."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from archive_under_stress import (
    JOBS,
    SETTINGS,
    Job,
    Promises,
    Twin,
    broken_promises,
    catalog_files,
    ingest,
    make_object,
    name_of,
    opened,
    quick_folder,
    receive,
    whole_job,
    write_folder,
)

from pacscore.archive.archive import Archive
from pacscore.errors import DurabilityError, PacscoreError, StorageFullError

AFTER_CREATION = [name for name, job in JOBS.items() if not job.creates]


def go_on(job: Job, root: Path, fs: Twin, folder: Path, promises: Promises) -> list[str]:
    """What is broken after a failure, and after the job was then done again."""
    broken = broken_promises(root, promises)
    if not broken:
        job.work(root, fs, promises, folder)
        broken = broken_promises(root, promises)
    return broken


@pytest.mark.parametrize("name", JOBS)
def test_short_writes_change_nothing(name: str) -> None:
    job = JOBS[name]
    with quick_folder() as where:
        root, promises, folder = job.begin(where / "job")
        job.work(root, Twin(where / "job", short_writes=True, seed=3), promises, folder)
        assert promises.acknowledged
        assert not broken_promises(root, promises)


def one_of_each_kind(whole: Twin) -> list[int]:
    """Numbers of syncs that differ in what is synced and in the step before; of those that do not, the last."""

    def kind(step: str) -> str:
        return re.sub(r"\b[0-9a-f]{2}\b|[0-9a-f]{8,}", "*", step)

    syncs = enumerate(zip(whole.syncs, whole.steps_of_syncs, strict=True), 1)
    return sorted({(kind(what), kind(whole.steps[step - 2])): number for number, (what, step) in syncs}.values())


def failed_syncs(name: str, numbers: Sequence[int]) -> list[str]:
    """What is broken after each of these syncs failed and the power went, and after the job was then done again."""
    job = JOBS[name]
    broken: list[str] = []
    for fail_at in numbers:
        with quick_folder() as where:
            root, promises, folder = job.begin(where / "job")
            fs = Twin(where / "job", fail_sync_at=fail_at)
            catalogs = [catalog_files(root)]
            files = {path: path.read_bytes() for path in folder.iterdir()}
            with pytest.raises(DurabilityError):
                job.work(root, fs, promises, folder)
            fs.cut_power(fail_at, root, [*catalogs, catalog_files(root)])
            folder.mkdir(exist_ok=True)
            for path, content in files.items():
                path.write_bytes(content)
            again = go_on(job, root, Twin(where / "job"), folder, promises)
            broken += (f"sync {fail_at} of {fs.syncs[-1]}: {line}" for line in again)
    return broken


@pytest.mark.parametrize("name", AFTER_CREATION)
def test_when_a_sync_of_any_kind_fails_nothing_unsynced_is_acknowledged_and_the_job_can_be_done_again(
    name: str,
) -> None:
    numbers = one_of_each_kind(whole_job(JOBS[name]))
    assert len(numbers) >= 10
    assert not failed_syncs(name, numbers)


@pytest.mark.slow
@pytest.mark.parametrize("name", AFTER_CREATION)
def test_when_any_sync_fails_nothing_unsynced_is_acknowledged_and_the_job_can_be_done_again(name: str) -> None:
    assert not failed_syncs(name, range(1, len(whole_job(JOBS[name]).syncs) + 1))


@pytest.mark.parametrize("name", AFTER_CREATION)
def test_when_the_disk_is_full_at_any_byte_nothing_is_acknowledged_that_is_not_stored(name: str) -> None:
    job = JOBS[name]
    chance = random.Random(name)
    with quick_folder() as where:
        root, promises, folder = job.begin(where / "job")
        fs = Twin(where / "job", disk_bytes=1 << 30)
        job.work(root, fs, promises, folder)
        assert fs.disk_bytes is not None
        needed = (1 << 30) - fs.disk_bytes
    for room in [0, *chance.sample(range(1, needed), 12)]:
        with quick_folder() as where:
            root, promises, folder = job.begin(where / "job")
            fs = Twin(where / "job", disk_bytes=room)
            with pytest.raises(StorageFullError):
                job.work(root, fs, promises, folder)
            fs.disk_bytes = None
            assert not go_on(job, root, fs, folder, promises), f"{room} of {needed} bytes"


def test_a_full_disk_is_no_end_the_same_archive_goes_on_once_there_is_room() -> None:
    promises = Promises()
    with quick_folder() as where:
        fs, root = Twin(where), where / "archive"
        Archive.create(root, settings=SETTINGS, filesystem=fs).close()
        files = write_folder(where / "files", *(make_object(5, number, size=48) for number in range(3)))
        with opened(root, fs) as archive:
            receive(archive, promises, make_object(0, 0))
            for room in (0, 300, 4000):
                fs.disk_bytes = room
                with pytest.raises(StorageFullError):
                    archive.receive(make_object(1, 0, size=64))
                with pytest.raises(StorageFullError):
                    archive.ingest(files)
                fs.disk_bytes = 0
                with pytest.raises(StorageFullError):
                    archive.seal()
                assert archive.instance("1.2.3.0.1").bytes() == make_object(0, 0)
            fs.disk_bytes = None
            receive(archive, promises, make_object(1, 0, size=64))
            ingest(archive, promises, files)
            archive.seal()
            assert archive.stats()["received"] == 0
        assert not broken_promises(root, promises)


def test_a_part_that_does_not_open_leaves_no_lock_behind(tmp_path: Path) -> None:
    Archive.create(tmp_path / "archive", settings=SETTINGS).close()
    catalog = tmp_path / "archive" / "catalog.sqlite"
    catalog.write_bytes(b"not a database" * 1000)
    with pytest.raises(PacscoreError):
        Archive.open(tmp_path / "archive", settings=SETTINGS)
    catalog.unlink()
    with Archive.open(tmp_path / "archive", settings=SETTINGS) as archive:
        archive.receive(make_object(0, 0))
        assert {path.name for path in (tmp_path / "archive" / "journal").iterdir()} == {"01"}


def test_an_archive_closes_all_its_parts_though_one_fails(tmp_path: Path) -> None:
    fs = Twin(tmp_path)
    archive = Archive.create(tmp_path / "archive", settings=SETTINGS, filesystem=fs)
    archive.receive(make_object(0, 0))
    fs.fail_sync_at = len(fs.syncs) + 1
    with pytest.raises(DurabilityError):
        archive.receive(make_object(0, 1))
    with suppress(DurabilityError):
        archive.close()
    with Archive.open(tmp_path / "archive", settings=SETTINGS) as again:
        assert again.instance("1.2.3.0.1").bytes() == make_object(0, 0)
        assert {path.name for path in (tmp_path / "archive" / "journal").iterdir()} == {"01"}
        assert again.receive(make_object(0, 1)).sha256
        assert name_of(again.instance("1.2.3.0.2").bytes()) == name_of(make_object(0, 1))
