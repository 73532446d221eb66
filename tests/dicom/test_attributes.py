"""Headers and documents: names, nesting, character sets, byte orders; and what a series has in common."""

from __future__ import annotations

import mmap
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom.data_sets import Element, header_of, write_data_set
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import compare as reference

from pacscore.dicom.attributes import Header, constants_and_varying
from pacscore.dicom.elements import walk
from pacscore.dicom.header import Scanned
from pacscore.dicom.reading import REMEMBERED_MAX
from pacscore.dicom.scan import scan
from pacscore.errors import InputError, PacscoreError
from pacscore.kernels import compare as kernels

CHARSET, NAME, IDENTIFIER = 0x00080005, 0x00100010, 0x00100020
SEQUENCE, MEANING = 0x00081032, 0x00080104
ROWS, PIXEL_REPRESENTATION, PADDING = 0x00280010, 0x00280103, 0x00280120


def test_values_come_under_their_keywords_in_file_order() -> None:
    header = header_of(
        (NAME, "PN", b"A^B "), (IDENTIFIER, "LO", b""), (ROWS, "US", b"\0\2"), (0x60000010, "US", b"\1\0")
    )
    assert list(header.document().items()) == [
        ("PatientName", "A^B"),
        ("PatientID", None),
        ("Rows", 512),
        ("60000010", 1),
    ]


def test_group_lengths_and_bytes_are_left_out_but_their_bytes_are_there() -> None:
    header = header_of((0x00280000, "UL", bytes(4)), (0x00281201, "OW", b"\1\0\2\0"), (0x00281202, "UN", b"\1\0"))
    assert header.document() == {}
    assert header.get("RedPaletteColorLookupTableData") is None
    assert header.value_bytes("RedPaletteColorLookupTableData") == b"\1\0\2\0"
    assert header.value_bytes("PatientName") is None


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("undefined", [True, False])
def test_sequences_are_lists_of_documents_and_empty_ones_none(explicit: bool, undefined: bool) -> None:
    item = write_data_set([(MEANING, "LO", b"one ")], explicit=explicit)
    nested = write_data_set([(SEQUENCE, "SQ", [item, b""])], explicit=explicit, undefined=undefined)
    header = header_of(
        (SEQUENCE, "SQ", [nested, b"", item]), (0x00081140, "SQ", []), explicit=explicit, undefined=undefined
    )
    inner = {"CodeMeaning": "one"}
    assert header.document() == {
        "ProcedureCodeSequence": [{"ProcedureCodeSequence": [inner, {}]}, {}, inner],
        "ReferencedImageSequence": None,
    }
    assert header.get("ProcedureCodeSequence") == header.document()["ProcedureCodeSequence"]


def test_items_inherit_the_character_set_or_state_their_own() -> None:
    text = (MEANING, "LO", b"\xbb ")
    items = [
        write_data_set([text]),
        write_data_set([(CHARSET, "CS", b"ISO_IR 100"), text, (SEQUENCE, "SQ", [write_data_set([text])])]),
        write_data_set([text]),
    ]
    header = header_of((CHARSET, "CS", b"ISO_IR 144"), (SEQUENCE, "SQ", items), (NAME, "PN", b"\xbb"))
    first, second, third = header.document()["ProcedureCodeSequence"]  # type: ignore[misc, union-attr]
    assert first == third == {"CodeMeaning": "Л"}
    assert second["CodeMeaning"] == "»"  # type: ignore[index, call-overload]
    assert second["ProcedureCodeSequence"] == [{"CodeMeaning": "»"}]  # type: ignore[index, call-overload]
    assert header.get("PatientName") == "Л"


@pytest.mark.parametrize(("representation", "expected"), [(b"\0\0", 65535), (b"\1\0", -1)])
def test_pixel_representation_signs_implicit_values_also_in_items(representation: bytes, expected: int) -> None:
    padding = (PADDING, "US", b"\xff\xff")
    item = write_data_set([padding], explicit=False)
    header = header_of((SEQUENCE, "SQ", [item]), (PIXEL_REPRESENTATION, "US", representation), padding, explicit=False)
    assert header.get("PixelPaddingValue") == expected
    assert header.document()["ProcedureCodeSequence"] == [{"PixelPaddingValue": expected}]


