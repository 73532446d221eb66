"""The projector and its adjoint: against Joseph's formula ray by ray, as one matrix, and as an operator."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from reference import tomography as twin

from pacscore.errors import GeometryError, InputError
from pacscore.recon import ConeGeometry, FanGeometry, Grid, HelicalGeometry, ParallelGeometry, Projector, simulate

ANGLES = np.array([0.1, 0.9, 1.6, 2.3, 3.2, 4.4, 5.7])
CONE = {
    "row_count": 9, "column_count": 8, "row_spacing_mm": 1.5, "column_spacing_mm": 1.4, "source_to_axis_mm": 40.0,
    "source_to_detector_mm": 60.0,
}  # fmt: skip


def wobbling() -> ConeGeometry:
    """Detectors about the source turned by three angles that differ between views: no two tilts are one."""
    turns = np.stack([0.3 * np.sin(ANGLES), 0.2 * np.cos(2 * ANGLES)], axis=1)
    plain = ConeGeometry.circular(ANGLES, curved=True, **CONE)
    e, g, normal, depth = plain.frames
    c, s = np.cos(turns), np.sin(turns)
    rows = g * c[:, :1] + normal * s[:, :1]
    deep = normal * c[:, :1] - g * s[:, :1]
    columns, rows = e * c[:, 1:] + rows * s[:, 1:], rows * c[:, 1:] - e * s[:, 1:]
    return dataclasses.replace(
        plain, detector_lps=np.asarray(plain.source_lps) + deep * depth[:, None], column_direction=columns,
        row_direction=rows,
    )  # fmt: skip


CASES = {
    "parallel": (ParallelGeometry(ANGLES, 11, 0.9, row_count=3), Grid((3, 7, 8), 1.0)),
    "parallel, fine columns": (ParallelGeometry(ANGLES, 40, 0.23), Grid((1, 6, 7), (1.0, 1.1, 0.9))),
    "parallel, turned grid": (
        ParallelGeometry(ANGLES, 11, 0.9),
        Grid((1, 7, 8), 1.0, directions=[[0, 0.6, 0.8], [0, 0.8, -0.6], [1, 0, 0]]),
    ),
    "fan": (FanGeometry(ANGLES, 12, 1.4, 40.0, 60.0, row_count=9), Grid((9, 7, 8), 1.0)),
    "fan, curved, off": (
        FanGeometry(ANGLES, 12, 1.4, 40.0, 60.0, curved=True, center_column=4.7), Grid((1, 7, 8), (1, 1.1, 0.9)),
    ),
    "cone": (ConeGeometry.circular(ANGLES, **CONE), Grid((6, 7, 8), 1.0)),
    "cone, curved, off": (
        ConeGeometry.circular(ANGLES, curved=True, column_offset_mm=1.0, row_offset_mm=2.0, **CONE),
        Grid((6, 7, 8), (0.8, 1.0, 1.1), center_lps=(0.5, -1, 0.7)),
    ),
    "cone, sagging, flipped grid": (
        ConeGeometry.circular(ANGLES, sag_mm=np.stack([np.sin(ANGLES), np.cos(ANGLES)], axis=1), **CONE),
        Grid((6, 7, 8), 1.0, directions=[[0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
    ),
    "helix": (HelicalGeometry(ANGLES, 6.0, 9, 8, 1.5, 1.4, 40.0, 60.0), Grid((6, 7, 8), 1.0)),
    "helix, flying focal spot": (
        HelicalGeometry(
            ANGLES, 6.0, 9, 8, 1.5, 1.4, 40.0, 60.0,
            focal_spot_mm=np.array([[0, 0, 0], [1, 0.7, -0.5]])[np.arange(7) % 2],
        ),
        Grid((6, 7, 8), (0.8, 1.0, 1.1), center_lps=(0.5, -1, 0.7)),
    ),
    "cone, tilted": (
        ConeGeometry.circular(ANGLES, tilt_rad=0.3, column_offset_mm=1.0, **CONE), Grid((6, 7, 8), (0.8, 1.0, 1.1)),
    ),
    "cone, curved, tilted, sagging": (
        ConeGeometry.circular(
            ANGLES, curved=True, tilt_rad=-0.2, row_offset_mm=2.0, sag_mm=np.stack([ANGLES, -ANGLES], axis=1) / 9,
            **CONE,
        ),
        Grid((6, 7, 8), (0.8, 1.0, 1.1), center_lps=(0.5, -1, 0.7)),
    ),
    "cone, curved, tilted another way in each view": (wobbling(), Grid((1, 7, 8), 1.0)),
    "helix, flying focal spot, tilted grid of one row": (
        HelicalGeometry(ANGLES, 6.0, 9, 8, 1.5, 1.4, 40.0, 60.0, focal_spot_mm=(1, 0.7, -0.5)),
        Grid((9, 1, 8), 1.0, directions=[[0, 0.6, 0.8], [1, 0, 0], [0, 0.8, -0.6]]),
    ),
}  # fmt: skip


@pytest.mark.kernel
@pytest.mark.parametrize("name", list(CASES))
def test_rays_are_josephs_sums(name: str) -> None:
    geometry, grid = CASES[name]
    volume = np.random.default_rng(3).random(grid.shape, np.float32)
    found = (Projector(geometry, grid) @ volume).reshape(geometry.shape)
    to_index = np.linalg.inv(grid.index_to_lps)
    for view in range(0, geometry.shape[0], 3):
        points, directions = geometry.rays(view)
        for row, column in np.ndindex(geometry.shape[1:]):
            expected = twin.joseph_sum(volume, to_index, points[row, column], directions[row, column])
            assert found[view, row, column] == pytest.approx(expected, abs=2e-4), (view, row, column)


@pytest.mark.kernel
@pytest.mark.parametrize("name", list(CASES))
def test_the_adjoint_is_the_same_matrix(name: str) -> None:
    geometry, grid = CASES[name]
    chance = np.random.default_rng(4)
    x, y = chance.random(grid.shape, np.float32), chance.random(geometry.shape, np.float32)
    operator = Projector(geometry, grid)
    forward = float(np.sum((operator @ x).astype(np.float64).reshape(-1) * y.reshape(-1)))
    back = float(np.sum((operator.T @ y).astype(np.float64).reshape(-1) * x.reshape(-1)))
    assert back == pytest.approx(forward, rel=1e-6)


def test_a_single_voxel_and_a_single_ray_match_in_both_directions() -> None:
    """Inner products could hide an error that sums away: here each matrix element is looked at by itself."""
    for name in ("parallel, fine columns", "fan, curved, off", "cone, curved, off", "cone, curved, tilted, sagging"):
        geometry, grid = CASES[name]
        operator = Projector(geometry, grid)
        voxels, rays = int(np.prod(grid.shape)), int(np.prod(geometry.shape))
        for voxel in (0, voxels // 2, voxels - 1, voxels // 3):
            unit = np.zeros(voxels, np.float32)
            unit[voxel] = 1
            column = operator @ unit
            for ray in {int(np.argmax(column)), rays // 2, *np.flatnonzero(column)[:3].tolist()}:
                single = np.zeros(rays, np.float32)
                single[ray] = 1
                assert (operator.T @ single)[voxel] == pytest.approx(column[ray], abs=3e-6)


def test_stacks_of_any_height_are_cut_into_chunks() -> None:
    for rows in (1, 8, 31, 33, 70):
        geometry = ParallelGeometry(ANGLES, 12, row_count=rows)
        grid = Grid((rows, 9, 10), 1.0)
        volume = np.random.default_rng(rows).random(grid.shape, np.float32)
        one = Projector(ParallelGeometry(ANGLES, 12), Grid((1, 9, 10), 1.0))
        whole = Projector(geometry, grid) @ volume
        for row in (0, rows // 2, rows - 1):
            assert np.allclose(whole[:, row], (one @ volume[row : row + 1])[:, 0], atol=1e-5)


def test_some_views_only_leave_the_others() -> None:
    for name in ("parallel", "cone", "cone, tilted"):
        geometry, grid = CASES[name]
        operator = Projector(geometry, grid)
        volume = operator.native_volume(np.random.default_rng(0).random(grid.shape))
        every = operator.projections_of(operator.forward(volume))
        chosen = np.array([5, 0, 3])
        some = operator.native_projections(np.full(geometry.shape, 7.0))
        operator.forward(volume, out=some, views=chosen)
        found = operator.projections_of(some)
        assert np.allclose(found[chosen], every[chosen], atol=1e-6)
        assert (found[[1, 2, 4, 6]] == 7.0).all()
        masked = every.copy()
        masked[[1, 2, 4, 6]] = 0
        expected = operator.T @ masked
        back = operator.volume_of(operator.adjoint(operator.native_projections(every), views=chosen))
        assert np.allclose(back, expected, atol=1e-4)


def test_the_norm_is_the_largest_singular_value_and_scipy_can_solve() -> None:
    linalg = pytest.importorskip("scipy.sparse.linalg", reason="SciPy is in the extra recon")
    geometry, grid = ParallelGeometry(np.linspace(0, np.pi, 12, endpoint=False), 10), Grid((1, 8, 8), 1.0)
    operator = Projector(geometry, grid)
    dense = np.stack([operator @ unit for unit in np.eye(64, dtype=np.float32)], axis=1)
    assert operator.shape == dense.shape == (120, 64)
    assert operator.T.shape == (64, 120)
    largest = np.linalg.svd(dense, compute_uv=False)[0]
    assert operator.normest() == pytest.approx(largest, rel=1e-3)
    truth = np.random.default_rng(0).random(64)
    found = linalg.lsqr(operator.linear_operator(), operator @ truth.astype(np.float32), iter_lim=400)[0]
    assert np.allclose(found, truth, atol=0.05)


@pytest.mark.parametrize("more", [{}, {"tilt_rad": 0.3}, {"tilt_rad": 0.3, "curved": True}])
def test_projections_of_a_ball_are_nearly_exact(more: dict) -> None:
    geometry = ConeGeometry.circular(
        np.linspace(0, 6, 9), row_count=40, column_count=40, row_spacing_mm=1.5, column_spacing_mm=1.5,
        source_to_axis_mm=100.0, source_to_detector_mm=150.0, **more,
    )  # fmt: skip
    grid, ball = Grid((36, 36, 36), 1.0), simulate.sphere(11.0, (2, -3, 4))
    exact = ball.project(geometry)
    found = Projector(geometry, grid) @ ball.on_grid(grid, samples=4)
    assert np.linalg.norm(found - exact) < 0.04 * np.linalg.norm(exact)


def test_what_no_projector_can_do_is_refused() -> None:
    geometry, grid = CASES["parallel"]
    with pytest.raises(InputError, match="slice for each detector row"):
        Projector(geometry, Grid((2, 7, 8), 1.0))
    with pytest.raises(InputError, match="takes arrays of shape"):
        Projector(geometry, grid) @ np.zeros((3, 8, 7))
    cone, _ = CASES["cone"]
    with pytest.raises(GeometryError, match="reaches to the source"):
        Projector(cone, Grid((6, 7, 8), 20.0))
    with pytest.raises(GeometryError, match="reaches to the source"):
        Projector(cone, Grid((90, 2, 2), 1.0, directions=[[1, 0, 0], [0, 1, 0], [0, 0, 1]]))
    with pytest.raises(InputError, match="normest"):
        Projector(geometry, grid).normest(iterations=0)


def test_a_detector_that_sees_nothing_of_the_grid_gives_zeros() -> None:
    geometry = dataclasses.replace(CASES["parallel"][0], center_column=-400.0)
    operator = Projector(geometry, CASES["parallel"][1])
    assert not (operator @ np.ones((3, 7, 8), np.float32)).any()
    assert not (operator.T @ np.ones(geometry.shape, np.float32)).any()
    assert operator.normest() == 0.0
