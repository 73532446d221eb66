"""An archive whose every series is in the format hdf5: packs, single files, rebuilding, exports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pacscore

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
