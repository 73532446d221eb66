"""Color frames to RGB: YBR to RGB, and palettes.

Grayscale is no matter of this module: making it visible is windowing, in ``imaging``.
Source: PS3.3 C.7.6.3.1.2 (Photometric Interpretation), C.7.6.3.1.5 and C.7.6.3.1.6 (palettes), C.7.9.2 (segmented).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacscore.dicom.codecs import decode_frame, decoded_photometric
from pacscore.dicom.codestream import FrameFormat, frame_format
from pacscore.dicom.pixels import PixelDescription, stored_values
from pacscore.dicom.syntaxes import EXPLICIT_BIG
from pacscore.errors import InputError, InvalidDicomError, UnsupportedError
from pacscore.kernels.pixels import ybr_full_to_rgb_into
from pacscore.settings import Settings

RgbFrame: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

_COLORS = ("Red", "Green", "Blue")


@dataclass(frozen=True, slots=True, eq=False)
class Palette:
    """A palette color lookup table.

    Attributes
    ----------
    first : int
        The stored value that maps to the first entry; lower ones map there too, those beyond the last to the last.
    table : (entries, 3) uint8 or uint16
        Red, green, blue.
    """

    first: int
    table: NDArray[np.uint8] | NDArray[np.uint16]


def read_palette(
    get: Callable[[str], object],
    get_bytes: Callable[[str], bytes | None],
    *,
    signed: bool,
    transfer_syntax_uid: str,
) -> Palette | None:
    """The palette among an object's attributes, plain or segmented; None if it has none.

    Parameters
    ----------
    get
        The decoded value of a keyword: three numbers for a descriptor.
    get_bytes
        The raw value of a keyword, None when absent.
    signed
        Pixel Representation is 1: the first mapped value then is signed.
    transfer_syntax_uid
        Explicit VR Big Endian swaps table words.

    Raises
    ------
    InvalidDicomError
        Descriptors or data are malformed, or the three tables differ in size.
    """
    if get("RedPaletteColorLookupTableDescriptor") is None:
        return None
    big_endian = transfer_syntax_uid == EXPLICIT_BIG
    columns: list[NDArray[Any]] = []
    firsts: set[int] = set()
    for color in _COLORS:
        entries, first, bits = _read_descriptor(get(f"{color}PaletteColorLookupTableDescriptor"), color, signed)
        firsts.add(first)
        plain = get_bytes(f"{color}PaletteColorLookupTableData")
        segmented = get_bytes(f"Segmented{color}PaletteColorLookupTableData")
        if plain:
            columns.append(_read_table(plain, entries, bits, color, big_endian))
        elif segmented:
            words = _read_words(segmented, bits, big_endian)
            columns.append(expand_segments(words, entries).astype(np.uint8 if bits == 8 else np.uint16))
        else:
            raise InvalidDicomError(f"{color} Palette Color Lookup Table Data is missing.", attribute=color)
    if len(firsts) != 1 or len({len(column) for column in columns}) != 1:
        raise InvalidDicomError(
            "The three palette color lookup tables differ in size or first value (PS3.3 C.7.6.3.1.5)."
        )
    return Palette(firsts.pop(), np.stack(columns, axis=-1))


def to_rgb(
    frame: NDArray[Any],
    description: PixelDescription,
    transfer_syntax_uid: str,
    palette: Palette | None = None,
) -> RgbFrame:
    """Turn one frame's words into RGB.

    Parameters
    ----------
    frame
        Words as `decode_frame` or `read_native_frame` give them.
    description
        Its ``photometric`` says what the samples are; where a lossy JPEG codestream knows better, replace it by
        `decoded_photometric` first, as `decode_frame_rgb` does.
    transfer_syntax_uid
        JPEG 2000, HTJ2K and JPEG XL frames come out of their decoders as RGB.
    palette
        Needed for PALETTE COLOR.

    Returns
    -------
    (rows, columns, 3) C order: uint8 if samples have at most 8 stored bits, else uint16 with values to
    2**Bits Stored - 1 (of more than 16 bits, the highest 16). With a palette: the width of its entries.

    Raises
    ------
    InputError
        The frame is grayscale (window it instead), or a palette is needed.
    UnsupportedError
        A photometric interpretation that has no RGB here.
    """
    photometric = description.photometric
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        raise InputError(
            f"{photometric} frames have no colors: apply a window to make them visible.", found=photometric
        )
    values = stored_values(frame, description)
    if photometric == "PALETTE COLOR":
        if palette is None:
            raise InputError("A PALETTE COLOR frame needs its palette.", found=photometric)
        return apply_palette(values, palette)
    if description.samples != 3 or description.signed or description.bits_allocated == 1:
        raise UnsupportedError(
            f"{photometric} with {description.samples} {'signed' if description.signed else 'unsigned'} samples has no "
            "RGB here. Take the stored samples instead.",
            found=photometric,
        )
    narrow, bits = _narrow(values, description.bits_stored)
    decoder_gives_rgb = (
        photometric in ("YBR_ICT", "YBR_RCT") or frame_format(transfer_syntax_uid) is FrameFormat.JPEG_XL
    )
    if photometric == "RGB" or decoder_gives_rgb:
        return narrow
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        return ybr_full_to_rgb(narrow, bits=bits)
    raise UnsupportedError(
        f"Photometric Interpretation (0028,0004) {photometric or 'is missing and'} has no RGB here. "
        "Take the stored samples instead.",
        tag="00280004",
    )


def decode_frame_rgb(
    data: bytes | memoryview,
    description: PixelDescription,
    transfer_syntax_uid: str,
    palette: Palette | None = None,
    *,
    settings: Settings | None = None,
) -> RgbFrame:
    """Decode one compressed frame to RGB, minding what its codestream says of its colors; errors as its parts."""
    frame = decode_frame(data, description, transfer_syntax_uid, settings=settings)
    actual = replace(description, photometric=decoded_photometric(data, description, transfer_syntax_uid))
    return to_rgb(frame, actual, transfer_syntax_uid, palette)


def ybr_full_to_rgb(ybr: NDArray[Any], *, bits: int) -> NDArray[Any]:
    """Turn YBR_FULL into RGB: a new array of the same dtype.

    Parameters
    ----------
    ybr : (..., 3) uint8 or uint16, values at most 2**bits - 1
    bits
        Stored bits of a sample.

    Raises
    ------
    InputError
        Another dtype or last axis.

    Examples
    --------
    >>> ybr_full_to_rgb(np.array([[76, 85, 255]], np.uint8), bits=8).tolist()
    [[254, 0, 0]]
    """
    if ybr.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)) or ybr.ndim < 1 or ybr.shape[-1] != 3:
        raise InputError(
            f"YBR samples must be uint8 or uint16 with a last axis of 3; they are {ybr.dtype} {ybr.shape}.",
            found=str(ybr.dtype),
        )
    source = np.ascontiguousarray(ybr).reshape(-1, 3).view()
    source.flags.writeable = False
    out = np.empty(ybr.shape, ybr.dtype.newbyteorder("="))
    ybr_full_to_rgb_into(source, (1 << bits) - 1, out.reshape(-1, 3))
    return out


def apply_palette(values: NDArray[Any], palette: Palette) -> RgbFrame:
    """Look stored values up: (rows, columns) integers to (rows, columns, 3) of the table's dtype."""
    index = np.clip(values.astype(np.int64) - palette.first, 0, len(palette.table) - 1)
    colors: RgbFrame = palette.table[index]
    return colors


