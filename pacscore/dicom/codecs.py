"""Decoding compressed frames: one registry, by transfer syntax.

A frame goes through three gates: its own header is compared with the object's description before anything is
allocated for it; a library decodes it (imagecodecs, in the extra ``codecs``, or what the base install brings: pydicom
for RLE, Pillow for 8-bit JPEG and simple JPEG 2000, zlib); what came out is compared with the description again and
brought to the words that a native frame of the same object would hold.

Which components come out: those coded, with no color transform, except that JPEG 2000, HTJ2K and JPEG XL decoders
undo the transform which is part of their codestream and give RGB. `decoded_photometric` says what a frame holds.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.dicom import _decoders as decoders
from pacscore.dicom.codestream import Codestream, FrameFormat, frame_format, read_codestream
from pacscore.dicom.pixels import PixelDescription, extend_sign, read_native_frame
from pacscore.dicom.syntaxes import transfer_syntax
from pacscore.errors import LimitError, UndecodableError
from pacscore.settings import Settings


@dataclass(frozen=True, slots=True)
class Decoder:
    """One library's way to decode a format.

    Attributes
    ----------
    package
        The importable package it needs.
    distribution
        What to install to have it.
    accepts
        Whether it decodes such a codestream right.
    decode
        Bytes to samples, (rows, columns) or (rows, columns, samples).
    """

    package: str
    distribution: str
    accepts: Callable[[Codestream], bool]
    decode: Callable[[bytes, PixelDescription], NDArray[Any]]


_EXTRA = "pacscore[codecs]"


def _any(stream: Codestream) -> bool:
    return True


def _of_imagecodecs(name: str) -> Decoder:
    return Decoder("imagecodecs", _EXTRA, _any, decoders.of_imagecodecs(name))


def _fits_pillow_jpeg(stream: Codestream) -> bool:
    return stream.precision == 8 and not stream.reversible and stream.samples in (1, 3)


def _fits_pillow_jpeg_2000(stream: Codestream) -> bool:
    # Pillow scales other precisions to 8 or 16 bits and moves signed samples: only these come out as coded.
    return not stream.signed and (stream.precision, stream.samples) in ((8, 1), (8, 3), (16, 1))


_PILLOW_JPEG_2000 = Decoder("PIL", "pillow", _fits_pillow_jpeg_2000, decoders.decode_jpeg_2000_with_pillow)
# The first that is installed and accepts the codestream decodes it; no second one is tried after an error, so that
# the result never depends on more than what is installed.
_DECODERS: dict[FrameFormat, tuple[Decoder, ...]] = {
    FrameFormat.RLE: (
        Decoder("imagecodecs", _EXTRA, _any, decoders.decode_rle_with_imagecodecs),
        Decoder("pydicom", "pydicom", _any, decoders.decode_rle_with_pydicom),
    ),
    FrameFormat.JPEG: (
        Decoder("imagecodecs", _EXTRA, _any, decoders.decode_jpeg_with_imagecodecs),
        Decoder("PIL", "pillow", _fits_pillow_jpeg, decoders.decode_jpeg_with_pillow),
    ),
    FrameFormat.JPEG_LS: (_of_imagecodecs("jpegls_decode"),),
    FrameFormat.JPEG_2000: (_of_imagecodecs("jpeg2k_decode"), _PILLOW_JPEG_2000),
    # Not OpenJPH, which imagecodecs has too and which is twice as fast (530 to 280 MB/s on CT): called from there it
    # does not clamp the lossy wavelet, so that white wraps to black, and its errors on damaged frames get lost: of 400
    # lossless frames with one byte damaged OpenJPEG refused 137, OpenJPH returned them all, wrong.
    FrameFormat.HTJ2K: (_of_imagecodecs("jpeg2k_decode"),),
    FrameFormat.JPEG_XL: (_of_imagecodecs("jpegxl_decode"),),
}


def can_decode(transfer_syntax_uid: str) -> bool:
    """Whether frames of an encapsulated transfer syntax can be decoded with what is installed.

    True says that a decoder is there; a codestream outside what it supports can still be refused.
    """
    kind = frame_format(transfer_syntax_uid)
    if kind in (FrameFormat.NATIVE, FrameFormat.DEFLATED):
        return True
    return kind is not None and any(find_spec(d.package) is not None for d in _DECODERS.get(kind, ()))


def decode_frame(
    data: bytes | memoryview,
    description: PixelDescription,
    transfer_syntax_uid: str,
    *,
    settings: Settings | None = None,
) -> NDArray[Any]:
    """Decode one compressed frame to the words that a native frame would hold.

    Parameters
    ----------
    data
        The frame's fragments, joined.
    description
        Of the object; the codestream must agree with it in rows, columns and samples.
    transfer_syntax_uid
        Chooses the decoder.
    settings
        ``frame_bytes_max`` bounds the decoded size.

    Returns
    -------
    (rows, columns) or (rows, columns, samples), C order, ``description.dtype()``: a new array. Apply `stored_values`
    as to native words.

    Raises
    ------
    UndecodableError
        No decoder for this transfer syntax is installed (the message names the package to install), or the codestream
        is broken, or contradicts the description. The stored bytes are untouched.
    LimitError
        The frame would be larger than the settings allow.
    UnsupportedError
        Bits Allocated is no width of a word.

    Notes
    -----
    Where sign or depth of codestream and description differ (PS3.5 8.2.4 forbids it, J2K writers do it), the bits are
    read as the description says. Thread safe; the decoders of imagecodecs release the interpreter lock.
    """
    limit = (settings or Settings()).frame_bytes_max
    size = description.sample_count() * description.dtype().itemsize
    if size > limit:
        raise LimitError(
            f"A frame of {size} bytes exceeds the limit of {limit} (frame_bytes_max).", expected=limit, found=size
        )
    data = bytes(data)
    kind = frame_format(transfer_syntax_uid)
    if kind is FrameFormat.NATIVE:
        return _native(data, description, transfer_syntax_uid)
    if kind is FrameFormat.DEFLATED:
        return _native(_inflate(data, description), description, transfer_syntax_uid)
    if kind is None or kind not in _DECODERS:
        raise UndecodableError(
            f"There is no decoder for transfer syntax {transfer_syntax_uid}. The stored bytes can be fetched.",
            transfer_syntax_uid=transfer_syntax_uid,
        )
    stream = read_codestream(data, kind)
    if stream is not None:
        _check_agreement(stream, description, kind)
    decoder = _choose_decoder(kind, stream, transfer_syntax_uid)
    return _conform(_run(decoder, data, description, transfer_syntax_uid), stream, description, transfer_syntax_uid)


def decoded_photometric(data: bytes | memoryview, description: PixelDescription, transfer_syntax_uid: str) -> str:
    """What the samples of a decoded frame are, as a value of Photometric Interpretation.

    Decoders of JPEG 2000, HTJ2K and JPEG XL give RGB where they undo a transform. A lossy JPEG codestream's own word
    (component identifiers R, G, B; the Adobe segment; the JFIF segment) is taken before Photometric Interpretation,
    which many writers leave at RGB. YBR_FULL_422 comes out with full chroma, so it is YBR_FULL.

    Raises
    ------
    UndecodableError
        The codestream's header cannot be read.
    """
    photometric = description.photometric
    if description.samples != 3:
        return photometric
    kind = frame_format(transfer_syntax_uid)
    if kind is FrameFormat.JPEG_XL or photometric in ("YBR_ICT", "YBR_RCT"):
        return "RGB"
    stream = read_codestream(data, kind) if kind is not None else None
    if stream is not None and stream.color:
        return stream.color
    return "YBR_FULL" if photometric == "YBR_FULL_422" else photometric


def _choose_decoder(kind: FrameFormat, stream: Codestream | None, transfer_syntax_uid: str) -> Decoder:
    missing = ""
    for decoder in _DECODERS[kind]:
        if stream is not None and not decoder.accepts(stream):
            continue
        if find_spec(decoder.package) is not None:
            return decoder
        missing = missing or decoder.distribution
    remedy = f"Install {missing} to decode it" if missing else "No library here decodes such a codestream"
    raise UndecodableError(
        f"A {kind} frame (transfer syntax {transfer_syntax_uid}) cannot be decoded: {remedy}. "
        "The stored bytes can be fetched.",
        transfer_syntax_uid=transfer_syntax_uid,
        expected=missing,
    )


def _run(decoder: Decoder, data: bytes, description: PixelDescription, transfer_syntax_uid: str) -> NDArray[Any]:
    try:
        return decoder.decode(data, description)
    except (RuntimeError, ValueError, OSError, MemoryError, ImportError) as error:
        # What these libraries raise on bad codestreams: imagecodecs RuntimeError and ValueError, and ImportError where
        # it was built without the codec; Pillow OSError. Their texts speak of the codestream only.
        raise UndecodableError(
            f"{decoder.package} cannot decode this frame (transfer syntax {transfer_syntax_uid}): "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}. The stored bytes can be fetched.",
            transfer_syntax_uid=transfer_syntax_uid,
        ) from error


def _check_agreement(stream: Codestream, description: PixelDescription, kind: FrameFormat) -> None:
    # libjpeg fills what is missing with gray and says nothing; CharLS has searched for an end for seconds in 120
    # bytes. The other decoders refuse cut frames themselves.
    if not stream.complete and kind in (FrameFormat.JPEG, FrameFormat.JPEG_LS):
        raise UndecodableError(
            f"This {kind} frame breaks off: it has no end marker. The stored bytes can be fetched.", expected="FFD9"
        )
    expected = (description.rows, description.columns, description.samples)
    found = (stream.rows, stream.columns, stream.samples or description.samples)
    if found != expected:
        raise UndecodableError(
            f"The codestream has {found} rows, columns and samples, but the object's attributes say {expected}: "
            "one of them is wrong. The stored bytes can be fetched.",
            expected=expected,
            found=found,
        )


def _conform(
    decoded: NDArray[Any], stream: Codestream | None, description: PixelDescription, transfer_syntax_uid: str
) -> NDArray[Any]:
    """Bring decoded samples to the description's shape and dtype, or refuse them."""
    dtype, shape = description.dtype(), description.frame_shape()
    bits = stream.precision if stream is not None and stream.precision else decoded.dtype.itemsize * 8
    fits = bits <= dtype.itemsize * 8 and decoded.dtype.itemsize <= dtype.itemsize
    if decoded.shape != shape or decoded.dtype.kind not in "iu" or not fits:
        raise UndecodableError(
            f"The frame decodes to {decoded.dtype} of shape {decoded.shape} with {bits} bits, but the object's "
            f"attributes say {dtype} of shape {shape}. The stored bytes can be fetched.",
            expected=(dtype.str, shape),
            found=(decoded.dtype.str, decoded.shape),
        )
    words = decoded.astype(dtype, order="C", copy=False)  # Widening a signed sample to its word extends the sign.
    if decoded.dtype.kind == "u" and description.signed:
        # JPEG 2000 states a depth of its own, whose top bit then is the sign; the other formats know no sign, and
        # their writers code two's complement of Bits Stored.
        own_depth = frame_format(transfer_syntax_uid) in (FrameFormat.JPEG_2000, FrameFormat.HTJ2K)
        words = extend_sign(words, bits if own_depth else description.bits_stored)
    elif decoded.dtype.kind == "i" and not description.signed:
        words = words & dtype.type((1 << bits) - 1)
    spare = description.high_bit + 1 - description.bits_stored
    if bits <= description.bits_stored:
        # Decoders put samples at bit 0; an object with High Bit above Bits Stored - 1 holds them higher.
        return words << dtype.type(spare) if spare else words
    if spare == 0 and transfer_syntax(transfer_syntax_uid).lossless is not True:
        # Coded deeper than Bits Stored, lossy samples overshoot the range: masked, white would turn black.
        low = -(1 << (description.bits_stored - 1)) if description.signed else 0
        words = np.clip(words, low, low + (1 << description.bits_stored) - 1)
    return words


def _native(data: bytes, description: PixelDescription, transfer_syntax_uid: str) -> NDArray[Any]:
    return read_native_frame(data, 0, replace(description, frames=1), transfer_syntax_uid=transfer_syntax_uid)


def _inflate(data: bytes | memoryview, description: PixelDescription) -> bytes:
    """Deflated Image Frame Compression (PS3.5 A.4.13): one raw deflate stream (RFC 1951) per frame."""
    expected = description.frame_bytes()
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = stream.decompress(data, expected + 2)  # A frame may carry a pad byte; more is not inflated.
    except zlib.error as error:
        raise UndecodableError(
            "This frame is no whole deflate stream. The stored bytes can be fetched.", expected=expected
        ) from error
    if not expected <= len(inflated) <= expected + 1:
        raise UndecodableError(
            f"This frame inflates to {len(inflated)} bytes or more but should to {expected}. "
            "The stored bytes can be fetched.",
            expected=expected,
            found=len(inflated),
        )
    return inflated
