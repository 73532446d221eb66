"""Rows about analytic reconstruction: FDK against RTK, filtered backprojection against ASTRA and scikit-image, helices.

A voxel update is one view added to one voxel. Rows per core divide by processor seconds of all threads, so they stand
also on a busy machine.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rows import Context, Measured, row
from timing import alternate, spread

from pacscore.imaging.arrays import Watch
from pacscore.recon import (
    ConeGeometry,
    FanGeometry,
    Filter,
    Grid,
    HelicalGeometry,
    ParallelGeometry,
    fbp,
    fdk,
    simulate,
    wfbp,
)
from pacscore.recon.cone_backprojection import Backprojection
from pacscore.recon.cone_scans import Scan

RADIUS = 120.0
TURN = 2 * np.pi


def cone_scan(size: int, views: int, *, even: bool = True) -> tuple[ConeGeometry, Grid]:
    """A full circle about a cube of ``size``, the detector half as wide again; angles without symmetry if not even."""
    columns = size * 3 // 2
    pitch = 2 * RADIUS * 1.13 * 1.5 / columns * 1.03
    numbers = np.arange(views) if even else np.arange(views) + 0.2 * np.sin(np.arange(views))
    geometry = ConeGeometry.circular(
        numbers * TURN / views, row_count=columns, column_count=columns, row_spacing_mm=pitch,
        column_spacing_mm=pitch, source_to_axis_mm=1000.0, source_to_detector_mm=1500.0,
    )  # fmt: skip
    return geometry, Grid((size, size, size), 2 * RADIUS * 1.02 / size)


def cpu_seconds(function: Callable[[], object], rounds: int) -> list[float]:
    """Processor seconds of each call after one not counted."""
    function()
    found = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return found


Prepared = tuple[Backprojection, NDArray[np.float32], NDArray[np.float32]]


def _prepared(context: Context, size: int, views: int, *, even: bool, symmetric: bool = True) -> Prepared:
    """How a scan is backprojected, its filtered views, and its projections."""
    key = f"prepared-{size}-{views}-{even}-{symmetric}"
    if key not in context.shared:
        geometry, grid = cone_scan(size, views, even=even)
        projections = simulate.shepp_logan(RADIUS).project(geometry)
        way = Backprojection.of(Scan.of(geometry, grid, Filter(), limited_angle=True), symmetric=symmetric)
        out = np.zeros((way.sets.shape[1], *way.view_shape), np.float32)
        way.filter_sets(projections, slice(0, way.sets.shape[1]), out, Watch())
        context.shared[key] = way, out, projections
    return context.shared[key]


def _backproject(way: Backprojection, filtered: NDArray[np.float32], lines: NDArray[np.float32]) -> None:
    way.add(filtered, slice(0, len(filtered)), lines, Watch())
    way.settle(lines, Watch())


def _rate(context: Context, size: int, views: int, *, even: bool) -> Measured:
    """The way that this scan takes; beside it, of uneven angles, that of voxels each for itself."""
    rates: dict[int, list[float]] = {}
    updates = size**3 * views / 1e9
    for symmetric in (True,) if even else (True, False):
        way, filtered, _ = _prepared(context, size, views, even=even, symmetric=symmetric)
        lines = np.zeros(way.lines_shape, np.float32)
        seconds = cpu_seconds(lambda: _backproject(way, filtered, lines), 2 if context.quick else 5)  # noqa: B023
        rates[way.lanes] = [updates / each for each in seconds]
        context.shared.pop(f"prepared-{size}-{views}-{even}-{symmetric}")
    best = max(rates)
    alone = f", {np.median(rates[1]):.3g} where none share" if 1 in rates else ""
    return Measured(*spread(rates[best]), f"{updates:.2f}e9 updates, {best} voxels share{alone}", len(rates[best]))


row("recon.fdk-general", must=1.4, aim=2.0, unit=" GUPS/core",
    what="FDK backprojection, 256³ from 360 × 384², general angles")(
    lambda context: _rate(context, 256, 96 if context.quick else 360, even=False)
)  # fmt: skip
row("recon.fdk-512", must=1.2, aim=1.7, unit=" GUPS/core",
    what="FDK backprojection, 512³ from 48 × 768², general angles")(
    lambda context: _rate(context, 512, 16 if context.quick else 48, even=False)
)  # fmt: skip
row("recon.fdk-symmetric", must=2.1, aim=3.5, unit=" GUPS/core",
    what="FDK backprojection, 256³ from 360 × 384², the way of equiangular full circles")(
    lambda context: _rate(context, 256, 96 if context.quick else 360, even=True)
)  # fmt: skip


class Rtk:
    """RTK on the same projections: its y is our z, its (z, x) our (x, y)."""

    def __init__(self, geometry: ConeGeometry, grid: Grid, projections: NDArray[np.float32]) -> None:
        import itk
        from itk import RTK

        self._itk, self._rtk, self._grid = itk, RTK, grid
        self._kind = itk.Image[itk.F, 3]
        self._geometry = RTK.ThreeDCircularProjectionGeometry.New()
        for angle in geometry.angles:
            self._geometry.AddProjection(1000.0, 1500.0, float(np.rad2deg(angle)), 0, 0, 0, 0, 0, 0)
        self.pitch = geometry.column_spacing_mm
        self._first = -(geometry.column_count - 1) / 2 * self.pitch
        self.projections = self.image(projections, (self.pitch, self.pitch, 1.0), (self._first, self._first, 0.0))
        self._size = projections.shape

    def image(self, values: NDArray[np.float32], spacing: Any, origin: Any) -> Any:
        """An image with its places."""
        image = self._itk.image_from_array(values)
        image.SetSpacing(spacing)
        image.SetOrigin(origin)
        return image

    def volume(self, values: NDArray[np.float32]) -> Any:
        """Our (z, y, x) as RTK has it: (y, x, z) reversed to its own axes."""
        step = float(self._grid.steps_mm[0])
        first = -(self._grid.shape[0] - 1) / 2 * step
        return self.image(np.ascontiguousarray(values.transpose(2, 0, 1)), (step,) * 3, (first,) * 3)

    def ours(self, image: Any) -> NDArray[np.float32]:
        """RTK's image in our axes."""
        found: NDArray[np.float32] = np.ascontiguousarray(self._itk.array_from_image(image).transpose(1, 2, 0))
        return found

    def empty(self) -> Any:
        """A volume of zeros."""
        step, count = float(self._grid.steps_mm[0]), self._grid.shape[0]
        source = self._rtk.ConstantImageSource[self._kind].New()
        source.SetOrigin([-(count - 1) / 2 * step] * 3)
        source.SetSpacing([step] * 3)
        source.SetSize([count] * 3)
        source.SetConstant(0.0)
        return _cut(source)

    def empty_projections(self) -> Any:
        """Projections of zeros."""
        source = self._rtk.ConstantImageSource[self._kind].New()
        source.SetOrigin([self._first, self._first, 0.0])
        source.SetSpacing([self.pitch, self.pitch, 1.0])
        source.SetSize(list(self._size[::-1]))
        source.SetConstant(0.0)
        return _cut(source)

    def fdk(self) -> Any:
        """The whole of it, without window and truncation correction."""
        method = self._rtk.FDKConeBeamReconstructionFilter[self._kind].New()
        method.SetInput(0, self.empty())
        method.SetInput(1, self.projections)
        method.SetGeometry(self._geometry)
        method.GetRampFilter().SetTruncationCorrection(0.0)
        method.GetRampFilter().SetHannCutFrequency(0.0)
        method.Update()
        return _cut(method)

    def run(self, name: str, first: Any, second: Any) -> Any:
        """A filter of two inputs and the geometry."""
        method = getattr(self._rtk, name)[self._kind, self._kind].New()
        method.SetInput(0, first)
        method.SetInput(1, second)
        method.SetGeometry(self._geometry)
        method.Update()
        return _cut(method)


