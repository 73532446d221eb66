"""Raw projections in files, and the command: each format is read, and what is broken is named."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import pacscore
from pacscore.cli.app import app
from pacscore.errors import InputError, NotFoundError, PacscoreError, UnsupportedError
from pacscore.recon import ConeGeometry, Grid, ParallelGeometry, fbp, planar_grid, read_projections, simulate
from pacscore.recon.methods import Request, names, reconstruct
from pacscore.recon.projection_files import read_rtk_geometry

ANGLES = np.linspace(0, np.pi, 24, endpoint=False)
BALLS = simulate.Phantom([0.03, 0.05], [[0, 0, 0], [4, -2, 0]], [[9, 8, 99], [2, 3, 99]])
GEOMETRY = ParallelGeometry(ANGLES, 32, row_count=3)
PROJECTIONS = BALLS.project(GEOMETRY)


def write_exchange(path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    counts = 1000 * np.exp(-PROJECTIONS) + 50
    with h5py.File(path, "w") as file:
        file["exchange/data"] = counts.astype(np.float32)
        file["exchange/data_white"] = np.full((2, 3, 32), 1050, np.float32)
        file["exchange/data_dark"] = np.full((2, 3, 32), 50, np.float32)
        file["exchange/theta"] = np.rad2deg(ANGLES)


def test_dxchange_holds_counts_fields_and_angles(tmp_path: Path) -> None:
    write_exchange(tmp_path / "scan.h5")
    raw = read_projections(tmp_path / "scan.h5")
    assert raw.values.shape == PROJECTIONS.shape
    assert np.allclose(raw.angles_rad, ANGLES)
    assert (raw.flats.shape, raw.darks.shape) == ((2, 3, 32), (2, 3, 32))


def test_nexus_frames_are_told_apart_by_their_key(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    frames = np.concatenate([np.full((1, 3, 32), 9.0), PROJECTIONS, np.full((2, 3, 32), 2.0)])
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        file["entry/instrument/detector/data"] = frames
        file["entry/instrument/detector/image_key"] = [1] + [0] * 24 + [2, 2]
        pixel = file.create_dataset("entry/instrument/detector/x_pixel_size", data=2e-6)
        pixel.attrs["units"] = "m"
        file["entry/instrument/detector/y_pixel_size"] = 3e-6
        file["entry/sample/rotation_angle"] = np.rad2deg([0, *ANGLES, 0, 0])
        file["entry/sample/rotation_angle"].attrs["units"] = "degrees"
    raw = read_projections(tmp_path / "scan.nxs")
    assert np.array_equal(raw.values, PROJECTIONS)
    assert (len(raw.flats), len(raw.darks)) == (1, 2)
    assert np.allclose(raw.angles_rad, ANGLES)
    assert raw.spacing_mm == pytest.approx((0.003, 0.002))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("beside", [False, True])
def test_metaimages_are_read_with_spacing_and_origin(tmp_path: Path, packed: bool, beside: bool) -> None:
    write_metaimage(tmp_path / "stack.mha", PROJECTIONS, (0.5, 0.7), (-8.0, -1.0), packed=packed, beside=beside)
    raw = read_projections(tmp_path / "stack.mha")
    assert np.array_equal(raw.values, PROJECTIONS)
    assert (raw.spacing_mm, raw.origin_mm) == ((0.5, 0.7), (-8.0, -1.0))


def write_metaimage(path: Path, values, spacing, origin, *, packed: bool = False, beside: bool = False) -> None:
    data = values.astype("<f4").tobytes()
    data = zlib.compress(data) if packed else data
    header = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"CompressedData = {packed}\nOffset = {origin[0]} {origin[1]} 0\n"
        f"ElementSpacing = {spacing[1]} {spacing[0]} 1\nDimSize = {' '.join(map(str, values.shape[::-1]))}\n"
        f"ElementType = MET_FLOAT\nElementDataFile = {'data.raw' if beside else 'LOCAL'}\n"
    )
    path.write_bytes(header.encode() + (b"" if beside else data))
    if beside:
        (path.parent / "data.raw").write_bytes(data)


def rtk_matrix(angle_deg: float, sid: float, sdd: float) -> np.ndarray:
    """As RTK's documentation composes it: rotation about y, perspective, offsets of 0; its source is at +z turned."""
    g = np.deg2rad(-angle_deg)
    rotation = np.array([[np.cos(g), 0, np.sin(g), 0], [0, 1, 0, 0], [-np.sin(g), 0, np.cos(g), 0], [0, 0, 0, 1.0]])
    perspective = np.array([[-sdd, 0, 0, 0], [0, -sdd, 0, 0], [0, 0, 1, -sid]])
    return perspective @ rotation


