"""Matching of attribute values, PS3.4 C.2.2.2, on Python values: what a query's value means, and whether it holds.

A query value becomes one immutable test. ``conditions`` turns tests into SQL; here they judge values of documents, and
whatever SQL could only narrow down. Both give the same answers, and a property test compares them.

An attribute that is absent or empty meets no test (universal matching is the absence of a test). An attribute of
several values meets a test when one value does (PS3.4 C.2.2.2.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property, lru_cache
from typing import Protocol

from pacscore.catalog.folding import fold, group_text, name_groups
from pacscore.catalog.rows import Value
from pacscore.errors import QueryError

WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", ""})
NUMBER_VRS = frozenset({"IS", "DS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"})
RANGE_VRS = frozenset({"DA", "TM", "DT"})
SINGLE_TEXT_VRS = frozenset({"LT", "ST", "UT", "UR"})
END = "~"  # Follows every character of dates and times.


class Test(Protocol):
    """Whether one value is meant."""

    def one(self, value: Value) -> bool:
        """Whether a single, non-empty value matches."""
        ...


@dataclass(frozen=True)
class Equals:
    """One of several texts, or numbers."""

    texts: frozenset[str]
    numbers: frozenset[float]

    def one(self, value: Value) -> bool:
        """As a number if it is one, else as text."""
        if isinstance(value, (int, float)):
            return value in self.numbers
        return value in self.texts


@dataclass(frozen=True)
class Wildcard:
    """``*`` for any text, ``?`` for any one character."""

    pattern: str

    def one(self, value: Value) -> bool:
        """Whether the whole text fits the pattern."""
        return _expression(self.pattern).fullmatch(str(value)) is not None


@dataclass(frozen=True)
class Span:
    """Dates or times from ``low`` up to ``high`` with all that begins like ``high``; an empty bound is open."""

    low: str
    high: str

    def one(self, value: Value) -> bool:
        """Compare as text: DICOM dates and times sort so."""
        text = str(value)
        return (not self.low or text >= self.low) and (not self.high or text <= self.high + END)


@dataclass(frozen=True)
class Name:
    """A person name, folded; without ``=`` any component group may match, with it each group its own."""

    pattern: str

    def one(self, value: Value) -> bool:
        """Whether the name matches."""
        if "=" not in self.pattern:
            return any(_expression(self.pattern).fullmatch(group) for group in name_groups(str(value)))
        groups = [group_text(fold(group)) for group in str(value).split("=")]
        wanted = self.pattern.split("=")
        groups += [""] * (len(wanted) - len(groups))
        return all(not one or _expression(one).fullmatch(group) for one, group in zip(wanted, groups, strict=False))


@dataclass(frozen=True)
class Moments:
    """Date times between two moments; a text without offset from UTC is taken as UTC."""

    low: datetime | None
    high: datetime | None

    def one(self, value: Value) -> bool:
        """Whether the moment at which the value begins lies between."""
        found = _moment(str(value))
        if found is None:
            return False
        return (self.low is None or found[0] >= self.low) and (self.high is None or found[0] < self.high)


@dataclass(frozen=True)
class AnyOf:
    """One of several tests."""

    tests: tuple[Test, ...]

    def one(self, value: Value) -> bool:
        """Whether one of them holds."""
        return any(test.one(value) for test in self.tests)


@dataclass(frozen=True)
class Items:
    """A sequence with one item that meets every test."""

    tests: tuple[tuple[str, Test], ...]

    def one(self, value: Value) -> bool:
        """Whether the item meets all tests."""
        return isinstance(value, Mapping) and all(matches(test, value.get(key)) for key, test in self.tests)

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys tested."""
        return frozenset(key for key, _ in self.tests)


def matches(test: Test, value: Value) -> bool:
    """Whether an attribute with that value meets the test.

    Examples
    --------
    >>> matches(test_of("PN", "mül*", "PatientName"), "Muller^Jörg")
    True
    >>> matches(test_of("TM", "1000-1100", "StudyTime"), "105959.5")
    True
    """
    if value is None or value == "":
        return False
    if isinstance(value, list):
        return any(one is not None and one != "" and test.one(one) for one in value)
    return test.one(value)


def test_of(vr: str, value: Value, key: str) -> Test | None:
    """The test a query value of a key asks for; None for universal matching.

    A list, and in most VRs a backslash, means "one of these".

    Raises
    ------
    QueryError
        The value has no meaning for the VR; the message names the key.
    """
    if value is None or value == "":
        return None
    texts = [text for text in _texts(vr, value, key) if text]
    if not texts or (vr in WILDCARD_VRS and any(set(text) == {"*"} for text in texts)):
        return None
    if vr in NUMBER_VRS:
        return Equals(frozenset(), frozenset(_number(text, key) for text in texts))
    if vr in RANGE_VRS:
        tests: list[Test] = [_range(vr, text, key) for text in texts]
    elif vr == "PN":
        tests = [Name("=".join(group_text(fold(group)) for group in text.split("="))) for text in texts]
    else:
        wild = [text for text in texts if vr in WILDCARD_VRS and ("*" in text or "?" in text)]
        plain = frozenset(texts).difference(wild)
        tests = [Wildcard(text) for text in wild]
        if plain:
            tests.append(Equals(plain, frozenset(_numbers(plain)) if vr == "" else frozenset()))
    return tests[0] if len(tests) == 1 else AnyOf(tuple(tests))