def test_private_elements_are_named_by_their_creator_in_whichever_block() -> None:
    for block in (0x10, 0x42):
        header = header_of(
            (0x00430000 | block, "LO", b"GEMS_PARM_01 "),
            (0x00430039 | block << 8, "IS", b"1\\2 "),
            (0x00450039, "LO", b"x "),
            (0x00451039, "LO", b"y "),
        )
        assert header.document() == {
            f"0043{block:04X}": "GEMS_PARM_01",
            "GEMS_PARM_01:0043xx39": [1, 2],
            "00450039": "x",
            "00451039": "y",
        }
        assert header.get("GEMS_PARM_01:0043xx39") == header.get(0x00430039 | block << 8) == [1, 2]
        assert header.document(keywords=["GEMS_PARM_01:0043xx39", "Rows"]) == {"GEMS_PARM_01:0043xx39": [1, 2]}
        assert header.get("NOBODY:0043xx39") is None


def test_implicit_private_elements_have_the_vr_their_creator_gives() -> None:
    header = header_of(
        (0x00430010, "LO", b"GEMS_PARM_01"),
        (0x00431039, "IS", b"7\\8 "),
        (0x004310FE, "LO", b"unknown "),
        explicit=False,
    )
    assert header.document() == {"00430010": "GEMS_PARM_01", "GEMS_PARM_01:0043xx39": [7, 8]}


@pytest.mark.parametrize("little_endian", [True, False])
def test_public_values_that_are_called_unknown_are_read_as_the_standard_says(little_endian: bool) -> None:
    item = write_data_set([(ROWS, "US", b"\0\2")], explicit=False)
    items = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    header = header_of(
        (SEQUENCE, "UN", items),
        (NAME, "UN", b"A^B "),
        (ROWS, "UN", b"\0\2"),
        (0x00280011, "US", b"\0\2" if little_endian else b"\2\0"),
        (0x00431039, "UN", b"1 "),
        little_endian=little_endian,
    )
    assert header.document() == {
        "ProcedureCodeSequence": [{"Rows": 512}],
        "PatientName": "A^B",
        "Rows": 512,
        "Columns": 512,
    }
    assert header_of((SEQUENCE, "UN", b"no items")).document() == {}


def test_of_a_tag_that_occurs_twice_the_first_counts() -> None:
    header = header_of((NAME, "PN", b"A "), (NAME, "PN", b"B "))
    assert header.get("PatientName") == "A"
    assert header.document() == header.document(keywords=["PatientName"]) == {"PatientName": "A"}


def test_changing_a_document_changes_no_other() -> None:
    elements: list[Element] = [(0x00281050, "DS", b"1\\2 ")]
    for _ in range(3):
        window = header_of(*elements).document()["WindowCenter"]
        assert window == [1.0, 2.0]
        assert isinstance(window, list)
        window.clear()


def test_unknown_names_and_short_bytes_are_errors() -> None:
    header = header_of((NAME, "PN", b"A "))
    with pytest.raises(InputError, match="names no attribute"):
        header.get("PatientsName")
    with pytest.raises(InputError, match="names no attribute"):
        header.document(keywords=["PatientsName"])
    with pytest.raises(InputError, match="Give the bytes"):
        Header(header.data[:-1], header.elements)


def test_every_kind_of_buffer_gives_the_same_document(data: Path, tmp_path: Path) -> None:
    path = data / "single" / "pydicom" / "MR_small_bigendian.dcm"
    whole = path.read_bytes()
    found = scan(whole)
    expected = Header(whole, found).document()
    assert expected["Modality"] == "MR"
    for buffer in (bytearray(whole), memoryview(whole), np.frombuffer(whole, np.uint8)):
        assert Header(buffer, found).document() == expected
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert Header(mapped, found.elements).document() == expected


def headers_below(folder: Path) -> list[Header]:
    headers = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            whole = path.read_bytes()
            try:
                headers.append(Header(whole, scan(whole)))
            except PacscoreError:
                continue
    return headers


def test_single_values_and_chosen_ones_equal_those_of_the_whole_document(data: Path) -> None:
    for header in headers_below(data / "single"):
        document = Header(header.data, header.elements).document()
        for key, value in document.items():
            assert repr(header.get(key)) == repr(value), key
        keys = list(document)[::2]
        chosen = Header(header.data, header.elements).document(keywords=frozenset(keys))
        assert repr(sorted(chosen.items())) == repr(sorted((key, document[key]) for key in keys))


