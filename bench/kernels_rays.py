"""Rows about projections and volume rendering: axis MIPs against NumPy, rays against VTK's CPU ray caster and SciPy.

The volume is the real head and neck CT, interpolated along the slices to 208 × 512 × 512 at 1.29 × 1 × 1 mm; the noise
that interpolation takes away is put back from differences of real slices, since smooth data would be easier to skip.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rows import Context, Measured, row
from timing import Timed, alternate

from pacscore.imaging import arrays
from pacscore.imaging.arrays import RayGrid, RayVolume
from pacscore.imaging.transfer import TransferFunction

SPACING_MM = (267 / 207, 1.0, 1.0)
SIDE, PIXEL_MM, SAMPLES = 512, 0.65, 840
THREADS = 2
BONE = TransferFunction(
    [(-1024, 0), (150, 0), (350, 0.3), (1200, 0.9), (3071, 1)],
    [(-1024, 0.8, 0.5, 0.4), (150, 0.9, 0.6, 0.4), (400, 1, 0.9, 0.8), (3071, 1, 1, 1)],
)
SKIN = TransferFunction(
    [(-1024, 0), (-400, 0), (-150, 0.15), (60, 0.2), (300, 0.8), (3071, 1)],
    [(-1024, 0.8, 0.5, 0.4), (-150, 0.9, 0.6, 0.5), (300, 1, 0.9, 0.8), (3071, 1, 1, 1)],
)
_ROWS = np.array([60, 130, 200, 256, 300, 370, 440])


def head(context: Context) -> NDArray[np.int16]:
    """The volume, made once in a run."""
    if "head" not in context.shared:
        context.shared["head"] = _made_head(context)
    found: NDArray[np.int16] = context.shared["head"]
    return found


def _made_head(context: Context) -> NDArray[np.int16]:
    import pydicom

    files = [pydicom.dcmread(path) for path in sorted(context.found("series/ct-headneck-90").iterdir())]
    files.sort(key=lambda each: float(each.ImagePositionPatient[2]))
    real = np.stack([each.pixel_array.astype(np.float32) - 1024 for each in files])
    real = np.pad(real, ((0, 0), (0, 1), (0, 1)), mode="edge")
    generator = np.random.default_rng(0)
    made = np.empty((208, 512, 512), np.int16)
    for index, place in enumerate(np.linspace(0, len(real) - 1, 208)):
        lower = min(int(place), len(real) - 2)
        weight = np.float32(place - lower)
        other = int(generator.integers(0, len(real) - 1))
        noise = (real[other + 1] - real[other]) / np.float32(np.sqrt(2))
        noise = np.where(np.abs(noise) > 60, 0, noise)  # Edges are no noise.
        lost = np.float32(np.sqrt(max(0.0, 1 - weight**2 - (1 - weight) ** 2)))
        mixed = real[lower] * (1 - weight) + real[lower + 1] * weight + noise * lost
        made[index] = np.clip(np.rint(mixed), -1024, 3071)
    return made


@dataclass(frozen=True)
class Camera:
    """A parallel view at 45° around and 15° up, in millimetres of the array: (slice, row, column)."""

    away: NDArray[np.float64]
    up: NDArray[np.float64]
    right: NDArray[np.float64]
    middle: NDArray[np.float64]

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> Camera:
        around, upward = np.deg2rad(45), np.deg2rad(15)
        away = np.array([np.sin(upward), np.cos(upward) * np.cos(around), np.cos(upward) * np.sin(around)])
        right = np.cross([1.0, 0, 0], away)
        right /= np.linalg.norm(right)
        up = np.cross(away, right)
        turned = np.sign(up[0])
        return cls(away, up * turned, right * turned, (np.array(shape) - 1) / 2 * SPACING_MM)

    def grid(self) -> RayGrid:
        """The same rays for us."""
        corner = self.middle - self.away * SAMPLES / 2 + (self.up - self.right) * PIXEL_MM * (SIDE - 1) / 2
        steps = [each / SPACING_MM for each in (corner, -self.up * PIXEL_MM, self.right * PIXEL_MM, self.away)]
        origin, down, across, along = (tuple(float(part) for part in step) for step in steps)
        return RayGrid(origin, down, across, along, (SIDE, SIDE), SAMPLES)


class Vtk:
    """VTK's fixed-point CPU ray caster on the same rays, one window each."""

    def __init__(self, volume: NDArray[np.int16], transfer: TransferFunction | None) -> None:
        import vtk
        from vtk.util import numpy_support

        self._vtk, self._camera = vtk, Camera.of(volume.shape)
        image = vtk.vtkImageData()
        image.SetDimensions(*volume.shape[::-1])
        image.SetSpacing(*SPACING_MM[::-1])
        image.GetPointData().SetScalars(
            numpy_support.numpy_to_vtk(volume.reshape(-1), deep=0, array_type=vtk.VTK_SHORT)
        )
        mapper = vtk.vtkFixedPointVolumeRayCastMapper()
        mapper.SetInputData(image)
        mapper.SetNumberOfThreads(THREADS)
        mapper.AutoAdjustSampleDistancesOff()
        mapper.LockSampleDistanceToInputSpacingOff()
        for name in ("SampleDistance", "InteractiveSampleDistance", "ImageSampleDistance"):
            getattr(mapper, f"Set{name}")(1.0)
        mapper.IntermixIntersectingGeometryOff()
        if transfer is None:
            mapper.SetBlendModeToMaximumIntensity()
        actor = vtk.vtkVolume()
        actor.SetMapper(mapper)
        actor.SetProperty(self._property(transfer))
        self.renderer = vtk.vtkRenderer()
        self.renderer.AddVolume(actor)
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetSize(SIDE, SIDE)
        self.window.SetMultiSamples(0)
        self.window.AddRenderer(self.renderer)
        light = vtk.vtkLight()
        light.SetLightTypeToHeadlight()
        light.SetAmbientColor(1, 1, 1)  # VTK's own light has no ambient term.
        self.renderer.AddLight(light)
        self._aim()
        self._turn = 1e-4

    def _property(self, transfer: TransferFunction | None) -> Any:
        vtk = self._vtk
        opacity, colour, shown = vtk.vtkPiecewiseFunction(), vtk.vtkColorTransferFunction(), vtk.vtkVolumeProperty()
        shown.SetInterpolationTypeToLinear()
        points = [(-1024, 0), (3071, 1)] if transfer is None else transfer.opacity
        colours = [(-1024, 0, 0, 0), (3071, 1, 1, 1)] if transfer is None else transfer.colour
        for point in points:
            opacity.AddPoint(*point)
        for point in colours:
            colour.AddRGBPoint(*point)
        shown.SetScalarOpacity(opacity)
        shown.SetColor(colour)
        shown.SetScalarOpacityUnitDistance(1.0)
        if transfer is not None:
            shown.ShadeOn()
            shown.SetAmbient(0.2)
            shown.SetDiffuse(0.7)
            shown.SetSpecular(0.3)
            shown.SetSpecularPower(10)
        return shown

    def _aim(self) -> None:
        view, camera = self._camera, self.renderer.GetActiveCamera()
        camera.ParallelProjectionOn()
        camera.SetParallelScale(PIXEL_MM * SIDE / 2)
        camera.SetFocalPoint(*view.middle[::-1])
        camera.SetPosition(*(view.middle - view.away * 1000)[::-1])
        camera.SetViewUp(*view.up[::-1])
        self.renderer.ResetCameraClippingRange()

    def render(self) -> None:
        """One more frame: turned by nothing that shows, or VTK would draw none."""
        self._turn = -self._turn
        self.renderer.GetActiveCamera().Azimuth(self._turn)
        self.window.Render()

    def picture(self) -> NDArray[np.uint8]:
        """(rows, columns, 3), the first row at the top."""
        from vtk.util import numpy_support

        self.window.Render()
        grab = self._vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        flat = numpy_support.vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
        return np.asarray(flat.reshape(SIDE, SIDE, -1)[::-1, :, :3])

    def close(self) -> None:
        """Give up its window."""
        self.window.Finalize()