def _texts(vr: str, value: Value, key: str) -> list[str]:
    if isinstance(value, Mapping):
        raise QueryError(f"{key} is not a sequence: give a text, a number or a list of them.", tag=key)
    if isinstance(value, list):
        return [text for one in value for text in _texts(vr, one, key)]
    text = "" if value is None else str(value)
    if vr in SINGLE_TEXT_VRS or "\\" not in text:
        return [text.strip(" \0")]
    return [one.strip(" \0") for one in text.split("\\")]


def _number(text: str, key: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise QueryError(f"{key} must be asked for by a number.", tag=key, expected="a number") from error


def _numbers(texts: frozenset[str]) -> list[float]:
    found = []
    for text in texts:
        try:
            found.append(float(text))
        except ValueError:
            continue
    return found


def _range(vr: str, text: str, key: str) -> Test:
    if vr == "DT":
        return _moments(text, key)
    pattern = r"\d{8}" if vr == "DA" else r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?"
    low, dash, high = text.partition("-")
    low, high = low.strip(), high.strip()
    if not dash:
        high = low
    if not (low or high) or any(bound and not re.fullmatch(pattern, bound) for bound in (low, high)):
        form = "YYYYMMDD" if vr == "DA" else "HHMMSS.FFFFFF (or its beginning)"
        raise QueryError(
            f"{key} must be asked for as {form}, or as a range of two joined by '-', one of which may be left out.",
            tag=key,
            expected=form,
        )
    if vr == "DA":
        return Equals(frozenset({low}), frozenset()) if low == high and not (dash and not low) else Span(low, high)
    # A stored "10" is 10:00:00, so it lies within "1000-": trailing zeros of the lower bound say nothing.
    return Span(_without_zeros(low), high)


def _without_zeros(time: str) -> str:
    if "." in time:
        time = time.rstrip("0").rstrip(".")
    while len(time) in (4, 6) and time.endswith("00"):
        time = time[:-2]
    return time


_MOMENT = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\.\d{1,6})?([+-]\d{4})?")


def _moments(text: str, key: str) -> Moments:
    # A hyphen is part of an offset from UTC where that makes the whole a single moment (PS3.4 C.2.2.2.5.1).
    whole = _moment(text)
    if whole is not None:
        return Moments(*whole)
    for place in (at for at, letter in enumerate(text) if letter == "-"):
        low, high = text[:place].strip(), text[place + 1 :].strip()
        first, last = _moment(low), _moment(high)
        if (first or not low) and (last or not high) and (low or high):
            return Moments(first[0] if first else None, last[1] if last else None)
    form = "YYYYMMDDHHMMSS.FFFFFF&ZZXX (or its beginning)"
    raise QueryError(f"{key} must be asked for as {form}, or as a range of two.", tag=key, expected=form)


def _moment(text: str) -> tuple[datetime, datetime] | None:
    """Begin and end of the span that a date time text of any precision names."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    *digits, fraction, offset = found.groups()
    given = [int(one) for one in digits if one is not None]
    if (
        len(given) < sum(one is not None for one in digits)
        or any(one is None for one in digits[: len(given)])
        or (fraction and len(given) < 6)
    ):
        return None
    zone = UTC
    if offset:
        minutes = int(offset[1:3]) * 60 + int(offset[3:])
        signed = -minutes if offset[0] == "-" else minutes
        if not -12 * 60 <= signed <= 14 * 60:
            return None
        zone = timezone(timedelta(minutes=signed))
    try:
        begin = datetime(*(given + [1, 1][len(given) - 1 :])[: max(3, len(given))], tzinfo=zone)  # type: ignore[arg-type, misc]  # Three to six integers.
        if fraction:
            begin += timedelta(microseconds=int(fraction[1:].ljust(6, "0")))
        return begin, _end(begin, len(given), fraction)
    except (ValueError, OverflowError):
        return None


def _end(begin: datetime, precision: int, fraction: str | None) -> datetime:
    if fraction:
        return begin + timedelta(microseconds=10 ** (7 - len(fraction)))
    if precision == 1:
        return begin.replace(year=begin.year + 1)
    if precision == 2:
        return begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    return begin + (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1))[precision - 3]


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> re.Pattern[str]:
    parts = (".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in pattern)
    return re.compile("".join(parts), re.DOTALL)
