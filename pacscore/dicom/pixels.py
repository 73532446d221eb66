"""Native pixel data: how its words map to an array, how frames of every kind are read, and their stored bits.

Nothing here decodes compressed frames (``codecs``) or looks inside encapsulated values (``encapsulated``).

Words and values: a *word* is a sample as it lies in the file, Bits Allocated wide; its *stored value* is what Bits
Stored and High Bit leave of it. Arrays hold words, `stored_values` makes values of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pacscore.dicom.description import (
    DOUBLE_FLOAT_PIXEL_DATA,
    FLOAT_PIXEL_DATA,
    PIXEL_DATA,
    PixelDescription,
    SampleKind,
    describe_pixels,
)
from pacscore.dicom.syntaxes import EXPLICIT_BIG
from pacscore.errors import InputError, InvalidDicomError, UndecodableError
from pacscore.kernels.pixels import count_altered_words, extract_bits_into

__all__ = [
    "DOUBLE_FLOAT_PIXEL_DATA",
    "FLOAT_PIXEL_DATA",
    "PIXEL_DATA",
    "NativeMapping",
    "PixelDescription",
    "PixelSpan",
    "SampleKind",
    "count_altered",
    "describe_pixels",
    "extend_sign",
    "native_mapping",
    "read_native_frame",
    "stored_values",
    "unpack_bits",
]

_VR_OB = int.from_bytes(b"OB", "big")


class PixelSpan(Protocol):
    """What must be known of where a pixel value lies; ``dicom.scan.PixelPlace`` satisfies it."""

    @property
    def vr(self) -> int:
        """Two ASCII bytes, the first in the high byte; 0 under implicit VR."""
        ...

    @property
    def length(self) -> int:
        """Bytes of the value."""
        ...

    @property
    def encapsulated(self) -> bool:
        """Whether the value is a sequence of fragments."""
        ...


@dataclass(frozen=True, slots=True)
class NativeMapping:
    """How a native pixel value lies in an array, so that the array gives the value back.

    Attributes
    ----------
    dtype
        Of the words, in native byte order.
    swap
        The file's words are big endian.
    pad
        Trailing bytes that belong to no word: 0 or 1.
    frames
        How many frames follow each other.
    frame_shape
        (rows, columns), (rows, columns, samples), or with Planar Configuration 1 (samples, rows, columns).
    """

    dtype: np.dtype[Any]
    swap: bool
    pad: int
    frames: int
    frame_shape: tuple[int, ...]


def native_mapping(description: PixelDescription, place: PixelSpan, transfer_syntax_uid: str) -> NativeMapping | None:
    """How the native value maps to whole words of an array, or None if it cannot be laid out as one and given back.

    None for encapsulated values, one-bit samples, Bits Allocated that is no word, values of another length than
    frames × rows × columns × samples words and at most one pad byte (subsampled YBR_FULL_422 among them), and bytes
    in big-endian OW, which lie swapped in pairs (PS3.5 8.1.1).
    """
    if place.encapsulated or description.bits_allocated not in (8, 16, 32, 64):
        return None
    pad = place.length - description.frame_bytes() * description.frames
    if pad not in (0, 1):
        return None
    big_endian = transfer_syntax_uid == EXPLICIT_BIG
    if big_endian and description.bits_allocated == 8 and place.vr != _VR_OB:
        return None
    shape = description.frame_shape()
    if description.planar == 1:
        shape = (description.samples, description.rows, description.columns)
    swap = big_endian and description.bits_allocated > 8
    return NativeMapping(description.dtype(), swap, pad, description.frames, shape)


def read_native_frame(
    value: bytes | memoryview | NDArray[np.uint8],
    frame_index: int,
    description: PixelDescription,
    *,
    transfer_syntax_uid: str,
    vr: int = 0,
) -> NDArray[Any]:
    """Read one frame of a native pixel value: every kind that the Standard knows, one-bit and subsampled included.

    Parameters
    ----------
    value
        The whole pixel value.
    frame_index
        From 0.
    vr
        Of the pixel data element, two ASCII bytes; 0 under implicit VR. Only matters for big-endian bytes.

    Returns
    -------
    (rows, columns) or (rows, columns, samples), C order, words in native byte order: a new array. YBR_FULL_422 comes
    with each chroma pair repeated for its two pixels.

    Raises
    ------
    InputError
        There is no such frame.
    InvalidDicomError
        The value is too short for its frames.
    """
    if not 0 <= frame_index < description.frames:
        raise _no_such_frame(frame_index, description.frames)
    data = np.frombuffer(value, np.uint8)
    big_endian = transfer_syntax_uid == EXPLICIT_BIG
    if big_endian and description.bits_allocated <= 8 and vr != _VR_OB:
        data = data[: len(data) // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)
    count = description.sample_count()
    if description.bits_allocated == 1:
        bits = unpack_bits(data, start=frame_index * count, count=count)
        return _interleaved(bits, description)
    # Some writers name YBR_FULL_422 and store full chroma: the length tells which it is.
    whole = description.frame_bytes() * description.frames
    subsampled = description.photometric == "YBR_FULL_422" and description.samples == 3 and len(data) < whole
    length = description.frame_bytes() * 2 // 3 if subsampled else description.frame_bytes()
    if len(data) < length * (frame_index + 1):
        raise InvalidDicomError(
            f"Pixel data has {len(data)} bytes but frame {frame_index + 1} ends at {length * (frame_index + 1)}: "
            "the value is cut or its description is wrong.",
            tag="7FE00010",
            expected=length * (frame_index + 1),
            found=len(data),
        )
    words = data[length * frame_index : length * (frame_index + 1)]
    dtype = description.dtype().newbyteorder(">" if big_endian else "<")
    samples = np.frombuffer(words.tobytes(), dtype).astype(description.dtype(), copy=dtype.isnative is False)
    if subsampled:
        return _expand_422(samples, description)
    return _interleaved(samples, description)


def unpack_bits(packed: NDArray[np.uint8], *, start: int, count: int) -> NDArray[np.uint8]:
    """Unpack one-bit samples, the first in the lowest bit (PS3.5 8.1.1).

    Parameters
    ----------
    packed : (bytes,) uint8
    start
        The first bit wanted.
    count
        How many bits.

    Returns
    -------
    (count,) uint8 of 0 and 1.

    Raises
    ------
    InvalidDicomError
        There are not that many bits.

    Examples
    --------
    >>> unpack_bits(np.array([0b00000110, 1], np.uint8), start=1, count=8).tolist()
    [1, 1, 0, 0, 0, 0, 0, 1]
    """
    first, skip = divmod(start, 8)
    end = -(-(start + count) // 8)
    if end > len(packed):
        raise InvalidDicomError(
            f"Pixel data has {len(packed)} bytes but its one-bit samples need {end}: the value is cut.",
            tag="7FE00010",
            expected=end,
            found=len(packed),
        )
    return np.unpackbits(packed[first:end], bitorder="little")[skip : skip + count]


def stored_values(
    words: NDArray[Any], description: PixelDescription, *, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Mask words to Bits Stored below High Bit, and extend the sign.

    Parameters
    ----------
    words : any shape, dtype of the description in native byte order
    out : same shape and dtype, C order; may be ``words``

    Returns
    -------
    ``out`` if given; ``words`` itself where every bit is stored (and for floats); else a new array.

    Raises
    ------
    InputError
        ``words`` has another dtype than the description, or ``out`` another shape, dtype or order.

    Notes
    -----
    PS3.5 8.1.1. What lies above High Bit may be an old overlay or rubbish; some writers leave signed samples
    unextended.
    """
    _check_words(words, description)
    if out is not None:
        _check_out(out, words)
    bits = _stored_bits(description)
    if bits is None:
        if out is None:
            return words
        out[...] = words
        return out
    result = np.empty(words.shape, words.dtype) if out is None else out
    extract_bits_into(_flat_readonly(words), *bits, _flat(result))
    return result


