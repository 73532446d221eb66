"""Volumes as other programs have them: equal values at equal places, read back by the programs' own libraries."""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import pacscore
from pacscore.errors import AmbiguousError, DamagedError, GeometryError, InputError, UnsupportedError
from pacscore.geometry import Axis, StackGeometry, Verdict
from pacscore.imaging import ArrayInMemory, LookupTable, Presentation, Rescale, StoredFormat, Volume
from pacscore.imaging.sources import Box

SERIES = (
    "ct-liver-23x38x3", "mr-asl-multiphase-philips", "mr-enhanced-b0-philips", "mr-enhanced-fmri-siemens-xa10",
    "mr-fmri-ge-multiphase", "mr-fmri-philips", "mr-hitachi-4", "mr-localizer-3plane-ge", "mr-philips-anat-4",
    "mr-rgb-4", "rt-phantom-case", "sts003-ct", "sts003-pet",
)  # fmt: skip
# dcm2niix scales Philips MR by private elements, not by Rescale Slope: there the stored numbers are compared.
PHILIPS = {"mr-enhanced-b0-philips", "mr-fmri-philips"}
STRAIGHT = np.array([[0.0, 0.0, 0.7, -50.25], [0.0, 0.6, 0.0, 12.5], [2.5, 0.0, 0.0, -300.125], [0.0, 0.0, 0.0, 1.0]])
TILTED = STRAIGHT + np.array([[0.0] * 4, [0.9, 0.0, 0.0, 0.0], [0.0] * 4, [0.0] * 4])


def make_volume(array: NDArray[Any], affine: NDArray[np.float64] | None = STRAIGHT, **parts: Any) -> Volume:
    """A volume of an array; tilted where its affine is sheared, irregular without one."""
    spatial = array.shape[len(parts.get("axes", ())) :]
    if affine is None:
        positions = np.cumsum(np.arange(spatial[0])[:, None] * [0.0, 0.0, 1.0], axis=0)
        geometry = StackGeometry(
            Verdict.IRREGULAR, spacing_mm=(None, 0.6, 0.7), orientation=(1.0, 0, 0, 0, 1.0, 0), positions_lps=positions
        )
    else:
        steps = np.linalg.norm(affine[:3, :3], axis=0)
        normal = np.cross(affine[:3, 2] / steps[2], affine[:3, 1] / steps[1])
        spacing = (float(affine[:3, 0] @ normal) or None, float(steps[1]), float(steps[2]))
        verdict = Verdict.TILTED if abs(affine[1, 0]) > 0 else Verdict.REGULAR
        geometry = StackGeometry(
            verdict, index_to_lps=affine.copy(), spacing_mm=spacing, orientation=(1.0, 0, 0, 0, 1.0, 0)
        )
    return Volume(ArrayInMemory(array), geometry, StoredFormat.of_dtype(array.dtype), **parts)


def noise(shape: tuple[int, ...], dtype: str = "int16") -> NDArray[Any]:
    values = np.random.default_rng(1).integers(0, 100, shape)
    return values.astype(dtype)


@pytest.fixture(scope="module")
def archive(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pacscore.Archive]:
    with pacscore.create(tmp_path_factory.mktemp("convert") / "archive") as opened:
        opened.ingest(*(data / "series" / name for name in SERIES))
        yield opened


def _volumes(archive: pacscore.Archive, data: Path, series: str) -> list[Volume]:
    import pydicom

    files = sorted((data / "series" / series).rglob("*"))
    headers = (pydicom.dcmread(path, stop_before_pixels=True) for path in files if path.is_file())
    uid = next(each.SeriesInstanceUID for each in headers if not str(each.Modality).startswith("RT"))
    found = archive.series(uid)
    return [found.volume(number) for number in range(len(found.stacks))]


def _canonical(path: Path, *, unscaled: bool = False) -> Any:
    image = nibabel.load(path)
    if unscaled:
        image = nibabel.Nifti1Image(image.dataobj.get_unscaled(), image.affine)
    return nibabel.as_closest_canonical(image)


