"""What headers say about values, classic and enhanced, right and wrong."""

from __future__ import annotations

import numpy as np
import pytest

from pacscore.errors import InputError, UnsupportedError
from pacscore.imaging import Window, read_attributes
from pacscore.imaging.records import attributes_from_record, attributes_record

CT = {
    "Modality": "CT",
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "RescaleSlope": 1.0,
    "RescaleIntercept": -1024.0,
    "WindowCenter": [40.0, 300.0],
    "WindowWidth": [400.0, 1500.0],
    "WindowCenterWidthExplanation": ["SOFT", "BONE"],
}


def test_a_classic_header_gives_bits_rescale_and_windows():
    found = read_attributes([(CT, 0)] * 3)
    assert (found.stored.bits_stored, found.stored.high_bit, found.stored.signed) == (12, 11, False)
    assert (found.rescale.slopes.tolist(), found.rescale.intercepts.tolist()) == ([1.0], [-1024.0])
    assert found.rescale.unit == "HU"
    assert found.presentation.windows == ((Window(40, 400, explanation="SOFT"), Window(300, 1500, explanation="BONE")),)


@pytest.mark.parametrize(
    ("image_type", "as_seen"),
    [
        (["DERIVED", "SECONDARY", "PROJECTION IMAGE"], True),
        (["DERIVED", "SECONDARY", "AXIAL", "PROJECTION IMAGE"], True),
        (["DERIVED", "PROJECTION IMAGE", "AXIAL"], False),
        (["ORIGINAL", "PRIMARY", "AXIAL"], False),
        ("PROJECTION IMAGE", False),
    ],
)
def test_image_type_says_whether_frames_are_views(image_type, as_seen):
    found = read_attributes([({**CT, "ImageType": image_type}, 0)])
    assert found.presentation.as_seen == as_seen
    assert attributes_from_record(attributes_record(found)).presentation.as_seen == as_seen


def test_slopes_that_differ_are_kept_per_frame():
    headers = [({**CT, "Modality": "PT", "Units": "BQML", "RescaleSlope": slope}, 0) for slope in (0.5, 0.25)]
    rescale = read_attributes(headers).rescale
    assert (rescale.slopes.tolist(), rescale.unit) == ([0.5, 0.25], "BQML")
    np.testing.assert_array_equal(rescale.apply(np.array([[2], [4]], np.int16)), [[-1023], [-1023]])


def test_per_frame_groups_speak_before_shared_ones_and_those_before_the_root():
    def pixel_values(slope):
        return {"PixelValueTransformationSequence": [{"RescaleSlope": slope, "RescaleIntercept": 0.0}]}

    enhanced = {
        "Modality": "MR",
        "BitsAllocated": 16,
        "SharedFunctionalGroupsSequence": [
            {**pixel_values(2.0), "FrameVOILUTSequence": [{"WindowCenter": 50.0, "WindowWidth": 100.0}]}
        ],
        "PerFrameFunctionalGroupsSequence": [{}, pixel_values(3.0)],
        "RescaleSlope": 9.0,
    }
    found = read_attributes([(enhanced, 0), (enhanced, 1)])
    assert found.rescale.slopes.tolist() == [2.0, 3.0]
    assert found.presentation.windows == ((Window(50, 100),),)


def test_a_wrong_window_is_put_aside_and_named():
    found = read_attributes([({**CT, "WindowWidth": [0.5, 1500.0]}, 0)])
    assert [window.width for window in found.presentation.windows[0]] == [1500.0]
    assert any("(0028,1051)" in finding for finding in found.presentation.findings)


@pytest.mark.parametrize(
    ("center", "width"), [("x", 400.0), ([40.0, 50.0], 400.0), (None, 400.0), (40.0, float("nan"))]
)
def test_no_header_of_windows_crashes(center, width):
    read_attributes([({**CT, "WindowCenter": center, "WindowWidth": width}, 0)])


@pytest.mark.parametrize("slope", ["abc", [1.0, 2.0], float("inf")])
def test_a_slope_that_is_no_number_makes_modality_values_an_error_not_a_guess(slope):
    rescale = read_attributes([({**CT, "RescaleSlope": slope}, 0)]).rescale
    with pytest.raises(UnsupportedError, match="RescaleSlope"):
        rescale.apply(np.zeros((1, 2), np.int16))


def test_a_modality_lut_replaces_slope_and_intercept():
    lut = [{"LUTDescriptor": [3, 65535, 16], "LUTData": [10, 20, 30]}]
    rescale = read_attributes([({**CT, "PixelRepresentation": 1, "ModalityLUTSequence": lut}, 0)]).rescale
    # The first value mapped is signed where the pixels are: 65535 is -1.
    assert rescale.apply(np.array([[-5, -1, 0, 1, 9]], np.int16)).tolist() == [[10, 10, 20, 30, 30]]


@pytest.mark.parametrize("lut", [{}, {"LUTDescriptor": [3, 0, 16]}, {"LUTDescriptor": [3, 0, 16], "LUTData": [1]}])
def test_a_lut_without_its_data_is_an_error_not_a_guess(lut):
    with pytest.raises(UnsupportedError, match="Modality LUT"):
        read_attributes([({**CT, "ModalityLUTSequence": [lut]}, 0)]).rescale.apply(np.zeros((1, 1), np.int16))


def test_lut_data_may_be_bytes():
    lut = [{"LUTDescriptor": [2, 0, 16], "LUTData": b"\x01\x00\x00\x01"}]
    rescale = read_attributes([({**CT, "ModalityLUTSequence": lut}, 0)]).rescale
    assert rescale.apply(np.array([[0, 1]], np.uint16)).tolist() == [[1, 256]]


def test_padding_and_aspect_are_read():
    header = {**CT, "PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1990, "PixelAspectRatio": [2, 1]}
    presentation = read_attributes([(header, 0)]).presentation
    assert (presentation.padding, presentation.pixel_aspect) == ((-2000.0, -1990.0), 2.0)


@pytest.mark.parametrize("ratio", [[0, 1], [1], "1", [-1, 1]])
def test_a_wrong_aspect_is_named(ratio):
    presentation = read_attributes([({**CT, "PixelAspectRatio": ratio}, 0)]).presentation
    assert presentation.pixel_aspect == 1.0
    assert presentation.findings


def test_no_frame_and_no_bits_are_errors():
    with pytest.raises(InputError):
        read_attributes([])
    with pytest.raises(InputError, match="Bits Allocated"):
        read_attributes([({}, 0)])


def test_most_frames_decide_the_window_of_a_stack():
    headers = [({**CT, "WindowCenter": center, "WindowWidth": 100.0}, 0) for center in (35.0, 35.0, 50.0)]
    presentation = read_attributes(headers).presentation
    assert presentation.shared_window(3) == Window(35, 100, explanation="SOFT")
    assert presentation.frames(slice(1, 3)).shared_window(2) is None
    assert presentation.frame_window(2) == Window(50, 100, explanation="SOFT")