def _cut(filter_object: Any) -> Any:
    """A filter's result by itself: it would vanish with the filter."""
    filter_object.Update()
    image = filter_object.GetOutput()
    image.DisconnectPipeline()
    return image


def _busy(function: Callable[[], object]) -> float:
    """Processor seconds of one call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def _rounds(context: Context) -> dict[str, int]:
    return {"rounds": 1, "warm": 1} if context.quick else {"rounds": 3, "warm": 1}


@row("recon.fdk-rtk", must=10, aim=16, peers=("itk-rtk",))
def against_rtk(context: Context) -> Measured:
    """FDK backprojection, 256³ from 360 × 384² (quick: 96), general angles, against RTK's."""
    way, filtered, projections = _prepared(context, 256, 96 if context.quick else 360, even=False)
    rtk = Rtk(way.scan.geometry, way.scan.grid, projections)
    lines = np.zeros(way.lines_shape, np.float32)
    run: dict[str, Callable[[], object]] = {
        "ours": lambda: _backproject(way, filtered, lines),
        "RTK": lambda: rtk.run("FDKBackProjectionImageFilter", rtk.empty(), rtk.projections),
    }
    timed = alternate(run, **_rounds(context))
    return Measured(*timed.ratio("RTK", "ours"), _seconds(timed, run), timed.rounds)


