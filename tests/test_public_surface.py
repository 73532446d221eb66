"""The names users rely on, and what they cost to import (promise 12)."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pacscore

HEAVY = {
    "numba",
    "zarr",
    "dask",
    "pynetdicom",
    "pydicom",
    "sqlalchemy",
    "numpy",
    "numcodecs",
    "PIL",
    "imagecodecs",
    "tensorstore",
}
NAMES = [
    "AmbiguousError", "Archive", "DamagedError", "Image", "IngestReport", "Instance", "InvalidDicomError",
    "NotFoundError", "PacscoreError", "Receipt", "Selection", "Series", "Settings", "UndecodableError", "Volume",
    "__version__", "create", "open",
]  # fmt: skip


def test_the_public_names_are_a_decision() -> None:
    assert pacscore.__all__ == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(pacscore, name) is not None


def _loaded_after(code: str) -> set[str]:
    listing = f"import sys\n{code}\nprint(','.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    result = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    return set(result.stdout.strip().rsplit("\n", 1)[-1].split(","))


def test_importing_pacscore_loads_no_heavy_library() -> None:
    assert not _loaded_after("import pacscore") & HEAVY


def test_help_loads_no_heavy_library() -> None:
    code = "import pacscore.cli.app as m\ntry:\n    m.app(['--help'])\nexcept SystemExit: pass"
    assert not _loaded_after(code) & HEAVY


def test_find_loads_neither_numba_nor_zarr(tmp_path: object) -> None:
    code = (
        f"import pacscore\npacscore.create({str(tmp_path) + '/a'!r}).close()\n"
        f"archive = pacscore.open({str(tmp_path) + '/a'!r}, read_only=True)\n"
        "assert list(archive.find('series', Modality='CT')) == []"
    )
    assert not _loaded_after(code) & {"numba", "zarr", "dask"}
