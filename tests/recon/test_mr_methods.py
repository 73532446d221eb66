"""From a measurement to a volume: every method, its geometry, orientation and centring, and the real brain."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import ismrmrd_files as files
import numpy as np
import pytest

from pacscore import recon
from pacscore.errors import CancelledError, GeometryError, InputError, UnsupportedError
from pacscore.geometry import Verdict
from pacscore.imaging.arrays.watching import Watch
from pacscore.recon import kspace_phantoms, mr_methods
from pacscore.recon.magnetic_resonance.raw import fit_image

METHODS = ("fft", "sense", "grappa", "l1", "tv")
READ, PHASE = (0.0, 0.6, 0.8), (1.0, 0.0, 0.0)
SLICE = tuple(float(value) for value in np.cross(READ, PHASE))


def view(shape: tuple[int, int, int], extent: tuple[float, float, float], **changes: object) -> recon.FieldOfView:
    given = {"positions_lps": np.array([[10.0, -20.0, 30.0]]), "read": READ, "phase": PHASE, "slice": SLICE}
    return recon.FieldOfView(shape, extent, extent, **(given | changes))


def centre_of(volume: object) -> np.ndarray:
    """LPS of the centre of mass of what is bright, by the volume's own affine."""
    array = volume.array()
    weights = np.where(array > 0.3 * array.max(), array, 0)
    places = np.stack(np.meshgrid(*map(np.arange, array.shape), indexing="ij"))
    return (volume.index_to_lps @ [*(places * weights).sum(axis=(1, 2, 3)) / weights.sum(), 1.0])[:3]


