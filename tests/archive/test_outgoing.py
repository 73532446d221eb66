"""What goes out, piece by piece, is what came: promise 2, on the way that never joins nor decodes a chunk twice."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import pytest

import pacscore
from pacscore.archive import outgoing
from pacscore.archive.outgoing import Outgoing, cut_runs, read_data_set, read_run
from pacscore.errors import DamagedError

SERIES = ("mr-t1-jpegls-4", "mr-rgb-4", "mr-enhanced-b0-philips", "ct-liver-23x38x3-seg", "sts003-pet-rtstruct")


def _packaged(name: str) -> Path:
    return Path(str(files("pacscore") / "data" / "sts003" / name))


def _check_all(archive: pacscore.Archive) -> int:
    count = 0
    for row in archive.find("series"):
        instances = archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"]).all_versions
        runs = cut_runs(instances)
        assert [each.ordinal for run in runs for each in run] == [each.ordinal for each in instances]
        for run in runs:
            for instance, found in zip(run, read_run(run), strict=True):
                assert isinstance(found, Outgoing)
                data = found.joined()
                assert found.length == len(data)
                assert hashlib.sha256(data).hexdigest() == instance.sha256
                count += 1
    return count


@pytest.mark.parametrize("run_bytes", [16 << 20, 1 << 20, 20_000])
def test_promise_2_every_kind_of_object_goes_out_as_it_came(
    tmp_path: Path, data: Path, run_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "RUN_BYTES", run_bytes)
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(_packaged("pet"), *(data / "series" / name for name in SERIES))
        for path in sorted(_packaged("ct").iterdir())[:3]:
            archive.receive(path.read_bytes())
        assert _check_all(archive) > 60


def test_promise_2_plain_files_go_out_as_they_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pacscore.create(tmp_path / "archive", strategy="part10") as archive:
        archive.ingest(_packaged("pet"))
        assert _check_all(archive) > 40
        monkeypatch.setattr(outgoing, "RUN_BYTES", 5000)
        assert _check_all(archive) > 40


def test_consecutive_slices_are_one_run_that_ends_with_its_chunks(tmp_path: Path) -> None:
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(_packaged("pet"))
        (row,) = archive.find("series")
        runs = cut_runs(archive.series(row["SeriesInstanceUID"]).instances)
        step = archive.series(row["SeriesInstanceUID"]).array_source().chunk_shape[0]
        assert [len(run) for run in runs[:-1]] == [step] * (len(runs) - 1)


@pytest.mark.parametrize("run_bytes", [16 << 20, 20_000])
def test_a_damaged_chunk_never_goes_out_as_a_whole_object(
    tmp_path: Path, run_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "RUN_BYTES", run_bytes)
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(_packaged("pet"))
        (row,) = archive.find("series")
        (path,) = (tmp_path / "archive").glob("series/*/*/*.zip")
        raw = bytearray(path.read_bytes())
        offset, length = archive.series(row["SeriesInstanceUID"])._opened.array_source(0).index[1].tolist()
        raw[offset + length // 2] ^= 0xFF
        path.chmod(0o644)
        path.write_bytes(raw)
    with pacscore.open(tmp_path / "archive", read_only=True) as archive:
        series = archive.series(row["SeriesInstanceUID"])
        bad = whole = 0
        for run in cut_runs(series.instances):
            for instance, found in zip(run, read_run(run), strict=True):
                try:
                    if isinstance(found, DamagedError):
                        raise found
                    assert isinstance(found, Outgoing)
                    assert hashlib.sha256(found.joined()).hexdigest() == instance.sha256
                    whole += 1
                except DamagedError:
                    bad += 1
        assert bad
        assert whole
        with pytest.raises(DamagedError):
            b"".join(read_data_set(each).joined() for each in series.instances)
