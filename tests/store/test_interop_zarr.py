"""zarr-python and tensorstore read what the store writes, and agree with it on random boxes."""

from __future__ import annotations

import importlib
import json
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from reference.store_series import Maker, smooth_words

from pacscore.settings import Settings

zarr = pytest.importorskip("zarr", reason="zarr is a dependency of pacscore (until 2027-12-31)")
ts = pytest.importorskip("tensorstore", reason="tensorstore comes with the extra 'test' (until 2027-12-31)")

ROOT = Path(__file__).resolve().parents[2]
STRATEGIES = ["balanced", "frames", "bricks", "archive"]


def make(stage, strategy, shape=(36, 90, 75), dtype="int16", **fields):
    words = smooth_words(shape, dtype)
    maker = Maker()
    maker.add_stack(words, **fields)
    return words, stage(maker, strategy, Settings(shard_bytes_max=200_000))


def random_boxes(shape, count=5):
    random = np.random.default_rng(11)
    for _ in range(count):
        ends = [sorted(random.choice(length + 1, 2, replace=False)) for length in shape]
        yield tuple(slice(int(start), int(stop)) for start, stop in ends)


@pytest.fixture(autouse=True, scope="module")
def _codecs_of_ours():
    """As the entry points of an installed pacscore do; the tests also run from a checkout that is not installed."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["zarr.codecs"]
    for name, place in points.items():
        module, _, attribute = place.partition(":")
        zarr.registry.register_codec(name, getattr(importlib.import_module(module), attribute))


@pytest.mark.parametrize("strategy", [*STRATEGIES, "gradient", "jpegls", "htj2k"])
@pytest.mark.parametrize(("shape", "dtype"), [((36, 90, 75), "int16"), ((2, 3, 5, 40, 33), "uint8")])
def test_zarr_python_reads_the_same_boxes(stage, strategy, shape, dtype):
    words, generation = make(stage, strategy, shape, dtype)
    with zarr.storage.ZipStore(generation.file.path, mode="r") as store:
        array = zarr.open_group(store, mode="r")["0"]
        np.testing.assert_array_equal(array[...], words)
        for box in random_boxes(shape):
            np.testing.assert_array_equal(array[box], words[box])
            np.testing.assert_array_equal(generation.array_source(0).read(box), words[box])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_tensorstore_reads_the_same_boxes(stage, strategy, tmp_path):
    words, generation = make(stage, strategy)
    path = generation.file.path
    zipped = {"driver": "zip", "base": {"driver": "file", "path": str(path)}, "path": "0/"}
    array = ts.open({"driver": "zarr3", "kvstore": zipped}, open=True).result()
    np.testing.assert_array_equal(array.read().result(timeout=60), words)
    # tensorstore 0.1.86 waits for ever for parts of a shard inside a ZIP on disk, whoever wrote the ZIP; from the
    # unpacked folder it reads them.
    with zipfile.ZipFile(path) as members:
        members.extractall(tmp_path / "unpacked")
    folder = {"driver": "file", "path": f"{tmp_path}/unpacked/0/"}
    array = ts.open({"driver": "zarr3", "kvstore": folder}, open=True).result()
    for box in random_boxes(words.shape):
        np.testing.assert_array_equal(array[box].read().result(timeout=60), words[box])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "float32", "float64"])
def test_array_metadata_is_what_zarr_python_makes_of_it(stage, dtype):
    from zarr.core.metadata.v3 import ArrayV3Metadata

    _, generation = make(stage, "balanced", (3, 20, 21), dtype)
    member = generation.members["0/zarr.json"]
    ours = json.loads(generation.file.read(member.offset, member.length))
    theirs = json.loads(json.dumps(ArrayV3Metadata.from_dict(dict(ours)).to_dict()))
    assert theirs.pop("storage_transformers", []) in ([], ())
    assert theirs == ours


def test_an_array_made_by_zarr_python_with_these_codecs_has_the_same_metadata(stage, tmp_path):
    words, generation = make(stage, "balanced")
    layout = generation.array_source(0).layout
    array = zarr.create_array(
        tmp_path / "peer",
        shape=words.shape,
        dtype=words.dtype,
        chunks=layout.chunk_shape,
        shards=layout.shard_shape,
        compressors=[
            zarr.codecs.BloscCodec(
                cname=layout.codec.name,
                clevel=layout.codec.level,
                shuffle=layout.codec.shuffle,
                typesize=2,
                blocksize=layout.block_bytes,
            ),
            zarr.codecs.Crc32cCodec(),
        ],
        chunk_key_encoding={"name": "default", "separator": "."},
        dimension_names=("slice", "row", "column"),
        attributes={"pacscore": {"verdict": "regular"}},
    )
    array[...] = words
    theirs = json.loads((tmp_path / "peer" / "zarr.json").read_text())
    member = generation.members["0/zarr.json"]
    ours = json.loads(generation.file.read(member.offset, member.length))
    assert theirs.pop("storage_transformers", []) == []
    assert theirs == ours


def test_images_with_a_spacing_carry_ome_zarr_metadata(stage):
    from dataclasses import replace

    maker = Maker()
    maker.add_stack(smooth_words((3, 20, 21)))
    maker.add_stack(smooth_words((2, 9, 9)))
    scale = {"type": "scale", "scale": [2.5, 0.5, 0.5]}
    axes = [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]
    ome = {"name": "volume", "axes": axes, "datasets": [{"coordinateTransformations": [scale]}]}
    maker.stacks[0] = replace(maker.stacks[0], ome=ome)
    generation = stage(maker)
    with zarr.storage.ZipStore(generation.file.path, mode="r") as store:
        attributes = zarr.open_group(store, mode="r").attrs.asdict()
    (multiscale,) = attributes["ome"]["multiscales"]
    assert attributes["ome"]["version"] == "0.5"
    assert multiscale["datasets"] == [{"path": "0", "coordinateTransformations": [scale]}]
    assert attributes["pacscore"]["series_instance_uid"] == "1.2.3.4"


def test_any_unzip_reads_the_members(stage):
    _, generation = make(stage, "balanced")
    with zipfile.ZipFile(generation.file.path) as members:
        assert members.testzip() is None
        assert {info.compress_type for info in members.infolist()} == {zipfile.ZIP_STORED}
        assert sorted(members.namelist()) == sorted(generation.members)


@pytest.mark.parametrize("shape", [(2, 20, 21), (2, 9, 8, 3)])
def test_zarr_python_writes_what_the_gradient_codec_says(tmp_path, shape):
    from reference.shards import undo_gradient

    from pacscore.errors import InputError
    from pacscore.store.zarr_codecs import GradientCodec

    words = smooth_words(shape)
    filters = [GradientCodec(row_axis=1)]
    array = zarr.create_array(tmp_path, shape=shape, dtype="int16", chunks=shape, filters=filters, compressors=None)
    array[...] = words
    stored = np.fromfile(next(path for path in (tmp_path / "c").rglob("*") if path.is_file()), "<i2").reshape(shape)
    assert not np.array_equal(stored, words)
    np.testing.assert_array_equal(undo_gradient(stored, 1), words)
    np.testing.assert_array_equal(zarr.open_array(tmp_path, mode="r")[...], words)
    wrong = GradientCodec(row_axis=len(shape) - 1)
    with pytest.raises(InputError):
        zarr.create_array(
            tmp_path / "wrong", shape=shape, dtype="int16", chunks=shape, filters=[wrong], compressors=None
        )[...] = words
