"""Which objects a retrieval or a sending is about, series by series, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pacscore.dimse.objects import StoredObject
from pacscore.errors import QueryError

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

_UNIQUE = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@dataclass(frozen=True, slots=True)
class Choice:
    """The current objects of a series that are meant."""

    study_instance_uid: str
    series_instance_uid: str
    objects: tuple[StoredObject, ...]


def chosen(archive: Archive, match: Mapping[str, Any]) -> Iterator[Choice]:
    """What matches, one series at a time."""
    wanted = match.get("SOPInstanceUID")
    uids = None if wanted in (None, "", []) else set(wanted if isinstance(wanted, list) else str(wanted).split("\\"))
    rows = [(row["StudyInstanceUID"], row["SeriesInstanceUID"]) for row in archive.find("series", **match)]
    for study, series in rows:
        opened = archive.series(series, study)
        instances = opened.instances
        if uids is not None:
            instances = tuple(each for each in instances if each.sop_instance_uid in uids)
        if instances:
            yield Choice(study, series, tuple(map(StoredObject, instances)))


def unique_keys(match: Mapping[str, Any], level: str) -> dict[str, Any]:
    """The keys of a retrieval: only unique ones count (PS3.4 C.4.2.1.4), and one must be given.

    Raises
    ------
    QueryError
        None is given.
    """
    found = {key: value for key, value in match.items() if key in _UNIQUE and value not in (None, "", [])}
    if not found:
        raise QueryError(f"a retrieval at level {level} names no object by its unique key.")
    for key, value in found.items():
        if any("*" in each or "?" in each for each in (value if isinstance(value, list) else [str(value)])):
            raise QueryError(f"{key} may have no wildcard in a retrieval.", tag=key)
    return found
