"""The filters on plain arrays, and through them the kernels of smoothing, ranks, edges and denoising, against twins."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import denoise, filters

from pacscore.errors import CancelledError, InputError, UnsupportedError
from pacscore.imaging import arrays
from pacscore.imaging.arrays.watching import Watch

FEW = settings(deadline=None, max_examples=25)
DTYPES = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float32, np.float64]
SHAPES = [(1, 1, 1), (1, 1, 40), (3, 5, 20), (6, 7, 17), (2, 1, 16), (4, 9, 129), (1, 30, 3)]


def made(shape: tuple[int, ...], dtype: type, seed: int = 0) -> np.ndarray:
    """Noise with steps and repeated values."""
    random = np.random.default_rng(seed)
    noise = random.integers(-500, 500, shape) + 3000 * (random.random(shape) > 0.9)
    if np.dtype(dtype).kind == "u":
        noise = np.abs(noise)
    return (noise // (32 if np.dtype(dtype).itemsize == 1 else 1)).astype(dtype)


@pytest.mark.kernel
@FEW
@given(
    st.sampled_from([np.int16, np.float32]),
    st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 20)),
    st.tuples(*[st.sampled_from([0.0, 0.4, 1.0, 1.7])] * 3),
    st.integers(0, 99),
)
def test_gaussian_is_its_definition_along_unequal_axes(dtype, shape, sigma, seed):
    values = made(shape, dtype, seed)
    np.testing.assert_allclose(arrays.gaussian(values, sigma), filters.gaussian(values, sigma), rtol=0, atol=2e-3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_smoothing_takes_any_shape_and_dtype(shape, dtype):
    values = made(shape, dtype)
    found = arrays.gaussian(values, (1.2, 0.8, 2.5))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, filters.gaussian(values, (1.2, 0.8, 2.5)), rtol=0, atol=3e-3)
    np.testing.assert_allclose(arrays.box(values, (3, 1, 5)), filters.box(values, (3, 1, 5)), rtol=0, atol=3e-3)


@pytest.mark.parametrize("rows", [63, 64, 65, 130])
def test_smoothing_does_not_show_where_strips_meet(rows):
    values = made((3, rows, 40), np.int16)
    np.testing.assert_allclose(arrays.gaussian(values, 2.0), filters.gaussian(values, (2, 2, 2)), rtol=0, atol=2e-3)


@pytest.mark.kernel
@FEW
@given(
    st.sampled_from([np.int16, np.float32]),
    st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 20)),
    st.sampled_from([(3, 3, 3), (1, 3, 3)]),
    st.integers(0, 99),
)
def test_median_of_three_is_exact(dtype, shape, size, seed):
    values = made(shape, dtype, seed)
    np.testing.assert_array_equal(arrays.median(values, size), filters.rank(values, size, 50))


@pytest.mark.kernel
def test_median_of_five_is_exact_on_a_small_volume():
    values = made((3, 6, 18), np.int16)
    for size in ((5, 5, 5), (1, 5, 5)):
        np.testing.assert_array_equal(arrays.median(values, size), filters.rank(values, size, 50))


@pytest.mark.parametrize("shape", [*SHAPES, (2, 3, 130), (3, 4, 255), (2, 2, 300)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_median_is_exact_for_any_shape_and_dtype(shape, dtype):
    values = made(shape, dtype)
    for size in ((3, 3, 3), (5, 5, 5), (1, 3, 3), (1, 5, 5), (3, 5, 1)):
        found = arrays.median(values, size)
        assert found.dtype == (np.float32 if np.dtype(dtype).kind == "f" else dtype)
        np.testing.assert_array_equal(found, filters.rank(values, size, 50))


@pytest.mark.kernel
@FEW
@given(
    st.sampled_from([np.int16, np.uint16, np.float32]),
    st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 9)),
    st.tuples(*[st.sampled_from([1, 3, 5])] * 3),
    st.sampled_from([0, 10, 37.5, 50, 90, 100]),
    st.integers(0, 99),
)
def test_ranks_of_any_window_are_exact(dtype, shape, size, percent, seed):
    values = made(shape, dtype, seed)
    np.testing.assert_array_equal(arrays.rank(values, size, percent=percent), filters.rank(values, size, percent))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.uint32])
def test_ranks_reach_the_ends_of_the_integers(dtype):
    ends = np.iinfo(dtype)
    values = np.random.default_rng(4).choice(np.array([ends.min, ends.min + 1, 7, ends.max], dtype), (3, 8, 20))
    for size in (3, 5, 7):
        np.testing.assert_array_equal(arrays.median(values, size), filters.rank(values, (size,) * 3, 50))


def test_nan_is_the_largest_of_all_and_zero_keeps_no_sign_of_its_own():
    values = np.array([[np.nan, 1, 2, -np.inf, np.inf, -np.nan, -0.0, 0.0, 3]], np.float32)
    for size in ((1, 3), (1, 5), (1, 7)):
        for percent in (0, 50, 100):
            found = arrays.rank(values, size, percent=percent)
            np.testing.assert_array_equal(found, filters.rank(values, size, percent))


def test_ranks_of_64_bit_integers_are_refused():
    with pytest.raises(UnsupportedError, match="at most 32 bits"):
        arrays.median(np.zeros((3, 3), np.int64))


@pytest.mark.kernel
@FEW
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 20)),
    st.tuples(*[st.sampled_from([0.5, 1.0, 3.0])] * 3),
    st.booleans(),
    st.integers(0, 99),
)
def test_edges_respect_unequal_spacing(shape, spacing, planar, seed):
    values = made(shape, np.int16, seed)
    axes = (1, 2) if planar else (0, 1, 2)
    found = arrays.sobel(values, spacing, planar=planar)
    np.testing.assert_allclose(found, filters.sobel(values, spacing, axes), rtol=1e-4, atol=2e-2)
    found = arrays.laplacian(values, spacing, planar=planar)
    np.testing.assert_allclose(found, filters.laplacian(values, spacing, axes), rtol=1e-4, atol=2e-1)


def test_planes_have_edges_of_two_axes():
    values = made((12, 30), np.int16)
    np.testing.assert_allclose(arrays.sobel(values), filters.sobel(values, (1, 1), (0, 1)), rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(arrays.laplacian(values), filters.laplacian(values, (1, 1), (0, 1)), atol=1e-2)


def test_sharpening_leaves_small_differences_alone():
    values = made((3, 12, 30), np.int16)
    for threshold in (0, 200):
        found = arrays.unsharp(values, (0, 1, 1.5), amount=0.7, threshold=threshold)
        wanted = filters.unsharp(values, (0, 1, 1.5), 0.7, threshold)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-2)


@pytest.mark.kernel
@FEW
@given(
    st.sampled_from([np.uint8, np.int16, np.float32]),
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 20)),
    st.tuples(*[st.sampled_from([0.0, 0.7, 1.5])] * 3),
    st.integers(0, 99),
)
def test_bilateral_is_its_definition(dtype, shape, sigma, seed):
    values = made(shape, dtype, seed)
    found = arrays.bilateral(values, sigma, sigma_value=300)
    reach = [0 if each == 0 else max(1, int(2 * each + 0.5)) for each in sigma]
    np.testing.assert_allclose(found, denoise.bilateral(values, sigma, 300, reach), rtol=0, atol=1e-2)


def test_bilateral_takes_a_reach_of_its_own_and_rounds_into_integers():
    values = made((20, 37), np.uint8)
    wanted = denoise.bilateral(values, (3, 2), 25, (4, 3))
    found = arrays.bilateral(values, (3, 2), sigma_value=25, reach=(4, 3))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3)
    rounded = arrays.bilateral(values, (3, 2), sigma_value=25, reach=(4, 3), out=np.empty_like(values))
    np.testing.assert_array_equal(rounded, np.rint(found))


@pytest.mark.kernel
@settings(deadline=None, max_examples=12)
@given(
    st.sampled_from([np.uint8, np.int16, np.float32]),
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 18)),
    st.tuples(*[st.integers(1, 4)] * 3),
    st.tuples(*[st.integers(0, 2)] * 3),
    st.sampled_from([0.0, 40.0]),
    st.sampled_from([np.inf, 2.0]),
    st.integers(0, 99),
)
def test_non_local_means_is_its_definition(dtype, shape, patch, search, noise, cutoff, seed):
    values = made(shape, dtype, seed) // 7
    found = arrays.nlm(values, strength=50, patch=patch, search=search, noise=noise, cutoff=cutoff)
    wanted = denoise.nlm(values, 50, patch, search, noise, cutoff)
    if np.isinf(cutoff):  # A patch on the cutoff may fall on either side of it.
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3)
    else:
        assert np.mean(np.abs(found - wanted) < 1e-3) > 0.99


@pytest.mark.parametrize(("shape", "patch", "search"), [((70, 530), 7, 3), ((35, 40, 30), 3, 2), ((9, 70), 5, 12)])
def test_non_local_means_does_not_show_where_tiles_meet(shape, patch, search):
    values = made(shape, np.float32) / 10
    ndim = len(shape)
    found = arrays.nlm(values, strength=40, patch=patch, search=search)
    np.testing.assert_allclose(found, denoise.nlm(values, 40, (patch,) * ndim, (search,) * ndim), rtol=0, atol=1e-3)


def test_what_was_large_leaves_no_trace_in_the_patches_after_it():
    values = np.random.default_rng(1).normal(0, 10, (12, 40)).astype(np.float32)
    values[2, 5] = 3e7
    found = arrays.nlm(values, strength=20, patch=3, search=2)
    np.testing.assert_allclose(found[6:], denoise.nlm(values, 20, (3, 3), (2, 2))[6:], rtol=0, atol=1e-3)


CALLS = {
    "gaussian": lambda values, watch: arrays.gaussian(values, 1.5, watch=watch),
    "box": lambda values, watch: arrays.box(values, 3, watch=watch),
    "unsharp": lambda values, watch: arrays.unsharp(values, 1.0, watch=watch),
    "median": lambda values, watch: arrays.median(values, 3, watch=watch),
    "rank": lambda values, watch: arrays.rank(values, 3, percent=80, watch=watch),
    "sobel": lambda values, watch: arrays.sobel(values, watch=watch),
    "laplacian": lambda values, watch: arrays.laplacian(values, watch=watch),
    "bilateral": lambda values, watch: arrays.bilateral(values, 1.0, sigma_value=100, watch=watch),
    "nlm": lambda values, watch: arrays.nlm(values, strength=50, patch=3, search=1, watch=watch),
}


@pytest.mark.parametrize("name", CALLS)
def test_results_do_not_depend_on_the_number_of_threads_nor_on_the_layout(name):
    values = made((6, 70, 150), np.int16)
    wanted = CALLS[name](values, Watch(threads=1))
    locked = values.copy()
    locked.flags.writeable = False
    layouts = [values.astype(">i2"), np.repeat(values, 2, axis=2)[:, :, ::2], np.asfortranarray(values), locked]
    for other in [values, *layouts]:
        np.testing.assert_array_equal(CALLS[name](other, Watch(threads=3)), wanted)


@pytest.mark.parametrize("name", CALLS)
def test_many_plain_threads_at_once_get_what_one_gets(name):
    values = [made((3, 40, 60), np.int16, seed) for seed in range(6)]
    wanted = [CALLS[name](each, Watch(threads=1)) for each in values]
    with ThreadPoolExecutor(6) as threads:
        for found, right in zip(threads.map(lambda each: CALLS[name](each, Watch()), values), wanted, strict=True):
            np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_both_kinds_get_what_one_process_gets(method):
    values = made((3, 40, 60), np.int16)
    wanted = arrays.median(values)
    with multiprocessing.get_context(method).Pool(2) as workers:
        for found in workers.map(arrays.median, [values] * 3):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", CALLS)
def test_empty_arrays_pass_through_and_one_pixel_is_enough(name):
    for shape in ((0, 4, 4), (3, 0), (2, 5, 0)):
        assert CALLS[name](np.zeros(shape, np.int16), Watch()).shape == shape
    assert np.isfinite(CALLS[name](np.full((1, 1), 7, np.int16), Watch())).all()


@pytest.mark.parametrize("name", CALLS)
def test_each_tells_its_progress_and_can_be_cancelled(name):
    values = made((5, 40, 40), np.int16)
    heard: list[tuple[str, int, int]] = []
    CALLS[name](values, Watch(progress=lambda *words: heard.append(words)))
    assert heard
    assert all(0 < done <= total for _, done, total in heard)
    assert heard[-1][1] == heard[-1][2]
    stop = threading.Event()
    stop.set()
    with pytest.raises(CancelledError):
        CALLS[name](values, Watch(cancel=stop))


@pytest.mark.parametrize(
    "call",
    [
        lambda values: arrays.gaussian(values, -1),
        lambda values: arrays.gaussian(values, np.nan),
        lambda values: arrays.gaussian(values, (1, 1)),
        lambda values: arrays.gaussian(values, 1e5),
        lambda values: arrays.gaussian(values, 1, truncate=0),
        lambda values: arrays.box(values, 4),
        lambda values: arrays.box(values, 2.5),
        lambda values: arrays.median(values, 0),
        lambda values: arrays.median(values, 101),
        lambda values: arrays.rank(values, 3, percent=101),
        lambda values: arrays.sobel(values, 0),
        lambda values: arrays.unsharp(values, 1, threshold=-1),
        lambda values: arrays.bilateral(values, 1, sigma_value=0),
        lambda values: arrays.bilateral(values, 1, sigma_value=1, reach=65),
        lambda values: arrays.nlm(values, strength=0),
        lambda values: arrays.nlm(values, strength=1, patch=0),
        lambda values: arrays.nlm(values, strength=1, search=1.5),
        lambda values: arrays.gaussian(values, 1, out=np.zeros(values.shape)),
        lambda values: arrays.median(values, 3, out=values),
        lambda values: arrays.gaussian(values.astype(complex), 1),
        lambda values: arrays.gaussian(values[0, 0], 1),
    ],
)
def test_what_makes_no_sense_is_refused(call):
    with pytest.raises(InputError):
        call(np.zeros((3, 4, 20), np.int16))


def test_results_go_where_they_are_wanted():
    values = made((3, 20, 30), np.int16)
    floats, words = np.empty(values.shape, np.float32), np.empty_like(values)
    assert arrays.gaussian(values, 1, out=floats) is floats
    assert arrays.median(values, 3, out=words) is words
    assert arrays.nlm(values, strength=50, patch=3, search=1, out=words) is words
