"""The archive against independent programs: SimpleITK, dcm2niix's results, zarr-python, tensorstore, zarrs."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pacscore

pytestmark = pytest.mark.interop

SERIES = [
    "ct-headneck-90",
    "sts003-ct",
    "sts003-pet",
    "mr-hitachi-4",
    "mr-t1-rle-4",
    "mr-t1-jpegls-4",
    "mr-philips-anat-4",
]


@pytest.fixture(scope="module")
def archive(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pacscore.Archive]:
    with pacscore.create(tmp_path_factory.mktemp("peers") / "archive") as made:
        made.ingest(*(data / "series" / name for name in SERIES))
        yield made


def _series(archive: pacscore.Archive, folder: Path) -> pacscore.Series:
    import pydicom

    header = pydicom.dcmread(next(iter(sorted(folder.iterdir()))), stop_before_pixels=True)
    return archive.series(header.SeriesInstanceUID)


@pytest.mark.parametrize("name", SERIES)
def test_volumes_and_geometry_equal_simpleitk(archive: pacscore.Archive, data: Path, name: str) -> None:
    SimpleITK = pytest.importorskip("SimpleITK", reason="peer of the interop run (until 2027-12-31)")
    folder = data / "series" / name
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    volume = _series(archive, folder).volume()
    theirs = SimpleITK.GetArrayFromImage(image)
    corners = [(0, 0, 0), (volume.shape[0] - 1, 0, 0), (0, volume.shape[1] - 1, volume.shape[2] - 1)]
    first = np.allclose(
        image.TransformIndexToPhysicalPoint((0, 0, 0)), (volume.index_to_lps @ [0, 0, 0, 1])[:3], atol=1e-2
    )
    ours = volume.modality() if first else volume.modality()[::-1]
    assert np.allclose(ours, theirs, rtol=1e-5, atol=1e-3)
    for slice_index, row, column in corners:
        index = (slice_index if first else volume.shape[0] - 1 - slice_index, row, column, 1)
        point = image.TransformIndexToPhysicalPoint((column, row, slice_index))
        assert np.allclose(point, (volume.index_to_lps @ index)[:3], atol=2e-2)


def test_common_zarr_readers_read_the_arrays_without_pacscore(
    archive: pacscore.Archive, data: Path, tmp_path: Path
) -> None:
    import tensorstore
    import zarr

    series = _series(archive, data / "series" / "ct-headneck-90")
    path = archive.root / series.generation
    expected = series.volume().source.read(tuple(slice(0, length) for length in series.volume().shape))
    group = zarr.open_group(zarr.storage.ZipStore(path, mode="r"), mode="r")
    assert np.array_equal(group["0"][:], expected)
    assert group["0"].metadata.dimension_names == ("slice", "row", "column")
    assert group["0"].attrs["pacscore"]["verdict"] == "regular"
    kvstore = {"driver": "zip", "base": {"driver": "file", "path": str(path)}, "path": "0/"}
    opened = tensorstore.open({"driver": "zarr3", "kvstore": kvstore}).result()
    assert np.array_equal(opened.read().result(), expected)
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        file.extractall(tmp_path / "unpacked")
    assert np.array_equal(zarr.open_array(tmp_path / "unpacked" / "0", mode="r")[:], expected)


def test_xarray_opens_a_generation(archive: pacscore.Archive, data: Path) -> None:
    import xarray
    import zarr

    series = _series(archive, data / "series" / "sts003-ct")
    store = zarr.storage.ZipStore(archive.root / series.generation, mode="r")
    opened = xarray.open_zarr(store, consolidated=False)
    (name,) = list(opened.data_vars)
    assert opened[name].dims == ("slice", "row", "column")
    assert opened[name].shape == series.volume().shape
