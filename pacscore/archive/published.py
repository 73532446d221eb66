"""Which files are published, and which the event log names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from pacscore.archive.commits import Commit, collected_of, commits_of
from pacscore.archive.layout import Layout
from pacscore.archive.session import Session
from pacscore.store.events import EventPosition

_LOOKS, _LOOK_SECONDS = 25, 0.02


@dataclass(slots=True)
class Named:
    """What the event log says of files and series, as far as it was followed.

    Attributes
    ----------
    heads : dict
        Series key to the last commit.
    committed, collected : set of str
        Files that a commit names; those among them that are to go.
    """

    heads: dict[str, Commit] = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)
    collected: set[str] = field(default_factory=set)
    _position: EventPosition | None = None

    def follow(self, session: Session) -> Named:
        """Read on to the end of the log."""
        for event in session.events.read(after=self._position):
            self._position = event.position
            for commit in commits_of(event):
                self.heads[commit.key] = commit
                self.committed.add(commit.file)
            self.collected.update(collected_of(event))
        return self


def published_files(layout: Layout) -> Iterator[str]:
    """The files of generations and packs, relative to the archive."""
    for pattern in ("series/*/*/*.zip", "packs/*.zip"):
        for path in layout.root.glob(pattern):
            yield path.relative_to(layout.root).as_posix()


def unnamed_files(session: Session, named: Named) -> list[str]:
    """Published files that no commit names, sorted; ``named`` is read on.

    A writer at work publishes just before he commits, so what seems to be without an event is looked at again for a
    while.
    """
    found = set(published_files(session.layout)) - named.follow(session).committed
    for _ in range(_LOOKS if found else 0):
        time.sleep(_LOOK_SECONDS)
        found -= named.follow(session).committed
        if not found:
            break
    return sorted(file for file in found if (session.layout.root / file).exists())
