"""The manifest of an export: of each file where it came from, and the hash that proves it.

``manifest.jsonl`` has one entry a line, appended as files are made; ``manifest.csv`` is the same for people.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pacscore.archive.report import Reported
from pacscore.errors import InputError
from pacscore.imaging.outgoing import appearing

MANIFEST = "manifest.jsonl"
TABLE = "manifest.csv"
MADE = frozenset({"written", "kept"})
"""What an entry says of itself that has a file."""


@dataclass(frozen=True, slots=True)
class Exported(Reported):
    """One entry of the manifest: a file, or why there is none.

    Attributes
    ----------
    file : str
        Below the folder of the export; "" for a series of which there is none.
    status : str
        ``written``, ``kept`` (it was there and proven), ``left out`` (a series without images) or ``failed``.
    reason : str
        Why there is no file.
    sha256, bytes
        Of the file; of a folder (zarr), over the names and hashes of its files in order.
    made_by : str
        Format, options and pipeline, in words: an entry made otherwise is not kept.
    generation : str
        Which state of the series.
    verdict, findings
        Of the stack's geometry.
    sop_instance_uids : tuple of str
        The instances it was made from, in the order of its frames.
    """

    file: str
    status: str
    study_instance_uid: str
    series_instance_uid: str
    generation: str
    made_by: str
    stack: int = 0
    reason: str = ""
    sha256: str = ""
    bytes: int = 0
    modality: str = ""
    verdict: str = ""
    findings: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    dtype: str = ""
    spacing_mm: tuple[float | None, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()


def read_manifest(out: Path | str) -> tuple[Exported, ...]:
    """The entries of an export, the last one for each file.

    Raises
    ------
    InputError
        A line of the manifest, other than a torn last one, is none of an export.
    """
    path = Path(out) / MANIFEST
    lines = path.read_text("utf-8").split("\n") if path.exists() else []
    found: dict[tuple[str, str, int], Exported] = {}
    for number, line in enumerate(lines):
        if not line:
            continue
        try:
            entry = entry_of(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines) - 1:
                continue  # Its line end is missing: the export ended while it was written.
            raise InputError(
                f"Line {number + 1} is no entry of an export: move the manifest away.", path=str(path)
            ) from error
        found[entry.file, entry.series_instance_uid, entry.stack] = entry
    return tuple(found.values())


def digest_of(path: Path) -> tuple[str, int]:
    """SHA-256 and bytes of a file; of a folder, over the names and hashes of its files in order, and their sum."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
    total, size = hashlib.sha256(), 0
    for each in sorted(path.rglob("*")):
        if each.is_file():
            digest, length = digest_of(each)
            total.update(f"{each.relative_to(path).as_posix()}\0{digest}\n".encode())
            size += length
    return total.hexdigest(), size


def entry_of(value: dict[str, Any]) -> Exported:
    """The entry of a line."""
    listed = ("findings", "shape", "spacing_mm", "sop_instance_uids")
    return Exported(**{**value, **{name: tuple(value[name]) for name in listed}})


def write_manifest(out: Path, entries: Iterable[Exported]) -> None:
    """Write both files anew: these entries, and those of earlier runs that they do not replace."""
    entries = tuple(entries)
    tried = {entry.series_instance_uid for entry in entries}
    kept = {
        (entry.file, entry.series_instance_uid, entry.stack): entry
        for entry in read_manifest(out)
        if entry.status in MADE or entry.series_instance_uid not in tried
    }
    kept |= {(entry.file, entry.series_instance_uid, entry.stack): entry for entry in entries}
    rows = [asdict(entry) for entry in sorted(kept.values(), key=lambda entry: (entry.file, entry.stack))]
    with appearing(out / MANIFEST) as pending:
        pending.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    with appearing(out / TABLE) as pending, pending.open("x", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = [name for name in (each.name for each in fields(Exported)) if name != "sop_instance_uids"]
        writer.writerow([*names, "instances"])
        for row in rows:
            cells = [_cell(row[name]) for name in names]
            writer.writerow([*cells, len(row["sop_instance_uids"])])


def _cell(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "x".join("?" if each is None else str(each) for each in value)
    return str(value)
