"""Real series: values against pydicom's own formulas, pictures that show something."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from imaging_stand_in import document_of, read_series, volume_of
from pydicom.pixels import apply_modality_lut, apply_windowing

from pacscore.geometry import StackGeometry, Verdict
from pacscore.imaging import (
    ArrayInMemory,
    StoredFormat,
    Volume,
    Window,
    contact_sheet,
    read_attributes,
    slice_sheet,
    three_planes,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def sorted_datasets(folder):
    datasets = [pydicom.dcmread(path) for path in folder.iterdir()]
    return sorted(datasets, key=lambda ds: float(ds.ImagePositionPatient[2]))


def test_pet_is_rescaled_slice_by_slice(data):
    folder = data / "series" / "sts003-pet"
    volume = read_series(folder)
    assert volume.rescale.slopes.shape == (51,)
    wanted = np.stack([apply_modality_lut(ds.pixel_array, ds) for ds in sorted_datasets(folder)])
    np.testing.assert_allclose(volume.modality(), wanted, rtol=1e-6)
    assert volume.rescale.unit == "GML"


def test_each_frame_is_masked_by_its_own_bits_stored(data):
    # 84 slices of this CT state 12 bits, the 6 brightest 13. One mask of 12 bits for all, as dcm2niix applies, would
    # cut 29 pixels by 4096.
    folder = data / "series" / "ct-headneck-90"
    volume = read_series(folder)
    words = np.stack([ds.pixel_array for ds in sorted_datasets(folder)])
    assert {each.bits_stored for each in volume.stored.of_frames} == {12, 13}
    np.testing.assert_array_equal(volume.array(), words)
    assert words.max() > 4095
    np.testing.assert_array_equal(volume[40:50, 100:200], words[40:50, 100:200])
    np.testing.assert_array_equal(volume.modality(), words.astype(np.float32) - 1024)


@pytest.mark.parametrize("name", ["ct-tilt-irregular-ge", "mr-dwi-ge", "mr-fmri-philips"])
def test_windows_are_pydicoms_to_one_grey_level(data, name):
    for path in sorted((data / "series" / name).iterdir())[:3]:
        dataset = pydicom.dcmread(path)
        image = volume_of([dataset]).frame(0)
        values = apply_modality_lut(dataset.pixel_array, dataset)
        wanted = apply_windowing(values, dataset).astype(np.float64)
        # pydicom's output range is that of the stored bits (rescaled): bring both to 0..255.
        low, high = image.window.limits()
        inside = (values > low) & (values <= high)
        wanted = (wanted - wanted.min()) / (wanted.max() - wanted.min()) * 255
        if inside.any() and (values > high).any() and (values <= low).any():
            assert np.abs(image.display() - wanted).max() <= 1


def test_monochrome1_is_shown_inverted(data):
    dataset = pydicom.dcmread(data / "single" / "highdicom" / "dx_image.dcm")
    image = volume_of([dataset]).frame(0)
    assert image.photometric == "MONOCHROME1"
    values = image.array.reshape(-1)
    dark, bright = values.argmax(), values.argmin()
    shown = image.display().reshape(-1)
    assert shown[dark] < shown[bright]


def test_pictures_of_real_series_show_something(data, tmp_path):
    volumes = [read_series(data / "series" / name) for name in ("sts003-ct", "sts003-pet", "sts003-mr-t1")]
    for number, picture in enumerate([contact_sheet(volumes), *map(slice_sheet, volumes), *map(three_planes, volumes)]):
        assert picture.array.std() > 20
        picture.save(tmp_path / f"{number}.png")


def test_head_is_up_and_front_is_left_in_pictures_of_a_supine_head(data):
    volume = read_series(data / "series" / "ct-headneck-90")
    bone = Window(500, 600)
    axial, coronal, sagittal = (
        np.asarray(volume.plane(name, index).picture(window=bone), np.float64)
        for name, index in (("axial", 60), ("coronal", 256), ("sagittal", 256))
    )
    # The table lies below the head in axial and to the right in sagittal; the skull is in the upper half of coronal.
    assert axial[330:].sum() > 0
    rows = np.arange(coronal.shape[0])
    assert (coronal.sum(1) * rows).sum() / coronal.sum() < coronal.shape[0] / 2
    assert np.flatnonzero(sagittal.max(0) > 128).max() > 300


def test_functional_groups_of_a_real_enhanced_object_speak_for_their_frames(data):
    dataset = pydicom.dcmread(next((data / "series" / "mr-enhanced-b0-philips").iterdir()))
    document = document_of(dataset)
    found = read_attributes([(document, frame) for frame in range(dataset.NumberOfFrames)])
    wanted = [
        (group.PixelValueTransformationSequence[0].RescaleSlope, group.FrameVOILUTSequence[0].WindowWidth)
        for group in dataset.PerFrameFunctionalGroupsSequence
    ]
    # Half magnitude, half a field map with another slope, intercept and window.
    assert len(set(wanted)) > 1
    assert found.rescale.slopes.tolist() == [float(slope) for slope, _ in wanted]
    assert [windows[0].width for windows in found.presentation.windows] == [float(width) for _, width in wanted]


def test_dose_grids_are_scaled_to_their_own_unit(data):
    dataset = pydicom.dcmread(data / "single" / "pydicom" / "rtdose_1frame.dcm")
    volume = volume_of([dataset])
    assert volume.rescale.unit == dataset.DoseUnits == "RELATIVE"
    wanted = dataset.pixel_array * float(dataset.DoseGridScaling)
    np.testing.assert_allclose(volume.modality()[0], wanted, rtol=1e-6)


def test_bits_above_a_frames_own_are_dropped():
    narrow, wide = StoredFormat(4, 3, signed=False), StoredFormat(6, 5, signed=False)
    words = np.full((2, 1, 2), 0xFFFF, np.uint16)
    volume = Volume(ArrayInMemory(words), StackGeometry(Verdict.NONE), StoredFormat.together([narrow, wide]))
    np.testing.assert_array_equal(volume.array()[:, 0, 0], [0xF, 0x3F])
    np.testing.assert_array_equal(volume[1], np.full((1, 2), 0x3F))
    np.testing.assert_array_equal(volume[:, :, 1:].ravel(), [0xF, 0x3F])