def _seconds(timed: Any, run: dict[str, Callable[[], object]]) -> str:
    walls = ", ".join(f"{name} {timed.median(name):.3g} s" for name in timed.seconds)
    busy = {name: _busy(run[name]) for name in ("RTK", "ours")}
    return f"{walls}; {busy['RTK'] / busy['ours']:.1f}× in processor seconds"


@row("recon.fdk-whole", must=18, aim=30, peers=("itk-rtk",))
def whole_against_rtk(context: Context) -> Measured:
    """FDK with its filter, 256³ from 360 × 384² (quick: 96), general angles, against RTK's."""
    geometry, grid = cone_scan(256, 96 if context.quick else 360, even=False)
    turned, _ = cone_scan(256, 96 if context.quick else 360)
    projections = simulate.shepp_logan(RADIUS).project(geometry)
    rtk = Rtk(geometry, grid, projections)
    run: dict[str, Callable[[], object]] = {
        "ours": lambda: fdk(projections, geometry, grid),
        "RTK": rtk.fdk,
        "ours, no voxels sharing": lambda: fdk(projections, geometry, grid, symmetric=False),
        "ours, even angles": lambda: fdk(projections, turned, grid),
    }
    timed = alternate(run, **_rounds(context))
    return Measured(*timed.ratio("RTK", "ours"), _seconds(timed, run), timed.rounds)


