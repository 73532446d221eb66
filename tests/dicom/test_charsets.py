"""Character sets: the examples of PS3.5 annexes H to K, every single-byte set, wrong bytes, and folding."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacscore.dicom.charsets import DEFAULT, fold, parse_character_set

NAMES = "\\^="

# Annex H.3.1, H.3.2, I.2, J.1, J.2, K.2 and the GBK example of J.4: Specific Character Set, bytes, text.
STANDARD_EXAMPLES = [
    (
        rb"\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    (
        rb"ISO 2022 IR 13\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    (
        rb"\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    (b"ISO_IR 192", "Wang^XiaoDong=王^小東=".encode(), "Wang^XiaoDong=王^小東="),
    (b"GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
    (
        rb"\ISO 2022 IR 58",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
    (b"GBK", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\x96|=", "Wang^XiaoDong=王^小東="),
]

SINGLE_BYTE = {
    "100": "latin-1",
    "101": "iso8859-2",
    "109": "iso8859-3",
    "110": "iso8859-4",
    "126": "iso8859-7",
    "127": "iso8859-6",
    "138": "iso8859-8",
    "144": "iso8859-5",
    "148": "iso8859-9",
    "166": "tis-620",
    "203": "iso8859-15",
}
DESIGNATIONS = dict(zip(SINGLE_BYTE, "ABCDFGHLMTb", strict=True))

TERMS = [
    b"",
    b"ISO_IR 13",
    b"ISO_IR 192",
    b"GB18030",
    b"GBK",
    b"nonsense",
    b"ISO 2022 IR 58",
    rb"ISO 2022 IR 149\ISO 2022 IR 87",
    *(f"ISO_IR {number}".encode() for number in SINGLE_BYTE),
]


@pytest.mark.parametrize(("term", "raw", "text"), STANDARD_EXAMPLES)
def test_the_examples_of_the_standard_decode(term: bytes, raw: bytes, text: str) -> None:
    assert parse_character_set(term).decode(raw, delimiters=NAMES) == text


@pytest.mark.parametrize("number", SINGLE_BYTE)
def test_a_single_byte_set_decodes_all_its_characters(number: str) -> None:
    raw = bytes(range(0x20, 0x7F)) + bytes(range(0xA0, 0x100))
    expected = raw.decode(SINGLE_BYTE[number], "replace")
    assert parse_character_set(f"ISO_IR {number}".encode()).decode(raw) == expected
    assert parse_character_set(f"ISO 2022 IR {number}".encode()).decode(raw) == expected
    designated = b"\x1b-" + DESIGNATIONS[number].encode() + raw
    assert parse_character_set(rb"\ISO 2022 IR " + number.encode()).decode(designated) == expected


def test_katakana_of_jis_x_0201_is_single_bytes() -> None:
    katakana = parse_character_set(b"ISO_IR 13")
    assert katakana.decode(b"~\\\xb1\xdf") == "~\\ｱﾟ"
    assert katakana.decode(b"\xe0A\x81B") == "\ufffdA\ufffdB"  # Shift JIS would take these for two characters.
    assert DEFAULT.decode(b"\x1b)I\xb1\xb2") == "ｱｲ"


def test_supplementary_kanji_of_jis_x_0212_decode() -> None:
    text = "丂丄丅"
    raw = text.encode("iso2022_jp_2")
    assert raw.startswith(b"\x1b$(D")
    assert parse_character_set(rb"\ISO 2022 IR 159").decode(raw) == text


def test_a_delimiter_that_is_half_a_character_does_not_part_it() -> None:
    japanese = parse_character_set(rb"\ISO 2022 IR 87")
    assert japanese.decode(b"\x1b$B$^!@!=\x1b(B^A", delimiters=NAMES) == "ま＼―^A"
    assert (
        parse_character_set(b"GB18030").decode(b"\x81\x5c\x81\x5e\\A") == b"\x81\x5c\x81\x5e".decode("gb18030") + "\\A"
    )


@pytest.mark.parametrize("delimiter", ["\\", "^", "=", "\r\n", "\t", "\f"])
def test_the_set_of_value_1_returns_at_delimiters_and_control_characters(delimiter: str) -> None:
    latin = parse_character_set(rb"ISO 2022 IR 100\ISO 2022 IR 144")
    raw = b"\x1b-L\xbb" + delimiter.encode() + b"\xe9"
    assert latin.decode(raw, delimiters=NAMES) == "Л" + delimiter + "é"


def test_text_without_delimiters_keeps_its_set_behind_a_backslash() -> None:
    assert parse_character_set(b"ISO 2022 IR 100").decode(b"\x1b-L\xbb\\^=\xbb") == "Л\\^=Л"


def test_a_name_that_forgets_to_return_to_ascii_is_still_parted() -> None:
    raw = b"\x1b$B;3ED^\x1b$BB@O:"
    assert parse_character_set(rb"\ISO 2022 IR 87").decode(raw, delimiters=NAMES) == "山田^太郎"


def test_bytes_without_a_meaning_are_replaced() -> None:
    assert DEFAULT.decode(b"M\xfcller") == "M\ufffdller"
    assert parse_character_set(b"ISO_IR 192").decode(b"\xff\xc3\xa9") == "\ufffdé"
    assert parse_character_set(b"ISO_IR 127").decode(b"\xa1A") == "\ufffdA"
    assert DEFAULT.decode(b"\x1b%9A\xe9\x1b") == "\ufffd%9A\ufffd\ufffd"
    assert "\ufffd" in parse_character_set(rb"\ISO 2022 IR 149").decode(b"\x1b$)C\xfb")


@pytest.mark.parametrize("term", [b"ISO-IR 100", b"iso_ir_100 ", b"ISO 2022 IR 100", b"ISO IR 100", b"ISO_IR 100\0"])
def test_spellings_that_occur_are_understood(term: bytes) -> None:
    assert parse_character_set(term).decode(b"\xe9") == "é"


@settings(deadline=None)
@given(st.sampled_from(TERMS), st.binary(max_size=60), st.sampled_from(["", "\\", NAMES]))
def test_no_bytes_make_decoding_fail(term: bytes, raw: bytes, delimiters: str) -> None:
    assert isinstance(parse_character_set(term).decode(raw, delimiters=delimiters), str)


ESCAPES = [b"(B", b"(J", b"$B", b"$(D", b")I", b"-A", b"-L", b"$)C", b"$)A", b"$)", b""]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ESCAPES), st.binary(max_size=8)), max_size=6), st.binary(max_size=20))
def test_no_escape_sequences_make_decoding_fail(parts: list[tuple[bytes, bytes]], term: bytes) -> None:
    raw = b"".join(b"\x1b" + escape + text for escape, text in parts)
    text = parse_character_set(term).decode(raw, delimiters=NAMES)
    assert "\x1b" not in text or not parse_character_set(term).extensible


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("AZ azあんア漢字亜ｱｶﾞ"), max_size=12), max_size=4), st.sampled_from("^="))
def test_japanese_as_pydicom_writes_it_decodes(parts: list[str], delimiter: str) -> None:
    charset = pytest.importorskip("pydicom.charset")
    to_romaji = b"\x1b(J"  # pydicom leaves a kanji set in G0 where katakana of G1 end a part.
    raw = (to_romaji + delimiter.encode()).join(
        charset.encode_string(part, ["shift_jis", "iso2022_jp"]) for part in parts
    )
    terms = rb"ISO 2022 IR 13\ISO 2022 IR 87"
    assert parse_character_set(terms).decode(raw, delimiters=NAMES) == delimiter.join(parts)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_folding_does_not_see_case_or_composition(text: str) -> None:
    assert fold(unicodedata.normalize("NFD", text)) == fold(text)
    if text.isascii():
        assert fold(text.upper()) == fold(text) == text.lower()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ÅNGSTRÖM", "angstrom"),
        ("Straße", "STRASSE"),
        ("İnce", "ince"),
        ("Ａｂｃ", "abc"),
        ("ﾔﾏﾀﾞ", "ヤマダ"),
        ("Ὀδυσσεύς", "οδυσσευσ"),
    ],
)
def test_names_that_differ_in_case_accents_or_width_fold_alike(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("かとう", "がとう"), ("하나", "한나"), ("Muller", "Miller")])
def test_other_letters_stay_other_letters(one: str, other: str) -> None:
    assert fold(one) != fold(other)
    assert len(fold("한나")) == 2  # One character for the wildcard ``?``.
