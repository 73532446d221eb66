"""Rows about formats and strategies: the gradient strategy beside JPEG-LS, and HDF5 beside the default format."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from core_sizes import _native_images
from numpy.typing import NDArray
from rows import Context, Measured, row
from sealed import archive_of, fresh
from timing import alternate

import pacscore
from pacscore.store.generation import Generation


def _frames(sources: list[Path]) -> Iterator[NDArray[Any]]:
    """Every native frame of words that JPEG-LS can hold, from the least word on: so JPEG-LS makes the fewest bytes."""
    import pydicom

    for source in sources:
        for path in [source] if source.is_file() else sorted(each for each in source.rglob("*") if each.is_file()):
            try:
                with warnings.catch_warnings(action="ignore"):  # Padding behind the pixels is no matter here.
                    dataset = pydicom.dcmread(path, force=True)
                    words = dataset.pixel_array
            except (AttributeError, ValueError, pydicom.errors.InvalidDicomError):
                continue  # No image, or no DICOM.
            if dataset.Modality in {"CT", "MR"} and dataset.BitsAllocated == 16 and dataset.SamplesPerPixel == 1:
                for frame in words.reshape(-1, *words.shape[-2:]):
                    yield (frame - frame.min()).astype(np.uint16)


def _array_bytes(archive: pacscore.Archive) -> tuple[int, int]:
    """Bytes of the 16-bit arrays of CT and MR, raw and as stored."""
    raw = stored = 0
    for row_ in archive.find("series"):
        if row_["Modality"] not in {"CT", "MR"}:
            continue
        series = archive.series(row_["SeriesInstanceUID"], row_["StudyInstanceUID"])
        path, _, prefix = series.generation.partition("#")
        with Generation.open(archive.root / path, prefix=prefix) as generation:
            for number, stack in enumerate(generation.stacks):
                if np.dtype(stack.dtype).itemsize == 2 and stack.frame_rank == 2:
                    raw += int(np.prod(stack.shape)) * 2
                    members = generation.members.items()
                    stored += sum(member.length for name, member in members if name.startswith(f"{number}/"))
    return raw, stored


@row("bulk.gradient-bytes", must=1.2, aim=1.1, higher=False, peers=("imagecodecs",))
def gradient_bytes(context: Context) -> Measured:
    """bytes of all native 16-bit CT and MR of the manifest, strategy gradient, against JPEG-LS frame by frame"""
    from imagecodecs import jpegls_encode

    sources = _native_images(context)
    with pacscore.create(fresh(context.scratch / "size-gradient"), strategy="gradient") as archive:
        archive.ingest(*sources)
        raw, ours = _array_bytes(archive)
    theirs = frames = 0
    for frame in _frames(sources):
        frames += frame.nbytes
        theirs += len(jpegls_encode(frame))
    detail = f"{ours / 1e6:.2f} of {raw / 1e6:.1f} MB; JPEG-LS {theirs / 1e6:.2f} of {frames / 1e6:.1f} MB"
    return Measured(ours * frames / raw / theirs, ours * frames / raw / theirs, ours * frames / raw / theirs, detail)


@row("bulk.gradient-rate", must=5, aim=8, peers=("imagecodecs",))
def gradient_rate(context: Context) -> Measured:
    """the largest real CT series, strategy gradient, read on one thread against decoding its frames from JPEG-LS"""
    from imagecodecs import jpegls_decode, jpegls_encode

    source = _one_thread_source(context, "gradient")
    whole = tuple(slice(0, length) for length in source.shape)
    words = source.read(whole)
    encoded = [jpegls_encode(np.ascontiguousarray(frame).view(np.uint16)) for frame in words]
    out = np.empty_like(words)
    peer = np.empty(words.shape, np.uint16)

    def theirs() -> None:
        for frame, data in zip(peer, encoded, strict=True):
            jpegls_decode(data, out=frame)

    timed = alternate({"ours": lambda: source.read_into(whole, out), "JPEG-LS": theirs}, rounds=context.rounds)
    assert np.array_equal(out.view(np.uint16), peer)
    rates = ", ".join(f"{name} {words.nbytes / timed.median(name) / 1e6:.0f} MB/s" for name in timed.seconds)
    return Measured(*timed.ratio("JPEG-LS", "ours"), rates, timed.rounds)


@row("bulk.hdf5-volume", must=1.3, aim=1.1, higher=False, peers=("h5py", "hdf5plugin"))
def hdf5_volume(context: Context) -> Measured:
    """208 × 512 × 512 opened and read from a generation in the format hdf5, as a multiple of the format zarr's time"""

    def opened(strategy: str) -> Any:
        path = _generation_path(context, "made", strategy)

        def read() -> NDArray[Any]:
            with Generation.open(path) as generation:
                source = generation.array_source(0)
                return source.read([slice(0, length) for length in source.shape])

        return read

    reads = {"hdf5": opened("hdf5"), "zarr": opened("balanced")}
    assert np.array_equal(reads["hdf5"](), reads["zarr"]())
    timed = alternate(reads, rounds=context.rounds)
    times = ", ".join(f"{name} {timed.median(name) * 1e3:.1f} ms" for name in timed.seconds)
    return Measured(*timed.ratio("hdf5", "zarr"), times, timed.rounds)


def _generation_path(context: Context, which: str, strategy: str) -> Path:
    archive, series = archive_of(context, context.series(which), f"{strategy}-{which}", strategy=strategy)
    return Path(archive.root / series.generation)


def _one_thread_source(context: Context, strategy: str) -> Any:
    path = _generation_path(context, "real", strategy)
    return Generation.open(path, settings=pacscore.Settings(thread_count=1)).array_source(0)
