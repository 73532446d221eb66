"""Scanning: identity, the place of the pixels, and that header, pixels and trailer are the whole object (S1)."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import walk as twin
from reference.objects import REFUSED, object_paths, readable_paths, small_paths

from pacscore.dicom.part10 import make_file_prefix
from pacscore.dicom.scan import NeedMore, PixelPlace, Scan, inflate, is_dicomdir, locate_pixels_end, scan
from pacscore.dicom.syntaxes import DEFLATED_LITTLE, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from pacscore.errors import InputError, InvalidDicomError, LimitError, MismatchError
from pacscore.settings import Settings

CT = "1.2.840.10008.5.1.4.1.1.2"
HEADER = (
    b"\x08\x00\x16\x00UI\x1a\x001.2.840.10008.5.1.4.1.1.2\0"
    b"\x08\x00\x18\x00UI\x06\x001.2.3\0"
    b"\x20\x00\x0d\x00UI\x06\x001.2.4 "
    b"\x20\x00\x0e\x00UI\x06\x001.2.5\0"
)
JPEG = "1.2.840.10008.1.2.4.50"


def encapsulated(*fragments: bytes, end: bytes = b"\xfe\xff\xdd\xe0\0\0\0\0") -> bytes:
    items = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<L", len(part)) + part for part in fragments)
    return b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + items + end


def whole_or_error(data: bytes, **options: Any) -> Scan | InputError:
    try:
        return scan(data, **options)
    except InputError as error:
        return error


def equal(one: Scan, other: Scan) -> bool:
    tables = [(s.elements.tag, s.elements.offset, s.elements.length, s.elements.depth) for s in (one, other)]
    same = all(np.array_equal(a, b) for a, b in zip(*tables, strict=True))
    fields = [
        (s.parts, s.sop_instance_uid, s.pixels, s.header_length, s.inflated, s.total_length) for s in (one, other)
    ]
    return same and fields[0] == fields[1]


def scan_by_heads(whole: bytes, first: int) -> Scan:
    """Read as the archive does: a head, more while asked, the whole only where the pixels' end needs it."""
    size = first
    while True:
        try:
            found = scan(whole[:size], total_length=len(whole))
            return locate_pixels_end(whole, found)
        except NeedMore as more:
            wanted = more.at_least
        assert size < wanted <= len(whole)
        size = wanted


# Real objects -----------------------------------------------------------------------------------------------------


def test_every_real_object_is_partitioned_into_header_pixels_and_trailer(data: Path) -> None:
    paths = readable_paths(data)
    assert len(paths) > 700
    for path in paths:
        whole = path.read_bytes()
        found = scan(whole)
        assert found.parts.prefix_length <= found.header_length <= len(whole) == found.total_length
        if found.pixels is None:
            assert found.header_length == len(whole)
            assert found.trailer_length == 0
            continue
        assert found.pixels.offset == found.header_length
        assert found.header_length + found.pixels.length + found.trailer_length == len(whole)
        assert min(found.pixels.length, found.trailer_length) >= 0


def test_a_scan_behind_a_prefix_made_for_it_is_what_a_scan_of_both_finds(data: Path) -> None:
    syntaxes = set()
    for path in readable_paths(data):
        whole = path.read_bytes()
        parts = scan(whole).parts
        data_set, syntax = whole[parts.prefix_length :], parts.transfer_syntax_uid
        alone = whole_or_error(data_set, transfer_syntax_uid=syntax)
        if isinstance(alone, InputError) or alone.parts.prefix_length:
            continue  # What begins like a file of its own gets no prefix.
        prefix = make_file_prefix(alone.sop_class_uid, alone.sop_instance_uid, syntax)
        together = scan(prefix + data_set, transfer_syntax_uid=syntax)
        found = alone.behind(prefix)
        assert equal(found, together), path.name
        assert (found.elements.end, found.elements.explicit) == (together.elements.end, together.elements.explicit)
        assert not found.elements.offset.flags.writeable
        syntaxes.add(syntax)
    assert len(syntaxes) > 10


def test_promise_8_a_header_may_not_pass_its_limit_by_its_prefix() -> None:
    prefix = make_file_prefix(CT, "1.2.3", EXPLICIT_LITTLE)
    allowed = Settings(header_bytes_max=len(HEADER) + len(prefix) - 1)
    with pytest.raises(LimitError, match="before its pixels"):
        scan(HEADER, transfer_syntax_uid=EXPLICIT_LITTLE, settings=allowed).behind(prefix, allowed)


