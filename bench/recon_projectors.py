"""Rows about projectors and iterations: planes against ASTRA's CPU code, cones against RTK's Joseph."""

from __future__ import annotations

import numpy as np
from recon_tomography import SLICES, VIEWS, WIDTH, Astra, Rtk, cone_scan, stack_scan
from rows import Context, Measured, row
from timing import alternate

from pacscore.recon import Projector, sirt


def _planar(context: Context, which: str) -> Measured:
    geometry, grid = stack_scan("parallel", SLICES)
    operator = Projector(geometry, grid)
    image = np.random.default_rng(0).random((WIDTH, WIDTH), np.float32)
    volume = np.repeat(image[None], SLICES, axis=0)
    projections = operator @ volume
    native = operator.native_volume(volume), operator.native_projections(projections)
    out = operator.new_volume(), operator.new_projections()
    peer = Astra("line", np.ascontiguousarray(projections[:, 0]))
    run = {
        "forward": (lambda: operator.forward(native[0], out=out[1]), lambda: peer.run("FP")),
        "adjoint": (lambda: operator.adjoint(native[1], out=out[0]), lambda: peer.run("BP")),
    }[which]
    timed = alternate({"ours": run[0], "ASTRA": run[1]}, rounds=3 if context.quick else 7, warm=1)
    middle, low, high = (each * SLICES for each in timed.ratio("ASTRA", "ours"))
    detail = f"ours {timed.median('ours') / SLICES * 1e3:.1f} ms, ASTRA {timed.median('ASTRA') * 1e3:.0f} ms a slice"
    return Measured(middle, low, high, detail, timed.rounds)


for _which in ("forward", "adjoint"):
    row(f"recon.planar-{_which}", must=25, aim=45, peers=("astra-toolbox",),
        what=f"2-D {_which}, 512² × 720, a slice of 32, against ASTRA's CPU line projector")(
        lambda context, which=_which: _planar(context, which)
    )  # fmt: skip


@row("recon.sirt", must=25, aim=40, peers=("astra-toolbox",))
def iteration(context: Context) -> Measured:
    """A SIRT iteration, 512² × 720, a slice of 32, all in, against ASTRA's CPU SIRT with its linear projector."""
    geometry, grid = stack_scan("parallel", SLICES)
    operator = Projector(geometry, grid)
    projections = operator @ np.random.default_rng(0).random(grid.shape, np.float32)
    peer = Astra("linear", np.ascontiguousarray(projections[:, 0]))
    few, many = 1, 3
    timed = alternate(
        {
            "ours few": lambda: sirt(projections, operator, iterations=few),
            "ours many": lambda: sirt(projections, operator, iterations=many),
            "ASTRA few": lambda: peer.run("SIRT", few),
            "ASTRA many": lambda: peer.run("SIRT", many),
        },
        rounds=2 if context.quick else 5,
        warm=1,
    )
    ours, theirs = (timed.median(f"{name} many") - timed.median(f"{name} few") for name in ("ours", "ASTRA"))
    value = theirs / ours * SLICES
    detail = f"ours {ours / 2 / SLICES * 1e3:.1f} ms, ASTRA {theirs / 2 * 1e3:.0f} ms a slice"
    return Measured(value, value, value, detail, timed.rounds)


def _cone(context: Context, which: str) -> Measured:
    geometry, grid = cone_scan(256, 20 if context.quick else 60)
    operator = Projector(geometry, grid)
    volume = np.random.default_rng(0).random(grid.shape, np.float32)
    native = operator.native_volume(volume)
    projections = operator.forward(native)
    rtk = Rtk(geometry, grid, operator.projections_of(projections))
    theirs = rtk.volume(volume)
    out = operator.new_volume()
    run = {
        "forward": (
            lambda: operator.forward(native, out=projections),
            lambda: rtk.run("JosephForwardProjectionImageFilter", rtk.empty_projections(), theirs),
        ),
        "adjoint": (
            lambda: operator.adjoint(projections, out=out),
            lambda: rtk.run("JosephBackProjectionImageFilter", rtk.empty(), rtk.projections),
        ),
    }[which]
    timed = alternate({"ours": run[0], "RTK": run[1]}, rounds=1 if context.quick else 3, warm=1)
    detail = f"ours {timed.median('ours'):.2f} s, RTK {timed.median('RTK'):.2f} s"
    return Measured(*timed.ratio("RTK", "ours"), detail, timed.rounds)


row("recon.cone-forward", must=7, aim=12, peers=("itk-rtk",),
    what="cone forward projection, 256³ to 60 × 384² (quick: 20), against RTK's Joseph")(
    lambda context: _cone(context, "forward")
)  # fmt: skip
row("recon.cone-adjoint", must=7, aim=14, peers=("itk-rtk",),
    what="cone adjoint, 256³ from 60 × 384² (quick: 20), against RTK's Joseph")(
    lambda context: _cone(context, "adjoint")
)  # fmt: skip


@row("recon.cone-equal", must=1e-5, aim=None, unit="", higher=False, peers=("itk-rtk",))
def equal(context: Context) -> Measured:
    """Cone forward projection: relative difference to RTK's Joseph on a ball with a wave, and the adjoint's."""
    geometry, grid = cone_scan(64, 12)
    operator = Projector(geometry, grid)
    g = np.arange(64) - 31.5
    ball = (g[:, None, None] / 0.8) ** 2 + (g[None, :, None] / 0.6) ** 2 + (g / 0.7) ** 2 < 32**2
    volume = (ball * (1 + 0.2 * np.sin(g / 9))[None, :, None]).astype(np.float32)
    ours = operator @ volume
    rtk = Rtk(geometry, grid, ours)
    theirs = rtk.run("JosephForwardProjectionImageFilter", rtk.empty_projections(), rtk.volume(volume))
    found = rtk._itk.array_from_image(theirs)
    value = float(np.linalg.norm(found - ours) / np.linalg.norm(ours))
    chance = np.random.default_rng(0)
    x, y = chance.random(grid.shape, np.float32), chance.random(geometry.shape, np.float32)
    forward = float(np.sum((operator @ x).astype(np.float64) * y))
    back = float(np.sum((operator.T @ y).astype(np.float64) * x))
    return Measured(value, value, value, f"adjoint to {abs(forward - back) / forward:.1e}; {VIEWS} views elsewhere")
