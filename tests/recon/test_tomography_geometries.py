"""Geometries, grids and phantoms: numbers, words, pictures, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from reference import tomography as twin

from pacscore.errors import GeometryError, InputError, UnsupportedError
from pacscore.recon import (
    ConeGeometry,
    FanGeometry,
    Grid,
    HelicalGeometry,
    ParallelGeometry,
    simulate,
)

ANGLES = np.array([0.2, 1.7, 3.0, 5.1])
CONE = {
    "row_count": 5, "column_count": 6, "row_spacing_mm": 2.0, "column_spacing_mm": 3.0, "source_to_axis_mm": 100.0,
    "source_to_detector_mm": 150.0,
}  # fmt: skip
HELIX = HelicalGeometry(ANGLES, 12.0, 5, 6, 2.0, 3.0, 100.0, 150.0, start_z_lps=-3.0)
ALL = [
    ParallelGeometry(ANGLES, 6, 3.0, row_count=5, row_spacing_mm=2.0),
    FanGeometry(ANGLES, 6, 3.0, 100.0, 150.0, row_count=5, center_column=2.2),
    FanGeometry(ANGLES, 6, 3.0, 100.0, 150.0, curved=True),
    ConeGeometry.circular(ANGLES, **CONE),
    ConeGeometry.circular(ANGLES, curved=True, column_offset_mm=4.0, **CONE),
    ConeGeometry.circular(ANGLES, tilt_rad=0.2, row_offset_mm=3.0, **CONE),
    HELIX,
]


def test_grid_indices_rise_along_slices_to_the_head_rows_to_the_back_and_columns_to_the_left() -> None:
    affine = Grid((3, 4, 5), (3.0, 2.0, 1.0), center_lps=(10, 20, 30)).index_to_lps
    assert np.allclose(affine[:3, :3], [[0, 0, 1], [0, 2, 0], [3, 0, 0]])
    assert np.allclose(affine @ [1, 1.5, 2, 1], [10, 20, 30, 1])


def test_slices_of_a_grid_stay_where_they_are() -> None:
    grid = Grid((7, 4, 5), (3.0, 2.0, 1.0))
    part = grid.slices(2, 5)
    assert part.shape == (3, 4, 5)
    assert np.allclose(part.index_to_lps @ [0, 0, 0, 1], grid.index_to_lps @ [2, 0, 0, 1])


def test_a_volume_carries_affine_unit_and_derivation() -> None:
    grid = Grid((2, 3, 4), 0.5)
    volume = grid.volume(np.ones(grid.shape, np.float32), derivation="fbp", unit="HU")
    assert np.array_equal(volume.index_to_lps, grid.index_to_lps)
    assert (volume.rescale.unit, volume.derivation, str(volume.geometry.verdict)) == ("HU", ("fbp",), "regular")
    with pytest.raises(InputError, match="shape"):
        grid.volume(np.ones((2, 3, 5), np.float32), derivation="fbp")


@pytest.mark.parametrize(
    "broken",
    [
        lambda: Grid((0, 3, 3)), lambda: Grid((3, 3, 3), -1.0), lambda: Grid((3, 3, 3), (1.0, 2.0)),
        lambda: Grid((3, 3, 3), center_lps=(0, np.nan, 0)), lambda: Grid((3, 3, 3), directions=np.ones((3, 3))),
        lambda: ParallelGeometry([], 6), lambda: ParallelGeometry([0, np.nan], 6), lambda: ParallelGeometry([0], 0),
        lambda: ParallelGeometry([0], 6, -1.0), lambda: ParallelGeometry([0], 6, center_column=np.inf),
        lambda: FanGeometry([0], 6, 1.0, 100.0, 50.0), lambda: FanGeometry([0], 600, 1.0, 100.0, 150.0, curved=True),
        lambda: ConeGeometry.circular([], **CONE), lambda: ConeGeometry.circular([0], **{**CONE, "row_count": 0}),
        lambda: ConeGeometry.circular([0], **{**CONE, "source_to_detector_mm": 50.0}),
        lambda: ConeGeometry.from_matrices(np.zeros((2, 3, 4)), row_count=4, column_count=4, column_spacing_mm=1.0),
        lambda: ConeGeometry([[100, 0, 0]], [[-50, 0, 0]], [[0, 1, 0]], [[0, 1, 0]], 4, 4, 1.0, 1.0),
        lambda: HelicalGeometry([0, 1, 0.5], 10, 4, 4, 1.0, 1.0, 100.0, 150.0),
        lambda: simulate.sphere(-1.0), lambda: simulate.Phantom([1, 2], [[0, 0, 0]] * 3, [[1, 1, 1]]),
    ],
)  # fmt: skip
def test_numbers_that_describe_no_scan_are_refused(broken) -> None:
    with pytest.raises(InputError):
        broken()


@pytest.mark.parametrize("geometry", ALL, ids=lambda each: str(each)[:24])
def test_maps_and_rays_tell_of_the_same_detector(geometry) -> None:
    """A point on the ray of a pixel is mapped to that pixel, by formulas that share nothing but the geometry."""
    if isinstance(geometry, HelicalGeometry):
        geometry = geometry.cone()
    for view in range(geometry.shape[0]):
        points, directions = geometry.rays(view)
        places = points + 77.0 * directions
        for row, column in ((0, 0), (geometry.shape[1] - 1, 1), (geometry.shape[1] // 2, geometry.shape[2] - 1)):
            place = [*places[row, column], 1.0]
            if isinstance(geometry, ConeGeometry):
                n, b, w = geometry.maps()[view] @ place
                curve = geometry.columns_per_radian
                found = np.arctan(n / w) * curve if curve else n / w
                found_row = b / np.hypot(n, w) if curve else b / w
                assert np.isclose(found_row + geometry.center[0], row, atol=1e-9)
                found += geometry.center[1]
            else:
                n, w = geometry.column_maps()[view] @ [place[0], place[1], 1.0]
                curve = geometry.columns_per_radian
                found = (np.arctan(n / w) * curve if curve else n / w) + geometry.center
            assert np.isclose(found, column, atol=1e-9)
            assert np.isclose(np.linalg.norm(directions[row, column]), 1.0)


def test_matrices_give_back_the_geometry_they_were_made_of() -> None:
    for one in (ConeGeometry.circular(ANGLES, **CONE), ConeGeometry.circular(ANGLES, tilt_rad=0.2, **CONE)):
        matrices = one.maps()
        matrices[:, 0] += one.center[1] * matrices[:, 2]
        matrices[:, 1] += one.center[0] * matrices[:, 2]
        again = ConeGeometry.from_matrices(-3.0 * matrices, row_count=5, column_count=6, column_spacing_mm=3.0)
        assert np.allclose(again.source_lps, one.source_lps)
        for view in range(4):
            assert np.allclose(again.rays(view)[1], one.rays(view)[1])


@pytest.mark.parametrize("geometry", ALL, ids=lambda each: str(each)[:24])
def test_geometries_are_words_and_pictures(geometry) -> None:
    picture = geometry.picture(Grid((4, 5, 6), 5.0), size=96)
    assert picture.size == (192, 96)
    assert len(picture.getcolors(4096)) >= 5
    assert "views over" in str(geometry)
    assert "mm" in str(geometry)


@pytest.mark.kernel
@pytest.mark.parametrize("geometry", ALL, ids=lambda each: str(each)[:24])
@pytest.mark.parametrize("clips", [(), ((1, 0.6, 0.8, 0.0, 1.5), (0, 0.0, -0.6, 0.8, 2.0), (0, 1.0, 0.0, 0.0, 4.0))])
def test_projections_of_phantoms_are_their_line_integrals(geometry, clips) -> None:
    phantom = simulate.Phantom(
        [1.0, -0.5], [[1, 2, 0.5], [0, -1, 0]], [[9, 7, 8], [3, 4, 3]], turns_rad=[0.4, 0.0], clips=clips
    )  # fmt: skip
    found = phantom.project(geometry)
    for view, row, column in ((0, 0, 3), (3, geometry.shape[1] - 1, 2), (2, geometry.shape[1] // 2, 3)):
        points, directions = geometry.rays(view)
        point, direction = points[row, column], directions[row, column]
        nearest = point - (point @ direction) * direction
        expected = twin.chord_sum(phantom.rows(), phantom.clips, nearest, direction, 20.0)
        assert found[view, row, column] == pytest.approx(expected, abs=0.01)


@pytest.mark.kernel
def test_a_phantom_on_a_grid_has_its_volume_and_its_place() -> None:
    grid = Grid((8, 9, 10), 1.0)
    values = simulate.sphere(3.0, (1.0, -1.0, 0.5), value=2.0).on_grid(grid, samples=3)
    assert values.sum() == pytest.approx(2.0 * 4 / 3 * np.pi * 27, rel=0.02)
    middle = (np.indices(grid.shape) * values).sum(axis=(1, 2, 3)) / values.sum()
    assert np.allclose(grid.index_to_lps[:3, :3] @ middle + grid.index_to_lps[:3, 3], [1.0, -1.0, 0.5], atol=0.02)


def test_the_forbild_head_has_its_tissues_and_its_mass_in_every_view() -> None:
    phantom, grid = simulate.forbild_head(), Grid((1, 260, 210), 1.0)
    at = phantom.on_grid(grid, samples=1)[0]
    assert set(np.unique(at.astype(np.float64).round(4)).tolist()) == {
        0.0,
        1.045,
        1.0475,
        1.05,
        1.0525,
        1.055,
        1.06,
        1.8,
    }
    for (x, y), value in {(0, 0): 1.05, (0, 84): 0.0, (-47, 43): 1.06, (0, -36): 1.045, (-11, -90): 1.0525,
                          (11, -90): 1.0475, (94, 0): 1.8, (0, -119): 1.8, (64, -64): 1.055}.items():  # fmt: skip
        assert at[round(129.5 + y), round(104.5 + x)] == pytest.approx(value, abs=1e-5), (x, y)
    geometry = ParallelGeometry(np.arange(8) * np.pi / 8, 560, 0.5)
    mass = phantom.project(geometry).sum(axis=(1, 2)) * 0.5
    assert np.allclose(mass, phantom.on_grid(grid, samples=5).sum(), rtol=1e-3)
    air = phantom.on_grid(Grid((1, 1, 1), 0.01, center_lps=(88.0, 0.0, 0.0)))
    assert air.item() == pytest.approx(0.0, abs=1e-6)
    pattern = [phantom.on_grid(Grid((1, 1, 1), 0.01, center_lps=(x, -10.0, 0.0))).item() for x in (-70.0, -69.6)]
    assert np.allclose(pattern, [1.8, 1.05])
    with pytest.raises(InputError, match="clips"):
        simulate.Phantom([1.0], [[0, 0, 0]], [[1, 1, 1]], clips=[(1, 1.0, 0.0, 0.0, 0.5)])


def test_a_flying_focal_spot_moves_the_source_and_not_the_detector() -> None:
    spot = np.zeros((4, 3))
    spot[1] = (1.0, 2.0, 0.5)
    flying = HelicalGeometry(ANGLES, 12.0, 5, 6, 2.0, 3.0, 100.0, 150.0, start_z_lps=-3.0, focal_spot_mm=spot)
    still, moved = HELIX.rays(1), flying.rays(1)
    assert np.linalg.norm(moved[0][0, 0] - still[0][0, 0]) == pytest.approx(np.sqrt(5.25))
    pixel = still[0][2, 3] + still[1][2, 3] * 150.0 / np.cos(np.arctan(0.0))
    toward = (pixel - moved[0][2, 3]) / np.linalg.norm(pixel - moved[0][2, 3])
    assert np.allclose(toward, moved[1][2, 3], atol=1e-6)
    with pytest.raises(UnsupportedError, match="flying"):
        flying.cone()


def test_an_offset_axis_off_the_detector_is_refused() -> None:
    from pacscore.recon import fbp

    geometry = ParallelGeometry(np.linspace(0, 2 * np.pi, 40, endpoint=False), 16, center_column=-3.0)
    with pytest.raises(GeometryError, match="off the detector"):
        fbp(np.ones(geometry.shape), geometry)
