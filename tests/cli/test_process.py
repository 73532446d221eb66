"""pacscore process: a pipeline over a stored series, stored again or written to a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from running import pacscore, pacscore_process

import pacscore as core

MEDIAN = '[[step]]\nname = "median"\nsize = 3\n'


@pytest.fixture(scope="module")
def archive(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("process") / "archive"
    assert pacscore("ingest", folder, data / "series" / "sts003-ct", "--create").returncode == 0
    return folder


@pytest.fixture
def median(tmp_path: Path) -> Path:
    path = tmp_path / "median.toml"
    path.write_text(MEDIAN, "utf-8")
    return path


def ct_of(folder: Path) -> str:
    rows = json.loads(pacscore("find", folder, "Modality=CT", "--json").stdout)
    return min(rows, key=lambda row: row.get("SeriesNumber") or 0)["SeriesInstanceUID"]


def test_a_processed_series_is_stored_beside_its_source(archive: Path, median: Path) -> None:
    uid = ct_of(archive)
    made = pacscore_process("process", archive, uid, "--pipeline", median, "--description", "Median 3", "--json")
    assert made.returncode == 0, made.stderr
    report = json.loads(made.stdout)
    assert (report["source"], report["out"], report["steps"]) == (
        uid, "", [{"name": "median", "size": 3, "planar": False}],
    )  # fmt: skip
    with core.open(archive, read_only=True) as opened:
        source, stored = opened.series(uid), opened.series(report["series"])
        assert stored.study_instance_uid == source.study_instance_uid
        assert stored.document["SeriesDescription"] == "Median 3"
        np.testing.assert_array_equal(stored.volume().modality(), source.volume().enhance("median", size=3).modality())
        np.testing.assert_allclose(stored.volume().index_to_lps, source.volume().index_to_lps, atol=1e-4)
        assert "median 3" in str(stored.instances[0].dataset().DerivationDescription)
    assert pacscore("verify", archive).returncode == 0


def test_a_result_is_written_as_array_or_picture(archive: Path, median: Path, tmp_path: Path) -> None:
    from PIL import Image

    uid = ct_of(archive)
    for name in ("out/a.npy", "b.png", "c.jpg"):
        made = pacscore("process", archive, uid, "--pipeline", median, "--out", tmp_path / name)
        assert made.returncode == 0, made.stderr
        assert "median 3" in made.stdout
    with core.open(archive, read_only=True) as opened:
        wanted = opened.series(uid).volume().enhance("median", size=3).modality()
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "a.npy"), wanted)
    for name in ("b.png", "c.jpg"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 200


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("[[step]]\nname = 'blur'", [], "There is no step 'blur'"),
        ("[[step]]\nname = 'median'\nsise = 3", [], "no parameter 'sise': it takes size, planar"),
        (MEDIAN, ["--out", "result.tiff"], ".npy, .png"),
        (MEDIAN, ["--stack", "7"], "1 stacks, none of number 7"),
        (MEDIAN, ["--at", "time"], "AXIS=INDEX"),
        (MEDIAN, ["--at", "time=1"], "no axis 'time'"),
    ],
)
def test_misuse_is_said_in_a_sentence(
    archive: Path,
    tmp_path: Path,
    text: str,
    words: list[str],
    message: str,
) -> None:
    path = tmp_path / "steps.toml"
    path.write_text(text, "utf-8")
    result = pacscore("process", archive, ct_of(archive), "--pipeline", path, *words, folder=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_pipeline_that_is_not_there_is_misuse(archive: Path, tmp_path: Path) -> None:
    result = pacscore("process", archive, "1.2", "--pipeline", tmp_path / "none.toml")
    assert result.returncode == 2
    assert "does not exist" in result.stderr