def test_a_deflated_header_reads_its_inflated_bytes(data: Path) -> None:
    whole = (data / "single" / "dicomParser" / "wave_dfl").read_bytes()
    found: Scanned = scan(whole)
    assert found.inflated is not None
    assert Header(whole, found).get("SOPClassUID") == "1.2.840.10008.5.1.4.1.1.9.2.1"


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_damaged_headers_never_make_a_document_fail(random: Any) -> None:
    item = write_data_set([(CHARSET, "CS", b"GB18030 "), (MEANING, "LO", b"\x81\x5c\\x ")])
    whole = bytearray(
        write_data_set(
            [
                (CHARSET, "CS", b"\\ISO 2022 IR 87"),
                (SEQUENCE, "SQ", [item, item]),
                (NAME, "PN", b"\x1b$B;3ED\x1b(B^A "),
                (ROWS, "US", b"\0\2"),
                (0x00281050, "DS", b"1.5\\2 "),
                (0x00430010, "LO", b"GEMS_PARM_01"),
                (0x00431039, "UN", b"12"),
            ]
        )
    )
    for _ in range(random.randrange(1, 8)):
        whole[random.randrange(len(whole))] = random.randrange(256)
    for explicit in (True, False):
        try:
            header = Header(whole, walk(whole, 0, explicit=explicit, little_endian=True))
        except PacscoreError:
            continue
        for key in header.document():
            header.get(key)


def test_many_threads_read_the_same_as_one(data: Path) -> None:
    headers = headers_below(data / "single" / "pydicom")
    expected = [repr(header.document()) for header in headers]

    def read(_: int) -> list[str]:
        return [repr(Header(header.data, header.elements).document()) for header in headers]

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(read, range(8)):
            assert found == expected


def test_what_is_remembered_is_bounded() -> None:
    for number in range(3 * REMEMBERED_MAX):
        header = header_of(
            (IDENTIFIER, "LO", f"{number:08}".encode()), (0x00090000 | number % 30_000 + 0x1000, "LO", b"x ")
        )
        assert header.get("PatientID") == f"{number:08}"
        assert len(header.document()) == 2
    elements = header.reading.elements.values()
    assert len(elements) + sum(len(element.remembered) for element in elements) <= REMEMBERED_MAX


def test_importing_the_room_loads_no_heavy_library() -> None:
    program = (
        "import sys, pacscore.dicom.attributes; print({'pydicom', 'numba', 'zarr', 'imagecodecs'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# What a series has in common.


def test_of_one_header_everything_is_constant() -> None:
    header = header_of((NAME, "PN", b"A "))
    assert constants_and_varying([header]) == ({"PatientName": "A"}, ())
    assert constants_and_varying([]) == ({}, ())


def test_real_series_are_compared_as_their_decoded_values_are(data: Path) -> None:
    compared = 0
    for series in sorted((data / "series").iterdir()):
        headers = headers_below(series)
        if headers and series.name != "media-dicomdir-pydicom":
            constants, varying = constants_and_varying(headers)
            expected, differing = reference.constants_and_varying(headers)
            assert constants == expected, series.name
            assert set(varying) == differing, series.name
            compared += len(headers)
    assert compared > 400


def edited_headers() -> st.SearchStrategy[list[tuple[Element, ...]]]:
    """Data sets that share most elements, with those that steer the meaning of others among what differs."""
    choices: list[list[Element | None]] = [
        [(CHARSET, "CS", b"ISO_IR 100"), (CHARSET, "CS", b"ISO_IR 144"), None],
        [(SEQUENCE, "SQ", [[(MEANING, "LO", b"\xbb ")]]), (SEQUENCE, "SQ", []), None],
        [(NAME, "PN", b"\xbbA"), (NAME, "PN", b"B "), (NAME, "PN", b"")],
        [(IDENTIFIER, "LO", b"7 "), None],
        [(PIXEL_REPRESENTATION, "US", b"\0\0"), (PIXEL_REPRESENTATION, "US", b"\1\0")],
        [(PADDING, "US", b"\xff\xff"), (PADDING, "US", b"\1\0"), None],
        [(0x00430010, "LO", b"GEMS_PARM_01"), (0x00430010, "LO", b"OTHER "), None],
        [(0x00430011, "LO", b"GEMS_PARM_01"), None],
        [(0x00431039, "IS", b"1 "), (0x00431039, "IS", b"2 "), None],
        [(0x00431139, "IS", b"1 "), None],
        [(0x60003000, "OW", b"\1\0"), (0x60003000, "OW", b"\2\0"), None],
    ]
    one = st.tuples(*(st.sampled_from([options[0]] * 6 + options) for options in choices))
    return st.lists(one.map(lambda row: tuple(element for element in row if element)), min_size=1, max_size=5)


@settings(deadline=None)  # The first call compiles.
@given(edited_headers(), st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=5, max_size=5))
def test_constants_are_truly_constant_and_nothing_is_lost(
    series: list[tuple[Element, ...]], forms: list[tuple[bool, bool, bool]]
) -> None:
    headers = []
    for elements, (implicit, undefined, mixed) in zip(series, forms, strict=False):
        headers.append(header_of(*elements, explicit=not (implicit and mixed), undefined=undefined and mixed))
    constants, varying = constants_and_varying(headers)
    expected, differing = reference.constants_and_varying(headers)
    assert all(constants[key] == expected[key] for key in constants)
    assert set(varying) >= differing
    assert constants.keys() | set(varying) == expected.keys() | differing
    assert not constants.keys() & set(varying)
    assert list(varying) == sorted(varying)


