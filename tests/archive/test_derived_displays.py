"""What windows, thresholds, components and uptake make of a stored volume can be stored beside it, and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import pacscore
from pacscore.archive.processing import process_series
from pacscore.imaging.pipeline import Pipeline


def test_display_values_masks_and_labels_come_back_as_they_were(data: Path, tmp_path: Path) -> None:
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(data / "series" / "sts003-ct")
        volume = archive.series(next(archive.find("series"))["SeriesInstanceUID"]).volume()
        shown, bone, labels = volume.window("bone"), volume.threshold(250), volume.components(250).volume
        for made, description in ((shown, "bone window"), (bone, "bone"), (labels, "bone parts")):
            stored = archive.store_derived(made, description=description)
            found = stored.volume()
            np.testing.assert_array_equal(found.modality(), made.modality())
            np.testing.assert_allclose(found.index_to_lps, volume.index_to_lps, atol=1e-6)
            assert made.derivation[-1] in stored.instances[0].document()["DerivationDescription"]
        again = archive.store_derived(shown, description="shown").volume()
        np.testing.assert_array_equal(again.window().array(), shown.array())


def test_a_pipeline_matches_a_series_to_another_of_the_archive(data: Path, tmp_path: Path) -> None:
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(data / "series" / "sts003-ct")
        uid = next(archive.find("series"))["SeriesInstanceUID"]
        volume = archive.series(uid).volume()
        brighter = archive.store_derived(
            volume.with_array(volume.array() + 100, derivation="brighter"), description="b"
        )
        step = f'[[step]]\nname = "match_histogram"\nseries = "{brighter.series_instance_uid}"'
        report = process_series(archive, uid, Pipeline.parse(step))
        found = archive.series(report.series)
        np.testing.assert_allclose(found.volume().modality(), volume.modality() + 100, atol=0.1)
        named = f"histogram matched to series {brighter.series_instance_uid}"
        assert named in found.instances[0].document()["DerivationDescription"]


def test_lut_data_is_read_whichever_vr_its_writer_chose(tmp_path: Path) -> None:
    from io import BytesIO

    from pydicom.dataset import Dataset, FileMetaDataset

    from pacscore.dicom.attributes import Header
    from pacscore.dicom.scan import scan

    for vr, value in (("US", [5, 70, 900]), ("OW", np.array([5, 70, 900], "<u2").tobytes())):
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [3, 10, 16])
        item.add_new("LUTData", vr, value)
        dataset = Dataset()
        dataset.VOILUTSequence = [item]
        dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        raw = buffer.getvalue()
        (read,) = Header(raw, scan(raw)).document()["VOILUTSequence"]
        assert read["LUTData"] == [5, 70, 900]
