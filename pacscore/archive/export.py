"""Originals back as files, byte for byte."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pacscore.archive.finding import find
from pacscore.archive.instance import Instance
from pacscore.archive.report import ExportReport, Progress
from pacscore.archive.series import Series
from pacscore.archive.session import Session
from pacscore.catalog import INSTANCE_KEYWORDS
from pacscore.parallel import map_ordered

INSTANCE_KEYS = INSTANCE_KEYWORDS | {"SOPInstanceUID", "SOPClassUID", "InstanceNumber"}


def export_originals(session: Session, out: Path, match: Mapping[str, Any], progress: Progress) -> ExportReport:
    """Write every object that matches to ``OUT/<series key>/<number>.dcm``, hashed and synced.

    A key of the instance level chooses among the current instances; without one, all versions of a series go out.

    Names come from keys and numbers of ours, never from outside text. Versions that are not current are named
    ``<number>-v<version>.dcm``.

    Raises
    ------
    StorageError
        A file of that name exists already, or the disk refused a write.
    DamagedError
        An object does not have the hash it was stored with.
    """
    start = time.perf_counter()
    chosen = _chosen(session, match)
    written: list[str] = []
    total = 0
    for number, ((study, uid), named) in enumerate(chosen.items(), 1):
        series = Series(session, session.catalog.series(uid, study))
        folder = out / series.key[:16]
        _make_folders(session, folder)
        members = [
            Instance(series, member.ordinal)
            for member in series.members
            if named is None or (member.candidate.current and member.sop_instance_uid in named)
        ]

        def write(instance: Instance, folder: Path = folder) -> tuple[str, int]:
            suffix = "" if instance.is_current else f"-v{instance.version}-{instance.ordinal}"
            path = folder / f"{instance.ordinal + 1:06d}{suffix}.dcm"
            data = instance.bytes()  # Before the file is made: a damaged object leaves no empty one in the way.
            with session.filesystem.create(path) as file:
                file.append(data)
                file.sync()
            return str(path), len(data)

        for path, size in map_ordered(write, members, threads=session.settings.threads()):
            written.append(path)
            total += size
        session.filesystem.sync_folder(folder)
        progress("exporting", number, len(chosen))
    return ExportReport(len(chosen), len(written), total, time.perf_counter() - start, tuple(written))


def _chosen(session: Session, match: Mapping[str, Any]) -> dict[tuple[str, str], set[str] | None]:
    """Study and Series UID of what matches, each with the SOP Instance UIDs that do; None for all of it."""
    if not INSTANCE_KEYS.intersection(match):
        rows = find(session, "series", match)
        return {(row["StudyInstanceUID"], row["SeriesInstanceUID"]): None for row in rows}
    chosen: dict[tuple[str, str], set[str]] = {}
    for row in find(session, "instance", match):
        chosen.setdefault((row["StudyInstanceUID"], row["SeriesInstanceUID"]), set()).add(row["SOPInstanceUID"])
    return dict(chosen)


def _make_folders(session: Session, folder: Path) -> None:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        session.filesystem.make_folder(each)
