"""Magnetic resonance against independent programs: ISMRMRD's library, BART, sigpy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pacscore import recon
from pacscore.recon import kspace_phantoms

pytestmark = pytest.mark.interop

SHAPE = (64, 56)


@pytest.fixture(scope="module")
def kspace() -> np.ndarray:
    return kspace_phantoms.phantom_kspace(kspace_phantoms.shepp_logan(), SHAPE, coils=4, noise=0.002)


def bart(folder: Path, *words: object) -> None:
    if shutil.which("bart") is None:
        pytest.skip("bart is not installed: the Debian package bart (until 2027-12-31)")
    subprocess.run(["bart", *map(str, words)], cwd=folder, check=True, capture_output=True)


def test_bart_transforms_our_arrays_as_we_do(kspace: np.ndarray, tmp_path: Path) -> None:
    recon.write_cfl(tmp_path / "kspace", kspace[:, None])
    bart(tmp_path, "fft", "-i", "-u", 3, "kspace", "image")
    assert np.allclose(recon.read_cfl(tmp_path / "image", squeeze=True), recon.centred_ifft(kspace), atol=1e-5)
    bart(tmp_path, "rss", 8, "image", "combined")
    assert np.allclose(
        recon.read_cfl(tmp_path / "combined", squeeze=True).real, recon.reconstruct_rss(kspace), atol=1e-5
    )


def test_bart_takes_our_trajectories_and_phantoms(tmp_path: Path) -> None:
    trajectory = recon.Trajectory.radial((48, 48), 60)
    samples = kspace_phantoms.phantom_kspace(kspace_phantoms.lopsided(), trajectory)
    coordinates = np.zeros((60, 96, 3))  # Reversed: (x, y, z), samples, spokes.
    coordinates[..., :2] = trajectory.coordinates[..., ::-1]
    recon.write_cfl(tmp_path / "trajectory", coordinates)
    weighted = samples * recon.density_weights(trajectory)
    recon.write_cfl(tmp_path / "samples", weighted[0][..., None])
    bart(tmp_path, "nufft", "-a", "-d", "48:48:1", "trajectory", "samples", "image")
    found, ours = recon.read_cfl(tmp_path / "image", squeeze=True), recon.grid(samples, trajectory)[0]
    found = found * (np.vdot(found, ours) / np.vdot(found, found))
    assert np.linalg.norm(found - ours) < 0.01 * np.linalg.norm(ours)


def test_bart_and_sigpy_find_our_solutions(kspace: np.ndarray, tmp_path: Path) -> None:
    maps = kspace_phantoms.coil_maps(4, SHAPE)
    mask = kspace_phantoms.random_mask(SHAPE, 0.4).astype(np.float32)
    ours = recon.sense(kspace * mask, maps, mask=mask, regularization=0.01, stopping=recon.Stopping(60, 0.0)).image
    mri = pytest.importorskip("sigpy.mri", reason="sigpy is not installed (until 2027-12-31)")
    theirs = mri.app.SenseRecon(kspace * mask, maps, weights=mask, lamda=0.01, max_iter=60, show_pbar=False).run()
    assert np.linalg.norm(ours - theirs) < 1e-3 * np.linalg.norm(theirs)
    recon.write_cfl(tmp_path / "kspace", (kspace * mask)[:, None])
    recon.write_cfl(tmp_path / "maps", maps[:, None])
    bart(tmp_path, "pics", "-S", "-l2", "-r", 0.01, "-i", 60, "kspace", "maps", "image")
    found = recon.read_cfl(tmp_path / "image", squeeze=True)
    found = found * (np.vdot(found, ours) / np.vdot(found, found))
    assert np.linalg.norm(found - ours) < 0.02 * np.linalg.norm(ours)


def test_files_of_the_format_s_own_library_are_read(kspace: np.ndarray, tmp_path: Path) -> None:
    ismrmrd = pytest.importorskip("ismrmrd", reason="ismrmrd is not installed (until 2027-12-31)")
    path = tmp_path / "scan.h5"
    header = (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><experimentalConditions>'
        "<H1resonanceFrequency_Hz>63500000</H1resonanceFrequency_Hz></experimentalConditions><encoding><encodedSpace>"
        "<matrixSize><x>56</x><y>64</y><z>1</z></matrixSize><fieldOfView_mm><x>112</x><y>128</y><z>5</z>"
        "</fieldOfView_mm></encodedSpace><reconSpace><matrixSize><x>56</x><y>64</y><z>1</z></matrixSize>"
        "<fieldOfView_mm><x>112</x><y>128</y><z>5</z></fieldOfView_mm></reconSpace><encodingLimits/>"
        "<trajectory>cartesian</trajectory></encoding></ismrmrdHeader>"
    )
    dataset = ismrmrd.Dataset(str(path), "dataset", True)
    dataset.write_xml_header(header.encode())
    for y in range(SHAPE[0]):
        line = ismrmrd.Acquisition()
        line.resize(SHAPE[1], 4)
        line.center_sample = SHAPE[1] // 2
        line.idx.kspace_encode_step_1 = y
        line.position[:], line.read_dir[:] = (1, 2, 3), (1, 0, 0)
        line.phase_dir[:], line.slice_dir[:] = (0, 1, 0), (0, 0, 1)
        line.data[:] = kspace[:, y]
        dataset.append_acquisition(line)
    dataset.close()
    raw = recon.read_raw(path)
    assert np.array_equal(raw.kspace[0, :, 0], kspace)
    volume = recon.mr_methods.fft(raw)
    assert np.allclose((volume.index_to_lps @ [0, 32, 28, 1])[:3], [1, 2, 3])
