"""Sampling of plain arrays against the definitions."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from reference import sampling as twin

from pacscore.errors import InputError
from pacscore.imaging import arrays
from pacscore.kernels.line_spans import BLOCK

DTYPES = ["int8", "uint8", "int16", "uint16", "int32", "float32", "float64", ">i2", ">f4"]
INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"


def _array(shape: tuple[int, ...] = (7, 9, 12), dtype: str = "int16", seed: int = 0) -> NDArray[Any]:
    random = np.random.default_rng(seed)
    return (random.random(shape) * 100).astype(dtype)


def _oblique(rows: int = 11, *, origin: tuple[float, float, float] = (-0.4, -1.0, 2.0)) -> NDArray[np.float64]:
    """Lines that enter and leave a (7, 9, 12) array."""
    return arrays.plane_lines(
        origin, row_step=(0.5, 0.6, -0.3), column_step=(0.17, 0.31, 0.43), depth_step=(0.3, -0.2, 0.4), rows=rows
    )


def _ready(array: NDArray[Any], interpolation: str) -> NDArray[Any]:
    return arrays.spline_coefficients(array) if interpolation == "bspline" else array


@pytest.mark.kernel
@pytest.mark.parametrize("interpolation", arrays.INTERPOLATIONS)
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_oblique_lines_equal_the_definition(interpolation: str, dtype: str) -> None:
    array = _ready(_array(dtype=dtype), interpolation)
    found = arrays.sample_lines(array, _oblique(), 25, interpolation=interpolation, scale=arrays.Scale(background=-5))
    expected = twin.sample_lines(array, _oblique(), 25, interpolation=interpolation, background=-5)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert (found == -5).any()
    assert (found != -5).any()


@pytest.mark.kernel
@pytest.mark.parametrize("combine", arrays.COMBINATIONS)
@pytest.mark.parametrize("interpolation", arrays.INTERPOLATIONS)
def test_depth_leaves_out_what_is_outside(combine: str, interpolation: str) -> None:
    array = _ready(_array(dtype="float32"), interpolation)
    found = arrays.sample_lines(array, _oblique(), 20, depths=5, combine=combine, interpolation=interpolation)
    expected = twin.sample_lines(array, _oblique(), 20, depths=5, combine=combine, interpolation=interpolation)
    np.testing.assert_allclose(found, expected, atol=5e-3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_and_order_gives_the_same_values(dtype: str) -> None:
    array = _array(dtype=dtype)
    expected = twin.sample_lines(array, _oblique(), 20)
    np.testing.assert_allclose(arrays.sample_lines(array, _oblique(), 20), expected, atol=1e-3)
    transposed = np.ascontiguousarray(array.T).T
    np.testing.assert_allclose(arrays.sample_lines(transposed, _oblique(), 20), expected, atol=1e-3)
    array.flags.writeable = False
    np.testing.assert_allclose(arrays.sample_lines(array[:, ::-1], _oblique(), 20),
                               twin.sample_lines(array[:, ::-1], _oblique(), 20), atol=1e-3)  # fmt: skip


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 12), (7, 1, 12), (7, 9, 1), (2, 2, 2), (3, 3, 3), (1, 1, 12)])
@pytest.mark.parametrize("interpolation", arrays.INTERPOLATIONS)
def test_axes_of_one_and_few_voxels(shape: tuple[int, int, int], interpolation: str) -> None:
    array = _ready(_array(shape, "float32"), interpolation)
    for step in ((0.01, 0.02, 0.4), (0.1, 0.2, 0.03), (0.0, 0.3, 0.3)):
        lines = arrays.plane_lines(
            (-0.313, -0.617, -0.619), row_step=(0.0503, 0.4007, 0.1003), column_step=step, rows=8
        )
        found = arrays.sample_lines(array, lines, 30, interpolation=interpolation)
        np.testing.assert_allclose(found, twin.sample_lines(array, lines, 30, interpolation=interpolation), atol=3e-3)


@pytest.mark.parametrize("interpolation", arrays.INTERPOLATIONS)
@pytest.mark.parametrize(
    "step", [(0.0, 0.0, 1.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (3.0, -2.0, 9.0)]
)
def test_lines_along_axes_and_long_steps(interpolation: str, step: tuple[float, float, float]) -> None:
    array = _ready(_array((30, 32, 40)), interpolation)
    origin = tuple(length - 1 if each < 0 else 0 for length, each in zip(array.shape, step, strict=True))
    lines = arrays.plane_lines(origin, row_step=(0.5, 0.5, 0.5), column_step=step, rows=20)
    found = arrays.sample_lines(array, lines, 45, interpolation=interpolation)
    np.testing.assert_allclose(found, twin.sample_lines(array, lines, 45, interpolation=interpolation), atol=5e-3)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_whole_indices_give_the_voxels_themselves(interpolation: str) -> None:
    array = _array((5, 6, 70))
    for number in range(5):
        lines = arrays.plane_lines((number, 0, 0), row_step=(0, 1, 0), column_step=(0, 0, 1), rows=6)
        assert np.array_equal(arrays.sample_lines(array, lines, 70, interpolation=interpolation), array[number])


@pytest.mark.parametrize("interpolation", arrays.INTERPOLATIONS)
def test_results_are_the_same_for_any_number_of_threads_and_any_part(interpolation: str) -> None:
    array = _ready(_array((40, 50, 60), "float32"), interpolation)
    lines = _oblique(300, origin=(0, 0, 20))
    lines[:, 0] = lines[0, 0] + np.arange(300)[:, None] * [0.1, 0.13, -0.05]
    results = [
        arrays.sample_lines(array, lines, 300, depths=3, interpolation=interpolation, threads=threads)
        for threads in (1, 2, 3)
    ]
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])
    parts = np.empty_like(results[0])
    for part in ((0, 120, 0, BLOCK), (120, 300, 0, BLOCK), (0, 300, BLOCK, 300)):
        arrays.sample_lines(array, lines, 300, depths=3, interpolation=interpolation, part=part, out=parts)
    assert np.array_equal(results[0], parts)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_a_part_of_the_volume_gives_the_very_same_values(interpolation: str) -> None:
    whole = _array((40, 50, 60), "float32")
    lines = arrays.plane_lines((10.3, 12.7, 20.1), row_step=(0.2, 0.3, 0.1), column_step=(0.11, -0.07, 0.3), rows=40)
    expected = arrays.sample_lines(whole, lines, 70, interpolation=interpolation)
    corner, end = (8, 4, 17), (30, 30, 50)
    part = whole[tuple(slice(*each) for each in zip(corner, end, strict=True))]
    found = arrays.sample_lines(part, lines, 70, interpolation=interpolation, corner=corner, extent=whole.shape)
    assert np.array_equal(found, expected)


@pytest.mark.kernel
def test_nan_stays_alone_and_is_left_out_in_depth() -> None:
    array = _array((6, 6, 24), "float32")
    array[3, 3, 10] = np.nan
    lines = arrays.plane_lines(
        (2.5, 3, 0), row_step=(0, 0.5, 0), column_step=(0, 0, 0.5), depth_step=(0.25, 0, 0), rows=3
    )
    single = arrays.sample_lines(array, lines, 40)
    assert np.isnan(single[0, 19:22]).all()
    assert np.isnan(single).sum() < 20
    for combine in arrays.COMBINATIONS:
        found = arrays.sample_lines(array, lines, 40, depths=6, combine=combine)
        expected = twin.sample_lines(array, lines, 40, depths=6, combine=combine)
        assert np.isfinite(found).all()
        # The definition asks no voxel of weight 0, the kernel may: compare where no sample is whole.
        clear = np.abs(np.arange(40) - 20) > 2
        np.testing.assert_allclose(found[:, clear], expected[:, clear], atol=1e-3)


@pytest.mark.kernel
def test_integers_are_scaled_rounded_and_held() -> None:
    array = _array((4, 5, 30))
    lines = arrays.plane_lines((0.3, 0, -2), row_step=(0.2, 0.7, 0), column_step=(0.01, 0.02, 1), rows=5)
    exact = arrays.sample_lines(array, lines, 34, scale=arrays.Scale(400.0, -900.0, -70000.0))
    out = np.empty((5, 34), np.int16)
    arrays.sample_lines(array, lines, 34, scale=arrays.Scale(400.0, -900.0, -70000.0), out=out)
    assert np.array_equal(out, np.rint(np.clip(exact, -32768, 32767)).astype(np.int16))
    words = np.empty((5, 34), np.uint16)
    arrays.sample_lines(array.astype(np.uint16), lines, 34, out=words)
    np.testing.assert_array_less(np.abs(words - twin.sample_lines(array, lines, 34)), 0.51)


@pytest.mark.kernel
@pytest.mark.parametrize("interpolation", arrays.INTERPOLATIONS)
@pytest.mark.parametrize("steps", [(0.7, 0.6, 0.55), (1.0, 1.9, 2.6), (0.5, 3.5, 1.2)])
def test_grids_equal_the_definition(interpolation: str, steps: tuple[float, float, float]) -> None:
    array = _ready(_array((6, 13, 17), "float32"), interpolation)
    starts = (-0.213, 0.257, -1.519)
    counts = tuple(max(2, int(length / step)) + 1 for length, step in zip(array.shape, steps, strict=True))
    axes = tuple(
        arrays.axis_taps(length, start=start, step=step, count=count, interpolation=interpolation)
        for length, start, step, count in zip(array.shape, starts, steps, counts, strict=True)
    )
    found = arrays.regrid(array, axes, scale=arrays.Scale(2.0, 1.0, -7.0))
    expected = array.astype(np.float64)
    outside = np.zeros(counts, bool)
    for axis, (start, step, count) in enumerate(zip(starts, steps, counts, strict=True)):
        places = start + step * np.arange(count)
        expected = twin.smoothed_axis(expected, axis, places, step, interpolation)
        beyond = (places < -0.5) | (places >= array.shape[axis] - 0.5)
        outside |= beyond.reshape([-1 if other == axis else 1 for other in range(3)])
    np.testing.assert_allclose(found, np.where(outside, -7.0, expected * 2 + 1), atol=5e-3)
    assert outside.any()


def test_grids_are_the_same_for_any_number_of_threads() -> None:
    array = _array((40, 21, 33))
    axes = tuple(
        arrays.axis_taps(length, start=-0.3, step=0.61, count=int(length / 0.61), interpolation="cubic")
        for length in array.shape
    )
    results = [arrays.regrid(array, axes, threads=threads) for threads in (1, 2, 3)]
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_grids_of_every_dtype(dtype: str) -> None:
    array = _array((5, 6, 7), dtype)[::-1]
    axes = tuple(arrays.axis_taps(length, start=0.5, step=1, count=length - 1) for length in array.shape)
    expected = sum(
        array[z : z + 4, y : y + 5, x : x + 6].astype(float) / 8 for z in (0, 1) for y in (0, 1) for x in (0, 1)
    )
    np.testing.assert_allclose(arrays.regrid(array, axes), expected, atol=1e-4)


def test_a_constant_stays_constant_when_shrunk() -> None:
    array = np.full((9, 20, 31), 77, np.int16)
    for interpolation in ("linear", "cubic"):
        axes = tuple(
            arrays.axis_taps(length, start=0, step=2.7, count=int(length / 2.7), interpolation=interpolation)
            for length in array.shape
        )
        np.testing.assert_allclose(arrays.regrid(array, axes), 77, rtol=1e-6)


@pytest.mark.kernel
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4), (1, 24, 25), (30, 7, 2), (26, 26, 17)])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_spline_coefficients_solve_the_system(shape: tuple[int, int, int], dtype: str) -> None:
    array = _array(shape, dtype)
    np.testing.assert_allclose(arrays.spline_coefficients(array), twin.spline_coefficients(array), atol=1e-3)


def test_the_spline_passes_through_every_voxel() -> None:
    array = _array((12, 13, 14), "float32")
    coefficients = arrays.spline_coefficients(array, threads=3)
    assert np.array_equal(coefficients, arrays.spline_coefficients(array, threads=1))
    for number in range(12):
        lines = arrays.plane_lines((number, 0, 0), row_step=(0, 1, 0), column_step=(0, 0, 1), rows=13)
        found = arrays.sample_lines(coefficients, lines, 14, interpolation="bspline")
        np.testing.assert_allclose(found, array[number], atol=2e-4)


@pytest.mark.parametrize("interpolation", arrays.INTERPOLATIONS)
def test_short_axes_have_no_samples_free_of_borders(interpolation: str) -> None:
    """Steps that hit the one place between both borders, in an array with NaN all around it."""
    around = np.full((9, 9, 9), np.nan, np.float32)
    for lengths in ((1, 3, 4), (3, 3, 3), (2, 2, 2), (3, 2, 4)):
        inner = np.ascontiguousarray(around[: lengths[0], : lengths[1], : lengths[2]])
        inner[...] = 5.0
        source = _ready(inner, interpolation)
        for step in ((0, 1, 0), (0, -1, 0), (0, 0, -1), (1, 0, 0)):
            start = [length - 1 if each < 0 else 0 for length, each in zip(lengths, step, strict=True)]
            lines = arrays.plane_lines(start, row_step=(0, 0, 0), column_step=step, rows=1)
            found = arrays.sample_lines(
                source, lines, lengths[int(np.argmax(np.abs(step)))], interpolation=interpolation
            )
            np.testing.assert_allclose(found, 5.0, rtol=1e-5)


def test_no_lines_and_no_columns_are_no_error() -> None:
    array = _array()
    assert arrays.sample_lines(array, np.empty((0, 3, 3)), 5).shape == (0, 5)
    assert arrays.sample_lines(array, _oblique(), 0).shape == (11, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interpolation": "sinc"}, "sinc"),
        ({"combine": "median"}, "median"),
        ({"depths": 0}, "0 samples"),
        ({"lines": np.full((1, 3, 3), np.nan)}, "finite"),
        ({"lines": np.zeros((2, 3))}, "shape"),
        ({"array": np.zeros((0, 2, 2))}, "shape|\\(0"),
        ({"array": np.zeros((2, 2, 2), complex)}, "complex"),
        ({"out": np.empty((11, 9), np.float64)}, "float64"),
        ({"out": np.empty((11, 8), np.float32)}, "out must be"),
        ({"corner": (1, 0, 0)}, "does not lie within"),
        ({"part": (0, 3, 5, 9)}, "Part"),
        ({"scale": arrays.Scale(background=np.nan), "out": np.empty((11, 9), np.int16)}, "background"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"array": _array(), "lines": _oblique(), "columns": 9} | change
    with pytest.raises(InputError, match=message):
        arrays.sample_lines(given.pop("array"), given.pop("lines"), given.pop("columns"), **given)


def test_out_may_not_overlap() -> None:
    array = _array((2, 11, 9), "float32")
    with pytest.raises(InputError, match="overlaps"):
        arrays.sample_lines(array, _oblique(), 9, out=array[0])


@pytest.mark.skipif(INTERPRETED, reason="takes a million samples (until 2029-12-31)")
def test_positions_far_from_the_origin_stay_exact() -> None:
    array = np.broadcast_to(np.arange(3000, dtype=np.float32), (2, 2, 3000)).copy()
    lines = arrays.plane_lines((0.5, 0.5, 0.25), row_step=(0, 0, 0), column_step=(0, 0, 0.37), rows=1)
    found = arrays.sample_lines(array, lines, 8000)
    np.testing.assert_allclose(found[0], 0.25 + 0.37 * np.arange(8000), atol=5e-4)


@pytest.mark.parametrize("combine", arrays.COMBINATIONS)
def test_samples_are_combined_as_the_scale_makes_them(combine: str) -> None:
    array = np.random.default_rng(5).integers(-900, 900, (6, 7, 9)).astype(np.int16)
    lines = np.array([[[0.0, row, 0.5], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]] for row in range(7)])
    for slope, intercept in ((2.0, -100.0), (-2.0, 30.0)):
        found = arrays.sample_lines(
            array, lines, 8, depths=6, combine=combine, scale=arrays.Scale(slope, intercept, 0.0)
        )
        samples = (array[:, :, :-1].astype(np.float64) + array[:, :, 1:]) / 2 * slope + intercept
        np.testing.assert_allclose(found, getattr(samples, combine)(axis=0), rtol=1e-5, atol=1e-2)
