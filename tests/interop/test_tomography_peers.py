"""Tomography against independent programs: RTK for cone beams, ASTRA and scikit-image for parallel ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pacscore import recon
from pacscore.recon import simulate

pytestmark = pytest.mark.interop

VIEWS, SIZE, PITCH = 48, 40, 1.6
TURN = 2 * np.pi
# Nothing is symmetric: an axis flipped or exchanged is seen.
PHANTOM = simulate.Phantom(
    [0.02, 0.05, 0.03], [[0, 0, 0], [6, -2, 3], [-5, 5, -4]], [[13, 12, 11], [3, 2.5, 2], [2.5, 3, 3]], [0.3, 0, 0]
)
GRID = recon.Grid((32, 32, 32), 0.9)
CONE = recon.ConeGeometry.circular(
    np.arange(VIEWS) * TURN / VIEWS + 0.1, row_count=SIZE, column_count=SIZE, row_spacing_mm=PITCH,
    column_spacing_mm=PITCH, source_to_axis_mm=200.0, source_to_detector_mm=300.0,
)  # fmt: skip


class Rtk:
    """RTK's filters on our arrays: its (x, y, z) are our (y, z, x)."""

    def __init__(self) -> None:
        self.itk = pytest.importorskip("itk", reason="RTK is not installed: itk-rtk (until 2027-12-31)")
        if not hasattr(self.itk, "RTK"):
            pytest.skip("RTK is not installed: itk-rtk (until 2027-12-31)")
        self.rtk = self.itk.RTK
        self.kind = self.itk.Image[self.itk.F, 3]
        self.geometry = self.rtk.ThreeDCircularProjectionGeometry.New()
        for angle in CONE.angles:
            self.geometry.AddProjection(200.0, 300.0, float(np.rad2deg(angle)), 0, 0, 0, 0, 0, 0)

    def _image(self, values: Any, spacing: tuple[float, ...], origin: tuple[float, ...]) -> Any:
        image = self.itk.image_from_array(np.ascontiguousarray(values, np.float32))
        image.SetSpacing(spacing)
        image.SetOrigin(origin)
        return image

    def projections(self, values: Any) -> Any:
        first = -(SIZE - 1) / 2 * PITCH
        return self._image(values, (PITCH, PITCH, 1.0), (first, first, 0.0))

    def volume(self, values: Any) -> Any:
        return self._image(np.asarray(values).transpose(2, 0, 1), (0.9,) * 3, (-15.5 * 0.9,) * 3)

    def ours(self, method: Any, *, volume: bool) -> np.ndarray:
        method.SetGeometry(self.geometry)
        method.Update()
        array = self.itk.array_from_image(method.GetOutput())
        return np.ascontiguousarray(array.transpose(1, 2, 0) if volume else array)


@pytest.fixture(scope="module")
def rtk() -> Rtk:
    return Rtk()


@pytest.mark.parametrize("symmetric", [False, True])
def test_rtk_reconstructs_the_same_volume_by_fdk(rtk: Rtk, symmetric: bool) -> None:
    projections = PHANTOM.project(CONE)
    method = rtk.rtk.FDKConeBeamReconstructionFilter[rtk.kind].New()
    method.SetInput(0, rtk.volume(np.zeros(GRID.shape)))
    method.SetInput(1, rtk.projections(projections))
    method.GetRampFilter().SetTruncationCorrection(0.0)
    method.GetRampFilter().SetHannCutFrequency(0.0)
    theirs = rtk.ours(method, volume=True)
    ours = recon.fdk(projections, CONE, GRID, symmetric=symmetric)
    assert np.sqrt(np.mean((ours - theirs) ** 2)) < 5e-3 * 0.07
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9999


def test_rtk_projects_the_same_rays_by_joseph(rtk: Rtk) -> None:
    image = PHANTOM.on_grid(GRID)
    method = rtk.rtk.JosephForwardProjectionImageFilter[rtk.kind, rtk.kind].New()
    method.SetInput(0, rtk.projections(np.zeros(CONE.shape)))
    method.SetInput(1, rtk.volume(image))
    theirs = rtk.ours(method, volume=False)
    ours = recon.Projector(CONE, GRID) @ image
    assert np.linalg.norm(ours - theirs) < 1e-4 * np.linalg.norm(theirs)


