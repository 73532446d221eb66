"""The transfer syntaxes: how the bytes of an object are to be read.

Source: PS3.5 clause 10 and annex A, PS3.6 table A-1. Retired syntaxes are listed too: archives hold them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED_LITTLE = "1.2.840.10008.1.2.1.99"


class Codec(StrEnum):
    """What the frames are coded with."""

    NONE = "none"
    RLE = "rle"
    JPEG = "jpeg"
    JPEG_LOSSLESS = "jpeg-lossless"
    JPEG_LS = "jpeg-ls"
    JPEG_2000 = "jpeg-2000"
    HTJ2K = "htj2k"
    JPEG_XL = "jpeg-xl"
    DEFLATE = "deflate"
    MPEG2 = "mpeg2"
    H264 = "h264"
    H265 = "h265"
    JPIP = "jpip"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One transfer syntax.

    Attributes
    ----------
    uid, name : str
        As PS3.6 names them; ``name`` is empty for a UID it does not know.
    explicit, little_endian : bool
        How the elements of the data set are written.
    encapsulated : bool
        The frames of Pixel Data lie in items (PS3.5 A.4). For an unknown UID False: there the undefined length of the
        pixel element decides.
    deflated : bool
        The data set as a whole is compressed (PS3.5 A.5).
    lossless : bool or None
        Whether frames come back as they were; None where the syntax allows both, or is unknown.
    codec : Codec
        What the frames are coded with.
    """

    uid: str
    name: str
    explicit: bool = True
    little_endian: bool = True
    encapsulated: bool = False
    deflated: bool = False
    lossless: bool | None = True
    codec: Codec = Codec.NONE

    @property
    def known(self) -> bool:
        """Whether PS3.6 lists it."""
        return self.name != ""


def transfer_syntax(uid: str) -> TransferSyntax:
    """The transfer syntax of a UID.

    An unknown one is taken for explicit VR little endian, as PS3.5 A.4 asks of all that encapsulate.

    Examples
    --------
    >>> transfer_syntax("1.2.840.10008.1.2.4.80").codec
    <Codec.JPEG_LS: 'jpeg-ls'>
    >>> transfer_syntax("1.2.3").known
    False
    """
    return _TABLE.get(uid) or _unknown(uid)


@lru_cache(maxsize=256)
def _unknown(uid: str) -> TransferSyntax:
    return TransferSyntax(uid, "", lossless=None, codec=Codec.OTHER)


def _encapsulated(suffix: str, name: str, codec: Codec, *, lossless: bool | None) -> TransferSyntax:
    return TransferSyntax(f"{IMPLICIT_LITTLE}.{suffix}", name, encapsulated=True, lossless=lossless, codec=codec)


def _jpip(suffix: str, name: str, *, deflated: bool) -> TransferSyntax:
    # Pixel Data Provider URL instead of pixels (PS3.5 A.6, A.7, A.12, A.13): nothing is encapsulated.
    return TransferSyntax(f"{IMPLICIT_LITTLE}.{suffix}", name, deflated=deflated, lossless=None, codec=Codec.JPIP)


