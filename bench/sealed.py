"""What several rows read: the two series in archives, and the same stores as folders for the peers."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

from rows import Context

import pacscore

WHICH = {"": "made", "-real": "real"}
"""The suffix of a row's name, and the series that it is measured on."""


def files_of(folder: Path) -> list[Path]:
    """The files of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.is_file())


def bytes_of(folder: Path) -> int:
    """The bytes of all files below a folder, or of a file."""
    if folder.is_file():
        return folder.stat().st_size
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def fresh(folder: Path) -> Path:
    """The path of a folder, with nothing there."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def archive_of(
    context: Context, source: Path, name: str, *, strategy: str = "balanced"
) -> tuple[pacscore.Archive, pacscore.Series]:
    """One series, ingested into an archive of its own once in a run, and opened."""
    if name not in context.shared:
        archive = pacscore.create(fresh(context.scratch / f"archive-{name}"), strategy=strategy)
        report = archive.ingest(source)
        assert report.stored == len(files_of(source)), f"{report.stored} of {source} stored"
        uid = next(iter(archive.find("series")))["SeriesInstanceUID"]
        context.shared[name] = archive, archive.series(uid)
    found: tuple[pacscore.Archive, pacscore.Series] = context.shared[name]
    return found


def sealed(context: Context, which: str) -> tuple[pacscore.Archive, pacscore.Series]:
    """``made`` or ``real`` in an archive."""
    return archive_of(context, context.series(which), which)


def unpacked(context: Context, which: str) -> Path:
    """The array of a series as a folder: the very same bytes, for peers that read a folder faster than a ZIP file."""
    archive, series = sealed(context, which)
    name = f"unpacked-{which}"
    if name not in context.shared:
        folder = fresh(context.scratch / name)
        with zipfile.ZipFile(archive.root / series.generation) as file:
            file.extractall(folder)
        context.shared[name] = folder / "0"
    found: Path = context.shared[name]
    return found


def sync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def series_uid(archive: pacscore.Archive, **match: Any) -> str:
    """The UID of the one series that matches."""
    (found,) = archive.find("series", **match)
    uid: str = found["SeriesInstanceUID"]
    return uid