@pytest.mark.parametrize("shape", [(24, 25, 26), (25, 24, 27)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mark_lies_where_the_scanner_had_it(shape: tuple[int, int, int], axis: int) -> None:
    extent, direction = (240.0, 200.0, 260.0), (SLICE, PHASE, READ)[axis]
    place = tuple(0.21 if at == axis else 0.0 for at in range(3))
    body = (kspace_phantoms.Ellipsoid(1.0, place, (0.12, 0.12, 0.12)),)
    kspace = kspace_phantoms.phantom_kspace(body, shape)
    volume = mr_methods.fft(recon.CartesianData.of(kspace, field_of_view=view(shape, extent)))
    assert volume.geometry.verdict is Verdict.REGULAR
    wanted = np.array([10.0, -20.0, 30.0]) + 0.21 * extent[axis] * np.array(direction)
    # A tenth of a voxel: half a pixel, a flipped or a swapped axis would be far off.
    assert np.abs(centre_of(volume) - wanted).max() < 1.0


def test_slices_in_any_order_and_direction_are_sorted_and_placed() -> None:
    shape = (32, 32)
    bodies = [(kspace_phantoms.Ellipsoid(value, (0.0, 0.0), (0.3, 0.3)),) for value in (3.0, 1.0, 2.0)]
    kspace = np.stack([kspace_phantoms.phantom_kspace(body, shape) for body in bodies])[:, :, None]
    heights = np.array([30.0, 10.0, 20.0])
    positions = heights[:, None] * np.array(SLICE)
    for flipped in (1, -1):  # A slice direction against row × column must not turn the volume over.
        placed = view((3, 32, 32), (5, 64, 64), positions_lps=positions, slice=tuple(flipped * np.array(SLICE)))
        volume = mr_methods.fft(recon.CartesianData(kspace, placed))
        assert np.allclose(volume.array()[:, 16, 16], [1, 2, 3], atol=0.1)
        assert np.allclose(volume.spacing_mm, (10, 2, 2))
        assert np.allclose((volume.index_to_lps @ [2, 16, 16, 1])[:3], positions[0], atol=1e-6)
    backward = view((8, 32, 32), (80, 64, 64), slice=tuple(-np.array(SLICE)))
    body = (kspace_phantoms.Ellipsoid(1.0, (0.3, 0.0, 0.0), (0.1, 0.3, 0.3)),)
    raw = recon.CartesianData.of(kspace_phantoms.phantom_kspace(body, (8, 32, 32)), field_of_view=backward)
    found = centre_of(mr_methods.fft(raw))
    assert (found - [10, -20, 30]) @ SLICE == pytest.approx(-24, abs=5)


@pytest.mark.parametrize("name", METHODS)
def test_every_cartesian_method_gives_the_phantom(name: str) -> None:
    shape = (64, 56)
    full = kspace_phantoms.phantom_kspace(kspace_phantoms.shepp_logan(), shape, coils=6, noise=0.004)
    masks = {"fft": np.ones(shape), "sense": kspace_phantoms.regular_mask(shape, (2,), calibration=20)}
    masks["grappa"] = masks["sense"]
    masks["l1"] = masks["tv"] = kspace_phantoms.random_mask(shape, 0.5, calibration=20)
    raw = recon.CartesianData.of(full * masks[name])
    seen: list[str] = []
    options = recon.MrOptions(
        calibration=20, weight=5e-4, watch=Watch(progress=lambda phase, *rest: seen.append(phase))
    )
    volume = mr_methods.FUNCTIONS[name](raw, options)
    wanted = recon.reconstruct_rss(full)
    made = volume.array()[0]
    scale = float((made * wanted).sum() / (made * made).sum())
    inside = wanted > 0.1
    assert np.linalg.norm((made * scale - wanted)[inside]) < 0.3 * np.linalg.norm(wanted[inside])
    for axis in (0, 1):  # Flipped it would be far off.
        assert np.linalg.norm((np.flip(made, axis) * scale - wanted)[inside]) > 0.5 * np.linalg.norm(wanted[inside])
    assert seen
    assert volume.derivation[0].startswith("reconstructed: ")
    assert volume.presentation.modality == "MR"
    assert volume.geometry.verdict is Verdict.NONE
    with pytest.raises(GeometryError):
        _ = volume.index_to_lps


@pytest.mark.parametrize("name", ["gridding", "sense", "l1", "tv"])
def test_every_method_of_trajectories_gives_the_phantom(name: str) -> None:
    trajectory = recon.Trajectory.radial((48, 48), 40, golden_angle=True)
    samples = kspace_phantoms.phantom_kspace(kspace_phantoms.lopsided(), trajectory, coils=4, noise=0.002)
    raw = recon.NonCartesianData(samples[None], trajectory, view((1, 48, 48), (5, 96, 96)))
    volume = mr_methods.FUNCTIONS[name](raw, recon.MrOptions(calibration=16, iterations=12, weight=5e-4))
    array = volume.array()[0]
    body = kspace_phantoms.phantom_image(kspace_phantoms.lopsided(), (48, 48))
    weights = np.sqrt((np.abs(kspace_phantoms.coil_maps(4, (48, 48))) ** 2).sum(axis=0))
    wanted = body * weights
    scale = (array * wanted).sum() / (array * array).sum()
    error = np.linalg.norm(array * scale - wanted)
    assert error < 0.3 * np.linalg.norm(wanted)
    assert error < 0.8 * np.linalg.norm(array.T * scale - wanted)
    assert np.allclose((volume.index_to_lps @ [0, 24, 24, 1])[:3], [10, -20, 30])


def test_combinations_partial_fourier_and_virtual_coils_are_options() -> None:
    shape = (48, 40)
    full = kspace_phantoms.phantom_kspace(kspace_phantoms.shepp_logan(), shape, coils=6, noise=0.002)
    part = full.copy()
    part[:, 32:] = 0
    body = kspace_phantoms.phantom_image(kspace_phantoms.shepp_logan(), shape)
    plain = mr_methods.fft(recon.CartesianData.of(part)).array()[0]
    for options in (
        recon.MrOptions(partial_fourier="homodyne", combine="espirit", calibration=14),
        recon.MrOptions(partial_fourier="pocs", combine="adaptive"),
    ):
        made = mr_methods.fft(recon.CartesianData.of(part), options).array()[0]
        errors = []
        for each in (made, plain):
            inside = body > 0.1
            scale = (each * body)[inside].sum() / (each * each)[inside].sum()
            errors.append(np.linalg.norm((each * scale - body)[inside]))
        assert errors[0] < errors[1]
    fewer = mr_methods.fft(recon.CartesianData.of(full), recon.MrOptions(virtual_coils=4))
    assert "coils mixed to 4" in fewer.derivation[0]
    assert np.allclose(fewer.array(), mr_methods.fft(recon.CartesianData.of(full)).array(), atol=0.03)


def test_a_whole_file_becomes_a_placed_series(tmp_path: Path) -> None:
    # Twofold readout oversampling, a partial phase field of view, interpolation to 64 × 64, noise, two repetitions.
    shape = (48, 96)
    scaled = tuple(
        kspace_phantoms.Ellipsoid(
            part.value, (part.center[0] * 200 / 150, part.center[1] / 2),
            (part.semi_axes[0] * 200 / 150, part.semi_axes[1] / 2),
        )
        for part in kspace_phantoms.lopsided()
    )  # fmt: skip
    kspace = kspace_phantoms.phantom_kspace(scaled, shape, coils=3)
    noise = 0.5 * kspace_phantoms.phantom_kspace(scaled, (8, 64), coils=3, noise=1.0).reshape(3, -1)
    xml = files.header(
        files.encoding((96, 48, 1), (400, 150, 5), (64, 48, 1), (200, 150, 5)),
    )
    place = {"position": (10, -20, 30), "read_dir": READ, "phase_dir": PHASE, "slice_dir": SLICE}
    lines = [files.line(noise, flags=(19,))]
    lines += [
        files.line((1 + repetition) * kspace[:, y], kspace_encode_step_1=y, repetition=repetition, **place)
        for repetition in range(2)
        for y in range(48)
    ]
    raw = recon.read_raw(files.write(tmp_path / "scan.h5", xml, lines))
    volume = mr_methods.fft(raw, recon.MrOptions(whiten=False))
    assert volume.shape == (2, 1, 48, 64)
    assert volume.axes[0].name == "repetition"
    assert np.allclose(volume.array()[1], 2 * volume.array()[0], rtol=1e-4, atol=1e-4)
    first = volume.at(repetition=0)
    assert np.allclose(first.spacing_mm[1:], (150 / 48, 200 / 64))
    weights = np.sqrt((np.abs(kspace_phantoms.coil_maps(3, shape)) ** 2).sum(axis=0))
    assert first.array()[0, 24, 32] == pytest.approx(weights[24, 48], rel=0.1)
    bright = np.unravel_index(np.argmax(first.array()), first.shape)
    found = (first.index_to_lps @ [*bright, 1])[:3]
    assert np.abs(found - (np.array([10, -20, 30]) + 0.19 * 200 * np.array(PHASE))).max() < 9
    white = mr_methods.fft(raw).array()
    assert np.isfinite(white).all()
    assert not np.allclose(white, volume.array(), rtol=0.1)


def test_a_calibration_scan_of_its_own_serves_grappa_and_maps() -> None:
    shape = (48, 40)
    full = kspace_phantoms.phantom_kspace(kspace_phantoms.shepp_logan(), shape, coils=6, noise=0.002)
    under = full * kspace_phantoms.regular_mask(shape, (2,), calibration=0)
    scan = np.zeros_like(full)
    scan[:, 14:34] = full[:, 14:34]
    raw = recon.CartesianData(under[None, :, None], calibration=scan[None, :, None])
    wanted = recon.reconstruct_rss(full)
    made = mr_methods.grappa_method(raw).array()[0]
    assert np.linalg.norm(made - wanted) < 0.08 * np.linalg.norm(wanted)
    unfolded = mr_methods.sense_method(raw, recon.MrOptions(calibration=20)).array()[0]
    assert np.linalg.norm(unfolded - wanted) < 0.2 * np.linalg.norm(wanted)


@pytest.mark.parametrize(
    ("before", "extent", "encoded", "after"), [(9, 1.0, 1.0, 18), (18, 1.0, 2.0, 27), (16, 1.0, 1.0, 8)]
)
def test_images_are_cut_and_resized_about_their_middle(before: int, extent: float, encoded: float, after: int) -> None:
    places = (np.arange(before) - before // 2) / before * encoded

    def wave(x: np.ndarray) -> np.ndarray:
        return 2 + np.cos(2 * np.pi * x / extent) - 0.5 * np.sin(2 * np.pi * 2 * x / extent)

    image = np.broadcast_to(wave(places), (1, 4, before)).astype(np.complex64)
    placed = recon.FieldOfView((1, 4, after), (1, 1, extent), (1, 1, encoded), np.zeros((1, 3)))
    wanted = wave((np.arange(after) - after // 2) / after * extent)
    assert np.allclose(fit_image(image, placed)[0, 0], wanted, atol=1e-4)


def test_the_real_brain_is_reconstructed_from_an_eighth_of_its_samples(data: Path) -> None:
    raw = recon.read_raw(data / "recon" / "cartesian_ksp.npy")
    kspace = raw.kspace[0, :, 0]
    mask = (kspace != 0).any(axis=0)
    random = np.random.default_rng(5)
    middle = np.zeros_like(mask)
    middle[103:127, 78:102] = True
    held = mask & ~middle & (random.random(mask.shape) < 0.1)
    maps = recon.espirit_maps(kspace * ~held, crop=0.0).maps
    zero = np.linalg.norm(kspace[:, held])
    misfit = {}
    brightest, stopping = recon.reconstruct_rss(kspace).max(), recon.Stopping(40, 0.0)
    solutions = {
        "sense": recon.sense(kspace * ~held, maps, regularization=0.01),
        "l1": recon.compressed_sensing(kspace * ~held, maps, 3e-3 * brightest, stopping=stopping),
    }
    for name, solution in solutions.items():
        predicted = recon.centred_fft(maps * solution.image)
        misfit[name] = float(np.linalg.norm(predicted[:, held] - kspace[:, held])) / zero
    # Samples that were held back are predicted: a zero-filled image would leave 1.
    assert misfit["sense"] < 0.45
    assert misfit["l1"] < 0.35
    volume = mr_methods.l1_method(raw, recon.MrOptions(iterations=20))
    assert volume.shape == (1, 230, 180)


def test_methods_say_what_they_cannot_do_and_can_be_cancelled() -> None:
    kspace = kspace_phantoms.phantom_kspace(kspace_phantoms.shepp_logan(), (16, 16), coils=2)
    trajectory = recon.Trajectory.radial((16, 16), 4)
    cartesian = recon.CartesianData.of(kspace)
    radial = recon.NonCartesianData(np.ones((1, 2, 4, 32), np.complex64), trajectory)
    for call in (
        lambda: mr_methods.gridding(cartesian),
        lambda: mr_methods.fft(radial),
        lambda: mr_methods.grappa_method(radial),
    ):
        with pytest.raises(UnsupportedError):
            call()
    stop = threading.Event()
    stop.set()
    for name in METHODS:
        with pytest.raises(CancelledError):
            mr_methods.FUNCTIONS[name](cartesian, recon.MrOptions(calibration=8, watch=Watch(cancel=stop)))
    for call in (
        lambda: recon.MrOptions(combine="hope"),
        lambda: recon.MrOptions(virtual_coils=-1),
        lambda: recon.CartesianData(kspace),
        lambda: recon.CartesianData.of(np.zeros((2, 3))),
        lambda: recon.CartesianData(kspace[None, :, None], calibration=kspace[:1, None, None]),
        lambda: recon.NonCartesianData(np.ones((1, 2, 4, 31), np.complex64), trajectory),
        lambda: view((1, 16, 16), (5, -1, 16)),
        lambda: view((1, 16, 16), (5, 16, 16), phase=READ),
    ):
        with pytest.raises(InputError):
            call()


def test_a_request_names_file_method_and_choices(tmp_path: Path) -> None:
    kspace = kspace_phantoms.phantom_kspace(kspace_phantoms.lopsided(), (32, 24), coils=2)
    np.save(tmp_path / "scan.npy", np.stack([kspace, 2 * kspace])[:, :, None])

    def request(configuration: dict[str, object], method: str = "fft") -> SimpleNamespace:
        return SimpleNamespace(
            path=tmp_path / "scan.npy", method=method, configuration=configuration, watch=Watch()
        )  # fmt: skip

    volume = mr_methods.reconstruct(
        request({"input": {"field_of_view_mm": [10, 64, 48]}, "method": {"combine": "adaptive"}})
    )
    assert volume.shape == (2, 32, 24)
    assert volume.spacing_mm == (5.0, 2.0, 2.0)
    assert "adaptive" in volume.derivation[0]
    assert set(mr_methods.METHODS) == set(mr_methods.FUNCTIONS)
    for wrong in (
        request({"grid": {}}), request({"method": {"watch": 1}}), request({"method": {"combine": "hope"}}),
        request({"input": {"encoding": 1}}), request({"input": {"field_of_view_mm": [1, 2]}}),
        request({"input": {"field_of_view_mm": "wide"}}), request({}, "fdk"),
    ):  # fmt: skip
        with pytest.raises(InputError):
            mr_methods.reconstruct(wrong)


def test_importing_the_room_loads_no_heavy_library() -> None:
    code = (
        "import sys, pacscore.recon as recon\n"
        "assert 'sense' in dir(recon)\n"
        "heavy = {'numba', 'scipy', 'finufft', 'h5py', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "recon.Trajectory; recon.mr_methods; recon.IsmrmrdFile\n"
        "heavy = {'numba', 'scipy', 'finufft', 'h5py'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "try:\n    recon.nothing\nexcept AttributeError:\n    pass\nelse:\n    raise SystemExit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
