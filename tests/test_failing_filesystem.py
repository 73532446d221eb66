"""The failing twin itself: it must be able to lose what was not synced, and never what was."""

from __future__ import annotations

from pathlib import Path

import pytest

from pacscore.errors import DurabilityError, StorageFullError
from tests.failing_filesystem import Crash, FailingFileSystem

SEEDS = range(40)


def outcomes(root: Path, act) -> set[tuple[tuple[str, bytes], ...]]:  # type: ignore[no-untyped-def]
    """All that a power cut after ``act`` left, over the seeds."""
    found = set()
    for seed in SEEDS:
        folder = root / str(seed)
        folder.mkdir()
        fs = FailingFileSystem(folder)
        act(fs, folder)
        fs.power_cut(seed)
        found.add(tuple(sorted((str(p.relative_to(folder)), p.read_bytes()) for p in folder.rglob("*") if p.is_file())))
    return found


def test_what_is_published_is_whole_or_absent_before_and_there_after(tmp_path: Path) -> None:
    def publish(fs: FailingFileSystem, folder: Path) -> None:
        fs.publish(folder / "a", b"x" * 9000)

    assert outcomes(tmp_path, publish) == {(("a", b"x" * 9000),)}


def test_writes_that_were_not_synced_are_kept_lost_or_torn(tmp_path: Path) -> None:
    def write(fs: FailingFileSystem, folder: Path) -> None:
        fs.publish(folder / "a", b"old")
        with fs.open_append(folder / "a") as file:
            file.append(b"x" * 9000)

    found = {files[0][1] for files in outcomes(tmp_path, write)}
    assert b"old" in found
    assert b"old" + b"x" * 9000 in found
    assert any(b"\0" in content for content in found)
    assert all(content.startswith(b"old") for content in found)


def test_names_that_were_not_synced_are_kept_or_lost(tmp_path: Path) -> None:
    def change(fs: FailingFileSystem, folder: Path) -> None:
        fs.publish(folder / "a", b"a")
        fs.publish(folder / "b", b"b")
        fs.make_folder(folder / "d")
        fs.sync_folder(folder)
        fs.rename(folder / "a", folder / "d" / "a")
        fs.remove(folder / "b")

    assert outcomes(tmp_path, change) == {
        (("a", b"a"), ("b", b"b")),
        (("a", b"a"),),
        (("b", b"b"), ("d/a", b"a")),
        (("d/a", b"a"),),
    }


def test_a_folder_that_is_lost_takes_its_synced_files_along(tmp_path: Path) -> None:
    def change(fs: FailingFileSystem, folder: Path) -> None:
        fs.make_folder(folder / "d")
        fs.publish(folder / "d" / "a", b"a")

    assert outcomes(tmp_path, change) == {(), (("d/a", b"a"),)}


def test_a_skipped_sync_promises_nothing(tmp_path: Path) -> None:
    contents = set()
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        fs = FailingFileSystem(folder, skip_sync_at=1)
        fs.publish(folder / "a", b"x")
        fs.power_cut(seed)
        contents.add((folder / "a").read_bytes())
    assert contents == {b"", b"x", b"\0"} or contents == {b"", b"x"}


def test_after_a_crash_nothing_works_and_everything_done_is_there(tmp_path: Path) -> None:
    fs = FailingFileSystem(tmp_path, crash_at=3)
    with pytest.raises(Crash):
        fs.publish(tmp_path / "a", b"x")  # Create, write, and the sync is the third.
    assert fs.steps[0].startswith("create")
    with pytest.raises(Crash):
        fs.make_folder(tmp_path / "b")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"x"]


def test_f1_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    fs = FailingFileSystem(tmp_path, disk_bytes=10)
    with fs.create(tmp_path / "a") as file:
        file.append(b"12345")
        with pytest.raises(StorageFullError):
            file.append(b"678", b"90ab")
        assert file.size == (tmp_path / "a").stat().st_size == 5
        fs.disk_bytes = 100
        assert file.append(b"more") == 5


def test_f1_short_writes_are_continued(tmp_path: Path) -> None:
    fs = FailingFileSystem(tmp_path, short_writes=True)
    parts = [bytes([number]) * (number * 7 % 50) for number in range(200)]
    with fs.create(tmp_path / "a") as file:
        file.append(*parts)
    assert (tmp_path / "a").read_bytes() == b"".join(parts)


def test_f3_a_failed_sync_is_final(tmp_path: Path) -> None:
    fs = FailingFileSystem(tmp_path, fail_sync_at=1)
    with fs.create(tmp_path / "a") as file:
        file.append(b"x")
        for act in (file.sync, file.sync, lambda: file.append(b"y"), lambda: file.write_at(0, b"z")):
            with pytest.raises(DurabilityError):
                act()


def test_f4_a_publish_that_crashes_at_any_step_shows_the_old_file_or_the_new(tmp_path: Path) -> None:
    for crash_at in range(1, 7):
        for seed in range(8):
            folder = tmp_path / f"{crash_at}-{seed}"
            folder.mkdir()
            (folder / "a").write_bytes(b"old")
            fs = FailingFileSystem(folder, crash_at=crash_at)
            try:
                fs.publish(folder / "a", b"new")
            except Crash:
                pass
            else:
                assert crash_at == 6
            fs.power_cut(seed)
            assert (folder / "a").read_bytes() in ((b"new",) if crash_at == 6 else (b"old", b"new"))
