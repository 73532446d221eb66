"""Derived series: what a program computed comes back as it was given, beside the images it was made from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

import pacscore
from pacscore.archive.derived_encoding import SourceImage
from pacscore.archive.derived_objects import REFERENCES_MAX, slice_references
from pacscore.archive.derived_pixels import coding, decimal_text, derive_pixels
from pacscore.errors import (
    AmbiguousError,
    GeometryError,
    InputError,
    NotFoundError,
    ReadOnlyError,
    StorageFullError,
    UnsupportedError,
)
from pacscore.filesystem import LocalFileSystem
from pacscore.geometry import StackGeometry, Verdict
from pacscore.imaging import ArrayInMemory, LookupTable, Presentation, Rescale, StoredFormat, Volume, Window

CT, MR, PET = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
STRAIGHT = np.array([[0.0, 0.0, 0.7, -50.25], [0.0, 0.6, 0.0, 12.5], [2.5, 0.0, 0.0, -300.125], [0.0, 0.0, 0.0, 1.0]])
TILTED = STRAIGHT + np.array([[0.0] * 4, [0.9, 0.0, 0.0, 0.0], [0.0] * 4, [0.0] * 4])


def _volume(array: NDArray[Any], affine: NDArray[np.float64] = STRAIGHT, **parts: Any) -> Volume:
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    geometry = StackGeometry(
        Verdict.REGULAR,
        index_to_lps=affine.copy(),
        spacing_mm=(float(steps[0]), float(steps[1]), float(steps[2])),
        orientation=(*(affine[:3, 2] / steps[2]), *(affine[:3, 1] / steps[1])),
    )
    return Volume(ArrayInMemory(array), geometry, StoredFormat.of_dtype(array.dtype), **parts)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[pacscore.Archive]:
    with pacscore.create(tmp_path / "archive") as archive:
        yield archive


@pytest.fixture(scope="module")
def filled(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pacscore.Archive]:
    """CT, PET with a slope per slice, MR as JPEG-LS, enhanced MR, and a CT with unequal slice distances."""
    names = ("sts003-ct", "sts003-pet", "mr-t1-jpegls-4", "mr-enhanced-fmri-siemens-xa10", "ct-tilt-irregular-ge")
    with pacscore.create(tmp_path_factory.mktemp("derived") / "archive") as archive:
        archive.ingest(*(data / "series" / name for name in names))
        yield archive


def _source(archive: pacscore.Archive, sop_class_uid: str, **match: str) -> pacscore.Series:
    """The first series of this class that was not derived."""
    for row in archive.find("series", order="SeriesInstanceUID", **match):
        series = archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"])
        dataset = series.instances[0].dataset()
        is_original = "ContributingEquipmentSequence" not in dataset
        if dataset.SOPClassUID == sop_class_uid and is_original and series.volume().has_affine:
            return series
    raise AssertionError(f"no series of class {sop_class_uid}")


def _series_uids(archive: pacscore.Archive) -> set[str]:
    return {row["SeriesInstanceUID"] for row in archive.find("series")}


def test_a_ct_volume_comes_back_equal_in_its_patient_study_and_place(filled: pacscore.Archive) -> None:
    source = _source(filled, CT, geometry="regular")
    volume = source.volume()
    halved = volume.with_array(volume.array() // 2, derivation="halved")
    derived = filled.store_derived(halved, description="Half of it")
    back = derived.volume()
    assert len(derived.stacks) == 1
    assert back.dtype == halved.dtype
    np.testing.assert_array_equal(back.array(), halved.array())
    np.testing.assert_array_equal(back.modality(), halved.modality())
    np.testing.assert_allclose(back.index_to_lps, volume.index_to_lps, rtol=0, atol=1e-9)
    assert back.geometry.verdict == volume.geometry.verdict
    assert back.rescale.unit == "HU"
    assert derived.study_instance_uid == source.study_instance_uid
    assert derived.series_instance_uid != source.series_instance_uid
    first, origin = derived.instances[0].dataset(), source.instances[0].dataset()
    for keyword in ("SOPClassUID", "PatientName", "PatientID", "StudyDate", "FrameOfReferenceUID", "Manufacturer"):
        assert first[keyword].value == origin[keyword].value
    assert first.SeriesNumber == origin.SeriesNumber + 1000
    assert first.SliceThickness == origin.SliceThickness
    assert list(first.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    assert first.SeriesDescription == "Half of it"
    assert first.DerivationDescription == "halved"


def test_every_object_names_all_sources_and_who_made_it(filled: pacscore.Archive) -> None:
    volume = _source(filled, CT, geometry="regular").volume()
    derived = filled.store_derived(volume, description="copy")
    for instance in derived.instances:
        dataset = instance.dataset()
        references = dataset.SourceImageSequence
        assert {item.ReferencedSOPInstanceUID for item in references} == set(volume.sop_instance_uids)
        assert {item.ReferencedSOPClassUID for item in references} == {CT}
        assert references[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert dataset.ContributingEquipmentSequence[-1].Manufacturer == "pacscore"
    assert len({instance.sop_instance_uid for instance in derived.instances}) == len(volume)
    assert not set(volume.sop_instance_uids) & {instance.sop_instance_uid for instance in derived.instances}


def test_headers_do_not_grow_with_the_square_of_the_number_of_slices() -> None:
    few = {f"1.2.{number}": SourceImage(CT, f"1.2.{number}") for number in range(REFERENCES_MAX)}
    many = few | {"1.3": SourceImage(CT, "1.3")}
    assert len(slice_references(few, list(few), len(few))) == 1
    each = slice_references(many, list(many), len(many))
    assert len(each) == len(many)
    assert max(map(len, each)) < 300
    assert all(uid.encode() in encoded for uid, encoded in zip(many, each, strict=True))
    # What belongs to no slice is dealt out: together the slices name it all, and each of it once.
    slices = list(many)[:10]
    dealt = slice_references(many, slices, len(slices))
    assert all(uid.encode() in encoded for uid, encoded in zip(slices, dealt, strict=True))
    assert b"".join(dealt).count(b"1.2.840.10008.5.1.4.1.1.2\0") == len(many)
    (alone,) = slice_references(many, list(many), 1)  # A picture of all of them is one object.
    assert all(uid.encode() in alone for uid in many)


def test_objects_are_whole_dicom_files_without_private_elements(filled: pacscore.Archive) -> None:
    volume = _source(filled, CT, geometry="regular").volume()
    derived = filled.store_derived(volume, description="copy")
    for instance in derived.instances:
        dataset = pydicom.dcmread(BytesIO(instance.bytes()))
        assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID == instance.sop_instance_uid
        tags = [element.tag for element in dataset]
        assert tags == sorted(tags)
        assert not any(tag.is_private for tag in tags)
        place = derived.volume().sop_instance_uids.index(instance.sop_instance_uid)
        np.testing.assert_array_equal(dataset.pixel_array, volume[place])


def test_pet_keeps_its_slope_per_slice_and_quantises_with_intercept_0(filled: pacscore.Archive) -> None:
    volume = _source(filled, PET).volume()
    same = filled.store_derived(volume, description="as it is").volume()
    np.testing.assert_array_equal(same.array(), volume.array())
    np.testing.assert_array_equal(same.modality(), volume.modality())
    smoothed = volume.with_array(volume.modality() * np.float32(0.3), derivation="scaled")
    derived = filled.store_derived(smoothed, description="scaled")
    dataset = derived.instances[5].dataset()
    assert dataset.SOPClassUID == PET
    assert float(dataset.RescaleIntercept) == 0
    assert (dataset.NumberOfSlices, dataset.ImageIndex) == (len(volume), dataset.InstanceNumber)
    assert derived.volume().rescale.unit == volume.rescale.unit


def test_the_error_that_a_float_volume_states_is_the_largest_there_is(filled: pacscore.Archive) -> None:
    volume = _source(filled, CT, geometry="regular").volume()
    values = np.sqrt(np.abs(volume.modality())) * np.sign(volume.modality())
    derived = filled.store_derived(volume.with_array(values, derivation="root"), description="root")
    error = float(np.abs(derived.volume().modality().astype(np.float64) - values).max())
    stated = re.search(r"by at most (\S+) HU", derived.instances[0].dataset().DerivationDescription)
    assert stated
    assert error <= float(stated[1]) <= error * 1.01
    assert not derived.volume().modality()[values == 0].any()


def test_an_enhanced_source_gives_secondary_captures_with_its_geometry(filled: pacscore.Archive) -> None:
    source = _source(filled, "1.2.840.10008.5.1.4.1.1.4.1")
    volume = source.volume()
    volume = volume.at({axis.name: 0 for axis in volume.axes})
    derived = filled.store_derived(volume, description="one moment")
    dataset = derived.instances[0].dataset()
    assert dataset.SOPClassUID == SECONDARY_CAPTURE
    assert dataset.ConversionType == "WSD"
    assert dataset.PatientID == source.instances[0].dataset().PatientID
    assert "SharedFunctionalGroupsSequence" not in dataset
    np.testing.assert_array_equal(derived.volume().array(), volume.array())
    np.testing.assert_allclose(derived.volume().index_to_lps, volume.index_to_lps, rtol=0, atol=1e-9)


def test_what_is_derived_from_a_derived_series_names_it_as_its_source(filled: pacscore.Archive) -> None:
    first = filled.store_derived(_source(filled, MR).volume(), description="first")
    second = filled.store_derived(first.volume(), description="second")
    dataset = second.instances[0].dataset()
    assert {item.ReferencedSOPInstanceUID for item in dataset.SourceImageSequence} == set(
        first.volume().sop_instance_uids
    )
    assert len(dataset.ContributingEquipmentSequence) == 2
    assert dataset.SeriesNumber == first.instances[0].dataset().SeriesNumber + 1000


def test_windows_and_padding_are_those_of_the_volume(filled: pacscore.Archive) -> None:
    volume = _source(filled, CT, geometry="regular").volume()
    windows = (Window(40, 400, explanation="soft tissue"), Window(600.5, 2000))
    shown = replace(volume, presentation=replace(volume.presentation, windows=(windows,), padding=(-2000, -1500)))
    back = filled.store_derived(shown, description="shown").volume()
    assert back.presentation.windows == (windows,)
    assert back.presentation.padding == (-2000, -1500)


def test_a_volume_that_moved_does_not_keep_the_thickness_of_its_source(filled: pacscore.Archive) -> None:
    volume = _source(filled, CT, geometry="regular").volume()
    moved = replace(volume, geometry=_volume(np.zeros(volume.shape, np.int16), TILTED).geometry)
    derived = filled.store_derived(moved, description="moved")
    dataset = derived.instances[0].dataset()
    assert dataset.SliceThickness is None
    assert float(dataset.SpacingBetweenSlices) == pytest.approx(2.5)
    np.testing.assert_allclose(derived.volume().index_to_lps, TILTED, rtol=0, atol=1e-9)


def test_a_sheared_volume_keeps_the_true_position_of_every_slice(empty: pacscore.Archive) -> None:
    array = np.arange(6 * 5 * 4, dtype=np.uint16).reshape(6, 5, 4)
    derived = empty.store_derived(_volume(array, TILTED), description="tilted")
    assert str(derived.volume().geometry.verdict) == "tilted"
    np.testing.assert_allclose(derived.volume().index_to_lps, TILTED, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(derived.volume().array(), array)
    for dataset in (instance.dataset() for instance in derived.instances):
        place = TILTED @ (dataset.InstanceNumber - 1, 0, 0, 1)
        np.testing.assert_allclose(np.array(dataset.ImagePositionPatient, float), place[:3], rtol=0, atol=1e-9)


def test_without_sources_patient_is_empty_and_the_study_new(empty: pacscore.Archive) -> None:
    presentation = Presentation(modality="CT", windows=((Window(1, 2, "LINEAR_EXACT"),),))
    volume = _volume(np.full((3, 5, 5), 7, np.int16), rescale=Rescale.linear(unit="mg/ml"), presentation=presentation)
    derived = empty.store_derived(volume, description="phantom")
    dataset = derived.instances[0].dataset()
    assert not dataset.PatientName
    assert not dataset.PatientID
    assert dataset.SOPClassUID == SECONDARY_CAPTURE
    assert dataset.StudyInstanceUID.startswith("2.25.")
    assert "SourceImageSequence" not in dataset
    assert derived.volume().rescale.unit == "mg/ml"
    assert derived.volume().presentation.windows == presentation.windows
    assert [row["SeriesDescription"] for row in empty.find("series", SeriesDescription="phan*")] == ["phantom"]
    again = empty.store_derived(volume, description="phantom")
    assert again.study_instance_uid != derived.study_instance_uid


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint16", "int16", ">u2", "int32", "uint32", "int64"])
def test_integers_are_stored_without_loss(empty: pacscore.Archive, dtype: str) -> None:
    limits = np.iinfo(np.dtype(dtype if dtype[-1] in "682" else "u1"))
    random = np.random.default_rng(5)
    array = random.integers(max(limits.min, -(2**15)), min(limits.max, 2**15 - 1), (3, 5, 7), endpoint=True)
    derived = empty.store_derived(_volume((array % 2 if dtype == "bool" else array).astype(dtype)), description=dtype)
    back = derived.volume().array()
    np.testing.assert_array_equal(back, (array % 2 if dtype == "bool" else array))
    assert back.dtype.itemsize == (1 if dtype in {"bool", "uint8", "int8"} else 2)
    assert derived.instances[0].dataset().get("DerivationDescription") == dtype


def test_labels_that_need_more_than_16_bits_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="16 bits"):
        derive_pixels(_volume(np.array([[[0, 70000]]], np.int32)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_and_nothing_is_stored(empty: pacscore.Archive, bad: float) -> None:
    array = np.zeros((3, 4, 4), np.float32)
    array[2, 1, 1] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        empty.store_derived(_volume(array), description="holes")
    assert not _series_uids(empty)


@settings(deadline=None, max_examples=60)
@given(
    npst.arrays(np.float32, (2, 3, 4), elements=st.floats(-(2.0**40), 2.0**40, width=32, allow_subnormal=False)),
    st.booleans(),
)
def test_quantised_values_miss_by_at_most_what_is_said(array: NDArray[np.float32], zero_intercept: bool) -> None:
    pixels = derive_pixels(_volume(array), zero_intercept=zero_intercept)
    slope, intercept = float(pixels.slopes[0]), float(pixels.intercepts[0])
    back = (pixels.words * slope + intercept).astype(np.float32)
    error = np.abs(back.astype(np.float64) - array).max()
    assert error == pixels.largest_error
    low, high = min(float(array.min()), 0.0), max(float(array.max()), 0.0)
    rounding = np.spacing(np.float32(max(-low, high)))
    assert error <= (high - low) / 32767 / 2 * 1.0001 + rounding
    assert not zero_intercept or intercept == 0
    assert not back[array == 0].any()
    assert all(len(text) <= 16 for text in pixels.slopes + pixels.intercepts)


@given(st.integers(-(2**31), 2**31), st.integers(0, 65535))
def test_whole_numbers_within_16_bits_are_exact_wherever_they_lie(low: int, span: int) -> None:
    dtype, slope, intercept = coding(float(low), float(low + span), whole=True, zero_intercept=False)
    assert slope == 1
    limits = np.iinfo(dtype)
    assert limits.min <= low - intercept <= low + span - intercept <= limits.max


@given(st.floats(-1e300, 1e300))
def test_decimal_strings_fit_and_are_close(number: float) -> None:
    text = decimal_text(number)
    assert len(text) <= 16
    assert float(text) == pytest.approx(number, rel=1e-8)


def test_values_behind_a_modality_lut_are_stored_as_they_look(empty: pacscore.Archive) -> None:
    array = np.array([[[0, 1, 2], [3, 2, 1]]], np.uint8).repeat(2, 0)
    table = LookupTable(1, np.array([-100, 5000, 7], np.float32))
    volume = _volume(array, rescale=replace(Rescale.linear(unit="HU"), tables=(table,)))
    back = empty.store_derived(volume, description="table").volume()
    np.testing.assert_array_equal(back.modality(), volume.modality())
    unusable = replace(volume, rescale=replace(volume.rescale, missing="The LUT is cut short."))
    with pytest.raises(UnsupportedError, match="cut short"):
        empty.store_derived(unusable, description="table")


def test_half_floats_are_taken(empty: pacscore.Archive) -> None:
    array = np.linspace(0, 1, 24, dtype=np.float16).reshape(2, 3, 4)
    scaled = _volume(array, rescale=Rescale.linear(2.0, 0.5))
    back = empty.store_derived(scaled, description="half").volume().modality()
    np.testing.assert_allclose(back, array.astype(np.float32) * 2 + 0.5, rtol=0, atol=2e-5)


@pytest.mark.parametrize("description", ["", "  ", "x" * 65, "a\\b", "a\nb", "a\0b"])
def test_a_description_that_dicom_cannot_hold_is_refused(empty: pacscore.Archive, description: str) -> None:
    with pytest.raises(InputError, match="description"):
        empty.store_derived(_volume(np.zeros((2, 2, 2), np.uint8)), description=description)


def test_other_scripts_in_source_and_description_both_survive(data: Path, empty: pacscore.Archive) -> None:
    name = "Hong^Gildong=洪^吉洞=홍^길동"
    for path in sorted((data / "series" / "mr-hitachi-4").rglob("*.dcm")):
        dataset = pydicom.dcmread(path)
        dataset.SpecificCharacterSet = ["", "ISO 2022 IR 149"]
        dataset.PatientName = name
        buffer = BytesIO()
        dataset.save_as(buffer)
        empty.receive(buffer.getvalue())
    (row,) = empty.find("series")
    volume = empty.series(row["SeriesInstanceUID"]).volume()
    for description in ("plain", "Größe in µm"):
        derived = empty.store_derived(volume, description=description)
        dataset = derived.instances[0].dataset()
        assert str(dataset.PatientName) == name
        assert dataset.SeriesDescription == description
        assert derived.document["PatientName"] == name


def test_what_has_no_affine_no_single_channel_or_further_axes_is_refused(filled: pacscore.Archive) -> None:
    before = _series_uids(filled)
    irregular = next(iter(filled.find("series", geometry="irregular")))
    with pytest.raises(GeometryError, match="irregular"):
        filled.store_derived(filled.series(irregular["SeriesInstanceUID"]).volume(), description="no")
    colour = _volume(np.zeros((2, 4, 4, 3), np.uint16), presentation=Presentation(photometric="RGB"))
    with pytest.raises(UnsupportedError, match="RGB"):
        filled.store_derived(colour, description="no")
    enhanced = _source(filled, "1.2.840.10008.5.1.4.1.1.4.1").volume()
    with pytest.raises(AmbiguousError, match="at\\(\\)"):
        filled.store_derived(enhanced, description="no")
    flat = STRAIGHT.copy()
    flat[:3, 0] = flat[:3, 1]
    skewed = STRAIGHT.copy()
    skewed[0, 1] = 0.3
    for affine in (flat, skewed):
        with pytest.raises(GeometryError):
            filled.store_derived(_volume(np.zeros((2, 4, 4), np.uint8), affine), description="no")
    assert _series_uids(filled) == before


def test_a_source_that_is_not_in_the_archive_is_an_error_not_a_missing_patient(empty: pacscore.Archive) -> None:
    volume = _volume(np.zeros((2, 3, 3), np.uint8), sop_instance_uids=("1.2.3", "1.2.4"))
    with pytest.raises(NotFoundError, match="sop_instance_uids"):
        empty.store_derived(volume, description="lost")


def test_sources_that_two_series_hold_are_ambiguous(data: Path, empty: pacscore.Archive) -> None:
    for uid in ("2.25.1", "2.25.2"):
        for path in sorted((data / "series" / "mr-hitachi-4").rglob("*.dcm")):
            dataset = pydicom.dcmread(path)
            dataset.SeriesInstanceUID = uid
            buffer = BytesIO()
            dataset.save_as(buffer)
            empty.receive(buffer.getvalue())
    with pytest.raises(AmbiguousError, match="Several series"):
        empty.store_derived(empty.series("2.25.1").volume(), description="whose")


def test_sources_that_still_wait_in_the_journal_serve_as_well(data: Path, empty: pacscore.Archive) -> None:
    for path in sorted((data / "series" / "mr-t1-jpegls-4").rglob("*.dcm")):
        empty.receive(path.read_bytes())
    (row,) = empty.find("series")
    volume = empty.series(row["SeriesInstanceUID"]).volume()
    derived = empty.store_derived(volume, description="early")
    np.testing.assert_array_equal(derived.volume().array(), volume.array())
    assert derived.study_instance_uid == row["StudyInstanceUID"]
    assert not empty.verify().findings


class _FullDisk(LocalFileSystem):
    """A disk that fills up when told to: nothing can be published any more."""

    full = False

    def rename(self, source: Path, target: Path) -> None:
        if self.full:
            raise StorageFullError("No space left.")
        super().rename(source, target)


def test_promise_1_a_disk_that_fills_up_leaves_no_part_of_a_derived_series(tmp_path: Path) -> None:
    disk = _FullDisk()
    with pacscore.Archive.create(tmp_path / "archive", filesystem=disk) as archive:
        volume = _volume(np.arange(48, dtype=np.uint16).reshape(3, 4, 4))
        disk.full = True
        with pytest.raises(StorageFullError):
            archive.store_derived(volume, description="too much")
        disk.full = False
        assert not _series_uids(archive)
        assert not archive.verify().findings
        assert len(archive.store_derived(volume, description="enough").instances) == 3


def test_promise_5_a_rebuilt_catalog_knows_derived_series(empty: pacscore.Archive) -> None:
    derived = empty.store_derived(_volume(np.zeros((2, 3, 3), np.uint8)), description="kept")
    before = list(empty.find("series"))
    empty.rebuild()
    assert list(empty.find("series")) == before
    assert before[0]["SeriesInstanceUID"] == derived.series_instance_uid


def test_an_archive_opened_for_reading_refuses(tmp_path: Path) -> None:
    pacscore.create(tmp_path / "archive").close()
    with pacscore.open(tmp_path / "archive", read_only=True) as archive, pytest.raises(ReadOnlyError):
        archive.store_derived(_volume(np.zeros((2, 3, 3), np.uint8)), description="no")


@pytest.mark.interop
@pytest.mark.parametrize(
    "affine", [STRAIGHT, STRAIGHT @ np.diag([-1.0, 1.0, 1.0, 1.0])], ids=["ascending", "descending"]
)
def test_simpleitk_reads_the_same_place(empty: pacscore.Archive, tmp_path: Path, affine: NDArray[np.float64]) -> None:
    sitk = pytest.importorskip("SimpleITK")
    array = np.random.default_rng(1).normal(size=(4, 5, 6)).astype(np.float32)
    volume = _volume(array, affine)
    derived = empty.store_derived(volume, description="shared")
    empty.export(tmp_path / "out", SeriesInstanceUID=derived.series_instance_uid)
    folder = next(path for path in (tmp_path / "out").iterdir())
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    image = sitk.ReadImage(names)
    ascending = derived.volume()
    found = np.zeros((4, 4))
    steps = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    found[:3, :3], found[:3, 3], found[3, 3] = steps[:, ::-1], image.GetOrigin(), 1
    np.testing.assert_allclose(found, ascending.index_to_lps, rtol=0, atol=1e-6)
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), ascending.modality(), rtol=0, atol=1e-6)
    forward = array if affine[2, 0] > 0 else array[::-1]
    np.testing.assert_allclose(ascending.modality(), forward, rtol=0, atol=1e-4)