@pytest.mark.parametrize(
    ("stated", "refused"), [((CT, "1.2.3"), ""), ((CT, "1.2.33"), "00080018"), (("1.9", "1.2.3"), "00080016")]
)
def test_what_a_sender_says_is_compared(stated: tuple[str, str], refused: str) -> None:
    found = scan(HEADER, transfer_syntax_uid=EXPLICIT_LITTLE)
    if not refused:
        found.check_stated(*stated)
        return
    with pytest.raises(MismatchError, match="differ") as caught:
        found.check_stated(*stated)
    assert caught.value.fields["tag"] == refused


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_identity_and_pixel_value_are_pydicoms(data: Path) -> None:
    import pydicom

    for path in readable_paths(data):
        found = scan(path.read_bytes())
        dataset = pydicom.dcmread(path, force=True)
        for keyword, ours in (
            ("SOPClassUID", found.sop_class_uid),
            ("SOPInstanceUID", found.sop_instance_uid),
            ("StudyInstanceUID", found.study_instance_uid),
            ("SeriesInstanceUID", found.series_instance_uid),
        ):
            assert ours == (dataset.get(keyword) or ""), path
        if found.pixels is None:
            assert found.inflated is not None or "PixelData" not in dataset
            continue
        value = path.read_bytes()[found.pixels.offset :][: found.pixels.length]
        expected = dataset[found.pixels.tag].value
        if found.pixels.encapsulated and found.pixels.delimited:
            value = value[:-8]  # pydicom leaves the delimiter out.
        assert value == expected, path


def test_promise_10_what_is_no_object_is_refused_with_a_reason(data: Path) -> None:
    refused = {path.relative_to(data).as_posix() for path in object_paths(data)} - {
        path.relative_to(data).as_posix() for path in readable_paths(data)
    }
    assert refused == set(REFUSED)
    for name in refused:
        with pytest.raises(InvalidDicomError) as caught:
            scan((data / name).read_bytes())
        assert "offset" in caught.value.fields
        assert str(caught.value.fields["offset"]) in caught.value.message


def test_a_scan_of_heads_is_the_scan_of_the_whole(data: Path) -> None:
    for index, path in enumerate(readable_paths(data)):
        whole = path.read_bytes()
        assert equal(scan_by_heads(whole, (0, 100, 700, 4096)[index % 4]), scan(whole)), path


def test_small_real_objects_cut_at_every_offset_give_only_our_errors(data: Path) -> None:
    paths = small_paths(data)[::8]
    assert len(paths) > 5
    for path in paths:
        whole = path.read_bytes()
        for size in range(len(whole)):
            found = whole_or_error(whole[:size])
            assert isinstance(found, InvalidDicomError) or found.total_length == size
            try:
                scan(whole[:size], total_length=len(whole))
            except NeedMore as more:
                wanted = more.at_least
                assert size < wanted <= len(whole)


@settings(max_examples=200, deadline=None)
@given(changes=st.data())
def test_damaged_real_objects_give_only_our_errors(data: Path, changes: st.DataObject) -> None:
    path = changes.draw(st.sampled_from(small_paths(data)))
    whole = bytearray(path.read_bytes())
    for _ in range(changes.draw(st.integers(1, 8))):
        whole[changes.draw(st.integers(0, len(whole) - 1))] = changes.draw(st.integers(0, 255))
    found = whole_or_error(bytes(whole))
    if isinstance(found, Scan) and found.pixels is not None:
        assert found.header_length + found.pixels.length + found.trailer_length == len(whole)


def test_scans_from_many_threads_are_equal(data: Path) -> None:
    wholes = [path.read_bytes() for path in small_paths(data)[:40]]
    expected = [scan(whole) for whole in wholes]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: [scan(whole) for whole in wholes], range(8)):
            assert all(equal(one, other) for one, other in zip(expected, found, strict=True))


def test_a_directory_of_a_medium_is_told_from_an_object(data: Path) -> None:
    for path in readable_paths(data):
        expected = path.name.startswith("DICOMDIR") or path.suffix == ".dcmdir"
        assert is_dicomdir(scan(path.read_bytes())) is expected, path


# Objects made up --------------------------------------------------------------------------------------------------


def test_identity_is_taken_from_the_data_set_without_padding() -> None:
    found = scan(make_file_prefix("9.9", "9.9.9", EXPLICIT_LITTLE) + HEADER)
    assert (found.sop_class_uid, found.sop_instance_uid) == (CT, "1.2.3")
    assert (found.study_instance_uid, found.series_instance_uid) == ("1.2.4", "1.2.5")
    assert scan(HEADER[:34] + b"\x08\x00\x20\x00DA\0\0", transfer_syntax_uid=EXPLICIT_LITTLE).sop_instance_uid == ""