@pytest.mark.parametrize(
    ("series", "stack", "reference"),
    [
        ("ct-liver-23x38x3", 0, "ct-liver-23x38x3_123456_e0"),
        ("mr-enhanced-b0-philips", 0, "mr-enhanced-b0-philips_801_e1"),
        ("mr-enhanced-b0-philips", 1, "mr-enhanced-b0-philips_801_e2_fieldmaphz"),
        ("mr-enhanced-fmri-siemens-xa10", 0, "mr-enhanced-fmri-siemens-xa10_6_e1"),
        ("mr-fmri-ge-multiphase", 0, "mr-fmri-ge-multiphase_2_e1"),
        ("mr-fmri-philips", 0, "mr-fmri-philips_201_e1"),
        ("mr-hitachi-4", 0, "mr-hitachi-4_10_e0"),
        ("mr-localizer-3plane-ge", 0, "mr-localizer-3plane-ge_1_e1_i00001"),
        ("mr-localizer-3plane-ge", 2, "mr-localizer-3plane-ge_1_e1_i00015"),
        ("mr-philips-anat-4", 0, "mr-philips-anat-4_401_e0"),
        ("mr-rgb-4", 0, "mr-rgb-4_747197466_e0"),
        ("rt-phantom-case", 0, "rt-phantom-case_1_e0"),
        ("sts003-pet", 0, "sts003-pet_4_e0"),
    ],
)
def test_a_nifti_file_says_what_dcm2niix_says(
    archive: pacscore.Archive, data: Path, tmp_path: Path, series: str, stack: int, reference: str
) -> None:
    volume = _volumes(archive, data, series)[stack]
    volume.to_nifti(tmp_path / "ours.nii.gz")
    ours, theirs = (
        _canonical(path, unscaled=series in PHILIPS)
        for path in (tmp_path / "ours.nii.gz", data / f"refs/dcm2niix/{reference}.nii.gz")
    )
    np.testing.assert_allclose(ours.affine, theirs.affine, rtol=0, atol=1e-4)
    found, expected = np.asanyarray(ours.dataobj), np.asanyarray(theirs.dataobj)
    if volume.is_monochrome:
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.ptp(expected))
    else:
        np.testing.assert_array_equal(found, expected)


def test_a_slope_for_each_slice_is_applied_and_phases_become_the_fourth_axis(
    archive: pacscore.Archive, data: Path, tmp_path: Path
) -> None:
    (volume,) = _volumes(archive, data, "mr-asl-multiphase-philips")
    volume.to_nifti(tmp_path / "ours.nii")
    ours, theirs = (
        _canonical(tmp_path / "ours.nii"),
        _canonical(data / "refs/dcm2niix/mr-asl-multiphase-philips_301_e1.nii.gz"),
    )
    np.testing.assert_allclose(ours.affine, theirs.affine, rtol=0, atol=1e-4)
    read = nibabel.load(tmp_path / "ours.nii")
    assert read.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.asanyarray(read.dataobj).T, volume.modality())
    # dcm2niix's private scales differ from Rescale Slope by a factor of each frame.
    found, expected = np.asanyarray(ours.dataobj, np.float64), np.asanyarray(theirs.dataobj, np.float64)
    factors = found.sum(axis=(0, 1)) / expected.sum(axis=(0, 1))
    np.testing.assert_allclose(found, expected * factors, rtol=1e-5, atol=1e-6 * found.max())


