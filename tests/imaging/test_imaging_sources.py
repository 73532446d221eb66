"""Sources: what is read belongs to the reader, and only what is asked for is read."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from pacscore.errors import InputError
from pacscore.imaging import ArrayInMemory, InterleavedSource, PartOfSource
from pacscore.imaging.sources import everything


@pytest.fixture
def array():
    return np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)


def test_changing_what_was_read_changes_no_later_read(array):
    source = ArrayInMemory(array)
    source.read(everything(array.shape))[:] = 0
    np.testing.assert_array_equal(source.read(everything(array.shape)), np.arange(120).reshape(array.shape))


def test_byte_swapped_arrays_are_read_in_native_order(array):
    source = ArrayInMemory(array.astype(">i2"))
    assert source.dtype == np.dtype("=i2")
    np.testing.assert_array_equal(source.read(everything(array.shape)), array)


def test_a_part_reads_and_fills_what_indexing_gives(array):
    part = PartOfSource(ArrayInMemory(array), [1, None])
    assert part.shape == (3, 4, 5)
    box = (slice(1, 3), slice(0, 2), slice(2, 5))
    np.testing.assert_array_equal(part.read(box), array[1][box])
    out = np.empty((2, 2, 3), np.int16)
    part.read_into(box, out)
    np.testing.assert_array_equal(out, array[1][box])


def test_a_part_of_more_axes_than_there_are_is_refused(array):
    with pytest.raises(InputError):
        PartOfSource(ArrayInMemory(array), [0] * 5)


def test_colour_planes_are_read_as_samples(array):
    source = InterleavedSource(ArrayInMemory(array, chunk_shape=(1, 3, 2, 5)))
    assert (source.shape, source.chunk_shape) == ((2, 4, 5, 3), (1, 2, 5, 3))
    box = (slice(0, 2), slice(1, 3), slice(2, 5), slice(0, 3))
    np.testing.assert_array_equal(source.read(box), np.moveaxis(array, 1, -1)[box])
    out = np.empty((2, 2, 3, 3), np.int16)
    source.read_into(box, out)
    np.testing.assert_array_equal(out, np.moveaxis(array, 1, -1)[box])


def test_sources_survive_pickling(array):
    for source in (
        ArrayInMemory(array),
        PartOfSource(ArrayInMemory(array), [1]),
        InterleavedSource(ArrayInMemory(array)),
    ):
        copy = pickle.loads(pickle.dumps(source))
        np.testing.assert_array_equal(copy.read(everything(copy.shape)), source.read(everything(source.shape)))
