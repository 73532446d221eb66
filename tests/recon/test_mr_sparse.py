"""Wavelets, total variation and the solutions that use them, against their definitions and optimality conditions."""

from __future__ import annotations

import numpy as np
import pytest
from reference import mr as twin

from pacscore import recon
from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import Watch
from pacscore.kernels import mr_coils, mr_transforms, mr_wavelets
from pacscore.kernels._compile import Kernel
from pacscore.recon import kspace_phantoms
from pacscore.recon.magnetic_resonance.compressed_sensing import sparse_solution
from pacscore.recon.magnetic_resonance.total_variation import TotalVariation, total_variation
from pacscore.recon.magnetic_resonance.warming import WARM_CALLS
from pacscore.recon.magnetic_resonance.wavelets import LOW_PASS, WaveletTransform


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.standard_normal(shape) + 1j * random.standard_normal(shape)).astype(np.complex64)


@pytest.mark.parametrize("wavelet", sorted(LOW_PASS))
def test_the_filters_are_orthonormal_with_vanishing_moments(wavelet: str) -> None:
    low = np.array(LOW_PASS[wavelet])
    assert low.sum() == pytest.approx(np.sqrt(2))
    matrix = twin.analysis_matrix(16, low)
    assert np.allclose(matrix @ matrix.T, np.eye(16))
    high = matrix[8 + 2]
    for moment in range(len(low) // 2):
        assert high @ np.arange(16.0) ** moment == pytest.approx(0, abs=1e-9)


@pytest.mark.kernel
@pytest.mark.parametrize(("shape", "levels"), [((16, 32), 2), ((32, 16), 1), ((16, 16, 16), 1)])
def test_wavelet_coefficients_are_those_of_the_matrices(shape: tuple[int, ...], levels: int) -> None:
    transform = WaveletTransform(shape, levels=levels)
    image = noise(shape)
    depths = [min(levels, int(np.log2(n / 8))) for n in shape]
    wanted = twin.wavelet(image, LOW_PASS["db2"], depths)
    found = transform.forward(image.copy())
    assert np.allclose(found, wanted, atol=1e-5)
    assert transform.approximation_shape == tuple(n >> depth for n, depth in zip(shape, depths, strict=True))
    corner = tuple(map(slice, transform.approximation_shape))
    shrunk = twin.shrink(wanted, 0.7)
    every = found.copy()
    transform.shrink(every, 0.7, approximation=True)
    assert np.allclose(every, shrunk, atol=1e-5)
    shrunk[corner] = wanted[corner]
    details = found.copy()
    transform.shrink(details, 0.7)
    assert np.allclose(details, shrunk, atol=1e-5)
    sizes = np.abs(wanted)
    assert transform.absolute_sum(found, approximation=True) == pytest.approx(sizes.sum(), rel=1e-5)
    assert transform.absolute_sum(found) == pytest.approx(sizes.sum() - sizes[corner].sum(), rel=1e-5)
    assert np.allclose(transform.inverse(found), image, atol=1e-5)


@pytest.mark.parametrize("shape", [(230, 180), (17, 64), (9, 40, 33), (5, 4), (64, 128)])
def test_any_shape_is_padded_transformed_and_restored(shape: tuple[int, ...]) -> None:
    transform = WaveletTransform(shape, levels=4, watch=Watch(threads=1))
    image = noise(shape)
    padded = transform.pad(image)
    coefficients = transform.forward(padded.copy())
    assert np.linalg.norm(coefficients) == pytest.approx(np.linalg.norm(image), rel=1e-5)
    assert np.array_equal(WaveletTransform(shape, levels=4).forward(padded.copy()), coefficients)
    assert np.allclose(transform.crop(transform.inverse(coefficients)), image, atol=1e-5)


@pytest.mark.kernel
@pytest.mark.parametrize("shape", [(5, 6), (1, 7), (3, 4, 5)])
def test_the_step_of_total_variation_is_optimal(shape: tuple[int, ...]) -> None:
    image, weight = noise(shape), 0.4
    found = TotalVariation(shape, iterations=800 if len(shape) == 2 else 300).proximal(image, weight)
    assert total_variation(found) == pytest.approx(
        np.sqrt((np.abs(twin.differences(found)) ** 2).sum(axis=0)).sum(), rel=1e-5
    )
    # Duality: image - found = weight D'p with |p| <= 1 and <p, D found> = TV(found).
    assert np.vdot(found, image - found).real == pytest.approx(weight * total_variation(found), rel=2e-3, abs=1e-3)

    def objective(u: np.ndarray) -> float:
        return 0.5 * float(np.linalg.norm(u - image)) ** 2 + weight * total_variation(u)

    for seed in range(6):
        assert objective(found + 0.02 * noise(shape, seed)) > objective(found)


def test_differences_and_their_adjoint_of_the_twin_agree() -> None:
    image, dual = noise((4, 5)), noise((2, 4, 5), 1)
    assert np.vdot(dual, twin.differences(image)) == pytest.approx(
        np.vdot(twin.differences_adjoint(dual), image), rel=1e-5
    )


def test_much_total_variation_leaves_the_mean() -> None:
    image = noise((8, 9))
    flat = TotalVariation((8, 9), iterations=3000).proximal(image, 50.0)
    assert np.abs(flat - image.mean()).max() < 0.02
    assert np.array_equal(TotalVariation((8, 9)).proximal(image, 0.0), image)


@pytest.mark.parametrize(
    ("penalty", "shape"), [("wavelet", (32, 32)), ("wavelet", (30, 27)), ("total variation", (24, 20))]
)
def test_sparse_solutions_minimise_their_objective(penalty: str, shape: tuple[int, int]) -> None:
    maps = kspace_phantoms.coil_maps(3, shape)
    mask = kspace_phantoms.random_mask(shape, 0.4, calibration=6)
    kspace = kspace_phantoms.phantom_kspace(kspace_phantoms.shepp_logan(), shape, coils=3, noise=0.02) * mask
    weight = 0.02
    found = recon.compressed_sensing(
        kspace, maps, weight, mask=mask, penalty=penalty, levels=2, stopping=recon.Stopping(400, 0.0)
    )
    transform = WaveletTransform(shape, levels=2)

    def objective(image: np.ndarray) -> float:
        misfit = 0.5 * float(np.linalg.norm(recon.SenseOperator(maps, mask).forward(image) - kspace)) ** 2
        if penalty == "wavelet":
            return misfit + weight * transform.absolute_sum(transform.forward(transform.pad(image).copy()))
        return misfit + weight * total_variation(image)

    best = objective(found.image)
    assert best < objective(found.image * 0.98)
    assert best < objective(found.image * 1.02)
    if penalty == "wavelet" and transform.padded_shape != shape:
        return  # The padding's coefficients are free, so the image alone need not be a minimum against every step.
    for seed in range(4):
        assert best < objective(found.image + 0.003 * noise(shape, seed))


def test_without_a_penalty_a_sampled_image_comes_back() -> None:
    shape = (20, 24)
    image, maps = noise(shape), kspace_phantoms.coil_maps(2, shape)
    kspace = recon.SenseOperator(maps, np.ones(shape)).forward(image)
    seen: list[tuple[int, ...]] = []
    found = recon.compressed_sensing(
        kspace, maps, 0.0, stopping=recon.Stopping(300, 1e-7, lambda number, image, residual: seen.append(image.shape))
    )
    assert np.allclose(found.image, image, atol=0.02)
    assert set(seen) == {shape}


def test_sparse_solutions_refuse_what_has_no_meaning() -> None:
    kspace, maps = noise((2, 16, 16)), noise((2, 16, 16))
    operator = recon.SenseOperator(maps, np.ones((16, 16)))
    for call in (
        lambda: recon.compressed_sensing(kspace, maps, -1.0),
        lambda: recon.compressed_sensing(kspace, maps, 0.1, penalty="hope"),
        lambda: recon.compressed_sensing(kspace, maps, 0.1, wavelet="db9"),
        lambda: recon.compressed_sensing(kspace, 0 * maps, 0.1, mask=np.ones((16, 16))),
        lambda: sparse_solution(operator, operator.adjoint(kspace), 0.1, levels=0),
        lambda: TotalVariation((4,)),
        lambda: TotalVariation((4, 4)).proximal(noise((4, 5)), 1.0),
    ):
        with pytest.raises(InputError):
            call()


def test_warming_calls_every_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    called, plain = set(), Kernel.__call__

    def watched(self: Kernel, *values: object, **names: object) -> object:
        called.add(self.__name__)
        return plain(self, *values, **names)

    monkeypatch.setattr(Kernel, "__call__", watched)
    for _, call in WARM_CALLS:
        call()
    kernels = [
        each
        for module in (mr_coils, mr_transforms, mr_wavelets)
        for each in vars(module).values()
        if isinstance(each, Kernel)
    ]
    assert {each.__name__ for each in kernels if each.__name__.endswith("_into")} <= called
