"""The programs of examples/ about exports, run on the images that come along."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pyarrow.dataset
import pytest

import pacscore

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export-examples") / "archive"
    with pacscore.create(folder) as archive:
        archive.ingest(Path(pacscore.__file__).parent / "data" / "sts003")
    return folder


def _names(example: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / example))


def test_a_training_set_of_one_spacing(demo: Path, tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, EXAMPLES / "export_for_nnunet.py", demo, tmp_path / "set", "Modality=CT", "4.0"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert made.stdout == "1 cases\n"
    (case,) = (tmp_path / "set" / "imagesTr").glob("case_*_0000.nii.gz")
    image = nibabel.load(case)
    np.testing.assert_allclose(image.header.get_zooms(), 4.0, rtol=1e-5)
    with pacscore.open(demo, read_only=True) as archive:
        (row,) = archive.find("series", Modality="CT")
        volume = archive.series(row["SeriesInstanceUID"]).volume()
        mean = float(volume.modality().mean())
    # The same body: its middle stays where it was, and so does its mean.
    ends = np.array([[(n - 1) / 2 for n in image.shape] + [1]]) @ image.affine.T
    middle = np.array([*((np.array(volume.shape) - 1) / 2), 1]) @ volume.index_to_lps.T
    np.testing.assert_allclose(ends[0, :3], middle[:3] * [-1, -1, 1], atol=0.01)
    assert image.get_fdata().mean() == pytest.approx(mean, abs=20)
    assert json.loads((tmp_path / "set" / "dataset.json").read_text())["numTraining"] == 1


def test_patches_of_an_epoch_repeat(demo: Path) -> None:
    epoch_means = _names("random_patches.py")["epoch_means"]
    first = epoch_means(str(demo))
    assert first == epoch_means(str(demo))
    assert first != epoch_means(str(demo), epoch=1)
    assert -1024 < first[0] < 200


def test_a_nightly_report_writes_what_changed(demo: Path, tmp_path: Path) -> None:
    report = _names("archive_report.py")["report"]
    assert report(demo, tmp_path / "out") == "3 series written, 0 gone"
    assert report(demo, tmp_path / "out") == "0 series changed, 0 gone"
    assert pyarrow.dataset.dataset(tmp_path / "out/tables/series").count_rows() == 3
    assert "<svg" in (tmp_path / "out/statistics.html").read_text("utf-8")