def test_a_large_ct_lies_where_dcm2niix_lays_it(archive: pacscore.Archive, data: Path, tmp_path: Path) -> None:
    (volume,) = _volumes(archive, data, "sts003-ct")
    volume.to_nifti(tmp_path / "ct.nii")
    image = nibabel.load(tmp_path / "ct.nii")
    with (data / "refs/dcm2niix/geometry.tsv").open(encoding="utf-8") as file:
        (row,) = (each for each in csv.DictReader(file, delimiter="\t") if each["series"] == "sts003-ct")
    shape = tuple(map(int, row["shape"].split("x")))
    affine = np.array(row["affine_row_major_ras_mm"].split(), np.float64).reshape(4, 4)
    theirs = nibabel.as_closest_canonical(nibabel.Nifti1Image(np.zeros(shape, np.int8), affine))
    np.testing.assert_allclose(nibabel.as_closest_canonical(image).affine, theirs.affine, rtol=0, atol=1e-3)
    assert int(image.dataobj.get_unscaled().astype(np.int64).sum()) == int(row["sum_stored"])
    # Shared by two dcm2niix does not read: SimpleITK finds voxel and place equal to its own reading of the files.
    read = SimpleITK.ReadImage(str(tmp_path / "ct.nii"))
    made = volume.to_simpleitk()
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(read), SimpleITK.GetArrayFromImage(made))
    np.testing.assert_allclose(read.GetOrigin(), made.GetOrigin(), atol=1e-3)
    np.testing.assert_allclose(read.GetDirection(), made.GetDirection(), atol=1e-5)
    np.testing.assert_allclose(read.GetSpacing(), made.GetSpacing(), atol=1e-5)


def test_simpleitk_and_its_nrrd_reader_agree_with_its_own_reading_of_the_files(
    archive: pacscore.Archive, data: Path, tmp_path: Path
) -> None:
    (volume,) = _volumes(archive, data, "sts003-ct")
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(data / "series/sts003-ct"))
    theirs = SimpleITK.ReadImage(names)
    volume.to_nrrd(tmp_path / "ct.nrrd")
    for ours in (volume.to_simpleitk(), SimpleITK.ReadImage(str(tmp_path / "ct.nrrd"))):
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(ours), SimpleITK.GetArrayFromImage(theirs))
        for name in ("GetOrigin", "GetSpacing", "GetDirection"):
            np.testing.assert_allclose(getattr(ours, name)(), getattr(theirs, name)(), atol=1e-4)


def test_a_tilted_stack_is_sheared_in_nifti_and_nrrd_and_refused_by_what_cannot_say_it(tmp_path: Path) -> None:
    volume = make_volume(noise((4, 5, 6)), TILTED)
    volume.to_nifti(tmp_path / "t.nii")
    image = nibabel.load(tmp_path / "t.nii")
    flipped = np.diag([-1.0, -1.0, 1.0, 1.0]) @ TILTED[:, [2, 1, 0, 3]]
    np.testing.assert_allclose(image.affine, flipped, atol=1e-5)
    assert image.header["qform_code"] == 0
    assert image.header["sform_code"] == 1
    volume.to_nrrd(tmp_path / "t.nrrd")
    values, header = nrrd.read(str(tmp_path / "t.nrrd"))
    np.testing.assert_array_equal(values.T, volume.array())
    np.testing.assert_allclose(header["space directions"], TILTED[:3, [2, 1, 0]].T)
    np.testing.assert_allclose(header["space origin"], TILTED[:3, 3])
    assert header["space"] == "left-posterior-superior"
    with pytest.raises(GeometryError, match="rectified"):
        volume.to_simpleitk()
    with pytest.raises(GeometryError, match="rectified"):
        volume.to_ome_zarr(tmp_path / "t.ome.zarr")
    straight = volume.rectified().to_simpleitk()
    assert straight.GetSpacing() == pytest.approx((0.7, 0.6, 2.5))
    assert not (tmp_path / "t.ome.zarr").exists()


