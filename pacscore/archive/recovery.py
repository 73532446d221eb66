"""Recovery: opening for writing always runs it, and twice equals once.

The steps: follow the event log with the catalog; look into the staging folders of sessions that are gone, and commit
forward what they published and did not commit; bring the catalog's rows of received objects in line with the journal;
remove what was half published in quarantine. It may itself be interrupted after any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pacscore.archive.candidates import Candidate
from pacscore.archive.commits import commits_of
from pacscore.archive.layout import Layout
from pacscore.archive.published import Named, unnamed_files
from pacscore.archive.quarantine import collect_pending, quarantine_file
from pacscore.archive.sealing import Part, commit, seal_series
from pacscore.archive.session import Session
from pacscore.archive.sources import SealedSource
from pacscore.errors import NotFoundError, PacscoreError
from pacscore.store.generation import Generation
from pacscore.store.verify import series_prefixes


def recover(session: Session) -> None:
    """Bring everything in line with the event log and the journal."""
    try:
        session.follow()
    except NotFoundError:  # The catalog has followed another log than this: it was copied, or put back, without it.
        session.renew_catalog()
        session.follow()
    session.staging.collect(lambda target, discard: _commit_forward(session, target, discard))
    session.follow_journal()
    collect_pending(session.layout.quarantine, filesystem=session.filesystem)


def take_in_published(session: Session) -> None:
    """Commit forward every published file that no event names, those first whose parents are the heads.

    Such files are left by a log that is older than they are, as in a backup that was made while the archive was at
    work. No note tells of them, so all files are looked at: this belongs to a rebuild.
    """
    waiting = unnamed_files(session, Named())
    while waiting:
        taken = [target for target in waiting if _is_on_heads(session, target)] or waiting[:1]
        for target in taken:
            _commit_forward(session, target, session.staging.discard)
        waiting = [target for target in waiting if target not in taken]


def _is_on_heads(session: Session, target: str) -> bool:
    try:
        manifests = [generation.manifest for generation in _generations(session, target)]
        return all(session.catalog_generation(each.key) == each.parent for each in manifests)
    except PacscoreError:
        return False


def _generations(session: Session, target: str) -> list[Generation]:
    path = session.layout.root / target
    return [Generation.open(path, prefix=prefix, settings=session.settings) for prefix in series_prefixes(path)]


def _commit_forward(session: Session, target: str, discard: Callable[[Path], None]) -> None:
    """Take in a file that was published by a session that died before its event: proven again, never deleted.

    As it is, if the heads are still those it was made on. Else its objects are sealed anew on the heads as they are
    now, where what is there already is recognised by its hash; then the file holds nothing that is not elsewhere, and
    is discarded.
    """
    path = session.layout.root / target
    if not Layout.is_generation(target) or not path.exists() or _is_committed(session, target):
        return  # A note that was being written, or a file that was never published, or one that was committed.
    session.filesystem.sync_folder(path.parent)  # The session may have died before it did.
    try:
        generations = _generations(session, target)
        damage = [finding.message for generation in generations for finding in generation.verify()]
    except PacscoreError as error:
        damage = [error.message]
    if damage:
        reason = f"a generation that was published and not committed is damaged: {damage[0]}"
        quarantine_file(session.layout.quarantine, path, reason, filesystem=session.filesystem)
        return
    if not _commit_as_is(session, target, generations):
        seal_series(session, [(each.manifest.key, _candidates(each)) for each in generations])
        discard(path)


def _is_committed(session: Session, target: str) -> bool:
    return any(commit.file == target for event in session.events.read() for commit in commits_of(event))


def _commit_as_is(session: Session, target: str, generations: list[Generation]) -> bool:
    snapshot = session.catalog_position()
    manifests = [generation.manifest for generation in generations]
    if any(session.catalog_generation(each.key) != each.parent for each in manifests):
        return False
    parts = [
        Part(
            each.key,
            generation.prefix,
            each.parent,
            each.object_count,
            each.study_instance_uid,
            each.series_instance_uid,
        )
        for generation, each in zip(generations, manifests, strict=True)
    ]
    if not commit(session, target, parts, snapshot, lambda: None):
        return False
    session.follow()
    return True


def _candidates(generation: Generation) -> list[Candidate]:
    return [SealedSource(generation, ordinal).candidate() for ordinal in range(generation.manifest.object_count)]
