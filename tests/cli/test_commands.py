"""Each command as a user runs it: text, JSON, exit codes, wrong input; each once or more in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import pacscore, pacscore_process
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
    "process",
    "export",
    "verify",
    "stats",
    "reseal",
    "rebuild",
    "warm",
    "select",
    "map",
]


@pytest.fixture(scope="module")
def archive(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "archive"
    assert pacscore_process("create", folder).returncode == 0
    made = pacscore_process("ingest", folder, data / "series" / "sts003-ct", data / "series" / "sts003-pet", "--json")
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
    result = pacscore_process("find", archive, "Modality=PT", "--json")
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
    series = json.loads(pacscore_process("show", archive, uid, "--json").stdout)
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


RAYS = [
    ("mip", "--direction", "left", "--markers"),
    ("minip", "--normal", "0.3,-1,0.2", "--up", "0,0,1", "--thickness", "15"),
    ("mean", "--axis", "coronal"),
    ("oblique", "--normal", "0.3,-1,0.2", "--up", "0,0,1"),
    ("slab", "--azimuth", "25", "--thickness", "12", "--center", "40", "--width", "400"),
    ("sum", "--azimuth", "45", "--elevation", "20", "--size", "64", "--step", "2"),
    ("volume", "--preset", "bone", "--azimuth", "30", "--size", "96"),
    ("volume", "--direction", "inferior", "--at", "0,0,0", "--size", "64"),
]


@pytest.mark.parametrize("words", RAYS, ids=lambda words: "-".join(words[:3]))
def test_render_looks_through_the_volume_from_any_side(archive: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    from PIL import Image

    uid = json.loads(pacscore("find", archive, "Modality=CT", "--json").stdout)[0]["SeriesInstanceUID"]
    out = tmp_path / "picture.png"
    run = pacscore("render", archive, uid, "--view", *words, "--out", out, "--json")
    assert run.returncode == 0, run.stderr
    made = json.loads(run.stdout)
    with Image.open(out) as picture:
        assert picture.size == (made["width"], made["height"])
    assert (made["pictures"], made["picture"]) == (1, str(out))
    assert made["seconds"] > 0


def test_render_makes_a_turntable(archive: Path, tmp_path: Path) -> None:
    from PIL import Image

    uid = json.loads(pacscore("find", archive, "Modality=PT", "--json").stdout)[0]["SeriesInstanceUID"]
    run = pacscore_process(
        "render", archive, uid, "--view", "turntable", "--count", "5", "--size", "48", "--seconds", "2", folder=tmp_path
    )
    assert run.returncode == 0, run.stderr
    assert "5 pictures of 48 × 48" in run.stdout
    with Image.open(tmp_path / "render.gif") as gif:
        assert (gif.n_frames, gif.info["duration"]) == (5, 400)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--view", "volume", "--index", "3"), "an index goes with axial"),
        (("--view", "mip", "--preset", "bone"), "a preset goes with volume, turntable"),
        (("--view", "sheet", "--direction", "left"), "a direction goes with oblique, slab, mip"),
        (("--view", "mip", "--direction", "below"), "no direction 'below'"),
        (("--view", "mip", "--direction", "1,2"), "three numbers"),
        (("--view", "mip", "--direction", "left", "--azimuth", "3"), "not both"),
        (("--view", "mip", "--axis", "axial", "--size", "50"), "axis goes with"),
        (("--view", "volume", "--preset", "liver"), "no preset 'liver'"),
        (("--view", "turntable", "--out", "turn.png"), "written as .gif"),
        (("--view", "planes", "--out", "planes.gif"), "written as .jpeg or .jpg or .png"),
        (("--view", "turntable", "--count", "0"), "1 to 3600"),
        (("--view", "surface"), "no view 'surface'"),
    ],
)
def test_what_a_view_does_not_know_is_misuse(archive: Path, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    uid = json.loads(pacscore("find", archive, "Modality=CT", "--json").stdout)[0]["SeriesInstanceUID"]
    run = pacscore("render", archive, uid, *words, folder=tmp_path)
    assert run.returncode == 2
    assert said in run.stderr
    assert not list(tmp_path.iterdir())


def test_verify_stats_rebuild_and_seal_have_json(archive: Path) -> None:
    assert json.loads(pacscore_process("verify", archive, "--json").stdout)["findings"] == []
    stats = json.loads(pacscore_process("stats", archive, "--json").stdout)
    assert (stats["series"], stats["instances"], stats["verdicts"]) == (2, 102, {"regular": 2})
    assert json.loads(pacscore_process("rebuild", archive, "--json").stdout)["instances"] == 102
    assert json.loads(pacscore_process("seal", archive, "--json").stdout)["objects"] == 0


def test_stats_say_what_waits_for_collection_and_seal_lets_it_go(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "wait for collection" not in pacscore("stats", archive).stdout
    pacscore_process("reseal", archive, "--strategy", "frames")
    assert "2 superseded generations wait for collection: 2 files" in pacscore("stats", archive).stdout
    monkeypatch.setenv("PACSCORE_GRACE_SECONDS", "0")
    pacscore("seal", archive)
    assert "wait for collection" not in pacscore("stats", archive).stdout
    assert json.loads(pacscore("verify", archive, "--json").stdout)["findings"] == []


def test_a_quarantined_file_makes_exit_code_1_and_skipped_ones_do_not(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    skipped = pacscore("ingest", folder, data / "not_dicom", "--create")
    assert skipped.returncode == 0
    assert "photo.jpg: not DICOM" in skipped.stdout
    broken = pacscore_process("ingest", folder, data / "broken" / "MR_truncated.dcm")
    assert broken.returncode == 1
    assert "MR_truncated.dcm" in broken.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["find", "nowhere"], "no archive there"),
        (["create", "."], "not empty"),
        (["create", "new", "--strategy", "cubes"], "balanced"),
        (["demo", "nowhere"], "does not exist"),
    ],
)
def test_misuse_says_what_is_wrong_without_a_traceback(tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "something").touch()
    result = pacscore(*words, folder=tmp_path)
    assert result.returncode in {1, 2}
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_query_key_that_is_none_is_named(archive: Path) -> None:
    result = pacscore_process("find", archive, "Modalitty=CT")
    assert result.returncode == 2
    assert "Modalitty" in result.stderr


def test_the_demo_leaves_nothing_outside_its_folder(tmp_path: Path) -> None:
    result = pacscore_process("demo", "--out", "look", "--json", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    story = json.loads(result.stdout)
    assert story["proven"] == story["objects"] > 100
    assert [path.name for path in tmp_path.iterdir()] == ["look"]
    assert sorted(path.name for path in (tmp_path / "look").iterdir()) == [
        "archive", "contact-sheet.png", "export", "three-planes.png",
    ]  # fmt: skip


def test_geometry_is_a_key_like_others_and_an_option_too(archive: Path) -> None:
    assert json.loads(pacscore("find", archive, "geometry=irregular", "--json").stdout) == []
    assert json.loads(pacscore("find", archive, "--geometry", "irregular", "--json").stdout) == []
    assert len(json.loads(pacscore("find", archive, "geometry=regular", "--json").stdout)) == 2
    twice = pacscore("find", archive, "geometry=none", "--geometry", "regular")
    assert (twice.returncode, "twice" in twice.stderr) == (2, True)


@pytest.mark.parametrize("word", ["level=study", "limit=3", "order=StudyDate", "out=x", "progress=1"])
@pytest.mark.parametrize("command", [["find"], ["export"]])
def test_an_option_written_as_a_key_is_misuse(archive: Path, tmp_path: Path, command: list[str], word: str) -> None:
    place = [tmp_path / "out"] if command == ["export"] else []
    result = pacscore(*command, archive, *place, word)
    assert result.returncode == 2
    assert "is no attribute" in result.stderr


def test_text_from_outside_neither_styles_nor_steers_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    from pacscore.cli.text import table

    table("[/title]", ("#", "SeriesDescription"), [(0, "T1 [/red] [bold]x\x1b[31m\r\nnext")])
    shown = capsys.readouterr().out
    assert "[/title]" in shown
    assert "#" in shown
    assert "T1 [/red] [bold]x\\x1b[31m next" in shown
    assert "\x1b" not in shown


def test_a_file_name_that_is_no_text_is_listed_in_any_locale(tmp_path: Path) -> None:
    folder = tmp_path / "ümläut"
    folder.mkdir()
    (folder / os.fsdecode(b"no\xff.txt")).write_bytes(b"text")
    pacscore("create", tmp_path / "archive")
    for locale in ({"PYTHONUTF8": "1"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        for option in ([], ["--json"]):
            result = subprocess.run(
                [sys.executable, "-m", "pacscore", "ingest", str(tmp_path / "archive"), str(folder), *option],
                capture_output=True, check=False, env=os.environ | {"PYTHONIOENCODING": ""} | locale,
            )  # fmt: skip
            assert result.returncode == 0, result.stderr
            if option:
                assert json.loads(result.stdout)["skipped"][0]["path"].endswith("no\udcff.txt")


def test_a_path_that_does_not_exist_is_misuse(archive: Path, tmp_path: Path) -> None:
    result = pacscore_process("ingest", archive, tmp_path / "nowhere")
    assert result.returncode == 2
    assert "does not exist" in result.stderr


def test_half_a_window_is_misuse(archive: Path, tmp_path: Path) -> None:
    result = pacscore("render", archive, "1.2", "--center", "40", "--out", tmp_path / "r.png")
    assert result.returncode == 2
    assert "--width" in result.stderr


def test_what_the_system_refuses_is_said_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "pacscore.toml").mkdir()
    result = pacscore_process("find", tmp_path)
    assert result.returncode == 1
    assert "Is a directory" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_interrupted_ingest_says_so_and_is_continued(data: Path, tmp_path: Path) -> None:
    folder, report = tmp_path / "archive", tmp_path / "report.json"
    pacscore("create", folder)
    words = [sys.executable, "-m", "pacscore", "ingest", str(folder), str(data / "series")]
    running = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any((folder / "staging").glob("*/*.zip")) and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    running.send_signal(signal.SIGINT)
    _, message = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted" in message
    assert "Traceback" not in message
    with report.open("w") as out:
        assert subprocess.run([*words, "--json"], stdout=out, check=False).returncode in {0, 1}
    assert json.loads(report.read_text())["stored"] > 0
    assert pacscore("verify", folder).returncode == 0


@pytest.mark.parametrize(
    ("folder", "pictures"),
    [("series/mr-fmri-ge-multiphase", 2), ("series/sts003-ct-rtstruct", 0), ("single/pydicom", 2)],
)
def test_the_demo_tells_its_story_of_any_folder(data: Path, tmp_path: Path, folder: str, pictures: int) -> None:
    result = pacscore("demo", data / folder, "--out", tmp_path / "look", "--json")
    assert result.returncode == 0, result.stderr
    story = json.loads(result.stdout)
    assert story["proven"] == story["objects"] > 0
    assert len(story["pictures"]) == pictures
