"""Ctrl-C and a full disk, as a person at the command line meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_under_stress import (
    Promises,
    all_objects,
    broken_promises,
    make_object,
    name_of,
    opened,
    quick_folder,
    write_folder,
)
from cli.running import pacscore

from pacscore.archive.archive import Archive
from pacscore.filesystem import LocalFileSystem

_ROOT = Path(__file__).resolve().parents[2]
_SERIES_COUNT = 24
_SMALL_SERIES_BYTES = "1000"  # Series are sealed one by one, so that there is a middle to interrupt.


def command(*arguments: str | Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(_ROOT), "PACSCORE_SMALL_SERIES_BYTES": _SMALL_SERIES_BYTES}
    return subprocess.Popen(
        [sys.executable, "-m", "pacscore", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def commits(root: Path) -> int:
    return len(list((root / "series").rglob("*.zip")))


def has_begun(root: Path) -> bool:
    return bool(commits(root)) or any(path.is_dir() for path in (root / "staging").iterdir())


def interrupted_ingest(root: Path, files: Path, *, after_commits: int) -> tuple[int, str, str]:
    """Exit code and output of an ingest that got SIGINT once so many generations were there."""
    process = command("ingest", root, files)
    deadline = time.monotonic() + 60
    while (
        not (commits(root) >= after_commits and has_begun(root))
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.002)
    came_so_far = commits(root) >= after_commits and has_begun(root)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert came_so_far, error  # Else it was interrupted at another moment than the one that is tested.
    return process.returncode, out, error


@pytest.mark.parametrize("after_commits", [0, 1, 5])
def test_ctrl_c_during_ingest_says_so_keeps_what_is_in_and_a_second_run_continues(
    after_commits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACSCORE_SMALL_SERIES_BYTES", _SMALL_SERIES_BYTES)
    with quick_folder() as where:
        root = where / "archive"
        Archive.create(root).close()
        objects = [make_object(series, n, size=128) for series in range(_SERIES_COUNT) for n in range(4)]
        files = write_folder(where / "files", *objects)
        code, _, error = interrupted_ingest(root, files, after_commits=after_commits)
        assert code == 130, error
        assert error.strip().endswith("run the same command again to go on.")
        assert "Traceback" not in error
        kept = commits(root)
        assert kept < _SERIES_COUNT, error
        second = pacscore("ingest", root, files, "--json")
        report = json.loads(second.stdout)
        assert (second.returncode, report["stored"] + report["duplicates"]) == (0, len(objects)), second.stderr
        assert report["duplicates"] >= 4 * (after_commits - 1)
        assert not broken_promises(
            root, Promises(asked=set(map(name_of, objects)), acknowledged=set(map(name_of, objects)))
        )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small disk is not permitted here (until 2027-12-31)")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_a_clear_error_and_the_archive_goes_on_once_there_is_room(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACSCORE_SMALL_SERIES_BYTES", _SMALL_SERIES_BYTES)
    root = small_disk / "archive"
    objects = [make_object(series, n, size=160) for series in range(_SERIES_COUNT) for n in range(4)]
    files = write_folder(tmp_path / "files", *objects)
    Archive.create(root).close()
    process = command("ingest", root, files)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Free some" in error
    assert "Traceback" not in error
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    with opened(root, LocalFileSystem()) as archive:
        found = [name_of(whole) for whole in all_objects(archive)]
        assert len(found) == len(set(found)) < len(objects)
        assert archive.verify().findings == ()
    again = pacscore("ingest", root, files, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["duplicates"] == len(found)
    names = set(map(name_of, objects))
    assert not broken_promises(root, Promises(asked=names, acknowledged=names))
