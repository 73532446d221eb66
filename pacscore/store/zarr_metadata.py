"""Zarr v3 metadata of a generation: a group, and one sharded array for each stack.

Made as JSON here, because importing zarr costs half a second (promise 12); tests compare it with what zarr-python
itself writes. Codecs and names are those of the Zarr v3 core specification, ``sharding_indexed`` 1.0, ``blosc`` 1.0
and ``crc32c`` 1.0; images with a spacing carry OME-Zarr 0.5 metadata on the group.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pacscore.errors import DamagedError, FormatVersionError
from pacscore.store.layout import ArrayLayout
from pacscore.store.plan import StackPlan
from pacscore.store.strategy import Codec

GRADIENT = "pacscore.gradient"
"""The name of our array-to-array codec in Zarr metadata; ``zarr_codecs`` has it for zarr-python."""
FRAMES = "pacscore.frames"
"""Likewise of our array-to-bytes codec."""


def group_json(attributes: Mapping[str, Any], stacks: Sequence[StackPlan]) -> bytes:
    """``zarr.json`` of the group that holds all stacks of a series."""
    every: dict[str, Any] = {"pacscore": dict(attributes)}
    multiscales = [
        _multiscale(stack.ome, array_name(number)) for number, stack in enumerate(stacks) if stack.ome is not None
    ]
    if multiscales:
        every["ome"] = {"version": "0.5", "multiscales": multiscales}
    return _dump({"zarr_format": 3, "node_type": "group", "attributes": every})


def array_name(number: int) -> str:
    """The name of a stack's array in the group."""
    return str(number)


def chunk_key(shard: Sequence[int]) -> str:
    """The key of a shard below its array."""
    return ".".join(["c", *map(str, shard)])


def array_json(layout: ArrayLayout, stack: StackPlan) -> bytes:
    """``zarr.json`` of one stack's array."""
    dtype = np.dtype(layout.dtype)
    inner: list[dict[str, Any]]
    if layout.codec.is_of_frames:
        inner = [{"name": FRAMES, "configuration": {"codec": layout.codec.name}}, {"name": "crc32c"}]
    else:
        inner = _blosc_codecs(layout, dtype)
    sharding = {
        "chunk_shape": list(layout.chunk_shape),
        "codecs": inner,
        "index_codecs": [_bytes_codec(np.dtype(np.uint64)), {"name": "crc32c"}],
        "index_location": "end",
    }
    return _dump(
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(layout.shape),
            "data_type": layout.dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(layout.shard_shape)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": 0.0 if dtype.kind == "f" else 0,
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
            "attributes": {"pacscore": dict(stack.attributes)},
            "dimension_names": list(stack.dimension_names),
        }
    )


def _blosc_codecs(layout: ArrayLayout, dtype: np.dtype[Any]) -> list[dict[str, Any]]:
    predicted = [{"name": GRADIENT, "configuration": {"row_axis": layout.row_axis}}] if layout.codec.predictor else []
    return [
        *predicted,
        _bytes_codec(dtype),
        {
            "name": "blosc",
            "configuration": {
                "typesize": dtype.itemsize,
                "cname": layout.codec.name,
                "clevel": layout.codec.level,
                "shuffle": layout.codec.shuffle,
                "blocksize": layout.block_bytes,
            },
        },
        {"name": "crc32c"},
    ]


def read_array_json(text: bytes, frame_rank: int) -> ArrayLayout:
    """The layout that ``array_json`` wrote.

    Raises
    ------
    DamagedError
        It is not metadata of this format.
    """
    try:
        values = json.loads(text)
        (sharding,) = (codec["configuration"] for codec in values["codecs"] if codec["name"] == "sharding_indexed")
        inner = {codec["name"]: codec.get("configuration", {}) for codec in sharding["codecs"]}
        unknown = set(inner) - {GRADIENT, FRAMES, "bytes", "blosc", "crc32c"}
        if unknown:  # Decoding the rest alone would give other words, in silence.
            raise FormatVersionError(
                f"An array has the codec {unknown.pop()!r}, which this pacscore does not know. Install a newer one."
            )
        predicted = inner.get(GRADIENT)
        if FRAMES in inner:
            codec, block_bytes = Codec(inner[FRAMES]["codec"], 0, ""), 0
        else:
            blosc = inner["blosc"]
            codec = Codec(blosc["cname"], blosc["clevel"], blosc["shuffle"], "gradient" if predicted else "")
            block_bytes = blosc["blocksize"]
        rank = len(values["shape"])
        return ArrayLayout(
            shape=tuple(values["shape"]),
            dtype=values["data_type"],
            frame_rank=frame_rank,
            chunk_shape=tuple(sharding["chunk_shape"]),
            shard_shape=tuple(values["chunk_grid"]["configuration"]["chunk_shape"]),
            block_bytes=block_bytes,
            codec=codec,
            row_axis=predicted["row_axis"] if predicted else rank - frame_rank,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError("The metadata of an array cannot be read. Run verify and restore the generation.") from error


def _bytes_codec(dtype: np.dtype[Any]) -> dict[str, Any]:
    """A single byte has no order, and the specification names none for it."""
    if dtype.itemsize == 1:
        return {"name": "bytes"}
    return {"name": "bytes", "configuration": {"endian": "little"}}


def _multiscale(ome: Mapping[str, Any], path: str) -> dict[str, Any]:
    given = [dict(dataset) for dataset in ome.get("datasets", [{}])]
    return {**ome, "datasets": [{**dataset, "path": path} for dataset in given]}


def _dump(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