def test_what_no_affine_describes_goes_to_hdf5_alone_with_its_positions(tmp_path: Path) -> None:
    volume = make_volume(noise((4, 5, 6)), None)
    for write in (volume.to_nifti, volume.to_nrrd, volume.to_ome_zarr):
        name = {"to_nifti": "x.nii", "to_nrrd": "x.nrrd", "to_ome_zarr": "x.zarr"}[write.__name__]
        with pytest.raises(GeometryError, match="irregular"):
            write(tmp_path / name)
    with pytest.raises(GeometryError, match="HDF5"):
        volume.to_simpleitk()
    assert list(tmp_path.iterdir()) == []
    volume.to_hdf5(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["volume"].attrs["verdict"] == "irregular"
        assert "index_to_lps" not in file["volume"].attrs
        np.testing.assert_array_equal(file["positions_lps"], volume.geometry.positions_lps)
        assert np.isnan(file["volume"].attrs["spacing_mm"][0])
    array = volume.to_xarray()
    assert set(array.coords) == {"row", "column"}


def test_a_single_slice_needs_a_stated_thickness(tmp_path: Path) -> None:
    affine = STRAIGHT.copy()
    affine[:, 0] = 0
    volume = make_volume(noise((1, 5, 6)), affine)
    with pytest.raises(GeometryError, match="thickness_mm"):
        volume.to_nifti(tmp_path / "one.nii")
    volume.to_nifti(tmp_path / "one.nii", thickness_mm=4.0)
    image = nibabel.load(tmp_path / "one.nii")
    assert image.header.get_zooms() == pytest.approx((0.7, 0.6, 4.0))
    assert np.linalg.det(image.affine[:3, :3]) > 0
    with pytest.raises(InputError, match="single slice"):
        make_volume(noise((2, 5, 6))).to_nifti(tmp_path / "two.nii", thickness_mm=4.0)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64", "bool"]
)
def test_every_dtype_comes_back_from_nifti_nrrd_and_hdf5(tmp_path: Path, dtype: str) -> None:
    volume = make_volume(noise((3, 4, 5)).astype(dtype))
    volume.to_nifti(tmp_path / "x.nii")
    found = np.asanyarray(nibabel.load(tmp_path / "x.nii").dataobj).T
    expected = volume.array().astype(np.uint8) if dtype == "bool" else volume.array()
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    volume.to_nrrd(tmp_path / "x.nrrd")
    values, _ = nrrd.read(str(tmp_path / "x.nrrd"))
    assert values.dtype == expected.dtype
    np.testing.assert_array_equal(values.T, expected)
    volume.to_hdf5(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["volume"], expected)


def test_one_rescale_is_stated_and_others_are_applied(tmp_path: Path) -> None:
    words = noise((3, 4, 5), "uint16")
    ct = make_volume(words, rescale=Rescale.linear(2.0, -1024.0, unit="HU"))
    ct.to_nifti(tmp_path / "ct.nii")
    image = nibabel.load(tmp_path / "ct.nii")
    assert image.get_data_dtype() == np.uint16
    assert (image.dataobj.slope, image.dataobj.inter) == (2.0, -1024.0)
    np.testing.assert_array_equal(image.get_fdata().T, ct.modality())
    for rescale in (
        Rescale.linear([1.5, 2.5, 0.25], [0.0, 1.0, -7.0]),
        Rescale.linear(0.0, 5.0),
        Rescale(np.ones(1), np.zeros(1), (LookupTable(0, np.arange(100, dtype=np.float32)[::-1].copy()),)),
    ):
        volume = make_volume(words, rescale=rescale)
        volume.to_nifti(tmp_path / "x.nii")
        read = nibabel.load(tmp_path / "x.nii")
        assert read.get_data_dtype() == np.float32
        np.testing.assert_array_equal(np.asanyarray(read.dataobj).T, volume.modality())
    unknown = make_volume(words, rescale=Rescale(np.ones(1), np.zeros(1), missing="A LUT is missing."))
    with pytest.raises(UnsupportedError, match="LUT is missing"):
        unknown.to_nifti(tmp_path / "x.nii")


def test_formats_without_a_rescale_hold_integers_only_where_all_values_are_16_bits(tmp_path: Path) -> None:
    words = noise((3, 4, 5), "uint16")
    narrow = Volume(
        ArrayInMemory(words), make_volume(words).geometry, StoredFormat(12, 11, signed=False), Rescale.linear(1, -1024)
    )
    wide = make_volume(words, rescale=Rescale.linear(1, -1024))
    for volume, dtype in ((narrow, np.int16), (wide, np.float32)):
        volume.to_nrrd(tmp_path / "x.nrrd")
        values, _ = nrrd.read(str(tmp_path / "x.nrrd"))
        assert values.dtype == dtype
        np.testing.assert_array_equal(values.T, volume.modality())


