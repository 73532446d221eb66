"""Each command as a user runs it: text, JSON, exit codes, wrong input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pacscore.cli.app import app

COMMANDS = [
    "demo",
    "create",
    "ingest",
    "seal",
    "find",
    "show",
    "render",
    "export",
    "verify",
    "stats",
    "rebuild",
    "warm",
]


def pacscore(*words: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pacscore", *map(str, words)],
        capture_output=True, text=True, check=False, cwd=folder, env=os.environ | {"COLUMNS": "160"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def archive(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "archive"
    assert pacscore("create", folder).returncode == 0
    made = pacscore("ingest", folder, data / "series" / "sts003-ct", data / "series" / "sts003-pet", "--json")
    assert made.returncode == 0, made.stderr
    report = json.loads(made.stdout)
    assert {"stored", "duplicates", "versions", "quarantined", "skipped", "bytes_in", "bytes_stored", "seconds"} <= set(
        report
    )
    assert report["stored"] == 102
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_with_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output


def test_find_prints_a_list_of_objects_by_keyword(archive: Path) -> None:
    result = pacscore("find", archive, "Modality=PT", "--json")
    (row,) = json.loads(result.stdout)
    assert row["Modality"] == "PT"
    assert row["geometry"] == "regular"
    assert row["NumberOfSeriesRelatedInstances"] == 51
    shown = pacscore("find", archive, "Modality=PT")
    assert row["SeriesInstanceUID"] in shown.stdout.replace("\n", "")


@pytest.mark.parametrize("level", ["patient", "study", "series", "instance"])
def test_find_answers_at_every_level(archive: Path, level: str) -> None:
    rows = json.loads(pacscore("find", archive, "--level", level, "--limit", "0", "--json").stdout)
    assert len(rows) == {"patient": 1, "study": 1, "series": 2, "instance": 102}[level]


def test_show_tells_stacks_of_a_series_and_attributes_of_an_instance(archive: Path) -> None:
    uid = json.loads(pacscore("find", archive, "Modality=CT", "--json").stdout)[0]["SeriesInstanceUID"]
    series = json.loads(pacscore("show", archive, uid, "--json").stdout)
    assert series["stacks"][0]["shape"] == [51, 158, 154]
    instance = json.loads(pacscore("find", archive, "Modality=CT", "--level", "instance", "--json").stdout)[0]
    attributes = json.loads(pacscore("show", archive, instance["SOPInstanceUID"], "--json").stdout)
    assert attributes["SOPInstanceUID"] == instance["SOPInstanceUID"]


@pytest.mark.parametrize("view", ["planes", "sheet", "axial", "coronal", "sagittal"])
def test_render_writes_a_picture(archive: Path, tmp_path: Path, view: str) -> None:
    from PIL import Image

    uid = json.loads(pacscore("find", archive, "Modality=CT", "--json").stdout)[0]["SeriesInstanceUID"]
    out = tmp_path / "pictures" / f"{view}.png"
    made = json.loads(pacscore("render", archive, uid, "--view", view, "--out", out, "--json").stdout)
    with Image.open(out) as picture:
        assert picture.size == (made["width"], made["height"])
        assert len(picture.convert("L").getcolors(1 << 16) or []) > 20


def test_verify_stats_rebuild_and_seal_have_json(archive: Path) -> None:
    assert json.loads(pacscore("verify", archive, "--json").stdout)["findings"] == []
    stats = json.loads(pacscore("stats", archive, "--json").stdout)
    assert (stats["series"], stats["instances"], stats["verdicts"]) == (2, 102, {"regular": 2})
    assert json.loads(pacscore("rebuild", archive, "--json").stdout)["instances"] == 102
    assert json.loads(pacscore("seal", archive, "--json").stdout)["objects"] == 0


def test_a_quarantined_file_makes_exit_code_1_and_skipped_ones_do_not(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    skipped = pacscore("ingest", folder, data / "not_dicom", "--create")
    assert skipped.returncode == 0
    assert "photo.jpg: not DICOM" in skipped.stdout
    broken = pacscore("ingest", folder, data / "broken" / "MR_truncated.dcm")
    assert broken.returncode == 1
    assert "MR_truncated.dcm" in broken.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["find", "nowhere"], "no archive there"),
        (["create", "."], "not empty"),
        (["create", "new", "--strategy", "cubes"], "balanced"),
        (["demo", "nowhere"], "no such file or folder"),
    ],
)
def test_misuse_says_what_is_wrong_without_a_traceback(tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "something").touch()
    result = pacscore(*words, folder=tmp_path)
    assert result.returncode in {1, 2}
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_query_key_that_is_none_is_named(archive: Path) -> None:
    result = pacscore("find", archive, "Modalitty=CT")
    assert result.returncode == 2
    assert "Modalitty" in result.stderr


def test_the_demo_leaves_nothing_outside_its_folder(tmp_path: Path) -> None:
    result = pacscore("demo", "--out", "look", "--json", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    story = json.loads(result.stdout)
    assert story["proven"] == story["objects"] > 100
    assert [path.name for path in tmp_path.iterdir()] == ["look"]
    assert sorted(path.name for path in (tmp_path / "look").iterdir()) == [
        "archive", "contact-sheet.png", "export", "three-planes.png",
    ]  # fmt: skip
