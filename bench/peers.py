"""Other readers of the same store, each at its best: opened once, and of several settings the fastest for a box."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rows import NOT_INSTALLED, installed
from timing import best_of

Box = tuple[slice, ...]
Read = Callable[[Box], NDArray[Any]]
PEERS = ("tensorstore", "zarr", "zarrs")


def readers(path: Path, box: Box, *, rounds: int) -> tuple[dict[str, Callable[[], NDArray[Any]]], dict[str, str]]:
    """For each installed peer: a call that reads the box, and which of its settings was fastest."""
    chosen: dict[str, Callable[[], NDArray[Any]]] = {}
    settings: dict[str, str] = {}
    for peer, variants in (("tensorstore", _tensorstore), ("zarr", _zarr), ("zarrs", _zarrs)):
        if installed(peer) == NOT_INSTALLED:
            continue
        calls = {name: _bound(read, box) for name, read in variants(path)}
        best = best_of(calls, rounds=rounds)
        chosen[peer], settings[peer] = calls[best], best
    return chosen, settings


def _bound(read: Read, box: Box) -> Callable[[], NDArray[Any]]:
    return lambda: read(box)


def _tensorstore(path: Path) -> Iterator[tuple[str, Read]]:
    import tensorstore

    cpus = os.cpu_count() or 1
    for name, context in {
        "defaults": {},
        f"{cpus} copies": {"data_copy_concurrency": {"limit": cpus}},
        f"{cpus} copies, {cpus} reads": {
            "data_copy_concurrency": {"limit": cpus},
            "file_io_concurrency": {"limit": cpus},
        },
        f"{2 * cpus} copies": {"data_copy_concurrency": {"limit": 2 * cpus}},
    }.items():
        # No cache of decoded chunks: it would answer from memory what the others decode.
        opened = tensorstore.open(
            {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}},
            context=tensorstore.Context(context | {"cache_pool": {"total_bytes_limit": 0}}),
            read=True,
        ).result()
        yield name, lambda box, opened=opened: opened[box].read().result()


def _zarr(path: Path) -> Iterator[tuple[str, Read]]:
    import zarr

    for batch in (1, 64):
        with zarr.config.set({"codec_pipeline.batch_size": batch}):
            opened = zarr.open_array(path, mode="r")
        yield f"batches of {batch}", lambda box, opened=opened: opened[box]


def _zarrs(path: Path) -> Iterator[tuple[str, Read]]:
    import zarr
    import zarrs  # noqa: F401  # Registers its pipeline.

    for checked in (True, False):
        options = {
            "codec_pipeline.path": "zarrs.ZarrsCodecPipeline",
            "codec_pipeline.validate_checksums": checked,
        }
        with zarr.config.set(options):
            opened = zarr.open_array(path, mode="r")
            opened[tuple(slice(0, 1) for _ in opened.shape)]
        assert "Zarrs" in type(opened.async_array.codec_pipeline).__name__
        yield "checksums" if checked else "no checksums", lambda box, opened=opened: opened[box]


def agree(reads: dict[str, Callable[[], NDArray[Any]]], expected: NDArray[Any]) -> None:
    """Each gives the expected array."""
    for name, read in reads.items():
        found = np.asarray(read())
        assert np.array_equal(found.reshape(expected.shape), expected), f"{name} reads something else"
