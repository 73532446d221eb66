"""Our own rows: an archive for each strategy, used as anybody uses it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

import pacscore
from pacscore.bulk.storage_benchmark.cases import Case
from pacscore.bulk.storage_benchmark.ways import Box, Way
from pacscore.store.strategy import Strategy

OURS = "pacscore "


_open_archives: dict[Path, pacscore.Archive] = {}
_opening = threading.Lock()


def _archive(folder: Path) -> pacscore.Archive:
    """An archive, opened once in a process and kept, as a notebook or a node does; ``open`` measures the opening."""
    with _opening:
        if folder not in _open_archives:
            _open_archives[folder] = pacscore.open(folder, read_only=True)
        return _open_archives[folder]


def _forget(folder: Path) -> None:
    with _opening:
        archive = _open_archives.pop(folder, None)
    if archive is not None:
        archive.close()


class ArchivedVolume:
    """The one series of an archive."""

    def __init__(self, folder: Path) -> None:
        archive = _archive(folder)
        (row,) = archive.find("series")
        self._volume = archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"]).volume()

    @property
    def shape(self) -> tuple[int, ...]:
        """``(slices, rows, columns)``."""
        return self._volume.shape

    def read(self, box: Box) -> NDArray[Any]:
        """Stored values."""
        return self._volume.read_box(box)

    def close(self) -> None:
        """Nothing: the archive stays open."""


def archive_way(strategy: str) -> Way:
    """An archive of one strategy.

    Raises
    ------
    InputError
        There is no such strategy.
    """
    chosen = Strategy.named(strategy)

    def write(case: Case, folder: Path) -> None:
        with pacscore.create(folder, strategy=strategy) as archive:
            archive.ingest(case.folder)

    return Way(
        name=f"{OURS}{strategy}",
        what=f"archive, strategy {strategy}, format {chosen.format}",
        packages=("numcodecs", *(("h5py", "hdf5plugin") if chosen.format == "hdf5" else ())),
        write=write,
        open=ArchivedVolume,
        headers=_headers,
        forget=_forget,
        is_durable=True,
        keeps_originals=True,
    )


def _headers(folder: Path) -> list[str]:
    return sorted(row["SOPInstanceUID"] for row in _archive(folder).find("instance"))
