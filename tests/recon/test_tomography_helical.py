"""Helical scans: the phantom in Hounsfield units, either way along the table, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pacscore.errors import GeometryError, InputError, UnsupportedError
from pacscore.imaging.arrays import Watch
from pacscore.recon import Grid, HelicalGeometry, simulate, wfbp

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


@pytest.mark.kernel
def test_a_uniform_cylinder_is_uniform() -> None:
    geometry = helix(views=16, turns=2.2, row_count=6, column_count=14, row_spacing_mm=4.0, column_spacing_mm=5.0)
    cylinder = simulate.Phantom([1.0], [[0, 0, 0]], [[9.0, 9.0, 500.0]])
    found = wfbp(cylinder.project(geometry), geometry, Grid((3, 2, 2), (2.0, 3.0, 3.0)))
    assert np.allclose(found, found.mean(), rtol=0.1)
    assert found.mean() == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize(
    ("geometry", "grid", "error", "word"),
    [
        (helix(turns=0.5), GRID, GeometryError, "half a turn"),
        (helix(pitch=60.0), GRID, GeometryError, "gaps"),
        (helix(focal_spot_mm=(0, 1, 0)), GRID, UnsupportedError, "flying"),
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
