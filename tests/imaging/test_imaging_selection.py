"""NumPy-style indices, against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pacscore.errors import SelectionError
from pacscore.imaging.selection import select

CASES = hnp.array_shapes(min_dims=1, max_dims=5, max_side=7, min_side=0).flatmap(
    lambda shape: st.tuples(st.just(shape), hnp.basic_indices(shape, allow_newaxis=False, allow_ellipsis=True))
)


@given(CASES)
def test_box_then_inside_is_what_numpy_gives(case):
    shape, key = case
    array = np.arange(math.prod(shape)).reshape(shape)
    found = select(key, shape)
    np.testing.assert_array_equal(array[found.box][found.inside], array[key])
    assert found.shape == array[key].shape


@given(CASES)
def test_the_box_is_the_smallest(case):
    shape, key = case
    array = np.arange(math.prod(shape)).reshape(shape)
    wanted = array[key]
    if wanted.size:
        places = np.array(np.unravel_index(wanted.reshape(-1), shape))
        for part, low, high in zip(select(key, shape).box, places.min(1), places.max(1), strict=True):
            assert (part.start, part.stop) == (low, high + 1)


@pytest.mark.parametrize(
    "key", [4, -5, (0, 0, 0, 0), (..., ...), [0, 1], np.array([0, 1]), True, None, 1.0, "a", slice("a"), slice(0, 3, 0)]
)
def test_other_indices_are_refused_as_index_errors(key):
    with pytest.raises(IndexError) as caught:
        select(key, (4, 5, 6))
    assert isinstance(caught.value, SelectionError)