@pytest.mark.parametrize("trailer", [b"", b"\0", b"\xfc\xff\xfc\xffOB\0\0\x02\0\0\0\0\0", b"anything"])
@pytest.mark.parametrize("value", [b"", b"\1\2", b"\1\2\3"])
def test_native_pixels_are_placed_and_what_follows_is_the_trailer(value: bytes, trailer: bytes) -> None:
    whole = HEADER + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<L", len(value)) + value + trailer
    found = scan(whole, transfer_syntax_uid=EXPLICIT_LITTLE)
    place = PixelPlace(0x7FE00010, 0x4F57, len(HEADER) + 12, len(value), False)
    assert (found.pixels, found.header_length, found.trailer_length) == (place, place.offset, len(trailer))


@pytest.mark.parametrize("tag", [b"\xe0\x7f\x08\x00OF", b"\xe0\x7f\x09\x00OD"])
def test_float_pixels_are_pixels(tag: bytes) -> None:
    found = scan(HEADER + tag + b"\0\0\x08\0\0\0" + bytes(8), transfer_syntax_uid=EXPLICIT_LITTLE)
    assert found.pixels is not None
    assert (found.pixels.tag & 0xFF, found.pixels.length) == (tag[2], 8)


@pytest.mark.parametrize("trailer", [b"", b"\xfc\xff\xfc\xffOB\0\0\x02\0\0\0\0\0"])
def test_encapsulated_pixels_reach_through_their_delimiter(trailer: bytes) -> None:
    # Delimiter bytes inside a fragment delimit nothing.
    value = encapsulated(b"", b"\xff\xd8" + b"\xfe\xff\xdd\xe0\0\0\0\0", b"")
    found = scan(HEADER + value + trailer, transfer_syntax_uid=JPEG)
    assert found.pixels == PixelPlace(0x7FE00010, 0x4F42, len(HEADER) + 12, len(value) - 12, True)
    assert found.trailer_length == len(trailer)


def test_encapsulated_pixels_without_a_delimiter_run_to_the_end() -> None:
    value = encapsulated(b"", b"\xff\xd8\xff\xd9", end=b"")
    found = scan(HEADER + value, transfer_syntax_uid=JPEG)
    assert found.pixels == PixelPlace(0x7FE00010, 0x4F42, len(HEADER) + 12, len(value) - 12, True, delimited=False)
    assert found.trailer_length == 0


def test_a_fragment_that_is_cut_short_is_refused_with_what_is_missing() -> None:
    whole = HEADER + encapsulated(b"", b"\xff\xd8\xff\xd9" + bytes(200))[:-10]
    with pytest.raises(InvalidDicomError, match="value passes the end") as caught:
        scan(whole, transfer_syntax_uid=JPEG)
    assert caught.value.fields["found"] == len(whole)
    head = scan(whole[: len(HEADER) + 60], transfer_syntax_uid=JPEG, total_length=len(whole))
    assert head.pixels is not None
    assert (head.pixels.length, head.trailer_length) == (-1, -1)
    with pytest.raises(InvalidDicomError, match="value passes the end"):
        locate_pixels_end(whole, head)
    with pytest.raises(InvalidDicomError, match="announced"):
        locate_pixels_end(whole[:-1], head)


def test_native_pixels_cut_short_are_refused_with_what_is_missing() -> None:
    whole = HEADER + b"\xe0\x7f\x10\x00OW\0\0\x08\0\0\0" + bytes(6)
    with pytest.raises(InvalidDicomError, match="cut short") as caught:
        scan(whole, transfer_syntax_uid=EXPLICIT_LITTLE)
    assert (caught.value.fields["expected"], caught.value.fields["found"]) == (8, 6)


def test_a_data_set_in_another_encoding_than_stated_is_read_as_it_is() -> None:
    found = scan(HEADER, transfer_syntax_uid=IMPLICIT_LITTLE)
    assert (found.elements.explicit, found.sop_instance_uid) == (True, "1.2.3")
    assert found.parts.transfer_syntax_uid == IMPLICIT_LITTLE
    with pytest.raises(InvalidDicomError) as caught:
        scan(HEADER[:-1], transfer_syntax_uid=EXPLICIT_LITTLE)
    assert caught.value.fields["offset"] == len(HEADER) - 14  # The error of the stated encoding, not of the guess.


# Deflated ---------------------------------------------------------------------------------------------------------


