"""pacscore select and map, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import pacscore_process
from typer.testing import CliRunner, Result

import pacscore as core
from pacscore.cli.app import app
from pacscore.errors import InputError

FUNCTIONS = """
def volume_ml(volume, threshold=-300.0):
    inside = volume.modality() > threshold
    return {"ml": float(inside.sum()) * volume.statistics().voxel_mm3 / 1000}

def fail(volume):
    raise RuntimeError("not this one")
"""


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    (folder / "mine.py").write_text(FUNCTIONS)
    (folder / "steps.toml").write_text('[[step]]\nname = "resample"\nspacing_mm = 6.0\n')
    with core.create(folder / "archive") as archive:
        archive.ingest(data / "series" / "sts003-pet", data / "series" / "ct-liver-23x38x3")
    return folder


def run(*words: str | Path) -> Result:
    """Run the command line in this process: most of what a process of its own costs is its start."""
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_selection_is_written_sampled_and_split(folder: Path, tmp_path: Path) -> None:
    made = run("select", folder / "archive", "Modality=CT", "--out", tmp_path / "ct.json", "--json")
    assert json.loads(made.stdout) == [
        {"part": "", "file": str(tmp_path / "ct.json"), "series": 1, "patients": 1, "unsealed": 0}
    ]
    assert core.Selection.load(tmp_path / "ct.json")[0].generation
    split = run("select", folder / "archive", "--split", "a=.5,b=.5", "--out", tmp_path / "s.json", "--sample", "2")
    assert split.stdout.count("1 series of 1 patients") == 2
    assert len(core.Selection.load(tmp_path / "s-a.json")) == 1
    wrong = run("select", folder / "archive", "--split", "a=much", "--out", tmp_path / "s.json")
    assert isinstance(wrong.exception, InputError)
    assert "NAME=SHARE" in wrong.exception.message


def test_a_function_makes_a_table_and_a_second_run_resumes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet

    words = ["map", folder / "archive", "--function", "mine:volume_ml", "-p", "threshold=0", "--out", tmp_path / "run"]
    made = pacscore_process(*words, "--json", folder=folder)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["done"] == 2
    table = pyarrow.parquet.read_table(tmp_path / "run" / "values.parquet").to_pydict()
    assert all(value > 0 for value in table["ml"])
    again = pacscore_process(*words, folder=folder)
    assert (again.returncode, "--resume" in again.stderr) == (2, True)
    monkeypatch.chdir(folder)
    assert "2 of 2 series done, 2 done before" in run(*words, "--resume").stdout
    other = run(*words, "Modality=CT", "--resume")
    assert "was started with no KEY=VALUE" in str(other.exception)


def test_a_failed_item_is_listed_and_sets_the_exit_code(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    made = run("map", folder / "archive", "Modality=PT", "--function", "mine:fail", "--out", tmp_path / "run")
    assert made.exit_code == 1
    assert "RuntimeError: not this one" in made.stdout
    assert "Traceback" not in made.stderr


def test_a_pipeline_stores_derived_series(folder: Path, tmp_path: Path) -> None:
    words = ["map", folder / "archive", "Modality=PT", "--pipeline", folder / "steps.toml", "--volumes", "series"]
    made = run(*words, "--out", tmp_path / "run", "--json")
    assert made.exit_code == 0, made.stderr
    assert json.loads(made.stdout)["done"] == 1
    with core.open(folder / "archive", read_only=True) as archive:
        assert len(list(archive.find("series", Modality="PT"))) == 2
    gone_on = run(*words, "--out", tmp_path / "run", "--resume")  # The archive holds more by now.
    assert "1 of 1 series done, 1 done before" in gone_on.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--pipeline FILE.toml and --function"),
        (["--function", "mine"], "is not module:name"),
        (["--function", "mine:none"], "has no none"),
        (["--function", "nowhere:f"], "cannot be imported"),
        (["--function", "mine:fail", "--executor", "dask"], "--scheduler tcp://"),
        (["--function", "mine:fail", "-p", "x"], "NAME=VALUE"),
    ],
)
def test_misuse_is_said_in_a_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(folder)
    result = run("map", folder / "archive", *words, "--out", tmp_path / "run")
    assert isinstance(result.exception, InputError)
    assert message in result.exception.message
    assert not (tmp_path / "run").exists()
