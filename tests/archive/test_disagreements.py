"""Where event log, storage and catalog do not say the same, verify says so, and rebuild mends what can be mended."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from archive_under_stress import SETTINGS, make_object, opened, write_folder

from pacscore.archive.archive import Archive
from pacscore.archive.commits import Commit, series_row
from pacscore.filesystem import LocalFileSystem

LOCAL = LocalFileSystem()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One series of its own, two in a pack, one object waiting."""
    with Archive.create(tmp_path / "archive", settings=SETTINGS) as archive:
        archive.ingest(
            write_folder(tmp_path / "files", make_object(5, 0, size=48), make_object(6, 0), make_object(7, 0))
        )
        archive.receive(make_object(8, 0))
        assert not archive.verify().findings
    return tmp_path / "archive"


def findings(root: Path) -> list[tuple[str, str]]:
    with opened(root, LOCAL) as archive:
        return [(finding.code, finding.message) for finding in archive.verify().findings]


def later(root: Path, change: Callable[[Archive], object]) -> set[Path]:
    """Do something in a copy of the archive, and bring the files that came of it into the archive itself."""
    copy = root.with_name("copy")
    shutil.copytree(root, copy)
    with opened(copy, LOCAL) as archive:
        change(archive)
    brought = set()
    for path in copy.rglob("*.zip"):
        target = root / path.relative_to(copy)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            brought.add(target)
    shutil.rmtree(copy)
    return brought


def test_a_published_file_without_an_event_is_named_and_taken_in_by_rebuild(root: Path) -> None:
    def receive_and_seal(archive: Archive) -> None:
        archive.receive(make_object(9, 0, size=48))
        archive.seal()

    (first, second) = sorted(later(root, receive_and_seal))
    found = findings(root)
    assert sorted(code for code, _ in found) == ["file", "file"]
    assert {str(first.relative_to(root)), str(second.relative_to(root))} == {text.split()[0] for _, text in found}
    with opened(root, LOCAL) as archive:
        archive.rebuild()
        assert not archive.verify().findings
        assert archive.instance("1.2.3.9.1").bytes() == make_object(9, 0, size=48)
        assert archive.instance("1.2.3.8.1").bytes() == make_object(8, 0)
        assert archive.stats()["received"] == 0
        digest = archive._session.catalog.digest()
        archive.rebuild()
        assert archive._session.catalog.digest() == digest


def test_generations_that_follow_each_other_without_events_are_taken_in_in_their_order(root: Path) -> None:
    def seal_twice(archive: Archive) -> None:
        for number in (1, 2):
            archive.receive(make_object(5, number, size=48))
            archive.seal()

    later(root, seal_twice)
    assert {code for code, _ in findings(root)} == {"file"}
    with opened(root, LOCAL) as archive:
        archive.rebuild()
        assert not archive.verify().findings
        assert archive.series("1.2.3.6.0").volume().shape[0] == 3
        parents = [event["series"][0]["parent"] for event in archive.events() if event["kind"] == "commit"]
        assert parents[-1] is not None


def test_a_file_that_does_not_follow_the_head_gives_its_objects_and_is_discarded(root: Path) -> None:
    brought = later(root, lambda archive: archive.reseal("frames", SeriesInstanceUID="1.2.3.6.0"))
    with opened(root, LOCAL) as archive:
        archive.receive(make_object(5, 1, size=48))
        archive.seal()
        archive.rebuild()
        assert not archive.verify().findings
        assert archive.series("1.2.3.6.0").volume().shape[0] == 2
    assert not any(path.exists() for path in brought)
    assert [path.name for path in (root / "staging").iterdir()] == ["lock"]


def test_a_damaged_file_without_an_event_goes_to_quarantine(root: Path) -> None:
    (copy,) = later(root, lambda archive: archive.reseal("frames", SeriesInstanceUID="1.2.3.6.0"))
    content = bytearray(copy.read_bytes())
    content[len(content) // 3] ^= 1
    copy.write_bytes(content)
    with opened(root, LOCAL) as archive:
        archive.rebuild()
        assert not archive.verify().findings
    assert not copy.exists()
    assert len(list((root / "quarantine").glob("*.json"))) == 1


def test_a_superseded_file_that_went_without_an_event_is_named(root: Path) -> None:
    with opened(root, LOCAL) as archive:
        gone = archive.series("1.2.3.6.0").generation
        archive.receive(make_object(5, 1, size=48))
        archive.seal()
        assert not archive.verify().findings
    (root / gone).unlink()
    ((code, message),) = findings(root)
    assert (code, message.split()[0]) == ("file", gone)
    with opened(root, LOCAL) as archive:  # All it held is in the head: nothing else is lost.
        archive.rebuild()
        assert archive.instance("1.2.3.5.1").bytes() == make_object(5, 0, size=48)


def test_catalog_rows_that_no_event_or_record_stands_behind_are_named(root: Path) -> None:
    with opened(root, LOCAL) as archive:
        catalog = archive._session.catalog
        stored = archive.series("1.2.3.6.0")
        generation = archive._session.open_generation(stored.generation)
        row, columns = series_row(generation, Commit("f" * 32, stored.generation, "", None))
        catalog.put_series([(replace(row, series_instance_uid="1.2.77"), columns)])
        (waiting,) = catalog.received(archive.series("1.2.3.9.0").key)
        catalog.put_received([waiting._replace(position="01:999:64:128", sop_instance_uid="1.2.78")])
        found = archive.verify().findings
        assert [finding.code for finding in found] == ["catalog", "catalog"]
        assert "f" * 32 in found[0].message
        assert "01:999:64:128" in found[1].message
        archive.rebuild()
        assert not archive.verify().findings


def test_a_catalog_is_rebuilt_though_what_a_later_generation_replaced_is_damaged(root: Path) -> None:
    with opened(root, LOCAL) as archive:
        old = root / archive.series("1.2.3.6.0").generation
        archive.receive(make_object(5, 1, size=48))
        archive.seal()
        digest = archive._session.catalog.digest()
    old.write_bytes(old.read_bytes()[:-50])
    with opened(root, LOCAL) as archive:
        archive.rebuild()
        assert archive._session.catalog.digest() == digest
        assert archive.instance("1.2.3.5.1").bytes() == make_object(5, 0, size=48)