def _accuracy(context: Context) -> dict[str, float]:
    if "fdk-accuracy" not in context.shared:
        size, views = (96, 120) if context.quick else (192, 360)
        geometry, grid = cone_scan(size, views)
        phantom = simulate.shepp_logan(RADIUS)
        projections, truth = phantom.project(geometry), phantom.on_grid(grid, samples=2)
        rtk = Rtk(geometry, grid, projections)
        ours, theirs = fdk(projections, geometry, grid), rtk.ours(rtk.fdk())
        middle = np.s_[size // 2 - size // 20 : size // 2 + size // 20]
        flat = _flat(truth)[middle]
        errors = [float(np.sqrt(np.mean((each[middle] - truth[middle])[flat] ** 2))) for each in (ours, theirs)]
        context.shared["fdk-accuracy"] = {
            "rms": float(np.sqrt(np.mean((ours - theirs) ** 2))), "ours": errors[0], "theirs": errors[1],
        }  # fmt: skip
    return context.shared["fdk-accuracy"]


def _flat(truth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Voxels inside the object whose neighbourhood of 7 has one value."""
    from scipy import ndimage

    same = ndimage.maximum_filter(truth, 7) - ndimage.minimum_filter(truth, 7) < 1e-6
    return same & (np.abs(truth) > 0.01)


@row("recon.fdk-accuracy", must=5e-4, aim=2e-4, unit="", higher=False, peers=("itk-rtk",))
def accuracy(context: Context) -> Measured:
    """FDK: root mean square of the difference to RTK's volume, of a phantom of value 1."""
    value = _accuracy(context)["rms"]
    return Measured(value, value, value)


@row("recon.fdk-flat", must=1.01, aim=None, higher=False, peers=("itk-rtk", "scipy"))
def flat_error(context: Context) -> Measured:
    """FDK: error in flat regions about the middle plane as a multiple of RTK's."""
    found = _accuracy(context)
    value = found["ours"] / found["theirs"]
    return Measured(value, value, value, f"ours {found['ours']:.5f}, RTK {found['theirs']:.5f}")


@row("recon.fdk-memory", must=1.10, aim=1.05, unit=" × projections + volume", higher=False)
def memory(context: Context) -> Measured:
    """FDK: peak memory, of projections and result together, 256³ from 360 × 384²."""
    few, small = cone_scan(16, 8)
    fdk(np.zeros(few.shape, np.float32), few, small)  # What compiling and importing allocate is not of the method.
    geometry, grid = cone_scan(256, 360)
    least = 4 * (np.prod(geometry.shape) + np.prod(grid.shape))
    tracemalloc.start()
    try:
        projections = np.zeros(geometry.shape, np.float32)
        fdk(projections, geometry, grid)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return Measured(peak / least, peak / least, peak / least, f"{peak / 2**20:.0f} MiB")


SLICES, WIDTH, VIEWS = 32, 512, 720


def stack_scan(kind: str, rows: int) -> tuple[Any, Grid]:
    """720 views of 512 columns about 512² pixels of 1 mm."""
    grid = Grid((rows, WIDTH, WIDTH), 1.0)
    if kind == "parallel":
        return ParallelGeometry(np.arange(VIEWS) * np.pi / VIEWS, WIDTH, row_count=rows), grid
    pitch = 1.5 * 1.05 * 1.02
    return FanGeometry(np.arange(VIEWS) * TURN / VIEWS, WIDTH, pitch, 1000.0, 1500.0, row_count=rows), grid


class Astra:
    """ASTRA on one slice with one of its CPU projectors."""

    def __init__(self, kind: str, sinogram: NDArray[np.float32]) -> None:
        import astra

        self._astra = astra
        angles = np.arange(VIEWS) * np.pi / VIEWS
        geometry = astra.create_proj_geom("parallel", 1.0, WIDTH, angles)
        self._projector = astra.create_projector(kind, geometry, astra.create_vol_geom(WIDTH, WIDTH))
        self._sinogram = astra.data2d.create("-sino", geometry, sinogram)
        self._volume = astra.data2d.create("-vol", astra.create_vol_geom(WIDTH, WIDTH), 0.0)

    def run(self, algorithm: str, iterations: int = 1) -> NDArray[np.float32]:
        """FBP, FP, BP or SIRT."""
        configuration = self._astra.astra_dict(algorithm)
        configuration["ProjectorId"] = self._projector
        configuration["ProjectionDataId"] = self._sinogram
        configuration["VolumeDataId" if algorithm == "FP" else "ReconstructionDataId"] = self._volume
        number = self._astra.algorithm.create(configuration)
        self._astra.algorithm.run(number, iterations)
        self._astra.algorithm.delete(number)
        found: NDArray[np.float32] = self._astra.data2d.get(self._sinogram if algorithm == "FP" else self._volume)
        return found


def _stack(context: Context, kind: str, rows: int) -> tuple[Any, Grid, NDArray[np.float32]]:
    key = f"stack-{kind}"
    if key not in context.shared:
        geometry, _ = stack_scan(kind, 1)
        context.shared[key] = simulate.shepp_logan(WIDTH / 2 * 0.98).cylinders().project(geometry)
    geometry, grid = stack_scan(kind, rows)
    return geometry, grid, np.repeat(context.shared[key], rows, axis=1)


def _per_slice(context: Context, kind: str, rows: int, peer: str) -> Measured:
    geometry, grid, projections = _stack(context, kind, rows)
    _, _, single = _stack(context, "parallel", 1)
    if peer == "ASTRA":
        other: Callable[[], Any] = lambda: Astra("linear", single[:, 0]).run("FBP")  # noqa: E731
    else:
        from skimage.transform import iradon

        degrees = np.arange(VIEWS) * 180.0 / VIEWS
        other = lambda: iradon(single[:, 0].T, theta=degrees, circle=True, output_size=WIDTH)  # noqa: E731
    if kind == "parallel" and peer == "ASTRA":
        ours = fbp(projections[:, :1], stack_scan(kind, 1)[0], stack_scan(kind, 1)[1])[0]
        difference = np.sqrt(np.mean((ours - other()[::-1]) ** 2))
        assert difference < 0.03, f"ASTRA's slice differs by {difference}"
    timed = alternate(
        {"ours": lambda: fbp(projections, geometry, grid), peer: other}, rounds=3 if context.quick else 7, warm=1
    )
    middle, low, high = (each * rows for each in timed.ratio(peer, "ours"))
    detail = f"ours {timed.median('ours') / rows * 1e3:.1f} ms, {peer} {timed.median(peer) * 1e3:.0f} ms a slice"
    return Measured(middle, low, high, detail, timed.rounds)


row("recon.fbp-stack", must=30, aim=50, peers=("astra-toolbox",),
    what="FBP 512² × 720, parallel, a slice of a stack of 32, against ASTRA's CPU linear")(
    lambda context: _per_slice(context, "parallel", SLICES, "ASTRA")
)  # fmt: skip
row("recon.fbp-fan", must=30, aim=50, peers=("astra-toolbox",),
    what="FBP 512² × 720, fan, a slice of a stack of 32, against ASTRA's CPU linear of parallel beams")(
    lambda context: _per_slice(context, "fan", SLICES, "ASTRA")
)  # fmt: skip
row("recon.fbp-iradon", must=50, aim=85, peers=("scikit-image",),
    what="FBP 512² × 720, parallel, a slice of a stack of 32, against iradon")(
    lambda context: _per_slice(context, "parallel", SLICES, "iradon")
)  # fmt: skip
row("recon.fbp-slice", must=9, aim=15, peers=("astra-toolbox",),
    what="FBP 512² × 720, parallel, one slice alone, against ASTRA's CPU linear")(
    lambda context: _per_slice(context, "parallel", 1, "ASTRA")
)  # fmt: skip


def _helix(rows: int, turns: float, size: int, slices: int) -> tuple[HelicalGeometry, Grid]:
    views = 984
    pitch = rows * 1.0
    geometry = HelicalGeometry(
        np.arange(round(views * turns)) * TURN / views, pitch, rows, 640, 1.8, 1.3, 570.0, 1026.0,
        start_z_lps=-pitch * turns / 2,
    )  # fmt: skip
    return geometry, Grid((slices, size, size), (1.0, 0.9, 0.9))


@row("recon.helical", must=1.5, aim=0.75, unit=" s per 1e9 updates", higher=False)
def helical(context: Context) -> Measured:
    """Helical WFBP, 64 rows, pitch 1, 984 views a turn, grid covering the scan: seconds per 1e9 updates."""
    geometry, grid = _helix(64, 3.0, 256, 128) if context.quick else _helix(64, 4.5, 320, 224)
    projections = np.random.default_rng(0).random(geometry.shape, np.float32)
    updates = np.prod(grid.shape) * 984 / 1e9
    wfbp(projections[:700], HelicalGeometry(geometry.angles[:700], 64.0, 64, 640, 1.8, 1.3, 570.0, 1026.0),
         Grid((2, 8, 8), 1.0))  # fmt: skip
    found, busy = [], []
    for _ in range(1 if context.quick else 3):
        start, cpu = time.perf_counter(), time.process_time()
        wfbp(projections, geometry, grid)
        found.append((time.perf_counter() - start) / updates)
        busy.append((time.process_time() - cpu) / updates)
    return Measured(*spread(found), f"{np.median(busy):.2f} processor seconds per 1e9", len(found))


@row("recon.helical-hu", must=2.0, aim=1.0, unit=" HU", higher=False, peers=("scipy",))
def helical_error(context: Context) -> Measured:
    """Helical WFBP: error in flat regions of a water phantom with inserts, root mean square."""
    geometry, grid = _helix(32, 5.0, 200, 40)
    phantom = simulate.Phantom(
        [1000.0, 60.0, -50.0, 40.0], [[0, 0, 0], [30, 0, 5], [-30, 15, -10], [10, -40, 0]],
        [[80, 75, 500], [14, 14, 14], [12, 12, 12], [12, 12, 40]],
    )  # fmt: skip
    truth = phantom.on_grid(grid, samples=2)
    error = (wfbp(phantom.project(geometry), geometry, grid) - truth)[_flat(truth)]
    value = float(np.sqrt(np.mean(error**2)))
    return Measured(value, value, value, f"mean {error.mean():.2f} HU, greatest {np.abs(error).max():.1f} HU")
