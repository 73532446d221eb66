"""Descriptions, native mapping and stored bits, against pydicom and the twins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import pixels as twin
from reference.pydicom_images import Place, list_images, read_image

from pacscore.dicom import pixels
from pacscore.dicom.pixels import PixelDescription, SampleKind
from pacscore.errors import InputError, InvalidDicomError, PacscoreError, UndecodableError, UnsupportedError

LITTLE = "1.2.840.10008.1.2.1"
BIG = "1.2.840.10008.1.2.2"
BASELINE = "1.2.840.10008.1.2.4.50"
OW, OB = 0x4F57, 0x4F42
CT = PixelDescription(4, 6, 1, 1, 16, 12, 11, signed=False, photometric="MONOCHROME2")
ATTRIBUTES = {
    "Rows": 4,
    "Columns": 6,
    "SamplesPerPixel": 1,
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "PhotometricInterpretation": "MONOCHROME2",
}


def test_native_frames_of_all_real_files_equal_those_of_pydicom(data: Path) -> None:
    compared = 0
    for path in list_images(data):
        image = read_image(path)
        if image is None or image.encapsulated or image.get("Rows") is None:
            continue
        try:
            description = pixels.describe_pixels(image.get, image.transfer_syntax_uid, image.tag)
        except InvalidDicomError:
            assert path.name == "badVR.dcm"
            continue
        if path.name == "MR_truncated.dcm":
            continue
        assert description is not None
        for frame_index in {0, description.frames - 1}:
            frame = pixels.read_native_frame(
                image.value,
                frame_index,
                description,
                transfer_syntax_uid=image.transfer_syntax_uid,
                vr=image.place.vr,
            )
            expected = image.frame_by_pydicom(frame_index)
            actual = pixels.stored_values(frame, description)
            assert actual.dtype == expected.dtype.newbyteorder("="), path
            assert np.array_equal(actual, expected, equal_nan=True), path
            compared += 1
    assert compared > 100


def test_a_mapped_native_value_comes_back_byte_for_byte_from_its_array(data: Path) -> None:
    mapped = 0
    for path in list_images(data):
        image = read_image(path)
        if image is None or image.get("Rows") is None or path.name == "badVR.dcm":
            continue
        description = pixels.describe_pixels(image.get, image.transfer_syntax_uid, image.tag)
        assert description is not None
        mapping = pixels.native_mapping(description, image.place, image.transfer_syntax_uid)
        if mapping is None:
            continue
        end = len(image.value) - mapping.pad
        words = np.frombuffer(image.value[:end], mapping.dtype.newbyteorder(">" if mapping.swap else "<"))
        array = words.astype(mapping.dtype).reshape(mapping.frames, *mapping.frame_shape)
        back = array.byteswap().tobytes() if mapping.swap else array.tobytes()
        assert back + image.value[end:] == image.value, path
        frame = pixels.read_native_frame(
            image.value, 0, description, transfer_syntax_uid=image.transfer_syntax_uid, vr=image.place.vr
        )
        first = np.moveaxis(array[0], 0, -1) if description.planar else array[0]
        assert np.array_equal(first, frame, equal_nan=True), path
        mapped += 1
    assert mapped > 60


@pytest.mark.parametrize(
    ("changes", "place", "uid"),
    [
        ({}, Place(OW, 48, encapsulated=True), LITTLE),
        ({}, Place(OW, 47, encapsulated=False), LITTLE),
        ({}, Place(OW, 50, encapsulated=False), LITTLE),
        ({"bits_allocated": 1, "bits_stored": 1, "high_bit": 0}, Place(OB, 3, encapsulated=False), LITTLE),
        ({"bits_allocated": 12}, Place(OW, 36, encapsulated=False), LITTLE),
        ({"bits_allocated": 8, "bits_stored": 8, "high_bit": 7}, Place(OW, 24, encapsulated=False), BIG),
        (
            {"samples": 3, "bits_allocated": 8, "bits_stored": 8, "high_bit": 7, "photometric": "YBR_FULL_422"},
            Place(OB, 48, encapsulated=False),
            LITTLE,
        ),
    ],
)
def test_values_that_are_not_whole_words_have_no_mapping(changes: dict, place: Place, uid: str) -> None:
    assert pixels.native_mapping(replace(CT, **changes), place, uid) is None


def test_big_endian_words_are_swapped_and_bytes_in_ob_are_not() -> None:
    words = pixels.native_mapping(CT, Place(OW, 48, encapsulated=False), BIG)
    eight = replace(CT, bits_allocated=8, bits_stored=8, high_bit=7)
    octets = pixels.native_mapping(eight, Place(OB, 24, encapsulated=False), BIG)
    assert words is not None
    assert words.swap
    assert octets is not None
    assert not octets.swap


def test_planar_configuration_1_maps_to_planes_and_reads_interleaved() -> None:
    description = PixelDescription(2, 3, 3, 2, 8, 8, 7, signed=False, photometric="RGB", planar=1)
    value = bytes(range(36))
    mapping = pixels.native_mapping(description, Place(OB, 36, encapsulated=False), LITTLE)
    assert mapping is not None
    assert mapping.frame_shape == (3, 2, 3)
    frame = pixels.read_native_frame(value, 1, description, transfer_syntax_uid=LITTLE, vr=OB)
    assert frame[1, 2].tolist() == [23, 29, 35]


@given(data=st.binary(min_size=1, max_size=40), draw=st.data())
def test_unpacked_bits_equal_the_twin(data: bytes, draw: st.DataObject) -> None:
    start = draw.draw(st.integers(0, 8 * len(data)))
    count = draw.draw(st.integers(0, 8 * len(data) - start))
    unpacked = pixels.unpack_bits(np.frombuffer(data, np.uint8), start=start, count=count)
    assert unpacked.tolist() == twin.unpack_bits(data, start, count)


def test_one_bit_frames_may_begin_within_a_byte() -> None:
    description = PixelDescription(1, 5, 1, 3, 1, 1, 0, signed=False, photometric="MONOCHROME2")
    frame = pixels.read_native_frame(bytes([0b01100000, 0b1]), 1, description, transfer_syntax_uid=LITTLE, vr=OB)
    assert frame.tolist() == [[1, 1, 0, 1, 0]]
    with pytest.raises(InvalidDicomError):
        pixels.unpack_bits(np.zeros(1, np.uint8), start=4, count=5)


@pytest.mark.kernel
@settings(deadline=None)  # The first example may compile a kernel.
@given(draw=st.data())
def test_stored_values_equal_the_twin_for_every_word_type(draw: st.DataObject) -> None:
    allocated = draw.draw(st.sampled_from([8, 16, 32, 64]))
    stored = draw.draw(st.integers(1, allocated))
    high_bit = draw.draw(st.integers(stored - 1, allocated - 1))
    signed = draw.draw(st.booleans())
    description = PixelDescription(1, 1, 1, 1, allocated, stored, high_bit, signed=signed, photometric="MONOCHROME2")
    raw = draw.draw(st.lists(st.integers(0, (1 << allocated) - 1), max_size=9))
    words = np.array(raw, f"u{allocated // 8}").view(description.dtype())
    values = pixels.stored_values(words, description)
    expected = [
        twin.stored_value(word, allocated=allocated, stored=stored, high_bit=high_bit, signed=signed) for word in raw
    ]
    assert values.tolist() == expected
    assert values.dtype == words.dtype
    assert pixels.count_altered(words, description) == sum(
        value != word for value, word in zip(expected, words.tolist(), strict=True)
    )


def test_stored_values_fill_out_in_place_and_read_only_input() -> None:
    description = replace(CT, signed=True)
    words = np.array([[0x0800, 0x17FF, 0x00FF]], np.int16)
    words.flags.writeable = False
    out = np.empty_like(words)
    assert pixels.stored_values(words, description, out=out) is out
    assert out.tolist() == [[-2048, 2047, 255]]
    own = words.copy()
    pixels.stored_values(own, description, out=own)
    assert np.array_equal(own, out)
    assert pixels.count_altered(out, description) == 0


def test_words_of_which_every_bit_is_stored_are_returned_as_they_are() -> None:
    whole = replace(CT, bits_stored=16, high_bit=15)
    words = np.arange(3, dtype=np.uint16)
    assert pixels.stored_values(words, whole) is words
    out = np.empty_like(words)
    assert pixels.stored_values(words, whole, out=out).tolist() == [0, 1, 2]
    number = PixelDescription(1, 1, 1, 1, 32, 32, 31, signed=True, photometric="MONOCHROME2", kind=SampleKind.FLOAT)
    floats = np.array([np.nan, -1.5], np.float32)
    assert pixels.stored_values(floats, number) is floats
    assert pixels.count_altered(floats, number) == 0


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (np.zeros(3, np.int16), None),
        (np.zeros(3, ">u2"), None),
        (np.zeros(3, np.uint16), np.zeros(2, np.uint16)),
        (np.zeros(3, np.uint16), np.zeros(3, np.int16)),
        (np.zeros(3, np.uint16), np.zeros(6, np.uint16)[::2]),
    ],
)
def test_wrong_words_or_out_are_refused(words: np.ndarray, out: np.ndarray | None) -> None:
    with pytest.raises(InputError):
        pixels.stored_values(words, CT, out=out)


def test_out_that_overlaps_words_in_part_is_refused() -> None:
    both = np.zeros(5, np.uint16)
    with pytest.raises(InputError, match="overlaps"):
        pixels.stored_values(both[:4], CT, out=both[1:])


def test_no_pixel_data_element_means_no_description() -> None:
    assert pixels.describe_pixels(ATTRIBUTES.get, LITTLE, None) is None


def test_what_writers_leave_out_is_as_the_standard_implies() -> None:
    few = {"Rows": 4, "Columns": 6, "BitsAllocated": 16, "NumberOfFrames": None}
    description = pixels.describe_pixels(few.get, LITTLE)
    assert description == PixelDescription(4, 6, 1, 1, 16, 16, 15, signed=False, photometric="")


def test_planar_configuration_has_no_meaning_for_compressed_frames() -> None:
    color = ATTRIBUTES | {"SamplesPerPixel": 3, "PlanarConfiguration": 1}
    native = pixels.describe_pixels(color.get, LITTLE)
    compressed = pixels.describe_pixels(color.get, BASELINE)
    assert native is not None
    assert native.planar == 1
    assert compressed is not None
    assert compressed.planar == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"Rows": None},
        {"Columns": 0},
        {"Rows": 65536},
        {"BitsAllocated": None},
        {"BitsAllocated": 65},
        {"BitsStored": 17},
        {"HighBit": 10},
        {"HighBit": 16},
        {"SamplesPerPixel": 5},
        {"PixelRepresentation": 2},
        {"NumberOfFrames": "1A"},
        {"NumberOfFrames": -1},
        {"Rows": [4, 4]},
        {"Rows": 4.0},
    ],
)
def test_contradicting_attributes_are_an_error_that_names_them_and_not_their_text(changes: dict) -> None:
    with pytest.raises(InvalidDicomError) as caught:
        pixels.describe_pixels((ATTRIBUTES | changes).get, LITTLE)
    assert "1A" not in str(caught.value)
    assert "(0028," in str(caught.value)


@pytest.mark.parametrize(("tag", "allocated", "dtype"), [(0x7FE00008, 32, np.float32), (0x7FE00009, 64, np.float64)])
def test_float_pixel_data_has_a_float_dtype(tag: int, allocated: int, dtype: type) -> None:
    attributes = {"Rows": 2, "Columns": 2, "BitsAllocated": allocated}
    description = pixels.describe_pixels(attributes.get, LITTLE, tag)
    assert description is not None
    assert description.dtype() == dtype
    with pytest.raises(InvalidDicomError):
        pixels.describe_pixels((attributes | {"BitsAllocated": 16}).get, LITTLE, tag)


def test_packed_words_have_no_dtype_and_say_so() -> None:
    with pytest.raises(UnsupportedError, match="Bits Allocated"):
        replace(CT, bits_allocated=12).dtype()


def test_a_frame_beyond_the_last_or_beyond_the_bytes_is_refused() -> None:
    with pytest.raises(InputError, match="no frame with index 1"):
        pixels.read_native_frame(bytes(48), 1, CT, transfer_syntax_uid=LITTLE)
    with pytest.raises(InvalidDicomError, match="cut"):
        pixels.read_native_frame(bytes(47), 0, CT, transfer_syntax_uid=LITTLE)
    odd = PixelDescription(2, 3, 3, 1, 8, 8, 7, signed=False, photometric="YBR_FULL_422")
    with pytest.raises(UndecodableError):
        pixels.read_native_frame(bytes(12), 0, odd, transfer_syntax_uid=LITTLE)


@settings(deadline=None)  # The first example may compile a kernel.
@given(
    value=st.binary(max_size=64),
    bits=st.sampled_from([1, 8, 16, 32, 64]),
    samples=st.integers(1, 4),
    photometric=st.sampled_from(["MONOCHROME2", "RGB", "YBR_FULL_422"]),
    big=st.booleans(),
)
def test_short_and_odd_values_raise_only_our_errors(
    value: bytes, bits: int, samples: int, photometric: str, big: bool
) -> None:
    description = PixelDescription(2, 2, samples, 2, bits, bits, bits - 1, signed=False, photometric=photometric)
    try:
        frame = pixels.read_native_frame(value, 1, description, transfer_syntax_uid=BIG if big else LITTLE)
    except PacscoreError:
        return
    assert frame.shape == description.frame_shape()
