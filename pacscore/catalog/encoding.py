"""Attribute values as columns, terms and text, and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pacscore.catalog.attributes import TERM_PATHS, Attribute
from pacscore.catalog.folding import name_groups
from pacscore.catalog.rows import Document, Value

TEXT_OF_ONE_VALUE = frozenset({"LT", "ST", "UT"})  # A backslash in these is text (PS3.5 6.4).
NUMBERS = frozenset({"IS", "DS"})
_TERM_SEQUENCES = frozenset(sequence for sequence, _ in TERM_PATHS)
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)
json_text = _encoder.encode


def hash63(*parts: str) -> int:
    """A positive number of 62 random bits above 2**62: identities that need no counter and meet no series id."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 2 | 1 << 62


def sop_hash(sop_instance_uid: str) -> int:
    """The signed 64-bit number by which instances are looked up."""
    return int.from_bytes(hashlib.sha256(sop_instance_uid.encode()).digest()[:8], "big", signed=True)


def patient_key(values: Mapping[str, Value], study_instance_uid: str) -> int:
    """What makes two studies those of one patient: ID and issuer; without an ID each study is a patient of its own."""
    identity = plain_text(values.get("PatientID"))
    if identity == "":
        return hash63("study", study_instance_uid)
    return hash63("patient", plain_text(values.get("IssuerOfPatientID")), identity)


def storable(number: int) -> bool:
    """Whether a database integer can hold it; a header may state anything."""
    return -(1 << 63) <= number < 1 << 63


def plain_text(value: Value) -> str:
    """A value as one DICOM text, several ones joined by backslashes."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "\\".join(plain_text(one) for one in value)
    return str(value)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of some attributes, in the schema's order: each one's own, then its folded one if it has one."""

    width: int
    places: Mapping[str, tuple[int, str]]  # By keyword: the column, and the VR.

    @classmethod
    def of(cls, attributes: tuple[Attribute, ...]) -> Columns:
        """The columns of these attributes."""
        places = {}
        width = 0
        for attribute in attributes:
            places[attribute.keyword] = (width, attribute.vr)
            width += 2 if attribute.vr == "PN" else 1
        return cls(width, places)

    def split(self, stated: Mapping[str, Value]) -> tuple[list[Any], list[tuple[str, str]]]:
        """What stands in the columns; and keyword and value of what a column alone cannot answer for.

        That are several values, and further groups of names. What ``stated`` says of other attributes is passed over.
        """
        row: list[Any] = [None] * self.width
        terms: list[tuple[str, str]] = []
        find = self.places.get
        for keyword, value in stated.items():
            place = find(keyword)
            if place is None or value in (None, "", []):
                continue
            at, vr = place
            if vr != "PN" and type(value) is str:  # Nearly all.
                row[at] = value
                continue
            row[at] = column = value if isinstance(value, str) else _column_value(value, vr)
            if vr == "PN":
                groups = name_groups(str(column).split("\\", 1)[0])
                row[at + 1] = groups[0] if groups else None
            if isinstance(value, list) or (isinstance(value, str) and "=" in value):
                terms += _terms(keyword, vr, value)
        return row, terms


def _terms(keyword: str, vr: str, value: Value) -> Iterator[tuple[str, str]]:
    if vr == "PN":
        names = value if isinstance(value, list) else [value]
        groups = {group for name in names for group in name_groups(plain_text(name))}
        yield from ((keyword, group) for group in sorted(groups))
    elif isinstance(value, list) and vr not in NUMBERS:
        yield from ((keyword, text) for text in sorted({plain_text(one) for one in value}) if text)


def _column_value(value: Value, vr: str) -> str | int | float:
    """A value that is no text, as its column holds it: of several numbers the first, of other things their text."""
    if isinstance(value, list):
        value = value[0] if vr in NUMBERS else plain_text(value)
    if isinstance(value, int) and not storable(value):
        return float(str(value))  # By way of text: infinite when beyond a float too.
    return value if isinstance(value, (str, int, float)) else plain_text(value)


def attribute_value(attribute: Attribute, stored: Any) -> Value:
    """The value of a column as it was given."""
    if isinstance(stored, str) and "\\" in stored and attribute.vr not in TEXT_OF_ONE_VALUE:
        return list(stored.split("\\"))
    value: Value = stored
    return value


def nested_terms(document: Document) -> Iterator[tuple[str, str]]:
    """Path and value of the nested attributes that are looked up by index."""
    if _TERM_SEQUENCES.isdisjoint(document):
        return
    for sequence, keyword in TERM_PATHS:
        items = document.get(sequence)
        if isinstance(items, list):
            texts = {plain_text(item.get(keyword)) for item in items if isinstance(item, dict)}
            yield from ((f"{sequence}.{keyword}", text) for text in sorted(texts) if text)
