"""Queries: the catalog answers, and the headers of a series where its document cannot."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pacscore.archive.instance import Instance
from pacscore.archive.series import Series
from pacscore.archive.session import Session
from pacscore.catalog import Found
from pacscore.errors import AmbiguousError, NotFoundError


def find(
    session: Session,
    level: str,
    match: Mapping[str, Any],
    *,
    order: str | None,
    limit: int | None,
    after: str | None,
) -> Found:
    """What matches; see ``Archive.find``."""
    session.refresh()

    def documents(key: str, keywords: Collection[str] | None) -> Iterable[dict[str, Any]]:
        stored = session.catalog.series_by_key(key)
        if stored is None:
            return
        series = Series(session, stored)
        for instance in series.instances:
            yield instance.document(keywords=keywords)

    return session.catalog.find(level, match, order=order, limit=limit, after=after, instance_documents=documents)


def find_instance(session: Session, sop_instance_uid: str, *, series: str | None, version: int | None) -> Instance:
    """One object by its UID; see ``Archive.instance``."""
    places = {
        (location.series_instance_uid, location.study_instance_uid)
        for location in session.catalog.lookup(sop_instance_uid)
        if series is None or location.series_instance_uid == series
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
    if len({instance.series.series_instance_uid for instance in found}) > 1:
        uids = ", ".join(instance.series.series_instance_uid for instance in found)
        raise AmbiguousError(
            f"instance {sop_instance_uid} is in several series: name one of {uids} as series=.", uid=sop_instance_uid
        )
    return found[0]