def _twins() -> Any:
    """The reference compositor of the tests."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from reference import rays

    return rays


_AXES = ("slices", "rows", "columns")


def _axis_row(context: Context, axis: int) -> Measured:
    volume = head(context)
    ours, numpy = partial(arrays.project_axis, volume, axis), partial(volume.max, axis)
    assert np.array_equal(ours(), numpy())
    timed = alternate({"ours": ours, "numpy": numpy}, rounds=5 if context.quick else 21)
    seconds = timed.median("ours")
    return Measured(
        *timed.ratio("numpy", "ours"),
        f"ours {seconds * 1e3:.2f} ms, {volume.nbytes / seconds / 1e9:.0f} GB/s read; numpy "
        f"{timed.median('numpy') * 1e3:.2f} ms",
        timed.rounds,
    )


for _axis, _name in enumerate(_AXES):
    row(
        f"kernels.mip-axis-{_axis}", must=1.0, aim=1.8, peers=("numpy",),
        what=f"MIP along the {_name} of 208 × 512 × 512 int16 against numpy",
    )(partial(_axis_row, axis=_axis))  # fmt: skip


@row("kernels.mip-45", must=3.5, aim=8.0, peers=("vtk", "scipy"), any_peer=True)
def oblique_mip(context: Context) -> Measured:
    """MIP at 45° around and 15° up, 512², 1 mm steps, against VTK's CPU ray caster and scipy's rotate + max."""
    from scipy import ndimage

    volume = head(context)
    ready, grid = RayVolume.of(volume), Camera.of(volume.shape).grid()
    found = arrays.project_rays(ready, grid)
    assert np.array_equal(found, arrays.project_rays(ready, grid, seeded=False), equal_nan=True)
    matrix = grid.matrix()
    for line in _ROWS:
        i, j, k = np.meshgrid([line], np.arange(SIDE), np.arange(SAMPLES), indexing="ij")
        places = (matrix[0] + i[..., None] * matrix[1] + j[..., None] * matrix[2] + k[..., None] * matrix[3])[0]
        exact = ndimage.map_coordinates(volume, np.moveaxis(places, -1, 0), np.float32, order=1, cval=-5000).max(1)
        difference = np.abs(np.nan_to_num(found[line], nan=-5000) - exact)
        assert np.quantile(difference, 0.99) <= 0.5, f"row {line} differs by {difference.max()}"
    theirs = Vtk(volume, None)
    shown = np.clip((np.nan_to_num(found, nan=-1024.0) + 1024) / 4095 * 255, 0, 255)
    apart = float(np.abs(theirs.picture()[..., 0] - shown**2 / 255).mean())  # VTK shows its grey times its opacity.
    assert apart <= 3, f"VTK's picture differs by {apart:.1f} of 255"
    timed = alternate(
        {"ours": lambda: arrays.project_rays(ready, grid), "VTK": theirs.render}, rounds=3 if context.quick else 9
    )
    turned = alternate(
        {
            "scipy": lambda: ndimage.rotate(
                volume, 45, axes=(1, 2), order=1, reshape=False, output=np.int16, cval=-1024
            ).max(1)
        },
        rounds=1, warm=0,
    )  # fmt: skip
    prepared = alternate({"limits": lambda: RayVolume.of(volume)}, rounds=3)
    theirs.close()
    detail = (
        f"ours {timed.median('ours') * 1e3:.0f} ms (making ready, once: {prepared.median('limits') * 1e3:.0f} ms), "
        f"VTK {timed.median('VTK') * 1e3:.0f} ms, scipy {turned.median('scipy') * 1e3:.0f} ms; VTK's differs by "
        f"{apart:.1f} of 255 in the mean"
    )
    return Measured(*timed.ratio("VTK", "ours"), detail, timed.rounds)


def _picture(volume: RayVolume, transfer: TransferFunction) -> NDArray[np.uint8]:
    grid, table = Camera.of(volume.shape).grid(), transfer.table(step_mm=1.0)
    return arrays.render_rays(volume, grid, table, index_to_mm=np.diag(SPACING_MM), lighting=transfer.lighting)


def _agreement(volume: NDArray[np.int16], transfer: TransferFunction, vtk_max: float) -> str:
    """Compare with the NumPy compositor on some rows and with VTK everywhere."""
    twins, grid = _twins(), Camera.of(volume.shape).grid()
    ours = _picture(RayVolume.of(volume), transfer)
    places = [point[0] for point in transfer.colour]
    parts = np.array(transfer.colour).T[1:]
    exact = np.concatenate(
        [
            twins.composite(
                volume, grid.matrix(), np.array([line]), SIDE, SAMPLES,
                opacity=lambda found: np.interp(found, *np.array(transfer.opacity).T),
                colour=lambda found: np.stack([np.interp(found, places, part) for part in parts], -1),
                light=(0.2, 0.7, 0.3, 10), index_to_mm=np.diag(SPACING_MM),
            )
            for line in _ROWS
        ]
    )  # fmt: skip
    to_twin = float(np.abs(ours[_ROWS] - exact).mean())
    assert to_twin <= 1, f"the NumPy compositor differs by {to_twin:.2f} of 255"
    theirs = Vtk(volume, transfer)
    picture = theirs.picture().astype(np.int16)
    theirs.close()
    to_vtk = float(np.abs(ours - picture).mean())
    assert to_vtk <= vtk_max, f"VTK's picture differs by {to_vtk:.2f} of 255"
    return f"mean difference to NumPy {to_twin:.2f}, to VTK {to_vtk:.2f} of 255"


def _agreed(context: Context, name: str, transfer: TransferFunction, vtk_max: float) -> str:
    """Checked once in a run."""
    if f"agreed-{name}" not in context.shared:
        context.shared[f"agreed-{name}"] = _agreement(head(context), transfer, vtk_max)
    return str(context.shared[f"agreed-{name}"])


def _measured(timed: Timed, agreed: str) -> Measured:
    times = ", ".join(f"{name} {timed.median(name) * 1e3:.0f} ms" for name in timed.seconds)
    return Measured(*timed.ratio("VTK", "ours"), f"{times}; {agreed}", timed.rounds)


@row("kernels.render-first", must=15.0, aim=25.0, peers=("vtk",))
def first_frame(context: Context) -> Measured:
    """Shaded volume rendering of bone, 512², 1 mm steps: the first frame, all preparation included, against VTK."""
    volume = head(context)
    agreed = _agreed(context, "bone", BONE, 3.0)

    def theirs() -> None:
        window = Vtk(volume, BONE)
        window.render()
        window.close()

    timed = alternate(
        {"ours": lambda: _picture(RayVolume.of(volume), BONE), "VTK": theirs}, rounds=3 if context.quick else 5, warm=1
    )
    return _measured(timed, agreed)


def _later(context: Context, name: str, transfer: TransferFunction, vtk_max: float) -> Measured:
    volume = head(context)
    agreed = _agreed(context, name, transfer, vtk_max)
    ready, theirs = RayVolume.of(volume), Vtk(volume, transfer)
    timed = alternate(
        {"ours": lambda: _picture(ready, transfer), "VTK": theirs.render}, rounds=3 if context.quick else 9
    )
    theirs.close()
    return _measured(timed, agreed)


for _name, _transfer, _must, _vtk_max in (("bone", BONE, 2.0, 3.0), ("skin", SKIN, 1.8, 7.0)):
    row(
        f"kernels.render-{_name}", must=_must, aim=4.0, peers=("vtk",),
        what=f"shaded volume rendering of {_name}, 512², 1 mm steps: later frames against VTK's CPU ray caster",
    )(partial(_later, name=_name, transfer=_transfer, vtk_max=_vtk_max))  # fmt: skip
