"""Several receivers with objects of one SOP Instance UID at one moment: the first is stored, the others know of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from archive_under_stress import SETTINGS, make_object, name_of, opened
from test_processes import count_objects, run_beside

from pacscore.archive.archive import Archive
from pacscore.filesystem import LocalFileSystem

UIDS, RECEIVERS = 25, 3


def receiver(root: Path, number: int, start: float, *, same: bool) -> Callable[[Callable[[str], None]], None]:
    """Receives an object of each UID at agreed moments, and tells what became of it."""

    def work(told: Callable[[str], None]) -> None:
        with opened(root, LocalFileSystem()) as archive:
            for uid in range(UIDS):
                whole = make_object(0, uid, variant=0 if same else number)
                time.sleep(max(0.0, start + 0.02 * uid - time.time()))
                told(f"{uid} {archive.receive(whole).status}")

    return work


def statuses(root: Path, *, same: bool) -> list[list[str]]:
    Archive.create(root, settings=SETTINGS).close()
    for number in range(RECEIVERS):  # Made before the race, not in it.
        for uid in range(UIDS):
            make_object(0, uid, variant=0 if same else number)
    start = time.time() + 1
    told = run_beside(*(receiver(root, number, start, same=same) for number in range(RECEIVERS)))
    return [sorted(line.split()[1] for line in lines) for lines in zip(*told, strict=True)]


def test_of_different_objects_of_one_uid_one_is_stored_and_the_others_are_versions(tmp_path: Path) -> None:
    assert statuses(tmp_path / "archive", same=False) == [["stored", "version", "version"]] * UIDS
    with opened(tmp_path / "archive", LocalFileSystem()) as archive:
        for series in (archive.series("1.2.3.1.0"), (archive.seal(), archive.series("1.2.3.1.0"))[1]):
            found = sorted((each.sop_instance_uid, each.version) for each in series.all_versions)
            assert found == sorted((f"1.2.3.0.{uid + 1}", version) for uid in range(UIDS) for version in (1, 2, 3))


def test_of_equal_objects_one_is_stored_and_the_others_are_duplicates(tmp_path: Path) -> None:
    assert statuses(tmp_path / "archive", same=True) == [["duplicate", "duplicate", "stored"]] * UIDS
    assert count_objects(tmp_path / "archive") == {name_of(make_object(0, uid)): 1 for uid in range(UIDS)}