def test_rtk_geometry_turns_about_z_here(tmp_path: Path) -> None:
    degrees = [0.0, 30.0, 200.0]
    matrices = [rtk_matrix(each, 100.0, 150.0) for each in degrees]
    body = "".join(
        f"<Projection><GantryAngle>{each}</GantryAngle><Matrix>{' '.join(map(str, m.ravel()))}</Matrix></Projection>"
        for each, m in zip(degrees, matrices, strict=True)
    )
    path = tmp_path / "geometry.xml"
    path.write_text(f"<RTKThreeDCircularGeometry version='3'>{body}</RTKThreeDCircularGeometry>")
    found = read_rtk_geometry(path, shape=(3, 5, 6), spacing_mm=(2.0, 3.0), origin_mm=(-7.5, -4.0))
    expected = ConeGeometry.circular(
        np.deg2rad(degrees), row_count=5, column_count=6, row_spacing_mm=2.0, column_spacing_mm=3.0,
        source_to_axis_mm=100.0, source_to_detector_mm=150.0,
    )  # fmt: skip
    for view in range(3):
        assert np.allclose(found.rays(view)[0], expected.rays(view)[0], atol=1e-9)
        assert np.allclose(found.rays(view)[1], expected.rays(view)[1], atol=1e-9)
    with pytest.raises(InputError, match="3 views"):
        read_rtk_geometry(path, shape=(4, 5, 6), spacing_mm=(2.0, 3.0), origin_mm=(0, 0))
    path.write_text("<RTKThreeDCircularGeometry><RadiusCylindricalDetector>9</RadiusCylindricalDetector>")
    with pytest.raises(UnsupportedError, match="cylindrical"):
        read_rtk_geometry(path, shape=(3, 5, 6), spacing_mm=(2.0, 3.0), origin_mm=(0, 0))


def write_ct_pd(folder: Path, geometry, projections) -> None:
    pydicom = pytest.importorskip("pydicom")
    for view, angle in enumerate(geometry.angles):
        one = pydicom.Dataset()
        one.file_meta = pydicom.dataset.FileMetaDataset()
        one.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = f"1.2.3.{view + 1}"
        one.InstanceNumber = view + 1
        one.Rows, one.Columns = projections.shape[2], projections.shape[1]
        one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 0
        one.BitsAllocated = one.BitsStored = 16
        one.HighBit = 15
        one.RescaleSlope, one.RescaleIntercept = 0.001, -1
        one.PixelData = np.rint((projections[view].T + 1) / 0.001).astype("<u2").tobytes()
        for group in (0x7029, 0x7031, 0x7033, 0x7041):
            one.add_new((group, 0x10), "LO", "DICOM-CT-PD")
        numbers = {
            (0x7029, 0x1002): geometry.column_spacing_mm, (0x7029, 0x1006): geometry.row_spacing_mm,
            (0x7031, 0x1001): (angle - np.pi / 2) % (2 * np.pi), (0x7031, 0x1002): geometry.heights_lps[view],
            (0x7031, 0x1003): geometry.source_to_axis_mm, (0x7031, 0x1031): geometry.source_to_detector_mm,
            (0x7041, 0x1001): 0.02,
        }  # fmt: skip
        for tag, number in numbers.items():
            one.add_new(tag, "FL", float(number))
        one.add_new((0x7031, 0x1033), "FL", [geometry.center[1] + 1, geometry.center[0] + 1])
        one.add_new((0x7029, 0x1010), "US", geometry.row_count)
        one.add_new((0x7029, 0x1011), "US", geometry.column_count)
        one.add_new((0x7029, 0x100B), "LO", "CYLINDRICAL")
        one.save_as(folder / f"{999 - view:04d}.dcm", enforce_file_format=True)


def test_ct_pd_views_come_in_order_with_their_helix(tmp_path: Path) -> None:
    from pacscore.recon import HelicalGeometry

    geometry = HelicalGeometry(
        np.arange(30) * 0.3 + 1.0, 8.0, 4, 9, 2.0, 1.5, 50.0, 80.0, start_z_lps=-5.0, center_column=4.2, center_row=1.4
    )  # fmt: skip
    projections = BALLS.project(geometry)
    write_ct_pd(tmp_path, geometry, projections)
    raw = read_projections(tmp_path)
    assert np.allclose(raw.values, projections, atol=6e-4)
    assert raw.water == pytest.approx(0.02)
    for view in (0, 13, 29):
        assert np.allclose(raw.geometry.rays(view)[0], geometry.rays(view)[0], atol=1e-4)
        assert np.allclose(raw.geometry.rays(view)[1], geometry.rays(view)[1], atol=1e-5)


