"""HDF5: strangers read what is written with h5py alone, and damage is an error of ours."""

from __future__ import annotations

import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from reference.format_reader import Reader
from reference.store_series import Maker, smooth_words

from pacscore.errors import DamagedError, UnsupportedError
from pacscore.settings import Settings
from pacscore.store.generation import Generation
from pacscore.store.strategy import Codec, Strategy

h5py = pytest.importorskip("h5py", reason="h5py comes with the extra 'hdf5' (until 2027-12-31)")
pytest.importorskip("hdf5plugin", reason="hdf5plugin comes with the extra 'hdf5' (until 2027-12-31)")


def test_an_array_in_several_shards_is_read_by_h5py_alone(stage):
    words = smooth_words((36, 90, 75))
    maker = Maker()
    maker.add_stack(words)
    generation = stage(maker, "hdf5", Settings(shard_bytes_max=200_000))
    names = [name for name in generation.members if name.endswith(".h5")]
    assert len(names) == 2
    assert "zarr.json" not in generation.members
    np.testing.assert_array_equal(Reader(generation.file.path).hdf5_array(0), words)
    np.testing.assert_array_equal(generation.array_source(0).read([slice(0, n) for n in words.shape]), words)
    with zipfile.ZipFile(generation.file.path) as archive:
        assert archive.testzip() is None
        with archive.open("0.h5") as member, h5py.File(member) as file:
            assert [dim.label for dim in file["words"].dims] == ["slice", "row", "column"]
            assert file["words"].attrs["pacscore"] == '{"verdict": "regular"}'
    assert list(generation.verify()) == []


@pytest.mark.parametrize("codec", [Codec("zstd", 1, "shuffle"), Codec("lz4", 9, "noshuffle")])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "int64"])
def test_every_codec_is_one_that_the_filter_decodes(stage, codec, dtype):
    words = smooth_words((9, 21, 17), dtype)
    maker = Maker()
    maker.add_stack(words)
    generation = stage(maker, replace(Strategy.named("hdf5"), codec=codec, others=()))
    np.testing.assert_array_equal(Reader(generation.file.path).hdf5_array(0), words)


def test_words_that_h5py_would_misread_are_refused(stage):
    maker = Maker()
    maker.add_stack(smooth_words((3, 8, 8)))
    with pytest.raises(UnsupportedError, match="Use the format zarr"):
        stage(maker, replace(Strategy.named("gradient"), format="hdf5", others=()))


def test_any_damage_of_a_file_is_an_error_of_ours_or_changes_nothing(stage):
    """What stands between chunks HDF5 checks itself; chunks are checked by their CRC32C; verify sees every byte."""
    words = smooth_words((4, 40, 40))
    maker = Maker()
    maker.add_stack(words)
    generation = stage(maker, "hdf5")
    path, member = generation.file.path, generation.members["0.h5"]
    sound = path.read_bytes()
    refused = 0
    for place in range(member.offset, member.offset + member.length, 97):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x55]) + sound[place + 1 :])
        try:
            read = Generation.open(path).array_source(0).read([slice(0, n) for n in words.shape])
        except DamagedError:
            refused += 1
        else:
            np.testing.assert_array_equal(read, words)
        assert [each for each in Generation.open(path).verify() if each.code == "member"]
    assert refused > 10


def test_what_is_missing_is_named_with_the_extra(stage, monkeypatch):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    maker = Maker()
    maker.add_stack(smooth_words((3, 8, 8)))
    with pytest.raises(UnsupportedError, match=r"pacscore\[hdf5\]"):
        stage(maker, "hdf5")
