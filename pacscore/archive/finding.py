"""Queries: the catalog answers, and the headers of a series where its document cannot."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from pacscore.archive.instance import Instance
from pacscore.archive.series import Series
from pacscore.archive.session import Session
from pacscore.catalog import Found
from pacscore.catalog.keys import GEOMETRY
from pacscore.errors import AmbiguousError, NotFoundError


class Answers(Iterator[dict[str, Any]]):
    """The answers of a query, one by one; ``after`` is the place behind the last one given."""

    def __init__(self, found: Found, *, with_geometry: bool) -> None:
        self._found = found
        self._with_geometry = with_geometry

    def __iter__(self) -> Answers:
        return self

    def __next__(self) -> dict[str, Any]:
        answer: dict[str, Any] = dict(next(self._found))
        if not self._with_geometry:
            answer.pop(GEOMETRY, None)
        return answer

    @property
    def after(self) -> str | None:
        """What to give the next find as ``after``, to go on behind the last answer."""
        return self._found.after


def find(
    session: Session,
    level: str,
    match: Mapping[str, Any],
    *,
    order: str | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> Answers:
    """What matches; see ``Archive.find``.

    The geometry of what waits in the journal is judged only for those who ask for it: it takes every header.
    """
    session.refresh()
    if GEOMETRY in match:
        judge_waiting(session)

    def documents(key: str, keywords: Collection[str] | None) -> Iterable[dict[str, Any]]:
        stored = session.catalog.series_by_key(key)
        if stored is None:
            return
        for instance in Series(session, stored).instances:
            yield instance.document(keywords=keywords)

    found = session.catalog.find(level, match, order=order, limit=limit, after=after, instance_documents=documents)
    return Answers(found, with_geometry=GEOMETRY in match)


def judge_waiting(session: Session) -> None:
    """Give the catalog the verdicts of series that have received objects, where they have grown since the last time."""
    verdicts = {}
    for stored in session.catalog.waiting():
        state = (stored.generation, stored.journal_count)
        if session.judged.get(stored.key) != state:
            verdicts[stored.key] = Series(session, stored).verdict
            session.judged[stored.key] = state
    if verdicts:
        session.own_catalog().set_verdicts(verdicts)


def find_instance(
    session: Session, sop_instance_uid: str, *, series: str | None, study: str | None, version: int | None
) -> Instance:
    """One object by its UID; see ``Archive.instance``."""
    places = {
        (location.series_instance_uid, location.study_instance_uid)
        for location in session.catalog.lookup(sop_instance_uid)
        if series in (None, location.series_instance_uid) and study in (None, location.study_instance_uid)
    }
    found = [
        Instance(opened, member.ordinal)
        for series_uid, study_uid in sorted(places)
        for opened in [Series(session, session.catalog.series(series_uid, study_uid))]
        for member in opened.members
        if member.sop_instance_uid == sop_instance_uid
        and (member.candidate.current if version is None else member.candidate.version == version)
    ]
    if not found:
        wanted = "" if version is None else f" in version {version}"
        raise NotFoundError(f"no instance {sop_instance_uid}{wanted} is in the archive.", uid=sop_instance_uid)
    if len({instance.series.key for instance in found}) > 1:
        uids = ", ".join(
            f"{each.series.series_instance_uid} of study {each.series.study_instance_uid}" for each in found
        )
        raise AmbiguousError(
            f"instance {sop_instance_uid} is in several series: name series= and study= of one of {uids}.",
            uid=sop_instance_uid,
        )
    return found[0]
