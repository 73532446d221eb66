"""Decoding compressed frames: against second decoders on all real files, on made frames, and on bad ones."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import pixels as twin
from reference.pydicom_images import RealImage, list_images, read_image

from pacscore.dicom import _decoders, codecs
from pacscore.dicom.codestream import FrameFormat, frame_format, read_codestream
from pacscore.dicom.encapsulated import map_frames
from pacscore.dicom.pixels import PixelDescription, describe_pixels, stored_values
from pacscore.dicom.syntaxes import transfer_syntax
from pacscore.errors import InvalidDicomError, LimitError, PacscoreError, UndecodableError
from pacscore.parallel import map_ordered
from pacscore.settings import Settings

ROOT = "1.2.840.10008.1.2."
RLE, BASELINE, EXTENDED, SV1 = ROOT + "5", ROOT + "4.50", ROOT + "4.51", ROOT + "4.70"
JPEG_LS, NEAR, J2K, J2K_LOSSY = ROOT + "4.80", ROOT + "4.81", ROOT + "4.90", ROOT + "4.91"
HTJ2K, HTJ2K_LOSSY, JPEG_XL = ROOT + "4.201", ROOT + "4.203", ROOT + "4.110"
DEFLATED, UNCOMPRESSED = ROOT + "8.1", ROOT + "1.98"


@cache
def real_frames(data: Path) -> list[tuple[RealImage, PixelDescription, int, bytes]]:
    """First and last frame of every encapsulated real file."""
    found = []
    for path in list_images(data):
        image = read_image(path)
        if image is None or not image.encapsulated or path.parent.name == "broken" or path.name == "genFile.dcm":
            continue
        description = describe_pixels(image.get, image.transfer_syntax_uid, image.tag)
        assert description is not None
        frames = map_frames(image.value, description.frames, image.transfer_syntax_uid)
        found += [(image, description, i, frames.frame(image.value, i)) for i in {0, description.frames - 1}]
    return found


def describe(shape: tuple[int, ...], bits: int, *, signed: bool = False, stored: int | None = None) -> PixelDescription:
    samples = shape[2] if len(shape) == 3 else 1
    stored = stored or bits
    photometric = "RGB" if samples == 3 else "MONOCHROME2"
    return PixelDescription(shape[0], shape[1], samples, 1, bits, stored, stored - 1, signed, photometric)


def pydicom_cannot(image: RealImage, description: PixelDescription) -> bool:
    """What pydicom with its plug-ins of the test extra does not decode."""
    uid = image.transfer_syntax_uid
    one_bit_rle = uid == RLE and description.bits_allocated == 1
    deep_jpeg = uid in (EXTENDED, ROOT + "4.53", ROOT + "4.55") and description.bits_stored > 8
    lossless_jpeg = uid in (ROOT + "4.57", SV1)  # Only the interop peer gdcm has it.
    return one_bit_rle or deep_jpeg or lossless_jpeg or uid in (DEFLATED, ROOT + "4.111")


def test_frames_of_all_real_files_equal_those_of_pydicom(data: Path) -> None:
    compared = 0
    for image, description, frame_index, frame in real_frames(data):
        if pydicom_cannot(image, description):
            continue
        words = codecs.decode_frame(frame, description, image.transfer_syntax_uid)
        expected = image.frame_by_pydicom(frame_index)
        actual = stored_values(words, description)
        assert actual.dtype == expected.dtype, image
        if image.path.name == "jpeg2000-multiframe-multifragments.dcm":
            expected = expected.clip(0, 4095)  # Lossy overshoot beyond Bits Stored, which pydicom leaves.
        assert np.array_equal(actual, expected), image
        compared += 1
    assert compared > 55


def second_opinions(image: RealImage, description: PixelDescription, frame: bytes) -> Iterator[np.ndarray]:
    """The same lossless frame by other libraries than the registry's first."""
    uid = image.transfer_syntax_uid
    if uid in (ROOT + "4.57", SV1) and read_codestream(frame, FrameFormat.JPEG).reversible:  # type: ignore[union-attr]
        yield imagecodecs.ljpeg_decode(frame)
        yield np.ascontiguousarray(imagecodecs.jpegsof3_decode(frame))
    if uid == RLE:
        yield _decoders.decode_rle_with_pydicom(frame, description)
        if description.bits_allocated > 1:
            from rle.utils import decode_frame

            pixels = description.rows * description.columns
            planes = bytes(decode_frame(frame, pixels, description.bits_allocated, "<"))
            words = np.frombuffer(planes, f"<u{description.bits_allocated // 8}")
            yield np.moveaxis(words.reshape(description.samples, description.rows, description.columns), 0, -1)
    if uid == J2K:
        import openjpeg

        yield openjpeg.decode(frame)
    if uid == HTJ2K:
        yield imagecodecs.htj2k_decode(frame)
    if uid == JPEG_LS:
        import jpeg_ls

        yield jpeg_ls.decode(np.frombuffer(frame, np.uint8))