def test_further_axes_are_kept_and_time_has_its_step(tmp_path: Path) -> None:
    axes = (Axis("time", (100.0, 350.0, 600.0), "ms"),)
    volume = make_volume(noise((3, 4, 5, 6)), axes=axes)
    volume.to_nifti(tmp_path / "t.nii.gz")
    image = nibabel.load(tmp_path / "t.nii.gz")
    assert image.shape == (6, 5, 4, 3)
    assert image.header.get_zooms()[3] == pytest.approx(250.0)
    assert image.header.get_xyzt_units() == ("mm", "msec")
    assert float(image.header["toffset"]) == 100.0
    volume.to_ome_zarr(tmp_path / "t.zarr")
    group = zarr.open_group(tmp_path / "t.zarr", mode="r")
    (scales,) = group.attrs["ome"]["multiscales"]
    assert [axis["name"] for axis in scales["axes"]] == ["t", "z", "y", "x"]
    np.testing.assert_array_equal(group["0"][:], volume.array())
    volume.to_hdf5(tmp_path / "t.h5")
    with h5py.File(tmp_path / "t.h5") as file:
        np.testing.assert_array_equal(file["axes/time"], [100.0, 350.0, 600.0])
        assert [dimension.label for dimension in file["volume"].dims] == ["time", "slice", "row", "column"]
    with pytest.raises(AmbiguousError, match="time"):
        volume.to_simpleitk()
    array = volume.to_xarray()
    assert array.dims == ("time", "slice", "row", "column")
    np.testing.assert_array_equal(array.sel(time=350.0).values, volume.modality()[1])


def test_compressed_and_plain_nifti_hold_the_same_bytes_and_do_so_every_time(tmp_path: Path) -> None:
    volume = make_volume(np.random.default_rng(2).integers(0, 50, (40, 300, 400)).astype(np.int16))
    volume.to_nifti(tmp_path / "a.nii")
    volume.to_nifti(tmp_path / "a.nii.gz", level=1)
    volume.to_nifti(tmp_path / "b.nii.gz", level=1)
    plain = (tmp_path / "a.nii").read_bytes()
    assert len(plain) == 352 + 40 * 300 * 400 * 2
    packed = (tmp_path / "a.nii.gz").read_bytes()
    assert gzip.decompress(packed) == plain
    assert packed == (tmp_path / "b.nii.gz").read_bytes()
    assert packed.count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00") == 1  # One member: some readers take only the first.


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.floats(-np.pi, np.pi)] * 3), st.tuples(*[st.floats(0.1, 9)] * 3), st.booleans())
def test_qform_and_sform_agree_for_every_orientation(
    angles: tuple[float, ...], steps: tuple[float, ...], mirrored: bool
) -> None:
    from pacscore.imaging.nifti import nifti_header
    from pacscore.imaging.outgoing import stored_numbers

    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        around = np.eye(3)
        first, second = [other for other in range(3) if other != axis]
        around[first, first] = around[second, second] = np.cos(angle)
        around[first, second], around[second, first] = -np.sin(angle), np.sin(angle)
        turn = turn @ around
    affine = np.eye(4)
    affine[:3, :3] = turn * steps * ([-1.0, 1.0, 1.0] if mirrored else [1.0, 1.0, 1.0])
    affine[:3, 3] = 10, -20, 30
    volume = make_volume(noise((2, 2, 2)))
    header = nibabel.Nifti1Header(nifti_header(stored_numbers(volume), affine)[:348])
    # The quaternion's first part is what three floats leave to 1: near 0 it has half their digits.
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), rtol=0, atol=1e-3 * max(steps))
    np.testing.assert_allclose(header.get_zooms(), steps[::-1], rtol=1e-6)


