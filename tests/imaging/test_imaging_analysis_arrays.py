"""Components, histograms, statistics, regions and comparisons on plain arrays, against twins written voxel by voxel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import components as reference

from pacscore.errors import InputError, LimitError
from pacscore.imaging import arrays
from pacscore.imaging.arrays import components

COMPILES = settings(deadline=None, max_examples=40)
SIDES = hnp.array_shapes(min_dims=3, max_dims=3, max_side=9)


@pytest.mark.kernel
@COMPILES
@given(hnp.arrays(np.bool_, SIDES), st.sampled_from(arrays.CONNECTIVITIES))
def test_labels_are_those_of_flooding_in_the_order_of_the_first_voxel(mask, connectivity):
    found, count = arrays.label_components(mask, connectivity=connectivity)
    wanted, wanted_count = reference.label(mask, connectivity)
    assert count == wanted_count
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.kernel
@pytest.mark.parametrize("connectivity", arrays.CONNECTIVITIES)
@pytest.mark.parametrize("columns", [1, 63, 64, 65, 127, 128, 130])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 0.95])
def test_rows_across_words_are_labelled_as_flooded(connectivity, columns, share):
    mask = np.random.default_rng(columns).random((3, 5, columns)) < share
    found, count = arrays.label_components(mask, connectivity=connectivity)
    wanted, wanted_count = reference.label(mask, connectivity)
    assert count == wanted_count
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("connectivity", arrays.CONNECTIVITIES)
def test_labels_do_not_depend_on_threads_dtype_or_slabs(connectivity, monkeypatch):
    rng = np.random.default_rng(8)
    mask = rng.random((23, 40, 150)) < rng.random((23, 40, 1)) * 0.6
    one, count = arrays.label_components(mask, connectivity=connectivity, threads=1)
    np.testing.assert_array_equal(one, reference.label(mask, connectivity)[0])
    for dtype in (np.uint16, np.uint32):
        asked, _ = arrays.label_components(mask, connectivity=connectivity, dtype=dtype, threads=2)
        np.testing.assert_array_equal(one, asked)
        assert asked.dtype == dtype
    for slabs in (1, 3, 23):
        monkeypatch.setattr(components, "_SLABS", slabs)
        dirty = np.full(mask.shape, 7, np.uint32)
        also, again = arrays.label_components(mask, connectivity=connectivity, threads=3, out=dirty)
        assert again == count
        np.testing.assert_array_equal(one, also)


def test_odd_masks_are_labelled():
    assert arrays.label_components(np.zeros((4, 0, 3), bool))[1] == 0
    assert arrays.label_components(np.zeros((4, 5, 3), bool))[1] == 0
    assert arrays.label_components(np.ones((4, 5, 3), bool))[1] == 1
    assert arrays.label_components(np.ones((1, 1, 1), np.uint8) * 9)[0].tolist() == [[[1]]]
    mask = np.zeros((6, 6, 6), bool)
    mask[::2, ::2, ::2] = True
    np.testing.assert_array_equal(
        arrays.label_components(mask[:, :, ::-1])[0], reference.label(mask[:, :, ::-1], 26)[0]
    )
    many = np.zeros((1, 512, 512), bool)
    many[:, ::2, ::2] = True
    with pytest.raises(LimitError, match="uint32"):
        arrays.label_components(many, dtype=np.uint16)
    labels, count = arrays.label_components(many)
    assert (labels.dtype, count, labels.max()) == (np.uint32, 1 << 16, 1 << 16)
    many[0, 0, 0] = False
    labels, count = arrays.label_components(many)
    assert (labels.dtype, count, labels.max()) == (np.uint16, (1 << 16) - 1, (1 << 16) - 1)
    with pytest.raises(InputError, match="uint16 or uint32"):
        arrays.label_components(mask, out=np.zeros(mask.shape, np.int64))
    with pytest.raises(InputError):
        arrays.label_components(mask, dtype=np.uint16, out=np.zeros(mask.shape, np.uint32))
    for wrong in (np.zeros((2, 2)), np.zeros((2, 2, 2, 2), bool)):
        with pytest.raises(InputError):
            arrays.label_components(wrong)
    with pytest.raises(InputError, match="6, 18 or 26"):
        arrays.label_components(mask, connectivity=8)


@pytest.mark.kernel
def test_labels_are_measured_as_numpy_measures_them():
    rng = np.random.default_rng(9)
    mask = rng.random((7, 9, 70)) < 0.2
    values = rng.normal(100, 30, mask.shape).astype(np.float32)
    values[3, 4, 5] = np.nan
    labels, count = arrays.label_components(mask, connectivity=6)
    labels[labels == 2] = 0  # A label without a voxel.
    found = arrays.measure_labels(labels, values)
    assert len(found) == count
    assert found.voxels[1] == 0
    assert np.isnan(found.means[1])
    for name in range(1, count + 1):
        places = np.argwhere(labels == name)
        if name == 2:
            continue
        inside = values[labels == name]
        inside = inside[np.isfinite(inside)].astype(np.float64)
        at = name - 1
        assert found.voxels[at] == len(places)
        np.testing.assert_allclose(found.centroids[at], places.mean(0))
        np.testing.assert_array_equal(found.boxes[at], np.stack([places.min(0), places.max(0) + 1], -1))
        if inside.size:
            wanted = [inside.mean(), inside.std(), inside.min(), inside.max()]
            got = [found.means[at], found.deviations[at], found.minima[at], found.maxima[at]]
            np.testing.assert_allclose(got, wanted, atol=1e-4)
    with pytest.raises(InputError):
        arrays.measure_labels(labels, values[:2])
    with pytest.raises(InputError):
        arrays.measure_labels(-labels.astype(np.int32))


def test_labels_are_measured_by_parts_of_their_values():
    random = np.random.default_rng(8)
    labels, values = random.integers(0, 4, (9, 6, 7)), random.normal(size=(9, 6, 7))
    whole = arrays.measure_labels(labels, values)
    parts = arrays.measure_labels(labels, (values[start : start + 4] for start in range(0, 9, 4)))
    for name in ("means", "deviations", "minima", "maxima"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    for wrong in ([values[:4]], [values, values[:1]], [values[:, :5]]):
        with pytest.raises(InputError):
            arrays.measure_labels(labels, wrong)


def test_a_region_grows_from_its_seed_alone():
    values = np.zeros((3, 5, 9), np.int16)
    values[:, 1:4, 1:4] = 50
    values[:, 1:4, 6:8] = 60
    region = arrays.grow_region(values, [(1, 2, 2)], low=40, high=70)
    np.testing.assert_array_equal(region, values == 50)
    both = arrays.grow_region(values, [(1, 2, 2), (0, 2, 7)], low=40, high=70)
    np.testing.assert_array_equal(both, values > 0)
    assert not arrays.grow_region(values, [(0, 0, 0)], low=40, high=70).any()
    for wrong in ([], [(0, 0)], [(3, 0, 0)], [(-1, 0, 0)]):
        with pytest.raises(InputError):
            arrays.grow_region(values, wrong, low=40, high=70)
    with pytest.raises(InputError, match="lower first"):
        arrays.grow_region(values, [(0, 0, 0)], low=70, high=40)


@pytest.mark.kernel
@COMPILES
@given(
    hnp.arrays(st.sampled_from([np.int16, np.uint16, np.int8, np.uint8]), st.integers(0, 300)), st.booleans(), st.data()
)
def test_histograms_count_every_value(words, masked, data):
    mask = data.draw(hnp.arrays(np.uint8, words.shape, elements=st.integers(0, 2))) if masked else None
    found = arrays.histogram_16(words, mask=mask)
    inside = words if mask is None else words[mask != 0]
    low = np.iinfo(words.dtype).min
    assert found.sum() == inside.size
    for value in np.unique(inside).tolist():
        assert found[value - low] == (inside == value).sum()


def test_histograms_have_numpys_bins_and_ranks():
    rng = np.random.default_rng(10)
    words = rng.normal(0, 300, 5000).astype(np.int16)
    for values in (words, words.astype(np.float32), words.astype(np.float64)):
        found = arrays.histogram(values, bins=50, limits=(-500, 500))
        wanted, edges = np.histogram(words.astype(np.float64), 50, (-500, 500))
        np.testing.assert_array_equal(found.counts, wanted)
        np.testing.assert_array_equal(found.edges, edges)
    exact = arrays.histogram(words, bins=4000, limits=(-2000, 2000))
    for percent in (0, 1, 25, 50, 99, 100):
        assert exact.percentile(percent) == np.sort(words)[min(4999, int(percent / 100 * 5000))]
    assert arrays.histogram(np.full(5, 7.0)).counts.sum() == 5
    assert arrays.histogram(np.array([np.nan, np.inf, 1.0])).counts.sum() == 1
    with pytest.raises(InputError):
        arrays.histogram(words, limits=(5, 5))
    with pytest.raises(InputError):
        arrays.histogram(words[:0]).percentile(50)


@pytest.mark.kernel
@COMPILES
@given(
    hnp.arrays(st.sampled_from([np.int16, np.uint16, np.uint8, np.int32]), st.integers(0, 300)),
    st.booleans(),
    st.data(),
)
def test_statistics_of_integers_are_exact(words, masked, data):
    mask = data.draw(hnp.arrays(np.bool_, words.shape)) if masked else None
    found = arrays.statistics(words, mask=mask)
    inside = [int(value) for value in (words if mask is None else words[mask])]
    assert found.count == len(inside)
    if not inside:
        assert math.isnan(found.mean)
        return
    assert (found.minimum, found.maximum) == (min(inside), max(inside))
    assert found.sum == pytest.approx(sum(inside), rel=1e-12)
    assert found.mean == pytest.approx(sum(inside) / len(inside), rel=1e-12)
    assert found.deviation == pytest.approx(np.std(np.array(inside, np.float64)), rel=1e-9, abs=1e-3)


def test_statistics_leave_out_what_is_no_number_and_do_not_depend_on_threads():
    rng = np.random.default_rng(11)
    values = rng.normal(1e6, 1, (3, 500, 700)).astype(np.float32)
    values[0, 0, :2] = np.nan, np.inf
    mask = rng.random(values.shape) < 0.3
    mask[0, 0, :2] = True
    inside = values[mask]
    inside = inside[np.isfinite(inside)].astype(np.float64)
    found = arrays.statistics(values, mask=mask, threads=1)
    assert found == arrays.statistics(values, mask=mask.astype(np.uint8) * 255, threads=3)
    assert found.count == inside.size
    assert found.mean == pytest.approx(inside.mean(), rel=1e-12)
    assert found.deviation == pytest.approx(inside.std(), rel=1e-6)
    big = rng.integers(-32768, 32768, (2, 700, 800)).astype(np.int16)
    found = arrays.statistics(big, threads=1)
    assert found == arrays.statistics(big.astype(">i2"), threads=3)
    assert found.deviation == pytest.approx(big.astype(np.float64).std(), rel=1e-12)
    for wrong in (mask[:2], mask.astype(np.float32)):
        with pytest.raises(InputError):
            arrays.statistics(values, mask=wrong)
    with pytest.raises(InputError):
        arrays.statistics(np.zeros(3, complex))


@pytest.mark.kernel
@COMPILES
@given(st.lists(st.tuples(st.floats(-3, 14), st.floats(-3, 14)), min_size=3, max_size=9))
def test_polygons_hold_the_pixels_that_crossing_numbers_say(points):
    found = arrays.polygon_mask([points], (11, 12))
    np.testing.assert_array_equal(found, reference.polygon(points, (11, 12)))


@pytest.mark.kernel
def test_a_polygon_in_another_is_a_hole_and_neighbours_share_no_pixel():
    outer, inner = [(0, 0), (0, 10), (10, 10), (10, 0)], [(3, 3), (3, 6), (6, 6), (6, 3)]
    ring = arrays.polygon_mask([outer, inner], (12, 12))
    assert ring.sum() == 100 - 9
    left, right = [(0, 0), (0, 5), (9, 5), (9, 0)], [(0, 5), (0, 9), (9, 9), (9, 5)]
    assert not (arrays.polygon_mask([left], (12, 12)) & arrays.polygon_mask([right], (12, 12))).any()
    assert not arrays.polygon_mask([[(50, 50), (50, 60), (60, 60)]], (12, 12)).any()
    assert arrays.polygon_mask([[(-1e9, -1e9), (-1e9, 1e9), (1e9, 1e9), (1e9, -1e9)]], (4, 5)).all()
    for wrong in ([(0, 0), (1, 1)], [(0, 0), (0, np.nan), (1, 1)]):
        with pytest.raises(InputError):
            arrays.polygon_mask([wrong], (4, 4))


def test_an_ellipse_holds_its_area():
    mask = arrays.ellipse_mask((100, 120), (40.2, 70.7), (200, 250))
    assert mask.sum() == pytest.approx(math.pi * 40.2 * 70.7, rel=2e-3)
    turned = arrays.ellipse_mask((100, 120), (40.2, 70.7), (200, 250), angle_rad=math.pi / 2)
    assert np.ptp(np.nonzero(turned)[0]) == 140
    with pytest.raises(InputError):
        arrays.ellipse_mask((0, 0), (0, 1), (4, 4))


def test_comparisons_are_their_definitions():
    rng = np.random.default_rng(12)
    first = rng.integers(0, 4000, (3, 40, 50)).astype(np.int16)
    second = (first + rng.normal(0, 20, first.shape)).astype(np.int16)
    error = np.mean((first.astype(float) - second) ** 2)
    assert arrays.mean_squared_error(first, second) == pytest.approx(error, rel=1e-12)
    span = float(first.max()) - first.min()
    assert arrays.peak_signal_to_noise(first, second) == pytest.approx(10 * math.log10(span**2 / error))
    assert arrays.peak_signal_to_noise(first, first) == math.inf
    assert arrays.structural_similarity(first, first) == pytest.approx(1)
    x, y = first[0, 5:12, 8:15].astype(float), second[0, 5:12, 8:15].astype(float)
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    covariance = np.cov(x.ravel(), y.ravel())
    wanted = (2 * x.mean() * y.mean() + c1) * (2 * covariance[0, 1] + c2)
    wanted /= (x.mean() ** 2 + y.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
    assert arrays.structural_similarity(x, y, value_range=span) == pytest.approx(wanted)
    with pytest.raises(InputError):
        arrays.structural_similarity(first, second, window=6)
    with pytest.raises(InputError, match="range"):
        arrays.peak_signal_to_noise(first * 0, second)
    with pytest.raises(InputError):
        arrays.mean_squared_error(first, second[:2])