def expand_segments(words: NDArray[Any], entries: int) -> NDArray[np.int64]:
    """Expand a segmented palette table to its entries.

    Parameters
    ----------
    words : (n,) uint8 or uint16
        Segments: 0 discrete (count, values), 1 linear (count, end value), 2 indirect (count of segments, byte offset
        of the first in four bytes, least significant first).
    entries
        How many the descriptor states: the result has just that many, whatever the segments say.

    Raises
    ------
    InvalidDicomError
        A segment is cut, unknown, linear with nothing to start from, points at no earlier segment or at an indirect
        one; or the segments give another number of entries.

    Notes
    -----
    PS3.3 C.7.9.2. Linear segments are rounded to nearest, ties to even.
    """
    starts: set[int] = set()  # Where segments begin: indirect ones refer to these.
    out = np.empty(entries, np.int64)
    filled = 0
    position = 0
    width = words.dtype.itemsize
    while position < len(words):
        if width == 1 and position == len(words) - 1 and words[position] == 0:
            break  # The pad byte of a table of odd length.
        if words[position] == 2:
            offset = words[position + 2 : position + 2 + 4 // width].astype(f"<u{width}").tobytes()
            if position + 2 + 4 // width > len(words):
                raise _bad_segments("an indirect segment is cut", position)
            target, astray = divmod(int.from_bytes(offset, "little"), width)
            for _ in range(int(words[position + 1])):
                if astray or target not in starts:
                    raise _bad_segments("an indirect segment points at no earlier segment", position)
                filled, target = _expand_direct(words, target, out, filled)
            position += 2 + 4 // width
        else:
            starts.add(position)
            filled, position = _expand_direct(words, position, out, filled)
    if filled != entries:
        raise _bad_segments(f"they give {filled} entries but the descriptor states {entries}", position)
    return out


def _expand_direct(words: NDArray[Any], position: int, out: NDArray[np.int64], filled: int) -> tuple[int, int]:
    """Expand the discrete or linear segment at ``position``; entries filled, and where the next segment begins."""
    if position + 2 > len(words):
        raise _bad_segments("a segment is cut", position)
    kind, count = int(words[position]), int(words[position + 1])
    size = count if kind == 0 else 1
    # An empty segment would let indirect ones repeat without end; each fills something, so that entries bound the work.
    if kind not in (0, 1) or count == 0 or position + 2 + size > len(words) or filled + count > len(out):
        raise _bad_segments("a segment is unknown, empty, cut or too long", position)
    body = words[position + 2 : position + 2 + size].astype(np.int64)
    if kind == 0:
        out[filled : filled + count] = body
    else:
        if filled == 0:
            raise _bad_segments("the first segment is linear and has nothing to start from", position)
        steps = np.arange(1, count + 1) / count
        out[filled : filled + count] = np.rint(out[filled - 1] + (body[0] - out[filled - 1]) * steps).astype(np.int64)
    return filled + count, position + 2 + size


def _bad_segments(reason: str, position: int) -> InvalidDicomError:
    return InvalidDicomError(
        f"Segmented palette color lookup table data is malformed at word {position}: {reason}.", offset=position
    )


def _read_descriptor(value: object, color: str, signed: bool) -> tuple[int, int, int]:
    """Entries, first mapped value, bits per entry (PS3.3 C.7.6.3.1.5)."""
    if not isinstance(value, list) or len(value) != 3 or not all(isinstance(item, int) for item in value):
        raise InvalidDicomError(
            f"{color} Palette Color Lookup Table Descriptor must be three numbers.", attribute=color
        )
    # Its VR is US or SS by Pixel Representation: entries are never negative, the first value is as samples are.
    entries = (value[0] & 0xFFFF) or 65536
    first = value[1] & 0xFFFF
    if signed and first >= 0x8000:
        first -= 0x10000
    if value[2] not in (8, 16):
        raise InvalidDicomError(
            f"{color} palette entries have {value[2]} bits, but must have 8 or 16.", expected=(8, 16), found=value[2]
        )
    return entries, first, value[2]


def _read_words(data: bytes, bits: int, big_endian: bool) -> NDArray[Any]:
    if bits == 16:
        return np.frombuffer(data[: len(data) // 2 * 2], ">u2" if big_endian else "<u2").astype(np.uint16)
    words = np.frombuffer(data, np.uint8)
    if big_endian:  # Two eight-bit entries share an OW word, which this transfer syntax swaps.
        words = words[: len(words) // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)
    return words


def _read_table(data: bytes, entries: int, bits: int, color: str, big_endian: bool) -> NDArray[Any]:
    # Eight-bit entries are met packed, as the Standard has them, and one to a word of 16 bits.
    width = 16 if len(data) >= 2 * entries else 8
    table = _read_words(data, width, big_endian)[:entries]
    if len(table) != entries or (bits == 16 and width == 8):
        raise InvalidDicomError(
            f"{color} Palette Color Lookup Table Data has {len(data)} bytes, too few for "
            f"{entries} entries of {bits} bits.",
            expected=entries * bits // 8,
            found=len(data),
        )
    return table.astype(np.uint8) if bits == 8 and (table <= 255).all() else table


def _narrow(values: NDArray[Any], bits: int) -> tuple[NDArray[Any], int]:
    """Samples as uint8 or uint16, and how many bits they have there."""
    if bits <= 8:
        return values.astype(np.uint8, copy=False), bits
    if bits <= 16:
        return values.astype(np.uint16, copy=False), bits
    return (values >> values.dtype.type(bits - 16)).astype(np.uint16), 16
