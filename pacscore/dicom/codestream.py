"""What a compressed frame says of itself: size, precision, sign and color, read from its first bytes.

Used to refuse a frame before a decoder allocates anything for it, to find where frames begin when no offset table can
be trusted, and to know what a decoder's samples mean. Only headers are read: ITU-T T.81 B.2 (JPEG), T.87 C.2
(JPEG-LS), T.800 A.5 and A.6 (JPEG 2000, also HTJ2K), ISO/IEC 18181-1 (JPEG XL), PS3.5 G.5 (RLE).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from struct import unpack_from

from pacscore.dicom.syntaxes import Codec, transfer_syntax
from pacscore.errors import UndecodableError


class FrameFormat(StrEnum):
    """How each frame of an encapsulated value is coded."""

    NATIVE = "native"
    DEFLATED = "deflated"
    RLE = "rle"
    JPEG = "jpeg"
    JPEG_LS = "jpeg-ls"
    JPEG_2000 = "jpeg-2000"
    HTJ2K = "htj2k"
    JPEG_XL = "jpeg-xl"
    VIDEO = "video"


_FORMATS: dict[Codec, FrameFormat] = {
    Codec.NONE: FrameFormat.NATIVE,
    Codec.DEFLATE: FrameFormat.DEFLATED,
    Codec.RLE: FrameFormat.RLE,
    Codec.JPEG: FrameFormat.JPEG,
    Codec.JPEG_LOSSLESS: FrameFormat.JPEG,
    Codec.JPEG_LS: FrameFormat.JPEG_LS,
    Codec.JPEG_2000: FrameFormat.JPEG_2000,
    Codec.HTJ2K: FrameFormat.HTJ2K,
    Codec.JPEG_XL: FrameFormat.JPEG_XL,
    Codec.MPEG2: FrameFormat.VIDEO,
    Codec.H264: FrameFormat.VIDEO,
    Codec.H265: FrameFormat.VIDEO,
}


def frame_format(transfer_syntax_uid: str) -> FrameFormat | None:
    """How each frame is coded under an encapsulated transfer syntax; None for native and unknown ones."""
    syntax = transfer_syntax(transfer_syntax_uid)
    return _FORMATS.get(syntax.codec) if syntax.encapsulated else None


_J2K_MARKS = (b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  \r\n\x87\n")
START_MARKS: dict[FrameFormat, tuple[bytes, ...]] = {
    FrameFormat.JPEG: (b"\xff\xd8\xff",),
    FrameFormat.JPEG_LS: (b"\xff\xd8\xff",),
    FrameFormat.JPEG_2000: _J2K_MARKS,
    FrameFormat.HTJ2K: _J2K_MARKS,
    FrameFormat.JPEG_XL: (b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n"),
    # PS3.5 G.5: the number of segments, 1 to 15, and the first begins right behind the header.
    FrameFormat.RLE: tuple(bytes((n, 0, 0, 0, 64, 0, 0, 0)) for n in range(1, 16)),
}
"""What the bytes of a frame must begin with; a format that is not here has no such mark."""
END_MARKS: dict[FrameFormat, bytes] = dict.fromkeys(
    (FrameFormat.JPEG, FrameFormat.JPEG_LS, FrameFormat.JPEG_2000, FrameFormat.HTJ2K), b"\xff\xd9"
)
"""What they must end with, pad bytes aside."""


@dataclass(frozen=True, slots=True)
class Codestream:
    """The header of one compressed frame.

    Attributes
    ----------
    rows, columns
        Its size in pixels.
    samples
        Components per pixel; 0 where the header read does not say (JPEG XL).
    precision
        Bits per sample; 0 where it does not say.
    signed
        Samples are coded with a sign (JPEG 2000 only).
    reversible
        Coded without loss, as far as the header read tells.
    color
        What the components are by the codestream's own word: "RGB", "YBR_FULL", or "" if it does not say.
    complete
        The end marker is there (JPEG and JPEG-LS; for the others it is not looked for).
    """

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False
    reversible: bool = False
    color: str = ""
    complete: bool = False


def read_codestream(data: bytes | memoryview, kind: FrameFormat) -> Codestream | None:
    """Read a compressed frame's own header; None for formats that have none (RLE, deflated, native, video).

    Raises
    ------
    UndecodableError
        The bytes are not such a codestream, or its header is cut; ``offset`` says where.
    """
    if kind in (FrameFormat.JPEG, FrameFormat.JPEG_LS):
        return _read_jpeg(bytes(data))
    if kind in (FrameFormat.JPEG_2000, FrameFormat.HTJ2K):
        return _read_jpeg_2000(bytes(data))
    if kind is FrameFormat.JPEG_XL:
        return _read_jpeg_xl(bytes(data))
    return None


def _cut(what: str, offset: int) -> UndecodableError:
    return UndecodableError(
        f"This frame is no whole {what} codestream: its header breaks off or is malformed at byte {offset}. "
        "The stored bytes can be fetched.",
        offset=offset,
    )


def _read_jpeg(data: bytes) -> Codestream:
    if data[:2] != b"\xff\xd8":
        raise _cut("JPEG", 0)
    position = 2
    color = ""
    while True:
        while position + 1 < len(data) and data[position] == 0xFF and data[position + 1] == 0xFF:
            position += 1  # T.81 B.1.1.2: any number of fill bytes may come before a marker.
        if position + 4 > len(data) or data[position] != 0xFF:
            raise _cut("JPEG", position)
        marker = data[position + 1]
        length = unpack_from(">H", data, position + 2)[0]
        if length < 2 or position + 2 + length > len(data):
            raise _cut("JPEG", position)
        body = data[position + 4 : position + 2 + length]
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            # Within coded data T.81 stuffs a zero behind FF, and T.87 a zero bit: no end marker in there is false.
            # Its place is looked at first: to search half a megabyte takes a tenth of the time of decoding it.
            complete = data.endswith((b"\xff\xd9", b"\xff\xd9\0")) or data.find(b"\xff\xd9", position) >= 0
            return _read_frame_header(body, marker, color=color, position=position, complete=complete)
        if marker == 0xDA:
            raise _cut("JPEG", position)  # A scan before any frame header.
        if marker == 0xE0 and body[:5] == b"JFIF\0":
            color = color or "YBR_FULL"
        if marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            color = "YBR_FULL" if body[11] == 1 else "RGB"  # The transform flag is more exact than JFIF.
        position += 2 + length


def _read_frame_header(body: bytes, marker: int, *, color: str, position: int, complete: bool) -> Codestream:
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise _cut("JPEG", position)
    precision, rows, columns, samples = unpack_from(">BHHB", body)
    lossless = marker in (0xC3, 0xC7, 0xCB, 0xCF, 0xF7)
    identifiers = bytes(body[6 + 3 * i] for i in range(samples))
    if identifiers in (b"RGB", b"rgb"):
        color = "RGB"
    # Lossless encoders transform nothing, yet their library writes a JFIF segment: there Photometric Interpretation
    # alone knows. Only for lossy processes is the codestream's word the better one.
    stated = color if samples == 3 and not lossless else ""
    return Codestream(rows, columns, samples, precision, reversible=lossless, color=stated, complete=complete)


def _read_jpeg_2000(data: bytes) -> Codestream:
    position = _box_content(data, b"jp2c", "JPEG 2000") if data[4:8] == b"jP  " else 0
    if data[position : position + 4] != b"\xff\x4f\xff\x51" or len(data) < position + 43:
        raise _cut("JPEG 2000", position)
    columns_end, rows_end, columns_start, rows_start = unpack_from(">4I", data, position + 8)
    samples = unpack_from(">H", data, position + 40)[0]
    if columns_start >= columns_end or rows_start >= rows_end or samples == 0:
        raise _cut("JPEG 2000", position + 8)
    depth = data[position + 42]
    reversible, transformed = _read_coding_style(data, position + 2)
    return Codestream(
        rows_end - rows_start,
        columns_end - columns_start,
        samples,
        (depth & 0x7F) + 1,
        signed=bool(depth & 0x80),
        reversible=reversible,
        color="RGB" if transformed and samples == 3 else "",
    )


def _read_coding_style(data: bytes, position: int) -> tuple[bool, bool]:
    """Whether the wavelet is the reversible one, and whether components were transformed (T.800 A.6.1)."""
    while position + 4 <= len(data):
        marker, length = unpack_from(">HH", data, position)
        if marker == 0xFF90 or marker < 0xFF00 or length < 2:  # SOT: the main header is over.
            break
        if marker == 0xFF52 and position + 14 <= len(data):
            return data[position + 13] == 1, data[position + 8] == 1
        position += 2 + length
    raise _cut("JPEG 2000", position)


def _box_content(data: bytes, name: bytes, what: str) -> int:
    """Where the content of the first box of that name begins (ISO/IEC 15444-1 I.4)."""
    position = 0
    while position + 8 <= len(data):
        length = unpack_from(">I", data, position)[0]
        head = 8
        if length == 1 and position + 16 <= len(data):
            length, head = unpack_from(">Q", data, position + 8)[0], 16
        if data[position + 4 : position + 8] == name:
            return position + head
        if length < head:
            break
        position += length
    raise _cut(what, min(position, len(data)))


_JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_JXL_SIZE_BITS = (9, 13, 18, 30)


def _read_jpeg_xl(data: bytes) -> Codestream:
    position = 0
    if data[4:8] == b"JXL ":
        try:
            position = _box_content(data, b"jxlc", "JPEG XL")
        except UndecodableError:
            position = _box_content(data, b"jxlp", "JPEG XL") + 4  # A part begins with its number.
    if data[position : position + 2] != b"\xff\x0a" or len(data) < position + 3:
        raise _cut("JPEG XL", position)
    bits = int.from_bytes(data[position + 2 : position + 12], "little")  # SizeHeader takes at most 69 bits.

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    def take_size() -> int:
        return (take(5) + 1) * 8 if small else take(_JXL_SIZE_BITS[take(2)]) + 1

    small = take(1) == 1
    rows = take_size()
    ratio = take(3)
    columns = take_size() if ratio == 0 else rows * _JXL_RATIOS[ratio - 1][0] // _JXL_RATIOS[ratio - 1][1]
    return Codestream(rows, columns, samples=0, precision=0)