def count_altered(words: NDArray[Any], description: PixelDescription) -> int:
    """Count the words whose stored value differs from the word itself; arguments and errors as `stored_values`."""
    _check_words(words, description)
    bits = _stored_bits(description)
    return 0 if bits is None else int(count_altered_words(_flat_readonly(words), *bits))


def extend_sign(words: NDArray[Any], bits: int) -> NDArray[Any]:
    """Read the lowest ``bits`` of unsigned words as two's complement; same width, signed, a new array."""
    signed = np.ascontiguousarray(words).view(np.dtype(f"i{words.dtype.itemsize}"))
    result = np.empty(signed.shape, signed.dtype)
    extract_bits_into(_flat_readonly(signed), 0, _mask(bits), _sign(bits), result.reshape(-1))
    return result


def _stored_bits(description: PixelDescription) -> tuple[int, int, int] | None:
    """(shift, mask, sign) for `extract_bits_into`; None where words are values."""
    if description.kind is SampleKind.FLOAT or description.bits_allocated == 1:
        return None
    bits = description.bits_stored
    if bits == description.bits_allocated:
        return None
    return description.high_bit + 1 - bits, _mask(bits), _sign(bits) if description.signed else 0


def _mask(bits: int) -> int:
    return -1 if bits == 64 else (1 << bits) - 1  # As int64, where 2**64 - 1 is -1.


