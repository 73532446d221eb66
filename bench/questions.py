"""Questions to a catalog of a million series, with values drawn from its rows; by the row of figures they are for."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from idc import COLLECTION, DOI, IndexRow

ONE_KEY = (
    "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "Modality", "BodyPartExamined", "Manufacturer",
    "ManufacturerModelName", "SeriesDescription", "StudyDate", "PatientSex", "StudyDescription",
)  # fmt: skip
_THREE_OF = (
    "BodyPartExamined", "Manufacturer", "ManufacturerModelName", "Modality", "PatientSex", "SeriesDescription",
    "StudyDate",
)  # fmt: skip
PAGE = 100


@dataclass(frozen=True)
class Question:
    """One kind of question: what it is called, the level, and the values and options of each time it is asked."""

    name: str
    level: str
    matches: list[dict[str, Any]]
    options: dict[str, Any] = field(default_factory=dict)


Questions = Callable[[list[IndexRow]], Iterator[Question]]


def one_key(sample: list[IndexRow]) -> Iterator[Question]:
    """A value of one attribute, and a month of Study Date."""
    for keyword in ONE_KEY:
        matches = [{keyword: row[keyword]} for row in sample if row[keyword] is not None]
        for level in ("series", "study"):
            yield Question(f"{keyword}, {level}", level, matches)
    months = [{"StudyDate": f"{row['StudyDate'][:6]}01-{row['StudyDate'][:6]}31"} for row in sample if row["StudyDate"]]
    yield Question("a month of StudyDate, series", "series", months)


def three_keys(sample: list[IndexRow]) -> Iterator[Question]:
    """Three attributes of one row."""
    for level in ("series", "study"):
        yield Question(level, level, _three(sample))


def ordered(sample: list[IndexRow]) -> Iterator[Question]:
    """In the order of Study Date."""
    yield Question("three keys, series", "series", _three(sample), {"order": "-StudyDate"})
    yield Question("Modality, series", "series", [{"Modality": row["Modality"]} for row in sample], _NEWEST)
    yield Question("all, study", "study", [{} for _ in sample[:50]], _NEWEST)
    yield Question("all, series", "series", [{} for _ in sample[:50]], _NEWEST)


def levels(sample: list[IndexRow]) -> Iterator[Question]:
    """Attributes of one level asked at another."""
    yield Question("ModalitiesInStudy and PatientSex, study", "study", [
        {"ModalitiesInStudy": row["Modality"], "PatientSex": row["PatientSex"] or ""} for row in sample
    ])  # fmt: skip
    yield Question("PatientID and Modality, patient", "patient", [
        {"PatientID": row["PatientID"], "Modality": row["Modality"]} for row in sample
    ])  # fmt: skip
    yield Question("StudyDescription and Modality, series", "series", [
        {"StudyDescription": row["StudyDescription"] or "", "Modality": row["Modality"]} for row in sample
    ])  # fmt: skip
    yield Question("SeriesDescription, patient", "patient", [
        {"SeriesDescription": row["SeriesDescription"]} for row in sample if row["SeriesDescription"]
    ])  # fmt: skip


def substring(sample: list[IndexRow]) -> Iterator[Question]:
    """``*x*`` on Series Description."""
    chooser = random.Random(1)
    parts = [_part(row["SeriesDescription"], chooser) for row in sample if row["SeriesDescription"]]
    for level in ("series", "study"):
        yield Question(f"alone, {level}", level, [{"SeriesDescription": part} for part in parts])
    yield Question("and Modality MR", "series", [{"SeriesDescription": part, "Modality": "MR"} for part in parts])
    yield Question("newest first", "series", [{"SeriesDescription": part} for part in parts], _NEWEST)
    yield Question("that does not occur", "series", [{"SeriesDescription": f"*zq{n}xj*"} for n in range(20)])


def unindexed(sample: list[IndexRow]) -> Iterator[Question]:
    """Attributes without an index, which take a look at every series."""
    yield Question("text that occurs", "series", [{COLLECTION: row["collection_id"]} for row in sample[:10]])
    yield Question("text that does not", "series", [{COLLECTION: "nowhere"}])
    yield Question("number that does not", "series", [{"PixelRepresentation": 7}])
    yield Question("*x* that does not, study", "study", [{DOI: "*nowhere*"}])
    yield Question("absent keyword", "series", [{"EchoTime": 7}])


_NEWEST = {"order": "-StudyDate"}


def _three(sample: list[IndexRow]) -> list[dict[str, Any]]:
    chooser = random.Random(2)
    matches = []
    for row in sample:
        stated = [name for name in _THREE_OF if row[name] is not None]
        matches.append({name: row[name] for name in chooser.sample(stated, min(3, len(stated)))})
    return matches


def _part(text: str, chooser: random.Random) -> str:
    words = [word for word in text.replace("*", " ").replace("?", " ").split() if len(word) >= 3]
    word = chooser.choice(words) if words else text
    return f"*{word[: chooser.randint(3, 8)]}*"
