"""The contrast functions on plain arrays, and through them every kernel of contrast, against twins."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import contrast as reference

from pacscore.errors import CancelledError, InputError
from pacscore.imaging import arrays
from pacscore.imaging.arrays.watching import Watch
from pacscore.kernels import laplacian_pyramid as kernels

FEW = settings(deadline=None, max_examples=25)


@pytest.mark.kernel
@FEW
@given(
    st.sampled_from([np.uint8, np.uint16]),
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from([0.0, 0.5, 2.0, 40.0]),
    st.sampled_from([256, 60]),
    st.integers(0, 99),
)
def test_clahe_is_its_definition_also_with_regions_that_do_not_divide_the_image(dtype, shape, tiles, clip, top, seed):
    image = np.random.default_rng(seed).integers(top // 3, top, shape).astype(dtype)
    levels = max(top, int(image.max()) + 1)
    found = arrays.clahe(image, clip=clip, tiles=tiles, levels=levels)
    np.testing.assert_array_equal(found, reference.clahe(image, clip, tiles, levels))


def test_clahe_of_16_bits_is_exact_over_the_whole_range():
    image = np.random.default_rng(3).integers(0, 65536, (40, 56)).astype(np.uint16)
    image[0, :2] = 0, 65535
    for clip in (0, 1.5, 4000):
        np.testing.assert_array_equal(
            arrays.clahe(image, clip=clip, tiles=(4, 7)), reference.clahe(image, clip, (4, 7), 65536)
        )


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (np.zeros((4, 4), np.int16), {}),
        (np.zeros((4, 4), np.float32), {}),
        (np.zeros((2, 4, 4), np.uint8), {}),
        (np.zeros((4, 4), np.uint8), {"tiles": (0, 8)}),
        (np.zeros((4, 4), np.uint8), {"clip": -1}),
        (np.zeros((4, 4), np.uint8), {"levels": 257}),
        (np.full((4, 4), 9, np.uint8), {"levels": 9}),
    ],
)
def test_clahe_refuses_what_it_cannot_map(image, options):
    with pytest.raises(InputError):
        arrays.clahe(image, **options)


@pytest.mark.kernel
@FEW
@given(hnp.arrays(st.sampled_from([np.uint8, np.int16, np.int32]), st.integers(1, 60), elements=st.integers(0, 90)))
def test_equalisation_follows_the_share_of_values(values):
    found = arrays.equalize(values, low=-5, high=250)
    np.testing.assert_allclose(found, reference.equalize(values, -5, 250), rtol=1e-5, atol=1e-4)


def test_equalised_floats_keep_nan_and_their_range():
    values = np.random.default_rng(2).exponential(10, 5000).astype(np.float32)
    values[7] = np.nan
    found = arrays.equalize(values)
    assert np.isnan(found[7])
    kept = np.delete(found, 7)
    assert kept.min() == np.nanmin(values)
    np.testing.assert_allclose(np.percentile(kept, 50), (kept.min() + kept.max()) / 2, rtol=0.01)


@pytest.mark.kernel
@FEW
@given(
    hnp.arrays(np.int16, st.integers(1, 40), elements=st.integers(-50, 50)),
    hnp.arrays(np.int16, st.integers(1, 40), elements=st.integers(-900, 900)),
)
def test_matching_gives_the_shares_of_the_reference(values, model):
    found = arrays.match_histogram(values, model)
    np.testing.assert_allclose(found, reference.match_histogram(values, model), rtol=1e-5, atol=1e-3)


@pytest.mark.kernel
@FEW
@given(
    hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(-2000, 2000, width=32)),
    st.sampled_from([0.3, 1.0, 2.2]),
)
def test_gamma_is_the_power_of_the_place_in_the_range(values, exponent):
    found = arrays.gamma(values, exponent, low=-1000, high=1000)
    np.testing.assert_allclose(found, reference.gamma(values, exponent, -1000, 1000), rtol=1e-5, atol=1e-3)


def test_gamma_keeps_nan_and_clamps_infinity():
    values = np.array([np.nan, np.inf, -np.inf, 50], np.float32)
    np.testing.assert_array_equal(arrays.gamma(values, 1.0, low=0, high=100), [np.nan, 100, 0, 50])


@pytest.mark.kernel
@FEW
@given(st.tuples(st.integers(1, 21), st.integers(1, 21)), st.integers(0, 99))
def test_pyramid_steps_are_their_matrices(shape, seed):
    image = np.random.default_rng(seed).normal(0, 100, shape).astype(np.float32)
    half = np.empty((-(-shape[0] // 2), -(-shape[1] // 2)), np.float32)
    kernels.halve_into(image, np.empty(shape[1], np.float32), half, 0, half.shape[0])
    np.testing.assert_allclose(half, reference.halve(image), rtol=0, atol=1e-3)
    kernels.double_into(half, -1.0, np.empty(half.shape[1], np.float32), found := image.copy(), 0, shape[0])
    np.testing.assert_allclose(found, image - reference.double(half, shape), rtol=0, atol=1e-3)


@pytest.mark.parametrize("shape", [(64, 64), (33, 100), (17, 16), (3, 50), (1, 1)])
@pytest.mark.parametrize(("exponent", "core", "base"), [(0.6, 0.01, 1.0), (0.8, 0.2, 0.5), (1.0, 1.0, 1.0)])
def test_detail_is_amplified_as_the_paper_says(shape, exponent, core, base):
    image = np.random.default_rng(5).normal(0, 100, shape) + np.add.outer(np.arange(shape[0]), np.arange(shape[1]))
    found = arrays.amplify_detail(image, exponent=exponent, core=core, base=base)
    sides, levels = shape, 0
    while min(sides) >= 8:
        sides, levels = tuple(-(-side // 2) for side in sides), levels + 1
    wanted = reference.amplify_detail(image, exponent, core, base, levels)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=5e-3)


def test_faint_detail_gains_more_than_strong_detail():
    rows = np.arange(128)
    image = (np.where(rows < 64, 2, 200) * np.sin(rows / 3))[:, None] * np.ones((1, 128))
    found = arrays.amplify_detail(image, exponent=0.5, core=0.005)
    faint, strong = (found[part].std() / image[part].std() for part in (slice(10, 54), slice(74, 118)))
    assert faint > 5 * strong


@pytest.mark.parametrize(
    "call",
    [
        lambda image: arrays.equalize(image[:0]),
        lambda image: arrays.equalize(image, low=5, high=1),
        lambda image: arrays.equalize(np.full(3, np.inf)),
        lambda image: arrays.match_histogram(image, np.full(3, np.nan)),
        lambda image: arrays.gamma(image, 0),
        lambda image: arrays.gamma(image, 1, low=1, high=0),
        lambda image: arrays.amplify_detail(image, exponent=0),
        lambda image: arrays.amplify_detail(image, core=2),
        lambda image: arrays.amplify_detail(image, levels=0),
        lambda image: arrays.amplify_detail(image[0]),
        lambda image: arrays.amplify_detail(np.full((9, 9), np.nan)),
        lambda image: arrays.gamma(image > 0, 1),
    ],
)
def test_what_makes_no_sense_is_refused(call):
    with pytest.raises(InputError):
        call(np.arange(64.0).reshape(8, 8))


def test_threads_do_not_change_contrast_and_a_set_event_stops_it():
    image = np.random.default_rng(7).integers(0, 4096, (300, 333)).astype(np.uint16)
    stop = threading.Event()
    stop.set()
    for call in (
        lambda watch: arrays.clahe(image, watch=watch),
        lambda watch: arrays.gamma(image, 0.5, watch=watch),
        lambda watch: arrays.amplify_detail(image, watch=watch),
    ):
        np.testing.assert_array_equal(call(Watch(threads=1)), call(Watch(threads=3)))
        with pytest.raises(CancelledError):
            call(Watch(cancel=stop))
