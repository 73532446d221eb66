"""Pictures of a stored volume become series of one object in their place, beside what they were made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest

import pacscore
from pacscore.errors import InputError, NotFoundError, UnsupportedError
from pacscore.imaging import Image, Volume, Window

CT, SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"
PET = "1.2.840.10008.5.1.4.1.1.128"
DERIVED = "made by a test"

PICTURES: dict[str, Callable[[Volume], Image]] = {
    "oblique": lambda volume: volume.reslice(row_direction=(0.6, 0.8, 0), column_direction=(0, 0, -1), spacing_mm=4),
    "slab": lambda volume: volume.slab(thickness_mm=12, combine="max", spacing_mm=4),
    "mip": lambda volume: volume.project(azimuth_deg=30, pixel_mm=4, step_mm=2),
    "axis mip": lambda volume: volume.project(axis="coronal"),
    "coronal plane": lambda volume: volume.plane("coronal", 100),
    "smoothed frame": lambda volume: volume.frame(3).enhance("gaussian"),
    "rotated": lambda volume: volume.frame(3).magnify(0.2).rotate(20).flip(rows=True).pan(1.5, 0),
}


@pytest.fixture(scope="module")
def archive(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pacscore.Archive]:
    with pacscore.create(tmp_path_factory.mktemp("pictures") / "archive") as made:
        made.ingest(*(data / "series" / name for name in ("sts003-ct", "sts003-pet", "sts003-mr-t1")))
        yield made


@pytest.fixture(scope="module", autouse=True)
def volumes(archive: pacscore.Archive) -> dict[str, Volume]:
    """The scanners' volumes by modality, looked up before anything is derived."""
    return {row["Modality"]: archive.series(row["SeriesInstanceUID"]).volume() for row in archive.find("series")}


@pytest.fixture(scope="module")
def volume(volumes: dict[str, Volume]) -> Volume:
    return volumes["CT"]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_comes_back_with_its_values_place_and_sources(
    archive: pacscore.Archive, volume: Volume, name: str
) -> None:
    image = PICTURES[name](volume)
    series = archive.store_derived(image, description=name)
    back = series.volume().frame(0)
    expected = image.array
    np.testing.assert_allclose(back.array, expected, atol=2e-5 * float(np.ptp(expected)))
    assert back.index_to_lps is not None
    assert image.index_to_lps is not None
    np.testing.assert_allclose(back.index_to_lps[:, 1:], image.index_to_lps[:, 1:], atol=1e-4)
    np.testing.assert_allclose(back.spacing_mm, image.spacing_mm, rtol=1e-6)
    assert back.unit == "HU"
    assert len(series.instances) == 1
    header = series.instances[0].dataset()
    assert header.SOPClassUID == CT
    assert header.StudyInstanceUID == archive.instance(volume.sop_instance_uids[0]).dataset().StudyInstanceUID
    named = {item.ReferencedSOPInstanceUID for item in header.SourceImageSequence}
    assert named == set(image.sop_instance_uids)
    assert named == ({volume.sop_instance_uids[3]} if name in {"smoothed frame", "rotated"} else
                     set(volume.sop_instance_uids))  # fmt: skip
    assert image.derivation
    assert "; ".join(image.derivation) in header.DerivationDescription


VIEWS: dict[str, Callable[[Volume], Image]] = {
    "mip from behind": lambda volume: volume.project(direction="posterior", pixel_mm=6, step_mm=3),
    "mip from the right": lambda volume: volume.project(direction="right", pixel_mm=6, step_mm=3),
    "mip from above": lambda volume: volume.project(direction="superior", pixel_mm=6, step_mm=3),
    "mip from behind and above": lambda volume: volume.project(azimuth_deg=200, elevation_deg=30, size=40, step_mm=3),
    "rendering from behind": lambda volume: volume.render("bone", direction="posterior", size=40, step_mm=4),
    "plane": lambda volume: volume.reslice(row_direction=(-0.6, 0.8, 0), column_direction=(0, 0, 1), spacing_mm=6),
    "plane kept as seen": lambda volume: replace(
        volume.reslice(row_direction=(-1, 0, 0), column_direction=(0, 0, 1), spacing_mm=6), as_seen=True
    ),
}


