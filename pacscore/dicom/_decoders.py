"""One small function for each decoder of each library, all with one shape: (bytes, description) to samples.

Each imports its library when first called. They raise whatever their library raises; ``codecs`` translates.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from struct import unpack_from
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.dicom.codestream import FrameFormat, read_codestream
from pacscore.dicom.pixels import PixelDescription, unpack_bits

if TYPE_CHECKING:
    from PIL.Image import Image


def of_imagecodecs(name: str) -> Callable[[bytes, PixelDescription], NDArray[Any]]:
    """The decoder of that name, for formats whose samples come out as they are wanted."""

    def decode(data: bytes, description: PixelDescription) -> NDArray[Any]:
        import imagecodecs

        options = {} if name == "jpegls_decode" else {"numthreads": 1}  # Threads are for ``parallel`` to give.
        return np.asarray(getattr(imagecodecs, name)(data, **options))

    return decode


def decode_jpeg_with_imagecodecs(data: bytes, description: PixelDescription) -> NDArray[Any]:
    """Any JPEG process libjpeg-turbo knows: baseline, extended 8 and 12 bit, progressive, lossless to 16 bit."""
    import imagecodecs

    # Naming the same color space for input and output makes libjpeg leave the components alone, whatever its guess.
    same = "RGB" if description.samples == 3 else None
    return np.asarray(imagecodecs.jpeg8_decode(data, colorspace=same, outcolorspace=same))


def decode_jpeg_with_pillow(data: bytes, description: PixelDescription) -> NDArray[Any]:
    """8-bit lossy JPEG, components as coded."""
    stream = read_codestream(data, FrameFormat.JPEG)
    with _open_with_pillow(data, "JPEG") as image:
        if description.samples == 3 and (stream is None or stream.color != "RGB"):
            # Pillow would convert to RGB what libjpeg takes for YCbCr: asking for YCbCr switches that off.
            image.draft("YCbCr", image.size)
        return np.array(image)


def decode_jpeg_2000_with_pillow(data: bytes, description: PixelDescription) -> NDArray[Any]:
    """8-bit unsigned JPEG 2000 of one or three components, and 16-bit of one."""
    with _open_with_pillow(data, "JPEG2000") as image:
        return np.array(image)


def _open_with_pillow(data: bytes, name: str) -> Image:
    import PIL.Image

    try:
        return PIL.Image.open(BytesIO(data), formats=(name,))
    except PIL.Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error


def decode_rle_with_imagecodecs(data: bytes, description: PixelDescription) -> NDArray[Any]:
    """RLE Lossless (PS3.5 G): a segment per byte of a sample, planes behind each other."""
    import imagecodecs

    _check_rle_header(data, description)
    dtype = np.dtype("u1") if description.bits_allocated == 1 else np.dtype(f"u{description.bits_allocated // 8}")
    # A buffer of just the frame's size: the decoder refuses to write more, whatever the runs say.
    out = np.empty(description.frame_bytes(), np.uint8)
    return _rle_frame(imagecodecs.dicomrle_decode(data, dtype, out=out.data), description)


def decode_rle_with_pydicom(data: bytes, description: PixelDescription) -> NDArray[Any]:
    """The same in pure Python: slow, but in the base install."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders import RLELosslessDecoder

    _check_rle_header(data, description)
    one_bit = description.bits_allocated == 1
    allocated = 8 if one_bit else description.bits_allocated
    decoded, _ = RLELosslessDecoder.as_array(
        encapsulate([data], has_bot=False),
        index=0,
        raw=True,
        decoding_plugin="pydicom",
        # pydicom knows no packed bits: it is given the bytes they lie in, as one row.
        rows=1 if one_bit else description.rows,
        columns=description.frame_bytes() if one_bit else description.columns,
        samples_per_pixel=description.samples,
        bits_allocated=allocated,
        bits_stored=allocated,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2" if description.samples == 1 else "RGB",
        planar_configuration=0,
        number_of_frames=1,
        pixel_keyword="PixelData",
    )
    samples = np.ascontiguousarray(decoded)
    if one_bit:
        return _one_bit_frame(samples.reshape(-1), description)
    return samples.reshape(description.frame_shape())


def _check_rle_header(data: bytes, description: PixelDescription) -> tuple[int, ...]:
    """Offsets of the segments, as many as the description needs, rising and inside the data (PS3.5 G.5)."""
    expected = max(1, description.bits_allocated // 8) * description.samples
    if description.bits_allocated == 1 and description.samples != 1:
        raise ValueError("one-bit RLE frames have one sample per pixel")
    if len(data) < 64:
        raise ValueError(f"RLE header is cut: {len(data)} bytes of 64")
    count, *offsets = unpack_from("<16I", data)
    used = tuple(offsets[:expected])
    if count != expected or used[0] != 64 or any(b <= a for a, b in zip(used, (*used[1:], len(data)), strict=True)):
        raise ValueError(f"RLE header has {count} segments at {used}, but the samples need {expected} rising from 64")
    return used


def _rle_frame(decoded: bytes | bytearray, description: PixelDescription) -> NDArray[Any]:
    flat = np.frombuffer(decoded, np.uint8)
    if len(flat) != description.frame_bytes():
        raise ValueError(f"RLE frame has {len(flat)} bytes of {description.frame_bytes()}")
    if description.bits_allocated == 1:
        return _one_bit_frame(flat, description)
    words = flat.view(np.dtype(f"u{description.bits_allocated // 8}"))
    if description.samples == 1:
        return words.reshape(description.frame_shape())
    planes = words.reshape(description.samples, description.rows, description.columns)
    return np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def _one_bit_frame(packed: NDArray[np.uint8], description: PixelDescription) -> NDArray[Any]:
    return unpack_bits(packed, start=0, count=description.sample_count()).reshape(description.frame_shape())