def test_headers_out_of_order_are_compared_too() -> None:
    ordered = header_of((NAME, "PN", b"A "), (IDENTIFIER, "LO", b"7 "), (ROWS, "US", b"\0\2"))
    shuffled = header_of((IDENTIFIER, "LO", b"7 "), (NAME, "PN", b"B "), (ROWS, "US", b"\0\2"))
    expected = {"PatientID": "7", "Rows": 512}, ("PatientName",)
    assert constants_and_varying([ordered, shuffled]) == expected
    assert constants_and_varying([shuffled, ordered]) == expected


def test_an_element_that_only_later_headers_have_varies() -> None:
    plain = header_of((NAME, "PN", b"A "))
    more = header_of((NAME, "PN", b"A "), (IDENTIFIER, "LO", b"7 "), (0x00281201, "OW", b"\1\0"))
    assert constants_and_varying([plain, more]) == ({"PatientName": "A"}, ("PatientID",))
    assert constants_and_varying([more, plain]) == ({"PatientName": "A"}, ("PatientID",))


def test_equal_bytes_that_mean_something_else_vary() -> None:
    """Each pair differs in what steers the meaning of its second element, whose bytes are equal."""
    padding, private = (PADDING, "US", b"\xff\xff"), (0x00431039, "IS", b"1 ")
    signs = [header_of((PIXEL_REPRESENTATION, "US", sign), padding, explicit=False) for sign in (b"\0\0", b"\1\0")]
    assert constants_and_varying(signs) == ({}, ("PixelPaddingValue", "PixelRepresentation"))
    orders = [header_of((ROWS, "US", b"\0\2"), little_endian=little_endian) for little_endian in (True, False)]
    assert constants_and_varying(orders) == ({}, ("Rows",))
    creators = [header_of((0x00430010, "LO", name), private) for name in (b"GEMS_PARM_01", b"OTHER ")]
    assert constants_and_varying(creators) == ({}, ("00430010", "GEMS_PARM_01:0043xx39", "OTHER:0043xx39"))
    reserved = [header_of(private), header_of((0x00430010, "LO", b"OTHER "), private)]
    expected = ("00430010", "00431039", "OTHER:0043xx39")
    assert constants_and_varying(reserved) == constants_and_varying(reserved[::-1]) == ({}, expected)
    for vr in ("CS", "OB"):  # Under whichever VR it steers.
        charsets = [header_of((CHARSET, vr, term), (NAME, "PN", b"\xbb ")) for term in (b"ISO_IR 100", b"ISO_IR 144")]
        constants, varying = constants_and_varying(charsets)
        assert constants == {}
        assert varying[0] == "PatientName"


@pytest.mark.kernel
@settings(deadline=None)  # The first call compiles.
@given(edited_headers(), st.booleans())
def test_spans_of_top_level_elements_equal_their_twins(series: list[tuple[Element, ...]], undefined: bool) -> None:
    for elements in series:
        header = header_of(*elements, undefined=undefined)
        table = header.elements
        rows, stops = np.zeros((2, len(table.tag) + 1), np.int64)
        count = kernels.top_spans_into(table.vr, table.offset, table.length, table.depth, table.end, rows, stops)
        assert list(zip(rows[:count].tolist(), stops[:count].tolist(), strict=True)) == reference.top_spans(header)


@pytest.mark.kernel
@settings(deadline=None)  # The first call compiles.
@given(st.integers(-(2**62), 2**62), st.integers(-1, 2**62), st.integers(-(2**62), 2**62))
def test_spans_outside_the_bytes_are_refused(offset: int, length: int, stop: int) -> None:
    first, tags, vrs = np.zeros(8, np.uint8), np.array([NAME], np.int64), np.zeros(1, np.int64)
    for array in (first, tags, vrs):
        array.setflags(write=False)
    columns = [np.array([offset], np.int64), np.array([length], np.int64), np.zeros(1, np.int64)]
    for column in columns:
        column.setflags(write=False)
    constant, scratch = np.ones(1, np.uint8), np.zeros((3, 1), np.int64)
    spans = np.array([[0, 8]], np.int64)
    status = kernels.compare_headers_into(first, tags, vrs, spans, first, tags, vrs, *columns, stop, constant, scratch)
    end = offset + length if length >= 0 else stop
    inside = 0 <= offset <= end <= 8
    assert status == (0 if inside else kernels.OUT_OF_BOUNDS)
    assert constant[0] == (0 if inside and end - offset != 8 else 1)