def test_each_lossless_decoder_agrees_with_a_second_one_on_all_real_files(data: Path) -> None:
    agreed: set[str] = set()
    for image, description, _, frame in real_frames(data):
        words = codecs.decode_frame(frame, description, image.transfer_syntax_uid)
        for other in second_opinions(image, description, frame):
            bits = description.bits_stored
            same = other.reshape(words.shape).astype(np.int64) - words & ((1 << bits) - 1)
            assert not same.any(), image
            agreed.add(image.transfer_syntax_uid)
    assert agreed == {ROOT + "4.57", SV1, RLE, J2K, HTJ2K, JPEG_LS}


def test_base_install_decodes_the_same_or_names_the_extra(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = [codecs.decode_frame(frame, d, image.transfer_syntax_uid) for image, d, _, frame in real_frames(data)]
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    compared: set[FrameFormat] = set()
    for (image, description, _, frame), expected in zip(real_frames(data), decoded, strict=True):
        kind = frame_format(image.transfer_syntax_uid)
        if kind is None or kind is FrameFormat.DEFLATED:
            continue
        stream = read_codestream(frame, kind)
        if not any(
            d.package != "imagecodecs" and (stream is None or d.accepts(stream)) for d in codecs._DECODERS[kind]
        ):
            with pytest.raises(UndecodableError, match=r"Install pacscore\[codecs\]"):
                codecs.decode_frame(frame, description, image.transfer_syntax_uid)
            continue
        if image.path.name == "GDCMJ2K_TextGBR.dcm":
            continue  # Pillow calls it a broken data stream; imagecodecs and pydicom's plug-ins do not.
        words = codecs.decode_frame(frame, description, image.transfer_syntax_uid)
        # Two builds of libjpeg, and two versions of OpenJPEG, may round a lossy inverse transform apart by one.
        tolerance = 1 if transfer_syntax(image.transfer_syntax_uid).lossless is not True else 0
        assert np.abs(words.astype(np.int64) - expected).max() <= tolerance, image
        compared.add(kind)
    assert compared == {FrameFormat.RLE, FrameFormat.JPEG, FrameFormat.JPEG_2000}


@pytest.mark.interop
def test_lossless_jpeg_equals_gdcm(data: Path) -> None:
    compared = 0
    for image, description, frame_index, frame in real_frames(data):
        if image.transfer_syntax_uid in (ROOT + "4.57", SV1):
            expected = image.frame_by_pydicom(frame_index, decoding_plugin="gdcm")
            words = codecs.decode_frame(frame, description, image.transfer_syntax_uid)
            assert np.array_equal(stored_values(words, description), expected), image
            compared += 1
    assert compared > 5


def test_files_that_pydicom_cannot_decode_are_decoded(data: Path) -> None:
    by_name = {image.path.name: (image, description, frame) for image, description, _, frame in real_frames(data)}
    liver = {}
    for name in ("liver_rle.dcm", "liver_deflate.dcm", "liver_j2k.dcm"):
        image, description, frame = by_name[name]
        liver[name] = codecs.decode_frame(frame, description, image.transfer_syntax_uid)
        assert liver[name].shape == (512, 512)
    assert np.array_equal(liver["liver_rle.dcm"], liver["liver_j2k.dcm"])
    assert np.array_equal(liver["liver_deflate.dcm"], liver["liver_j2k.dcm"])
    for name, lossless in (("RG3_JPLY", "RG3_UNCI"), ("XA1_JPLY", "XA1_UNCI"), ("JPEG-lossy.dcm", "JPEG2000.dcm")):
        if name in by_name:
            image, description, frame = by_name[name]
            words = codecs.decode_frame(frame, description, image.transfer_syntax_uid)
            assert words.dtype == np.uint16, lossless
            assert words.max() < 1 << description.bits_stored


ENCODERS = {
    SV1: lambda a: imagecodecs.ljpeg_encode(a, bitspersample=a.dtype.itemsize * 8),
    JPEG_LS: imagecodecs.jpegls_encode,
    J2K: lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True, level=0),
    HTJ2K: imagecodecs.htj2k_encode,
    JPEG_XL: lambda a: imagecodecs.jpegxl_encode(a, lossless=True, usecontainer=False),
    DEFLATED: lambda a: zlib.compress(a.tobytes(), wbits=-15),
    UNCOMPRESSED: lambda a: a.tobytes(),
}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    # This lossless JPEG encoder is for one component; the real files cover three.
    ("uid", "samples"),
    [(uid, samples) for uid in ENCODERS for samples in (1, 3) if (uid, samples) != (SV1, 3)],
)
def test_lossless_frames_come_back_exactly(uid: str, bits: int, samples: int) -> None:
    shape = (23, 41) if samples == 1 else (23, 41, 3)
    words = np.random.default_rng(7).integers(0, 1 << bits, shape).astype(f"u{bits // 8}")
    decoded = codecs.decode_frame(ENCODERS[uid](words), describe(shape, bits), uid)
    assert decoded.dtype == words.dtype
    assert np.array_equal(decoded, words)