def test_coarser_levels_of_an_ome_zarr_lie_over_the_same_body(tmp_path: Path) -> None:
    cube = np.diag([0.5, 0.5, 0.5, 1.0])[[2, 1, 0, 3]]
    ramp = np.broadcast_to(np.arange(16, dtype=np.float32), (8, 12, 16)).copy()
    volume = make_volume(ramp, cube)
    volume.to_ome_zarr(tmp_path / "x.ome.zarr", levels=1)
    group = zarr.open_group(tmp_path / "x.ome.zarr", mode="r")
    (scales,) = group.attrs["ome"]["multiscales"]
    first, second = scales["datasets"]
    assert first["coordinateTransformations"] == [{"type": "scale", "scale": [0.5, 0.5, 0.5]}]
    scale, moved = second["coordinateTransformations"]
    assert scale["scale"] == [1.0, 1.0, 1.0]
    assert moved["translation"] == pytest.approx([0.25, 0.25, 0.25])
    # A ramp along x is its own coordinate: value = x / 0.5 mm, at whatever level.
    places = np.arange(8) * scale["scale"][2] + moved["translation"][2]
    inside = slice(1, -1)  # At its ends an average has but one side.
    np.testing.assert_allclose(group["1"][3, 3, inside], places[inside] / 0.5, atol=1e-5)
    with pytest.raises(InputError, match="exists"):
        volume.to_ome_zarr(tmp_path / "x.ome.zarr")


class Noting:
    """A source that notes what is read, and fails after some reads."""

    def __init__(self, array: NDArray[Any], *, reads_max: int = 1 << 30) -> None:
        self._inside = ArrayInMemory(array)
        self.shape, self.dtype, self.locator = array.shape, array.dtype, None
        self.chunk_shape = self._inside.chunk_shape
        self.boxes: list[Box] = []
        self.reads_max = reads_max

    def read(self, selection: Box) -> NDArray[Any]:
        self.boxes.append(selection)
        if len(self.boxes) > self.reads_max:
            raise DamagedError("Chunk 7 is damaged.")
        return self._inside.read(selection)

    def read_into(self, selection: Box, out: NDArray[Any]) -> None:
        np.copyto(out, self.read(selection))


def _noted(array: NDArray[Any], **limits: int) -> tuple[Volume, Noting]:
    source = Noting(array, **limits)
    return Volume(source, make_volume(array).geometry, StoredFormat.of_dtype(array.dtype)), source


def test_xarray_and_nibabel_read_only_what_is_asked(tmp_path: Path) -> None:
    array = noise((6, 8, 10))
    volume, source = _noted(array)
    lazy = volume.to_xarray()
    image = volume.to_nibabel()
    assert source.boxes == []
    np.testing.assert_array_equal(lazy.isel(slice=2, row=slice(1, 3)).values, array[2, 1:3])
    assert source.boxes == [(slice(2, 3, 1), slice(1, 3, 1), slice(0, 10, 1))]
    np.testing.assert_array_equal(np.asarray(image.dataobj[..., 4]), array[4].T)
    assert source.boxes[1:] == [(slice(4, 5, 1), slice(0, 8, 1), slice(0, 10, 1))]
    np.testing.assert_array_equal(image.get_fdata().T, array)
    nibabel.save(image, tmp_path / "x.nii")
    np.testing.assert_array_equal(np.asanyarray(nibabel.load(tmp_path / "x.nii").dataobj).T, array)
    np.testing.assert_allclose(image.affine, np.diag([-1.0, -1.0, 1.0, 1.0]) @ STRAIGHT[:, [2, 1, 0, 3]], atol=1e-5)
    np.testing.assert_allclose(lazy.slice, np.arange(6) * 2.5)
    np.testing.assert_allclose(lazy.z, -300.125 + np.arange(6) * 2.5)
    np.testing.assert_allclose(lazy.sel(column=1.4).x, -50.25 + 1.4)
    assert lazy.attrs["verdict"] == "regular"
    np.testing.assert_array_equal(lazy.isel(column=[3, 1]).values, array[:, :, [3, 1]])
    assert float(lazy.isel(slice=1, row=2, column=3)) == array[1, 2, 3]
    assert image.dataobj[3, 2, 1] == array[1, 2, 3]


