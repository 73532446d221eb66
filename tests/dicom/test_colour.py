"""Colors: YBR to RGB against the Standard's own forward formula, palettes against pydicom, real files against both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from reference import pixels as twin
from reference.pydicom_images import list_images, read_image

from pacscore.dicom import colour
from pacscore.dicom.colour import Palette
from pacscore.dicom.encapsulated import map_frames
from pacscore.dicom.pixels import PixelDescription, describe_pixels, read_native_frame
from pacscore.errors import InputError, InvalidDicomError, PacscoreError, UnsupportedError

LITTLE, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
BASELINE, JPEG_2000, JPEG_XL = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.111"
COLOR = PixelDescription(1, 2, 3, 1, 8, 8, 7, signed=False, photometric="RGB")


def test_rgb_of_all_real_color_files_equals_that_of_pydicom(data: Path) -> None:
    seen: dict[str, int] = {}
    for path in list_images(data):
        image = read_image(path)
        if image is None or image.get("PhotometricInterpretation") in (None, "MONOCHROME1", "MONOCHROME2"):
            continue
        uid = image.transfer_syntax_uid
        description = describe_pixels(image.get, uid, image.tag)
        if description is None or uid == JPEG_XL:
            continue
        palette = colour.read_palette(image.get, image.get_bytes, signed=description.signed, transfer_syntax_uid=uid)
        if image.encapsulated:
            frame = map_frames(image.value, description.frames, uid).frame(image.value, 0)
            rgb = colour.decode_frame_rgb(frame, description, uid, palette)
        else:
            words = read_native_frame(image.value, 0, description, transfer_syntax_uid=uid, vr=image.place.vr)
            rgb = colour.to_rgb(words, description, uid, palette)
        expected = image.frame_by_pydicom(0, raw=False)
        if description.photometric == "PALETTE COLOR":
            expected = pydicom.pixels.apply_color_lut(expected, image.dataset)
        if description.bits_stored == 32:
            expected = expected >> 16
        # pydicom multiplies by a matrix of rounded weights; a value on the edge may fall to the other side.
        tolerance = 1 if "YBR" in description.photometric else 0
        assert rgb.dtype.itemsize == (1 if rgb.dtype == np.uint8 else 2)
        assert np.abs(rgb.astype(np.int64) - expected).max() <= tolerance, path
        seen[description.photometric] = seen.get(description.photometric, 0) + 1
    assert set(seen) == {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "PALETTE COLOR"}
    assert sum(seen.values()) > 30


def test_jpeg_xl_frames_come_out_as_rgb(data: Path) -> None:
    image = read_image(data / "single" / "dcm4che" / "will-jxl.dcm")
    assert image is not None
    description = describe_pixels(image.get, JPEG_XL)
    assert description is not None
    frame = map_frames(image.value, description.frames, JPEG_XL).frame(image.value, 0)
    rgb = colour.decode_frame_rgb(frame, description, JPEG_XL)
    assert rgb.shape == (708, 1016, 3)
    assert rgb[0, 0].tolist() == [0, 0, 0]  # The black border; read as YBR_FULL it would be green.


@pytest.mark.kernel
@settings(deadline=None)  # The first example may compile a kernel.
@given(
    ybr=hypothesis_numpy.arrays(
        np.uint16, hypothesis_numpy.array_shapes(max_dims=2, max_side=9).map(lambda s: (*s, 3))
    ),
    bits=st.integers(2, 16),
)
def test_ybr_full_to_rgb_inverts_the_formula_of_the_standard(ybr: np.ndarray, bits: int) -> None:
    ybr &= (1 << bits) - 1
    if bits <= 8:
        ybr = ybr.astype(np.uint8)
    rgb = colour.ybr_full_to_rgb(ybr, bits=bits)
    assert rgb.dtype == ybr.dtype
    # Rounded to nearest: within half a step of the exact value, and 1e-6 for a tie seen from the other side.
    assert np.abs(rgb - twin.ybr_to_rgb_exact(ybr, bits)).max(initial=0) <= 0.5 + 1e-6


def test_every_eight_bit_rgb_survives_the_way_to_ybr_and_back_within_two() -> None:
    steps = np.arange(0, 256, 5)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    ybr = np.clip(np.rint(rgb @ twin.RGB_TO_YBR.T + [0, 128, 128]), 0, 255).astype(np.uint8)
    assert np.abs(colour.ybr_full_to_rgb(ybr, bits=8).astype(int) - rgb).max() <= 2


@pytest.mark.parametrize("ybr", [np.zeros((2, 4), np.uint8), np.zeros((2, 3), np.int16), np.zeros((), np.uint8)])
def test_ybr_of_another_shape_or_dtype_is_refused(ybr: np.ndarray) -> None:
    with pytest.raises(InputError):
        colour.ybr_full_to_rgb(ybr, bits=8)


def test_grayscale_is_for_windowing_and_other_models_are_named() -> None:
    frame = np.zeros((1, 2, 3), np.uint8)
    with pytest.raises(InputError, match="window"):
        colour.to_rgb(frame[..., 0], replace(COLOR, samples=1, photometric="MONOCHROME1"), LITTLE)
    for photometric in ("YBR_PARTIAL_420", "HSV", ""):
        with pytest.raises(UnsupportedError):
            colour.to_rgb(frame, replace(COLOR, photometric=photometric), LITTLE)
    with pytest.raises(UnsupportedError, match="signed"):
        colour.to_rgb(frame.view(np.int8), replace(COLOR, signed=True), LITTLE)
    with pytest.raises(InputError, match="palette"):
        colour.to_rgb(frame[..., 0], replace(COLOR, samples=1, photometric="PALETTE COLOR"), LITTLE)


def test_deep_colors_keep_their_bits_up_to_sixteen() -> None:
    twelve = PixelDescription(1, 1, 3, 1, 16, 12, 11, signed=False, photometric="RGB")
    words = np.array([[[0xF001, 0x0FFF, 7]]], np.uint16)
    assert colour.to_rgb(words, twelve, LITTLE).tolist() == [[[1, 4095, 7]]]
    eight = replace(twelve, bits_stored=8, high_bit=7)
    assert colour.to_rgb(words & 0xFF, eight, LITTLE).dtype == np.uint8
    long = PixelDescription(1, 1, 3, 1, 32, 32, 31, signed=False, photometric="RGB")
    assert colour.to_rgb(np.array([[[2**32 - 1, 65536, 3]]], np.uint32), long, LITTLE).tolist() == [[[65535, 1, 0]]]


def palette_attributes(bits: int, first: int, *tables: list[int], packed: bool = True, big: bool = False) -> dict:
    dtype = np.uint8 if bits == 8 and packed else np.dtype(">u2" if big else "<u2")
    attributes: dict = {}
    for color, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        data = np.array(table, dtype).tobytes()
        if big and dtype == np.uint8:
            data = np.frombuffer(data, np.uint16).byteswap().tobytes()
        attributes[f"{color}PaletteColorLookupTableDescriptor"] = [len(table) % 65536, first, bits]
        attributes[f"{color}PaletteColorLookupTableData"] = data
    return attributes


@pytest.mark.parametrize(("bits", "packed"), [(8, True), (8, False), (16, True)])
@pytest.mark.parametrize("big", [False, True])
def test_palettes_of_every_width_and_byte_order_are_read(bits: int, packed: bool, big: bool) -> None:
    tables = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 200]]
    attributes = palette_attributes(bits, 2, *tables, packed=packed, big=big)
    palette = colour.read_palette(
        attributes.get, attributes.get, signed=False, transfer_syntax_uid=BIG if big else LITTLE
    )
    assert palette is not None
    assert palette.first == 2
    assert palette.table.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert palette.table.T.tolist() == tables


def test_values_outside_the_palette_map_to_its_ends() -> None:
    palette = Palette(-1, np.array([[1, 1, 1], [2, 2, 2], [3, 3, 3]], np.uint8))
    assert colour.apply_palette(np.array([[-9, -1, 0, 1, 99]]), palette)[0, :, 0].tolist() == [1, 1, 2, 3, 3]


def test_descriptors_are_read_by_pixel_representation_whatever_their_vr() -> None:
    attributes = palette_attributes(8, 0xFFFE, [1, 2], [1, 2], [1, 2])
    for first in (0xFFFE, -2):
        for color in ("Red", "Green", "Blue"):
            attributes[f"{color}PaletteColorLookupTableDescriptor"] = [2, first, 8]
        signed = colour.read_palette(attributes.get, attributes.get, signed=True, transfer_syntax_uid=LITTLE)
        unsigned = colour.read_palette(attributes.get, attributes.get, signed=False, transfer_syntax_uid=LITTLE)
        assert signed is not None
        assert signed.first == -2
        assert unsigned is not None
        assert unsigned.first == 0xFFFE


def test_zero_entries_mean_65536() -> None:
    table = list(range(65536))
    attributes = palette_attributes(16, 0, table, table, table)
    palette = colour.read_palette(attributes.get, attributes.get, signed=False, transfer_syntax_uid=LITTLE)
    assert palette is not None
    assert len(palette.table) == 65536


def test_no_descriptor_means_no_palette() -> None:
    assert colour.read_palette({}.get, {}.get, signed=False, transfer_syntax_uid=LITTLE) is None


@pytest.mark.parametrize(
    "change",
    [
        {"RedPaletteColorLookupTableDescriptor": [4, 0]},
        {"RedPaletteColorLookupTableDescriptor": "free text"},
        {"RedPaletteColorLookupTableDescriptor": [4, 0, 12]},
        {"RedPaletteColorLookupTableDescriptor": [4, 1, 8]},
        {"RedPaletteColorLookupTableDescriptor": [3, 0, 8]},
        {"RedPaletteColorLookupTableDescriptor": [4, 0, 16]},
        {"GreenPaletteColorLookupTableDescriptor": None},
        {"BluePaletteColorLookupTableData": None},
        {"BluePaletteColorLookupTableData": b"ab"},
    ],
)
def test_malformed_palettes_are_errors(change: dict) -> None:
    attributes = palette_attributes(8, 0, *[[1, 2, 3, 4]] * 3) | change
    with pytest.raises(InvalidDicomError):
        colour.read_palette(attributes.get, attributes.get, signed=False, transfer_syntax_uid=LITTLE)


def test_segmented_tables_of_real_palettes_expand_as_in_pydicom(data: Path) -> None:
    dataset = pydicom.dcmread(data / "single" / "pydicom" / "fall.dcm")
    for name in ("fall.dcm", "spring.dcm", "summer.dcm", "winter.dcm"):
        dataset = pydicom.dcmread(pydicom.data.get_palette_files(name)[0])
        palette = colour.read_palette(
            lambda keyword, source=dataset: list(source.get(keyword)) if keyword in source else None,
            dataset.get,
            signed=False,
            transfer_syntax_uid=LITTLE,
        )
        assert palette is not None
        values = np.arange(256, dtype=np.uint8).reshape(16, 16)
        expected = pydicom.pixels.apply_color_lut(values, dataset)[..., :3]
        # pydicom cuts linear segments off where the Standard leaves the rounding open.
        assert np.abs(colour.apply_palette(values, palette).astype(int) - expected).max() <= 1


def test_indirect_segments_repeat_what_they_point_at() -> None:
    words = np.array([0, 2, 10, 20, 1, 2, 40, 2, 2, 0, 0], np.uint16)
    # A discrete segment of two, a linear one of two, and again both, from byte 0.
    assert colour.expand_segments(words, 8).tolist() == [10, 20, 30, 40, 10, 20, 30, 40]
    octets = np.array([0, 2, 10, 20, 1, 2, 40, 2, 1, 4, 0, 0, 0, 0], np.uint8)
    # Only the linear one again, from byte 4, now on from 40; then a pad byte.
    assert colour.expand_segments(octets, 6).tolist() == [10, 20, 30, 40, 40, 40]
    again = np.array([0, 1, 7, 0, 1, 9, 2, 1, 6, 0], np.uint16)
    assert colour.expand_segments(again, 3).tolist() == [7, 9, 9]


@pytest.mark.parametrize(
    ("words", "entries"),
    [
        ([0, 2, 10], 2),
        ([0, 2, 10, 20], 3),
        ([0, 2, 10, 20], 1),
        ([1, 2, 10], 2),
        ([3, 1, 1], 1),
        ([0, 1, 5, 2, 1, 1, 0], 2),
        ([2, 1, 0, 0], 1),
        ([0, 1, 5, 2, 2, 0, 0], 3),
        ([0, 1, 5, 2, 1], 2),
        ([0, 0, 0, 1, 5], 1),
        ([], 1),
    ],
)
def test_malformed_segments_are_errors(words: list[int], entries: int) -> None:
    with pytest.raises(InvalidDicomError, match=r"[Ss]egment"):
        colour.expand_segments(np.array(words, np.uint16), entries)


@given(
    words=st.one_of(
        hypothesis_numpy.arrays(np.uint16, st.integers(0, 30), elements=st.integers(0, 6)),
        hypothesis_numpy.arrays(np.uint8, st.integers(0, 30)),
    ),
    entries=st.integers(1, 70),
)
def test_noise_in_segments_raises_only_our_errors(words: np.ndarray, entries: int) -> None:
    try:
        assert len(colour.expand_segments(words, entries)) == entries
    except PacscoreError:
        return
