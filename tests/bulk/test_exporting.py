"""Exports of many series: every file where its name says, proven by its manifest, and going on where it stopped."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pacscore
from pacscore.bulk.exporting import LOCK, export
from pacscore.bulk.manifest import MANIFEST, TABLE, digest_of, read_manifest
from pacscore.bulk.naming import check_layout, file_stem, label
from pacscore.bulk.sidecars import sidecar
from pacscore.errors import InputError, RetryError
from pacscore.locks import hold_lock

SERIES = (
    "sts003-ct",
    "sts003-pet",
    "ct-tilt-irregular-ge",
    "mr-localizer-3plane-ge",
    "ct-liver-23x38x3",
    "mr-t1-rle-4",
)


@pytest.fixture(scope="module")
def archive(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pacscore.Archive]:
    with pacscore.create(tmp_path_factory.mktemp("export") / "archive") as opened:
        opened.ingest(*(data / "series" / name for name in SERIES))
        yield opened


def _files(folder: Path) -> set[str]:
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return files - {LOCK}


def test_every_stack_is_a_file_with_its_origin_and_what_cannot_be_said_is_an_entry(
    archive: pacscore.Archive, tmp_path: Path
) -> None:
    seen: list[tuple[str, int, int]] = []
    report = export(archive.select(), tmp_path / "out", archive=archive, progress=lambda *each: seen.append(each))
    assert (report.written, report.kept) == (7, 0)
    assert seen[-1] == ("exporting", 6, 6)
    (failed,) = report.failed
    assert "irregular" in failed.reason
    assert report.left_out == ()
    entries = {entry.file: entry for entry in read_manifest(tmp_path / "out") if entry.status != "failed"}
    assert _files(tmp_path / "out") == {*entries, MANIFEST, TABLE}
    for file, entry in entries.items():
        path = tmp_path / "out" / file
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256
        series = archive.series(entry.series_instance_uid)
        volume = series.volume(entry.stack)
        np.testing.assert_allclose(nibabel.load(path).get_fdata().T, volume.modality(), rtol=1e-6, atol=1e-3)
        assert entry.generation == series.generation
        assert entry.verdict == "regular"
        assert entry.sop_instance_uids == volume.sop_instance_uids
    with (tmp_path / "out" / TABLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["file"] for row in rows if row["status"] == "written"} == set(entries)
    assert sum(row["status"] == "failed" for row in rows) == 1


def test_an_export_goes_on_and_makes_again_only_what_is_not_proven(archive: pacscore.Archive, tmp_path: Path) -> None:
    selection = archive.select(geometry="regular")
    export(selection, tmp_path, archive=archive, layout="bids-like", compress=True)
    entries = list(read_manifest(tmp_path))
    before = {entry.file: (tmp_path / entry.file).stat().st_mtime_ns for entry in entries}
    torn, gone = entries[0].file, entries[1].file
    (tmp_path / torn).write_bytes((tmp_path / torn).read_bytes()[:-1])
    (tmp_path / gone).unlink()
    with (tmp_path / MANIFEST).open("a") as file:
        file.write('{"file": "half a li')
    report = export(selection, tmp_path, archive=archive, layout="bids-like", compress=True)
    assert (report.written, report.kept, report.failed) == (2, len(entries) - 2, ())
    for entry in read_manifest(tmp_path):
        assert digest_of(tmp_path / entry.file) == (entry.sha256, entry.bytes)
        if entry.file not in {torn, gone}:
            assert (tmp_path / entry.file).stat().st_mtime_ns == before[entry.file]
    assert export(selection, tmp_path, archive=archive, layout="bids-like", compress=True).kept == len(entries)
    # Another pipeline is another export: nothing of the old one counts.
    steps = pacscore_pipeline('[[step]]\nname = "median"\nsize = 3\n')
    again = export(selection[:1], tmp_path, archive=archive, layout="bids-like", compress=True, pipeline=steps)
    assert (again.written, again.kept) == (1, 0)


def pacscore_pipeline(text: str) -> Any:
    from pacscore.imaging import Pipeline

    return Pipeline.parse(text)


@pytest.mark.parametrize("form", ["nrrd", "hdf5", "zarr"])
def test_other_formats_go_out_and_are_kept_too(archive: pacscore.Archive, tmp_path: Path, form: str) -> None:
    selection = archive.select(Modality="PT")
    assert export(selection, tmp_path, archive=archive, format=form).written == 1
    assert export(selection, tmp_path, archive=archive, format=form).kept == 1
    (entry,) = read_manifest(tmp_path)
    if form == "zarr":
        chunk = next(path for path in sorted((tmp_path / entry.file).rglob("*")) if path.is_file())
        chunk.write_bytes(chunk.read_bytes() + b" ")
        assert export(selection, tmp_path, archive=archive, format=form).written == 1
        assert digest_of(tmp_path / entry.file) == (entry.sha256, entry.bytes)


def test_originals_go_out_byte_for_byte_under_safe_names(archive: pacscore.Archive, tmp_path: Path) -> None:
    selection = archive.select(Modality="PT")
    report = export(selection, tmp_path, format="dicom", layout="{PatientID}/{Modality}")
    assert report.written == 51
    for entry in report.entries:
        original = archive.instance(entry.sop_instance_uids[0]).bytes()
        assert (tmp_path / entry.file).read_bytes() == original
    assert export(selection, tmp_path, format="dicom", layout="{PatientID}/{Modality}").kept == 51


def test_an_archive_that_is_not_open_is_opened_and_what_is_wrong_is_said_first(
    archive: pacscore.Archive, tmp_path: Path
) -> None:
    selection = archive.select(Modality="PT")
    assert export(selection, tmp_path / "a").written == 1
    with pytest.raises(InputError, match="format"):
        export(selection, tmp_path / "b", format="bmp")
    with pytest.raises(InputError, match="layout"):
        export(selection, tmp_path / "b", layout="../{key}")
    with pytest.raises(InputError, match="Originals"):
        export(
            selection,
            tmp_path / "b",
            format="dicom",
            pipeline=pacscore_pipeline('[[step]]\nname = "median"\nsize = 3\n'),
        )
    assert not (tmp_path / "b").exists()
    (tmp_path / "a" / MANIFEST).write_text("hello\nyou\n")
    with pytest.raises(InputError, match="Line 1"):
        export(selection, tmp_path / "a")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
@example("", "none")
@example("a b", "a-b")
@example("CON", "con")
def test_no_text_leaves_the_folder_or_makes_two_values_one(first: str, second: str) -> None:
    one, other = label(first), label(second)
    assert one
    assert set(one) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(one) <= 50
    assert (one == other) <= (first == second)
    document = {"PatientID": first, "SeriesDescription": second, "Modality": first, "StudyDate": second}
    for layout in ("flat", "bids-like", "{PatientID}/{SeriesDescription}"):
        name = file_stem(layout, document, key="ab" * 16, study_key="cd" * 16, stack=0, stacks=1)
        assert Path("/out", name).resolve().is_relative_to("/out")
        assert not any(part in {"", ".", ".."} or len(part) > 230 for part in name.split("/"))
        assert "abababababab" in name.rsplit("/", 1)[-1]


@pytest.mark.parametrize(
    "layout",
    [
        "",
        "x",
        "../{key}",
        "/{key}",
        "{key}/",
        "a//{key}",
        ".hidden/{key}",
        "nul/{key}",
        "{Nonsense}",
        "{key",
        "a b{key}",
    ],
)
def test_a_template_that_is_none_is_refused(layout: str) -> None:
    with pytest.raises(InputError, match="layout"):
        check_layout(layout)


def test_a_killed_export_is_finished_by_the_next(archive: pacscore.Archive, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pacscore", "export", str(archive.root), str(tmp_path / "out"), "geometry=regular",
             "--to", "nifti"]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    manifest = tmp_path / "out" / MANIFEST
    while process.poll() is None and not (manifest.exists() and manifest.stat().st_size > 10):
        time.sleep(0.002)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run([*words, "--json"], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["written"] + report["kept"] == 7
    assert report["kept"] >= 1
    named = {entry.file for entry in read_manifest(tmp_path / "out")}
    assert _files(tmp_path / "out") == named | {MANIFEST, TABLE}  # What was begun is finished or gone.
    for entry in read_manifest(tmp_path / "out"):
        assert digest_of(tmp_path / "out" / entry.file) == (entry.sha256, entry.bytes)


def test_a_damaged_series_is_an_entry_and_the_others_go_out(data: Path, tmp_path: Path) -> None:
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(data / "series" / "sts003-ct", data / "series" / "sts003-mr-t1")
        (row,) = archive.find("series", Modality="CT")
        file = tmp_path / "archive" / archive.series(row["SeriesInstanceUID"]).generation.partition("#")[0]
    stored = bytearray(file.read_bytes())
    middle = len(stored) // 2
    stored[middle : middle + 64] = bytes(byte ^ 255 for byte in stored[middle : middle + 64])
    file.chmod(0o644)
    file.write_bytes(stored)
    with pacscore.open(tmp_path / "archive", read_only=True) as archive:
        report = export(archive.select(), tmp_path / "out", archive=archive)
    (failed,) = report.failed
    assert failed.series_instance_uid == row["SeriesInstanceUID"]
    assert "damaged" in failed.reason
    assert report.written == 1
    assert len(_files(tmp_path / "out")) == 3


def test_two_exports_into_one_folder_do_not_meet_and_leftovers_go(archive: pacscore.Archive, tmp_path: Path) -> None:
    selection = archive.select(Modality="PT")
    export(selection, tmp_path, archive=archive, format="zarr")
    (tmp_path / ".pending-ab.ome.zarr").mkdir()
    (tmp_path / ".pending-ab.ome.zarr" / "zarr.json").write_text("{}")
    with hold_lock(tmp_path / LOCK), pytest.raises(RetryError):
        export(selection, tmp_path, archive=archive, format="zarr")
    assert export(selection, tmp_path, archive=archive, format="zarr").kept == 1
    assert not list(tmp_path.glob(".pending-*"))


def test_the_command_exports_both_ways(archive: pacscore.Archive, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from pacscore.cli.app import app

    def run(*words: object) -> Any:
        return CliRunner().invoke(app, ["export", str(archive.root), *map(str, words)])

    made = run(tmp_path / "n", "Modality=CT", "--to", "nifti", "--layout", "bids-like", "--compress")
    assert made.exit_code == 1
    assert "irregular" in made.output
    assert len(list((tmp_path / "n").rglob("*.nii.gz"))) == 2
    plain = run(tmp_path / "d", "Modality=PT")
    assert plain.exit_code == 0
    assert len(list((tmp_path / "d").rglob("*.dcm"))) == 51
    pydicom.dcmread(next((tmp_path / "d").rglob("*.dcm")))
    named = run(tmp_path / "e", "Modality=PT", "--layout", "{Modality}", "--json")
    assert json.loads(named.output)["written"] == 51
    wrong = run(tmp_path / "f", "Modality=PT", "--compress")
    assert isinstance(wrong.exception, InputError)


def test_objects_without_images_are_left_out_and_that_is_no_failure(data: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from pacscore.cli.app import app

    with pacscore.create(tmp_path / "archive") as opened:
        opened.ingest(data / "series" / "sts003-ct-rtstruct", data / "series" / "mr-t1-rle-4")
        report = export(opened.select(), tmp_path / "out", archive=opened)
        assert (report.written, report.failed) == (1, ())
        (left,) = report.left_out
        assert (left.status, left.modality, left.file) == ("left out", "RTSTRUCT", "")
        assert left.series_instance_uid == opened.series(left.series_instance_uid).series_instance_uid
        again = export(opened.select(), tmp_path / "out", archive=opened)
        assert (again.kept, len(again.left_out), again.failed) == (1, 1, ())
        assert sorted(entry.status for entry in read_manifest(tmp_path / "out")) == ["kept", "left out"]
        originals = export(opened.select(), tmp_path / "dicom", archive=opened, format="dicom")
        assert (originals.written, originals.left_out) == (5, ())
    words = ["export", str(tmp_path / "archive"), str(tmp_path / "out"), "--to", "nifti"]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0
    assert "1 series left out, which hold no images: 1 RTSTRUCT." in told.output
    summary = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert [each["modality"] for each in summary["left_out"]] == ["RTSTRUCT"]
    assert summary["failed"] == []


PRIVATE = ("Patient", "Birth", "Date", "Accession", "Institution", "Serial", "Station", "UID", "Physician", "StartTime")


def test_bids_like_exports_state_the_acquisition_and_nothing_of_the_patient(data: Path, tmp_path: Path) -> None:
    names = ("sts003-pet", "mr-t1-rle-4", "mr-fmri-ge-multiphase", "mr-enhanced-fmri-siemens-xa10", "ct-liver-23x38x3")
    with pacscore.create(tmp_path / "archive") as opened:
        opened.ingest(*(data / "series" / name for name in names))
        report = export(opened.select(), tmp_path / "out", archive=opened, layout="bids-like", compress=True)
        found = []
        for entry in report.entries:
            if not entry.file:
                continue
            stated = json.loads((tmp_path / "out" / entry.file.replace(".nii.gz", ".json")).read_text())
            header = opened.instance(entry.sop_instance_uids[0]).dataset()
            found.append(stated)
            assert not [key for key in stated if any(word in key for word in PRIVATE)], stated
            if header.PatientID != "dicom2nifti":  # Which these donors write for every text, the sequence's name too.
                assert str(header.PatientID) not in json.dumps(stated)
            if "EchoTime" in stated and "EchoTime" in header:
                assert stated["EchoTime"] == pytest.approx(float(header.EchoTime) / 1000)
                for name in ("RepetitionTime", "RepetitionTimeExcitation"):
                    assert stated[name] == pytest.approx(float(header.RepetitionTime) / 1000)
        # A sidecar that went is written again, the image beside it kept.
        gone = next((tmp_path / "out").rglob("*.json"))
        before = gone.read_bytes()
        gone.unlink()
        again = export(opened.select(), tmp_path / "out", archive=opened, layout="bids-like", compress=True)
        assert (again.written, gone.read_bytes()) == (0, before)
    pet = next(each for each in found if each["Modality"] == "PT")
    assert (pet["Units"], pet["TracerRadionuclide"], pet["InjectedRadioactivityUnits"]) == ("g/mL", "18F", "Bq")
    assert pet["InjectedRadioactivity"] == 359884960.0
    # Two state it for the whole image, the enhanced one in the functional groups of each frame.
    assert sum("EchoTime" in each for each in found) == 3
    assert any("MagneticFieldStrength" in each and "FlipAngle" in each for each in found)


def test_what_differs_between_echoes_is_stated_for_each_stack_or_not_at_all(data: Path, tmp_path: Path) -> None:
    with pacscore.create(tmp_path / "archive") as opened:
        opened.ingest(data / "series" / "mr-multiecho-mosaic-siemens")
        report = export(opened.select(), tmp_path / "out", archive=opened, layout="bids-like")
        assert report.entries
        for entry in report.entries:
            echoes = {float(opened.instance(uid).dataset().EchoTime) / 1000 for uid in entry.sop_instance_uids}
            stated = json.loads((tmp_path / "out" / entry.file.replace(".nii", ".json")).read_text())
            assert ("EchoTime" in stated) == (len(echoes) == 1)
            if len(echoes) == 1:
                assert stated["EchoTime"] == pytest.approx(echoes.pop())


# Repetition and echo times in seconds, stack by stack, as dcm2niix 1.0.20260724 writes them of the same files.
DCM2NIIX_TIMES = {
    "mr-enhanced-b0-philips": [(0.0038045, 0.00152), (0.0038045, None)],
    "mr-enhanced-dti-philips": [(9, 0.072114)],
    "mr-enhanced-fmri-siemens-xa10": [(0.5, 0.03)],
    "mr-fmri-philips": [(2, 0.030001)],
    "mr-philips-anat-4": [(4.8, 0.386754)],
}


def test_sidecars_state_the_times_that_dcm2niix_states(data: Path, tmp_path: Path) -> None:
    for name, expected in DCM2NIIX_TIMES.items():
        with pacscore.create(tmp_path / name) as opened:
            opened.ingest(data / "series" / name)
            (item,) = opened.select()
            series = opened.series(item.series_instance_uid)
            found = [json.loads(sidecar(series, number)) for number in range(len(series.stacks))]
        stated = [(each["RepetitionTime"], each.get("EchoTime")) for each in found]
        for own, theirs in zip(stated, expected, strict=True):
            assert own == pytest.approx(theirs, abs=1e-6), name
