"""Verification: hash every object, check every structure, compare what events, storage and catalog say."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping

from pacscore.archive.commits import Commit, series_row
from pacscore.archive.published import Named, unnamed_files
from pacscore.archive.report import Progress, VerifyFinding, VerifyReport
from pacscore.archive.session import Session
from pacscore.catalog import ReceivedRow
from pacscore.dicom.part10 import read_file_parts
from pacscore.errors import NotFoundError, PacscoreError
from pacscore.store.positions import Position


def verify_archive(session: Session, progress: Progress) -> VerifyReport:
    """Report every finding, not only the first; change nothing."""
    start = time.perf_counter()
    session.refresh()
    findings = list(_logs(session))
    catalogued = session.catalog.generations()  # Before the log is read: what is entered later has its event.
    named = Named().follow(session)
    findings += _disagreements(session, catalogued, named)
    heads = named.heads
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


def _disagreements(session: Session, catalogued: Mapping[str, str], named: Named) -> Iterator[VerifyFinding]:
    """What storage or catalog hold and no event names, and the other way round; heads are looked at one by one."""
    for file in unnamed_files(session, named):
        message = f"{file} is published, and no event names it: `pacscore rebuild` proves and commits it."
        yield VerifyFinding("file", message)
    heads = {commit.file for commit in named.heads.values()}
    for file in sorted(named.committed - named.collected - heads):
        if not (session.layout.root / file).exists() and file not in named.follow(session).collected:
            message = f"{file} is gone, and no event says so; a later generation of its series has taken its place."
            yield VerifyFinding("file", message)
    for key, locator in sorted(catalogued.items()):
        if key not in named.heads:
            message = f"the catalog holds series {key} in {locator}, and no event names it: run `pacscore rebuild`."
            yield VerifyFinding("catalog", message)
    records = set(map(str, session.journal.positions()))
    for position in sorted(session.catalog.journal_positions() - records):
        if position in session.catalog.journal_positions():
            message = f"the catalog holds a record at {position} that is not in the journal: run `pacscore rebuild`."
            yield VerifyFinding("catalog", message)


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
    """Hash every object of a series that waits in the journal."""
    findings, count = [], 0
    for row in session.catalog.received(key):
        try:
            body = session.journal.read(Position(row.position))[1]
        except NotFoundError:  # Sealed by a writer meanwhile: counted with its generation.
            continue
        except PacscoreError as error:
            findings.append(_bad_record(row, error.message))
            continue
        count += 1
        start = read_file_parts(body, transfer_syntax_uid=row.transfer_syntax_uid).prefix_length
        if hashlib.sha256(body[start:]).digest() != row.digest:
            findings.append(_bad_record(row, "a received object does not have the hash it came with."))
    return count, findings


def _bad_record(row: ReceivedRow, message: str) -> VerifyFinding:
    return VerifyFinding("journal", message, row.series_instance_uid, row.sop_instance_uid)
