"""Arrays in one file or folder: NIfTI, .npy, zarr-python, tensorstore, h5py; none keeps the DICOM headers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.bulk.storage_benchmark.cases import Case
from pacscore.bulk.storage_benchmark.ways import Box, Way

_CUBE = 64


class _Sliced:
    """Whatever is sliced like an array."""

    def __init__(self, array: Any, take: Callable[[Any], NDArray[Any]] = np.asarray, close: Any = None) -> None:
        self._array, self._take, self._close = array, take, close
        self.shape: tuple[int, ...] = tuple(array.shape)

    def read(self, box: Box) -> NDArray[Any]:
        return self._take(self._array[box])

    def close(self) -> None:
        if self._close is not None:
            self._close()


class _Nifti:
    """nibabel's proxy: a box reads what it needs of the file, in the file's order (column, row, slice)."""

    def __init__(self, path: Path) -> None:
        import nibabel

        self._proxy: Any = nibabel.load(path).dataobj
        self.shape: tuple[int, ...] = tuple(self._proxy.shape[::-1])

    def read(self, box: Box) -> NDArray[Any]:
        values: NDArray[Any] = np.asarray(self._proxy[box[::-1]]).T
        return values

    def close(self) -> None:
        self._proxy = None


def _write_nifti(name: str) -> Callable[[Case, Path], None]:
    def write(case: Case, folder: Path) -> None:
        import nibabel

        affine = np.eye(4)
        if case.index_to_lps is not None:  # NIfTI counts (column, row, slice) and points to right, front, top.
            affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ case.index_to_lps[:, [2, 1, 0, 3]]
        nibabel.save(nibabel.Nifti1Image(case.words.T, affine), folder / name)

    return write


def _write_npy(case: Case, folder: Path) -> None:
    np.save(folder / "words.npy", case.words)


def _open_npy(folder: Path) -> _Sliced:
    return _Sliced(np.load(folder / "words.npy", mmap_mode="r"), np.array)


def _write_zarr(case: Case, folder: Path) -> None:
    import zarr

    zarr.create_array(folder / "words", data=case.words)


def _open_zarr(folder: Path) -> _Sliced:
    import zarr

    return _Sliced(zarr.open_array(folder / "words", mode="r"))


def _tensorstore(folder: Path) -> dict[str, Any]:
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder / 'words'}/"}}


def _write_tensorstore(case: Case, folder: Path) -> None:
    import tensorstore

    blosc = {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "typesize": case.words.itemsize, "blocksize": 0}
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "blosc", "configuration": blosc}]
    if case.words.itemsize == 1:
        codecs[0] = {"name": "bytes"}
    chunk = [min(_CUBE, length) for length in case.words.shape]
    metadata = {
        "shape": list(case.words.shape),
        "data_type": case.words.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "codecs": codecs,
    }
    store = tensorstore.open(_tensorstore(folder) | {"metadata": metadata}, create=True).result()
    store.write(case.words).result()


def _open_tensorstore(folder: Path) -> _Sliced:
    import tensorstore

    store = tensorstore.open(_tensorstore(folder), open=True, read=True).result()
    return _Sliced(store, lambda part: np.asarray(part.read().result()))


def _write_hdf5(case: Case, folder: Path) -> None:
    import h5py

    with h5py.File(folder / "words.h5", "w") as file:
        file.create_dataset("words", data=case.words, chunks=True, compression="gzip", shuffle=True)


def _open_hdf5(folder: Path) -> _Sliced:
    import h5py

    file = h5py.File(folder / "words.h5", "r")
    return _Sliced(file["words"], np.asarray, file.close)


ARRAY_WAYS = (
    Way("nii", "NIfTI, uncompressed, read by nibabel's proxy", ("nibabel",), _write_nifti("words.nii"),
        lambda folder: _Nifti(folder / "words.nii")),
    Way("nii.gz", "NIfTI, gzip as nibabel writes it", ("nibabel",), _write_nifti("words.nii.gz"),
        lambda folder: _Nifti(folder / "words.nii.gz")),
    Way("npy", "NumPy's own, read through a memory map", ("numpy",), _write_npy, _open_npy),
    Way("zarr-python", "its own defaults", ("zarr",), _write_zarr, _open_zarr),
    Way("tensorstore", "Zarr v3, chunks of 64³, Blosc LZ4 bitshuffle", ("tensorstore",), _write_tensorstore,
        _open_tensorstore),
    Way("h5py-gzip", "chunks=True, gzip 4, shuffle", ("h5py",), _write_hdf5, _open_hdf5),
)  # fmt: skip
