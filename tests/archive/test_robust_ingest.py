"""One bad file, folder or record costs only itself, and is named."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import pacscore
from pacscore.archive.candidates import FileSource, look_at
from pacscore.archive.walking import files_below
from pacscore.errors import AmbiguousError, InputError
from pacscore.settings import Settings


def _copy(data: Path, folder: Path, *names: str) -> list[Path]:
    for name in names:
        shutil.copytree(data / "series" / name, folder / name)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_links_pipes_and_broken_things_are_named_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"x")
    (tmp_path / "folder-link").symlink_to(tmp_path / "real")
    (tmp_path / "nothing").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    left_out: dict[str, str] = {}
    found = list(
        files_below((tmp_path, tmp_path / "pipe"), leave_out=lambda path, reason: left_out.update({path.name: reason}))
    )
    assert [path.name for path in found] == ["file"]
    assert set(left_out) == {"folder-link", "nothing", "pipe"}


def test_an_unreadable_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    files = _copy(data, tmp_path / "in", "mr-hitachi-4")
    (tmp_path / "in" / "locked").mkdir()
    scan = os.scandir

    def refuse(path: object) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refuse)
    with pacscore.create(tmp_path / "archive") as archive:
        report = archive.ingest(tmp_path / "in")
    assert report.stored == len(files)
    assert [Path(entry.path).name for entry in report.unreadable] == ["locked"]


def test_a_file_that_goes_away_while_it_is_ingested_does_not_take_the_others_along(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = _copy(data, tmp_path / "in", "sts003-pet", "mr-hitachi-4")
    victim = files[0]
    read = FileSource.read

    def read_and_lose(self: FileSource) -> bytes:
        victim.unlink(missing_ok=True)
        return read(self)

    monkeypatch.setattr(FileSource, "read", read_and_lose)
    with pacscore.create(tmp_path / "archive") as archive:
        report = archive.ingest(tmp_path / "in")
        assert report.stored == len(files) - 1
        assert [entry.path for entry in report.unreadable] == [str(victim)]
        assert archive.verify().findings == ()


def test_a_file_out_of_reach_is_no_reason_to_stop(tmp_path: Path) -> None:
    look = look_at(tmp_path / "gone", Settings())
    assert look.outcome.value == "unreadable"


def test_receive_refuses_what_is_no_object_by_name(tmp_path: Path) -> None:
    with pacscore.create(tmp_path / "archive") as archive:
        for wrong in ("scan.dcm", ["a"], None, 3):
            with pytest.raises(InputError, match="bytes"):
                archive.receive(wrong)  # type: ignore[arg-type]
        assert archive.receive(b"junk").status == "quarantined"


def test_a_closed_archive_says_so(tmp_path: Path) -> None:
    archive = pacscore.create(tmp_path / "archive")
    archive.close()
    for use in (lambda: list(archive.find("series")), lambda: archive.receive(b""), lambda: archive.ingest(tmp_path)):
        with pytest.raises(InputError, match="closed"):
            use()


def test_export_takes_only_the_instance_that_was_named(data: Path, tmp_path: Path) -> None:
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(data / "series" / "mr-hitachi-4")
        wanted = archive.series(next(archive.find("series"))["SeriesInstanceUID"]).instances[2]
        report = archive.export(tmp_path / "out", SOPInstanceUID=wanted.sop_instance_uid)
        assert report.objects == 1
        assert Path(report.files[0]).read_bytes() == wanted.bytes()


def test_the_same_instance_in_two_studies_is_ambiguous(data: Path, tmp_path: Path) -> None:
    original = sorted((data / "series" / "mr-hitachi-4").iterdir())[0].read_bytes()
    import pydicom

    source = pydicom.dcmread(sorted((data / "series" / "mr-hitachi-4").iterdir())[0])
    uid = str(source.StudyInstanceUID)
    other = original.replace(uid.encode(), uid[:-1].encode() + (b"1" if uid[-1] != "1" else b"2"))
    with pacscore.create(tmp_path / "archive") as archive:
        archive.receive(original)
        archive.receive(other)
        with pytest.raises(AmbiguousError, match="study"):
            archive.instance(str(source.SOPInstanceUID))
        assert archive.instance(str(source.SOPInstanceUID), study=uid).bytes() == original


def test_a_damaged_journal_record_keeps_neither_others_nor_queries_waiting(data: Path, tmp_path: Path) -> None:
    with pacscore.create(tmp_path / "archive") as archive:
        for path in sorted((data / "series" / "mr-hitachi-4").iterdir()):
            archive.receive(path.read_bytes())
        damaged = archive.receive(sorted((data / "series" / "mr-rgb-4").iterdir())[0].read_bytes())
        for path in sorted((data / "series" / "sts003-pet").iterdir())[:5]:
            archive.receive(path.read_bytes())
    files = [path for path in (tmp_path / "archive" / "journal").rglob("*") if path.is_file()]
    segment = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(segment.read_bytes())
    place = content.index(damaged.sop_instance_uid.encode())
    content[place + 2000] ^= 0xFF
    segment.write_bytes(bytes(content))
    with pacscore.open(tmp_path / "archive") as archive:
        assert len(list(archive.find("series", geometry=""))) == 3
        archive.seal()
        assert archive.stats()["received"] == 1
        assert {finding.code for finding in archive.verify().findings} == {"journal"}
        assert archive.series(next(archive.find("series", Modality="PT"))["SeriesInstanceUID"]).volume().shape[0] == 5