_ALL = (
    TransferSyntax(IMPLICIT_LITTLE, "Implicit VR Little Endian", explicit=False),
    TransferSyntax(EXPLICIT_LITTLE, "Explicit VR Little Endian"),
    TransferSyntax(EXPLICIT_BIG, "Explicit VR Big Endian", little_endian=False),
    TransferSyntax(DEFLATED_LITTLE, "Deflated Explicit VR Little Endian", deflated=True),
    TransferSyntax("1.2.840.10008.1.20", "Papyrus 3 Implicit VR Little Endian", explicit=False),
    _encapsulated("1.98", "Encapsulated Uncompressed Explicit VR Little Endian", Codec.NONE, lossless=True),
    _encapsulated("5", "RLE Lossless", Codec.RLE, lossless=True),
    _encapsulated("8.1", "Deflated Image Frame Compression", Codec.DEFLATE, lossless=True),
    _encapsulated("4.50", "JPEG Baseline (Process 1)", Codec.JPEG, lossless=False),
    _encapsulated("4.51", "JPEG Extended (Process 2 and 4)", Codec.JPEG, lossless=False),
    _encapsulated("4.52", "JPEG Extended (Process 3 and 5)", Codec.JPEG, lossless=False),
    _encapsulated("4.53", "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)", Codec.JPEG, lossless=False),
    _encapsulated("4.54", "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)", Codec.JPEG, lossless=False),
    _encapsulated("4.55", "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)", Codec.JPEG, lossless=False),
    _encapsulated("4.56", "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)", Codec.JPEG, lossless=False),
    _encapsulated("4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", Codec.JPEG_LOSSLESS, lossless=True),
    _encapsulated("4.58", "JPEG Lossless, Non-Hierarchical (Process 15)", Codec.JPEG_LOSSLESS, lossless=True),
    _encapsulated("4.59", "JPEG Extended, Hierarchical (Process 16 and 18)", Codec.JPEG, lossless=False),
    _encapsulated("4.60", "JPEG Extended, Hierarchical (Process 17 and 19)", Codec.JPEG, lossless=False),
    _encapsulated("4.61", "JPEG Spectral Selection, Hierarchical (Process 20 and 22)", Codec.JPEG, lossless=False),
    _encapsulated("4.62", "JPEG Spectral Selection, Hierarchical (Process 21 and 23)", Codec.JPEG, lossless=False),
    _encapsulated("4.63", "JPEG Full Progression, Hierarchical (Process 24 and 26)", Codec.JPEG, lossless=False),
    _encapsulated("4.64", "JPEG Full Progression, Hierarchical (Process 25 and 27)", Codec.JPEG, lossless=False),
    _encapsulated("4.65", "JPEG Lossless, Hierarchical (Process 28)", Codec.JPEG_LOSSLESS, lossless=True),
    _encapsulated("4.66", "JPEG Lossless, Hierarchical (Process 29)", Codec.JPEG_LOSSLESS, lossless=True),
    _encapsulated(
        "4.70",
        "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])",
        Codec.JPEG_LOSSLESS,
        lossless=True,
    ),
    _encapsulated("4.80", "JPEG-LS Lossless Image Compression", Codec.JPEG_LS, lossless=True),
    _encapsulated("4.81", "JPEG-LS Lossy (Near-Lossless) Image Compression", Codec.JPEG_LS, lossless=False),
    _encapsulated("4.90", "JPEG 2000 Image Compression (Lossless Only)", Codec.JPEG_2000, lossless=True),
    _encapsulated("4.91", "JPEG 2000 Image Compression", Codec.JPEG_2000, lossless=None),
    _encapsulated(
        "4.92",
        "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)",
        Codec.JPEG_2000,
        lossless=True,
    ),
    _encapsulated("4.93", "JPEG 2000 Part 2 Multi-component Image Compression", Codec.JPEG_2000, lossless=None),
    _jpip("4.94", "JPIP Referenced", deflated=False),
    _jpip("4.95", "JPIP Referenced Deflate", deflated=True),
    _encapsulated("4.100", "MPEG2 Main Profile / Main Level", Codec.MPEG2, lossless=False),
    _encapsulated("4.100.1", "Fragmentable MPEG2 Main Profile / Main Level", Codec.MPEG2, lossless=False),
    _encapsulated("4.101", "MPEG2 Main Profile / High Level", Codec.MPEG2, lossless=False),
    _encapsulated("4.101.1", "Fragmentable MPEG2 Main Profile / High Level", Codec.MPEG2, lossless=False),
    _encapsulated("4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", Codec.H264, lossless=False),
    _encapsulated("4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1", Codec.H264, lossless=False),
    _encapsulated("4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", Codec.H264, lossless=False),
    _encapsulated(
        "4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", Codec.H264, lossless=False
    ),
    _encapsulated("4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", Codec.H264, lossless=False),
    _encapsulated(
        "4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", Codec.H264, lossless=False
    ),
    _encapsulated("4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", Codec.H264, lossless=False),
    _encapsulated(
        "4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", Codec.H264, lossless=False
    ),
    _encapsulated("4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", Codec.H264, lossless=False),
    _encapsulated(
        "4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", Codec.H264, lossless=False
    ),
    _encapsulated("4.107", "HEVC/H.265 Main Profile / Level 5.1", Codec.H265, lossless=False),
    _encapsulated("4.108", "HEVC/H.265 Main 10 Profile / Level 5.1", Codec.H265, lossless=False),
    _encapsulated("4.110", "JPEG XL Lossless", Codec.JPEG_XL, lossless=True),
    _encapsulated("4.111", "JPEG XL JPEG Recompression", Codec.JPEG_XL, lossless=False),
    _encapsulated("4.112", "JPEG XL", Codec.JPEG_XL, lossless=None),
    _encapsulated("4.201", "High-Throughput JPEG 2000 Image Compression (Lossless Only)", Codec.HTJ2K, lossless=True),
    _encapsulated(
        "4.202",
        "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)",
        Codec.HTJ2K,
        lossless=True,
    ),
    _encapsulated("4.203", "High-Throughput JPEG 2000 Image Compression", Codec.HTJ2K, lossless=None),
    _jpip("4.204", "JPIP HTJ2K Referenced", deflated=False),
    _jpip("4.205", "JPIP HTJ2K Referenced Deflate", deflated=True),
)

_TABLE = {syntax.uid: syntax for syntax in _ALL}


def all_transfer_syntaxes() -> tuple[TransferSyntax, ...]:
    """Every transfer syntax listed here."""
    return _ALL