@pytest.mark.parametrize("modality", ["CT", "PT", "MR"])
@pytest.mark.parametrize("name", VIEWS)
def test_a_picture_is_seen_as_it_was_stored(
    archive: pacscore.Archive, volumes: dict[str, Volume], modality: str, name: str
) -> None:
    if name.startswith("rendering") and modality != "CT":
        name = "mip from behind"
    image = VIEWS[name](volumes[modality])
    series = archive.store_derived(image, description=DERIVED)
    back = series.volume().frame(0)
    assert back.as_seen == image.as_seen == (name != "plane")
    np.testing.assert_allclose(back.array, image.array, atol=2e-5 * float(np.ptp(image.array)))
    assert back.index_to_lps is not None
    assert image.index_to_lps is not None
    np.testing.assert_allclose(back.index_to_lps[:, 1:], image.index_to_lps[:, 1:], atol=1e-4)
    shown, wanted = (np.asarray(each.picture()).astype(int) for each in (back, image))
    assert np.abs(shown - wanted).max() <= 1  # Quantised values may fall to the other side of a grey level.
    kinds = list(series.instances[0].dataset().ImageType)
    assert ("PROJECTION IMAGE" in kinds) == image.as_seen
    assert kinds[:2] == ["DERIVED", "SECONDARY"]


def test_what_is_cut_anew_from_a_stored_view_is_no_view(archive: pacscore.Archive, volumes: dict[str, Volume]) -> None:
    image = volumes["MR"].project(direction="posterior", thickness_mm=8)
    stored = archive.store_derived(image, description=DERIVED).volume()
    assert stored.frame(0).as_seen
    assert stored.window().frame(0).as_seen
    assert stored.at().enhance("gaussian").frame(0).as_seen
    views = replace(volumes["MR"], presentation=replace(volumes["MR"].presentation, as_seen=True))
    assert views.frame(0).as_seen
    assert not views.resample(8.0).frame(0).as_seen


def test_a_stored_plane_lies_where_the_volume_has_its_values(archive: pacscore.Archive, volume: Volume) -> None:
    back = archive.store_derived(volume.plane("coronal", 80), description="plane").volume().frame(0)
    assert back.index_to_lps is not None
    position = back.index_to_lps @ [0, 5, 100, 1]
    index = np.rint(np.linalg.solve(volume.index_to_lps, position)).astype(int)
    assert back.array[5, 100] == volume.modality()[tuple(index[:3])]


def test_a_rendering_is_a_secondary_capture_in_colour(archive: pacscore.Archive, volume: Volume) -> None:
    image = volume.render("bone", azimuth_deg=20, size=48)
    series = archive.store_derived(image, description="bone, rendered")
    header = series.instances[0].dataset()
    assert header.SOPClassUID == SECONDARY_CAPTURE
    assert (header.PhotometricInterpretation, header.SamplesPerPixel, header.PlanarConfiguration) == ("RGB", 3, 0)
    np.testing.assert_array_equal(header.pixel_array, image.array)
    back = series.volume().frame(0)
    np.testing.assert_array_equal(back.array, image.array)
    assert back.index_to_lps is not None
    np.testing.assert_allclose(back.index_to_lps, image.index_to_lps, atol=1e-4)
    assert "volume rendering, seen from" in header.DerivationDescription


def test_a_section_along_a_curve_has_a_spacing_and_claims_no_place(archive: pacscore.Archive, volume: Volume) -> None:
    middle = volume.index_to_lps @ [*(np.array(volume.shape) / 2), 1]
    points = middle[:3] + np.array([[0, 0, -20], [5, 3, 0], [0, 0, 20]])
    image = volume.curved(points, width_mm=40, spacing_mm=2)
    series = archive.store_derived(image, description="along the spine")
    header = series.instances[0].dataset()
    assert header.SOPClassUID == SECONDARY_CAPTURE
    assert "ImagePositionPatient" not in header
    assert "FrameOfReferenceUID" not in header
    assert [float(step) for step in header.PixelSpacing] == [2, 2]
    back = series.volume().frame(0)
    assert back.index_to_lps is None
    np.testing.assert_allclose(back.array, image.array, atol=2e-5 * float(np.ptp(image.array)))