def _sign(bits: int) -> int:
    return -(1 << 63) if bits == 64 else 1 << (bits - 1)


def _flat_readonly(words: NDArray[Any]) -> NDArray[Any]:
    """One dimension, C order, read-only: the single form kernels are specialised for."""
    flat = _flat(np.ascontiguousarray(words)).view()
    flat.flags.writeable = False
    return flat


def _flat(words: NDArray[Any]) -> NDArray[Any]:
    """Kernels compute in int64: words of 64 bits are given to them as such, whatever their sign."""
    flat = words.reshape(-1)
    return flat.view(np.int64) if words.dtype.itemsize == 8 else flat


def _check_out(out: NDArray[Any], words: NDArray[Any]) -> None:
    if out.shape != words.shape or out.dtype != words.dtype or not out.flags.c_contiguous or not out.flags.writeable:
        raise InputError(
            f"out must be a writeable {words.dtype} array of shape {words.shape} in C order; "
            f"it is {out.dtype} {out.shape}.",
            expected=words.dtype.str,
            found=out.dtype.str,
        )
    if np.may_share_memory(out, words) and out.ctypes.data != words.ctypes.data:
        raise InputError("out overlaps words in part: it must be words itself, or apart from it.")


def _check_words(words: NDArray[Any], description: PixelDescription) -> None:
    expected = description.dtype()
    if words.dtype != expected or not words.dtype.isnative:
        raise InputError(
            f"Words must be {expected} in native byte order; they are {words.dtype.str}.",
            expected=expected.str,
            found=words.dtype.str,
        )


def _interleaved(samples: NDArray[Any], description: PixelDescription) -> NDArray[Any]:
    if description.planar == 0 or description.samples == 1:
        return samples.reshape(description.frame_shape())
    planes = samples.reshape(description.samples, description.rows, description.columns)
    return np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def _expand_422(samples: NDArray[Any], description: PixelDescription) -> NDArray[Any]:
    """Two luminances, then the chroma pair of both: PS3.3 C.7.6.3.1.2, YBR_FULL_422."""
    if description.columns % 2:
        raise UndecodableError(
            f"YBR_FULL_422 needs an even number of columns; there are {description.columns}. "
            "The stored bytes can be fetched.",
            tag="00280004",
            found=description.columns,
        )
    groups = samples.reshape(description.rows, description.columns // 2, 4)
    out = np.empty((description.rows, description.columns // 2, 2, 3), samples.dtype)
    out[..., 0] = groups[..., :2]
    out[..., 1:] = groups[..., np.newaxis, 2:]
    return out.reshape(description.frame_shape())


def _no_such_frame(frame_index: int, frames: int) -> InputError:
    return InputError(
        f"There is no frame with index {frame_index}: this object has {frames}, counted from 0.",
        expected=frames,
        found=frame_index,
    )
