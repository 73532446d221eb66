"""The folder of an archive, and selections as plain values."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import pacscore
from pacscore.errors import FormatVersionError, InputError, NotFoundError, ReadOnlyError, UnsupportedError


@pytest.fixture(scope="module")
def archive_folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layout") / "archive"
    with pacscore.create(folder) as archive:
        archive.ingest(data / "series" / "sts003-pet", data / "series" / "mr-hitachi-4", data / "series" / "mr-rgb-4")
    return folder


def test_a_newer_format_is_refused_with_the_version_it_needs(archive_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(archive_folder, tmp_path / "newer")
    identity = tmp_path / "newer" / "pacscore.toml"
    identity.write_text(identity.read_text().replace("format = 1", "format = 7"))
    with pytest.raises(FormatVersionError, match=r"format 7.*a newer one"):
        pacscore.open(tmp_path / "newer")


def test_an_unreadable_identity_is_an_operators_matter(tmp_path: Path) -> None:
    (tmp_path / "pacscore.toml").write_text("format = ")
    with pytest.raises(FormatVersionError, match="restore"):
        pacscore.open(tmp_path)


def test_a_folder_that_holds_something_is_not_made_an_archive(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(InputError, match="not empty"):
        pacscore.create(tmp_path)
    with pytest.raises(NotFoundError):
        pacscore.open(tmp_path)


def test_windows_is_refused_for_writing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(UnsupportedError, match="Linux or macOS"):
        pacscore.create(tmp_path / "a")


def test_a_reader_writes_nothing_and_cannot_change_anything(archive_folder: Path, data: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in archive_folder.rglob("*")}
    with pacscore.open(archive_folder, read_only=True) as archive:
        assert len(list(archive.find("series"))) == 3
        archive.series(next(archive.find("series", Modality="PT"))["SeriesInstanceUID"]).volume().array()
        with pytest.raises(ReadOnlyError):
            archive.ingest(data / "series" / "sts003-ct")
        with pytest.raises(ReadOnlyError):
            archive.receive(b"")
    after = {path: path.stat().st_mtime_ns for path in archive_folder.rglob("*")}
    # SQLite's shared memory beside the catalog is no part of the archive and goes with its last reader.
    ours = {path for path in before | after if "catalog.sqlite-" not in path.name}
    assert {path: before.get(path) for path in ours} == {path: after.get(path) for path in ours}


def test_promise_5_a_lost_catalog_comes_back_by_itself(archive_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(archive_folder, tmp_path / "copy")
    with pacscore.open(tmp_path / "copy", read_only=True) as archive:
        expected = list(archive.find("series", geometry=""))
    for path in (tmp_path / "copy").glob("catalog.sqlite*"):
        path.unlink()
    with pacscore.open(tmp_path / "copy", read_only=True) as archive:  # A private one, without writing.
        assert list(archive.find("series", geometry="")) == expected
    assert not list((tmp_path / "copy").glob("catalog.sqlite*"))
    with pacscore.open(tmp_path / "copy") as archive:
        assert list(archive.find("series", geometry="")) == expected
        assert archive.verify().findings == ()


def test_folder_names_come_from_keys_never_from_uids(archive_folder: Path) -> None:
    with pacscore.open(archive_folder, read_only=True) as archive:
        uids = [row["SeriesInstanceUID"] for row in archive.find("series")]
    names = " ".join(path.name for path in archive_folder.rglob("*"))
    assert not any(uid in names for uid in uids)


def test_a_selection_is_a_value_that_can_be_saved_sampled_and_split(archive_folder: Path, tmp_path: Path) -> None:
    with pacscore.open(archive_folder, read_only=True) as archive:
        selection = archive.select()
        assert len(selection) == 3
        assert len(archive.select(Modality="PT")) == 1
        selection.save(tmp_path / "selection.json")
        assert pacscore.Selection.load(tmp_path / "selection.json") == selection
        assert len(selection[:2]) == 2
        assert selection.sample(2, seed=1) == selection.sample(2, seed=1)
        parts = selection.split(train=0.5, test=0.5, seed=3)
        patients = [{item.patient_id for item in part} for part in parts.values()]
        assert not patients[0] & patients[1]
        assert sum(map(len, parts.values())) == 3
        with pytest.raises(InputError):
            selection.split(train=0.5, seed=3)
        with pytest.raises(InputError):
            archive.select("instance")


def test_events_tell_what_was_committed_and_go_on_from_a_position(archive_folder: Path) -> None:
    with pacscore.open(archive_folder, read_only=True) as archive:
        events = list(archive.events())
        assert {event["kind"] for event in events} == {"commit"}
        named = {part["series_instance_uid"] for event in events for part in event["series"]}
        assert named == {row["SeriesInstanceUID"] for row in archive.find("series")}
        assert list(archive.events(after=events[-1]["position"])) == []
        assert len(list(archive.events(after=events[0]["position"]))) == len(events) - 1
        with pytest.raises(InputError):
            list(archive.events(after="tomorrow"))


def test_events_tell_what_was_received_until_it_is_laid_out(data: Path, tmp_path: Path) -> None:
    files = sorted((data / "series" / "mr-hitachi-4").iterdir())
    with pacscore.create(tmp_path / "archive") as archive:
        receipts = [archive.receive(path.read_bytes()) for path in files[:3]]
        events = list(archive.events())
        assert [event["kind"] for event in events] == ["received"] * 3
        assert [event["sop_instance_uid"] for event in events] == [receipt.sop_instance_uid for receipt in receipts]
        (last,) = archive.events(after=events[1]["position"])
        assert last["sop_instance_uid"] == receipts[2].sop_instance_uid
        archive.seal()
        late = archive.receive(files[3].read_bytes())
        after_sealing = list(archive.events(after=last["position"]))
        assert [event["kind"] for event in after_sealing] == ["commit", "received"]
        assert after_sealing[1]["sop_instance_uid"] == late.sop_instance_uid
        archive.rebuild()
        assert list(archive.events(after=after_sealing[0]["position"])) == after_sealing[1:]
