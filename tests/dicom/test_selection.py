"""Documents of one header after another: what the header before said changes nothing but the time it takes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from dicom.data_sets import Element, header_of
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import select as reference

from pacscore.dicom.attributes import Header
from pacscore.dicom.elements import read_only
from pacscore.dicom.scan import scan
from pacscore.dicom.selection import Selection, find_selection
from pacscore.errors import InputError
from pacscore.kernels import select as kernels

CHARSET, CLASS, NAME, IDENTIFIER = 0x00080005, 0x00080016, 0x00100010, 0x00100020
CODES, MEANING, PADDING, SIGN = 0x00081032, 0x00080104, 0x00280120, 0x00280103
CREATOR, OWN = 0x00190010, 0x00191001
KEYWORDS = frozenset(
    [
        "SOPClassUID",
        "PatientName",
        "PatientID",
        "ProcedureCodeSequence",
        "PixelPaddingValue",
        "PixelRepresentation",
        "00191001",
    ]
) | {"00191001", "SOME MAKER:0019xx01"}

charsets = st.sampled_from([b"", b"ISO_IR 100", b"ISO_IR 192"])
names = st.sampled_from([b"", b"A^B", b"M\xc3\xbcller", b"C\\D ", b"x" * 140])
items = st.lists(st.sampled_from(["one", "two"]), max_size=2)


@st.composite
def data_sets(draw: st.DrawFn) -> list[Element]:
    """Elements of which any may be absent, empty, repeated, or in the wrong place."""
    possible: list[Element] = [
        (CHARSET, "CS", draw(charsets)),
        (CLASS, "UI", draw(st.sampled_from([b"1.2\0", b"1.3\0"]))),
        (CODES, "SQ", [[(MEANING, "LO", text.encode())] for text in draw(items)]),
        (NAME, draw(st.sampled_from(["PN", "UN"])), draw(names)),
        (NAME, "PN", draw(names)),
        (IDENTIFIER, "LO", draw(names)),
        (CREATOR, "LO", draw(st.sampled_from([b"SOME MAKER", b"OTHER "]))),
        (OWN, "LO", draw(names)),
        (SIGN, "US", draw(st.sampled_from([b"\0\0", b"\1\0"]))),
        (PADDING, draw(st.sampled_from(["US", "SS"])), draw(st.sampled_from([b"\0\x80", b"\1\0", b"\1"]))),
    ]
    chosen = [element for element in possible if draw(st.integers(0, 7))]
    return chosen[::-1] if draw(st.integers(0, 9)) == 0 else chosen


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(data_sets(), st.booleans()), min_size=2, max_size=6))
def test_the_header_before_does_not_change_a_document(sets: list[tuple[list[Element], bool]]) -> None:
    for elements, explicit in sets:
        header = header_of(*elements, explicit=explicit)
        # A selection of its own has no header before.
        find_selection.cache_clear()
        expected = Header(header.data, header.elements).document(keywords=KEYWORDS)
        find_selection.cache_clear()
        for before, form in sets:
            header_of(*before, explicit=form).document(keywords=KEYWORDS)
            found = Header(header.data, header.elements).document(keywords=KEYWORDS)
            assert list(found.items()) == list(expected.items())


def test_documents_of_equal_headers_do_not_share_what_can_be_changed() -> None:
    header = header_of((CLASS, "UI", b"1.2\0"), (IDENTIFIER, "LO", b"a\\b "), (CODES, "SQ", [[(MEANING, "LO", b"x ")]]))
    documents = [Header(header.data, header.elements).document(keywords=KEYWORDS) for _ in range(3)]
    documents[1]["PatientID"].append("c")  # type: ignore[union-attr]
    documents[1]["ProcedureCodeSequence"][0]["CodeMeaning"] = "y"  # type: ignore[index,union-attr,call-overload]
    assert documents[0] == documents[2] == Header(header.data, header.elements).document(keywords=KEYWORDS)


def test_real_series_read_alike_one_after_another_and_each_alone(data: Path) -> None:
    keywords = frozenset(
        {"ImagePositionPatient", "ImageType", "InstanceNumber", "EchoTime", "SIEMENS MR HEADER:0019xx0C"}
    )
    paths = [
        path
        for name in ("ct-headneck-90", "mr-dwi-ge", "mr-philips-anat-4", "mr-mosaic-j2k-siemens")
        for path in sorted((data / "series" / name).iterdir())[:6]
    ]
    for path in [*paths, *paths[::-1]]:
        whole = path.read_bytes()
        found = scan(whole)
        together = Header(whole, found).document(keywords=keywords)
        alone = Header(whole, found).document()
        assert together == {key: alone[key] for key in together}
        assert together.keys() == alone.keys() & keywords


def test_a_large_header_is_not_remembered() -> None:
    header = header_of((IDENTIFIER, "LO", b"a "), (0x00104000, "LT", b"x" * 65_000), (0x00204000, "LT", b"x" * 65_000))
    keywords = frozenset({"PatientID", "PatientComments"})
    assert header.document(keywords=keywords)["PatientID"] == "a"
    assert find_selection(keywords).recent.reading is None


def test_a_selection_refuses_what_names_no_attribute() -> None:
    with pytest.raises(InputError, match="names no attribute"):
        Selection(frozenset({"PatientsFavouriteColour"}))


@pytest.mark.kernel
@settings(deadline=None)
@given(data_sets(), data_sets(), st.booleans())
def test_the_kernel_agrees_with_its_twin(before: list[Element], now: list[Element], explicit: bool) -> None:
    tags = Selection(KEYWORDS).tags
    kept_data, kept = np.empty(0, np.uint8), np.empty((kernels.CHOICE_ROWS, 0), np.int64)
    for elements in (before, now, now):
        header = header_of(*elements, explicit=explicit)
        data, cells = np.frombuffer(header.data, np.uint8), header.elements.cells
        chosen = np.empty((kernels.CHOICE_ROWS, len(tags) + kernels.FIRST), np.int64)
        count, changed, flags = kernels.select_rows_into(
            read_only(data), cells, tags, read_only(kept_data), read_only(kept), chosen
        )
        columns, differing, expected = reference.select_rows(
            header.data, cells.tolist(), tags.tolist(), kept_data.tobytes(), kept[: kernels.SEEN].T.tolist()
        )
        assert flags == expected
        found = [column if column[0] >= 0 else [-1, 0, 0, 0] for column in chosen[: kernels.SEEN, :count].T.tolist()]
        assert found == columns
        if flags & kernels.SAME_FORM:
            assert chosen[kernels.CHANGED :, :changed].T.tolist() == differing
        kept_data, kept = data, chosen[:, :count].copy()


@pytest.mark.kernel
@settings(deadline=None)
@given(st.lists(st.integers(-(2**62), 2**62), min_size=3, max_size=3))
def test_values_outside_the_bytes_are_never_equal(numbers: list[int]) -> None:
    start, other, size = numbers
    data = read_only(np.zeros(8, np.uint8))
    cells = read_only(np.array([[CLASS], [0x5549], [start], [size], [0], [0], [-1]], np.int64))
    kept = np.zeros((kernels.CHOICE_ROWS, 3), np.int64)
    kept[kernels.ROW, :2] = -1
    kept[: kernels.SEEN, 2] = 0, CLASS << 16 | 0x5549, other, size
    chosen = np.empty((kernels.CHOICE_ROWS, 3), np.int64)
    count, changed, flags = kernels.select_rows_into(
        data, cells, read_only(np.array([CLASS], np.uint32)), data, read_only(kept), chosen
    )
    inside = 0 <= size <= 8 and 0 <= start <= 8 - size and 0 <= other <= 8 - size
    assert (count, changed, flags) == (3, 0 if inside else 1, kernels.SAME_FORM)


@pytest.mark.kernel
def test_places_of_the_first_of_equal_tags_and_of_the_last_row() -> None:
    header = header_of((CLASS, "UI", b"1.2\0"), (CLASS, "UI", b"1.3\0"), (NAME, "PN", b"A "))
    wanted = read_only(np.array([NAME, IDENTIFIER, CLASS], np.uint32))
    places = np.empty((5, 3), np.int64)
    kernels.find_places_into(header.elements.cells, wanted, places)
    name = struct.unpack(">H", b"PN")[0]
    assert places.tolist() == [[32, 2, 1], [0, 0, 0], [8, 4, 1], [NAME, name, 0], [32, 2, 1]]
