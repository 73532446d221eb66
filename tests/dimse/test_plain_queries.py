"""Queries read and answered without pydicom: whatever is taken here, pydicom reads and answers alike."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacscore.dicom.dictionary import find_vr
from pacscore.dimse import models
from pacscore.dimse.identifiers import answer_data_set, encode_data_set, read_identifier
from pacscore.dimse.plain_queries import read_plain
from pacscore.errors import QueryError

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
LEVELS = models.levels_of(models.PATIENT_FIND)
# Character set, level, what the node says itself, and attributes of every VR that a query may name.
TAGS = (0x00080005, 0x00080052, 0x00080054, 0x00080056, 0x00080201, 0x00080020, 0x00080030, 0x00080060, 0x0008103E)
TAGS += (0x00080061, 0x00081030, 0x00081110, 0x00100010, 0x00100020, 0x00101010, 0x00180050, 0x0020000D, 0x0020000E)
TAGS += (0x00200011, 0x00201209, 0x00280010, 0x00091001, 0x00104000, 0x0008002A, 0x00081190)
LONG_VRS = frozenset({"OB", "SQ", "UN", "UC", "UR", "UT"})
TEXTS = st.one_of(
    st.just(b""),
    st.sampled_from([b"1.2.3\0", b"CT", b"A^B", b"a*? ", b"20200101-", b" x", b"ISO_IR 100", b"ISO 2022 IR 6\\"]),
    st.binary(max_size=6),
)
VALUES = st.one_of(
    st.none(),
    st.text(alphabet="AZ^.= 019\\äД", max_size=9),
    st.integers(-9, 10**13),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.lists(st.sampled_from(["CT", "MR", "SÉG"]), max_size=3),
)


@st.composite
def _identifiers(draw: st.DrawFn) -> tuple[bytes, str]:
    syntax = draw(st.sampled_from([IMPLICIT, EXPLICIT]))
    level = draw(st.sampled_from([b"SERIES", b"STUDY ", b"PATIENT ", b"NOTHING"]))
    chosen = draw(st.lists(st.sampled_from(TAGS), unique=True, max_size=6))
    raw = b""
    for tag in sorted({*chosen, 0x00080052}):
        value = level if tag == 0x00080052 else draw(TEXTS)
        value += b" " * (len(value) % 2)
        vr = (find_vr(tag) or "LO").encode()
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        if syntax == IMPLICIT:
            head += struct.pack("<I", len(value))
        elif vr.decode() in LONG_VRS:
            head += vr + bytes(2) + struct.pack("<I", len(value))
        else:
            head += vr + struct.pack("<H", len(value))
        raw += head + value
    return raw, syntax


@settings(max_examples=400, deadline=None)
@given(_identifiers(), st.lists(VALUES, min_size=len(TAGS), max_size=len(TAGS)))
@pytest.mark.filterwarnings("ignore")
def test_what_is_understood_here_pydicom_understands_and_answers_alike(
    asked: tuple[bytes, str], values: list[object]
) -> None:
    raw, syntax = asked
    plain = read_plain(raw, syntax, LEVELS, "PACSCORE")
    if plain is None:
        return
    identifier = read_identifier(BytesIO(raw), syntax, LEVELS)
    assert (plain.level, plain.match, identifier.unsupported) == (identifier.level, identifier.match, ())
    found = dict(zip(plain.match, values, strict=False))
    answer = plain.answer(found)
    if answer is not None:
        expected = encode_data_set(answer_data_set(found, identifier, "PACSCORE"), syntax).getvalue()
        assert answer == expected


def _asked(**keys: bytes) -> bytes:
    tags = {
        "level": 0x00080052,
        "modality": 0x00080060,
        "study": 0x0020000D,
        "series": 0x0020000E,
        "number": 0x00200011,
    }
    parts = []
    for name, value in sorted(keys.items(), key=lambda pair: tags[pair[0]]):
        tag = tags[name]
        parts.append(struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value)
    return b"".join(parts)


def test_the_usual_query_is_read_and_answered_here() -> None:
    raw = _asked(level=b"SERIES", modality=b"", series=b"1.2.3\0", number=b"")
    plain = read_plain(raw, IMPLICIT, LEVELS, "PACSCORE")
    assert plain is not None
    assert plain.match == {"Modality": "", "SeriesInstanceUID": "1.2.3", "SeriesNumber": ""}
    assert plain.names_one
    answer = plain.answer({"Modality": "CT", "SeriesInstanceUID": "1.2.3", "SeriesNumber": 4})
    assert answer is not None
    assert answer.endswith(b"\x20\0\x11\0\2\0\0\x004 ")


@pytest.mark.parametrize(
    "keys",
    [
        {"level": b"SERIES", "series": b""},
        {"level": b"SERIES", "series": b"1.2.*\0"},
        {"level": b"STUDY ", "series": b"1.2.3\0"},
        {"level": b"PATIENT ", "study": b"1.2.3\0"},
    ],
)
def test_a_query_that_may_have_several_answers_does_not_name_one(keys: dict[str, bytes]) -> None:
    plain = read_plain(_asked(**keys), IMPLICIT, LEVELS, "PACSCORE")
    assert plain is not None
    assert not plain.names_one


@pytest.mark.parametrize("length", range(1, 40))
def test_an_identifier_cut_anywhere_is_left_to_pydicom_or_read_alike(length: int) -> None:
    raw = _asked(level=b"SERIES", modality=b"CT", series=b"1.2.3\0", number=b"")[:length]
    plain = read_plain(raw, IMPLICIT, LEVELS, "PACSCORE")
    try:
        expected = read_identifier(BytesIO(raw), IMPLICIT, LEVELS).match
    except QueryError:
        assert plain is None
    else:
        assert plain is None or plain.match == expected
