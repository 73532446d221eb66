"""Filtered backprojection: against formulas, exact phantoms, and itself in other arrangements."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from reference import tomography as twin

from pacscore.errors import CancelledError, GeometryError, InputError
from pacscore.imaging.arrays import Watch
from pacscore.recon import (
    ConeGeometry,
    FanGeometry,
    Filter,
    Grid,
    ParallelGeometry,
    fbp,
    fdk,
    simulate,
)
from pacscore.recon.cone_backprojection import Backprojection
from pacscore.recon.cone_scans import Scan
from pacscore.recon.redundancy import arc_weights, offset_weights, parker_weights

TURN = 2 * np.pi


def circle(views: int, span: float = TURN) -> np.ndarray:
    return np.arange(views) * span / views


def cone(angles, rows: int = 40, columns: int = 44, **more) -> ConeGeometry:
    return ConeGeometry.circular(
        angles, row_count=rows, column_count=columns, row_spacing_mm=1.7, column_spacing_mm=1.6,
        source_to_axis_mm=200.0, source_to_detector_mm=300.0, **more,
    )  # fmt: skip


# One phantom without any symmetry: a flip of any axis, or two of them exchanged, is seen.
HANDED = simulate.Phantom(
    [0.02, 0.05, 0.03, -0.01], [[0, 0, 0], [6, -2, 3], [-5, 5, -4], [1, 7, 1]],
    [[13, 12, 11], [3, 2.5, 2], [2.5, 3, 3], [3, 2, 3]], [0.3, 0, 0, 0],
)  # fmt: skip
GRID = Grid((26, 30, 32), 0.9)


def relative(found, truth) -> float:
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


@pytest.mark.kernel
@pytest.mark.parametrize("columns", [7, 16])
def test_rows_are_filtered_as_the_formula_says(columns: int) -> None:
    row = np.random.default_rng(0).random(columns)
    matrix = Filter().matrix(columns)
    assert np.allclose(matrix @ row, twin.ramp_filtered(row), atol=1e-12)


def test_filters_have_their_frequency_responses() -> None:
    frequency = np.fft.rfftfreq(4096) * 2
    for name, shape in {
        "shepp-logan": np.sinc(frequency / 2), "cosine": np.cos(np.pi * frequency / 2),
        "hann": 0.5 + 0.5 * np.cos(np.pi * frequency), "hamming": 0.54 + 0.46 * np.cos(np.pi * frequency),
    }.items():  # fmt: skip
        taps = Filter(name).response(1000)
        found = np.abs(np.fft.rfft(np.roll(np.pad(taps, (0, 4096 - taps.size)), -1000)))
        assert np.allclose(found, frequency / 2 * shape, atol=1e-3), name
    cut = Filter("hann", cutoff=0.5).response(1000)
    assert np.abs(np.fft.rfft(cut, 4096))[1100:].max() < 1e-3


def test_unknown_filters_and_numbers_are_refused() -> None:
    for broken in (lambda: Filter("ram-lak"), lambda: Filter(cutoff=0.0), lambda: Filter(extrapolate=-1)):
        with pytest.raises(InputError):
            broken()


def lanes(geometry: ConeGeometry, grid: Grid) -> int:
    return Backprojection.of(Scan.of(geometry, grid, Filter(), limited_angle=True)).lanes


@pytest.mark.kernel
@pytest.mark.parametrize("rows", [9, 10])
@pytest.mark.parametrize(("shape", "shared"), [((9, 4, 4), 1), ((10, 4, 3), 2), ((10, 4, 4), 8)])
def test_fdk_equals_its_formula_voxel_by_voxel(rows: int, shape: tuple[int, int, int], shared: int) -> None:
    angles = circle(8)
    geometry = ConeGeometry.circular(
        angles, row_count=rows, column_count=9, row_spacing_mm=1.5, column_spacing_mm=1.2, source_to_axis_mm=50.0,
        source_to_detector_mm=80.0,
    )  # fmt: skip
    projections = np.random.default_rng(1).random(geometry.shape, np.float32)
    grid = Grid(shape, (0.8, 1.0, 1.0))
    indices = np.array(list(np.ndindex(grid.shape)))
    places = indices @ grid.index_to_lps[:3, :3].T + grid.index_to_lps[:3, 3]
    expected = twin.fdk_of_circle(projections, angles, 50.0, 80.0, (1.5, 1.2), places).reshape(grid.shape)
    assert lanes(geometry, grid) == shared
    for symmetric in (False, True):
        found = fdk(projections, geometry, grid, symmetric=symmetric)
        assert np.abs(found - expected).max() < 2e-6, symmetric


@pytest.mark.parametrize(
    ("more", "depth_mm", "shared"),
    [
        ({}, 0.05, 8), ({"curved": True}, 0.9, 8), ({"row_offset_mm": 5.1}, 0.9, 8), ({"row_offset_mm": -4.25}, 0.9, 8),
        ({"row_offset_mm": 4.0}, 0.9, 1), ({"row_offset_mm": 51.0}, 0.9, 1),
        ({"sag_mm": np.stack([0.3 * np.sin(circle(24)), 0 * circle(24)], axis=1)}, 0.9, 2),
    ],
)  # fmt: skip
def test_voxels_share_work_only_where_their_mirror_images_are_seen_alike(more, depth_mm: float, shared: int) -> None:
    geometry, grid = cone(circle(24), **more), Grid((14, 20, 20), (depth_mm, 0.9, 0.9))
    projections = np.random.default_rng(3).random(geometry.shape, np.float32)
    assert lanes(geometry, grid) == shared
    alone = fdk(projections, geometry, grid, symmetric=False)
    assert np.abs(fdk(projections, geometry, grid) - alone).max() < 5e-6
    part = Grid((14, 20, 20), (depth_mm, 0.9, 0.9), center_lps=(0.0, 0.0, 0.2))
    assert lanes(geometry, part) == 1


@pytest.mark.kernel
@pytest.mark.parametrize("rows", [1, 5])
def test_parallel_fbp_equals_its_formula(rows: int) -> None:
    geometry = ParallelGeometry(circle(6, np.pi), 11, 0.9, row_count=rows)
    projections = np.random.default_rng(2).random(geometry.shape, np.float32)
    grid = Grid((rows, 9, 7), 1.0)
    found = fbp(projections, geometry, grid)
    indices = np.array(list(np.ndindex(9, 7)))[:, ::-1] - [3.0, 4.0]
    for row in (0, rows - 1):
        expected = twin.fbp_parallel(projections[:, row], geometry.angles, 0.9, indices).reshape(9, 7)
        assert np.abs(found[row] - expected).max() < 2e-6


def arrangements() -> dict[str, ConeGeometry]:
    full = circle(120)
    return {
        "full": cone(full),
        "full, falling angles": cone(-full),
        "full, any order": cone(np.random.default_rng(0).permutation(full)),
        "curved": cone(full, curved=True),
        "short": cone(circle(120)[:72] + 0.7),
        "short, falling": cone(-circle(120)[:72] + 0.7),
        "offset": cone(full, columns=36, column_offset_mm=14.0),
        "offset to the other side": cone(full, columns=36, column_offset_mm=-14.0),
        "rows off": cone(full, rows=44, row_offset_mm=4.0),
        "sagging": cone(full, sag_mm=np.stack([np.sin(full), 0.7 * np.cos(full)], axis=1)),
        "tilted": cone(full, rows=52, columns=56, tilt_rad=0.15),
    }


@pytest.mark.parametrize("name", list(arrangements()))
def test_cone_beams_of_every_arrangement_give_the_phantom_and_not_its_mirror_image(name: str) -> None:
    geometry = arrangements()[name]
    truth = HANDED.on_grid(GRID)
    found = fdk(HANDED.project(geometry), geometry, GRID)
    error = relative(found, truth)
    assert error < 0.2, error
    flips = [found[::-1], found[:, ::-1], found[:, :, ::-1], found[::-1, ::-1], found[::-1, :, ::-1]]
    assert min(relative(flipped, truth) for flipped in flips) > 2 * error
    inner = (slice(11, 15), slice(12, 18), slice(13, 18))  # The flat middle: absolute values are right.
    assert found[inner].mean() == pytest.approx(truth[inner].mean(), rel=0.02)


@pytest.mark.parametrize("kind", ["parallel", "fan", "arc", "cone", "cylinder"])
@pytest.mark.parametrize("side", [-1, 1])
def test_beyond_the_short_side_of_an_offset_detector_values_are_right_too(kind: str, side: int) -> None:
    """What is filtered reaches beyond the detector: without it all there is too bright by a tenth."""
    full, ball = circle(160), simulate.sphere(18.0, value=0.02)
    center = 19.5 + side * 11.0
    if kind in {"cone", "cylinder"}:
        geometry = cone(full, columns=40, rows=12, column_offset_mm=-side * 11.0 * 1.6, curved=kind == "cylinder")
    elif kind == "parallel":
        geometry = ParallelGeometry(full, 40, center_column=center)
    else:
        geometry = FanGeometry(full, 40, 1.6, 200.0, 300.0, curved=kind == "arc", center_column=center)
    phantom = ball if kind in {"cone", "cylinder"} else ball.cylinders()
    grid = Grid((2 if kind.startswith("c") else 1, 44, 44), (0.5, 1.0, 1.0))
    found = (fdk if kind.startswith("c") else fbp)(phantom.project(geometry), geometry, grid)
    radius = np.hypot(*(np.indices((44, 44)) - 21.5))
    for low, high in ((0, 6), (10, 16)):
        ring = found[:, (radius >= low) & (radius < high)]
        assert ring.mean() == pytest.approx(0.02, rel=0.01), (low, high)


def planar_arrangements():
    full, half = circle(180), circle(90, np.pi)
    return {
        "parallel": ParallelGeometry(half, 48, row_count=5),
        "parallel, falling": ParallelGeometry(-half + 0.3, 48, row_count=5),
        "parallel, a turn": ParallelGeometry(full, 48, row_count=5),
        "parallel, axis off by a quarter": ParallelGeometry(half, 52, center_column=27.25, row_count=5),
        "parallel, axis off by much": ParallelGeometry(full, 40, center_column=12.0, row_count=5),
        "fan": FanGeometry(full, 48, 1.5, 200.0, 300.0, row_count=5),
        "fan, falling": FanGeometry(-full, 48, 1.5, 200.0, 300.0, row_count=5),
        "fan, curved": FanGeometry(full, 48, 1.5, 200.0, 300.0, curved=True, row_count=5),
        "fan, short": FanGeometry(full[:110] + 1.0, 48, 1.5, 200.0, 300.0, row_count=5),
        "fan, curved, short": FanGeometry(1.0 - full[:110], 48, 1.5, 200.0, 300.0, curved=True, row_count=5),
        "fan, offset": FanGeometry(full, 40, 1.5, 200.0, 300.0, center_column=12.0, row_count=5),
    }


@pytest.mark.parametrize("name", list(planar_arrangements()))
@pytest.mark.parametrize("rows", [1, 5])
def test_planes_of_every_arrangement_give_the_phantom_and_not_its_mirror_image(name: str, rows: int) -> None:
    import dataclasses

    geometry = dataclasses.replace(planar_arrangements()[name], row_count=rows)
    grid, phantom = Grid((rows, 34, 36), 0.9), HANDED.cylinders()
    truth = phantom.on_grid(grid)
    found = fbp(phantom.project(geometry), geometry, grid)
    error = relative(found, truth)
    assert error < 0.2, error
    mirrored = (found[:, ::-1], found[:, :, ::-1], found[:, ::-1, ::-1])
    assert min(relative(flipped, truth) for flipped in mirrored) > 2 * error
    assert found[0, 14:20, 15:20].mean() == pytest.approx(truth[0, 14:20, 15:20].mean(), rel=0.02)


@pytest.mark.parametrize("shift", [-0.5, 0.5])
def test_an_axis_of_rotation_half_a_pixel_off_is_seen(shift: float) -> None:
    phantom, grid = HANDED.cylinders(), Grid((1, 34, 36), 0.9)
    geometry = ParallelGeometry(circle(90, np.pi), 48)
    off = ParallelGeometry(circle(90, np.pi), 48, center_column=23.5 + shift)
    truth, projections = phantom.on_grid(grid), phantom.project(geometry)
    assert relative(fbp(projections, off, grid), truth) > 1.3 * relative(fbp(projections, geometry, grid), truth)


def test_grids_in_other_directions_hold_the_same_values() -> None:
    geometry = cone(circle(40))
    projections = HANDED.project(geometry)
    plain = fdk(projections, geometry, Grid((12, 14, 14), 1.5))
    for directions, turn in (
        ([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], lambda each: each[::-1]),
        ([[0, 1, 0], [0, 0, 1], [1, 0, 0]], lambda each: each.transpose(0, 2, 1)),
        ([[0, 0, -1], [0, 1, 0], [1, 0, 0]], lambda each: each[:, :, ::-1]),
    ):
        found = fdk(projections, geometry, Grid((12, 14, 14), 1.5, directions=directions))
        assert np.allclose(turn(found), plain, atol=2e-6)


def test_parts_of_a_grid_hold_the_same_values() -> None:
    geometry = cone(circle(40), curved=True)
    projections = HANDED.project(geometry)
    whole = fdk(projections, geometry, GRID, symmetric=False)
    assert np.allclose(fdk(projections, geometry, GRID.slices(7, 20), symmetric=False), whole[7:20], atol=1e-6)


def test_rows_between_slices_are_interpolated() -> None:
    geometry = ParallelGeometry(circle(30, np.pi), 24, row_count=4, row_spacing_mm=2.0)
    projections = HANDED.project(geometry)
    whole = fbp(projections, geometry)
    between = fbp(projections, geometry, Grid((1, 24, 24), (1.0, 1.0, 1.0), center_lps=(0, 0, -2.0)))
    assert np.allclose(between[0], (whole[0] + whole[1]) / 2, atol=1e-5)


def test_truncated_projections_are_extrapolated() -> None:
    phantom, grid = simulate.sphere(30.0, value=0.02).cylinders(), Grid((1, 40, 40), 1.0)
    geometry = ParallelGeometry(circle(120, np.pi), 44)
    truth, projections = phantom.on_grid(grid), phantom.project(geometry)
    inner = np.s_[0, 10:30, 10:30]
    cut = np.abs(fbp(projections, geometry, grid) - truth)[inner].mean()
    mended = np.abs(fbp(projections, geometry, grid, filter=Filter(extrapolate=0.25)) - truth)[inner].mean()
    assert mended < cut / 3


def test_weights_of_all_rays_along_a_line_sum_to_one() -> None:
    """Parker's and Wang's, at the two views that see a line; W1."""
    reach = 0.3
    fan = np.linspace(-0.25, 0.25, 11)
    beta = np.linspace(0, np.pi + 2 * reach, 200)
    weights = lambda b, g: parker_weights(np.atleast_1d(b), np.atleast_1d(g), reach)[0, 0]  # noqa: E731
    for gamma in fan:
        for angle in beta:
            other = angle + np.pi - 2 * gamma
            twins = [each for each in (other, other - TURN) if 0 <= each <= np.pi + 2 * reach]
            total = weights(angle, gamma) + sum(weights(each, -gamma) for each in twins)
            assert total == pytest.approx(1.0, abs=1e-9)
    across = np.linspace(-5.0, 12.0, 35)
    wang = offset_weights(across)
    assert np.allclose(np.interp(np.linspace(-4.9, 4.9, 9), across, wang)
                       + np.interp(-np.linspace(-4.9, 4.9, 9), across, wang), 1.0)  # fmt: skip
    assert (wang[0], wang[-1]) == (0.0, 1.0)


def test_views_count_by_the_angle_they_stand_for() -> None:
    uneven = np.sort(np.random.default_rng(0).uniform(0, np.pi, 50))
    weights, _ = arc_weights(uneven, np.pi)
    assert weights.sum() == pytest.approx(np.pi)
    assert arc_weights(np.array([0.0, 1.0]), np.pi)[1] == np.inf


@pytest.mark.parametrize(
    ("refused", "word"),
    [
        (lambda: fdk(np.zeros((9, 40, 44)), cone(circle(9)[:4])), "geometry has 4 views"),
        (lambda: fdk(np.zeros((60, 40, 44)), cone(circle(120)[:60])), "short scan"),
        (lambda: fdk(np.zeros((80, 40, 44)), cone(circle(120)[:80], column_offset_mm=9.0)), "full turn"),
        (lambda: fdk(np.zeros((1, 40, 44)), cone([0.0])), "gap"),
        (lambda: fdk(np.full((40, 40, 44), np.nan), cone(circle(40))), "not finite"),
        (lambda: fdk(np.zeros((40, 40, 44)), cone(circle(40)), Grid((9, 9, 9), 50.0)), "reaches to the source"),
        (lambda: fdk(np.zeros((40, 40, 44)), cone(circle(40)),
                     Grid((9, 9, 9), directions=[[0, 0.6, 0.8], [1, 0, 0], [0, 0.8, -0.6]])), "tilted"),
        (lambda: fbp(np.zeros((30, 24)), ParallelGeometry(circle(30, 1.5), 24)), "gap"),
        (lambda: fbp(np.zeros((24, 30)), ParallelGeometry(circle(30, np.pi), 24)), "views"),
        (lambda: fbp(np.zeros((30, 24), complex), ParallelGeometry(circle(30, np.pi), 24)), "real numbers"),
        (lambda: fbp(np.zeros((2, 24)), ParallelGeometry([0, 1.57], 24)), "gap"),
    ],
)  # fmt: skip
def test_what_cannot_be_reconstructed_is_refused_with_the_reason(refused, word: str) -> None:
    with pytest.raises((InputError, GeometryError), match=word):
        refused()


def test_the_smallest_scans_work() -> None:
    """One view, one pixel: where a limited angle is asked for, nothing breaks."""
    one = fbp(np.ones((1, 24)), ParallelGeometry([0.4], 24), limited_angle=True, filter="none")
    assert one[0, 12, 12] == pytest.approx(np.pi, rel=1e-5)
    pixel = fbp(np.ones((8, 1)), ParallelGeometry(circle(8, np.pi), 1), Grid((1, 1, 1)))
    assert pixel[0, 0, 0] == pytest.approx(np.pi / 4, rel=1e-5)
    tiny = fdk(np.ones((8, 1, 1)), cone(circle(8), rows=1, columns=1), Grid((1, 1, 1), 0.5), limited_angle=True)
    assert np.isfinite(tiny).all()


def test_results_do_not_depend_on_threads_and_go_where_they_are_asked_to() -> None:
    geometry = cone(circle(24))
    projections = HANDED.project(geometry)
    for symmetric in (False, True):
        grid = Grid((20, 36, 36), 0.8)
        alone = fdk(projections, geometry, grid, symmetric=symmetric, watch=Watch(threads=1))
        out = np.full(grid.shape, np.nan, np.float32)
        together = fdk(projections, geometry, grid, symmetric=symmetric, watch=Watch(threads=4), out=out)
        assert together is out
        assert np.array_equal(alone, together)
    with pytest.raises(InputError, match="out must be"):
        fdk(projections, geometry, grid, out=np.empty(grid.shape))


def test_a_cancelled_reconstruction_ends_and_progress_is_told() -> None:
    cancel, seen = threading.Event(), []

    def progress(phase: str, done: int, total: int) -> None:
        seen.append((phase, done, total))
        if phase == "backprojecting":
            cancel.set()

    geometry = cone(circle(24))
    with pytest.raises(CancelledError):
        fdk(HANDED.project(geometry), geometry, GRID, watch=Watch(progress=progress, cancel=cancel))
    assert seen[0][0] == "filtering"


def test_integers_and_views_of_arrays_are_taken_and_left_alone() -> None:
    geometry = ParallelGeometry(circle(30, np.pi), 24, row_count=4)
    words = np.random.default_rng(0).integers(0, 999, (4, 30, 48)).astype(np.uint16)
    strided = words.transpose(1, 0, 2)[:, :, ::2]
    before = words.copy()
    words.flags.writeable = False
    assert np.array_equal(fbp(strided, geometry), fbp(strided.astype(np.float64), geometry))
    assert np.array_equal(words, before)
