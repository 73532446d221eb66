"""Lossless encoders, against other people's decoders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from pacscore.dicom.description import PixelDescription
from pacscore.dicom.encoding import (
    JPEG_2000_LOSSLESS,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
    encodable_syntaxes,
    encode_frame,
)
from pacscore.errors import UnsupportedError

RNG = np.random.default_rng(3)


def _described(frame: NDArray[Any], bits: int) -> PixelDescription:
    samples = frame.shape[2] if frame.ndim == 3 else 1
    photometric = "RGB" if samples == 3 else "MONOCHROME2"
    signed = frame.dtype.kind == "i"
    return PixelDescription(
        frame.shape[0], frame.shape[1], samples, 1, 8 * frame.dtype.itemsize, bits, bits - 1, signed, photometric
    )


def _decoded_by_pydicom(data: bytes, description: PixelDescription, syntax: str) -> NDArray[Any]:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.Rows, made.Columns, made.SamplesPerPixel = description.rows, description.columns, description.samples
    made.BitsAllocated, made.BitsStored = description.bits_allocated, description.bits_stored
    made.HighBit, made.PixelRepresentation = description.high_bit, int(description.signed)
    made.PhotometricInterpretation = description.photometric
    if description.samples > 1:
        made.PlanarConfiguration = 0
    made.PixelData = encapsulate([data])
    made["PixelData"].is_undefined_length = True
    found: NDArray[Any] = made.pixel_array
    return found


FRAMES = {
    "8-bit noise": (RNG.integers(0, 256, (37, 41)).astype(np.uint8), 8),
    "16-bit signed": (RNG.integers(-32768, 32768, (33, 16)).astype(np.int16), 16),
    "12 bits in 16": (RNG.integers(0, 4096, (20, 31)).astype(np.uint16), 12),
    "12 bits signed": (RNG.integers(-2048, 2048, (20, 31)).astype(np.int16), 12),
    "color": (RNG.integers(0, 256, (19, 23, 3)).astype(np.uint8), 8),
    "one pixel": (np.array([[7]], np.uint16), 16),
    "constant": (np.full((64, 64), 1000, np.uint16), 16),
}


@pytest.mark.parametrize("syntax", [RLE_LOSSLESS, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS])
@pytest.mark.parametrize("which", FRAMES)
def test_another_decoder_gives_the_words_that_were_encoded(which: str, syntax: str) -> None:
    frame, bits = FRAMES[which]
    description = _described(frame, bits)
    if syntax == JPEG_LS_LOSSLESS and bits != 8 * frame.dtype.itemsize:
        with pytest.raises(UnsupportedError):  # Its codestream would state a depth that is not the object's.
            encode_frame(frame, description, syntax)
        return
    if which == "one pixel" and syntax != RLE_LOSSLESS:
        pytest.skip("decoders disagree on images of one pixel (until 2027-12-31)")
    data = encode_frame(frame, description, syntax)
    np.testing.assert_array_equal(_decoded_by_pydicom(data, description, syntax), frame)


def test_words_beyond_bits_stored_are_refused_rather_than_cut() -> None:
    frame = np.full((8, 8), 0x8001, np.uint16)
    with pytest.raises(UnsupportedError, match=r"would change|cannot be encoded"):
        encode_frame(frame, _described(frame, 12), JPEG_2000_LOSSLESS)


def test_what_is_no_encodable_syntax_or_word_is_refused() -> None:
    frame = np.zeros((4, 4), np.uint16)
    assert set(encodable_syntaxes()) == {RLE_LOSSLESS, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS}
    with pytest.raises(UnsupportedError):
        encode_frame(frame, _described(frame, 16), "1.2.840.10008.1.2.4.50")
    wide = np.zeros((4, 4), np.uint32)
    with pytest.raises(UnsupportedError):
        encode_frame(wide, _described(wide, 32), RLE_LOSSLESS)
