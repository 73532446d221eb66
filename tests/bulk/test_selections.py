"""Selections: repeatable while the archive goes on, sampled and split without tearing patients apart."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import functions_mapped as functions
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pacscore
from pacscore import Selection, bulk
from pacscore.archive.selection import SelectedSeries, open_selected
from pacscore.errors import InputError, NotFoundError
from pacscore.settings import Settings


def of_patients(counts: list[int]) -> Selection:
    items = [SelectedSeries(f"1.{p}.{n}", f"1.{p}.{n}.1", f"P{p}", "") for p, c in enumerate(counts) for n in range(c)]
    return Selection("archive", "00", "series", (), tuple(items))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(0, 5))
def test_no_patient_lies_in_two_parts_and_all_series_lie_in_one(counts: list[int], seed: int) -> None:
    selection = of_patients(counts)
    parts = selection.split(train=0.7, val=0.2, test=0.1, seed=seed)
    patients = [{item.patient_id for item in part} for part in parts.values()]
    assert sum(map(len, patients)) == len(set().union(*patients))
    assert sorted(item.series_instance_uid for part in parts.values() for item in part) == sorted(
        item.series_instance_uid for item in selection
    )
    assert {name: part.items for name, part in parts.items()} == {
        name: part.items for name, part in selection.split(train=0.7, val=0.2, test=0.1, seed=seed).items()
    }
    for part in parts.values():
        assert list(part.items) == [item for item in selection if item in part.items]


@pytest.mark.parametrize("seed", range(5))
def test_shares_come_out_as_near_as_the_patients_allow(seed: int) -> None:
    counts = np.random.default_rng(3).integers(1, 12, 60).tolist()
    parts = of_patients(counts).split(train=0.8, val=0.2, seed=seed)
    assert abs(len(parts["train"]) - 0.8 * sum(counts)) < 1
    # One patient with most series leaves no choice, and is not torn apart.
    parts = of_patients([90, 5, 5]).split(train=0.5, val=0.5, seed=seed)
    assert sorted(map(len, parts.values())) == [10, 90]


def test_a_large_patient_does_not_always_go_to_the_large_part() -> None:
    found = {
        name
        for seed in range(20)
        for name, part in of_patients([4, *[1] * 36]).split(train=0.8, val=0.2, seed=seed).items()
        if any(item.patient_id == "P0" for item in part)
    }
    assert found == {"train", "val"}


@pytest.mark.parametrize("shares", [{"train": 0.5}, {"train": 1.2, "val": -0.2}, {"train": float("nan"), "val": 1.0}])
def test_shares_that_are_none_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(InputError, match="add up to 1"):
        of_patients([1, 2]).split(seed=1, **shares)


def test_a_superseded_generation_is_read_until_it_is_collected(data: Path, tmp_path: Path) -> None:
    files = sorted((data / "series" / "mr-hitachi-4").iterdir())
    none_kept = Settings(grace_seconds=0)
    with pacscore.create(tmp_path / "archive") as archive:
        for path in files[:3]:
            archive.receive(path.read_bytes())
        (waiting,) = archive.select()
        assert waiting.generation == ""
        assert len(open_selected(archive, waiting).instances) == 3
        archive.seal()
        selection = archive.select(Modality="MR")
        assert selection[0].generation
        archive.receive(files[3].read_bytes())
        archive.seal()
        (as_it_was,) = selection.series(archive)
        assert len(as_it_was.instances) == 3
        assert as_it_was.generation == selection[0].generation
        assert as_it_was.volume().array().shape[0] == 3
        assert len(next(archive.select().series(archive)).instances) == 4
    with (
        pacscore.open(tmp_path / "archive", settings=none_kept) as archive,
        pytest.raises(NotFoundError, match=r"collected: select anew"),
    ):
        open_selected(archive, selection[0])


def test_a_run_reads_what_waits_and_follows_the_archive_as_it_goes_on(data: Path, tmp_path: Path) -> None:
    files = sorted((data / "series" / "mr-hitachi-4").iterdir())
    with pacscore.create(tmp_path / "archive") as archive:
        for count, path in enumerate(files, 1):
            archive.receive(path.read_bytes())
            (waiting,) = bulk.map(archive.select(), functions.slice_count, workers=1)
            assert (waiting.value, waiting.provenance.generation) == (count, ""), waiting.error
            with pytest.raises(InputError, match="seal the archive first"):
                pickle.dumps(next(archive.select().series(archive)).volume().dask().dask)
            archive.seal()
            (sealed,) = bulk.map(archive.select(), functions.slice_count, workers=1)
            assert sealed.value == count, sealed.error
            assert sealed.provenance.generation == archive.select()[0].generation


def test_a_saved_selection_finds_a_moved_archive(archive_folder: Path, selection: Selection, tmp_path: Path) -> None:
    selection.save(tmp_path / "s.json")
    assert Selection.load(tmp_path / "s.json") == selection
    shutil.copytree(archive_folder, tmp_path / "moved")
    moved = Selection.load(tmp_path / "s.json", archive=tmp_path / "moved")
    assert moved.items == selection.items
    assert moved.archive == str((tmp_path / "moved").resolve())
    for text in ("", "{}", '{"format": 1}', '{"format": 1, "items": 3, "match": []}', "[]", '{"format": 99}'):
        (tmp_path / "s.json").write_text(text)
        with pytest.raises(InputError, match="newer" if "99" in text else "no selection"):
            Selection.load(tmp_path / "s.json")


def test_sampling_keeps_the_order_and_never_takes_more_than_there_is(of_items: Callable[[int], Selection]) -> None:
    selection = of_items(30)
    sample = selection.sample(10, seed=4)
    assert len(sample) == 10
    assert list(sample.items) == [item for item in selection if item in sample.items]
    assert selection.sample(99, seed=4).items == selection.items
    with pytest.raises(InputError):
        selection.sample(-1, seed=4)


def test_whole_studies_and_patients_are_met_and_stay_together(data: Path, tmp_path: Path) -> None:
    names = ("sts003-ct", "sts003-pet", "sts003-mr-t1", "mr-t1-rle-4", "ct-increment-ge-4")
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(*(data / "series" / name for name in names))
        (pet,) = archive.select(Modality="PT")
        rows = list(archive.find("series"))
        studies = archive.select("study", Modality="PT")
        assert {item.series_instance_uid for item in studies} == {
            row["SeriesInstanceUID"] for row in rows if row["StudyInstanceUID"] == pet.study_instance_uid
        }
        assert len(studies) > 1
        patients = archive.select("patient", Modality="PT")
        assert {item.series_instance_uid for item in patients} == {
            row["SeriesInstanceUID"] for row in rows if row.get("PatientID") == pet.patient_id
        }
        assert list(patients.groups()) == [pet.patient_id]
        assert list(studies.groups()) == [pet.study_instance_uid]
        whole = archive.select("study")
        assert sorted(whole.items, key=str) == sorted(archive.select(), key=str)
        assert all({item.study_instance_uid for item in group} == {name} for name, group in whole.groups().items())
        assert [item for group in whole.groups().values() for item in group] == list(whole)
        (kept,) = whole.sample(1, seed=3).groups()
        assert list(whole.sample(1, seed=3)) == list(whole.groups()[kept])
        assert whole.sample(99, seed=3) == whole
        whole.save(tmp_path / "whole.json")
        assert Selection.load(tmp_path / "whole.json") == whole
        assert "whole studies" in repr(whole)
        assert bulk.table(studies).num_rows == len(studies)
        report = bulk.map(studies, str, take="item").report()
        assert (report.done, report.failed) == (len(studies), 0)
        with pytest.raises(InputError, match="cannot be selected"):
            archive.select("instance")


def test_patients_without_an_id_are_not_taken_for_one(data: Path, tmp_path: Path) -> None:
    import pydicom

    with pacscore.create(tmp_path / "archive") as archive:
        for name in ("mr-t1-rle-4", "ct-increment-ge-4"):
            for path in (data / "series" / name).iterdir():
                header = pydicom.dcmread(path)
                header.PatientID = ""
                header.save_as(tmp_path / path.name)
                archive.ingest(tmp_path / path.name)
        found = archive.select("patient", Modality="MR")
        assert {item.study_instance_uid for item in found} == {
            row["StudyInstanceUID"] for row in archive.find("series", Modality="MR")
        }
        assert len(archive.select("patient").groups()) == 2
