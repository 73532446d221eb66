"""The programs of examples/ and of docs/bulk.md, run on real images and checked against plain NumPy and SciPy."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import zarr
from PIL import Image
from typer.testing import CliRunner

import pacscore
from pacscore.cli.app import app

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images that come with the package: CT, MR and PET of one patient."""
    folder = tmp_path_factory.mktemp("examples") / "archive"
    with pacscore.create(folder) as archive:
        archive.ingest(Path(pacscore.__file__).parent / "data" / "sts003")
    return folder


def main_of(name: str) -> Any:
    return runpy.run_path(str(EXAMPLES / name))["main"]


def test_body_volumes_become_a_table(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    monkeypatch.chdir(EXAMPLES)
    words = ["map", demo, "Modality=CT", "--function", "body_volume:body_volume", "--out", tmp_path / "run"]
    made = CliRunner().invoke(app, [str(word) for word in words])
    assert made.exit_code == 0, made.output
    (row,) = pyarrow.parquet.read_table(tmp_path / "run" / "values.parquet").to_pylist()
    with pacscore.open(demo, read_only=True) as archive:
        volume = archive.series(row["SeriesInstanceUID"]).volume()
        values, voxel = volume.modality(), abs(np.linalg.det(volume.index_to_lps[:3, :3]))
    labels, _ = ndimage.label(values >= -300, np.ones((3, 3, 3)))
    body = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    assert row["litres"] == pytest.approx(body.sum() * voxel / 1e6, abs=1e-4)
    assert row["mean_hu"] == pytest.approx(values[body].mean(dtype=np.float64), abs=0.01)


def test_thumbnails_are_indexed_by_series(demo: Path, tmp_path: Path) -> None:
    main_of("thumbnails.py")(str(demo), str(tmp_path / "run"))
    index = json.loads((tmp_path / "run" / "index.json").read_text())
    with pacscore.open(demo, read_only=True) as archive:
        for uid, name in index.items():
            volume = archive.series(uid).volume()
            wanted = volume.frame(len(volume) // 2).picture(size=(128, 128))
            with Image.open(tmp_path / "run" / "results" / name) as picture:
                np.testing.assert_array_equal(np.asarray(picture), np.asarray(wanted))
        assert len(index) == len(list(archive.find("series")))


def test_a_training_set_is_normalised_and_isotropic(demo: Path, tmp_path: Path) -> None:
    main_of("training_set.py")(str(demo), str(tmp_path / "set"), "Modality=MR")
    found = sorted((tmp_path / "set").glob("*/results/*.zarr"))
    assert len(found) == 1, "one patient lies in one part"
    array = zarr.open_array(found[0])
    about = array.attrs["pacscore"]
    assert about["spacing_mm"] == [2.0, 2.0, 2.0]
    np.testing.assert_allclose(np.linalg.norm(np.array(about["index_to_lps"])[:3, :3], axis=0), 2.0)
    with pacscore.open(demo, read_only=True) as archive:
        plain = archive.series(about["series_instance_uid"]).volume().resample(2.0).modality()
    clipped = np.clip(plain, *np.percentile(plain, [1, 99]))
    wanted = (clipped - clipped.mean(dtype=np.float64)) / clipped.std(dtype=np.float64)
    np.testing.assert_allclose(array[...], wanted, atol=0.02)
    assert abs(float(array[...].mean())) < 1e-4
