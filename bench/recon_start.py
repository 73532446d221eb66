"""Rows about starting: what compiling a family of reconstruction costs, and loading it from the cache.

Processor seconds: one thread compiles, and other jobs must not count.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rows import Context, Measured, row
from timing import spread

_CALL = """
import time
import numba, numpy
from numba import njit
from pacscore import recon
from pacscore.recon import simulate
import pacscore.imaging.arrays
start = time.process_time()
geometry = recon.ConeGeometry.circular(
    numpy.arange(8) * numpy.pi / 4, row_count=8, column_count=8, row_spacing_mm=1.0, column_spacing_mm=1.0,
    source_to_axis_mm=50.0, source_to_detector_mm=80.0,
)
grid = recon.Grid((8, 8, 8), 0.5)
projections = numpy.ones(geometry.shape, numpy.float32)
recon.fdk(projections, geometry, grid, symmetric=SYMMETRIC)
print(time.process_time() - start)
"""


def _seconds(folder: str, symmetric: bool) -> float:
    code = _CALL.replace("SYMMETRIC", str(symmetric))
    root = str(Path(__file__).resolve().parents[1])
    environment = os.environ | {"PACSCORE_KERNEL_CACHE": folder, "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    return float(done.stdout)


@row("recon.cold", must=4.0, aim=2.0, unit=" s", higher=False)
def cold(context: Context) -> Measured:
    """FDK on a cold cache: compiling its filter and backprojection."""
    found = []
    for _ in range(1 if context.quick else 3):
        with tempfile.TemporaryDirectory() as folder:
            found.append(_seconds(folder, symmetric=False))
    return Measured(*spread(found), rounds=len(found))


@row("recon.start", must=0.6, aim=0.3, unit=" s", higher=False)
def warm(context: Context) -> Measured:
    """FDK in a new process with a warm cache, beyond importing Numba."""
    with tempfile.TemporaryDirectory() as folder:
        _seconds(folder, symmetric=False)
        found = [_seconds(folder, symmetric=False) for _ in range(2 if context.quick else 5)]
    return Measured(*spread(found), rounds=len(found))
