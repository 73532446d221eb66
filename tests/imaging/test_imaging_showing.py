"""Stored words to display values in one pass, colours, fusion, overlays, the standard display function: on arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import showing as reference

from pacscore.errors import InputError
from pacscore.imaging import arrays
from pacscore.kernels import pointwise

COMPILES = settings(deadline=None, max_examples=30)
WINDOWS = [(40, 400), (-600, 1500), (40, 80), (300, 1), (127.5, 255), (2048, 4096), (0, 65535), (-20000, 30000)]


def _every_word(dtype: str) -> np.ndarray:
    return np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(dtype)


@pytest.mark.parametrize("function", arrays.VOI_FUNCTIONS)
@pytest.mark.parametrize("dtype", ["int16", "uint16"])
@pytest.mark.parametrize("bits", [8, 16])
def test_every_16_bit_word_is_shown_as_the_standards_formula_says(function, dtype, bits):
    words = _every_word(dtype)
    for center, width in WINDOWS:
        found = arrays.display_stored(words, center, width, function=function, bits=bits)
        wanted = reference.window(words, center, width, function, 2**bits - 1)
        difference = np.abs(found.astype(np.int64) - wanted).max()
        assert difference <= (1 if function == "SIGMOID" else 0), (center, width)


def test_linear_windows_in_common_use_take_the_ramp():
    values = arrays.stored_values(np.dtype(np.int16)).astype(np.float32)[None]
    for center, width in [(40, 400), (-600, 1500), (40, 80), (40, 4096 // 2), (50, 350)]:
        shown = arrays.window(values, center, width)[0]
        assert arrays.display_map(shown, np.dtype(np.int16)).ramp is not None, (center, width)


@pytest.mark.kernel
@COMPILES
@given(
    st.sampled_from([np.int16, np.uint16, np.int8, np.uint8]),
    st.floats(-3000, 3000),
    st.floats(1, 5000),
    st.floats(-3, 3).filter(lambda slope: abs(slope) > 1e-3),
    st.floats(-2000, 2000),
    st.booleans(),
    st.data(),
)
def test_one_pass_is_what_mask_rescale_and_window_give(dtype, center, width, slope, intercept, inverse, data):
    high_bit = data.draw(st.integers(3, np.dtype(dtype).itemsize * 8 - 1))
    bits_stored = data.draw(st.integers(2, high_bit + 1))
    words = (
        np.random.default_rng(1).integers(0, 256, (3, 7, 11, np.dtype(dtype).itemsize), np.uint8).view(dtype)[..., 0]
    )
    found = arrays.display_stored(
        words, center, width, slope=slope, intercept=intercept, bits_stored=bits_stored, high_bit=high_bit,
        inverse=inverse,
    )  # fmt: skip
    stored = arrays.mask_stored(words, bits_stored=bits_stored, high_bit=high_bit, signed=np.dtype(dtype).kind == "i")
    values = arrays.rescale(stored, slope, intercept)
    wanted = arrays.window(values.reshape(-1, 11), center, width, inverse=inverse).reshape(words.shape)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.kernel
def test_the_ramp_kernel_is_its_formula_at_every_length():
    rng = np.random.default_rng(2)
    for length in (0, 1, 63, 64, 65, 200):
        words = rng.integers(0, 65536, length).astype(np.uint16)
        for numbers in (
            [65535, 32768, 32608, 399, 0, 41884, 32749, 0, 0, 0],
            [4095, 2048, 8, 4079, 0, 32648, 64515, 7, 3, 255],
            [65535, 0, 30, 79, 2, 52885, 32777, 0, 0, 0],
        ):
            table = np.array(numbers, np.uint16)
            out = np.empty(length, np.uint8)
            pointwise.ramp_into(words, table, False, out)
            np.testing.assert_array_equal(out, reference.ramp(words, table))


@pytest.mark.kernel
@pytest.mark.parametrize("top", [40, 255])
def test_numbers_of_a_ramp_give_its_table_at_every_key(top):
    keys = np.arange(1 << 10)
    for base, span in ((0, 1023), (300, 1), (100, 37), (500, 400), (7, 2)):
        rising = np.clip((keys - base) * top / span + 0.4, 0, top).astype(np.uint8)
        for shown in (rising, 255 - rising, rising // 2 + 9):
            numbers = np.array([1023, 512, *[0] * 8], np.uint16)
            assert pointwise.fit_ramp(shown, np.flatnonzero(shown[1:] != shown[:-1]), numbers)
            np.testing.assert_array_equal(reference.ramp((keys ^ 512).astype(np.uint16), numbers), shown)


@pytest.mark.kernel
def test_what_falls_again_or_bends_is_no_ramp():
    keys = np.arange(1 << 10)
    for bent in (np.minimum(keys, 1023 - keys) // 3, keys**2 // 4200, np.sqrt(keys) * 7):
        shown = bent.astype(np.uint8)
        edges = np.flatnonzero(shown[1:] != shown[:-1])
        assert not pointwise.fit_ramp(shown, edges, np.array([1023, 0, *[0] * 8], np.uint16))


def test_results_past_the_cache_and_on_any_number_of_threads_are_the_same():
    words = np.random.default_rng(3).integers(-1024, 3000, (40, 512, 512)).astype(np.int16)
    one = arrays.display_stored(words, 40, 400, threads=1)
    assert one.ctypes.data % pointwise.LANES == 0  # So it was stored past the cache.
    odd = np.empty(words.size + 1, np.uint8)[1:].reshape(words.shape)
    for threads, out in ((2, None), (3, odd)):
        np.testing.assert_array_equal(arrays.display_stored(words, 40, 400, threads=threads, out=out), one)


def test_strided_swapped_and_read_only_words_give_the_same_picture():
    words = np.random.default_rng(4).integers(-1024, 3000, (4, 30, 70)).astype(np.int16)
    wanted = arrays.display_stored(words, 40, 400)
    locked = words.copy()
    locked.flags.writeable = False
    for other in (words.astype(">i2"), locked, np.repeat(words, 2, axis=2)[:, :, ::2]):
        np.testing.assert_array_equal(arrays.display_stored(other, 40, 400), wanted)
    assert arrays.display_stored(words[:0], 40, 400).shape == (0, 30, 70)


@pytest.mark.parametrize(
    "call",
    [
        lambda: arrays.display_stored(np.zeros(3, np.int32), 40, 400),
        lambda: arrays.display_stored(np.zeros(3, np.float32), 40, 400),
        lambda: arrays.display_stored(np.zeros(3, np.int16), 40, 400, bits=12),
        lambda: arrays.display_stored(np.zeros(3, np.int16), 40, 0.5),
        lambda: arrays.display_stored(np.zeros(3, np.int16), 40, 400, out=np.zeros(4, np.uint8)),
        lambda: arrays.display_map(np.zeros(10, np.uint8), np.dtype(np.int16)),
        lambda: arrays.display_map(np.zeros(65536, np.uint8), np.dtype(np.int16)).apply(np.zeros(3, np.uint16)),
    ],
)
def test_what_cannot_be_shown_is_refused(call):
    with pytest.raises(InputError):
        call()


@pytest.mark.kernel
def test_fusion_mixes_by_opacity_and_zero_shines_through():
    rng = np.random.default_rng(5)
    below, above = (rng.integers(0, 256, (9, 13), np.uint8) for _ in range(2))
    opacity = rng.random(256)
    under, over = arrays.palette("grey"), arrays.palette("hot iron")
    found = arrays.fuse(below, above, opacity=opacity)
    alpha = np.floor(opacity * 255 + 0.5).astype(np.uint8)
    np.testing.assert_array_equal(found, reference.fuse(below, above, under, over, alpha))
    nothing = arrays.fuse(below, np.zeros_like(below), opacity=0.7)
    np.testing.assert_array_equal(nothing, np.repeat(below[..., None], 3, -1))
    with pytest.raises(InputError, match="grid"):
        arrays.fuse(below, above[:5])


@pytest.mark.kernel
@pytest.mark.parametrize("name", arrays.PALETTES)
def test_pseudo_colour_looks_every_value_up(name):
    shown = np.arange(256, dtype=np.uint8).reshape(16, 16)
    colours = arrays.palette(name)
    assert colours.shape == (256, 3)
    np.testing.assert_array_equal(arrays.pseudo_colour(shown, name).reshape(256, 3), colours)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("hot iron", "hotiron"),
        ("spring", "spring"),
        ("summer", "summer"),
        ("fall", "fall"),
        ("winter", "winter"),
        ("pet", "pet"),
        ("hot metal blue", "hotmetalblue"),
        ("pet 20 step", "pet20step"),
    ],
)
def test_palettes_of_the_standard_are_the_published_ones(name, file):
    import pydicom
    from pydicom.data import get_palette_files
    from pydicom.pixels import apply_color_lut

    path = next(path for path in get_palette_files() if path.endswith(f"{file}.dcm"))
    published = pydicom.dcmread(path, force=True)
    wanted = apply_color_lut(np.arange(256, dtype=np.uint8), published)
    assert np.abs(wanted.astype(int) - arrays.palette(name)).max() <= 1  # Where a segment's steps are no whole numbers.


def test_palettes_of_numbers_have_those_of_the_standard():
    # PS3.6 B.1.2, B.1.3, B.1.4: the first of each, one from the middle, the last.
    for name, wanted in {
        "pet": {0: (0, 0, 0), 1: (0, 2, 1), 64: (1, 126, 127), 128: (128, 0, 255), 255: (255, 255, 255)},
        "hot metal blue": {0: (0, 0, 0), 1: (0, 0, 2), 128: (116, 17, 97), 255: (255, 255, 255)},
        "pet 20 step": {0: (0, 0, 0), 64: (96, 96, 176), 128: (80, 192, 80), 255: (255, 255, 255)},
    }.items():
        colours = arrays.palette(name)
        assert {place: tuple(colours[place].tolist()) for place in wanted} == wanted
    assert len(np.unique(arrays.palette("pet 20 step"), axis=0)) == 20


def test_overlays_are_drawn_where_they_lie_and_cut_at_the_border():
    picture = np.full((6, 8), 50, np.uint8)
    bits = np.ones((3, 3), bool)
    bits[1, 1] = False
    drawn = arrays.draw_overlay(picture, bits, origin=(-1, 6), colour=(1, 2, 3))
    wanted = np.repeat(picture[..., None], 3, -1)
    wanted[0, 7] = (50, 50, 50)
    for row, column in ((0, 6), (1, 6), (1, 7)):
        wanted[row, column] = (1, 2, 3)
    np.testing.assert_array_equal(drawn, wanted)
    assert not arrays.draw_overlay(picture, bits, origin=(10, 10)).max() > 50
    with pytest.raises(InputError):
        arrays.draw_overlay(picture.astype(np.uint16), bits)


def test_the_reversible_transform_comes_back_exactly():
    rgb = np.random.default_rng(6).integers(0, 256, (5, 7, 3))
    red, green, blue = (rgb[..., at] for at in range(3))
    ybr = np.stack([(red + 2 * green + blue) >> 2, blue - green, red - green], -1).astype(np.int16)
    np.testing.assert_array_equal(arrays.ybr_to_rgb(ybr, photometric="YBR_RCT"), rgb)


def test_the_irreversible_transform_and_full_range_are_bt601_backwards():
    ybr = np.random.default_rng(7).integers(-128, 128, (50, 60, 3)).astype(np.int16)
    ybr[..., 0] += 128
    wanted = reference.bt601(ybr, 8)
    found = arrays.ybr_to_rgb(ybr, photometric="YBR_ICT").astype(int)
    assert np.abs(found - wanted).max() <= 1
    assert (found != wanted).mean() < 1e-3  # Ties that one of two orders of addition misses.
    full = ybr.copy()
    full[..., 1:] += 128
    for photometric in ("YBR_FULL", "YBR_FULL_422"):
        also = arrays.ybr_to_rgb(full.astype(np.uint8), photometric=photometric).astype(int)
        assert np.abs(also - wanted).max() <= 1
    with pytest.raises(InputError, match="YBR_ICT"):
        arrays.ybr_to_rgb(full.astype(np.uint8), photometric="YBR_PARTIAL_420")


def test_the_standard_display_function_is_the_standards_formula_and_its_inverse():
    jnd = np.arange(1, 1024)
    luminance = arrays.luminance_of_jnd(jnd)
    np.testing.assert_allclose(luminance, [reference.jnd_luminance(index) for index in jnd], rtol=1e-12)
    # PS3.14 Table B-1.
    for index, wanted in ((1, 0.05), (2, 0.0547), (3, 0.0594), (4, 0.0643), (1023, 3993.404)):
        assert luminance[index - 1] == pytest.approx(wanted, rel=1e-3)
    assert np.abs(arrays.jnd_of_luminance(luminance) - jnd).max() < 0.1
    for wrong in ([0], [1024], [np.nan]):
        with pytest.raises(InputError):
            arrays.luminance_of_jnd(wrong)


def test_p_values_reach_the_display_in_equal_steps_and_come_back():
    levels = 0.5 + 400 * (np.arange(1024) / 1023) ** 2.2
    ddl = arrays.ddl_of_p_values(levels, ambient_cd_m2=0.2)
    assert ddl[0] == 0
    assert ddl[-1] == 1023
    steps = np.diff(arrays.jnd_of_luminance(levels[ddl] + 0.2))
    assert abs(steps - steps.mean()).max() < 1  # Half a level of the display at either side.
    np.testing.assert_array_equal(arrays.p_values_of_ddl(levels, ambient_cd_m2=0.2)[ddl], np.arange(256))
    with pytest.raises(InputError, match="rising"):
        arrays.ddl_of_p_values(levels[::-1])
