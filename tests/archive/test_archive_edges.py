"""What an archive says when its folder, its journal or its stored bytes are not as they should be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import pacscore
from pacscore.errors import ErrorCode, InputError


@pytest.fixture
def files(data: Path) -> list[Path]:
    return sorted((data / "series" / "sts003-pet").iterdir())


def _damage(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def test_a_newer_format_is_refused_with_the_version_it_needs_whatever_else_it_holds(tmp_path: Path) -> None:
    (tmp_path / "pacscore.toml").write_text('format = 99\ncreated_by = "pacscore 7.1"\nlayout = ["other"]\n')
    with pytest.raises(pacscore.PacscoreError, match=r"pacscore 7\.1") as refused:
        pacscore.open(tmp_path)
    assert refused.value.code is ErrorCode.FORMAT_VERSION
    assert refused.value.fields["found"] == 99


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"format = [1]\n", b"format = 1\n", b"format = "])
def test_an_identity_that_cannot_be_understood_is_said_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pacscore.toml").write_bytes(content)
    with pytest.raises(pacscore.PacscoreError, match="restore it from a backup"):
        pacscore.open(tmp_path)


def test_an_archive_is_not_made_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(pacscore.PacscoreError, match="a file of that name"):
        pacscore.create(tmp_path / "file")


def test_a_series_that_is_fetched_object_by_object_is_planned_once_until_more_comes(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pacscore.archive import series

    planned = []
    original = series.plan_series
    monkeypatch.setattr(series, "plan_series", lambda *args, **kw: planned.append(1) or original(*args, **kw))
    with pacscore.create(tmp_path / "archive") as archive:
        uids = [archive.receive(path.read_bytes()).sop_instance_uid for path in files[:6]]
        for uid, path in zip(uids, files, strict=False):
            assert archive.instance(uid).bytes() == path.read_bytes()
        assert len(planned) == 1
        late = archive.receive(files[6].read_bytes()).sop_instance_uid
        assert archive.instance(late).bytes() == files[6].read_bytes()
        assert len(archive.instance(uids[0]).series.instances) == 7
        assert len(planned) == 2
        archive.seal()
        assert archive.instance(late).bytes() == files[6].read_bytes()
        changed = bytearray(files[0].read_bytes())
        changed[-1] ^= 1
        archive.receive(bytes(changed))
        assert len(archive.instance(late).series.all_versions) == 8
    assert len(planned) == 3


def test_verify_counts_each_object_of_a_partly_sealed_series_once(files: list[Path], tmp_path: Path) -> None:
    changed = bytearray(files[10].read_bytes())
    changed[-1] ^= 1
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(*files[:10])
        archive.receive(files[10].read_bytes())
        archive.receive(bytes(changed))
        report = archive.verify()
        assert (report.objects, report.findings) == (12, ())


def test_verify_reports_a_damaged_record_instead_of_raising(files: list[Path], tmp_path: Path) -> None:
    with pacscore.create(tmp_path / "archive") as archive:
        archive.receive(files[0].read_bytes())
    (segment,) = (tmp_path / "archive" / "journal").rglob("*.log")
    _damage(segment, 3000)
    with pacscore.open(tmp_path / "archive", read_only=True) as archive:
        findings = archive.verify().findings
        assert {finding.code for finding in findings} == {"journal"}
        assert any(finding.series_instance_uid for finding in findings)


def test_a_damaged_object_leaves_no_empty_file_in_an_export(files: list[Path], tmp_path: Path) -> None:
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(*files[:5])
    for generation in (tmp_path / "archive").rglob("*.zip"):
        _damage(generation, generation.stat().st_size // 3)
    with pacscore.open(tmp_path / "archive", read_only=True) as archive:
        with pytest.raises(pacscore.DamagedError):
            archive.export(tmp_path / "out")
        assert all(path.stat().st_size for path in (tmp_path / "out").rglob("*.dcm"))


def test_what_was_opened_is_refused_once_its_archive_is_closed(data: Path, tmp_path: Path) -> None:
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(data / "series" / "mr-hitachi-4")
        (row,) = archive.find("series")
        series = archive.series(row["SeriesInstanceUID"])
        volume, instance = series.volume(), series.instances[0]
        volume.array()
    others = [os.open(path, os.O_RDONLY) for path in (data / "series" / "mr-hitachi-4").iterdir()]
    try:  # They have the numbers that the archive's files had.
        for use in (volume.array, instance.bytes, lambda: volume[0]):
            with pytest.raises(InputError, match="closed"):
                use()
    finally:
        for descriptor in others:
            os.close(descriptor)
