"""What a query asks: its keys resolved, its values turned into tests.

Keys (DESIGN 9): a keyword, ``ggggeeee``, a private ``CREATOR:ggggxxee``, nested ones joined by dots; the option
``geometry``. A value of None, "" or [] makes it a return key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pacscore.catalog.attributes import BY_KEYWORD, Level
from pacscore.catalog.matching import Equals, Items, Test, test_of
from pacscore.catalog.rows import Value
from pacscore.dicom.dictionary import find_keyword, find_tag, find_vr
from pacscore.errors import QueryError

GEOMETRY = "geometry"
COMPUTED: dict[str, Level] = {
    "ModalitiesInStudy": Level.STUDY,
    "SOPClassesInStudy": Level.STUDY,
    "NumberOfPatientRelatedStudies": Level.PATIENT,
    "NumberOfPatientRelatedSeries": Level.PATIENT,
    "NumberOfPatientRelatedInstances": Level.PATIENT,
    "NumberOfStudyRelatedSeries": Level.STUDY,
    "NumberOfStudyRelatedInstances": Level.STUDY,
    "NumberOfSeriesRelatedInstances": Level.SERIES,
}
_PRIVATE = re.compile(r"(?P<creator>.+):(?P<group>[0-9A-Fa-f]{4})xx(?P<element>[0-9A-Fa-f]{2})")
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_DEPTH_MAX = 16


@dataclass(frozen=True, slots=True)
class Query:
    """A query understood.

    Attributes
    ----------
    tests : mapping
        By top-level document key, computed ones and ``geometry`` included.
    returned : tuple of str
        The top-level keys to be given back besides the columns.
    """

    tests: Mapping[str, Test]
    returned: tuple[str, ...]


def parse(match: Mapping[str, Value]) -> Query:
    """Understand a query.

    Raises
    ------
    QueryError
        A key that is not one, or a value without meaning for it; both are named.
    """
    tests: dict[str, Test] = {}
    nested: dict[str, list[tuple[str, Test]]] = {}
    returned: list[str] = []
    for text, value in match.items():
        if text == GEOMETRY:
            test = _geometry(value)
            if test is not None:
                tests[GEOMETRY] = test
            continue
        path = resolve(text)
        returned.append(path[0])
        test = None if value == "" else _test_at(path, value, text)
        if test is None:
            continue
        if isinstance(test, Items):
            nested.setdefault(path[0], []).extend(test.tests)
        elif path[0] in tests:
            raise QueryError(f"{path[0]} is asked for twice. Give it once.", tag=path[0])
        else:
            tests[path[0]] = test
    for key, inner in nested.items():
        tests[key] = Items(_merged(inner))
    return Query(tests, tuple(dict.fromkeys(returned)))


def _merged(inner: list[tuple[str, Test]]) -> tuple[tuple[str, Test], ...]:
    """Tests on one item; those on the same inner sequence are about the same inner item."""
    found: dict[str, Test] = {}
    for key, test in inner:
        before = found.get(key)
        if isinstance(before, Items) and isinstance(test, Items):
            found[key] = Items(_merged([*before.tests, *test.tests]))
        elif before is not None:
            raise QueryError(f"{key} is asked for twice. Give it once.", tag=key)
        else:
            found[key] = test
    return tuple(sorted(found.items(), key=lambda pair: pair[0]))


@lru_cache(maxsize=4096)
def resolve(text: str) -> tuple[str, ...]:
    """The document keys on the way to an attribute.

    Examples
    --------
    >>> resolve("00080060"), resolve("ProcedureCodeSequence.CodeValue"), resolve("ACME 1.1:0029xx10")
    (('Modality',), ('ProcedureCodeSequence', 'CodeValue'), ('ACME 1.1:0029xx10',))
    """
    path: list[str] = []
    waiting = ""
    for part in text.split("."):
        candidate = f"{waiting}.{part}" if waiting else part
        key = _component(candidate)
        waiting = "" if key else candidate  # A private creator may have dots of its own.
        if key:
            path.append(key)
    if waiting or not path or len(path) > _DEPTH_MAX:
        raise QueryError(
            f"{text!r} is no attribute: give a DICOM keyword, ggggeeee, CREATOR:ggggxxee, or such joined by dots.",
            tag=text,
        )
    return tuple(path)


def _component(text: str) -> str | None:
    private = _PRIVATE.fullmatch(text)
    if private is not None:
        if int(private["group"], 16) % 2 == 0:
            return None
        return f"{private['creator']}:{private['group'].upper()}xx{private['element'].upper()}"
    if _TAG.fullmatch(text):
        tag = int(text, 16)
        if tag >> 16 & 1:  # Private elements go by their creator: blocks differ from file to file.
            return None
        return find_keyword(tag) or text.upper()
    return text if text.isidentifier() and _vr_of_keyword(text) is not None else None


@lru_cache(maxsize=4096)
def vr_of(key: str) -> str:
    """The VR of a document key; "" when nothing is known of it."""
    return _vr_of_keyword(key) or "" if key.isidentifier() and not _TAG.fullmatch(key) else ""


def _test_at(path: tuple[str, ...], value: Value, text: str) -> Test | None:
    if len(path) > 1:
        inner = _test_at(path[1:], value, text)
        return None if inner is None else Items(((path[1], inner),))
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], Mapping):
        value = value[0]
    if isinstance(value, Mapping):
        return _item_test(path[0], value, text)
    vr = vr_of(path[0])
    if vr == "SQ" and value not in (None, "", []):
        raise QueryError(f"{text} is a sequence: ask for an attribute in it, as in {text}.CodeValue.", tag=text)
    return test_of(vr, value, text)


def _item_test(key: str, item: Mapping[str, Value], text: str) -> Test | None:
    if vr_of(key) not in {"SQ", ""}:
        raise QueryError(f"{text} is not a sequence: give a text, a number or a list of them.", tag=text)
    inner = []
    for name, value in item.items():
        path = resolve(name)
        test = _test_at(path, value, f"{text}.{name}")
        if test is not None:
            inner.append((path[0], test))
    return Items(_merged(inner)) if inner else None


def _geometry(value: Value) -> Test | None:
    texts = [str(one) for one in (value if isinstance(value, list) else [value]) if one not in (None, "")]
    return Equals(frozenset(texts), frozenset()) if texts else None


def level_of(key: str) -> Level:
    """The level a key belongs to; what has no column belongs to the instance, and to the series it is constant in."""
    if key in COMPUTED:
        return COMPUTED[key]
    if key == GEOMETRY:
        return Level.SERIES
    attribute = BY_KEYWORD.get(key)
    return Level.INSTANCE if attribute is None else attribute.level


def _vr_of_keyword(keyword: str) -> str | None:
    """The VR of a keyword (the first, where the dictionary names several); None for no keyword."""
    tag = find_tag(keyword)
    vr = None if tag is None else find_vr(tag)
    return None if vr is None else vr.split("/", 1)[0]
