"""The catalog, made anew from storage alone (promise 5)."""

from __future__ import annotations

import time

from pacscore.archive.collection import finish_collection
from pacscore.archive.recovery import take_in_published
from pacscore.archive.report import Progress, RebuildReport
from pacscore.archive.session import Session


def rebuild_catalog(session: Session, progress: Progress) -> RebuildReport:
    """Forget the catalog, follow event log and journal from their beginnings, and commit what no event names."""
    session.check_writable()
    start = time.perf_counter()
    progress("rebuilding", 0, 1)
    session.renew_catalog()
    session.follow()
    take_in_published(session)
    session.follow_journal(adopt_all=True)
    finish_collection(session)
    progress("rebuilding", 1, 1)
    counts = session.catalog.counts()
    return RebuildReport(counts.series, counts.instances, time.perf_counter() - start)
