"""Verification: hash every object, check every structure, compare what events, storage and catalog say."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pacscore.archive.commits import Commit, commits_of, series_row
from pacscore.archive.report import Progress, VerifyFinding, VerifyReport
from pacscore.archive.series import Series
from pacscore.archive.session import Session
from pacscore.errors import PacscoreError


def verify_archive(session: Session, progress: Progress) -> VerifyReport:
    """Report every finding, not only the first; change nothing."""
    start = time.perf_counter()
    session.refresh()
    findings = list(_logs(session))
    heads = _heads(session)
    objects = 0
    for number, commit in enumerate(heads.values(), 1):
        count, found = _generation(session, commit)
        objects += count
        findings += found
        progress("verifying", number, len(heads))
    for stored in session.catalog.waiting():
        count, found = _received(session, stored.key)
        objects += count
        findings += found
    return VerifyReport(len(heads), objects, tuple(findings), time.perf_counter() - start)


def _logs(session: Session) -> Iterator[VerifyFinding]:
    for finding in session.events.verify():
        yield VerifyFinding("events", finding.message)
    for finding in session.journal.verify():
        yield VerifyFinding("journal", finding.message)


def _heads(session: Session) -> dict[str, Commit]:
    """The last commit of each series, by key."""
    heads: dict[str, Commit] = {}
    for event in session.events.read():
        heads.update((commit.key, commit) for commit in commits_of(event))
    return heads


def _generation(session: Session, commit: Commit) -> tuple[int, list[VerifyFinding]]:
    try:
        generation = session.open_generation(commit.locator)
        findings = [
            VerifyFinding("generation", finding.message, generation.manifest.series_instance_uid)
            for finding in generation.verify()
        ]
        stored = session.catalog.series_by_key(commit.key)
        row, _ = series_row(generation, commit)
        if stored is None or stored.generation != row.generation or stored.verdict != row.verdict:
            findings.append(
                VerifyFinding(
                    "catalog",
                    "the catalog does not say what storage says of a series: run `pacscore rebuild`.",
                    row.series_instance_uid,
                )
            )
        return generation.manifest.object_count, findings
    except (PacscoreError, OSError) as error:
        return 0, [VerifyFinding("generation", f"{commit.file}: {error}")]


def _received(session: Session, key: str) -> tuple[int, list[VerifyFinding]]:
    stored = session.catalog.series_by_key(key)
    if stored is None:
        return 0, []
    findings, count = [], 0
    series = Series(session, stored)
    try:
        waiting = [instance for instance in series.all_versions if series.members[instance.ordinal].candidate.journal]
    except PacscoreError as error:
        return 0, [VerifyFinding("journal", error.message, stored.series_instance_uid)]
    for instance in waiting:
        count += 1
        try:
            instance.bytes()
        except PacscoreError as error:
            findings.append(
                VerifyFinding("journal", error.message, series.series_instance_uid, instance.sop_instance_uid)
            )
    return count, findings
