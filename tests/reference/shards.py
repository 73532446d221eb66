"""A reader of sharded arrays written from the Zarr v3 specification: plain loops, no code of the store.

It is the twin of the shard kernels: what they encode must decode to the same words here, and the boxes they read
must be those of the whole array.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

ABSENT = (1 << 64) - 1


def read_array(member: Callable[[str], bytes | None], name: str) -> NDArray[Any]:
    """The whole array ``name``; ``member`` gives the bytes of a key, or None."""
    metadata = json.loads(member(f"{name}/zarr.json") or b"")
    shape = metadata["shape"]
    shard_shape = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    (sharding,) = metadata["codecs"]
    assert sharding["name"] == "sharding_indexed"
    assert metadata["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "."}}
    padded = [-(-length // shard) * shard for length, shard in zip(shape, shard_shape, strict=True)]
    out = np.full(padded, metadata["fill_value"], np.dtype(metadata["data_type"]).newbyteorder("<"))
    for shard in itertools.product(*(range(n // s) for n, s in zip(padded, shard_shape, strict=True))):
        data = member(f"{name}/c." + ".".join(map(str, shard)))
        if data is not None:
            place = tuple(slice(i * s, (i + 1) * s) for i, s in zip(shard, shard_shape, strict=True))
            _read_shard(data, sharding["configuration"], shard_shape, out[place])
    return out[tuple(slice(0, length) for length in shape)]


def _read_shard(data: bytes, configuration: dict[str, Any], shard_shape: list[int], out: NDArray[Any]) -> None:
    chunk_shape = configuration["chunk_shape"]
    counts = [s // c for s, c in zip(shard_shape, chunk_shape, strict=True)]
    assert configuration["index_location"] == "end"
    names = [codec["name"] for codec in configuration["codecs"]]
    first = configuration["codecs"][0]
    if names != ["pacscore.frames", "crc32c"]:
        assert names[-3:] == ["bytes", "blosc", "crc32c"]
        assert names[:-3] in ([], ["pacscore.gradient"])
    length = 16 * int(np.prod(counts))
    index_bytes, crc = data[-length - 4 : -4], data[-4:]
    assert google_crc32c.value(index_bytes) == int.from_bytes(crc, "little")
    index = np.frombuffer(index_bytes, "<u8").reshape(*counts, 2)
    for chunk in itertools.product(*map(range, counts)):
        offset, size = map(int, index[chunk])
        if offset == ABSENT:
            assert size == ABSENT
            continue
        stored = data[offset : offset + size]
        assert google_crc32c.value(stored[:-4]) == int.from_bytes(stored[-4:], "little")
        if first["name"] == "pacscore.frames":
            words = decode_frame(stored[:-4], first["configuration"]["codec"], out.dtype).reshape(chunk_shape)
        else:
            words = np.frombuffer(blosc.decompress(stored[:-4]), out.dtype).reshape(chunk_shape)
        if first["name"] == "pacscore.gradient":
            words = undo_gradient(words, first["configuration"]["row_axis"])
        out[tuple(slice(i * c, (i + 1) * c) for i, c in zip(chunk, chunk_shape, strict=True))] = words


def undo_gradient(words: NDArray[Any], row_axis: int) -> NDArray[Any]:
    """Words from what their prediction by left + above - above left leaves, zigzag (docs/format.md)."""
    unsigned = np.dtype(f"<u{words.dtype.itemsize}")
    stored = words.view(unsigned)
    left_over = (stored >> unsigned.type(1)) ^ (unsigned.type(0) - (stored & unsigned.type(1)))
    # To predict by a plane is to take differences along both axes: sums along both undo it.
    along_rows = np.cumsum(left_over, axis=row_axis + 1, dtype=unsigned)
    return np.cumsum(along_rows, axis=row_axis, dtype=unsigned).view(words.dtype)


def decode_frame(data: bytes, codec: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A codestream of unsigned words; of signed ones the sign bit is turned over (docs/format.md)."""
    import imagecodecs

    words = {"jpegls": imagecodecs.jpegls_decode, "htj2k": imagecodecs.jpeg2k_decode}[codec](data)
    if dtype.kind == "i":
        words ^= words.dtype.type(1 << (8 * dtype.itemsize - 1))
    return words.view(dtype)