def test_tiff_folders_and_numpy_files_are_stacks(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "views").mkdir()
    for view in range(24):
        Image.fromarray(PROJECTIONS[view]).save(tmp_path / "views" / f"{view:03d}.tif")
    assert np.array_equal(read_projections(tmp_path / "views").values, PROJECTIONS)
    np.save(tmp_path / "p.npy", PROJECTIONS[:, 0])
    assert read_projections(tmp_path / "p.npy").values.shape == (24, 1, 32)


def test_broken_files_are_named_and_nothing_else_comes_out(tmp_path: Path) -> None:
    write_metaimage(tmp_path / "good.mha", PROJECTIONS, (1, 1), (0, 0))
    whole = (tmp_path / "good.mha").read_bytes()
    chance = np.random.default_rng(0)
    for suffix in (".mha", ".npy", ".h5", ".tif"):
        for number in range(30):
            noise = chance.integers(0, 256, 400, np.uint8).tobytes()
            cut = whole[: number * 12] if suffix == ".mha" else noise
            (tmp_path / f"bad{suffix}").write_bytes(cut)
            with pytest.raises(PacscoreError):
                read_projections(tmp_path / f"bad{suffix}")
    with pytest.raises(NotFoundError):
        read_projections(tmp_path / "none.h5")
    (tmp_path / "x.bin").write_bytes(b"")
    with pytest.raises(InputError, match="read from"):
        read_projections(tmp_path / "x.bin")


def test_methods_are_listed_and_unknown_ones_refused(tmp_path: Path) -> None:
    assert {"fbp", "fdk", "wfbp", "sirt", "fista-tv"} <= set(names())
    with pytest.raises(InputError, match="no method 'magic'"):
        reconstruct(Request(tmp_path, "magic"))


def test_k_space_joins_by_its_family(tmp_path: Path) -> None:
    image = np.zeros((2, 16, 16), np.complex64)
    image[:, 5:9, 6:12] = 3.0
    centred = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image, axes=(1, 2)), norm="ortho"), axes=(1, 2))
    np.save(tmp_path / "k.npy", centred.astype(np.complex64))
    volume = reconstruct(Request(tmp_path / "k.npy", "fft"))
    assert np.allclose(volume.modality()[0] > 1.0, np.abs(image[0]) > 1.0)
    assert {"fft", "sense", "grappa"} <= set(names())
    with pytest.raises(PacscoreError):
        reconstruct(Request(tmp_path / "k.npy", "fft", None, {"method": {"iterationz": 3}}))


CONFIG = """
[grid]
shape = [3, 24, 26]
spacing_mm = 1.0
[preparation]
center = 15.5
[method]
filter = "hann"
"""


def test_the_command_writes_stores_and_draws(tmp_path: Path) -> None:
    write_exchange(tmp_path / "scan.h5")
    (tmp_path / "c.toml").write_text(CONFIG)
    pacscore.create(tmp_path / "archive").close()
    words = ["recon", str(tmp_path / "scan.h5"), "--config", str(tmp_path / "c.toml"), "--json"]
    targets = ["--out", str(tmp_path / "v.npy"), "--png", str(tmp_path / "v.png"), "--store", str(tmp_path / "archive")]
    result = CliRunner().invoke(app, [*words, *targets])
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    expected = fbp(PROJECTIONS, GEOMETRY, Grid((3, 24, 26), 1.0), filter="hann")
    assert np.allclose(np.load(tmp_path / "v.npy"), expected, atol=1e-5)
    assert (tmp_path / "v.png").stat().st_size > 500
    with pacscore.open(tmp_path / "archive", read_only=True) as archive:
        volume = archive.series(report["series"]).volume()
        assert np.allclose(volume.modality(), expected, atol=2e-5)
        assert np.allclose(volume.index_to_lps, Grid((3, 24, 26), 1.0).index_to_lps)


