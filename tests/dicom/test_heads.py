"""Many headers in one call say what each says alone, whatever they are and wherever they are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom.data_sets import Element, header_of, write_data_set
from dicom.test_selection import KEYWORDS, data_sets
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.objects import readable_paths

from pacscore.dicom.documents import choose_documents
from pacscore.dicom.elements import NeedMore, walk
from pacscore.dicom.header import Header
from pacscore.dicom.heads import scan_heads, walk_heads
from pacscore.dicom.part10 import make_file_prefix
from pacscore.dicom.scan import Scan, scan
from pacscore.dicom.selection import find_selection
from pacscore.errors import InputError, InvalidDicomError, LimitError, PacscoreError
from pacscore.geometry import GEOMETRY_KEYWORDS, FrameReader, frames_of
from pacscore.settings import Settings

HEAD = 16_384
EXPLICIT = "1.2.840.10008.1.2.1"
BIG = "1.2.840.10008.1.2.2"
PIXELS = 0x7FE00010


def told(found: object) -> tuple[object, ...]:
    """A scan as values that can be compared, or the error and what it says."""
    if not isinstance(found, Scan):
        assert isinstance(found, PacscoreError | NeedMore)
        return type(found), str(found), found.at_least if isinstance(found, NeedMore) else found.fields
    table = found.elements
    return (*found._replace(elements=None), table.cells.tolist(), table.explicit, table.little_endian, table.end)  # type: ignore[arg-type]


def alone(head: bytes, total: int, limits: Settings) -> object:
    try:
        return scan(head, total_length=total, settings=limits)
    except (InvalidDicomError, LimitError, NeedMore) as error:
        return error


def assert_each_is_told_alike(heads: list[bytes], totals: list[int], limits: Settings = Settings()) -> None:  # noqa: B008
    found = [told(each) for each in scan_heads(heads, totals, settings=limits)]
    assert found == [told(alone(head, total, limits)) for head, total in zip(heads, totals, strict=True)]


def real_objects(data: Path) -> list[bytes]:
    return [path.read_bytes() for path in readable_paths(data)]


def test_heads_of_all_real_files_are_scanned_as_alone(data: Path) -> None:
    objects = real_objects(data)
    by_syntax = sorted(objects, key=lambda each: getattr(alone(each, len(each), Settings()), "parts", ("",) * 3)[2])
    for order in (objects, by_syntax):
        for start in range(0, len(order), 50):
            part = order[start : start + 50]
            assert_each_is_told_alike([each[:HEAD] for each in part], list(map(len, part)))
            assert_each_is_told_alike(part, list(map(len, part)))


def test_heads_cut_anywhere_and_damaged_anywhere_are_told_alike(data: Path) -> None:
    whole = (
        (data / "single" / "CT_small.dcm").read_bytes()[:8192] if (data / "single" / "CT_small.dcm").exists() else b""
    )
    whole = whole or min((each for each in real_objects(data) if each[128:132] == b"DICM"), key=len)[:4096]
    random = np.random.default_rng(7)
    cut = [whole, *(whole[:size] for size in range(0, len(whole), 13))]
    assert_each_is_told_alike(cut, [len(whole)] * len(cut))
    damaged = [whole]
    for _ in range(300):
        other = bytearray(whole)
        other[random.integers(132, len(whole))] = random.integers(256)
        damaged.append(bytes(other))
    assert_each_is_told_alike(damaged, [len(whole)] * len(damaged))


@pytest.mark.kernel
def test_a_batch_of_mixed_kinds_is_told_alike() -> None:
    def file(syntax: str, *elements: Element, stated: str | None = None) -> bytes:
        data = write_data_set(elements, explicit=True, little_endian=syntax != BIG)
        return make_file_prefix("1.2", "1.2.3", stated or syntax) + data

    plain = ((0x00080016, "UI", b"1.2\0"), (0x00080018, "UI", b"1.2.3\0"), (0x0020000E, "UI", b"1.9\0"))
    heads = [
        file(EXPLICIT, *plain),
        file(EXPLICIT, *plain, (PIXELS, "OW", b"\1\2")),
        file(EXPLICIT, (0x00080018, "UI", b"1" * 2000)),
        file(BIG, *plain),
        file(EXPLICIT, *plain, stated=BIG),
        file(EXPLICIT, *plain) + b"\0" * 7,
        file(EXPLICIT),
        b"",
        b"\0" * 200,
        file(EXPLICIT, *plain)[132:],
        file(EXPLICIT, *plain, (PIXELS, "OW", b"\1\2"))[:-1],
    ]
    assert_each_is_told_alike(heads, list(map(len, heads)))
    assert_each_is_told_alike(heads[::-1], list(map(len, heads[::-1])))


def test_limits_hold_for_many_as_for_one() -> None:
    elements = [(0x00100000 + number, "LO", b"ab") for number in range(1, 40)]
    head = make_file_prefix("1.2", "1.2.3", EXPLICIT) + write_data_set(elements)
    short = make_file_prefix("1.2", "1.2.3", EXPLICIT) + write_data_set(elements[:2])
    for limits in (Settings(element_count_max=10), Settings(header_bytes_max=400)):
        assert_each_is_told_alike(
            [short, short, head, short, head], [len(each) for each in (short, short, head, short, head)], limits
        )


@pytest.mark.kernel
@settings(deadline=None)
@given(st.lists(data_sets(), min_size=1, max_size=6), st.booleans(), st.booleans())
def test_tables_and_documents_of_many_are_those_of_each(
    sets: list[list[Element]], explicit: bool, undefined: bool
) -> None:
    headers = [header_of(*elements, explicit=explicit, undefined=undefined) for elements in sets]
    heads = [header.data for header in headers]
    tables = walk_heads(heads, [0] * len(heads), explicit=explicit, little_endian=True)
    for table, head in zip(tables, heads, strict=True):
        expected = walk(head, 0, explicit=explicit, little_endian=True)
        assert (table.cells.tolist(), table.end) == (expected.cells.tolist(), expected.end)
    found = choose_documents(headers, KEYWORDS)
    find_selection.cache_clear()
    expected_documents = []
    for header in headers:
        expected_documents.append(Header(header.data, header.elements).document(keywords=KEYWORDS))
        find_selection.cache_clear()
    assert found == expected_documents
    assert [list(document) for document in found] == [list(document) for document in expected_documents]


def test_documents_of_many_belong_to_each_alone() -> None:
    headers = [header_of((0x00080008, "CS", b"A\\B")) for _ in range(5)]
    documents = choose_documents(headers, frozenset({"ImageType"}))
    documents[1]["ImageType"].append("C")  # type: ignore[union-attr]
    assert documents[2]["ImageType"] == ["A", "B"]


def test_a_walk_of_many_says_what_is_wrong_with_one() -> None:
    fine, broken = write_data_set([(0x00100010, "PN", b"A ")]), b"\x10\0\x10\0PN\xff\0"
    with pytest.raises(InvalidDicomError, match="passes the end"):
        walk_heads([fine, broken], [0, 0], explicit=True, little_endian=True)
    with pytest.raises(InputError, match="needs a start"):
        walk_heads([fine], [], explicit=True, little_endian=True)
    with pytest.raises(InvalidDicomError):
        walk_heads([fine], [-1], explicit=True, little_endian=True)
    with pytest.raises(InputError, match="bytes"):
        scan_heads([fine, bytearray(fine), fine], [10, 10, 10])  # type: ignore[list-item]


def test_more_elements_than_there_is_room_for_are_walked_all_the_same() -> None:
    sets = [
        write_data_set([(0x00110000 + number, "LO", b"ab") for number in range(1, count)]) for count in (9, 3000, 9)
    ]
    tables = walk_heads(sets * 3, [0] * 9, explicit=True, little_endian=True)
    assert [len(table) for table in tables] == [8, 2999, 8] * 3


def test_frames_do_not_depend_on_what_was_read_before(data: Path) -> None:
    documents = []
    for whole in real_objects(data):
        try:
            documents.append(Header(whole, scan(whole)).document(keywords=GEOMETRY_KEYWORDS))
        except InvalidDicomError:
            continue
    reader = FrameReader()
    for order in (documents, documents[::-1]):
        for index, document in enumerate(order):
            assert reader.read(document, index) == frames_of(document, index)
    again = {**documents[0], "Rows": float(documents[0]["Rows"])} if "Rows" in documents[0] else documents[0]  # type: ignore[arg-type]
    assert reader.read(again, 0) == frames_of(again, 0)
