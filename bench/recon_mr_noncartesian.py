"""Rows of non-Cartesian magnetic resonance against raw plans of finufft, and how families of kernels start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from recon_mr import COILS, SHAPE, rounds_of, scan, times_of
from rows import Context, Measured, row
from timing import alternate

from pacscore import recon


def _noise(shape: tuple[int, ...]) -> NDArray[np.complex64]:
    random = np.random.default_rng(0)
    return (random.standard_normal(shape) + 1j * random.standard_normal(shape)).astype(np.complex64)


def _plans(trajectory: recon.Trajectory, count: int) -> tuple[Any, Any]:
    import finufft

    plans = []
    for kind, sign in ((1, 1), (2, -1)):
        plan = finufft.Plan(kind, SHAPE, n_trans=count, eps=1e-4, isign=sign, dtype="complex64", nthreads=2)
        scaled = (2 * np.pi * trajectory.points / np.array(SHAPE)).astype(np.float32)
        plan.setpts(*(np.ascontiguousarray(axis) for axis in scaled.T))
        plans.append(plan)
    return plans[0], plans[1]


def _transform_against_plan(context: Context, kind: int) -> Measured:
    trajectory = recon.Trajectory.radial(SHAPE, 1954, samples=512, golden_angle=True)
    spread, gather = _plans(trajectory, 1)
    transform = recon.NonuniformFourier(trajectory)
    image = _noise((1, *SHAPE))
    samples = transform.forward(image)
    scale = np.float32(1 / 256)
    if kind == 2:
        ours, theirs = (lambda: transform.forward(image)), (lambda: gather.execute(image[0]))
    else:
        flat = samples.reshape(-1)
        ours, theirs = (lambda: transform.adjoint(samples)), (lambda: spread.execute(flat))
    wanted = theirs() * scale
    assert np.linalg.norm(ours().reshape(wanted.shape) - wanted) < 1e-5 * np.linalg.norm(wanted)
    timed = alternate({"ours": ours, "plan": theirs}, rounds=5 if context.quick else 21)
    return Measured(*timed.ratio("ours", "plan"), times_of(timed), timed.rounds)


for _kind, _name in ((1, "adjoint"), (2, "forward")):
    row(
        f"recon.mr-nufft-{_name}", must=1.10, aim=1.03, higher=False, peers=("finufft",),
        what=f"the {_name} transform of 1e6 radial samples, 256², as a multiple of a raw finufft plan's time",
    )(lambda context, kind=_kind: _transform_against_plan(context, kind))  # fmt: skip


def _iteration(context: Context, spokes: int) -> Measured:
    trajectory = recon.Trajectory.radial(SHAPE, spokes, samples=512, golden_angle=True)
    maps, image = scan()[1], _noise(SHAPE)
    operator = recon.NonCartesianSense(maps, trajectory)
    spread, gather = _plans(trajectory, COILS)
    conjugate = maps.conj()

    def pair() -> NDArray[Any]:
        return (conjugate * spread.execute(gather.execute(maps * image))).sum(axis=0)

    wanted = pair() / np.float32(256 * 256)
    assert np.linalg.norm(operator.normal(image) - wanted) < 1e-3 * np.linalg.norm(wanted)
    timed = alternate({"ours": lambda: operator.normal(image), "pair": pair}, rounds=rounds_of(context))
    return Measured(*timed.ratio("pair", "ours"), times_of(timed), timed.rounds)


for _spokes, _text, _must, _aim in ((200, "1e5", 2.2, 3.5), (1954, "1e6", 18.0, 30.0)):
    row(
        f"recon.mr-toeplitz-{_text}", must=_must, aim=_aim, peers=("finufft",),
        what=f"an iteration of radial CG-SENSE, 8 coils 256², {_text} samples, against the pair of finufft plans",
    )(lambda context, spokes=_spokes: _iteration(context, spokes))  # fmt: skip


_START = """
import json, sys, time
import numba, numpy, scipy.fft, scipy.linalg
sys.path.insert(0, {root!r})
from pacscore import recon
from pacscore.recon import kspace_phantoms
shape = (64, 64)
maps = kspace_phantoms.coil_maps(2, shape)
kspace = recon.centred_fft(maps)
started = time.process_time()
recon.reconstruct_rss(kspace)
recon.SenseOperator(maps, numpy.eye(64)).normal(maps[0])
planes = time.process_time() - started
started = time.process_time()
recon.espirit_maps(kspace, calibration=12)
recon.sense(kspace, maps, stopping=recon.Stopping(2, 0.0))
coils = time.process_time() - started
started = time.process_time()
recon.compressed_sensing(kspace, maps, 0.1, stopping=recon.Stopping(2, 0.0))
recon.compressed_sensing(kspace, maps, 0.1, penalty="total variation", stopping=recon.Stopping(2, 0.0))
print(json.dumps([planes, coils, time.process_time() - started]))
"""


def _starts(context: Context, *, cold: bool) -> Measured:
    """The slowest of the three families of kernels, as ``pacscore warm`` has them: processor time, as in other rows."""
    root = str(Path(__file__).resolve().parents[1])
    slowest = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(3 if cold or context.quick else 6):
            cache = Path(folder) / (str(number) if cold else "kept")
            done = subprocess.run(
                [sys.executable, "-c", _START.format(root=root)], capture_output=True, text=True, check=True,
                env={**os.environ, "PACSCORE_KERNEL_CACHE": str(cache)},
            )  # fmt: skip
            slowest.append(max(json.loads(done.stdout)))
    counted = sorted(slowest if cold else slowest[1:])
    return Measured(counted[len(counted) // 2], counted[0], counted[-1], "", len(counted))


row("recon.mr-compile", must=4.0, aim=2.0, unit=" s", higher=False, what="compiling a family of kernels, cold")(
    lambda context: _starts(context, cold=True)
)
row("recon.mr-start", must=0.6, aim=0.3, unit=" s", higher=False, what="a family's first use with compiled kernels")(
    lambda context: _starts(context, cold=False)
)