PARALLEL = recon.ParallelGeometry(np.arange(90) * np.pi / 90, 64)
PLANE = recon.Grid((1, 64, 64), 1.0)


def astra_run(algorithm: str, sinogram: Any, image: Any) -> np.ndarray:
    """One of ASTRA's algorithms on the CPU, linear; its rows fall with y."""
    astra = pytest.importorskip("astra", reason="ASTRA is not installed: astra-toolbox (until 2027-12-31)")
    rays = astra.create_proj_geom("parallel", 1.0, 64, PARALLEL.angles)
    plane = astra.create_vol_geom(64, 64)
    projector = astra.create_projector("linear", rays, plane)
    data = astra.data2d.create("-sino", rays, np.asarray(sinogram))
    volume = astra.data2d.create("-vol", plane, np.asarray(image)[::-1].copy())
    configuration = astra.astra_dict(algorithm)
    configuration |= {"ProjectorId": projector, "ProjectionDataId": data}
    configuration["VolumeDataId" if algorithm == "FP" else "ReconstructionDataId"] = volume
    number = astra.algorithm.create(configuration)
    astra.algorithm.run(number, 1)
    return astra.data2d.get(data) if algorithm == "FP" else astra.data2d.get(volume)[::-1]


def test_astra_projects_and_reconstructs_the_same_slice() -> None:
    phantom = simulate.Phantom([1.0, 0.5], [[2, 3, 0], [-8, 5, 0]], [[22, 17, 99], [4, 6, 99]], [0.4, 0.0])
    image, sinogram = phantom.on_grid(PLANE)[0], phantom.project(PARALLEL)[:, 0]
    theirs = astra_run("FP", np.zeros_like(sinogram), image)
    ours = (recon.Projector(PARALLEL, PLANE) @ image[None])[:, 0]
    assert np.linalg.norm(ours - theirs) < 0.01 * np.linalg.norm(theirs)
    theirs = astra_run("FBP", sinogram, np.zeros_like(image))
    ours = recon.fbp(sinogram[:, None], PARALLEL, PLANE)[0]
    truth = phantom.on_grid(PLANE, samples=5)[0]
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99
    flat = np.s_[28:40, 30:42]
    assert abs(ours[flat].mean() - truth[flat].mean()) <= abs(theirs[flat].mean() - truth[flat].mean()) + 1e-3


@pytest.mark.parametrize(("ours_named", "theirs_named"), [("ramp", "ramp"), ("hann", "hann"), ("cosine", "cosine")])
def test_flat_regions_and_edges_are_no_worse_than_those_of_scikit_image(ours_named: str, theirs_named: str) -> None:
    transform: Any = pytest.importorskip("skimage.transform", reason="scikit-image is not installed (until 2027-12-31)")
    size, views = 129, 360
    geometry = recon.ParallelGeometry(np.arange(views) * np.pi / views, size)
    grid = recon.Grid((1, size, size), 1.0)
    disc = simulate.Phantom([1.0], [[0, 0, 0]], [[40, 40, 999]])
    sinogram = disc.project(geometry)
    ours = recon.fbp(sinogram, geometry, grid, filter=ours_named)[0]
    theirs = transform.iradon(
        sinogram[:, 0].T, theta=np.rad2deg(geometry.angles), filter_name=theirs_named, circle=True, output_size=size
    )
    y, x = np.mgrid[:size, :size] - size // 2
    radius = np.hypot(x, y)

    def flat_error(image: np.ndarray) -> float:
        return float(np.sqrt(np.mean((image[radius < 30] - 1) ** 2)))

    def edge_width(image: np.ndarray) -> float:
        """Pixels between a tenth and nine tenths of the step, of the mean over all directions."""
        places = np.arange(36, 44.01, 0.1)
        means = np.array([image[np.abs(radius - place) < 0.35].mean() for place in places])
        high, low = means >= 0.9, means <= 0.1
        return float(places[low].min() - places[high].max())

    assert flat_error(ours) <= 1.01 * flat_error(theirs)
    assert edge_width(ours) <= edge_width(theirs) + 0.1
