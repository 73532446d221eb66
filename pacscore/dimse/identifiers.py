"""Identifiers of queries: DICOM data sets in, keys and values of ``Archive.find`` out, and answers back (PS3.4 C.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom.dsutils import decode, encode

from pacscore.dicom.dictionary import find_keyword, find_tag, find_vr
from pacscore.dicom.syntaxes import transfer_syntax
from pacscore.dimse.plain_queries import INSTANCE_AVAILABILITY, OURS, TIMEZONE
from pacscore.errors import QueryError

_UTF_8 = "ISO_IR 192"
_TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_BINARY_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


@dataclass(frozen=True, slots=True)
class Identifier:
    """A query understood.

    Attributes
    ----------
    level
        Query/Retrieve Level as stated: ``PATIENT``, ``STUDY``, ``SERIES`` or ``IMAGE``.
    match
        For ``Archive.find``, values and empty return keys.
    wanted
        The elements asked for, as they came.
    unsupported
        Tags that are asked for and that this node does not know.
    character_set
        Of the request.
    """

    level: str
    match: Mapping[str, Any]
    wanted: Dataset
    unsupported: tuple[str, ...]
    character_set: str | list[str]


def read_identifier(raw: BytesIO | None, syntax_uid: str, levels: Iterable[str]) -> Identifier:
    """Read an identifier.

    Raises
    ------
    QueryError
        It cannot be decoded, or its level is none of the model's.
    """
    stated = decode_data_set(raw, syntax_uid)
    level = str(stated.get("QueryRetrieveLevel", "")).strip()
    if level not in levels:
        raise QueryError(
            f"Query/Retrieve Level (0008,0052) is {level!r}, but this model has {', '.join(levels)}.", tag="00080052"
        )
    match: dict[str, Any] = {}
    unsupported: list[str] = []
    for element in stated:
        if int(element.tag) in OURS or element.tag.element == 0:
            continue
        keyword = find_keyword(int(element.tag))
        if keyword is None or element.VR in _BINARY_VRS:
            unsupported.append(str(element.tag))
        else:
            match[keyword] = _query_value(element)
    return Identifier(level, match, stated, tuple(unsupported), stated.get("SpecificCharacterSet") or "")


def decode_data_set(raw: BytesIO | None, syntax_uid: str) -> Dataset:
    """A data set of the network.

    Raises
    ------
    QueryError
        It cannot be decoded.
    """
    syntax = transfer_syntax(syntax_uid)
    try:
        found: Dataset = decode(
            raw if raw is not None else BytesIO(), not syntax.explicit, syntax.little_endian, syntax.deflated
        )
        found.decode()
        for element in found.iterall():
            _ = element.value  # Values are converted when they are first looked at.
    except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError, OSError, EOFError) as error:
        raise QueryError("the identifier of the query cannot be decoded.") from error
    return found


def _query_value(element: DataElement) -> Any:
    if element.VR == "SQ":
        items = list(element.value or ())
        return {each.keyword: _query_value(each) for each in items[0] if each.keyword} if items else ""
    value = element.value
    if value is None:
        return ""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return str(value)
    if element.VR == "PN":
        return [str(each) for each in value] if element.VM > 1 else str(value)
    return [str(each) for each in value]


def answer_data_set(found: Mapping[str, Any], identifier: Identifier, ae_title: str) -> Dataset:
    """The answer to a query: each element asked for, empty where there is no value (PS3.4 C.4.1.3.1)."""
    answer, given = Dataset(), []
    for element in identifier.wanted:
        tag = int(element.tag)
        if tag in OURS or element.tag.element == 0:
            continue
        keyword = find_keyword(tag)
        if keyword is not None and str(element.tag) not in identifier.unsupported:
            answer.add(_answer_element(tag, element.VR, found.get(keyword), element))
            given.append(found.get(keyword))
    answer.QueryRetrieveLevel = identifier.level
    answer.RetrieveAETitle = ae_title
    if INSTANCE_AVAILABILITY in identifier.wanted:
        answer.InstanceAvailability = "ONLINE"
    if TIMEZONE in identifier.wanted:
        answer.TimezoneOffsetFromUTC = found.get("TimezoneOffsetFromUTC") or ""
    character_set = _character_set(given, identifier.character_set)
    if character_set:
        answer.SpecificCharacterSet = character_set
    return answer


def _answer_element(tag: int, vr: str, value: Any, asked: DataElement | None = None) -> DataElement:
    if vr == "SQ":
        wanted = None
        if asked is not None and asked.value:
            wanted = {each.keyword for each in asked.value[0]}
        items = value if isinstance(value, list) else [value] if isinstance(value, Mapping) else []
        return DataElement(tag, "SQ", Sequence([_item(each, wanted) for each in items if isinstance(each, Mapping)]))
    if value is None:
        return DataElement(tag, vr, "" if vr not in {"US", "UL", "SS", "SL", "FD", "FL", "AT"} else None)
    if vr in {"US", "UL", "SS", "SL", "FD", "FL"}:
        return DataElement(tag, vr, value)
    if isinstance(value, list):
        return DataElement(tag, vr, ["" if each is None else _text(each, vr) for each in value])
    return DataElement(tag, vr, _text(value, vr))


def _text(value: Any, vr: str) -> str:
    if vr == "IS" and isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _item(value: Mapping[str, Any], wanted: set[str] | None) -> Dataset:
    made = Dataset()
    for keyword, each in value.items():
        tag = find_tag(keyword)
        vr = None if tag is None else find_vr(tag)
        if tag is not None and vr is not None and (not wanted or keyword in wanted):
            made.add(_answer_element(tag, vr.split("/", 1)[0], each))
    return made


def _character_set(given: list[Any], asked: str | list[str]) -> str | list[str]:
    """The request's, if it can say every text of the answer; else UTF-8 (PS3.4 C.4.1.1.3.2)."""
    texts = [text for text in _texts(given) if not text.isascii()]
    if not texts:
        return asked if asked else ""
    names = list(asked) if not isinstance(asked, str) else [asked]
    if names and names != [""]:
        try:
            encodings = convert_encodings(names)
        except (LookupError, ValueError):
            encodings = []
        if encodings and all(any(_is_encodable(text, each) for each in encodings) for text in texts):
            return asked
    return _UTF_8


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _is_encodable(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def encode_data_set(data_set: Dataset, syntax_uid: str) -> BytesIO:
    """A data set in a transfer syntax of the network."""
    syntax = transfer_syntax(syntax_uid)
    raw = encode(data_set, not syntax.explicit, syntax.little_endian, syntax.deflated)
    if raw is None:
        raise QueryError("an answer to the query cannot be encoded.")
    return BytesIO(raw)