def test_the_command_writes_nifti_in_its_own_coordinates(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    write_exchange(tmp_path / "scan.h5")
    (tmp_path / "c.toml").write_text(CONFIG + "iterations = 3\n".replace("iterations", "#"))
    out = tmp_path / "v.nii.gz"
    result = CliRunner().invoke(
        app, ["recon", str(tmp_path / "scan.h5"), "--config", str(tmp_path / "c.toml"), "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    image = nibabel.load(out)
    grid = Grid((3, 24, 26), 1.0)
    lps = grid.index_to_lps @ [1, 5, 7, 1]
    assert np.allclose(image.affine @ [7, 5, 1, 1], [-lps[0], -lps[1], lps[2], 1])
    assert np.asarray(image.dataobj).shape == (26, 24, 3)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[grid]\nspacing_mm = 1.0", "shape"), ("[magic]\na = 1", "no table"), ("[method]\nfilter = 'x'", "no filter"),
        ("[method]\niterations = 3", "no meaning"), ("[preparation]\ncenter = 'x'", "center is"), ("[", "no TOML"),
        ("[preparation]\nrings = 'x'", "rings is"), ("[geometry]\ntype = 'fan'", "needs"),
        ("[geometry]\ntype = 'parallel'\nsource_mm = 3", "no meaning"), ("[preparation]\nrows = [3, 2]", "rows is"),
    ],
)  # fmt: skip
def test_configurations_that_mean_nothing_are_refused(tmp_path: Path, text: str, word: str) -> None:
    from pacscore.archive.reconstructing import reconstruct_file

    write_exchange(tmp_path / "scan.h5")
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(InputError, match=word):
        reconstruct_file(tmp_path / "scan.h5", method="fbp", config=tmp_path / "c.toml", out=tmp_path / "v.npy")


def test_iterative_methods_run_by_name(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", PROJECTIONS)
    (tmp_path / "angles.txt").write_text("\n".join(map(str, np.rad2deg(ANGLES))))
    for method, more in (("sirt", {"iterations": 4}), ("os-sart", {"iterations": 2, "subsets": 4, "minimum": 0.0}),
                         ("cgls", {"iterations": 4}), ("fista-tv", {"iterations": 2, "weight": 0.01})):  # fmt: skip
        request = Request(tmp_path / "p.npy", method, tmp_path / "angles.txt", {"method": more})
        volume = reconstruct(request)
        assert volume.shape == (3, 32, 32)
        assert method in volume.derivation[0]
        assert np.corrcoef(volume.modality().ravel(), fbp(PROJECTIONS, GEOMETRY).ravel())[0, 1] > 0.8
    with pytest.raises(InputError, match="weight"):
        reconstruct(Request(tmp_path / "p.npy", "fista-tv", tmp_path / "angles.txt"))
    with pytest.raises(InputError, match="does not fit"):
        reconstruct(Request(tmp_path / "p.npy", "fdk", tmp_path / "angles.txt"))


def test_transmitted_counts_are_reconstructed_without_a_logarithm(tmp_path: Path) -> None:
    write_exchange(tmp_path / "scan.h5")
    volume = reconstruct(Request(tmp_path / "scan.h5", "mltr", None, {"method": {"iterations": 40}}))
    truth = BALLS.on_grid(planar_grid(GEOMETRY))
    assert np.corrcoef(volume.modality().ravel(), truth.ravel())[0, 1] > 0.9
    assert volume.modality()[1, 14:18, 10:14].mean() == pytest.approx(0.03, rel=0.1)
    np.save(tmp_path / "p.npy", 500 * np.exp(-PROJECTIONS))
    (tmp_path / "angles.txt").write_text("\n".join(map(str, np.rad2deg(ANGLES))))
    named = {"method": {"iterations": 40, "blank": 500.0}}
    other = reconstruct(Request(tmp_path / "p.npy", "mltr", tmp_path / "angles.txt", named))
    assert np.corrcoef(other.modality().ravel(), truth.ravel())[0, 1] > 0.9
    with pytest.raises(InputError, match="without the object"):
        reconstruct(Request(tmp_path / "p.npy", "mltr", tmp_path / "angles.txt"))
    with pytest.raises(InputError, match="rings"):
        reconstruct(Request(tmp_path / "scan.h5", "mltr", None, {"preparation": {"rings": "mean"}}))


def test_an_axis_that_nobody_stated_and_is_not_in_the_middle_is_said(data: Path) -> None:
    tables: dict[str, dict[str, object]] = {
        "preparation": {"rows": [0, 1]},
        "grid": {"shape": [1, 64, 64], "spacing_mm": 8},
    }
    tooth = data / "recon" / "tooth.h5"
    assert "opposite views say column 295" in " ".join(reconstruct(Request(tooth, "fbp", None, tables)).derivation)
    tables["preparation"]["center"] = 295.9
    assert "opposite" not in " ".join(reconstruct(Request(tooth, "fbp", None, tables)).derivation)
