"""Encoding frames without loss, for a peer that takes neither the stored transfer syntax nor an uncompressed one.

E1  What comes out decodes to the very words that went in: each frame is decoded again before it is given out.
E2  The codestream states the depth of the object (Bits Stored) where its format states any (PS3.5 8.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.dicom.codecs import decode_frame
from pacscore.dicom.pixels import PixelDescription
from pacscore.errors import UndecodableError, UnsupportedError

JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"


def encodable_syntaxes() -> tuple[str, ...]:
    """The transfer syntaxes that frames can be encoded in with what is installed, the most compact first."""
    return tuple(_ENCODERS) if find_spec("imagecodecs") is not None else (RLE_LOSSLESS,)


def encode_frame(frame: NDArray[Any], description: PixelDescription, transfer_syntax_uid: str) -> bytes:
    """Encode one frame without loss.

    Parameters
    ----------
    frame : (rows, columns) or (rows, columns, samples)
        Words of 8 or 16 bits, native byte order, as ``decode_frame`` gives them.
    description
        Of the object.
    transfer_syntax_uid
        One of ``encodable_syntaxes``.

    Returns
    -------
    bytes
        The codestream; colour by pixel (Planar Configuration 0).

    Raises
    ------
    UnsupportedError
        The format cannot hold these words, or no encoder is installed.

    Notes
    -----
    PS3.5 A.4.2 (RLE, annex G), A.4.3 (JPEG-LS), A.4.4 (JPEG 2000).
    """
    if transfer_syntax_uid not in encodable_syntaxes():
        raise UnsupportedError(f"frames are not encoded in {transfer_syntax_uid}.", expected=transfer_syntax_uid)
    if frame.dtype.itemsize not in (1, 2) or description.samples not in (1, 3) or description.bits_allocated == 1:
        raise UnsupportedError(f"words of {frame.dtype} with {description.samples} samples are not encoded.")
    made = replace(description, planar=0, bits_allocated=8 * frame.dtype.itemsize)
    words = np.ascontiguousarray(frame)
    try:
        data = _ENCODERS[transfer_syntax_uid](words, made)
        again = decode_frame(data, made, transfer_syntax_uid)
    except (RuntimeError, ValueError, UndecodableError) as error:
        raise UnsupportedError(
            f"the frame cannot be encoded in {transfer_syntax_uid}.", expected=transfer_syntax_uid
        ) from error
    if not np.array_equal(again, words):
        raise UnsupportedError(
            f"in {transfer_syntax_uid} the words of the frame would change.", expected=transfer_syntax_uid
        )
    return data


def _encode_jpeg_ls(words: NDArray[Any], description: PixelDescription) -> bytes:
    import imagecodecs

    if description.bits_stored != 8 * words.dtype.itemsize:
        raise ValueError("this encoder states the depth of the word, not Bits Stored")  # E2
    room = 2 * words.nbytes + 1024  # Noise becomes longer than it was.
    return bytes(imagecodecs.jpegls_encode(_unsigned(words), level=0, out=room))


def _encode_jpeg_2000(words: NDArray[Any], description: PixelDescription) -> bytes:
    import imagecodecs

    return bytes(
        imagecodecs.jpeg2k_encode(
            words,
            level=0,
            codecformat="J2K",
            reversible=True,
            mct=False,  # Or the photometric interpretation would have to become YBR_RCT.
            bitspersample=description.bits_stored,
            numthreads=1,
        )
    )


def _encode_rle(words: NDArray[Any], description: PixelDescription) -> bytes:
    from pydicom.pixels.encoders import RLELosslessEncoder

    encoded: bytes = RLELosslessEncoder.encode(
        words,
        encoding_plugin="pydicom",
        rows=description.rows,
        columns=description.columns,
        samples_per_pixel=description.samples,
        bits_allocated=description.bits_allocated,
        bits_stored=description.bits_allocated,  # Bits above Bits Stored are kept as well.
        pixel_representation=int(description.signed),
        photometric_interpretation="MONOCHROME2" if description.samples == 1 else "RGB",
        planar_configuration=0,
        number_of_frames=1,
    )
    return encoded


def _unsigned(words: NDArray[Any]) -> NDArray[Any]:
    return words.view(np.dtype(f"u{words.dtype.itemsize}"))


_ENCODERS: dict[str, Callable[[NDArray[Any], PixelDescription], bytes]] = {
    JPEG_2000_LOSSLESS: _encode_jpeg_2000,
    JPEG_LS_LOSSLESS: _encode_jpeg_ls,
    RLE_LOSSLESS: _encode_rle,
}
