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
from pacscore.parallel import map_ordered


def export_originals(session: Session, out: Path, match: Mapping[str, Any], progress: Progress) -> ExportReport:
    """Write every object that matches to ``OUT/<series key>/<number>.dcm``, hashed and synced.

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
    rows = list(find(session, "series", match))
    written: list[str] = []
    total = 0
    for number, row in enumerate(rows, 1):
        series = Series(session, session.catalog.series(str(row["SeriesInstanceUID"]), str(row["StudyInstanceUID"])))
        folder = out / series.key[:16]
        _make_folders(session, folder)
        members = [Instance(series, member.ordinal) for member in series.members]

        def write(instance: Instance, folder: Path = folder) -> tuple[str, int]:
            suffix = "" if instance.is_current else f"-v{instance.version}-{instance.ordinal}"
            path = folder / f"{instance.ordinal + 1:06d}{suffix}.dcm"
            data = instance.bytes()  # Before the file is made: a damaged object leaves no empty one in the way.
            with session.filesystem.create(path) as file:
                file.append(data)
                file.sync()
            return str(path), len(data)

        for path, size in map_ordered(write, members):
            written.append(path)
            total += size
        session.filesystem.sync_folder(folder)
        progress("exporting", number, len(rows))
    return ExportReport(len(rows), len(written), total, time.perf_counter() - start, tuple(written))


def _make_folders(session: Session, folder: Path) -> None:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        session.filesystem.make_folder(each)
