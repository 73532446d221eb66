"""Where working copies lie, and reading from them; ``working_copy`` writes them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pacscore.archive.session import Session
from pacscore.errors import PacscoreError
from pacscore.imaging import ArraySource
from pacscore.store.generation import Generation


def copy_path(session: Session, generation: str, stack: int) -> Path:
    """The file of the working copy of a stack of a generation."""
    return session.layout.cache / f"{hashlib.sha256(generation.encode()).hexdigest()[:32]}-{stack}.zip"


def copies_of(session: Session, generation: str) -> list[Path]:
    """The files of all working copies of a generation."""
    return sorted(session.layout.cache.glob(copy_path(session, generation, 0).name.replace("-0.zip", "-*.zip")))


def open_copy(session: Session, generation: str, stack: int) -> ArraySource | None:
    """The working copy of a stack, or None if there is none that can be read: then frames are decoded."""
    path = copy_path(session, generation, stack)
    if not path.exists():
        return None
    try:
        return Generation.open(path, settings=session.settings).array_source(0)
    except PacscoreError:
        return None
