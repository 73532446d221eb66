"""Projections of plain arrays: along axes against NumPy, along rays against a twin that takes every sample."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import rays as reference

from pacscore import parallel
from pacscore.errors import InputError, LimitError
from pacscore.imaging import arrays
from pacscore.imaging.arrays.rays import spread_cells

NUMPY = {"max": np.max, "min": np.min, "mean": np.mean, "sum": np.sum}
DTYPES = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64", "bool"]
COMPILING = settings(deadline=None, max_examples=30)


def noise(shape=(9, 12, 14), dtype="int16", seed=1):
    generator = np.random.default_rng(seed)
    return (generator.normal(size=shape) * 900).astype(dtype)


def run_with(threads, function, count, *, tile=1):
    """``run_tiles`` with a number of threads."""
    parallel.run_tiles(function, count, tile=tile, threads=threads)


def slanted(shape=(7, 9), samples=40):
    """Rays through the volume of ``noise`` at odd angles, some of which miss it."""
    return arrays.RayGrid((-1.7, 9.3, -2.4), (1.4, -0.9, 0.3), (0.2, 0.6, 1.35), (0.31, -0.43, 0.52), shape, samples)


@pytest.mark.kernel
@pytest.mark.parametrize("kind", arrays.PROJECTION_KINDS)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_axis_projections_are_numpys(kind, axis, dtype):
    values = noise((5, 6, 19), dtype)
    found = arrays.project_axis(values, axis, kind=kind)
    wanted = NUMPY[kind](values.astype(np.float64), axis=axis)
    if kind in ("max", "min"):
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == values.dtype
    else:
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-9)


@COMPILING
@given(
    hnp.arrays(st.sampled_from(DTYPES[:5]), hnp.array_shapes(min_dims=3, max_dims=3, max_side=40)),
    st.sampled_from(arrays.PROJECTION_KINDS),
    st.integers(-3, 2),
)
def test_axis_projections_of_any_integers_are_exact(values, kind, axis):
    found = arrays.project_axis(values, axis, kind=kind)
    np.testing.assert_array_equal(found, NUMPY[kind](values.astype(np.float64), axis=axis))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_and_layout_is_taken(dtype):
    values = noise((6, 8, 10), "float64").astype(dtype)
    for other in (values, values[::-1, ::2], values.transpose(2, 0, 1), values.astype(values.dtype.newbyteorder(">"))):
        np.testing.assert_array_equal(arrays.project_axis(other, 1), other.max(axis=1))
    values.flags.writeable = False
    np.testing.assert_array_equal(arrays.project_axis(values, 2, kind="min"), values.min(axis=2))


def test_what_is_no_number_is_passed_over_by_extremes_and_spreads_in_sums():
    values = noise((4, 5, 37), "float32")
    values[1, 2, 3], values[:, 0, 0] = np.nan, np.nan
    for axis in range(3):
        with np.errstate(all="ignore"):
            wanted = np.fmax.reduce(values, axis=axis), np.fmin.reduce(values, axis=axis)
        np.testing.assert_array_equal(arrays.project_axis(values, axis), wanted[0])
        np.testing.assert_array_equal(arrays.project_axis(values, axis, kind="min"), wanted[1])
        sums = arrays.project_axis(values, axis, kind="sum")
        np.testing.assert_array_equal(np.isnan(sums), np.isnan(values).any(axis=axis))


def test_parts_fold_to_what_the_whole_gives():
    values = noise((23, 11, 13), "uint16")
    for axis in range(3):
        for kind in arrays.PROJECTION_KINDS:
            dtype = np.dtype(np.float64) if kind in ("mean", "sum") else values.dtype
            out = arrays.neutral_projection(values.shape, axis, kind, dtype)
            for start in range(0, 23, 5):
                part = values[start : start + 5]
                arrays.fold_axis(part, axis, kind=kind, out=out if axis == 0 else out[start : start + 5])
            found = arrays.finish_projection(out, kind, values.shape[axis])
            np.testing.assert_array_equal(found, arrays.project_axis(values, axis, kind=kind))


@pytest.mark.parametrize(
    ("values", "axis", "kind"),
    [
        (np.zeros((3, 4)), 0, "max"),
        (np.zeros((3, 4, 5), complex), 0, "max"),
        (np.zeros((0, 4, 5)), 0, "max"),
        (np.zeros((3, 4, 5)), 3, "max"),
        (np.zeros((3, 4, 5)), 0, "median"),
    ],
)
def test_a_projection_without_meaning_is_refused(values, axis, kind):
    with pytest.raises(InputError):
        arrays.project_axis(values, axis, kind=kind)


def test_an_axis_of_one_and_an_empty_result_pass_through():
    values = noise((1, 4, 1))
    np.testing.assert_array_equal(arrays.project_axis(values, 0), values[0])
    np.testing.assert_array_equal(arrays.project_axis(values, 2, kind="mean"), values[..., 0])
    assert arrays.project_axis(np.zeros((3, 0, 4)), 0).shape == (0, 4)


@pytest.mark.kernel
@pytest.mark.parametrize("kind", arrays.PROJECTION_KINDS)
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_rays_find_what_all_samples_give(kind, dtype):
    values, grid = noise(dtype=dtype), slanted()
    found = arrays.project_rays(arrays.RayVolume.of(values), grid, kind=kind)
    wanted = reference.project(values, grid.matrix(), grid.shape, grid.samples, kind)
    assert np.isnan(wanted).any()
    assert np.isfinite(wanted).any()
    # Positions are float32 within a group of eight samples: a millionth of a voxel times the slope of the noise.
    np.testing.assert_allclose(found, wanted, atol=0.05 if kind == "sum" else 0.01)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(["max", "min"]), st.floats(0.05, 3), st.booleans())
def test_rays_of_any_direction_find_the_extreme_and_seeds_change_nothing(seed, kind, step, smooth):
    generator = np.random.default_rng(seed)
    shape = tuple(int(side) for side in generator.integers(2, 40, 3))
    values = noise(shape, seed=seed)
    if smooth:  # Few extremes and much to pass over.
        values = np.where(values > 1500, values, values // 64).astype(np.int16)
    turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    center = (np.array(shape) - 1) / 2
    samples, sides = int(80 / step), (6, 40)
    origin = center - turn[2] * step * samples / 2 - turn[0] * 4 - turn[1] * 20 * 0.7
    steps = (turn[0] * 1.3, turn[1] * 0.7, turn[2] * step)
    grid = arrays.RayGrid(tuple(origin), *(tuple(each) for each in steps), sides, samples)
    volume = arrays.RayVolume.of(values)
    found = arrays.project_rays(volume, grid, kind=kind)
    np.testing.assert_array_equal(found, arrays.project_rays(volume, grid, kind=kind, seeded=False))
    wanted = reference.project(values, grid.matrix(), grid.shape, grid.samples, kind)
    edge = np.isnan(found) != np.isnan(wanted)  # A ray that grazes the border within a rounding.
    assert edge.mean() < 0.02
    np.testing.assert_allclose(found[~edge], wanted[~edge], atol=0.05)


@pytest.mark.parametrize("samples", [1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65])
def test_the_last_samples_of_a_ray_count(samples):
    """Rays of any length: whatever is left of a group of eight."""
    values = np.zeros((samples + 1, 4, 4), np.int16)
    values[samples - 1] = 1000
    grid = arrays.RayGrid((0, 1, 1), (0, 0.5, 0), (0, 0, 0.5), (1, 0, 0), (2, 2), samples)
    assert (arrays.project_rays(arrays.RayVolume.of(values), grid) == 1000).all()
    means = arrays.project_rays(arrays.RayVolume.of(values), grid, kind="mean")
    np.testing.assert_allclose(means, 1000 / samples, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_rays_along_an_axis_through_voxels_are_that_axis_borders_included(axis, sign):
    values = noise((9, 12, 14))
    down, right = (np.eye(3)[kept] for kept in range(3) if kept != axis)
    shape = tuple(length for place, length in enumerate(values.shape) if place != axis)
    origin = np.eye(3)[axis] * (0 if sign > 0 else values.shape[axis] - 1)
    grid = arrays.RayGrid(tuple(origin), tuple(down), tuple(right), tuple(np.eye(3)[axis] * sign), shape, 20)
    volume = arrays.RayVolume.of(values)
    for kind in ("max", "min"):
        found = arrays.project_rays(volume, grid, kind=kind)
        np.testing.assert_array_equal(found, NUMPY[kind](values, axis=axis))


def test_results_do_not_depend_on_threads(monkeypatch):
    values, grid = noise((30, 40, 50)), slanted((90, 150), 120)
    volume = arrays.RayVolume.of(values)
    found = {}
    for threads in (1, 2, 5):
        tiled = partial(run_with, threads)
        monkeypatch.setattr("pacscore.imaging.arrays.rays.run_tiles", tiled)
        found[threads] = [arrays.project_rays(volume, grid, kind=kind) for kind in arrays.PROJECTION_KINDS]
        monkeypatch.undo()
    for other in (2, 5):
        for a, b in zip(found[1], found[other], strict=True):
            np.testing.assert_array_equal(a, b)


def test_many_plain_threads_may_project_at_once():
    volume, grid = arrays.RayVolume.of(noise((30, 40, 50))), slanted((60, 70), 120)
    wanted, found = arrays.project_rays(volume, grid), {}
    threads = [
        threading.Thread(target=lambda place=place: found.update({place: arrays.project_rays(volume, grid)}))
        for place in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(each, wanted, equal_nan=True) for each in found.values())
    assert len(found) == 6


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "float64", "bool", ">i2", ">f4"])
def test_rays_take_every_dtype(dtype):
    values, grid = np.abs(noise()).astype(dtype), slanted()
    wanted = reference.project(values, grid.matrix(), grid.shape, grid.samples, "max")
    np.testing.assert_allclose(arrays.project_rays(arrays.RayVolume.of(values), grid), wanted, atol=0.05)
    np.testing.assert_allclose(
        arrays.project_rays(arrays.RayVolume.of(values[:, ::-1]), grid, kind="mean"),
        reference.project(values[:, ::-1], grid.matrix(), grid.shape, grid.samples, "mean"),
        atol=0.05,
    )


def test_unsigned_words_above_the_signed_range_keep_their_values():
    values = np.full((4, 4, 4), 65535, np.uint16)
    values[1, 1, 1] = 0
    grid = arrays.RayGrid((0, 1, 1), (0, 1, 0), (0, 0, 1), (1, 0, 0), (2, 2), 4)
    volume = arrays.RayVolume.of(values)
    assert arrays.project_rays(volume, grid).tolist() == [[65535, 65535], [65535, 65535]]
    assert arrays.project_rays(volume, grid, kind="min").tolist() == [[0, 65535], [65535, 65535]]
    assert arrays.project_rays(volume, grid, kind="sum").tolist() == [[3 * 65535, 4 * 65535], [4 * 65535] * 2]


@pytest.mark.parametrize("slope", [2.5, -0.5])
def test_slope_and_intercept_are_applied_to_results(slope):
    values, grid = noise(), slanted()
    volume = arrays.RayVolume.of(values, slope=slope, intercept=-1024.0)
    for kind in arrays.PROJECTION_KINDS:
        wanted = reference.project(values * slope - 1024.0, grid.matrix(), grid.shape, grid.samples, kind)
        np.testing.assert_allclose(arrays.project_rays(volume, grid, kind=kind), wanted, rtol=1e-5, atol=0.05)


def test_voxels_that_are_not_finite_count_as_the_lowest():
    values = noise(dtype="float32")
    values[2:4, 3:5] = np.nan
    values[5, 5, 5], values[6, 6, 6] = np.inf, -np.inf
    finite = np.where(np.isfinite(values), values, values[np.isfinite(values)].min())
    grid = slanted()
    for kind in arrays.PROJECTION_KINDS:
        found = arrays.project_rays(arrays.RayVolume.of(values), grid, kind=kind)
        wanted = reference.project(finite, grid.matrix(), grid.shape, grid.samples, kind)
        np.testing.assert_allclose(found, wanted, atol=0.05)


def test_a_volume_without_limits_gives_the_same_picture():
    values, grid = noise(), slanted()
    for kind in ("max", "min"):
        found = arrays.project_rays(arrays.RayVolume.of(values, limits=False), grid, kind=kind)
        np.testing.assert_array_equal(found, arrays.project_rays(arrays.RayVolume.of(values), grid, kind=kind))


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("shape", [(2, 3, 2), (6, 5, 17), (9, 12, 26)])
def test_limits_of_cells_hold_and_are_tight(dtype, shape):
    values = noise(shape, dtype)
    volume, (low, high) = arrays.RayVolume.of(values), reference.cell_limits(values)
    if dtype == "int16":
        np.testing.assert_array_equal(volume.low, low)
        np.testing.assert_array_equal(volume.high, high)
    else:
        assert (volume.low <= low).all()
        assert (volume.high >= high).all()
        np.testing.assert_allclose(volume.high, high, rtol=1e-5)


@pytest.mark.kernel
@pytest.mark.parametrize("largest", [True, False])
def test_cells_are_spread_over_what_a_group_can_touch(largest):
    cells = noise((5, 6, 7))
    for reach in ((0, 0, 0), (1, 2, 3), (9, 0, 20)):
        found = spread_cells(cells, reach, largest=largest)
        np.testing.assert_array_equal(found, reference.spread(cells, reach, largest))


@pytest.mark.parametrize(
    "values", [np.zeros((1, 4, 4)), np.zeros((4, 4)), np.zeros((4, 4, 4), complex), np.zeros((4, 4, 4), "U3")]
)
def test_what_rays_cannot_go_through_is_refused(values):
    with pytest.raises(InputError, match="Rays need"):
        arrays.RayVolume.of(values)


def test_a_volume_beyond_the_limit_is_refused_before_it_is_touched():
    huge = np.lib.stride_tricks.as_strided(np.zeros(1, np.int16), (2048, 1024, 1024), (0, 0, 0))
    with pytest.raises(LimitError, match="2\\*\\*31"):
        arrays.RayVolume.of(huge)


@pytest.mark.parametrize(
    "change",
    [
        {"sample_step": (0, 0, 0)},
        {"origin": (np.nan, 0, 0)},
        {"row_step": (1, 2)},
        {"shape": (0, 5)},
        {"samples": 0},
        {"shape": (1 << 15, 1 << 15)},
    ],
)
def test_a_grid_without_meaning_is_refused(change):
    given = {
        "origin": (0, 0, 0), "row_step": (0, 1, 0), "column_step": (0, 0, 1), "sample_step": (1, 0, 0),
        "shape": (3, 3), "samples": 5,
    }  # fmt: skip
    with pytest.raises(InputError):
        arrays.RayGrid(**{**given, **change})
