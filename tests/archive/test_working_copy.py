"""Working copies: a cache of decoded frames that changes speed and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

import pacscore


def test_a_working_copy_reads_as_the_compressed_original_and_can_be_deleted(data: Path, tmp_path: Path) -> None:
    folders = [data / "series" / name for name in ("mr-t1-rle-4", "mr-mosaic-j2k-siemens")]
    with (
        pacscore.create(tmp_path / "plain") as plain,
        pacscore.create(tmp_path / "copied", strategy="decoded") as copied,
    ):
        plain.ingest(*folders)
        copied.ingest(*folders)
        copies = list((copied.root / "cache").iterdir())
        assert len(copies) == 2
        for row in plain.find("series"):
            uid = row["SeriesInstanceUID"]
            expected = plain.series(uid).volume().array()
            assert type(copied.series(uid).array_source()).__name__ == "StoredArray"
            assert np.array_equal(copied.series(uid).volume().array(), expected)
            assert [each.bytes() for each in copied.series(uid).instances] == [
                each.bytes() for each in plain.series(uid).instances
            ]
        shutil.rmtree(copied.root / "cache")
        for row in plain.find("series"):
            uid = row["SeriesInstanceUID"]
            assert np.array_equal(copied.series(uid).volume().array(), plain.series(uid).volume().array())
        assert copied.verify().findings == ()


def test_a_damaged_working_copy_is_not_used(data: Path, tmp_path: Path) -> None:
    with pacscore.create(tmp_path / "archive", strategy="decoded") as archive:
        archive.ingest(data / "series" / "mr-t1-jpegls-4")
        uid = next(archive.find("series"))["SeriesInstanceUID"]
        expected = archive.series(uid).volume().array()
        (copy,) = (archive.root / "cache").iterdir()
        copy.write_bytes(copy.read_bytes()[:-100])
        assert np.array_equal(archive.series(uid).volume().array(), expected)


def test_a_changed_strategy_makes_a_new_generation_and_changes_no_answer(data: Path, tmp_path: Path) -> None:
    folders = [data / "series" / name for name in ("ct-increment-ge-4", "sts003-pet", "mr-t1-rle-4")]
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(*folders)
        opened = [archive.series(row["SeriesInstanceUID"]) for row in archive.find("series")]
        arrays = [series.volume().array() for series in opened]
        for strategy in ("frames", "hdf5", "part10", "gradient", "hdf5", "archive", "decoded"):
            report = archive.reseal(strategy)
            assert report.series == 3
            for before, array in zip(opened, arrays, strict=True):
                now = archive.series(before.series_instance_uid)
                assert now.generation != before.generation
                assert now.as_dict()["strategy"] == strategy
                assert np.array_equal(now.volume().array(), array)
                assert np.array_equal(before.volume().array(), array)
                assert [each.bytes() for each in now.instances] == [each.bytes() for each in before.instances]
        assert archive.reseal("balanced", Modality="PT").series == 1
        assert archive.verify().findings == ()
