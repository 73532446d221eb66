"""Shards: what is written is what the specification says, and any box read is that of the array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference.shards import read_array
from reference.store_series import Maker, smooth_words

from pacscore.errors import FormatVersionError, InputError
from pacscore.kernels.chunks import swap_words
from pacscore.settings import Settings
from pacscore.store.layout import choose_layout
from pacscore.store.plan import StackPlan
from pacscore.store.strategy import Codec, Strategy
from pacscore.store.zarr_metadata import array_json, read_array_json

NAMES = ["balanced", "frames", "bricks", "archive", "gradient", "jpegls", "htj2k"]
SMALL = Strategy("small", brick=(4, 8, 8), brick_slices_min=2, block_bytes=256, frame_chunk_bytes=700)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def members_of(generation):
    def member(name):
        found = generation.members.get(name)
        return None if found is None else generation.file.read(found.offset, found.length)

    return member


@st.composite
def boxes(draw, shape):
    ends = [sorted(draw(st.lists(st.integers(0, n), min_size=2, max_size=2))) for n in shape]
    return tuple(slice(start, stop) for start, stop in ends)


@st.composite
def arrays(draw):
    shape = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    shape += (draw(st.integers(1, 20)), draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    frame_rank = 2
    if draw(st.booleans()):
        shape, frame_rank = (*shape, 3), 3
    dtype = draw(st.sampled_from(["uint8", "int16", "uint32", "float64"]))
    noisy = draw(st.booleans())
    words = smooth_words(shape, dtype, seed=draw(st.integers(0, 99)))
    if noisy:
        words = np.random.default_rng(1).integers(0, 256, words.nbytes, np.uint8).view(words.dtype).reshape(shape)
    return words, frame_rank


@FEW
@given(st.data())
def test_a_reader_made_from_the_specification_gets_the_same_words(stage, data):
    words, frame_rank = data.draw(arrays())
    maker = Maker()
    maker.add_stack(words, frame_rank=frame_rank, swap=data.draw(st.booleans()) and words.itemsize > 1)
    strategy = data.draw(st.sampled_from([*NAMES, SMALL]))
    generation = stage(maker, strategy, Settings(shard_bytes_max=data.draw(st.sampled_from([3000, 1 << 30]))))
    np.testing.assert_array_equal(read_array(members_of(generation), "0").view(np.uint8), words.view(np.uint8))
    assert list(generation.verify()) == []


@FEW
@given(st.data())
def test_any_box_is_that_of_the_array(stage, data):
    words, frame_rank = data.draw(arrays())
    maker = Maker()
    maker.add_stack(words, frame_rank=frame_rank)
    source = stage(maker, data.draw(st.sampled_from([*NAMES, SMALL]))).array_source(0)
    assert (source.shape, source.dtype) == (words.shape, words.dtype)
    for _ in range(4):
        box = data.draw(boxes(words.shape))
        np.testing.assert_array_equal(source.read(box), words[box])
        out = np.empty(words[box].shape, words.dtype)
        source.read_into(box, out)
        np.testing.assert_array_equal(out, words[box])


@pytest.mark.parametrize("strategy", NAMES)
@pytest.mark.parametrize("threads", [1, 3])
def test_planes_and_boxes_of_a_volume_do_not_depend_on_threads(stage, strategy, threads):
    words = smooth_words((50, 200, 170))
    maker = Maker()
    maker.add_stack(words)
    source = stage(maker, strategy, Settings(thread_count=threads)).array_source(0)
    whole = slice(None)
    for box in [(whole, whole, whole), (slice(7, 8), whole, whole), (whole, slice(77, 78), whole)]:
        np.testing.assert_array_equal(source.read(box), words[box])
    for box in [(whole, whole, slice(99, 100)), (slice(20, 40), slice(60, 130), slice(50, 100))]:
        np.testing.assert_array_equal(source.read(box), words[box])


def test_an_output_that_is_not_in_c_order_is_filled_too(stage):
    words = smooth_words((6, 30, 20))
    maker = Maker()
    maker.add_stack(words)
    source = stage(maker).array_source(0)
    out = np.zeros((20, 30, 6), words.dtype).T
    source.read_into([slice(None)] * 3, out)
    np.testing.assert_array_equal(out, words)


def test_an_output_that_does_not_fit_is_refused(stage):
    maker = Maker()
    maker.add_stack(smooth_words((6, 30, 20)))
    source = stage(maker).array_source(0)
    box = (slice(0, 2), slice(0, 30), slice(0, 20))
    locked = np.zeros((2, 30, 20), np.int16)
    locked.flags.writeable = False
    for out in (np.zeros((2, 30, 21), np.int16), np.zeros((2, 30, 20), np.uint16), locked):
        with pytest.raises(InputError):
            source.read_into(box, out)
    with pytest.raises(InputError):
        source.read((slice(0, 6, 2), slice(0, 30), slice(0, 20)))
    with pytest.raises(InputError):
        source.read((slice(0, 6),))


def test_chunks_of_zeros_are_left_out(stage):
    maker = Maker()
    words = np.zeros((64, 64, 64), np.int16)
    words[40] = 7
    maker.add_stack(words)
    source = stage(maker).array_source(0)
    assert (source.index[:, 0] == -1).sum() == 3
    np.testing.assert_array_equal(source.read([slice(None)] * 3), words)


def test_a_plane_of_a_brick_is_one_block(stage):
    maker = Maker()
    maker.add_stack(smooth_words((32, 128, 128), seed=8) + np.int16(1))
    generation = stage(maker)
    layout = generation.array_source(0).layout
    assert layout.chunk_shape == (16, 64, 64)
    for offset, length in generation.array_source(0).index.tolist():
        header = np.frombuffer(generation.file.read(offset, 16), "<u4")
        assert header.tolist()[1:] == [16 * 64 * 64 * 2, 64 * 64 * 2, length - 4]


@pytest.mark.kernel
@pytest.mark.parametrize("item_bytes", [1, 2, 4, 8])
def test_words_are_swapped_as_numpy_swaps_them(item_bytes):
    words = np.random.default_rng(0).integers(0, 256, 64, np.uint8)
    swapped = words.copy()
    swap_words(swapped, 64, item_bytes)
    np.testing.assert_array_equal(swapped, words.view(f"u{item_bytes}").byteswap().view(np.uint8))


def test_lz4_is_taken_unless_zstd_saves_much(stage):
    random = np.random.default_rng(4)
    smooth = Maker()
    smooth.add_stack(smooth_words((8, 64, 64)) // 8)
    assert stage(smooth).array_source(0).layout.codec.name == "lz4"
    noise = Maker()
    noise.add_stack(random.integers(0, 1 << 16, (8, 64, 64), np.uint16))
    assert stage(noise).array_source(0).layout.codec.name == "lz4"  # Nothing helps, so the faster one.
    few = Maker()  # Sixteen values without pattern: nothing for LZ4 to match, half the bits for an entropy coder.
    few.add_stack(random.choice(random.integers(0, 1 << 16, 16, np.uint16), (8, 128, 128)))
    assert stage(few).array_source(0).layout.codec.name == "zstd"


def test_odd_frames_are_padded_to_items_that_are_shuffled():
    maker = Maker()
    maker.add_stack(np.zeros((2, 511, 511), np.int16))
    layout = choose_layout(maker.stacks[0], Strategy.named("frames"), Settings())
    assert layout.chunk_shape == (1, 512, 511)
    assert layout.block_bytes // 2 % 8 == 0


def test_bricks_are_sized_so_that_those_at_the_edge_are_nearly_full():
    maker = Maker()
    maker.add_stack(np.zeros((51, 158, 80), np.uint8))
    layout = choose_layout(maker.stacks[0], Strategy.named("balanced"), Settings())
    assert layout.chunk_shape == (17, 80, 80)


@pytest.mark.parametrize("codec", [Codec("zstd", 1, "shuffle"), Codec("lz4", 9, "noshuffle")])
def test_any_codec_of_blosc_round_trips(stage, codec):
    maker = Maker()
    words = smooth_words((33, 70, 70))
    maker.add_stack(words)
    generation = stage(maker, Strategy("one", codec=codec, others=()))
    np.testing.assert_array_equal(read_array(members_of(generation), "0"), words)
    box = (slice(3, 5), slice(9, 60), slice(1, 2))
    np.testing.assert_array_equal(generation.array_source(0).read(box), words[box])


def test_a_codec_of_a_newer_version_is_refused_and_not_left_out():
    stack = StackPlan((3, 8, 8), "int16", ("slice", "row", "column"))
    layout = choose_layout(stack, Strategy.named("gradient"), Settings())
    text = array_json(layout, stack).replace(b"pacscore.gradient", b"pacscore.wavelet")
    with pytest.raises(FormatVersionError, match=r"pacscore\.wavelet"):
        read_array_json(text, 2)
