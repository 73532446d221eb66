"""What claims to be DICOM and cannot be parsed is kept, with its reason: nothing vanishes quietly (promise 10).

Each object is a file named by its SHA-256 with a JSON file of the same name beside it. The name comes from the bytes,
never from outside text, and the same object quarantined twice is there once.

Q1  The reason is published last, so an object without one is what a crash left: recovery says so beside it.
Q2  Who publishes holds the folder's lock, so whoever holds it may remove what a crash left half published.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pacscore.filesystem import PENDING_PREFIX, FileSystem

_LOCK = "lock"
_REASON_LOST = "the process ended before it had written down why; take the object in again to see"


def quarantine_object(folder: Path, data: bytes, reason: str, *, filesystem: FileSystem) -> str:
    """Keep ``data`` durably with its reason, and return its name in the folder."""
    name = hashlib.sha256(data).hexdigest()
    path = folder / f"{name}.dcm"
    with filesystem.lock(folder / _LOCK):
        if not path.exists():
            filesystem.publish(path, data)
        if _note_of(path).exists():
            filesystem.sync_folder(folder)  # Whoever published it may have died before it did.
        else:
            _give_reason(path, reason, filesystem)
    return name


def quarantine_file(folder: Path, path: Path, reason: str, *, filesystem: FileSystem, name: str | None = None) -> str:
    """Move a file of the archive here with its reason, under its own name, which we made, or under another."""
    with filesystem.lock(folder / _LOCK):
        kept = folder / (name or path.name)
        filesystem.rename(path, kept)
        filesystem.sync_folder(folder)
        filesystem.sync_folder(path.parent)
        _give_reason(kept, reason, filesystem)
    return kept.name


def collect_pending(folder: Path, *, filesystem: FileSystem) -> None:
    """Remove what a crash left half published (Q2), and give a reason to what it left without."""
    if not any(folder.glob(f"{PENDING_PREFIX}*")) and not _without_reason(folder):
        return
    with filesystem.lock(folder / _LOCK):
        for pending in folder.glob(f"{PENDING_PREFIX}*"):
            filesystem.remove(pending)
        for path in _without_reason(folder):
            _give_reason(path, _REASON_LOST, filesystem)


def _without_reason(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.dcm")) if not _note_of(path).exists()]


def _note_of(path: Path) -> Path:
    return path.with_suffix(".json")


def _give_reason(path: Path, reason: str, filesystem: FileSystem) -> None:
    content = json.dumps({"reason": reason, "bytes": path.stat().st_size})
    filesystem.publish(_note_of(path), content.encode() + b"\n")
