"""Tomography compiled for a processor without AVX2 gives what it gives here."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

_CODE = """
import sys
import numpy as np
from pacscore import recon
from pacscore.recon import simulate

phantom = simulate.spheres(10.0, count=5)
turn = np.arange(16) * np.pi / 8
cone = recon.ConeGeometry.circular(
    turn, row_count=20, column_count=24, row_spacing_mm=2.0, column_spacing_mm=2.0, source_to_axis_mm=60.0,
    source_to_detector_mm=90.0,
)
found = {}
for name, shape, geometry in (
    ("eight", (16, 18, 18), cone), ("two", (16, 18, 17), cone), ("one", (15, 18, 18), cone),
    ("tilted", (16, 18, 18), recon.ConeGeometry.circular(
        turn, row_count=20, column_count=24, row_spacing_mm=2.0, column_spacing_mm=2.0, source_to_axis_mm=60.0,
        source_to_detector_mm=90.0, tilt_rad=0.1)),
):
    found[name] = recon.fdk(phantom.project(geometry), geometry, recon.Grid(shape, 1.2))
for rows in (1, 5):
    planar = recon.ParallelGeometry(turn / 2, 24, row_count=rows)
    found[f"planar {rows}"] = recon.fbp(phantom.project(planar), planar)
helix = recon.HelicalGeometry(np.arange(60) * np.pi / 8, 8.0, 12, 24, 2.0, 2.0, 60.0, 90.0, start_z_lps=-15.0)
found["helix"] = recon.wfbp(phantom.project(helix), helix, recon.Grid((6, 12, 12), 1.5))
planes, grid = recon.ParallelGeometry(turn / 2, 24, row_count=8), recon.Grid((8, 16, 16), 1.0)
for name, geometry in (("planes", planes), ("cone", cone)):
    projector = recon.Projector(geometry, grid)
    found[f"forward {name}"] = projector @ phantom.on_grid(grid)
    found[f"adjoint {name}"] = projector.T @ phantom.project(geometry)
np.savez(sys.argv[1], **found)
"""


def _run(path: Path, cache: Path, **environment: str) -> dict[str, np.ndarray]:
    subprocess.run(
        [sys.executable, "-c", _CODE, str(path)], check=True,
        env=os.environ | {"PACSCORE_KERNEL_CACHE": str(cache)} | environment,
    )  # fmt: skip
    with np.load(path) as file:
        return dict(file)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="names an Intel processor (until 2027-12-31)")
def test_a_processor_without_avx2_gives_the_same(tmp_path: Path) -> None:
    """LLVM's plain x86-64: vectors of 128 bits, no fused multiplication."""
    here = _run(tmp_path / "here.npz", tmp_path / "cache-here")
    plain = _run(
        tmp_path / "plain.npz", tmp_path / "cache-plain", NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="+sse2"
    )  # fmt: skip
    assert here.keys() == plain.keys()
    for name, values in here.items():
        assert np.abs(plain[name] - values).max() < 1e-5 * max(1.0, float(np.abs(values).max())), name