@pytest.mark.parametrize("uid", [J2K, HTJ2K, JPEG_LS, SV1])
def test_negative_samples_come_back_with_their_sign(uid: str) -> None:
    words = np.random.default_rng(7).integers(-2048, 2048, (20, 30)).astype(np.int16)
    coded = words if uid in (J2K, HTJ2K) else words.view(np.uint16) & 0xFFF  # These know no sign: two's complement.
    decoded = codecs.decode_frame(ENCODERS[uid](coded), describe((20, 30), 16, signed=True, stored=12), uid)
    assert np.array_equal(decoded, words)
    assert decoded.dtype == np.int16


def test_a_codestream_with_a_sign_under_unsigned_attributes_keeps_its_bits() -> None:
    words = np.array([[-1, 5]], np.int16)
    decoded = codecs.decode_frame(ENCODERS[J2K](words), describe((1, 2), 16), J2K)
    assert decoded.tolist() == [[65535, 5]]


def test_samples_lie_as_high_bit_says() -> None:
    description = replace(describe((4, 4), 16, stored=8), high_bit=15)
    values = np.arange(16, dtype=np.uint8).reshape(4, 4)
    words = codecs.decode_frame(ENCODERS[J2K](values), description, J2K)
    assert np.array_equal(stored_values(words, description), values)


def test_lossy_overshoot_beyond_bits_stored_is_clamped_and_lossless_high_bits_are_kept() -> None:
    words = np.full((8, 8), 0x1005, np.uint16)
    coded = ENCODERS[J2K](words)
    description = describe((8, 8), 16, stored=12)
    assert (codecs.decode_frame(coded, description, J2K_LOSSY) == 4095).all()
    assert (codecs.decode_frame(coded, description, J2K) == 0x1005).all()


def test_lossy_htj2k_does_not_wrap_white_to_black(data: Path) -> None:
    """OpenJPH through imagecodecs 2026.3 turns 657 samples of this frame from 255 to 0: it is not used."""
    frames = {image.path.name: (image, description, frame) for image, description, _, frame in real_frames(data)}
    image, description, frame = frames["HTJ2K_08_RGB.dcm"]
    lossless = frames["HTJ2KLossless_08_RGB.dcm"]
    lossy = codecs.decode_frame(frame, description, image.transfer_syntax_uid).astype(int)
    exact = codecs.decode_frame(lossless[2], lossless[1], lossless[0].transfer_syntax_uid)
    assert np.abs(lossy - exact).max() < 32


@pytest.mark.parametrize(
    ("photometric", "expected"), [("YBR_ICT", "RGB"), ("YBR_RCT", "RGB"), ("RGB", "RGB"), ("YBR_FULL_422", "YBR_FULL")]
)
def test_photometric_of_frames_whose_codestream_says_nothing(photometric: str, expected: str) -> None:
    frame = ENCODERS[JPEG_LS](np.zeros((4, 4, 3), np.uint8))
    description = replace(describe((4, 4, 3), 8), photometric=photometric)
    assert codecs.decoded_photometric(frame, description, JPEG_LS) == expected


def test_a_lossy_jpeg_codestream_knows_its_colors_better_than_the_attributes() -> None:
    from PIL import Image

    buffer = BytesIO()
    Image.new("RGB", (16, 8), (250, 20, 30)).save(buffer, "JPEG")
    jfif = buffer.getvalue()
    adobe = b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0\0"
    description = describe((8, 16, 3), 8)
    assert codecs.decoded_photometric(jfif, description, BASELINE) == "YBR_FULL"
    assert codecs.decoded_photometric(jfif[:2] + adobe + jfif[2:], description, BASELINE) == "RGB"
    lossless = imagecodecs.jpeg8_encode(np.zeros((8, 16, 3), np.uint8), lossless=True)
    assert codecs.decoded_photometric(lossless, description, SV1) == "RGB"


