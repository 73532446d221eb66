"""The main job on real data: a messy folder in, a proven archive, and the same bytes out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest

import pacscore
from pacscore.archive.report import IngestReport


@pytest.fixture(scope="module")
def filled(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[pacscore.Archive, IngestReport]]:
    """An archive of all test data, ingested once."""
    folder = tmp_path_factory.mktemp("filled") / "archive"
    with pacscore.create(folder) as archive:
        yield archive, archive.ingest(data)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _all_instances(archive: pacscore.Archive) -> Iterator[pacscore.Instance]:
    for row in archive.find("series"):
        yield from archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"]).all_versions


def test_promise_2_every_file_taken_comes_back_byte_for_byte(
    filled: tuple[pacscore.Archive, IngestReport], data: Path
) -> None:
    archive, report = filled
    left_out = {entry.path for entry in (*report.skipped, *report.quarantined)}
    expected = {hashlib.sha256(path.read_bytes()).hexdigest() for path in _files(data) if str(path) not in left_out}
    found = {hashlib.sha256(instance.bytes()).hexdigest() for instance in _all_instances(archive)}
    assert found == expected
    assert len(expected) > 700


def test_what_is_no_dicom_is_skipped_and_what_claims_to_be_is_quarantined(
    filled: tuple[pacscore.Archive, IngestReport], data: Path
) -> None:
    _, report = filled
    skipped = {Path(entry.path).name for entry in report.skipped}
    assert {"photo.jpg", "dump.txt", "zipMR.gz", "text.dcm", "empty.dcm", "DICOMDIR", "MANIFEST.tsv"} <= skipped
    quarantined = {Path(entry.path).name for entry in report.quarantined}
    assert {"MR_truncated.dcm", "rtplan_truncated.dcm"} <= quarantined
    assert all(entry.reason for entry in report.quarantined)


def test_quarantined_objects_are_kept_with_their_reason(filled: tuple[pacscore.Archive, IngestReport]) -> None:
    archive, report = filled
    for entry in report.quarantined:
        content = Path(entry.path).read_bytes()
        name = hashlib.sha256(content).hexdigest()
        assert (archive.root / "quarantine" / f"{name}.dcm").read_bytes() == content
        assert (archive.root / "quarantine" / f"{name}.json").exists()


def test_the_archive_verifies(filled: tuple[pacscore.Archive, IngestReport]) -> None:
    archive, report = filled
    verified = archive.verify()
    assert verified.findings == ()
    assert verified.objects >= report.stored


def test_a_second_ingest_finds_everything_there(filled: tuple[pacscore.Archive, IngestReport], data: Path) -> None:
    archive, first = filled
    second = archive.ingest(data)
    assert second.stored == 0
    assert second.versions == 0
    assert second.duplicates == first.stored + first.duplicates
    assert second.bytes_stored == 0


def test_promise_5_a_rebuilt_catalog_equals_the_one_it_replaces(
    filled: tuple[pacscore.Archive, IngestReport],
) -> None:
    archive, _ = filled
    before = archive._session.catalog.digest()
    rows = list(archive.find("series"))
    archive.rebuild()
    assert archive._session.catalog.digest() == before
    assert list(archive.find("series")) == rows


@pytest.mark.parametrize("name", ["ct-headneck-90", "sts003-ct", "sts003-pet", "mr-hitachi-4", "mr-t1-rle-4"])
def test_volumes_equal_the_stacked_files(filled: tuple[pacscore.Archive, IngestReport], data: Path, name: str) -> None:
    archive, _ = filled
    slices = [pydicom.dcmread(path) for path in _files(data / "series" / name)]
    series = archive.series(slices[0].SeriesInstanceUID)
    volume = series.volume()
    by_uid = {each.SOPInstanceUID: each for each in slices}
    assert volume.shape[0] == len(slices)
    stored, modality = volume.array(), volume.modality()
    for index, uid in enumerate(volume.sop_instance_uids):
        each = by_uid[uid]
        mask = (1 << each.BitsStored) - 1
        pixels = each.pixel_array.astype(np.int64)
        assert np.array_equal(stored[index].astype(np.int64) & mask, pixels & mask)
        expected = stored[index] * float(each.get("RescaleSlope", 1)) + float(each.get("RescaleIntercept", 0))
        assert np.allclose(modality[index], expected, rtol=1e-6, atol=1e-3)
        position = volume.index_to_lps @ [index, 0, 0, 1]
        assert np.allclose(position[:3], [float(value) for value in each.ImagePositionPatient], atol=0.02)


def test_frames_equal_those_of_pydicom(filled: tuple[pacscore.Archive, IngestReport], data: Path) -> None:
    archive, _ = filled
    compared = 0
    for path in _files(data / "single" / "pydicom"):
        each = pydicom.dcmread(path, force=True)
        if "PixelData" not in each or "SOPInstanceUID" not in each or not hasattr(each.file_meta, "TransferSyntaxUID"):
            continue
        try:
            expected = pydicom.pixels.pixel_array(path, raw=True, index=0)
            instance = archive.instance(each.SOPInstanceUID)
        except (
            ValueError,
            AttributeError,
            NotImplementedError,
            RuntimeError,
            pacscore.AmbiguousError,
            pacscore.NotFoundError,
        ):
            continue
        if instance.bytes() != path.read_bytes():
            continue  # Another version of the same UID is the current one.
        found = instance.frame(0)
        assert found.shape == expected.shape, path.name
        mask = (1 << int(each.BitsStored)) - 1
        if expected.dtype.kind in "iu" and each.get("PhotometricInterpretation", "").startswith("MONO"):
            assert np.array_equal(found.astype(np.int64) & mask, expected.astype(np.int64) & mask), path.name
        compared += 1
    assert compared > 25


def test_promise_9_received_objects_read_the_same_before_and_after_sealing(data: Path, tmp_path: Path) -> None:
    names = ["sts003-pet", "mr-enhanced-b0-philips", "mr-rgb-4", "mr-t1-jpegls-4", "sts003-ct-rtstruct"]
    with pacscore.create(tmp_path / "archive") as archive:
        for name in names:
            for path in _files(data / "series" / name):
                receipt = archive.receive(path.read_bytes())
                assert receipt.status == "stored"
        before = _everything(archive)
        report = archive.seal()
        assert report.series == len(before)
        assert _everything(archive) == before
        assert archive.stats()["received"] == 0
        assert archive.verify().findings == ()
    with pacscore.open(tmp_path / "archive", read_only=True) as archive:
        assert _everything(archive) == before


def _everything(archive: pacscore.Archive) -> dict[str, object]:
    """What can be asked of an archive, series by series."""
    found: dict[str, object] = {}
    for row in archive.find("series"):
        series = archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"])
        arrays = [
            hashlib.sha256(series.volume(number).array().tobytes()).hexdigest() for number in range(len(series.stacks))
        ]
        found[row["SeriesInstanceUID"]] = (
            row,
            arrays,
            [str(stack.geometry.as_dict()) for stack in series.stacks],
            {each.sop_instance_uid: hashlib.sha256(each.bytes()).hexdigest() for each in series.instances},
            sorted(
                str(instance_row)
                for instance_row in archive.find("instance", SeriesInstanceUID=row["SeriesInstanceUID"])
            ),
        )
    return found


def test_another_data_set_under_the_same_uid_becomes_a_version(data: Path, tmp_path: Path) -> None:
    original = _files(data / "series" / "sts003-pet")[0].read_bytes()
    changed = bytearray(original)
    changed[-1] ^= 1
    with pacscore.create(tmp_path / "archive") as archive:
        assert archive.receive(original).status == "stored"
        assert archive.receive(original).status == "duplicate"
        receipt = archive.receive(bytes(changed))
        assert receipt.status == "version"
        archive.seal()
        uid = receipt.sop_instance_uid
        assert archive.instance(uid).bytes() == original
        assert archive.instance(uid, version=2).bytes() == bytes(changed)
        assert archive.receive(bytes(changed)).status == "duplicate"
        assert archive.verify().findings == ()


def test_an_equal_data_set_in_another_envelope_is_a_duplicate_and_comes_back_too(data: Path, tmp_path: Path) -> None:
    original = _files(data / "series" / "sts003-pet")[0].read_bytes()
    enveloped = b"x" * 128 + original[128:]
    with pacscore.create(tmp_path / "archive") as archive:
        archive.receive(original)
        archive.seal()
        assert archive.receive(enveloped).status == "duplicate"
        archive.seal()
        series = archive.series(next(iter(archive.find("series")))["SeriesInstanceUID"])
        assert {instance.bytes() for instance in series.all_versions} == {original, enveloped}
        assert len(series.instances) == 1


def test_a_data_set_without_file_meta_comes_back_with_a_fixed_one(data: Path, tmp_path: Path) -> None:
    whole = _files(data / "series" / "sts003-pet")[0].read_bytes()
    source = pydicom.dcmread(_files(data / "series" / "sts003-pet")[0])
    length = 132 + 12 + source.file_meta.FileMetaInformationGroupLength
    data_set, syntax = whole[length:], str(source.file_meta.TransferSyntaxUID)
    with pacscore.create(tmp_path / "archive") as archive:
        receipt = archive.receive(data_set, transfer_syntax=syntax)
        assert receipt.status == "stored"
        instance = archive.instance(receipt.sop_instance_uid)
        assert instance.dataset_bytes() == data_set
        assert instance.bytes()[128:132] == b"DICM"
        assert instance.dataset().SOPInstanceUID == source.SOPInstanceUID
        assert receipt.sha256 == hashlib.sha256(data_set).hexdigest()


def test_late_instances_make_a_new_generation_and_readers_hold_theirs(data: Path, tmp_path: Path) -> None:
    files = _files(data / "series" / "sts003-pet")
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(*files[:-1])
        uid = next(iter(archive.find("series")))["SeriesInstanceUID"]
        early = archive.series(uid)
        first = early.generation
        content = early.volume().array()
        archive.ingest(files[-1])
        late = archive.series(uid)
        assert late.generation != first
        assert late.volume().shape[0] == len(files)
        assert np.array_equal(early.volume().array(), content)


def test_exported_files_are_the_originals(data: Path, tmp_path: Path) -> None:
    folder = data / "series" / "sts003-pet"
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(folder)
        report = archive.export(tmp_path / "out", Modality="PT")
        assert report.objects == len(_files(folder))
        originals = sorted(path.read_bytes() for path in _files(folder))
        assert sorted(path.read_bytes() for path in _files(tmp_path / "out")) == originals
        with pytest.raises(pacscore.PacscoreError):
            archive.export(tmp_path / "out", Modality="PT")


def test_small_series_share_one_file(data: Path, tmp_path: Path) -> None:
    with pacscore.create(tmp_path / "archive") as archive:
        report = archive.ingest(data / "single" / "pydicom")
        assert report.stored > 50
        generations = _files(archive.root / "packs") + _files(archive.root / "series")
        assert len(generations) <= 5


def test_frames_of_deflated_objects_are_read_and_their_bytes_come_back(data: Path, tmp_path: Path) -> None:
    paths = [path for path in _files(data / "single") if _syntax(path) == "1.2.840.10008.1.2.1.99"]
    seen = 0
    with pacscore.create(tmp_path / "archive") as archive:
        for path in paths:
            receipt = archive.receive(path.read_bytes())
            source = pydicom.dcmread(path)
            for _ in range(2):
                instance = archive.instance(receipt.sop_instance_uid, version=1)
                if "PixelData" in source and instance.bytes() == path.read_bytes():
                    expected = source.pixel_array
                    assert np.array_equal(instance.frame(0).reshape(expected.shape), expected), path.name
                    seen += 1
                archive.seal()
    assert seen >= 2


def _syntax(path: Path) -> str:
    try:
        return str(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[]).file_meta.TransferSyntaxUID)
    except (pydicom.errors.InvalidDicomError, AttributeError):
        return ""
