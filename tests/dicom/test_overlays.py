"""Overlay planes: of their own, in high bits, of several frames, cut, and real ones against pydicom."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from pacscore.dicom.attributes import Header
from pacscore.dicom.overlays import read_overlays
from pacscore.dicom.scan import scan
from pacscore.errors import InvalidDicomError


def header_of(dataset: Dataset) -> Header:
    buffer = BytesIO()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    dataset.save_as(buffer, enforce_file_format=True)
    data = buffer.getvalue()
    return Header(data, scan(data))


def plane(group: int, **values: object) -> Dataset:
    dataset = Dataset()
    places = {"rows": (0x10, "US"), "columns": (0x11, "US"), "frames": (0x15, "IS"), "kind": (0x40, "CS"),
              "origin": (0x50, "SS"), "first": (0x51, "US"), "allocated": (0x100, "US"), "position": (0x102, "US"),
              "label": (0x1500, "LO"), "data": (0x3000, "OW")}  # fmt: skip
    for name, value in values.items():
        element, vr = places[name]
        dataset.add_new((group, element), vr, value)
    return dataset


def packed(bits: np.ndarray) -> bytes:
    raw = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    return raw + b"\0" * (len(raw) % 2)


def no_words() -> np.ndarray:
    raise AssertionError("the pixels were read")


def test_planes_of_their_own_are_unpacked_frame_by_frame():
    bits = np.random.default_rng(40).random((3, 5, 7)) < 0.5
    dataset = plane(0x6000, rows=5, columns=7, frames=3, first=2, kind="R", origin=[-3, 4], allocated=1, position=0,
                    label="marks", data=packed(bits))  # fmt: skip
    header = header_of(dataset)
    for frame in range(5):
        found = read_overlays(header, frame, no_words)
        if frame in (1, 2, 3):
            (overlay,) = found
            np.testing.assert_array_equal(overlay.bits, bits[frame - 1])
            assert (overlay.group, overlay.origin, overlay.kind, overlay.label) == (0x6000, (-4, 3), "R", "marks")
        else:
            assert found == ()


def test_planes_in_high_bits_are_taken_from_the_words():
    words = np.random.default_rng(41).integers(0, 65536, (4, 6)).astype(np.uint16)
    header = header_of(plane(0x6002, rows=4, columns=6, kind="G", origin=[1, 1], allocated=16, position=12))
    (overlay,) = read_overlays(header, 0, lambda: words)
    np.testing.assert_array_equal(overlay.bits, (words >> 12) & 1)
    (signed,) = read_overlays(header, 0, lambda: words.view(np.int16))
    np.testing.assert_array_equal(signed.bits, overlay.bits)
    for wrong in (np.zeros((3, 6), np.uint16), np.zeros((4, 6), np.uint8)):
        with pytest.raises(InvalidDicomError, match="bit 12"):
            read_overlays(header, 0, lambda wrong=wrong: wrong)


def test_short_data_is_refused_and_empty_groups_are_none():
    header = header_of(plane(0x6000, rows=50, columns=70, allocated=1, position=0, data=b"\1\2"))
    with pytest.raises(InvalidDicomError, match="too few"):
        read_overlays(header, 0, no_words)
    assert read_overlays(header_of(plane(0x6000, kind="G")), 0, no_words) == ()
    assert read_overlays(header_of(Dataset()), 0, no_words) == ()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "name",
    ["nibabel/slicethickness_empty_string.dcm", "fo-dicom/OutOfBoundsOverlay.dcm", "pydicom/examples_overlay.dcm"],
)
def test_real_overlays_are_those_pydicom_reads(data, name):
    path = data / "single" / name
    raw = path.read_bytes()
    dataset = pydicom.dcmread(path)
    found = read_overlays(Header(raw, scan(raw)), 0, no_words)
    assert found
    for overlay in found:
        np.testing.assert_array_equal(overlay.bits, dataset.overlay_array(overlay.group).astype(bool))
        assert [place + 1 for place in overlay.origin] == list(dataset[overlay.group, 0x50].value)
