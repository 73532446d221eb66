"""Fragments to frames: offset tables right, empty and wrong, fragments of every kind, malformed values."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import pixels as twin
from reference.pydicom_images import list_images, read_image

from pacscore.dicom.encapsulated import FrameMap, MapSource, map_frames
from pacscore.dicom.scan import scan
from pacscore.dicom.syntaxes import DEFLATED_LITTLE
from pacscore.errors import InputError, InvalidDicomError, PacscoreError, UnsupportedError

JPEG = "1.2.840.10008.1.2.4.50"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
RLE = "1.2.840.10008.1.2.5"
UNKNOWN = "1.2.3.4"
VIDEO = "1.2.840.10008.1.2.4.102"
DELIMITER = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def item(value: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value


def encapsulate(*fragments: bytes, table: bytes = b"", end: bytes = DELIMITER) -> bytes:
    return item(table) + b"".join(map(item, fragments)) + end


def basic_table(*starts: int) -> bytes:
    return struct.pack(f"<{len(starts)}I", *starts)


def stream(body: bytes) -> bytes:
    return b"\xff\xd8\xff\xe0" + body + b"\xff\xd9"


def frames_of(value: bytes, found: FrameMap) -> list[bytes]:
    return [found.frame(value, i) for i in range(found.frame_count)]


def test_all_real_files_give_the_frames_that_pydicom_gives(data: Path) -> None:
    seen: set[MapSource] = set()
    for path in list_images(data):
        image = read_image(path)
        if image is None or not image.encapsulated:
            continue
        count = int(image.get("NumberOfFrames") or 1)
        extended = [image.get_bytes("ExtendedOffsetTable"), image.get_bytes("ExtendedOffsetTableLengths")]
        found = map_frames(
            image.value,
            count,
            image.transfer_syntax_uid,
            extended_offsets=extended[0],
            extended_lengths=extended[1],
        )
        expected = list(pydicom.encaps.generate_frames(image.value, number_of_frames=count))
        assert frames_of(image.value, found) == expected, path
        seen.add(found.source)
    assert seen >= {
        MapSource.BASIC_TABLE,
        MapSource.FRAGMENT_PER_FRAME,
        MapSource.SINGLE_FRAME,
        MapSource.CODESTREAMS,
    }


def test_a_right_basic_table_divides_fragments_that_show_no_beginnings() -> None:
    value = encapsulate(b"aa", b"bbbb", b"cc", table=basic_table(0, 22))
    found = map_frames(value, 2, UNKNOWN)
    assert found.source is MapSource.BASIC_TABLE
    assert frames_of(value, found) == [b"aabbbb", b"cc"]
    assert found.fragments(0) == [(24, 2), (34, 4)]
    assert not found.table_ignored


def test_a_right_extended_table_is_used() -> None:
    value = encapsulate(b"aa", b"bbbb")
    found = map_frames(
        value, 2, UNKNOWN, extended_offsets=struct.pack("<2Q", 0, 10), extended_lengths=np.array([1, 4], np.uint64)
    )
    assert found.source is MapSource.EXTENDED_TABLE
    assert frames_of(value, found) == [b"aa", b"bbbb"]


@pytest.mark.parametrize(
    ("offsets", "lengths"),
    [([0, 11], [2, 4]), ([0], [2]), ([0, 10], [2]), ([0, 10], [3, 4]), ([0, 10], [2, 2]), ([10, 0], [2, 4])],
)
def test_a_wrong_extended_table_is_set_aside_and_said_so(offsets: list[int], lengths: list[int]) -> None:
    value = encapsulate(b"aa", b"bbbb")
    found = map_frames(
        value,
        2,
        UNKNOWN,
        extended_offsets=np.array(offsets, np.uint64),
        extended_lengths=np.array(lengths, np.uint64),
    )
    assert found.source is MapSource.FRAGMENT_PER_FRAME
    assert found.table_ignored


WRONG_TABLES = [
    basic_table(0, 8),
    basic_table(0),
    basic_table(0, 20, 30),
    basic_table(20, 0),
    basic_table(0, 0),
    basic_table(0, 2**32 - 1),
    basic_table(2, 20),
    b"\0\0\0",
    b"\0\0\0\0\0",
]


@pytest.mark.parametrize("table", WRONG_TABLES)
def test_a_wrong_table_never_makes_wrong_frames(table: bytes) -> None:
    frames = [stream(b"0123"), stream(b"45")]
    halves = [frames[0][:6], frames[0][6:], frames[1]]
    found = map_frames(encapsulate(*halves, table=table), 2, JPEG)
    assert found.source is MapSource.CODESTREAMS
    assert found.table_ignored
    assert frames_of(encapsulate(*halves, table=table), found) == frames
    with pytest.raises(InvalidDicomError, match="cannot be divided"):
        map_frames(encapsulate(b"aa", b"bb", b"cc", table=table), 2, UNKNOWN)


def test_a_table_that_fits_items_but_not_the_codestreams_is_set_aside() -> None:
    frames = [stream(b"0123"), stream(b"45")]
    halves = [frames[0][:6], frames[0][6:], frames[1]]
    value = encapsulate(*halves, table=basic_table(0, 14))  # Says that the second frame begins in the first's middle.
    found = map_frames(value, 2, JPEG)
    assert frames_of(value, found) == frames
    assert found.source is MapSource.CODESTREAMS


def test_more_codestreams_than_frames_are_an_error_and_not_a_guess() -> None:
    value = encapsulate(stream(b"01"), stream(b"23"), stream(b"45"), table=basic_table(0, 16))
    with pytest.raises(InvalidDicomError, match="3 fragments cannot be divided among 2 frames"):
        map_frames(value, 2, JPEG)


def test_a_middle_that_looks_like_a_beginning_is_told_by_the_missing_end_before_it() -> None:
    frames = [b"\xff\xd8\xff\xe1thumb" + b"\xff\xd8\xff\xe0inner" + b"\xff\xd9", stream(b"4567")]
    value = encapsulate(frames[0][:9], frames[0][9:], frames[1])
    found = map_frames(value, 2, JPEG)
    assert frames_of(value, found) == frames


def test_beginnings_alone_divide_streams_without_end_markers() -> None:
    parts = [b"\xff\x4f\xff\x51aa", b"bb", b"\xff\x4f\xff\x51cc", b"dd"]
    found = map_frames(encapsulate(*parts), 2, JPEG_2000)
    assert frames_of(encapsulate(*parts), found) == [parts[0] + parts[1], parts[2] + parts[3]]


def test_rle_frames_are_told_by_their_header() -> None:
    header = struct.pack("<16I", 1, 64, *[0] * 14)
    value = encapsulate(header, b"ab", header + b"cd")
    found = map_frames(value, 2, RLE)
    assert frames_of(value, found) == [header + b"ab", header + b"cd"]


def test_one_frame_takes_all_fragments() -> None:
    found = map_frames(encapsulate(b"aa", b"bb", b"cc", table=basic_table(0)), 1, UNKNOWN)
    assert found.source is MapSource.BASIC_TABLE
    found = map_frames(encapsulate(b"aa", b"bb", b"cc", table=basic_table(5)), 1, UNKNOWN)
    assert found.source is MapSource.SINGLE_FRAME
    assert found.table_ignored
    assert found.fragments(0) == [(20, 2), (30, 2), (40, 2)]


def test_a_missing_delimiter_is_tolerated_and_noted() -> None:
    assert not map_frames(encapsulate(b"aa", end=b""), 1, UNKNOWN).delimited
    assert map_frames(encapsulate(b"aa"), 1, UNKNOWN).delimited
    assert map_frames(encapsulate(b"aa") + b"trailing", 1, UNKNOWN).delimited


def test_delimiter_bytes_inside_a_fragment_end_nothing() -> None:
    value = encapsulate(b"aa" + DELIMITER + b"bb", b"cc")
    assert map_frames(value, 1, UNKNOWN).frame(value, 0) == b"aa" + DELIMITER + b"bbcc"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "items"),
        (DELIMITER, "items"),
        (encapsulate(), "fragment"),
        (encapsulate(b"abcd")[:-9], "longer than the rest"),
        (encapsulate(b"ab", end=b"\xfe\xff\x00\xe0\xff\xff\xff\xff"), "undefined length"),
        (encapsulate(b"ab", end=b"\0" * 8), "no item tag"),
        (encapsulate(b"ab", end=b"\xfe\xff"), "longer than the rest"),
    ],
)
def test_malformed_values_are_errors_with_a_reason(value: bytes, reason: str) -> None:
    with pytest.raises(InvalidDicomError, match=reason):
        map_frames(value, 1, UNKNOWN)


def test_video_has_no_frames_to_take_out() -> None:
    for uid in (VIDEO, VIDEO + ".1"):
        with pytest.raises(UnsupportedError, match="video"):
            map_frames(encapsulate(b"aa"), 1, uid)


def test_a_frame_beyond_the_last_is_refused() -> None:
    found = map_frames(encapsulate(b"aa"), 1, UNKNOWN)
    for frame_index in (-1, 1):
        with pytest.raises(InputError, match="no frame"):
            found.fragments(frame_index)


@settings(deadline=None)  # The first example may compile a kernel.
@given(frames=st.lists(st.lists(st.binary(max_size=9), min_size=1, max_size=3), min_size=1, max_size=5), kind=st.data())
def test_what_is_encapsulated_with_a_table_comes_back(frames: list[list[bytes]], kind: st.DataObject) -> None:
    fragments = [fragment for frame in frames for fragment in frame]
    sizes = np.cumsum([0] + [sum(8 + len(part) for part in frame) for frame in frames])
    value = encapsulate(*fragments, table=basic_table(*sizes[:-1].tolist()))
    found = map_frames(kind.draw(st.sampled_from([value, memoryview(value), bytearray(value)])), len(frames), UNKNOWN)
    assert frames_of(value, found) == [b"".join(frame) for frame in frames]
    assert found.first[0] == 0
    assert found.first[-1] == len(fragments)
    assert all(a < b for a, b in pairwise(found.first.tolist()))


@pytest.mark.kernel
@settings(deadline=None)  # The first example may compile a kernel.
@given(parts=st.lists(st.sampled_from([item(b""), item(b"ab"), DELIMITER, b"\xfe\xff", b"\0", b"\xff" * 4])))
def test_items_equal_the_twin_for_whole_cut_and_noisy_values(parts: list[bytes]) -> None:
    value = item(b"") + b"".join(parts)
    expected = twin.list_items(value)
    try:
        found = map_frames(value, 1, UNKNOWN)
    except InvalidDicomError:
        assert expected is None or len(expected[0]) < 2
        return
    assert expected is not None
    assert list(zip(found.offset.tolist(), found.length.tolist(), strict=True)) == expected[0][1:]
    assert found.delimited == expected[1]


@settings(deadline=None)  # The first example may compile a kernel.
@given(
    noise=st.binary(max_size=80), frame_count=st.integers(1, 4), uid=st.sampled_from([JPEG, JPEG_2000, RLE, UNKNOWN])
)
def test_noise_raises_only_our_errors(noise: bytes, frame_count: int, uid: str) -> None:
    for value in (noise, item(noise[:7]) + noise, encapsulate(noise[:3], noise[3:], table=noise[:8])):
        try:
            map_frames(value, frame_count, uid, extended_offsets=noise, extended_lengths=noise)
        except PacscoreError:
            continue


def test_a_value_cut_at_every_offset_raises_only_our_errors() -> None:
    value = encapsulate(stream(b"0123"), stream(b"45"), table=basic_table(0, 18))
    for end in range(len(value)):
        try:
            found = map_frames(value[:end], 2, JPEG)
        except InvalidDicomError:
            continue
        assert frames_of(value, found) == [stream(b"0123"), stream(b"45")]


def test_values_found_by_the_scan_are_those_of_pydicom_and_give_its_frames(data: Path) -> None:
    delimited: dict[bool, int] = {}
    for path in list_images(data):
        image = read_image(path)
        if image is None or image.transfer_syntax_uid == DEFLATED_LITTLE:
            continue
        whole = path.read_bytes()
        try:
            place = scan(whole).pixels
        except InvalidDicomError:
            assert path.parent.name == "broken", path
            continue
        assert place is not None, path
        assert place.encapsulated == image.encapsulated, path
        value = memoryview(whole)[place.offset : place.offset + place.length]
        if not place.encapsulated:
            assert value == image.value, path
            continue
        count = int(image.get("NumberOfFrames") or 1)
        found = map_frames(value, count, image.transfer_syntax_uid)
        expected = list(pydicom.encaps.generate_frames(image.value, number_of_frames=count))
        assert frames_of(whole[place.offset : place.offset + place.length], found) == expected, path
        delimited[found.delimited] = delimited.get(found.delimited, 0) + 1
    assert delimited[True] > 50
