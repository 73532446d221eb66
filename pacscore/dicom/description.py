"""The Image Pixel attributes of an object as one checked value (PS3.3 C.7.6.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from pacscore.dicom.codestream import FrameFormat, frame_format
from pacscore.errors import InvalidDicomError, UnsupportedError

FLOAT_PIXEL_DATA = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA = 0x7FE00009
PIXEL_DATA = 0x7FE00010

PIXEL_KEYWORDS = frozenset({
    "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PhotometricInterpretation", "PlanarConfiguration",
})  # fmt: skip
"""What ``describe_pixels`` asks for."""


class SampleKind(StrEnum):
    """Whether samples are integers (7FE0,0010) or IEEE 754 numbers (7FE0,0008) and (7FE0,0009)."""

    INT = "int"
    FLOAT = "float"


@dataclass(frozen=True, slots=True)
class PixelDescription:
    """The Image Pixel attributes of one object, checked against each other (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: int = 0
    kind: SampleKind = SampleKind.INT

    def dtype(self) -> np.dtype[Any]:
        """The type of a stored word in native byte order; of one bit: uint8, as unpacked.

        Raises
        ------
        UnsupportedError
            Bits Allocated is not 1, 8, 16, 32 or 64 (ACR-NEMA packed 12 bits into words).
        """
        if self.kind is SampleKind.FLOAT:
            return np.dtype(f"f{self.bits_allocated // 8}")
        if self.bits_allocated == 1:
            return np.dtype(np.uint8)
        if self.bits_allocated not in (8, 16, 32, 64):
            raise UnsupportedError(
                f"Bits Allocated (0028,0100) is {self.bits_allocated}; 1, 8, 16, 32 and 64 can be read as samples. "
                "Fetch the stored bytes instead.",
                tag="00280100",
                found=self.bits_allocated,
            )
        return np.dtype(f"{'i' if self.signed else 'u'}{self.bits_allocated // 8}")

    def frame_shape(self) -> tuple[int, ...]:
        """(rows, columns), or (rows, columns, samples) where there are several samples."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)

    def sample_count(self) -> int:
        """Samples in one frame."""
        return self.rows * self.columns * self.samples

    def frame_bytes(self) -> int:
        """Bytes of one decoded frame as whole words; of one-bit samples rounded up to a byte.

        Native one-bit frames follow each other without padding, so that a frame may begin within a byte (PS3.5 8.1.1);
        native YBR_FULL_422 frames take two thirds of this.
        """
        return -(-self.sample_count() * self.bits_allocated // 8)


def describe_pixels(
    get: Callable[[str], object], transfer_syntax_uid: str, pixel_tag: int | None = PIXEL_DATA
) -> PixelDescription | None:
    """Read the Image Pixel attributes through ``get``, or return None for an object without pixel data.

    Parameters
    ----------
    get
        The decoded value of a top-level keyword, or None when absent or empty; ``Header.get`` is one.
    transfer_syntax_uid
        Compressed frames always decode color-by-pixel, whatever Planar Configuration says.
    pixel_tag
        The tag of the pixel data element; None if the object has none.

    Raises
    ------
    InvalidDicomError
        An attribute is missing, not a number, out of range, or contradicts another. Such an object can be kept as
        bytes; its frames cannot be decoded.

    Notes
    -----
    What real writers leave out is taken as the Standard implies it, and only that: Number of Frames absent, empty or 0
    is 1, Samples per Pixel 1, Planar Configuration and Pixel Representation 0, Bits Stored is Bits Allocated,
    High Bit is Bits Stored - 1. Source: PS3.3 C.7.6.3, C.7.6.24, C.7.6.25.
    """
    if pixel_tag is None:
        return None
    rows = _number(get, "Rows", 0x00280010, 1, 65535)
    columns = _number(get, "Columns", 0x00280011, 1, 65535)
    samples = _number(get, "SamplesPerPixel", 0x00280002, 1, 4, absent=1)
    frames = _number(get, "NumberOfFrames", 0x00280008, 0, 2**31 - 1, absent=1) or 1
    allocated = _number(get, "BitsAllocated", 0x00280100, 1, 64)
    photometric = get("PhotometricInterpretation")
    photometric = photometric.strip() if isinstance(photometric, str) else ""
    planar = 0
    if samples > 1 and frame_format(transfer_syntax_uid) in (None, FrameFormat.NATIVE, FrameFormat.DEFLATED):
        planar = _number(get, "PlanarConfiguration", 0x00280006, 0, 1, absent=0)
    if pixel_tag in (FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA):
        expected = 32 if pixel_tag == FLOAT_PIXEL_DATA else 64
        if allocated != expected:
            raise _contradiction("Bits Allocated (0028,0100)", allocated, f"{expected} for this pixel data element")
        return PixelDescription(
            rows,
            columns,
            samples,
            frames,
            expected,
            expected,
            expected - 1,
            True,
            photometric,
            planar,
            SampleKind.FLOAT,
        )
    stored = _number(get, "BitsStored", 0x00280101, 1, 64, absent=allocated)
    high = _number(get, "HighBit", 0x00280102, 0, 63, absent=stored - 1)
    signed = _number(get, "PixelRepresentation", 0x00280103, 0, 1, absent=0) == 1
    if stored > allocated:
        raise _contradiction("Bits Stored (0028,0101)", stored, f"at most Bits Allocated, which is {allocated}")
    if not stored - 1 <= high < allocated:
        raise _contradiction("High Bit (0028,0102)", high, f"{stored - 1} to {allocated - 1} for {stored} stored bits")
    return PixelDescription(
        rows, columns, samples, frames, allocated, stored, high, signed, photometric, planar, SampleKind.INT
    )


def _number(
    get: Callable[[str], object], keyword: str, tag: int, low: int, high: int, *, absent: int | None = None
) -> int:
    value = get(keyword)
    if value is None or value == "":
        if absent is not None:
            return absent
        raise InvalidDicomError(
            f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X}) is missing, but the object has pixel data.",
            tag=f"{tag:08X}",
        )
    if not isinstance(value, int) or not low <= value <= high:
        raise _contradiction(f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X})", value, f"a number from {low} to {high}")
    return value


def _contradiction(name: str, found: object, expected: str) -> InvalidDicomError:
    # A value that is no number may be free text: its type is said, not the text itself.
    shown = str(found) if isinstance(found, int) else f"not one number ({type(found).__name__})"
    return InvalidDicomError(
        f"{name} is {shown} but must be {expected}.", attribute=name, found=shown, expected=expected
    )
