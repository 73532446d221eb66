"""The element walker against its twin on objects made by hypothesis, damage, cuts and noise; tolerances and limits."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import walk as twin
from reference.rows import rows_of, twin_rows

from pacscore.dicom.elements import NeedMore, walk
from pacscore.errors import InvalidDicomError, LimitError
from pacscore.settings import Settings

SYNTAXES = [(True, True), (False, True), (True, False)]


# Objects made up --------------------------------------------------------------------------------------------------

PLAIN_VRS = [*sorted((twin.SHORT_VRS | twin.LONG_VRS) - {"SQ", "UN"}), "XX"]
TAGS = st.integers(0x00080001, 0x7FDFFFFF)


@st.composite
def plain_elements(draw: st.DrawFn) -> tuple[int, str, bytes]:
    return draw(TAGS), draw(st.sampled_from(PLAIN_VRS)), draw(st.binary(max_size=12))


def nested_elements(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    items = st.lists(st.tuples(st.booleans(), st.lists(children, max_size=3)), max_size=3)
    return st.tuples(TAGS, st.sampled_from(["SQ", "UN"]), st.booleans(), items)


ELEMENTS = st.recursive(plain_elements(), nested_elements, max_leaves=12)
DATA_SETS = st.lists(ELEMENTS, min_size=1, max_size=6)


def written(elements: list[Any], *, explicit: bool, little: bool) -> bytes:
    order = "<" if little else ">"
    parts = []
    for element in elements:
        tag, vr = element[0], element[1]
        if vr not in ("SQ", "UN"):
            value, length = element[2], len(element[2])
        else:
            unknown = vr == "UN"
            value = written_items(
                element[3], explicit=explicit and not unknown, little=little or (unknown and explicit)
            )
            # A UN of defined length is opaque; only undefined length makes it a sequence.
            length = len(value)
            if element[2] or unknown:
                value += struct.pack("<HHL" if unknown and explicit else order + "HHL", 0xFFFE, 0xE0DD, 0)
                length = twin.UNDEFINED
        head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
        if not explicit:
            head += struct.pack(order + "L", length)
        elif vr in twin.LONG_VRS:
            head += vr.encode() + b"\0\0" + struct.pack(order + "L", length)
        else:
            head += vr.encode() + struct.pack(order + "H", length)
        parts.append(head + value)
    return b"".join(parts)


def written_items(items: list[Any], *, explicit: bool, little: bool) -> bytes:
    order = "<" if little else ">"
    parts = []
    for undefined, elements in items:
        value = written(elements, explicit=explicit, little=little)
        length = twin.UNDEFINED if undefined else len(value)
        if undefined:
            value += struct.pack(order + "HHL", 0xFFFE, 0xE00D, 0)
        parts.append(struct.pack(order + "HHL", 0xFFFE, 0xE000, length) + value)
    return b"".join(parts)


def expected_tags(elements: list[Any], depth: int = 0, item: int = 0) -> list[tuple[int, int, int]]:
    found = []
    for element in elements:
        found.append((element[0], depth, item))
        if element[1] in ("SQ", "UN"):
            for index, (_, inner) in enumerate(element[3]):
                found += expected_tags(inner, depth + 1, index)
    return found


@pytest.mark.kernel
@pytest.mark.parametrize(("explicit", "little"), SYNTAXES)
@given(elements=DATA_SETS)
@settings(max_examples=60, deadline=None)
def test_made_up_data_sets_are_walked_as_written(explicit: bool, little: bool, elements: list[Any]) -> None:
    data = written(elements, explicit=explicit, little=little)
    table = walk(data, 0, explicit=explicit, little_endian=little)
    assert table.end == len(data)
    assert expected_tags(elements) == list(
        zip(table.tag.tolist(), table.depth.tolist(), table.item.tolist(), strict=True)
    )
    assert (rows_of(table), table.end) == twin_rows(data, 0, explicit=explicit, little=little)


@pytest.mark.kernel
@given(elements=DATA_SETS, syntax=st.sampled_from(SYNTAXES), noise=st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_data_sets_are_refused_or_read_exactly_as_the_twin_does(
    elements: list[Any], syntax: tuple[bool, bool], noise: st.DataObject
) -> None:
    explicit, little = syntax
    data = bytearray(written(elements, explicit=explicit, little=little))
    for _ in range(noise.draw(st.integers(1, 3))):
        data[noise.draw(st.integers(0, len(data) - 1))] = noise.draw(st.sampled_from([0, 1, 8, 0xFF, 0xFE, 0xE0, 65]))
    whole = bytes(data)
    try:
        expected = twin_rows(whole, 0, explicit=explicit, little=little)
    except twin.Malformed:
        with pytest.raises(InvalidDicomError):
            walk(whole, 0, explicit=explicit, little_endian=little)
        return
    table = walk(whole, 0, explicit=explicit, little_endian=little)
    assert (rows_of(table), table.end) == expected


@pytest.mark.kernel
@given(data=st.binary(max_size=300), syntax=st.sampled_from(SYNTAXES), stop=st.booleans())
@settings(max_examples=200, deadline=None)
def test_noise_is_refused_or_read_exactly_as_the_twin_does(data: bytes, syntax: tuple[bool, bool], stop: bool) -> None:
    explicit, little = syntax
    try:
        expected = twin_rows(data, 0, explicit=explicit, little=little, stop=stop)
    except twin.Malformed:
        with pytest.raises(InvalidDicomError):
            walk(data, 0, explicit=explicit, little_endian=little, stop_at_pixels=stop)
        return
    table = walk(data, 0, explicit=explicit, little_endian=little, stop_at_pixels=stop)
    assert (rows_of(table), table.end) == expected


@pytest.mark.kernel
@given(elements=DATA_SETS, syntax=st.sampled_from(SYNTAXES), data=st.data())
@settings(max_examples=80, deadline=None)
def test_any_head_asks_for_more_until_it_gives_what_the_whole_gives(
    elements: list[Any], syntax: tuple[bool, bool], data: st.DataObject
) -> None:
    explicit, little = syntax
    whole = written([*elements, (0x7FE00010, "OW", b"")], explicit=explicit, little=little) + bytes(16)
    expected = rows_of(walk(whole, 0, explicit=explicit, little_endian=little))
    size = data.draw(st.integers(0, len(whole)))
    while True:
        try:
            table = walk(whole[:size], 0, explicit=explicit, little_endian=little, total_length=len(whole))
            break
        except NeedMore as more:
            wanted = more.at_least
        assert size < wanted <= len(whole)
        size = wanted
    assert rows_of(table) == expected


# Tolerances and limits --------------------------------------------------------------------------------------------


def element(tag: int, vr: str, value: bytes, *, order: str = "<", length: int | None = None) -> bytes:
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    size = len(value) if length is None else length
    if not vr:
        return head + struct.pack(order + "L", size) + value
    if vr in twin.LONG_VRS:
        return head + vr.encode() + b"\0\0" + struct.pack(order + "L", size) + value
    return head + vr.encode() + struct.pack(order + "H", size) + value


def item(value: bytes, *, length: int | None = None) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value) if length is None else length) + value


ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


@pytest.mark.kernel
def test_items_without_vr_in_an_explicit_sequence_are_read_as_implicit() -> None:
    data = element(0x00081140, "SQ", item(element(0x00081150, "", b"1.2\0")))
    table = walk(data, 0, explicit=True, little_endian=True)
    assert [row[:2] for row in rows_of(table)] == [(0x00081140, "SQ"), (0x00081150, "")]


@pytest.mark.kernel
def test_explicit_items_below_un_are_read_where_they_are_proven() -> None:
    inner = element(0x00081150, "UI", b"1.2\0") + element(0x00081155, "UI", b"1.3\0")
    data = element(0x00091001, "UN", item(inner) + SEQUENCE_END, length=twin.UNDEFINED)
    table = walk(data, 0, explicit=True, little_endian=True)
    assert [row[:2] for row in rows_of(table)] == [(0x00091001, "UN"), (0x00081150, "UI"), (0x00081155, "UI")]


@pytest.mark.kernel
def test_items_below_un_are_little_endian_in_a_big_endian_data_set() -> None:
    inner = item(element(0x00081150, "", b"1.2\0")) + SEQUENCE_END
    data = element(0x00091001, "UN", inner, order=">", length=twin.UNDEFINED)
    table = walk(data, 0, explicit=True, little_endian=False)
    assert table.tag.tolist() == [0x00091001, 0x00081150]


@pytest.mark.kernel
def test_empty_items_are_counted() -> None:
    value = item(b"") + item(ITEM_END, length=twin.UNDEFINED) + item(element(0x00081150, "UI", b"")) + item(b"")
    table = walk(element(0x00081140, "SQ", value), 0, explicit=True, little_endian=True)
    assert table.item_count is not None
    assert table.item_count.tolist() == [4, -1]
    assert table.item.tolist() == [0, 2]


@pytest.mark.kernel
def test_delimiters_counted_in_a_defined_length_are_tolerated() -> None:
    value = item(element(0x00081150, "UI", b"1.2\0") + ITEM_END) + SEQUENCE_END
    table = walk(
        element(0x00081140, "SQ", value) + element(0x00100010, "PN", b"A "), 0, explicit=True, little_endian=True
    )
    assert table.tag.tolist() == [0x00081140, 0x00081150, 0x00100010]


@pytest.mark.kernel
def test_an_implicit_value_that_only_begins_like_a_sequence_is_a_value() -> None:
    opaque = element(0x00091001, "", item(b"\1\2\3\4") + item(b"", length=99))
    table = walk(opaque + element(0x00100010, "", b"A "), 0, explicit=False, little_endian=True)
    assert table.tag.tolist() == [0x00091001, 0x00100010]


@pytest.mark.kernel
@pytest.mark.parametrize("vr", ["OB", "OW", "UN"])
def test_encapsulated_pixels_inside_an_item_are_passed(vr: str) -> None:
    frames = item(b"") + item(b"\xff\xd8\xff\xd9") + SEQUENCE_END
    icon = element(0x7FE00010, vr, frames, length=twin.UNDEFINED) + element(0x7FE10010, "LO", b"X ")
    data = element(0x00880200, "SQ", item(icon)) + element(0x00900010, "PN", b"A ")
    table = walk(data, 0, explicit=True, little_endian=True)
    assert table.tag.tolist() == [0x00880200, 0x7FE00010, 0x7FE10010, 0x00900010]


@pytest.mark.kernel
@pytest.mark.parametrize("trailer", [b"", b"\0", bytes(7), bytes(64), b"not an element"])
def test_what_follows_a_report_and_is_no_element_is_its_trailer(trailer: bytes) -> None:
    report = element(0x00080016, "UI", b"1.2\0")
    table = walk(report + trailer, 0, explicit=True, little_endian=True)
    assert (len(table), table.end) == (1, len(report))


def test_zeros_in_a_head_are_padding_only_once_the_rest_is_seen() -> None:
    whole = element(0x00080016, "UI", b"1.2\0") + bytes(20)
    with pytest.raises(NeedMore) as caught:
        walk(whole[:30], 0, explicit=True, little_endian=True, total_length=len(whole))
    assert caught.value.at_least == len(whole)
    with pytest.raises(InvalidDicomError, match="group 0000"):
        walk(whole + b"x", 0, explicit=True, little_endian=True)


@pytest.mark.kernel
def test_an_image_that_breaks_off_before_its_pixels_is_refused() -> None:
    image = element(0x00280010, "US", b"\1\0") + b"not an element"
    with pytest.raises(InvalidDicomError, match="no VR") as caught:
        walk(image, 0, explicit=True, little_endian=True)
    assert caught.value.fields["offset"] == 10


@pytest.mark.kernel
def test_a_walk_that_does_not_stop_at_pixels_goes_to_the_end() -> None:
    frames = item(b"") + item(b"\xff\xd8") + SEQUENCE_END
    data = element(0x7FE00010, "OB", frames, length=twin.UNDEFINED) + element(0xFFFCFFFC, "OB", b"\0\0")
    table = walk(data, 0, explicit=True, little_endian=True, stop_at_pixels=False)
    assert (table.tag.tolist(), table.end) == ([0x7FE00010, 0xFFFCFFFC], len(data))


@pytest.mark.parametrize(
    ("data", "offset", "reason"),
    [
        (element(0x00080016, "UI", b"1.2\0", length=400), 0, "value passes the end"),
        (element(0x00080016, "UT", b"", length=twin.UNDEFINED), 0, "length is undefined"),
        (element(0x00081140, "SQ", b"notanitem!"), 12, "an item or sequence delimiter"),
        (element(0x00081140, "SQ", item(b"", length=50)), 12, "value passes the end"),
        (element(0x00081140, "SQ", item(b"abcd")), 20, "header of the next"),
        (element(0x00080016, "UI", b"") + ITEM_END, 8, "delimiter delimits nothing"),
        (element(0x00080016, "UI", b"") + SEQUENCE_END, 8, "delimiter delimits nothing"),
        (element(0x00080016, "UI", b"") + element(0x00000010, "UI", b""), 8, "group 0000"),
        (element(0x7FE00010, "OB", item(b"", length=twin.UNDEFINED), length=twin.UNDEFINED), 12, "length is undefined"),
        (element(0x7FE00010, "OB", b"notanitem!", length=twin.UNDEFINED), 12, "an item or sequence delimiter"),
    ],
)
def test_an_error_names_offset_and_reason(data: bytes, offset: int, reason: str) -> None:
    with pytest.raises(InvalidDicomError, match=reason) as caught:
        walk(data, 0, explicit=True, little_endian=True, stop_at_pixels=False)
    assert caught.value.fields["offset"] == offset
    assert f"offset {offset}" in caught.value.message


def test_promise_8_elements_and_depth_are_limited() -> None:
    many = element(0x00080016, "UI", b"") * 3000
    assert len(walk(many, 0, explicit=True, little_endian=True)) == 3000
    allowed = Settings(element_count_max=3000)
    assert len(walk(many, 0, explicit=True, little_endian=True, settings=allowed)) == 3000
    for limit in (10, 2999):
        with pytest.raises(LimitError, match=f"more than {limit} elements"):
            walk(many, 0, explicit=True, little_endian=True, settings=Settings(element_count_max=limit))

    def nested(levels: int) -> bytes:
        value = b""
        for _ in range(levels):
            value = element(0x00081140, "SQ", item(value))
        return value

    shallow = Settings(depth_max=5)
    assert len(walk(nested(5), 0, explicit=True, little_endian=True, settings=shallow)) == 5
    with pytest.raises(LimitError, match="more than 5 deep"):
        walk(nested(6), 0, explicit=True, little_endian=True, settings=shallow)
    assert len(walk(nested(64), 0, explicit=True, little_endian=True)) == 64


def test_promise_8_nesting_that_is_never_closed_takes_linear_time() -> None:
    # Each value begins like a sequence and fails only at its very end: W3 must not walk any byte twice per level.
    value = b"\0" * 4
    for _ in range(60):
        value = element(0x00091001, "", item(value + b"\1" * 3))
    assert len(walk(value * 200, 0, explicit=False, little_endian=True)) <= 60 * 200


@pytest.mark.kernel
@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, lambda b: np.frombuffer(b, np.uint8).copy()])
def test_every_kind_of_buffer_is_taken_and_left_as_it_was(form: Any) -> None:
    data = element(0x00080016, "UI", b"1.2\0")
    given = form(data)
    assert rows_of(walk(given, 0, explicit=True, little_endian=True)) == [(0x00080016, "UI", 8, 4, 0, 0, -1)]
    assert bytes(given) == data
    if not isinstance(given, bytes | memoryview):
        given[0] = 1  # Still writable: only our view of it is not.


def test_a_memory_map_can_be_closed_after_its_walk(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(element(0x00080016, "UI", b"1.2\0"))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        table = walk(mapped, 0, explicit=True, little_endian=True)
    assert table.tag.tolist() == [0x00080016]


def test_a_walk_may_not_start_outside() -> None:
    for start in (-1, 9):
        with pytest.raises(InvalidDicomError):
            walk(bytes(8), start, explicit=True, little_endian=True)
    assert len(walk(b"", 0, explicit=True, little_endian=True)) == 0


def test_a_table_is_read_only_and_finds_tags_of_the_data_set_only() -> None:
    value = item(element(0x00080018, "UI", b"1.2\0"))
    data = element(0x00081140, "SQ", value) + element(0x00080018, "UI", b"1.3\0") + element(0x00080018, "UI", b"1.4\0")
    table = walk(data, 0, explicit=True, little_endian=True)
    assert table.rows(np.array([0x00080018, 0x00080016], np.uint32)).tolist() == [2, -1]
    with pytest.raises(ValueError, match="read-only"):
        table.tag[0] = 0
