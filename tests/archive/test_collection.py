"""Superseded generations go when their time has come, not before the log says so (DESIGN promises 4, 5, 10)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_under_stress import (
    COLLECTING,
    JOBS,
    LOSES_ALL,
    SETTINGS,
    Twin,
    broken_promises,
    catalog_files,
    make_object,
    opened,
    quick_folder,
    whole_job,
)

from pacscore.archive import sealing
from pacscore.archive.archive import Archive
from pacscore.archive.copies import copies_of, copy_path
from pacscore.filesystem import LocalFileSystem
from tests.failing_filesystem import Crash

LOCAL = LocalFileSystem()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An archive in which a generation and a pack are superseded, each once."""
    made, _, _ = JOBS["collect"].begin(tmp_path / "job")
    return made


def files_of(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*.zip")}


def heads(archive: Archive) -> set[str]:
    return {archive.series(row["SeriesInstanceUID"]).generation.partition("#")[0] for row in archive.find("series")}


def collected(archive: Archive) -> Iterator[dict[str, Any]]:
    return (dict(event) for event in archive.events() if event["kind"] == "collected")


def test_promise_10_superseded_files_go_and_an_event_names_them(root: Path) -> None:
    before = files_of(root)
    with opened(root, LOCAL) as archive:
        current = heads(archive)
        assert (len(before), len(current)) == (4, 2)
        waiting = archive.stats()["superseded"]
        gone = before - current
        size = sum((root / file).stat().st_size for file in gone)
        assert waiting == {"generations": 3, "files": 2, "bytes": size}
        assert files_of(root) == before  # The grace time is not over.
        assert archive.collect().as_dict() == {"files": 0, "bytes": 0}
    with opened(root, LOCAL, COLLECTING) as archive:
        assert files_of(root) == current
        assert [set(event["files"]) for event in collected(archive)] == [gone]
        assert archive.stats()["superseded"] == {"generations": 0, "files": 0, "bytes": 0}
        assert not archive.verify().findings
        digest = archive._session.catalog.digest()
        archive.rebuild()
        assert archive._session.catalog.digest() == digest
        for series, number, size in ((5, 0, 48), (5, 1, 48), (6, 0, 16), (7, 1, 16)):
            assert archive.instance(f"1.2.3.{series}.{number + 1}").bytes() == make_object(series, number, size=size)


def test_what_is_sealed_again_goes_at_the_end_of_the_seal_when_there_is_no_grace(tmp_path: Path) -> None:
    with Archive.create(tmp_path / "archive", settings=COLLECTING) as archive:
        for number in range(3):
            archive.receive(make_object(5, number, size=48))
            archive.seal()
            assert files_of(archive.root) == heads(archive)
        archive.reseal("frames")
        assert files_of(archive.root) == heads(archive)
        assert len(list(collected(archive))) == 3
        assert archive.collect().files == 0


def test_promise_4_an_open_volume_and_series_go_on_reading_what_was_collected(root: Path) -> None:
    with opened(root, LOCAL) as reader:
        held, late = reader.series("1.2.3.6.0"), reader.series("1.2.3.6.0")
        volume, expected = held.volume(), held.volume().array()
        assert len(late.instances) == 2
        with opened(root, LOCAL, COLLECTING) as archive:
            archive.receive(make_object(5, 2, size=48))
            archive.seal()
            assert held.generation not in files_of(root)
            reader._session.let_go([held.generation])
            assert np.array_equal(volume.array(), expected)
            assert np.array_equal(late.volume().array(), expected)
            assert late.instances[1].bytes() == make_object(5, 1, size=48)
            assert archive.series("1.2.3.6.0").volume().shape[0] == 3


def test_a_pack_stays_until_all_its_series_are_superseded(tmp_path: Path) -> None:
    with Archive.create(tmp_path / "archive", settings=COLLECTING) as archive:
        for series in (1, 2, 3):
            archive.receive(make_object(series, 0))
        archive.seal()
        (pack,) = files_of(archive.root)
        for series in (1, 2):
            archive.receive(make_object(series, 1))
            archive.seal()
            assert pack in files_of(archive.root)
        assert archive.stats()["superseded"] == {"generations": 2, "files": 0, "bytes": 0}
        archive.receive(make_object(3, 1))
        archive.seal()
        assert pack not in files_of(archive.root)
        assert archive.instance("1.2.3.1.1").bytes() == make_object(1, 0)


def test_nothing_is_collected_while_somebody_holds_the_lock_as_a_backup_does(root: Path) -> None:
    before = files_of(root)
    with opened(root, LOCAL) as archive, LOCAL.lock(root / "collection.lock", shared=True):
        with opened(root, LOCAL, COLLECTING) as other:
            assert other.collect().files == 0
            other.seal()
        assert files_of(root) == before
        assert archive.stats()["superseded"]["files"] == 2
    with opened(root, LOCAL, COLLECTING):
        assert len(files_of(root)) == 2


def test_what_the_head_does_not_hold_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gather = sealing.gather

    def forgetful(*parts: Any) -> sealing.Gathered:
        found = gather(*parts)
        del found.members[0]
        return found

    with Archive.create(tmp_path / "archive", settings=COLLECTING) as archive:
        archive.receive(make_object(5, 0, size=48))
        archive.receive(make_object(5, 1, size=48))
        archive.seal()
        monkeypatch.setattr(sealing, "gather", forgetful)
        archive.receive(make_object(5, 2, size=48))
        archive.seal()
        assert len(files_of(archive.root)) == 2
        assert archive.collect().files == 0
        assert archive.stats()["superseded"]["files"] == 1


def test_what_has_an_unreadable_head_stays(root: Path) -> None:
    with opened(root, LOCAL) as archive:
        head = root / archive.series("1.2.3.6.0").generation
        content = head.read_bytes()
        head.write_bytes(content[:-100])
        with opened(root, LOCAL, COLLECTING) as other:
            assert len(list(head.parent.iterdir())) == 2
            head.write_bytes(content)
            assert other.collect().files == 1


def test_a_removal_that_was_not_finished_is_not_finished_where_the_head_is_damaged(root: Path) -> None:
    """As in a copy of the archive that came out damaged: the old file is all there is."""
    before = files_of(root)
    with opened(root, LOCAL) as archive:
        head = root / archive.series("1.2.3.6.0").generation
        catalog = archive._session.catalog
        catalog.put_series([], collected=[row.file for row in catalog.superseded()])  # As the event would have it.
    content = head.read_bytes()
    head.write_bytes(content[:-100])
    with opened(root, LOCAL):
        assert len(list(head.parent.iterdir())) == 2
        assert len(files_of(root)) == len(before) - 1  # The pack's heads are whole.
    head.write_bytes(content)
    with opened(root, LOCAL) as archive:
        assert files_of(root) == heads(archive)


def test_working_copies_of_what_is_collected_go_too(root: Path) -> None:
    with opened(root, LOCAL) as archive:
        (superseded, *_) = [row.locator for row in archive._session.catalog.superseded()]
        cache = archive._session.layout.cache
        cache.mkdir()
        (cache / "0123456789abcdef0123456789abcdef-0.zip").write_bytes(b"another's")
        assert copies_of(archive._session, superseded) == []
        for stack in (0, 12):
            copy_path(archive._session, superseded, stack).write_bytes(b"a copy")
        assert len(copies_of(archive._session, superseded)) == 2
    with opened(root, LOCAL, COLLECTING):
        assert [path.name[:4] for path in cache.iterdir()] == ["0123"]


def test_promise_5_a_catalog_is_made_from_a_log_whose_generations_are_gone(root: Path) -> None:
    with opened(root, LOCAL, COLLECTING) as archive:
        digest = archive._session.catalog.digest()
    for path in root.glob("catalog.sqlite*"):
        path.unlink()
    with Archive.open(root, read_only=True, settings=SETTINGS) as reader:
        assert reader.stats()["instances"] == 6
        assert reader.instance("1.2.3.5.1").bytes() == make_object(5, 0, size=48)
    with opened(root, LOCAL) as archive:
        assert archive._session.catalog.digest() == digest


def test_an_older_catalog_follows_a_log_whose_generations_are_gone(root: Path) -> None:
    old = catalog_files(root)
    with opened(root, LOCAL, COLLECTING) as archive:
        archive.receive(make_object(5, 2, size=48))
        archive.seal()
        archive.receive(make_object(5, 3, size=48))
        archive.seal()
        digest = archive._session.catalog.digest()
    for path in root.glob("catalog.sqlite*"):
        path.unlink()
    for name, content in old.items():
        (root / name).write_bytes(content)
    with opened(root, LOCAL) as archive:
        assert archive._session.catalog.digest() == digest


def test_the_event_is_on_the_disk_before_a_file_goes() -> None:
    """Taking out the sync of the event, and cutting the power once a removal is durable, is noticed."""
    job = JOBS["collect"]
    whole = whole_job(job)
    removals = [n for n, step in enumerate(whole.steps, 1) if step.startswith("remove") and step.endswith(".zip")]
    before = [
        n for n, step in enumerate(whole.steps_of_syncs) if step < removals[0] and whole.syncs[n].endswith(".log")
    ]
    assert before, "no log is synced before the first file goes"
    noticed = False
    for crash_at in range(removals[0] + 1, removals[0] + 8):
        with quick_folder() as where:
            root, promises, folder = job.begin(where / "job")
            fs = Twin(where / "job", skip_sync_at=before[-1] + 1, crash_at=crash_at)
            with suppress(Crash):
                job.work(root, fs, promises, folder)
            fs.cut_power(LOSES_ALL, root, [{}])
            noticed |= bool(broken_promises(root, promises))
    assert noticed


def test_the_event_says_when_and_which(root: Path) -> None:
    with opened(root, LOCAL, COLLECTING) as archive:
        (event,) = collected(archive)
        commits = [each for each in archive.events() if each["kind"] == "commit"]
        assert event["time"] >= max(each["time"] for each in commits)
        assert json.dumps(event["files"])
        assert [each["kind"] for each in archive.events(after=commits[-1]["position"])] == ["collected"]
