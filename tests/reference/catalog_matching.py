"""Queries answered the slow way, from PS3.4 C.2.2.2 and not from the catalog: the twin of ``pacscore.catalog``'s find.

Everything is a loop over plain dictionaries. A series is ``(study uid, series uid, document)``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

PATIENT = ["PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "OtherPatientIDs"]
STUDY_ONLY = ["StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription", "ReferringPhysicianName"]
STUDY = [*PATIENT, *STUDY_ONLY]
VRS = {
    "PatientName": "PN", "ReferringPhysicianName": "PN", "OperatorsName": "PN", "StudyDate": "DA", "StudyTime": "TM",
    "PatientBirthDate": "DA", "SeriesDate": "DA", "AcquisitionDateTime": "DT", "AcquisitionTime": "TM",
    "SeriesNumber": "IS", "KVP": "DS", "StudyInstanceUID": "UI", "SeriesInstanceUID": "UI",
    "FrameOfReferenceUID": "UI", "ACME 1.0:0029xx10": "", "ImageType": "CS", "ProcedureCodeSequence": "SQ",
    "CodeValue": "SH", "CodeMeaning": "LO",
}  # fmt: skip

Series = tuple[str, str, dict[str, Any]]


def wild(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(wild(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and wild(pattern[1:], text[1:])


def folded(text: str) -> str:
    marks = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(letter for letter in marks if unicodedata.combining(letter) == 0)


def name_group(text: str) -> str:
    components = [component.strip() for component in folded(text).split("^")]
    while components and not components[-1]:
        components.pop()
    return "^".join(components)


def name_matches(pattern: str, name: str) -> bool:
    groups = [name_group(group) for group in name.split("=")]
    wanted = [name_group(group) for group in pattern.split("=")]
    if len(wanted) == 1:
        return any(wild(wanted[0], group) for group in groups if group)
    return all(wild(one, groups[at] if at < len(groups) else "") for at, one in enumerate(wanted) if one)


def time_span(text: str) -> tuple[int, int]:
    """First microsecond of the day, and the first behind what the text names."""
    digits, _, fraction = text.partition(".")
    parts = [int(digits[at : at + 2]) for at in range(0, len(digits), 2)]
    begin = sum(part * unit for part, unit in zip(parts, (3_600_000_000, 60_000_000, 1_000_000), strict=False))
    if fraction:
        step = 10 ** (6 - len(fraction))
        begin += int(fraction) * step
        return begin, begin + step
    return begin, begin + (3_600_000_000, 60_000_000, 1_000_000)[len(parts) - 1]


def moment_span(text: str) -> tuple[datetime, datetime]:
    zone = UTC
    if len(text) > 5 and text[-5] in "+-":
        sign = -1 if text[-5] == "-" else 1
        zone = timezone(sign * timedelta(hours=int(text[-4:-2]), minutes=int(text[-2:])))
        text = text[:-5]
    form = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}[len(text)]
    begin = datetime.strptime(text, form).replace(tzinfo=zone)
    if len(text) == 4:
        return begin, begin.replace(year=begin.year + 1)
    if len(text) == 6:
        return begin, (begin + timedelta(days=31)).replace(day=1)
    steps = {8: timedelta(days=1), 10: timedelta(hours=1), 12: timedelta(minutes=1), 14: timedelta(seconds=1)}
    return begin, begin + steps[len(text)]


def in_range(asked: str, stored: str, span: Any) -> bool:
    low, dash, high = asked.partition("-")
    if not dash:
        high = low
    begin = span(stored)[0]
    return (not low or begin >= span(low)[0]) and (not high or begin < span(high)[1])


def value_matches(vr: str, asked: str, stored: Any) -> bool:
    if vr in {"IS", "DS"}:
        return isinstance(stored, (int, float)) and float(asked) == stored
    if vr == "PN":
        return name_matches(asked, stored)
    if vr == "DA":
        return in_range(asked, stored, lambda text: (text, text + "0"))
    if vr == "TM":
        return in_range(asked, stored, time_span)
    if vr == "DT":
        if re.fullmatch(r"\d{4,14}[+-](0\d|1[0-4])[0-5]\d", asked):  # One moment with its offset, not a range.
            begin, end = moment_span(asked)
            return begin <= moment_span(stored)[0] < end
        return in_range(asked, stored, moment_span)
    if vr == "UI":
        return bool(stored == asked)
    if isinstance(stored, (int, float)):
        try:
            return float(asked) == stored
        except ValueError:
            return wild(asked, str(stored)) if "*" in asked or "?" in asked else False
    return wild(asked, stored)


def key_matches(key: str, asked: Any, stored: Any) -> bool:
    if asked in (None, "", "*"):
        return True
    if stored is None or stored == "":
        return False
    if isinstance(asked, dict):
        return any(all(key_matches(inner, one, item.get(inner)) for inner, one in asked.items()) for item in stored)
    values = [value for value in (stored if isinstance(stored, list) else [stored]) if value not in (None, "")]
    alternatives = [text for text in str(asked).split("\\") if text]  # A backslash parts values: PS3.5 6.4.
    return any(value_matches(VRS.get(key, "LO"), text, value) for text in alternatives for value in values)


def studies_of(rows: Sequence[Series]) -> dict[tuple[str, str], dict[str, Any]]:
    """What the series of each study of one patient agree upon: the smallest series UID that says something."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for study, _, document in sorted(rows, key=lambda row: row[1]):
        values = found.setdefault((study, document.get("PatientID") or ""), {"StudyInstanceUID": study})
        for keyword in STUDY:
            if document.get(keyword) is not None and keyword not in values:
                values[keyword] = document[keyword]
    return found


def find_series(rows: Sequence[Series], match: dict[str, Any]) -> set[tuple[str, str]]:
    studies = studies_of(rows)
    found = set()
    for study, series, document in rows:
        agreed = studies[study, document.get("PatientID") or ""]
        siblings = [
            d for s, _, d in rows if s == study and (d.get("PatientID") or "") == (agreed.get("PatientID") or "")
        ]
        every = {**document, **{k: agreed.get(k) for k in [*STUDY, "StudyInstanceUID"]}, "SeriesInstanceUID": series}
        every["ModalitiesInStudy"] = [one["Modality"] for one in siblings if one.get("Modality")]
        if all(key_matches(key, asked, every.get(key)) for key, asked in match.items()):
            found.add((study, series))
    return found
