"""Values of each VR: numbers, text, lists, nothing; and that no bytes make decoding fail."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacscore.dicom.charsets import CharacterSet
from pacscore.dicom.values import LEFT_OUT, choose_decoder

TEXT = ["AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"]
NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
ALL = [*TEXT, *NUMBERS, "DS", "IS", "AT", "US/SS", "US/OW"]


def decode(vr: str, raw: bytes, *, little_endian: bool = True, signed: bool = False) -> Any:
    decoder = choose_decoder(vr, CharacterSet("iso8859-1"), little_endian=little_endian, signed=signed)
    assert decoder is not None
    return decoder(raw)


@pytest.mark.parametrize("vr", ["OB", "OD", "OF", "OL", "OV", "OW", "UN", "SQ", "OB/OW", "US/SS/OW", "XX", ""])
def test_bytes_that_are_no_values_have_no_decoder(vr: str) -> None:
    assert choose_decoder(vr, CharacterSet(), little_endian=True) is None


@pytest.mark.parametrize("vr", ALL)
def test_nothing_and_padding_are_none(vr: str) -> None:
    assert decode(vr, b"") is None
    if vr in TEXT or vr in ("DS", "IS"):
        assert decode(vr, b"  ") is None
        assert decode(vr, b"\0") is None


@pytest.mark.parametrize("vr", TEXT)
def test_trailing_padding_goes_and_leading_blanks_where_they_mean_nothing(vr: str) -> None:
    leading = "" if vr in ("AE", "CS", "LO", "PN", "SH") else " "
    assert decode(vr, b" A B \0") == leading + "A B"


@pytest.mark.parametrize("vr", TEXT)
def test_a_backslash_parts_values_except_in_long_text(vr: str) -> None:
    expected = "A \\\\B" if vr in ("LT", "ST", "UR", "UT") else ["A", "", "B"]
    assert decode(vr, b"A \\\\B ") == expected


def test_only_text_of_its_vrs_has_the_character_set() -> None:
    assert decode("LO", b"\xe9") == "é"
    assert decode("CS", b"\xe9") == "\ufffd"


def test_names_keep_their_groups_and_lose_empty_ones_at_the_end() -> None:
    assert decode("PN", b"Adams^John=^=x==") == "Adams^John=^=x"
    assert decode("PN", b"A^B= \\C^^^") == ["A^B", "C^^^"] or decode("PN", b"A^B=\\C^^^") == ["A^B", "C^^^"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"1", 1.0),
        (b" -1.5e3 ", -1500.0),
        (b"+.5", 0.5),
        (b"1\\2.5\\", [1.0, 2.5, None]),
        (b"1.9.10.0", "1.9.10.0"),
        (b"1,5", "1,5"),
        (b"nan", "nan"),
        (b"inf\\1", ["inf", 1.0]),
        (b"1e999", "1e999"),
        (b"1_000", "1_000"),
        (b"0x10", "0x10"),
        (b"1\xb2", "1\ufffd"),
    ],
)
def test_decimal_strings_are_floats_or_stay_text(raw: bytes, expected: object) -> None:
    assert decode("DS", raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b" 12 ", 12),
        (b"-7\\+7", [-7, 7]),
        (b"3.0", 3),
        (b"3.5", "3.5"),
        (b"1_0", "1_0"),
        (b"four", "four"),
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", "9223372036854775808"),
        (b"1e300", "1e300"),
        (b"9" * 100_000, "9" * 100_000),
    ],
)
def test_integer_strings_are_ints_or_stay_text(raw: bytes, expected: object) -> None:
    found = decode("IS", raw)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("vr", NUMBERS)
@pytest.mark.parametrize("little_endian", [True, False])
def test_binary_numbers_decode_in_either_byte_order(vr: str, little_endian: bool) -> None:
    letter = NUMBERS[vr]
    order = "<" if little_endian else ">"
    low = 0 if letter.isupper() else -2
    assert decode(vr, struct.pack(order + letter, low), little_endian=little_endian) == low
    assert decode(vr, struct.pack(order + 3 * letter, low, 1, 7), little_endian=little_endian) == [low, 1, 7]


def test_numbers_with_a_broken_word_are_left_out() -> None:
    assert decode("US", b"\1") is LEFT_OUT
    assert decode("FD", bytes(12)) is LEFT_OUT
    assert decode("AT", bytes(6)) is LEFT_OUT


def test_attribute_tags_are_eight_digits() -> None:
    assert decode("AT", bytes.fromhex("2800 5110")) == "00281051"
    assert decode("AT", bytes.fromhex("0028 1051 7FE0 0010"), little_endian=False) == ["00281051", "7FE00010"]


def test_pixel_representation_decides_between_us_and_ss() -> None:
    assert decode("US/SS", b"\xff\xff") == 65535
    assert decode("US/SS", b"\xff\xff", signed=True) == -1
    assert decode("US/OW", b"\xff\xff", signed=True) == 65535


@settings(deadline=None)
@given(st.sampled_from(ALL), st.binary(max_size=40), st.booleans(), st.booleans())
def test_no_bytes_make_decoding_fail(vr: str, raw: bytes, little_endian: bool, signed: bool) -> None:
    value = decode(vr, raw, little_endian=little_endian, signed=signed)
    if value is not LEFT_OUT:
        json.dumps(value)
        if isinstance(value, list):
            assert len(value) > 1
