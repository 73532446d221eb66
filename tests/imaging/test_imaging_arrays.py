"""The checked functions on plain arrays, and through them every display kernel, against twins of the formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import display as reference

from pacscore.errors import InputError
from pacscore.imaging import arrays

INTEGERS = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32]
FIRST_CALL_COMPILES = settings(deadline=None)
FLOATS = st.floats(-70000, 70000, width=32)


@st.composite
def stored_formats(draw):
    dtype = np.dtype(draw(st.sampled_from([*INTEGERS, np.uint64, np.int64])))
    high_bit = draw(st.integers(0, dtype.itemsize * 8 - 1))
    bits_stored = draw(st.integers(1, high_bit + 1))
    words = draw(hnp.arrays(dtype, st.integers(0, 40)))
    return words, bits_stored, high_bit


@pytest.mark.kernel
@FIRST_CALL_COMPILES
@given(stored_formats())
def test_masking_takes_exactly_the_stored_bits(case):
    words, bits_stored, high_bit = case
    signed = words.dtype.kind == "i"
    found = arrays.mask_stored(words, bits_stored=bits_stored, high_bit=high_bit, signed=signed)
    np.testing.assert_array_equal(found, reference.mask_stored(words, bits_stored, high_bit, signed))


def test_masking_in_place_gives_what_masking_to_a_copy_gives():
    words = np.arange(-300, 300, dtype=np.int16).reshape(20, 30)
    copied = arrays.mask_stored(words, bits_stored=6, high_bit=8, signed=True)
    arrays.mask_stored(words, bits_stored=6, high_bit=8, signed=True, out=words)
    np.testing.assert_array_equal(words, copied)


@pytest.mark.parametrize(("stored", "high"), [(0, 11), (13, 11), (12, 16), (17, 16)])
def test_bits_outside_the_word_are_refused(stored, high):
    with pytest.raises(InputError, match="do not lie within"):
        arrays.mask_stored(np.zeros(3, np.uint16), bits_stored=stored, high_bit=high, signed=False)


@pytest.mark.kernel
@FIRST_CALL_COMPILES
@given(
    hnp.arrays(st.sampled_from([*INTEGERS, np.int64]), hnp.array_shapes(min_dims=2, max_dims=3, max_side=6)),
    st.data(),
)
def test_rescale_is_the_formula_rounded_once(words, data):
    numbers = hnp.arrays(np.float64, len(words), elements=st.floats(-1e6, 1e6))
    slopes, intercepts = data.draw(numbers), data.draw(numbers)
    found = arrays.rescale(words, slopes, intercepts)
    wanted = reference.rescale(words.reshape(len(words), -1), slopes, intercepts).reshape(words.shape)
    # Exact, but that the compiler may join product and sum into one rounding: a last bit of float32 at most.
    np.testing.assert_array_almost_equal_nulp(found, wanted, 1)


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", [*INTEGERS, np.float32])
def test_a_box_is_rescaled_as_if_it_were_cut_out_first(dtype):
    words = np.arange(5 * 6 * 70).reshape(5, 6, 70).astype(dtype)
    slopes, intercepts = np.linspace(0.5, 2, 3), np.array([1.0, -2.0, 0.25])
    for box in ((slice(1, 4), slice(2, 6), slice(3, 68)), (slice(2, 5), slice(0, 1), slice(69, 70))):
        found = arrays.rescale_box(words, box, slopes, intercepts)
        np.testing.assert_array_almost_equal_nulp(found, arrays.rescale(words[box], slopes, intercepts), 1)
    for box in ((slice(0, 3),) * 2, (slice(3, 6), slice(0, 1), slice(0, 1)), (slice(-3, 0),) * 3):
        with pytest.raises(InputError, match="does not lie"):
            arrays.rescale_box(words, box, slopes, intercepts)
    held = np.zeros((2, 2, 2), np.float32)
    with pytest.raises(InputError, match="overlaps"):
        arrays.rescale_box(held, (slice(0, 2),) * 3, 1, 0, out=held)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_hounsfield_units_are_exact(dtype):
    words = np.arange(100, dtype=dtype).reshape(1, 10, 10)
    np.testing.assert_array_equal(arrays.rescale(words, 1, -1024), words.astype(np.float64) - 1024)


@pytest.mark.kernel
@FIRST_CALL_COMPILES
@given(
    hnp.arrays(st.sampled_from(INTEGERS), st.integers(0, 30)),
    st.integers(-70000, 70000),
    hnp.arrays(np.float32, st.integers(1, 20), elements=FLOATS),
)
def test_lookup_clamps_at_both_ends(words, first, table):
    found = arrays.look_up(words, first=first, table=table)
    np.testing.assert_array_equal(found, reference.look_up(words, first, table))


@pytest.mark.kernel
@FIRST_CALL_COMPILES
@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=FLOATS),
    st.floats(-5000, 5000),
    st.floats(1, 10000),
    st.sampled_from(arrays.VOI_FUNCTIONS),
)
def test_windows_follow_the_standards_formulas(values, center, width, function):
    found = arrays.window(values, center, width, function=function)
    wanted = reference.window(values, center, width, function)
    difference = np.abs(found.astype(int) - wanted.astype(int))
    assert difference.max() <= (1 if function == "SIGMOID" else 0)


@pytest.mark.parametrize("function", arrays.VOI_FUNCTIONS)
def test_every_16_bit_value_is_shown_as_the_standard_says(function):
    values = np.arange(-32768, 32768, dtype=np.float32).reshape(256, 256)
    for center, width in ((40, 400), (-600, 1500), (127.5, 255), (2048, 4096), (0, 1), (35.5, 80)):
        found = arrays.window(values, center, width, function=function)
        wanted = reference.window(values, center, width, function)
        assert np.abs(found.astype(int) - wanted).max() <= (1 if function == "SIGMOID" else 0)


def test_values_that_are_no_numbers_are_shown_black():
    values = np.array([[np.nan, -np.inf, np.inf, 40]], np.float32)
    for function in arrays.VOI_FUNCTIONS:
        assert arrays.window(values, 40, 400, function=function)[0, :3].tolist() == [0, 0, 255]


def test_inverse_turns_black_into_white():
    values = np.linspace(-500, 500, 100, dtype=np.float32).reshape(10, 10)
    np.testing.assert_array_equal(
        arrays.window(values, 0, 300, inverse=True), 255 - arrays.window(values, 0, 300).astype(int)
    )


@pytest.mark.parametrize(
    ("center", "width", "function"),
    [(40, 0.5, "LINEAR"), (40, 0, "LINEAR_EXACT"), (40, -1, "SIGMOID"), (np.nan, 400, "LINEAR"), (40, 400, "CUBIC")],
)
def test_a_window_the_standard_does_not_know_is_refused(center, width, function):
    with pytest.raises(InputError):
        arrays.window(np.zeros((2, 2), np.float32), center, width, function=function)


def test_strided_swapped_and_read_only_arrays_give_the_same_answer():
    words = np.arange(240, dtype=np.int16).reshape(2, 10, 12)
    wanted = arrays.rescale(words, [2, 3], [1, -1])
    swapped, locked = words.astype(">i2"), words.copy()
    locked.flags.writeable = False
    strided = np.repeat(words, 2, axis=2)[:, :, ::2]
    for other in (swapped, locked, strided):
        np.testing.assert_array_equal(arrays.rescale(other, [2, 3], [1, -1]), wanted)


def test_an_out_that_does_not_fit_is_refused():
    words = np.zeros((2, 3, 4), np.int16)
    locked = np.zeros(words.shape, np.float32)
    locked.flags.writeable = False
    for out in (np.zeros((2, 3), np.float32), np.zeros(words.shape), locked, np.zeros((4, 3, 2), np.float32).T):
        with pytest.raises(InputError, match="out must be"):
            arrays.rescale(words, 1, 0, out=out)


def test_an_out_that_overlaps_the_input_is_refused():
    values = np.zeros((2, 3, 4), np.float32)
    with pytest.raises(InputError, match="overlaps"):
        arrays.rescale(values, 1, 0, out=values)


@pytest.mark.parametrize(("slope", "intercept"), [(np.nan, 0), (1, np.inf), ([1, 2, 3], 0), ([[1, 2]], 0)])
def test_a_slope_that_fits_no_frame_is_refused(slope, intercept):
    with pytest.raises(InputError):
        arrays.rescale(np.zeros((2, 4), np.int16), slope, intercept)


def test_percentiles_leave_out_padding_background_and_what_is_no_number():
    values = np.concatenate([np.full(500, -2000.0), np.zeros(400), np.arange(1, 101), [np.nan, np.inf]])
    low, high = arrays.percentile_limits(values, low_percent=0, high_percent=100, padding=(-2000, -2000))
    assert (low, high) == (1, 100)


@pytest.mark.parametrize("values", [[], [np.nan], [5.0, 5.0, 5.0]])
def test_percentiles_of_nothing_or_one_value_still_give_a_range(values):
    low, high = arrays.percentile_limits(np.array(values, np.float64))
    assert high > low


def test_empty_arrays_pass_through():
    assert arrays.rescale(np.zeros((0, 4, 4), np.int16), 1, 0).shape == (0, 4, 4)
    assert arrays.window(np.zeros((0, 4), np.float32), 40, 400).shape == (0, 4)
    assert arrays.mask_stored(np.zeros((3, 0), np.int16), bits_stored=4, high_bit=3, signed=True).shape == (3, 0)
