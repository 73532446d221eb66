"""Rows about planes, slabs and grids of the made CT, 208 × 512 × 512 int16, against SimpleITK, VTK and SciPy.

The plane is double oblique, 512 × 512 pixels of 0.5 mm through the middle. Results agree before anything is timed:
within 1e-3 of the value range, but for a few pixels at borders, where each library has its own rule. Both sides use two
threads; the ratio with one thread on both sides is a row of its own or stands in the remarks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rows import Context, Measured, row
from sealed import sealed
from timing import alternate

from pacscore.imaging import arrays
from pacscore.imaging.volume import Volume

PIXELS, PIXEL_MM, BACKGROUND = 512, 0.5, -1024
DEPTHS, DEPTH_MM = 11, 1.0
GRID_MM = 0.8
_EVERY = 16
Calls = Mapping[str, Callable[[int], Any]]


def _turn(axis: int, angle_deg: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turn = np.eye(3)
    first, second = ((1, 2), (0, 2), (0, 1))[axis]
    turn[first, first] = turn[second, second] = cosine
    turn[first, second], turn[second, first] = -sine, sine
    return turn


class Scene:
    """The array, its spacing, and the plane, in (slice, row, column) millimetres from the first voxel."""

    def __init__(self, context: Context) -> None:
        _, series = sealed(context, "made")
        self.volume: Volume = series.volume()
        self.array = self.volume.array()
        self.spacing = np.linalg.norm(self.volume.index_to_lps[:3, :3], axis=0)
        turn = _turn(1, 35) @ _turn(0, 30) @ _turn(2, 20)
        self.normal, self.down, self.right = turn.T
        self.center = (np.array(self.array.shape) - 1) / 2 * self.spacing
        self.limit = 1e-3 * float(np.ptp(self.array))

    def origin(self, depths: int) -> NDArray[np.float64]:
        reach = PIXEL_MM * (PIXELS - 1) / 2
        return self.center - (self.down + self.right) * reach - self.normal * DEPTH_MM * (depths - 1) / 2

    def lines(self, depths: int) -> NDArray[np.float64]:
        return arrays.plane_lines(
            self.origin(depths) / self.spacing,
            row_step=self.down * PIXEL_MM / self.spacing,
            column_step=self.right * PIXEL_MM / self.spacing,
            depth_step=self.normal * DEPTH_MM / self.spacing,
            rows=PIXELS,
        )

    def image(self, array: NDArray[Any]) -> Any:
        import SimpleITK

        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing(self.spacing[::-1].tolist())
        return image

    def simpleitk(self, image: Any, interpolator: str, depths: int, threads: int) -> Any:
        import SimpleITK

        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
        resample = SimpleITK.ResampleImageFilter()
        resample.SetInterpolator(getattr(SimpleITK, interpolator))
        resample.SetDefaultPixelValue(BACKGROUND)
        resample.SetSize([PIXELS, PIXELS, depths])
        resample.SetOutputSpacing([PIXEL_MM, PIXEL_MM, DEPTH_MM])
        axes = np.stack([self.right[::-1], self.down[::-1], self.normal[::-1]], axis=1)
        resample.SetOutputDirection(axes.ravel().tolist())
        resample.SetOutputOrigin(self.origin(depths)[::-1].tolist())
        return resample.Execute(image)

    def vtk(self, interpolation: str, *, threads: int, slab: str = "") -> Any:
        import vtk
        from vtk.util import numpy_support

        data = vtk.vtkImageData()
        data.SetDimensions(*self.array.shape[::-1])
        data.SetSpacing(*self.spacing[::-1].tolist())
        words = numpy_support.numpy_to_vtk(self.array.reshape(-1), deep=0, array_type=vtk.VTK_SHORT)
        data.GetPointData().SetScalars(words)
        reslice, axes = vtk.vtkImageReslice(), vtk.vtkMatrix4x4()
        reslice.SetInputData(data)
        for column, vector in enumerate((self.right, self.down, self.normal, self.center)):
            for line, value in enumerate(vector[::-1].tolist()):
                axes.SetElement(line, column, value)
        reslice.SetResliceAxes(axes)
        reslice.SetOutputDimensionality(2)
        reslice.SetOutputSpacing(PIXEL_MM, PIXEL_MM, DEPTH_MM)
        reach = -PIXEL_MM * (PIXELS - 1) / 2
        reslice.SetOutputOrigin(reach, reach, 0)
        reslice.SetOutputExtent(0, PIXELS - 1, 0, PIXELS - 1, 0, 0)
        getattr(reslice, f"SetInterpolationModeTo{interpolation}")()
        reslice.SetBackgroundLevel(BACKGROUND)
        reslice.SetEnableSMP(False)  # Else it would not keep to the number of threads.
        reslice.SetNumberOfThreads(threads)
        if slab:
            reslice.SetSlabNumberOfSlices(DEPTHS)
            getattr(reslice, f"SetSlabModeTo{slab}")()
            reslice.SetSlabSliceSpacingFraction(1.0)
        return reslice


def _scene(context: Context) -> Scene:
    if "sampling" not in context.shared:
        context.shared["sampling"] = Scene(context)
    found: Scene = context.shared["sampling"]
    return found


def _run_vtk(reslice: Any) -> NDArray[Any]:
    from vtk.util import numpy_support

    reslice.Modified()
    reslice.Update()
    scalars = reslice.GetOutput().GetPointData().GetScalars()
    return numpy_support.vtk_to_numpy(scalars).reshape(PIXELS, PIXELS)


def _vtk_calls(scene: Scene, interpolation: str, slab: str = "") -> Callable[[int], NDArray[Any]]:
    made = {threads: scene.vtk(interpolation, threads=threads, slab=slab) for threads in (1, 2)}
    return lambda threads: _run_vtk(made[threads])


def _agree(found: NDArray[Any], expected: NDArray[Any], limit: float, *, few: float = 1e-3) -> str:
    """Nearly all pixels are within the limit and a rounding step; the greatest difference of these, for the remarks."""
    apart = np.abs(found.astype(np.float64) - expected)
    beyond = apart > limit + 0.5
    assert beyond.mean() <= few, f"{beyond.mean():.2e} of the pixels differ by more than {limit:.3g}"
    return f"max difference {apart[~beyond].max():.2g} but for {beyond.mean():.1e} of the pixels"


def _measure(context: Context, calls: Calls, remark: str, *, threads: int = 2, rounds: int | None = None) -> Measured:
    """Ours against the fastest peer, with ``threads`` on both sides; the other number of threads in the remarks."""
    count = context.rounds if rounds is None else rounds
    timed = alternate({name: partial(call, threads) for name, call in calls.items()}, rounds=count)
    best = timed.fastest([name for name in calls if name != "ours"])
    other = 3 - threads
    beside = alternate({name: partial(calls[name], other) for name in ("ours", best)}, rounds=3, warm=1)
    times = ", ".join(f"{name} {timed.median(name) * 1e3:.2f} ms" for name in calls)
    detail = f"{times}; {other} thread{'s' * (other > 1)}: {beside.ratio(best, 'ours')[0]:.2f}×; {remark}"
    return Measured(*timed.ratio(best, "ours"), detail, timed.rounds)


def _ours(array: NDArray[Any], lines: NDArray[np.float64], threads: int, **options: Any) -> NDArray[Any]:
    out = np.empty((PIXELS, PIXELS), np.int16 if array.dtype == np.int16 else np.float32)
    scale = arrays.Scale(background=BACKGROUND)
    return arrays.sample_lines(array, lines, PIXELS, scale=scale, out=out, threads=threads, **options)


def _oblique_linear(context: Context, threads: int) -> Measured:
    from scipy import ndimage

    scene = _scene(context)
    lines, image = scene.lines(1), scene.image(scene.array)
    steps = np.arange(PIXELS)
    points = (lines[:, 0, :, None] + lines[:, 1, :, None] * steps).transpose(1, 0, 2)
    calls: Calls = {
        "ours": lambda threads: _ours(scene.array, lines, threads),
        "SimpleITK": lambda threads: scene.simpleitk(image, "sitkLinear", 1, threads),
        "VTK": _vtk_calls(scene, "Linear"),
        "SciPy": lambda threads: ndimage.map_coordinates(scene.array, points, output=np.float32, order=1),
    }
    import SimpleITK

    remark = _agree(calls["ours"](2), SimpleITK.GetArrayFromImage(calls["SimpleITK"](2))[0], scene.limit)
    _agree(calls["ours"](2), calls["VTK"](2), scene.limit)
    return _measure(context, calls, remark, threads=threads, rounds=3 if context.quick else 21)


for _threads, _must, _aim, _suffix in ((2, 2.5, 4.0, ""), (1, 6.0, 8.0, "-1-thread")):
    row(
        f"kernels.oblique-linear{_suffix}", must=_must, aim=_aim, peers=("SimpleITK", "vtk", "scipy"), any_peer=True,
        what=f"oblique 512² plane, linear, {_threads} thread{'s' * (_threads > 1)} on both sides",
    )(partial(_oblique_linear, threads=_threads))  # fmt: skip


@row("kernels.oblique-catmull-rom", must=2, aim=3, peers=("vtk",))
def _oblique_catmull_rom(context: Context) -> Measured:
    """oblique 512² plane, Catmull-Rom"""
    scene = _scene(context)
    lines = scene.lines(1)
    calls: Calls = {
        "ours": lambda threads: _ours(scene.array, lines, threads, interpolation="cubic"),
        "VTK": _vtk_calls(scene, "Cubic"),
    }
    remark = _agree(calls["ours"](2), calls["VTK"](2), scene.limit)
    return _measure(context, calls, remark, rounds=3 if context.quick else 15)


@row("kernels.oblique-bspline", must=5.5, aim=9, peers=("SimpleITK",))
def _oblique_bspline(context: Context) -> Measured:
    """oblique 512² plane, B-spline from coefficients"""
    import SimpleITK

    scene = _scene(context)
    lines, coefficients = scene.lines(1), arrays.spline_coefficients(scene.array)
    image = scene.image(coefficients)
    calls: Calls = {
        "ours": lambda threads: _ours(coefficients, lines, threads, interpolation="bspline"),
        "SimpleITK": lambda threads: scene.simpleitk(image, "sitkBSplineResamplerOrder3", 1, threads),
    }
    found = SimpleITK.GetArrayFromImage(calls["SimpleITK"](2))[0]
    remark = _agree(calls["ours"](2), found, scene.limit)
    whole = SimpleITK.GetArrayFromImage(scene.simpleitk(scene.image(scene.array), "sitkBSpline", 1, 2))[0]
    remark += "; its own prefilter and plane: " + _agree(calls["ours"](2), whole, scene.limit)
    return _measure(context, calls, remark)


@row("kernels.spline-coefficients", must=None, aim=10, peers=("SimpleITK", "scipy"), any_peer=True)
def _spline_coefficients(context: Context) -> Measured:
    """B-spline coefficients of the whole volume"""
    import SimpleITK
    from scipy import ndimage

    scene = _scene(context)
    image = SimpleITK.Cast(scene.image(scene.array), SimpleITK.sitkFloat32)

    def theirs(threads: int) -> Any:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
        return SimpleITK.BSplineDecomposition(image, 3)

    calls: Calls = {
        "ours": lambda threads: arrays.spline_coefficients(scene.array, threads=threads),
        "SimpleITK": theirs,
        "SciPy": lambda threads: ndimage.spline_filter(scene.array, 3, output=np.float32, mode="mirror"),
    }
    remark = _agree(calls["ours"](2), calls["SciPy"](2), 0.1, few=0.0)
    return _measure(context, calls, remark, rounds=3)


def _slab(context: Context, combine: str, mode: str) -> Measured:
    import SimpleITK

    scene = _scene(context)
    lines, image = scene.lines(DEPTHS), scene.image(scene.array)
    calls: Calls = {
        "ours": lambda threads: _ours(scene.array, lines, threads, depths=DEPTHS, combine=combine),
        "VTK": _vtk_calls(scene, "Linear", mode),
        "SimpleITK (planes only)": lambda threads: scene.simpleitk(image, "sitkLinear", DEPTHS, threads),
    }
    stack = SimpleITK.GetArrayFromImage(calls["SimpleITK (planes only)"](2)).astype(np.float64)
    inside = (stack != BACKGROUND).all(axis=0)  # Outside each averages something else.
    reduced = stack.mean(axis=0) if combine == "mean" else stack.max(axis=0)
    found = calls["ours"](2)
    remark = _agree(found[inside], reduced[inside], scene.limit)
    _agree(found[inside], calls["VTK"](2)[inside], scene.limit)
    return _measure(context, calls, remark)


row(
    "kernels.slab-mean",
    must=4,
    aim=7,
    peers=("vtk", "SimpleITK"),
    any_peer=True,
    what="10 mm oblique mean slab, 11 samples",
)(partial(_slab, combine="mean", mode="Mean"))
row(
    "kernels.slab-mip",
    must=3,
    aim=6,
    peers=("vtk", "SimpleITK"),
    any_peer=True,
    what="10 mm oblique MIP slab, 11 samples",
)(partial(_slab, combine="max", mode="Max"))


@row("kernels.oblique-sealed", must=10, aim=30, peers=("SimpleITK",))
def _oblique_sealed(context: Context) -> Measured:
    """oblique plane straight from the sealed series, against loading the volume and SimpleITK"""
    import SimpleITK

    archive, series = sealed(context, "made")
    uid = series.series_instance_uid
    scene = _scene(context)
    affine = scene.volume.index_to_lps
    steps = affine[:3, :3] / scene.spacing
    where: dict[str, Any] = {
        "center_lps": (affine @ [*((np.array(scene.array.shape) - 1) / 2), 1.0])[:3],
        "row_direction": steps @ scene.right, "column_direction": steps @ scene.down,
        "spacing_mm": PIXEL_MM, "shape": (PIXELS, PIXELS), "background": float(BACKGROUND),
    }  # fmt: skip
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(context.series("made")))

    def from_files() -> Any:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(names)
        image = reader.Execute()
        image.SetOrigin((0.0, 0.0, 0.0))
        image.SetDirection(np.eye(3).ravel().tolist())
        image.SetSpacing(scene.spacing[::-1].tolist())
        return scene.simpleitk(image, "sitkLinear", 1, 2)

    calls: dict[str, Callable[[], Any]] = {
        "ours": lambda: archive.series(uid).volume().reslice(**where),
        "SimpleITK from files": from_files,
        "our volume, SimpleITK": lambda: scene.simpleitk(
            scene.image(archive.series(uid).volume().modality()), "sitkLinear", 1, 2
        ),
    }
    found = calls["ours"]().array
    remark = _agree(found, SimpleITK.GetArrayFromImage(calls["SimpleITK from files"]())[0], scene.limit)
    timed = alternate(calls, rounds=3 if context.quick else 7)
    times = ", ".join(f"{name} {timed.median(name) * 1e3:.1f} ms" for name in calls)
    beside = timed.ratio("our volume, SimpleITK", "ours")[0]
    detail = f"{times}; with our own loading {beside:.1f}×; {remark}"
    return Measured(*timed.ratio("SimpleITK from files", "ours"), detail, timed.rounds)


def _grid(scene: Scene, interpolation: str) -> tuple[arrays.AxisTaps, arrays.AxisTaps, arrays.AxisTaps]:
    steps = GRID_MM / scene.spacing
    first, second, third = (
        arrays.axis_taps(
            length, start=0.0, step=step, count=int((length - 1) / step) + 1, interpolation=interpolation, smooth=False
        )
        for length, step in zip(scene.array.shape, steps.tolist(), strict=True)
    )
    return first, second, third


def _regrid_simpleitk(image: Any, axes: tuple[arrays.AxisTaps, ...], interpolator: str, threads: int) -> Any:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    resample = SimpleITK.ResampleImageFilter()
    resample.SetInterpolator(getattr(SimpleITK, interpolator))
    resample.SetDefaultPixelValue(BACKGROUND)
    resample.SetSize([axis.firsts.size for axis in axes[::-1]])
    resample.SetOutputSpacing([GRID_MM] * 3)
    return resample.Execute(image)


@row("kernels.regrid-linear", must=14, aim=25, peers=("SimpleITK",))
def _regrid_linear(context: Context) -> Measured:
    """isotropic regrid to 0.8 mm, linear"""
    import SimpleITK

    scene = _scene(context)
    image, axes = scene.image(scene.array), _grid(scene, "linear")
    out = np.empty([axis.firsts.size for axis in axes], np.int16)
    calls: Calls = {
        "ours": lambda threads: arrays.regrid(scene.array, axes, out=out, threads=threads),
        "SimpleITK": lambda threads: _regrid_simpleitk(image, axes, "sitkLinear", threads),
    }
    found, theirs = calls["ours"](2), calls["SimpleITK"](2)
    remark = _agree(found[::_EVERY], SimpleITK.GetArrayViewFromImage(theirs)[::_EVERY], 0.51, few=0.0)
    del theirs
    remark += f", {out.shape[0]} × {out.shape[1]} × {out.shape[2]}, into an array that is there"
    return _measure(context, calls, remark, rounds=1 if context.quick else 3)


@row("kernels.regrid-cubic", must=5, aim=15, peers=("SimpleITK",))
def _regrid_cubic(context: Context) -> Measured:
    """isotropic regrid to 0.8 mm, cubic B-spline, both from coefficients"""
    import SimpleITK

    scene = _scene(context)
    coefficients, axes = arrays.spline_coefficients(scene.array), _grid(scene, "bspline")
    image = scene.image(coefficients)
    out = np.empty([axis.firsts.size for axis in axes], np.float32)
    calls: Calls = {
        "ours": lambda threads: arrays.regrid(coefficients, axes, out=out, threads=threads),
        "SimpleITK": lambda threads: _regrid_simpleitk(image, axes, "sitkBSplineResamplerOrder3", threads),
    }
    found, theirs = calls["ours"](2), calls["SimpleITK"](2)
    remark = _agree(found[::_EVERY], SimpleITK.GetArrayViewFromImage(theirs)[::_EVERY], scene.limit)
    del theirs
    catmull, words = _grid(scene, "cubic"), np.empty(out.shape, np.int16)
    with_cubic = alternate(
        {"cubic": lambda: arrays.regrid(scene.array, catmull, out=words, threads=2)}, rounds=3, warm=1
    ).median("cubic")
    remark += f"; Catmull-Rom straight from int16 {with_cubic * 1e3:.0f} ms"
    timed = alternate(
        {name: partial(call, 2) for name, call in calls.items()}, rounds=1 if context.quick else 2, warm=0
    )
    times = ", ".join(f"{name} {timed.median(name) * 1e3:.0f} ms" for name in calls)
    return Measured(*timed.ratio("SimpleITK", "ours"), f"{times}; {remark}", timed.rounds)
