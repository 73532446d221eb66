"""What claims to be DICOM and cannot be parsed is kept, with its reason: nothing vanishes quietly (promise 10).

Each object is a file named by its SHA-256 with a JSON file of the same name beside it. The name comes from the bytes,
never from outside text, and the same object quarantined twice is there once.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pacscore.filesystem import FileSystem


def quarantine_object(folder: Path, data: bytes, reason: str, *, filesystem: FileSystem) -> str:
    """Keep ``data`` durably with its reason, and return its name in the folder.

    The reason is published last: an object whose reason is missing after a crash is published again.
    """
    name = hashlib.sha256(data).hexdigest()
    path, note = folder / f"{name}.dcm", folder / f"{name}.json"
    if note.exists():
        return name
    if not path.exists():
        filesystem.publish(path, data)
    filesystem.publish(note, json.dumps({"reason": reason, "bytes": len(data)}).encode() + b"\n")
    return name
