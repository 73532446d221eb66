"""An archive of several kinds of series, and selections made by hand for what opens none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import pacscore
from pacscore import Selection
from pacscore.archive.selection import SelectedSeries

SERIES = ("sts003-pet", "ct-liver-23x38x3", "mr-t1-rle-4", "mr-asl-multiphase-philips", "mr-rgb-4")


@pytest.fixture(scope="package")
def archive_folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bulk") / "archive"
    with pacscore.create(folder) as archive:
        archive.ingest(*(data / "series" / name for name in SERIES))
    return folder


@pytest.fixture(scope="package")
def selection(archive_folder: Path) -> Selection:
    with pacscore.open(archive_folder, read_only=True) as archive:
        return archive.select()


@pytest.fixture(scope="package")
def of_items(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Selection]:
    """Selections of an empty archive: for functions that take the item alone."""
    folder = tmp_path_factory.mktemp("empty") / "archive"
    pacscore.create(folder).close()

    def made(count: int) -> Selection:
        with pacscore.open(folder, read_only=True) as archive:
            none = archive.select()
        items = tuple(SelectedSeries(f"1.{n // 3}", f"1.9.{n}", f"P{n // 7}", "") for n in range(count))
        return Selection(none.archive, none.archive_id, "series", (), items)

    return made