def test_a_fused_volume_is_stored_in_colour(archive: pacscore.Archive, volume: Volume) -> None:
    small = volume.resample(12.0)
    fused = small.fuse(small, window_below="bone", window_above="lung")
    back = archive.store_derived(fused, description="fused").volume()
    np.testing.assert_array_equal(back.array(), fused.array())
    np.testing.assert_allclose(back.index_to_lps, small.index_to_lps, atol=1e-4)


def test_what_was_fused_names_the_instances_of_both_volumes(
    archive: pacscore.Archive, volumes: dict[str, Volume]
) -> None:
    volume = volumes["CT"]
    pet = volumes["PT"]
    fused = volume.resample(12.0).fuse(pet, window_below="bone")
    both = {*volume.sop_instance_uids, *pet.sop_instance_uids}
    assert set(fused.source_instance_uids) == both
    for made in (fused, fused.frame(2), fused.plane("coronal", 5)):
        series = archive.store_derived(made, description=DERIVED)
        for instance in series.instances:
            header = instance.dataset()
            named = [item.ReferencedSOPInstanceUID for item in header.SourceImageSequence]
            assert len(named) == len(set(named))
            assert set(named) == both
        classes = {item.ReferencedSOPClassUID for item in header.SourceImageSequence}
        assert classes == {CT, PET}
        source = archive.instance(volume.sop_instance_uids[0]).dataset()
        assert (header.PatientID, header.StudyInstanceUID) == (source.PatientID, source.StudyInstanceUID)


@pytest.mark.parametrize(("patient", "is_stored"), [("P1", True), ("P2", False), ("", False)])
def test_sources_of_several_studies_are_of_one_patient(
    data: Path, tmp_path: Path, patient: str, is_stored: bool
) -> None:
    with pacscore.create(tmp_path / "archive") as made:
        for study, owner in (("2.25.10", "P1"), ("2.25.20", patient)):
            for number, path in enumerate(sorted((data / "series" / "mr-hitachi-4").rglob("*.dcm"))):
                header = pydicom.dcmread(path)
                header.PatientID, header.StudyInstanceUID, header.SeriesInstanceUID = owner, study, f"{study}.1"
                header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = f"{study}.2.{number}"
                buffer = BytesIO()
                header.save_as(buffer)
                made.receive(buffer.getvalue())
        before, after = (made.series(f"{study}.1").volume() for study in ("2.25.10", "2.25.20"))
        fused = before.fuse(after)
        if is_stored:
            series = made.store_derived(fused, description=DERIVED)
            assert series.study_instance_uid == "2.25.10"
            named = {item.ReferencedSOPInstanceUID for item in series.instances[0].dataset().SourceImageSequence}
            assert named == {*before.sop_instance_uids, *after.sop_instance_uids}
        else:
            with pytest.raises(InputError, match="Patient ID"):
                made.store_derived(fused, description=DERIVED)


def test_pictures_of_nothing_stored_get_a_study_of_their_own_and_unknown_sources_are_refused(
    archive: pacscore.Archive,
) -> None:
    image = Image(np.arange(12, dtype=np.uint8).reshape(3, 4), pixel_aspect=1.5, window=Window(6, 12, "LINEAR_EXACT"))
    series = archive.store_derived(image, description="made")
    header = series.instances[0].dataset()
    assert [int(part) for part in header.PixelAspectRatio] == [3, 2]
    assert (header.WindowCenter, header.VOILUTFunction) == (6, "LINEAR_EXACT")
    back = series.volume().frame(0)
    np.testing.assert_array_equal(back.array, image.array)
    assert back.pixel_aspect == 1.5
    with pytest.raises(NotFoundError):
        archive.store_derived(Image(np.zeros((2, 2)), sop_instance_uids=("1.2.3",)), description="lost")
    with pytest.raises(UnsupportedError):
        archive.store_derived(Image(np.zeros((2, 2, 3), np.uint16), photometric="RGB"), description="deep colour")
