"""Helical scans: the phantom in Hounsfield units, either way along the table, and what is refused."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

from pacscore.errors import GeometryError, InputError
from pacscore.imaging.arrays import Watch
from pacscore.recon import Grid, HelicalGeometry, simulate, wfbp
from pacscore.recon.flying_spots import FlyingSpots

# 1000 is water beside air at 0; without symmetry along any axis.
BODY = simulate.Phantom(
    [1000.0, 60.0, -50.0, 40.0], [[0, 0, 0], [9, 3, 4], [-8, 6, -6], [2, -11, 1]],
    [[26, 24, 400], [5, 5, 4], [4, 5, 5], [5, 4, 12]],
)  # fmt: skip
GRID = Grid((24, 60, 62), 1.0)


def helix(turns: float = 4.5, pitch: float = 16.0, views: int = 120, **more) -> HelicalGeometry:
    given = {"row_count": 16, "column_count": 80, "row_spacing_mm": 1.6, "column_spacing_mm": 1.4} | more
    angles = np.arange(round(turns * views)) * 2 * np.pi / views
    return HelicalGeometry(
        angles, pitch, source_to_axis_mm=300.0, source_to_detector_mm=480.0, start_z_lps=-pitch * turns / 2, **given
    )  # fmt: skip


def reversed_scan(geometry: HelicalGeometry) -> HelicalGeometry:
    return dataclasses.replace(geometry, angles_rad=-geometry.angles, pitch_mm=-geometry.pitch_mm)


@pytest.mark.parametrize(
    "geometry",
    [helix(), helix(pitch=-16.0), reversed_scan(helix()), helix(pitch=8.0, turns=7), helix(center_column=41.25),
     helix(center_row=8.5)],
    ids=["plain", "toward the feet", "falling angles", "half the pitch", "quarter offset", "rows off"],
)  # fmt: skip
def test_the_phantom_comes_back_in_hounsfield_units_and_not_its_mirror_image(geometry: HelicalGeometry) -> None:
    truth = BODY.on_grid(GRID)
    found = wfbp(BODY.project(geometry), geometry, GRID)
    inside = np.s_[:, 14:46, 14:48]
    error = np.sqrt(np.mean((found - truth)[inside] ** 2))
    assert error < 9.0
    for flipped in (found[::-1], found[:, ::-1], found[:, :, ::-1]):
        assert np.sqrt(np.mean((flipped - truth)[inside] ** 2)) > 1.5 * error
    assert (found - truth)[8:16, 26:34, 26:34].std() < 2.0
    assert abs((found - truth)[8:16, 26:34, 26:34].mean()) < 1.0


def test_flipped_grids_threads_and_parts_give_the_same_values() -> None:
    geometry = helix()
    projections = BODY.project(geometry)
    plain = wfbp(projections, geometry, GRID, watch=Watch(threads=1))
    assert np.array_equal(wfbp(projections, geometry, GRID, watch=Watch(threads=3)), plain)
    feet_first = Grid(GRID.shape, 1.0, directions=[[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    assert np.allclose(wfbp(projections, geometry, feet_first)[::-1], plain, atol=0.05)
    assert np.allclose(wfbp(projections, geometry, GRID.slices(5, 11)), plain[5:11], atol=0.05)


def flown(*spots: tuple[float, float, float], **more) -> HelicalGeometry:
    """Views in turn from spots shifted outward, along the columns and along z."""
    views = helix(**more).angles.size
    return helix(focal_spot_mm=np.array(spots)[np.arange(views) % len(spots)], **more)


def error_of(found: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - BODY.on_grid(GRID))[:, 14:46, 14:48] ** 2)))


@functools.cache
def error_of_a_still_spot() -> float:
    return error_of(wfbp(BODY.project(helix()), helix(), GRID))


# Half a column and half a row at the axis, as scanners do it; then several of each.
@pytest.mark.parametrize(
    "geometry",
    [flown((0, -0.6, 0), (0, 0.6, 0)), flown((0, 0, -0.7), (0, 0, 0.7)),
     flown((0.5, -0.6, -0.7), (-0.5, 0.6, -0.7), (0.5, -0.6, 0.7), (-0.5, 0.6, 0.7)),
     reversed_scan(flown((0.5, -0.6, -0.7), (-0.5, 0.6, 0.7)))],
    ids=["columns", "rows", "both", "falling angles"],
)  # fmt: skip
def test_a_focal_spot_that_flies_as_in_scanners_costs_a_tenth_of_the_error_at_most(geometry: HelicalGeometry) -> None:
    assert error_of(wfbp(BODY.project(geometry), geometry, GRID)) < 1.1 * error_of_a_still_spot()


@pytest.mark.parametrize(
    "spots",
    [((0, -6, 0), (0, 6, 0)), ((0, 0, -3), (0, 0, 3)), ((0, 0, 5),), ((3, 5, -2), (-3, -5, 2), (1, 0, 1))],
    ids=["columns", "rows", "not at its mean", "all"],
)
def test_spots_that_fly_far_are_followed_and_not_ignored(spots) -> None:
    geometry = flown(*spots)
    projections = BODY.project(geometry)
    assert error_of(wfbp(projections, geometry, GRID)) < 1.1 * error_of_a_still_spot()
    assert error_of(wfbp(projections, helix(), GRID)) > 1.6 * error_of_a_still_spot()


def test_rebinned_rays_are_those_that_were_measured() -> None:
    """Places found by formula, looked up among the rays of the geometry: the same lines, the same heights."""
    geometry = flown((2, 3, -2), (-1, -4, 1), (0, 5, 2))
    across, angle = np.linspace(-30, 30, 7), 9.123
    found = FlyingSpots.of(geometry)
    views, places, parts = found.rays_of(angle, across)
    angles = np.empty((2, across.size))
    for side, ray in np.ndindex(2, across.size):
        view, (column, first, step) = int(views[side, ray]), places[side, ray]
        whole, row = int(column), 5
        at = first + step * row
        points, directions = geometry.rays(view)
        part, level = column - whole, int(at)
        cells = [(level, whole, (1 - part) * (1 + level - at)), (level, whole + 1, part * (1 + level - at)),
                 (level + 1, whole, (1 - part) * (at - level)),
                 (level + 1, whole + 1, part * (at - level))]  # fmt: skip
        point, along = points[0, 0], sum(weight * directions[r, c] for r, c, weight in cells)
        flat = np.hypot(along[0], along[1])
        assert (point[0] * along[1] - point[1] * along[0]) / flat == pytest.approx(across[ray], abs=1e-3)
        angles[side, ray] = np.arctan2(along[1], along[0]) - np.pi / 2
        closest = point[2] - along[2] * (point[:2] @ along[:2]) / flat**2
        seen = angle + np.mod(angles[side, ray] - angle + np.pi, 2 * np.pi) - np.pi
        still, near = found.still, np.sqrt(geometry.source_to_axis_mm**2 - across[ray] ** 2)
        turned = seen - np.pi / 2 + np.arcsin(across[ray] / geometry.source_to_axis_mm) - geometry.angles[0]
        expected = still.start_z_lps + turned * still.rise_mm_per_rad
        expected += (row - still.center[0]) * still.row_spacing_mm * near / still.source_to_detector_mm
        assert closest == pytest.approx(expected, abs=1e-3)
    between = angles[0] + parts * (angles[1] - angles[0])
    assert np.allclose(np.mod(between - angle + np.pi, 2 * np.pi) - np.pi, 0, atol=1e-5)
    assert (np.abs(angles[1] - angles[0]) < 2 * np.pi / 120 + 10 / 300).all()


@pytest.mark.kernel
def test_a_uniform_cylinder_is_uniform() -> None:
    geometry = helix(views=16, turns=2.2, row_count=6, column_count=14, row_spacing_mm=4.0, column_spacing_mm=5.0)
    cylinder = simulate.Phantom([1.0], [[0, 0, 0]], [[9.0, 9.0, 500.0]])
    flying = dataclasses.replace(
        geometry, focal_spot_mm=np.resize([[1, 2, -1], [-1, -2, 1]], (geometry.angles.size, 3))
    )
    for each in (geometry, flying):
        found = wfbp(cylinder.project(each), each, Grid((3, 2, 2), (2.0, 3.0, 3.0)))
        assert np.allclose(found, found.mean(), rtol=0.1)
        assert found.mean() == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize(
    ("geometry", "grid", "error", "word"),
    [
        (helix(turns=0.5), GRID, GeometryError, "half a turn"),
        (helix(pitch=60.0), GRID, GeometryError, "gaps"),
        (flown((0, 0, 25), (0, 0, -25)), GRID, GeometryError, "no row is seen"),
        (flown((0, 0, 14), (0, 0, -14)), GRID, GeometryError, "gaps"),
        (flown((0, 150, 0), (0, -150, 0)), GRID, GeometryError, "off the detector"),
        (helix(), Grid((3, 900, 900), 1.0), GeometryError, "reaches to the source"),
        (helix(), Grid((9, 9, 9), directions=[[0, 0.6, 0.8], [1, 0, 0], [0, 0.8, -0.6]]), GeometryError, "tilted"),
        (dataclasses.replace(helix(), angles_rad=np.sort(np.random.default_rng(0).uniform(0, 9, 540))), GRID,
         InputError, "evenly"),
        (helix(center_column=-3.0), GRID, GeometryError, "off the detector"),
    ],
)  # fmt: skip
def test_what_is_no_helix_for_this_method_is_refused(geometry, grid, error, word: str) -> None:
    with pytest.raises(error, match=word):
        wfbp(np.zeros(geometry.shape, np.float32), geometry, grid)