def deflated(data_set: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return make_file_prefix(CT, "1.2.3", DEFLATED_LITTLE) + packer.compress(data_set) + packer.flush()


@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_a_deflated_object_is_read_inflated_and_kept_whole(padding: bytes) -> None:
    data_set = HEADER + b"\xe0\x7f\x10\x00OW\0\0\x08\0\0\0" + bytes(8)
    whole = deflated(data_set) + padding
    found = scan(whole)
    assert (found.inflated, found.pixels, found.header_length) == (data_set, None, len(whole))
    assert found.series_instance_uid == "1.2.5"
    assert found.elements.tag[-1] == 0x7FE00010
    with pytest.raises(NeedMore) as caught:
        scan(whole[:-2], total_length=len(whole))
    assert caught.value.at_least == len(whole)


def test_promise_8_inflating_is_limited() -> None:
    bomb = deflated(bytes(1 << 22))
    assert len(bomb) < 8192
    with pytest.raises(LimitError, match="inflates to more than 65536"):
        scan(bomb, settings=Settings(inflated_bytes_max=65536))
    packed = zlib.compress(HEADER, wbits=-15)
    assert inflate(packed, 0, Settings(inflated_bytes_max=len(HEADER))) == HEADER


@pytest.mark.parametrize("harm", ["cut", "wrong", "none"])
def test_a_damaged_deflated_object_is_refused(harm: str) -> None:
    whole = deflated(HEADER * 5)
    prefix = len(make_file_prefix(CT, "1.2.3", DEFLATED_LITTLE))
    harmed = {"cut": whole[:-4], "wrong": whole[:prefix] + b"\xff" * 20, "none": whole[:prefix]}[harm]
    with pytest.raises(InvalidDicomError, match="deflated data set") as caught:
        scan(harmed)
    assert caught.value.fields["offset"] == prefix


def test_pixels_cut_short_inside_a_deflated_object_are_refused() -> None:
    with pytest.raises(InvalidDicomError, match="cut short"):
        scan(deflated(HEADER + b"\xe0\x7f\x10\x00OW\0\0\x08\0\0\0" + bytes(4)))
    with pytest.raises(InvalidDicomError, match="item"):
        scan(deflated(HEADER + b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + bytes(8)))


# Limits -----------------------------------------------------------------------------------------------------------


def test_promise_8_a_header_is_limited_before_it_is_read() -> None:
    large = HEADER + b"\x42\x00\x11\x00OB\0\0" + struct.pack("<L", 100_000) + bytes(100_000)
    with pytest.raises(LimitError, match="before its pixels"):
        scan(large, transfer_syntax_uid=EXPLICIT_LITTLE, settings=Settings(header_bytes_max=50_000))
    with pytest.raises(LimitError, match="before its pixels"):
        scan(
            large[:1000],
            transfer_syntax_uid=EXPLICIT_LITTLE,
            settings=Settings(header_bytes_max=50_000),
            total_length=len(large),
        )


@given(data=st.binary(max_size=200), total=st.integers(0, 1 << 40))
@settings(max_examples=200, deadline=None)
def test_noise_gives_only_our_errors(data: bytes, total: int) -> None:
    whole_or_error(data)
    for syntax in (None, EXPLICIT_LITTLE, DEFLATED_LITTLE):
        try:
            scan(data, transfer_syntax_uid=syntax, total_length=len(data) + total)
        except NeedMore as more:
            wanted = more.at_least
            assert len(data) < wanted <= len(data) + total
        except InputError:
            pass


def test_promise_8_a_large_file_of_something_else_is_refused_by_its_head() -> None:
    for head in (b"PK\3\4" + bytes(4096), b"\x89PNG\r\n\x1a\n" + bytes(4096), b"\x7fELF" + bytes(4096)):
        with pytest.raises(InvalidDicomError, match="Not DICOM"):
            scan(head, total_length=1 << 40)


def test_a_scan_survives_pickling(data: Path) -> None:
    whole = (data / "single/pydicom/MR_small_implicit.dcm").read_bytes()
    found = scan(whole)
    copied = pickle.loads(pickle.dumps(found))
    assert equal(found, copied)
    assert copied.elements.rows(np.array([0x00080018], np.uint32)) == found.elements.rows(
        np.array([0x00080018], np.uint32)
    )


def test_the_twin_agrees_where_fragments_end(data: Path) -> None:
    for path in readable_paths(data):
        whole = path.read_bytes()
        pixels = scan(whole).pixels
        if pixels is not None and pixels.encapsulated:
            assert twin.skip_fragments(whole, pixels.offset, little=True) == pixels.offset + pixels.length, path


def test_promise_12_importing_the_scanner_loads_nothing_heavy() -> None:
    program = (
        "import sys, pacscore.dicom.scan\n"
        "heavy = {'numba', 'llvmlite', 'zarr', 'pydicom', 'imagecodecs', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *sys.path])
    ran = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, check=False, capture_output=True
    )
    assert ran.returncode == 0, ran.stderr.decode()
