"""Recovery: opening for writing always runs it, and twice equals once.

The steps: follow the event log with the catalog; collect the staging folders of sessions that are gone; commit forward
what they published and did not commit; bring the catalog's rows of received objects in line with the journal.
"""

from __future__ import annotations

from pacscore.archive.sealing import seal_series
from pacscore.archive.session import Session, commits_of
from pacscore.archive.sources import SealedSource
from pacscore.store.generation import Generation
from pacscore.store.verify import series_prefixes


def recover(session: Session) -> None:
    """Bring everything in line with the event log and the journal."""
    session.follow()
    for target in session.staging.collect():
        _commit_forward(session, target)
    session.follow_journal()


def _commit_forward(session: Session, target: str) -> None:
    """Take in a file that was published by a session that died before its event: proven again, never deleted.

    Its objects are sealed anew on the heads as they are now: what is there already is recognised by its hash.
    """
    path = session.layout.root / target
    if not target or not path.exists() or _is_committed(session, target):
        return
    groups = []
    for prefix in series_prefixes(path):
        generation = Generation.open(path, prefix=prefix, settings=session.settings)
        if any(True for _ in generation.verify()):
            continue  # Not whole: it was never acknowledged, and its sources were not retired.
        manifest = generation.manifest
        groups.append(
            (manifest.key, [SealedSource(generation, ordinal).candidate() for ordinal in range(manifest.object_count)])
        )
    if groups:
        seal_series(session, groups)
    # Its objects are in the archive now, or never were acknowledged: the file itself is work left over.
    session.filesystem.rename(path, session.layout.staging / path.name)
    session.filesystem.sync_folder(path.parent)
    session.filesystem.remove(session.layout.staging / path.name)


def _is_committed(session: Session, target: str) -> bool:
    return any(commit.file == target for event in session.events.read() for commit in commits_of(event))
