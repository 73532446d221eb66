"""Sensitivities, SENSE and GRAPPA: kernels and results against dense matrices, eigenvectors and loops."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from reference import mr as twin

from pacscore import recon
from pacscore.errors import CancelledError, InputError
from pacscore.imaging.arrays.watching import Watch
from pacscore.kernels import mr_coils
from pacscore.recon import kspace_phantoms
from pacscore.recon.magnetic_resonance.coils import dominant_eigenvectors
from pacscore.recon.magnetic_resonance.grappa import Lattice, find_lattice
from pacscore.recon.magnetic_resonance.solvers import conjugate_gradient, largest_eigenvalue

EXACT = recon.Stopping(200, 0.0)


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.standard_normal(shape) + 1j * random.standard_normal(shape)).astype(np.complex64)


@pytest.mark.kernel
def test_vector_kernels_do_what_their_formula_says() -> None:
    a, b, c, d = (noise((37,), seed) for seed in range(4))
    real = np.abs(noise((37,), 5)).astype(np.float32)
    sums = real.copy()
    mr_coils.add_squares_into(a, sums)
    assert np.allclose(sums, real + np.abs(a) ** 2, rtol=1e-5)
    out = np.empty_like(a)
    mr_coils.multiply_into(a, b, out)
    assert np.allclose(out, a * b, atol=1e-5)
    mr_coils.scale_into(real, out)
    assert np.allclose(out, a * b * real, atol=1e-5)
    total = c.copy()
    mr_coils.add_conjugate_product_into(a, b, total)
    assert np.allclose(total, c + a.conj() * b, atol=1e-5)
    x, r = c.copy(), d.copy()
    norm = mr_coils.descend_into(np.float32(0.5), a, b, x, r)
    assert np.allclose(x, c + 0.5 * a, atol=1e-5)
    assert np.allclose(r, d - 0.5 * b, atol=1e-5)
    assert norm == pytest.approx(float(np.linalg.norm(d - 0.5 * b)) ** 2, rel=1e-5)
    turned = a.copy()
    mr_coils.turn_into(b, np.float32(2), turned)
    assert np.allclose(turned, b + 2 * a, atol=1e-5)
    change, size = mr_coils.extrapolate_into(a, b, np.float32(0.25), out)
    assert np.allclose(out, a + 0.25 * (a - b), atol=1e-5)
    assert change == pytest.approx(float(np.linalg.norm(a - b)) ** 2, rel=1e-5)
    assert size == pytest.approx(float(np.linalg.norm(a)) ** 2, rel=1e-5)
    mr_coils.gradient_step_into(a, b, c, np.float32(0.5), out)
    assert np.allclose(out, a - 0.5 * (b - c), atol=1e-5)


@pytest.mark.kernel
@pytest.mark.parametrize("coils", [1, 3])
def test_dominant_eigenvectors_are_those_of_lapack(coils: int) -> None:
    voxels = 70  # More than one group of lanes, the second not full.
    factors = noise((voxels, coils, coils)).astype(np.complex128)
    gram = factors @ np.moveaxis(factors.conj(), 1, 2) + 5 * np.einsum(
        "vi,vj->vij", factors[:, 0], factors[:, 0].conj()
    )
    gram[3] = 0
    rows, columns = np.triu_indices(coils)
    packed = np.ascontiguousarray(gram[:, rows, columns].T, np.complex64)
    reference = noise((coils,), 7)
    vectors, values = dominant_eigenvectors(packed, reference, iterations=300)
    wanted, largest = twin.dominant(gram)
    assert np.allclose(values, largest, rtol=1e-3, atol=1e-5)
    others = np.arange(voxels) != 3
    assert np.abs(np.einsum("cv,vc->v", vectors.conj(), wanted))[others].min() > 0.999
    product = (reference[:, None].conj() * vectors).sum(axis=0)[others]
    assert np.abs(product.imag).max() < 1e-5
    assert product.real.min() > 0


def test_opposed_coils_do_not_cancel_in_the_eigenvector() -> None:
    gram = np.array([[1.0], [-1.0], [1.0]], np.complex64)
    vectors, values = dominant_eigenvectors(gram, np.array([1, 0], np.complex64))
    assert np.allclose(vectors[:, 0], np.array([1, -1]) / np.sqrt(2), atol=1e-5)
    assert values[0] == pytest.approx(2, rel=1e-5)


def test_espirit_maps_are_those_of_every_kernel_transformed_by_itself() -> None:
    kspace = kspace_phantoms.phantom_kspace(kspace_phantoms.shepp_logan(), (19, 20), coils=3, noise=0.001)
    found = recon.espirit_maps(kspace, calibration=12, kernel=4, crop=0.0, iterations=500)
    maps, values = twin.espirit(kspace, 12, 4, 0.02)
    assert np.allclose(found.eigenvalues, values, atol=2e-4)
    agree = np.abs((found.maps.conj() * maps).sum(axis=0))
    assert np.quantile(agree, 0.02) > 0.999
    cropped = recon.espirit_maps(kspace, calibration=12, kernel=4, crop=0.9, iterations=500)
    assert np.array_equal((np.abs(cropped.maps) > 0).any(axis=0), cropped.eigenvalues >= 0.9)


@pytest.mark.parametrize("shape", [(48, 40), (12, 24, 20)])
def test_espirit_maps_are_the_sensitivities_inside_the_object(shape: tuple[int, ...]) -> None:
    dimensions = len(shape)
    kspace = kspace_phantoms.phantom_kspace(kspace_phantoms.lopsided(dimensions), shape, coils=4)
    found = recon.espirit_maps(kspace, calibration=min(20, *shape), kernel=5)
    maps = kspace_phantoms.coil_maps(4, shape)
    maps /= np.sqrt((np.abs(maps) ** 2).sum(axis=0))
    inside = kspace_phantoms.phantom_image(kspace_phantoms.lopsided(dimensions), shape) >= 1
    assert np.abs((found.maps.conj() * maps).sum(axis=0))[inside].min() > 0.99
    assert np.allclose((np.abs(found.maps) ** 2).sum(axis=0)[inside], 1, atol=1e-4)
    finer = recon.espirit_maps(kspace, shape=tuple(2 * n for n in shape), calibration=min(20, *shape), kernel=5)
    assert finer.maps.shape == (4, *(2 * n for n in shape))
    middle = tuple(n // 2 for n in shape)
    doubled = tuple(n for n in shape)
    assert np.allclose(finer.maps[(slice(None), *doubled)], found.maps[(slice(None), *middle)], atol=1e-3)


def test_espirit_refuses_what_it_cannot_calibrate_with() -> None:
    full = kspace_phantoms.phantom_kspace(kspace_phantoms.shepp_logan(), (32, 32), coils=2)
    holes = full * kspace_phantoms.regular_mask((32, 32), (3,), calibration=4)
    for kspace, choices in (
        (holes, {}), (0 * full, {}), (full, {"threshold": 1.0}), (full, {"kernel": 30}), (full, {"shape": (32,)}),
        (full[0], {}), (np.where(full == full[0, 3, 3], np.nan, full), {"calibration": 32}),
    ):  # fmt: skip
        with pytest.raises(InputError):
            recon.espirit_maps(kspace, **choices)


@pytest.mark.parametrize(
    ("shape", "pattern"), [((6, 7), "random"), ((5, 8), "lines"), ((3, 4, 5), "random"), ((4, 4), "all")]
)
def test_the_sense_operator_is_its_matrix(shape: tuple[int, ...], pattern: str) -> None:
    maps, random = noise((3, *shape)), np.random.default_rng(3)
    mask = random.random(shape).round() if pattern == "random" else np.ones(shape)
    if pattern == "lines":
        mask[1::2] = 0
    operator = recon.SenseOperator(maps, mask)
    matrix = twin.sense_matrix(maps, mask)
    image, kspace = noise(shape, 1), noise((3, *shape), 2)
    assert np.allclose(operator.forward(image).reshape(-1), matrix @ image.reshape(-1), atol=1e-5)
    assert np.allclose(operator.adjoint(kspace).reshape(-1), matrix.conj().T @ kspace.reshape(-1), atol=1e-5)
    wanted = matrix.conj().T @ (matrix @ image.reshape(-1))
    assert np.allclose(operator.normal(image).reshape(-1), wanted, atol=1e-4)
    largest = np.linalg.eigvalsh(matrix.conj().T @ matrix)[-1]
    assert operator.largest_eigenvalue_bound >= largest * 0.9999
    assert largest_eigenvalue(operator.normal, shape, iterations=100) == pytest.approx(largest, rel=0.02)
    left = np.vdot(operator.forward(image), kspace)
    assert abs(left - np.vdot(image, operator.adjoint(kspace))) < 1e-5 * abs(left)


def test_sense_solves_the_normal_equations() -> None:
    shape = (6, 6)
    maps, mask = noise((4, *shape)), np.ones(shape)
    mask[::2] = 0
    matrix = twin.sense_matrix(maps, mask)
    kspace = (matrix @ noise(shape, 1).reshape(-1)).reshape(4, *shape)
    found = recon.sense(kspace, maps, mask=mask, regularization=0.1, stopping=recon.Stopping(100, 1e-7))
    normal = matrix.conj().T @ matrix + 0.1 * np.eye(36)
    wanted = np.linalg.solve(normal, matrix.conj().T @ kspace.reshape(-1))
    assert np.allclose(found.image.reshape(-1), wanted, atol=1e-4 * np.abs(wanted).max())
    assert found.stopped == "tolerance"
    assert found.residuals[-1] <= 1e-7 < found.residuals[0]


def test_sense_unfolds_a_phantom_and_is_the_same_for_any_number_of_threads() -> None:
    shape = (48, 40)
    maps = kspace_phantoms.coil_maps(8, shape)
    body = kspace_phantoms.phantom_image(kspace_phantoms.shepp_logan(), shape)
    kspace = recon.centred_fft(maps * body) * kspace_phantoms.regular_mask(shape, (2,), calibration=0)
    found = recon.sense(kspace, maps, stopping=recon.Stopping(60, 0.0))
    assert np.linalg.norm(found.image - body) < 0.01 * np.linalg.norm(body)
    single = recon.sense(kspace, maps, stopping=recon.Stopping(60, 0.0), watch=Watch(threads=1))
    assert np.array_equal(single.image, found.image)


def test_solvers_report_stop_and_can_be_cancelled() -> None:
    maps = kspace_phantoms.coil_maps(2, (16, 16))
    kspace = kspace_phantoms.phantom_kspace(kspace_phantoms.shepp_logan(), (16, 16), coils=2, noise=0.1)
    seen: list[tuple[str, int, int]] = []
    ended = recon.sense(
        kspace, maps, stopping=recon.Stopping(9, 0.0, lambda number, image, residual: number == 3),
        watch=Watch(progress=lambda *call: seen.append(call)),
    )  # fmt: skip
    assert (ended.stopped, ended.iterations) == ("callback", 3)
    assert seen == [("conjugate gradients", number, 9) for number in (1, 2, 3)]
    assert recon.sense(kspace, maps, stopping=recon.Stopping(2, 0.0)).stopped == "iterations"
    stop = threading.Event()
    with pytest.raises(CancelledError):
        recon.sense(kspace, maps, watch=Watch(cancel=stop, progress=lambda *call: stop.set()))
    assert not recon.sense(0 * kspace, maps).image.any()
    warm = conjugate_gradient(
        recon.SenseOperator(maps, np.ones((16, 16))).normal, ended.image, start=ended.image, stopping=EXACT
    )
    assert np.isfinite(warm.image).all()


def test_sense_refuses_what_does_not_fit() -> None:
    kspace, maps = noise((2, 4, 4)), noise((2, 4, 4), 1)
    bad = kspace.copy()
    bad[0, 0, 0] = np.inf
    for call in (
        lambda: recon.sense(bad, maps),
        lambda: recon.sense(kspace, maps[:1]),
        lambda: recon.sense(kspace, maps, mask=np.ones((3, 3))),
        lambda: recon.sense(kspace, maps, mask=np.full((4, 4), 2.0)),
        lambda: recon.sense(kspace, maps, regularization=-1),
        lambda: recon.SenseOperator(maps, np.ones((4, 4))).normal(noise((4, 5))),
        lambda: recon.Stopping(0),
        lambda: recon.Stopping(5, float("nan")),
    ):
        with pytest.raises(InputError):
            call()


def test_grappa_is_the_loop_over_missing_samples() -> None:
    full = kspace_phantoms.phantom_kspace(kspace_phantoms.shepp_logan(), (30, 24), coils=3, noise=0.01)
    kspace = full * kspace_phantoms.regular_mask((30, 24), (3,), calibration=0)
    calibration = full[:, 6:24]
    found = recon.grappa(kspace, calibration=calibration, regularization=1e-3)
    wanted = twin.grappa(kspace, calibration, 3, 4, 5, 1e-3)
    assert np.abs(found - wanted).max() < 1e-3 * np.abs(wanted).max()
    assert np.array_equal(found[kspace != 0], kspace[kspace != 0])
    alone = recon.grappa(kspace, calibration=calibration, regularization=1e-3, watch=Watch(threads=1))
    assert np.array_equal(found, alone)


@pytest.mark.parametrize("acceleration", [2, 3])
def test_grappa_unfolds_planes(acceleration: int) -> None:
    full = kspace_phantoms.phantom_kspace(kspace_phantoms.shepp_logan(), (96, 80), coils=8, noise=0.002)
    kspace = full * kspace_phantoms.regular_mask((96, 80), (acceleration,), calibration=20)
    wanted = recon.reconstruct_rss(full)
    before = np.linalg.norm(recon.reconstruct_rss(kspace) - wanted) / np.linalg.norm(wanted)
    after = np.linalg.norm(recon.reconstruct_rss(recon.grappa(kspace)) - wanted) / np.linalg.norm(wanted)
    assert after < 0.06
    assert after < before / 5


@pytest.mark.parametrize("shift", [0, 1])
def test_grappa_unfolds_volumes_with_and_without_caipirinha(shift: int) -> None:
    shape = (24, 32, 28)
    full = kspace_phantoms.phantom_kspace(kspace_phantoms.lopsided(3), shape, coils=8, noise=0.001)
    mask = kspace_phantoms.regular_mask(shape, (2, 2), shift=shift, calibration=14)
    kspace = full * mask
    assert find_lattice(mask[..., 0]).shift == shift
    wanted = recon.reconstruct_rss(full, dimensions=3)
    made = recon.reconstruct_rss(recon.grappa(kspace), dimensions=3)
    assert np.linalg.norm(made - wanted) < 0.06 * np.linalg.norm(wanted)


@pytest.mark.parametrize(("acceleration", "shift"), [((1, 2), 0), ((1, 4), 0), ((2, 3), 1), ((1, 3), 2), ((3, 1), 0)])
def test_a_lattice_is_found_and_its_cells_cover_every_sample_once(acceleration: tuple[int, int], shift: int) -> None:
    kz, ky = np.meshgrid(np.arange(12), np.arange(24), indexing="ij")
    lattice = Lattice(acceleration, shift, (0, 1 % acceleration[1]))
    mask = lattice.contains(kz, ky)
    found = find_lattice(mask)
    assert np.array_equal(found.contains(kz, ky), mask)
    counts = np.zeros((30, 60), int)
    for z, y in np.argwhere(mask):
        for dz, dy in [(0, 0), *lattice.targets()]:
            counts[z + dz, y + dy] += 1
    assert counts.max() == 1
    assert (counts[2:12, 6:24] == 1).all()
    assert all(lattice.contains(np.array(z), np.array(y + lattice.origin[1])) for z, y in lattice.sources((2, 4)))


def test_grappa_refuses_irregular_patterns_and_small_calibrations() -> None:
    full = kspace_phantoms.phantom_kspace(kspace_phantoms.shepp_logan(), (32, 32), coils=4)
    every = full * kspace_phantoms.regular_mask((32, 32), (3,), calibration=0)
    uneven = full.copy()
    uneven[:, [1, 2, 5, 9, 14, 15, 17, 22, 28]] = 0
    for call in (
        lambda: recon.grappa(every),
        lambda: recon.grappa(uneven),
        lambda: recon.grappa(every, calibration=full[:, 12:18]),
        lambda: recon.grappa(every, calibration=full[:2]),
        lambda: recon.grappa(every, calibration=full, kernel=(1, 4, 4)),
        lambda: recon.grappa(every, calibration=full, regularization=-1),
        lambda: Lattice((1, 3), 3),
    ):
        with pytest.raises(InputError):
            call()
    assert np.array_equal(recon.grappa(full), full)