def test_unknown_and_video_syntaxes_cannot_be_decoded() -> None:
    for uid in ("1.2.3", ROOT + "4.102", ROOT + "1"):
        assert not codecs.can_decode(uid)
        with pytest.raises(UndecodableError, match="no decoder"):
            codecs.decode_frame(b"", describe((1, 1), 8), uid)
    assert all(codecs.can_decode(uid) for uid in (*ENCODERS, RLE, BASELINE, EXTENDED, NEAR, J2K_LOSSY, HTJ2K_LOSSY))


def test_a_missing_decoder_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = ENCODERS[JPEG_LS](np.zeros((4, 4), np.uint8))
    deep = ENCODERS[J2K](np.zeros((4, 4), np.int16))
    shallow = ENCODERS[J2K](np.arange(16, dtype=np.uint8).reshape(4, 4))
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert not codecs.can_decode(JPEG_LS)
    assert codecs.can_decode(J2K)
    with pytest.raises(UndecodableError, match=r"Install pacscore\[codecs\]"):
        codecs.decode_frame(frame, describe((4, 4), 8), JPEG_LS)
    with pytest.raises(UndecodableError, match=r"Install pacscore\[codecs\]"):
        codecs.decode_frame(deep, describe((4, 4), 16, signed=True), J2K)
    assert codecs.decode_frame(shallow, describe((4, 4), 8), J2K).ravel().tolist() == list(range(16))


def test_a_frame_larger_than_the_limit_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(LimitError, match="frame_bytes_max"):
        codecs.decode_frame(b"", describe((9, 9), 16), J2K, settings=Settings(frame_bytes_max=100))


@pytest.mark.parametrize("uid", [SV1, JPEG_LS, J2K, HTJ2K, JPEG_XL])
@pytest.mark.parametrize("shape", [(24, 41), (23, 40), (23, 41, 3)])
def test_codestreams_of_another_size_than_the_attributes_are_refused(uid: str, shape: tuple[int, ...]) -> None:
    frame = ENCODERS[uid](np.zeros((23, 41), np.uint8))
    with pytest.raises(UndecodableError, match=r"attributes say"):
        codecs.decode_frame(frame, describe(shape, 8), uid)


def test_samples_deeper_than_their_words_are_refused() -> None:
    with pytest.raises(UndecodableError, match="16 bits"):
        codecs.decode_frame(ENCODERS[J2K](np.zeros((4, 4), np.uint16)), describe((4, 4), 8), J2K)


@given(rows=st.integers(1, 1500), columns=st.integers(1, 1500), container=st.booleans())
def test_jpeg_xl_sizes_are_read_as_its_encoder_wrote_them(rows: int, columns: int, container: bool) -> None:
    rows, columns = (rows, 1 + columns % 40) if rows > columns else (1 + rows % 40, columns)
    frame = imagecodecs.jpegxl_encode(np.zeros((rows, columns), np.uint8), usecontainer=container, effort=1)
    stream = read_codestream(frame, FrameFormat.JPEG_XL)
    assert stream is not None
    assert (stream.rows, stream.columns) == (rows, columns)


@pytest.mark.parametrize("shape", [(12, 16), (9, 16), (8, 8), (800, 1200), (256, 256), (512, 640), (100, 200)])
def test_jpeg_xl_sizes_by_ratio_are_read(shape: tuple[int, int]) -> None:
    stream = read_codestream(imagecodecs.jpegxl_encode(np.zeros(shape, np.uint8), effort=1), FrameFormat.JPEG_XL)
    assert stream is not None
    assert (stream.rows, stream.columns) == shape


def rle_frame(segments: list[bytes]) -> bytes:
    starts = [64 + sum(map(len, segments[:i])) for i in range(len(segments))]
    return struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(segments))) + b"".join(segments)


def literal(data: bytes) -> bytes:
    runs = b"".join(bytes([len(data[i : i + 128]) - 1]) + data[i : i + 128] for i in range(0, len(data), 128))
    return runs + b"\x80" * (len(runs) % 2)  # 128 means: nothing; segments have even length.


