"""What ``pacscore warm`` covers, and that nothing is compiled which is not used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pacscore import kernels
from pacscore.imaging.warming import WARM_CALLS
from pacscore.kernels import (
    blocks,
    components,
    compositing,
    contrast,
    denoise,
    display,
    edges,
    laplacian_pyramid,
    line_spans,
    median,
    met_chunks,
    pointwise,
    rank,
    rays,
    reduce,
    regions,
    regrid,
    runs,
    sample_cubic,
    sample_lines,
    sample_nearest,
    smooth,
    statistics,
)
from pacscore.kernels._compile import Kernel

MODULES = (
    blocks, components, compositing, contrast, denoise, display, edges, laplacian_pyramid, line_spans, median,
    met_chunks, pointwise, rank, rays, reduce, regions, regrid, runs, sample_cubic, sample_lines, sample_nearest,
    smooth, statistics,
)  # fmt: skip
ELSEWHERE = {
    "chunks", "compare", "file_meta", "fragments", "gradient", "heads", "pixels", "select", "shards",
    "unchecked_bytes", "walk",
}  # fmt: skip
"""What the archive calls: warmed by running one."""
TOMOGRAPHY = {
    "backproject", "backproject_mirrored", "ellipsoids", "helical", "joseph", "joseph_cone", "joseph_tilted", "ramp",
    "resample_views", "variation",
}  # fmt: skip
"""Warmed by ``recon.tomography_warming``: tests/recon/test_tomography_warming.py."""
RECONSTRUCTION = {"mr_coils", "mr_transforms", "mr_wavelets"}
"""Warmed by tables of its own, of which the tests of reconstruction say that they are whole."""


def _kernels(module) -> list[Kernel]:
    own = [each for each in vars(module).values() if isinstance(each, Kernel) and each.__module__ == module.__name__]
    # Rows within a tile of non-local means are no entries: their tile is.
    return [each for each in own if each.__name__.endswith("_into") and not each.__name__.endswith("_row_into")]


def test_every_module_of_kernels_is_warmed_by_a_family_or_by_the_archive() -> None:
    names = {path.stem for path in Path(str(kernels.__file__)).parent.glob("[a-z]*.py")}
    known = {module.__name__.rsplit(".")[-1] for module in MODULES}
    assert names == known | ELSEWHERE | TOMOGRAPHY | RECONSTRUCTION


def test_the_table_names_each_family_once() -> None:
    names = [name for name, _ in WARM_CALLS]
    assert len(set(names)) == len(names) >= 3


def test_warming_calls_every_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    called, plain = set(), Kernel.__call__

    def watched(self, *values, **names):
        called.add((self.__module__, self.__name__))
        return plain(self, *values, **names)

    monkeypatch.setattr(Kernel, "__call__", watched)
    for _, call in WARM_CALLS:
        call()
    wanted = {(each.__module__, each.__name__) for module in MODULES for each in _kernels(module)}
    assert wanted - called == set()


def test_a_call_compiles_its_own_kernel_and_no_other(tmp_path: Path) -> None:
    code = "import numpy as np\nfrom pacscore.imaging import arrays\narrays.project_axis(np.ones((2, 3, 4)), 0)"
    subprocess.run(
        [sys.executable, "-c", code], check=True, env=os.environ | {"PACSCORE_KERNEL_CACHE": str(tmp_path)}
    )  # fmt: skip
    kept = {path.name.split("-")[0] for path in tmp_path.rglob("*.nbi")}
    assert kept == {"reduce.fold_maximum_into"}
