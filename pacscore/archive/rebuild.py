"""The catalog, made anew from storage alone (promise 5)."""

from __future__ import annotations

import time

from pacscore.archive.report import Progress, RebuildReport
from pacscore.archive.session import Session


def rebuild_catalog(session: Session, progress: Progress) -> RebuildReport:
    """Forget the catalog and follow event log and journal from their beginnings."""
    session.check_writable()
    start = time.perf_counter()
    progress("rebuilding", 0, 1)
    session.renew_catalog()
    session.follow()
    session.follow_journal(adopt_all=True)
    progress("rebuilding", 1, 1)
    counts = session.catalog.counts()
    return RebuildReport(counts.series, counts.instances, time.perf_counter() - start)