@pytest.mark.parametrize("decode", [_decoders.decode_rle_with_imagecodecs, _decoders.decode_rle_with_pydicom])
def test_rle_segments_are_bytes_of_planes_most_significant_first(decode: Any) -> None:
    description = describe((2, 2, 3), 16)
    planes = np.arange(12, dtype=np.uint16).reshape(3, 2, 2) * 259
    segments = [literal((plane >> shift & 255).astype(np.uint8).tobytes()) for plane in planes for shift in (8, 0)]
    assert np.array_equal(decode(rle_frame(segments), description), np.moveaxis(planes, 0, -1))


@pytest.mark.parametrize("decode", [_decoders.decode_rle_with_imagecodecs, _decoders.decode_rle_with_pydicom])
def test_one_bit_rle_frames_are_unpacked(decode: Any) -> None:
    packed = bytes([0b10100101, 0b1])
    frame = decode(rle_frame([literal(packed)]), describe((3, 3), 1))
    assert frame.ravel().tolist() == twin.unpack_bits(packed, 0, 9)


BAD_RLE = [
    b"",
    bytes(64),
    rle_frame([literal(b"abc")]),
    rle_frame([literal(b"ab"), literal(b"cd")]),
    struct.pack("<16I", 1, 60, *[0] * 14) + literal(b"abcd"),
    struct.pack("<16I", 1, 64, *[0] * 14),
]


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("frame", BAD_RLE)
def test_short_rle_frames_and_wrong_headers_are_refused(
    frame: bytes, hidden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if hidden:
        monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(UndecodableError):
        codecs.decode_frame(frame, describe((2, 2), 8), RLE)


@pytest.mark.parametrize("frame", [rle_frame([literal(b"abcde")]), rle_frame([b"\x81\x05" * 40])])
def test_rle_runs_beyond_the_frame_are_refused(frame: bytes) -> None:
    with pytest.raises(UndecodableError):
        codecs.decode_frame(frame, describe((2, 2), 8), RLE)


@pytest.mark.parametrize("uid", ENCODERS)
def test_frames_cut_anywhere_are_refused_and_not_filled(uid: str) -> None:
    words = np.random.default_rng(3).integers(0, 256, (16, 16)).astype(np.uint8)
    frame = ENCODERS[uid](words)
    for end in range(0, len(frame) - 4, 3):
        with pytest.raises((UndecodableError, InvalidDicomError)):
            codecs.decode_frame(frame[:end], describe((16, 16), 8), uid)


@settings(deadline=None)  # The first example may compile a kernel.
@given(noise=st.binary(max_size=200), where=st.integers(0, 400), uid=st.sampled_from([*ENCODERS, RLE]))
def test_noise_in_frames_raises_only_our_errors(noise: bytes, where: int, uid: str) -> None:
    words = np.arange(256, dtype=np.uint8).reshape(16, 16)
    frame = ENCODERS[uid](words) if uid in ENCODERS else rle_frame([literal(words.tobytes())])
    where = min(where, len(frame))
    for data in (noise, frame[:where] + noise, frame[:where] + noise + frame[where + len(noise) :]):
        try:
            decoded = codecs.decode_frame(data, describe((16, 16), 8), uid)
        except PacscoreError:
            continue
        assert decoded.shape == (16, 16)


def test_a_deflated_frame_is_not_inflated_beyond_its_size() -> None:
    bomb = zlib.compress(bytes(50_000_000), wbits=-15)
    with pytest.raises(UndecodableError, match="inflates to 18 bytes or more"):
        codecs.decode_frame(bomb, describe((4, 4), 8), DEFLATED)


def test_importing_and_describing_loads_no_heavy_library() -> None:
    script = (
        "import sys, pacscore.dicom.colour, pacscore.dicom.encapsulated as e, pacscore.dicom.pixels as p\n"
        "get = {'Rows': 1, 'Columns': 1, 'BitsAllocated': 8}.get\n"
        "assert p.describe_pixels(get, '1.2.840.10008.1.2.1')\n"
        "heavy = {'numba', 'pydicom', 'imagecodecs', 'PIL', 'zarr'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_frames_decode_the_same_from_several_threads() -> None:
    words = [np.random.default_rng(seed).integers(0, 4096, (64, 64)).astype(np.uint16) for seed in range(24)]
    for uid in (SV1, JPEG_LS, J2K, HTJ2K):
        frames = [ENCODERS[uid](one) for one in words]
        decoded = map_ordered(lambda frame, uid=uid: codecs.decode_frame(frame, describe((64, 64), 16), uid), frames)
        assert all(np.array_equal(a, b) for a, b in zip(words, decoded, strict=True))