def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    array = noise((64, 256, 256))
    for name, method in (("x.nii", "to_nifti"), ("x.nii.gz", "to_nifti"), ("x.nrrd", "to_nrrd"), ("x.h5", "to_hdf5")):
        (tmp_path / name).write_text("before")
        volume, _ = _noted(np.tile(array, (3, 1, 1)), reads_max=1)
        with pytest.raises(DamagedError, match="Chunk 7"):
            getattr(volume, method)(tmp_path / name)
        assert (tmp_path / name).read_text() == "before"
    volume, _ = _noted(array, reads_max=0)
    with pytest.raises(DamagedError, match="Chunk 7"):
        volume.to_ome_zarr(tmp_path / "x.zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.h5", "x.nii", "x.nii.gz", "x.nrrd"]


@pytest.mark.parametrize(
    ("method", "name", "needs"),
    [
        ("to_hdf5", "x.h5", "h5py"),
        ("to_ome_zarr", "x.zarr", "zarr"),
        ("to_simpleitk", None, "SimpleITK"),
        ("to_xarray", None, "xarray"),
        ("to_nibabel", None, "nibabel"),
    ],
)
def test_a_library_that_is_missing_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, name: str | None, needs: str
) -> None:
    monkeypatch.setitem(sys.modules, needs, None)
    volume = make_volume(noise((3, 4, 5)))
    with pytest.raises(UnsupportedError, match=rf"{needs}.*pacscore\[convert\]"):
        getattr(volume, method)(*([] if name is None else [tmp_path / name]))
    assert list(tmp_path.iterdir()) == []


def test_colours_go_out_as_rgb_and_palettes_through_their_table(tmp_path: Path) -> None:
    rgb = noise((3, 4, 5, 3), "uint8")
    volume = make_volume(rgb, presentation=Presentation(photometric="RGB"))
    volume.to_nifti(tmp_path / "c.nii")
    read = np.asanyarray(nibabel.load(tmp_path / "c.nii").dataobj).T
    np.testing.assert_array_equal(np.stack([read[each] for each in "RGB"], axis=-1), rgb)
    volume.to_nrrd(tmp_path / "c.nrrd")
    values, header = nrrd.read(str(tmp_path / "c.nrrd"))
    np.testing.assert_array_equal(values.T, rgb)
    assert header["kinds"][0] == "RGB-color"
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(volume.to_simpleitk()), rgb)
    table = noise((100, 3), "uint8")
    palette = make_volume(
        noise((3, 4, 5), "uint8"),
        presentation=Presentation(photometric="PALETTE COLOR"),
        to_rgb=lambda frame: table[frame],
    )
    palette.to_nifti(tmp_path / "p.nii")
    read = np.asanyarray(nibabel.load(tmp_path / "p.nii").dataobj).T
    np.testing.assert_array_equal(np.stack([read[each] for each in "RGB"], axis=-1), table[palette.array()])
    with pytest.raises(UnsupportedError, match="YBR"):
        make_volume(rgb, presentation=Presentation(photometric="YBR_FULL")).to_nifti(tmp_path / "y.nii")


def test_endings_levels_and_folders_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    volume = make_volume(noise((3, 4, 5)))
    for method, name in (("to_nifti", "x.img"), ("to_nrrd", "x.nhdr"), ("to_hdf5", "x.hd")):
        with pytest.raises(InputError, match="named"):
            getattr(volume, method)(tmp_path / name)
    with pytest.raises(InputError, match="level"):
        volume.to_nifti(tmp_path / "x.nii.gz", level=0)
    with pytest.raises(InputError, match="folder"):
        volume.to_nifti(tmp_path / "absent" / "x.nii")
    with pytest.raises(UnsupportedError, match="32767"):
        make_volume(np.zeros((1, 1, 40000), np.uint8)[[0, 0]]).to_nifti(tmp_path / "x.nii")
    assert list(tmp_path.iterdir()) == []
