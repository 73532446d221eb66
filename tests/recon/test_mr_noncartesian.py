"""Trajectories, densities, nonuniform transforms and the operators made of them, against Fourier sums."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from reference import mr as twin

from pacscore import recon
from pacscore.errors import InputError, UnsupportedError
from pacscore.recon import kspace_phantoms
from pacscore.recon.magnetic_resonance import libraries
from pacscore.recon.magnetic_resonance.noncartesian import ToeplitzNormal
from pacscore.recon.magnetic_resonance.off_resonance import OffResonanceSense, correct_off_resonance
from pacscore.recon.magnetic_resonance.trajectories import GOLDEN_ANGLE_RAD


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.standard_normal(shape) + 1j * random.standard_normal(shape)).astype(np.complex64)


def scattered(shape: tuple[int, ...], seed: int = 0) -> recon.Trajectory:
    random = np.random.default_rng(seed)
    return recon.Trajectory.of((random.random((3, 6, len(shape))) - 0.5) * np.array(shape), shape)


SHAPES = [(6, 7), (5, 4), (3, 4, 5)]


@pytest.mark.parametrize("library", ["finufft", pytest.param("ducc0", marks=pytest.mark.interop)])
@pytest.mark.parametrize("shape", SHAPES)
def test_nonuniform_transforms_are_their_sums_and_adjoint(shape: tuple[int, ...], library: str) -> None:
    pytest.importorskip(library)
    trajectory = scattered(shape)
    transform = recon.NonuniformFourier(trajectory, count=2, tolerance=1e-6, library=library)
    matrix = twin.nonuniform_matrix(trajectory.points, shape)
    images, samples = noise((2, *shape)), noise((2, 3, 6), 1)
    assert np.allclose(transform.forward(images).reshape(2, -1), images.reshape(2, -1) @ matrix.T, atol=2e-5)
    assert np.allclose(transform.adjoint(samples).reshape(2, -1), samples.reshape(2, -1) @ matrix.conj(), atol=2e-5)
    left, right = np.vdot(transform.forward(images), samples), np.vdot(images, transform.adjoint(samples))
    assert abs(left - right) < 1e-5 * abs(left)


@pytest.mark.parametrize("shape", [(8, 9), (4, 5, 6)])
def test_on_a_cartesian_grid_the_transform_is_the_centred_one(shape: tuple[int, ...]) -> None:
    grid = np.stack(np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij"), -1)
    trajectory = recon.Trajectory.of(grid.reshape(1, -1, len(shape)), shape)
    image = noise((1, *shape))
    wanted = recon.centred_fft(image, axes=tuple(range(1, len(shape) + 1))).reshape(-1)
    assert np.allclose(
        recon.NonuniformFourier(trajectory, tolerance=1e-6).forward(image).reshape(-1), wanted, atol=2e-5
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_the_toeplitz_operator_is_the_weighted_normal_matrix(shape: tuple[int, ...]) -> None:
    trajectory = scattered(shape)
    weights = np.random.default_rng(4).random((3, 6))
    matrix = twin.nonuniform_matrix(trajectory.points, shape)
    image = noise(shape)
    wanted = matrix.conj().T @ (weights.reshape(-1) * (matrix @ image.reshape(-1)))
    found = ToeplitzNormal(trajectory, weights=weights).normal(image)
    assert np.allclose(found.reshape(-1), wanted, atol=1e-5)
    maps = noise((3, *shape), 2)
    operator = recon.NonCartesianSense(maps, trajectory, weights=weights, tolerance=1e-6)
    whole = np.concatenate([matrix * coil.reshape(1, -1) for coil in maps])
    every = np.tile(weights.reshape(-1), 3)
    normal = whole.conj().T @ (every[:, None] * whole)
    assert np.allclose(operator.normal(image).reshape(-1), normal @ image.reshape(-1), atol=1e-4)
    assert np.allclose(operator.forward(image).reshape(-1), whole @ image.reshape(-1), atol=1e-4)
    samples = noise((3, 3, 6), 3)
    assert np.allclose(operator.adjoint(samples).reshape(-1), whole.conj().T @ (every * samples.reshape(-1)), atol=1e-4)
    assert operator.largest_eigenvalue_bound >= 0.98 * np.linalg.eigvalsh(normal)[-1]


def test_narrow_blocks_of_the_toeplitz_operator_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    trajectory, image = scattered((6, 7)), noise((6, 7))
    whole = ToeplitzNormal(trajectory).normal(image)
    monkeypatch.setattr("pacscore.recon.magnetic_resonance.noncartesian._BLOCK_BYTES", 8 * 12 * 5)
    narrow = ToeplitzNormal(trajectory)
    assert narrow.width == 5
    assert np.allclose(narrow.normal(image), whole, atol=1e-6)


def test_spokes_and_spirals_go_where_they_should() -> None:
    radial = recon.Trajectory.radial((16, 24), 4, samples=8)
    assert radial.coordinates.shape == (4, 8, 2)
    assert np.allclose(radial.coordinates[:, 4], 0)
    assert np.allclose(radial.coordinates[0, :, 0], 0)  # The first spoke runs along kx, upwards.
    assert np.allclose(radial.coordinates[0, :, 1], (np.arange(8) - 4) * 3)
    assert np.allclose(radial.coordinates[2, :, 0], (np.arange(8) - 4) * 2)
    golden = recon.Trajectory.radial((16, 16), 3, golden_angle=True).coordinates
    angles = np.arctan2(golden[:, -1, 0], golden[:, -1, 1])
    assert np.allclose((np.diff(angles) - GOLDEN_ANGLE_RAD) % (2 * np.pi), 0, atol=1e-9)
    assert np.degrees(GOLDEN_ANGLE_RAD) == pytest.approx(111.246, abs=1e-3)
    spiral = recon.Trajectory.spiral((32, 32), 4)
    radius = np.linalg.norm(spiral.coordinates, axis=2)
    assert np.allclose(radius[:, 0], 0)
    assert np.allclose(radius[:, -1], 16)
    assert (np.diff(radius, axis=1) > 0).all()
    stack = recon.Trajectory.stack_of_stars((4, 16, 16), 3)
    assert stack.coordinates.shape == (12, 32, 3)
    assert set(stack.points[:, 0].tolist()) == {-2.0, -1.0, 0.0, 1.0}


@pytest.mark.parametrize("method", ["pipe", "cell"])
def test_densities_are_areas(method: str) -> None:
    radial = recon.Trajectory.radial((32, 32), 51)
    weights = recon.density_weights(radial, method=method)
    radius = np.linalg.norm(radial.coordinates, axis=2)
    ramp = np.pi / 51 * radius * 0.5
    middle = (radius > 4) & (radius < 12)
    assert np.allclose(weights[middle], ramp[middle], rtol=0.02 if method == "pipe" else 0.005)
    assert weights.sum() == pytest.approx(np.pi * 16**2, rel=0.06)
    assert (weights > 0).all()
    spiral = recon.density_weights(recon.Trajectory.spiral((32, 32), 6), method=method)
    assert spiral.sum() == pytest.approx(np.pi * 16**2, rel=0.06)


def test_densities_of_a_cartesian_grid_are_one() -> None:
    grid = np.stack(np.meshgrid(np.arange(12) - 6.0, np.arange(10) - 5.0, indexing="ij"), -1)
    trajectory = recon.Trajectory.of(grid, (12, 10))
    assert np.allclose(recon.density_weights(trajectory, method="cell")[1:-1, 1:-1], 1, atol=1e-6)
    assert np.allclose(recon.density_weights(trajectory, method="pipe")[4:-4, 4:-4], 1, atol=0.03)


def test_a_stack_of_stars_is_weighted_plane_by_plane() -> None:
    stack = recon.Trajectory.stack_of_stars((4, 16, 16), 9, golden_angle=False)
    weights = recon.density_weights(stack, method="cell").reshape(9, 4, -1)
    plane = recon.density_weights(recon.Trajectory.radial((16, 16), 9), method="cell")
    assert np.allclose(weights, plane[:, None])


@pytest.mark.parametrize("which", ["radial", "spiral", "stack"])
def test_gridding_and_iteration_bring_a_phantom_back(which: str) -> None:
    dimensions = 3 if which == "stack" else 2
    shape = (8, 32, 32) if which == "stack" else (48, 48)
    trajectory = {
        "radial": lambda: recon.Trajectory.radial(shape, 75),
        "spiral": lambda: recon.Trajectory.spiral(shape, 10),
        "stack": lambda: recon.Trajectory.stack_of_stars(shape, 40),
    }[which]()
    phantom = (kspace_phantoms.Ellipsoid(1.0, (0.0, 0.1, -0.05)[3 - dimensions :], (0.3, 0.2, 0.25)[3 - dimensions :]),)
    body = kspace_phantoms.phantom_image(phantom, shape)
    maps = kspace_phantoms.coil_maps(3, shape)
    samples = kspace_phantoms.phantom_kspace(phantom, trajectory, coils=3)
    weights = recon.density_weights(trajectory)
    gridded = recon.combine_coils(recon.grid(samples, trajectory, weights=weights), maps, axis=0)
    inside = kspace_phantoms.phantom_image(
        (kspace_phantoms.Ellipsoid(1.0, phantom[0].center, tuple(0.7 * a for a in phantom[0].semi_axes)),), shape
    ) == 1  # fmt: skip
    assert np.abs(gridded[inside].mean() - 1) < 0.04
    solved = recon.iterative_sense(samples, maps, trajectory, weights=weights, stopping=recon.Stopping(15, 0.0)).image
    assert np.abs(solved[inside].mean() - 1) < 0.03
    error = np.linalg.norm(solved - body) / np.linalg.norm(body)
    assert error < 0.2
    shifted = np.linalg.norm(np.roll(solved, 1, axis=-1) - body) / np.linalg.norm(body)
    assert error < 0.8 * shifted  # Half a pixel would make the two equal.


def test_off_resonance_is_in_the_operator_and_corrected() -> None:
    shape = (20, 18)
    trajectory = recon.Trajectory.spiral(shape, 3, samples=120)
    times = np.linspace(0.001, 0.021, 120)
    rows = (np.arange(20) - 10)[:, None] / 20 * np.ones(shape)
    field = 60 * rows + 20
    maps = noise((2, *shape), 3)
    operator = OffResonanceSense(maps, trajectory, field, times, tolerance=1e-6)
    matrix = twin.nonuniform_matrix(trajectory.points, shape)
    matrix = matrix * np.exp(-2j * np.pi * np.tile(times, 3)[:, None] * field.reshape(1, -1))
    whole = np.concatenate([matrix * coil.reshape(1, -1) for coil in maps])
    image, samples = noise(shape), noise((2, 3, 120), 1)
    wanted = whole @ image.reshape(-1)
    assert np.abs(operator.forward(image).reshape(-1) - wanted).max() < 1e-3 * np.abs(wanted).max()
    left = np.vdot(operator.forward(image), samples)
    assert abs(left - np.vdot(image, operator.adjoint(samples))) < 1e-4 * abs(left)
    smooth = kspace_phantoms.phantom_image((kspace_phantoms.Ellipsoid(1.0, (0.0, 0.1), (0.3, 0.2)),), shape)
    even = kspace_phantoms.coil_maps(2, shape)
    correct = OffResonanceSense(even, trajectory, field, times)
    measured = correct.forward(smooth)
    blurred = recon.iterative_sense(measured, even, trajectory).image
    mended = correct_off_resonance(measured, correct, stopping=recon.Stopping(25, 0.0)).image
    size = np.linalg.norm(smooth)
    assert np.linalg.norm(mended - smooth) < 0.15 * size < 0.5 * np.linalg.norm(blurred - smooth)


def test_wrong_trajectories_and_weights_are_refused() -> None:
    radial = recon.Trajectory.radial((8, 8), 4)
    samples = noise((2, *radial.coordinates.shape[:2]))
    for call in (
        lambda: recon.Trajectory.of(np.full((2, 3, 2), 5.0), (8, 8)),
        lambda: recon.Trajectory.of(np.full((2, 3, 2), np.nan), (8, 8)),
        lambda: recon.Trajectory.of(np.zeros((2, 3, 2)), (8, 8, 8)),
        lambda: recon.Trajectory.of(np.zeros(3), (8, 8)),
        lambda: recon.Trajectory.radial((8, 8), 0),
        lambda: recon.Trajectory.radial((8,), 3),
        lambda: recon.Trajectory.spiral((8, 8), 2, turns=-1),
        lambda: recon.Trajectory.stack_of_stars((8, 8), 2),
        lambda: recon.NonuniformFourier(radial, tolerance=1e-9),
        lambda: recon.NonuniformFourier(radial, library="own"),
        lambda: recon.NonuniformFourier(radial).forward(noise((8, 9))),
        lambda: recon.grid(samples, radial, weights=np.full(radial.coordinates.shape[:2], -1.0)),
        lambda: recon.grid(samples * np.nan, radial),
        lambda: recon.density_weights(radial, method="guess"),
        lambda: recon.density_weights(recon.Trajectory.radial((8, 8), 1), method="cell"),
        lambda: recon.density_weights(scattered((4, 4, 4)), method="cell"),
        lambda: recon.NonCartesianSense(noise((2, 8, 9)), radial),
        lambda: OffResonanceSense(noise((2, 8, 8)), radial, np.zeros((8, 9)), np.zeros(16)),
        lambda: OffResonanceSense(noise((2, 8, 8)), radial, np.zeros((8, 8)), np.zeros(3)),
    ):
        with pytest.raises(InputError):
            call()


def test_linear_algebra_has_one_thread_until_the_last_user_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Controller:
        def select(self, **choices: str) -> Controller:
            return self

        def limit(self, *, limits: int) -> Controller:
            calls.append(f"limit {limits}")
            return self

        def restore_original_limits(self) -> None:
            calls.append("restore")

    monkeypatch.setitem(sys.modules, "threadpoolctl", SimpleNamespace(ThreadpoolController=Controller))
    monkeypatch.setattr(libraries, "_blas_controller", None)
    with libraries.one_blas_thread():
        with libraries.one_blas_thread():
            assert calls == ["limit 1"]
        assert calls == ["limit 1"]
    assert calls == ["limit 1", "restore"]
    with pytest.raises(ValueError, match="inside"), libraries.one_blas_thread():
        raise ValueError("inside")
    assert calls == ["limit 1", "restore"] * 2
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)  # Not installed.
    with libraries.one_blas_thread():
        assert len(calls) == 4


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("pacscore.recon.magnetic_resonance.libraries.import_module", absent)
    with pytest.raises(UnsupportedError, match=r"finufft.*extra recon"):
        recon.NonuniformFourier(recon.Trajectory.radial((8, 8), 4))
