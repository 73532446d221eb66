from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pacscore.errors import GeometryError, InputError
from pacscore.geometry import anatomical_axis, column_row_slice, handedness, lps_to_ras

AXIAL = np.array([[0, 0, 0.5, -10], [0, 0.7, 0, -20], [3.0, 0, 0, 5], [0, 0, 0, 1]])
CORONAL = np.array([[0, 0, 0.5, 0], [2.0, 0, 0, 0], [0, -0.7, 0, 0], [0, 0, 0, 1]])
SAGITTAL = np.array([[2.0, 0, 0, 0], [0, 0, 0.5, 0], [0, -0.7, 0, 0], [0, 0, 0, 1]])


def about_x(degrees: float) -> NDArray[np.float64]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("affine", "axes"),
    [
        (AXIAL, {"axial": 0, "coronal": 1, "sagittal": 2}),
        (CORONAL, {"axial": 1, "coronal": 0, "sagittal": 2}),
        (SAGITTAL, {"axial": 1, "coronal": 2, "sagittal": 0}),
    ],
)
def test_each_plane_takes_the_axis_across_it(affine: NDArray[np.float64], axes: dict[str, int]) -> None:
    assert {plane: anatomical_axis(affine, plane) for plane in axes} == axes


@pytest.mark.parametrize("degrees", [44.4, 44.6, 45.0, 45.4, 45.6])
def test_axes_within_one_degree_of_each_other_are_a_tie(degrees: float) -> None:
    turned = about_x(degrees) @ AXIAL
    if abs(2 * degrees - 90) <= 1.0:
        with pytest.raises(GeometryError, match="equally near") as caught:
            anatomical_axis(turned, "axial")
        assert caught.value.fields["plane"] == "axial"
        assert anatomical_axis(turned, "sagittal") == 2
    else:
        assert anatomical_axis(turned, "axial") == (0 if degrees < 45 else 1)


def test_tilt_is_judged_by_the_planes_and_not_by_the_direction_of_the_stack() -> None:
    sheared = AXIAL.copy()
    sheared[1, 0] = 4.0  # The line of slices runs 53° off the normal; the slices are axial all the same.

    assert anatomical_axis(sheared, "axial") == 0


def test_single_slice_is_a_plane_in_one_way_only() -> None:
    single = AXIAL.copy()
    single[:3, 0] = 0.0

    assert anatomical_axis(single, "axial") == 0
    with pytest.raises(GeometryError, match="single slice"):
        anatomical_axis(single, "coronal")
    assert handedness(single) is None


def test_other_names_are_refused() -> None:
    with pytest.raises(InputError, match="axial, coronal or sagittal"):
        anatomical_axis(AXIAL, "transverse")


def test_handedness_is_that_of_column_row_slice() -> None:
    assert handedness(AXIAL) == "right"
    assert handedness(AXIAL * [-1, 1, 1, 1]) == "left"


@given(st.lists(st.floats(-1e3, 1e3), min_size=12, max_size=12))
def test_conversions_are_their_own_inverses(numbers: list[float]) -> None:
    affine = np.vstack((np.reshape(numbers, (3, 4)), [0, 0, 0, 1]))

    assert np.array_equal(lps_to_ras(lps_to_ras(affine)), affine)
    assert np.array_equal(column_row_slice(column_row_slice(affine)), affine)
    index = np.array([3.0, 5.0, 7.0, 1.0])
    assert column_row_slice(affine) @ index[[2, 1, 0, 3]] == pytest.approx(affine @ index)
    assert lps_to_ras(affine) @ index == pytest.approx((affine @ index) * [-1, -1, 1, 1])
