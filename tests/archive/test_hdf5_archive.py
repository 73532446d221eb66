"""An archive whose every series is in the format hdf5: packs, single files, rebuilding, exports."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import pacscore
from pacscore.cli.app import app

pytest.importorskip("h5py", reason="h5py comes with the extra 'hdf5' (until 2027-12-31)")


def test_an_archive_in_hdf5_answers_as_the_default_and_is_rebuilt(data: Path, tmp_path: Path) -> None:
    folders = [data / "series" / name for name in ("ct-increment-ge-4", "sts003-pet", "mr-t1-rle-4", "mr-hitachi-4")]
    with (
        pacscore.create(tmp_path / "default") as default,
        pacscore.create(tmp_path / "hdf5", strategy="hdf5") as archive,
    ):
        default.ingest(*folders)
        archive.ingest(*folders)
        archive.rebuild()
        assert archive.verify().findings == ()
        rows = list(archive.find("series"))
        assert len(rows) == len(list(default.find("series"))) == 4
        assert any("packs" in archive.series(row["SeriesInstanceUID"]).generation for row in rows)
        for row in rows:
            one, other = (each.series(row["SeriesInstanceUID"]) for each in (archive, default))
            assert [each.bytes() for each in one.instances] == [each.bytes() for each in other.instances]
            assert np.array_equal(one.volume().array(), other.volume().array())


def test_series_move_between_formats_while_others_read_them(data: Path, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with pacscore.create(root) as archive:
        archive.ingest(data / "series" / "ct-increment-ge-4")
        uid = next(archive.find("series"))["SeriesInstanceUID"]
        expected = archive.series(uid).volume().array()
    holding = pacscore.open(root, read_only=True)
    held = holding.series(uid).volume()
    formats, failures = set(), []
    done = threading.Event()

    def read() -> None:
        try:
            with pacscore.open(root, read_only=True) as reading:
                while not done.is_set():
                    series = reading.series(uid)
                    assert np.array_equal(series.volume().array(), expected)
                    formats.add(series.as_dict()["strategy"])
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for strategy in ("hdf5", "part10", "gradient", "frames@hdf5", "balanced"):
            shown = CliRunner().invoke(app, ["reseal", str(root), "Modality=CT", "--strategy", strategy, "--json"])
            assert shown.exit_code == 0, shown.output
            assert json.loads(shown.output)["series"] == 1
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert failures == []
    assert len(formats) > 1
    assert np.array_equal(held.array(), expected)
    holding.close()
    with pacscore.open(root) as archive:
        assert archive.series(uid).as_dict()["strategy"] == "balanced"
        assert archive.verify().findings == ()
