"""Cartesian transforms, coils and partial Fourier against sums by definition."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from reference import mr as twin

from pacscore import recon
from pacscore.errors import CancelledError, InputError
from pacscore.imaging.arrays.watching import Watch
from pacscore.recon import kspace_phantoms
from pacscore.recon.magnetic_resonance.coils import mix_coils, noise_covariance, whitening_matrix
from pacscore.recon.magnetic_resonance.fourier import axis_phase, centre_factor, centred_crop, grid_phase


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.standard_normal(shape) + 1j * random.standard_normal(shape)).astype(np.complex64)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((6,), (0,)), ((7,), (-1,)), ((3, 4, 5), (1, 2)), ((2, 5, 3), (0, 2)), ((4, 3, 6), (0, 1, 2)), ((1, 1), (0, 1))],
)
def test_transforms_are_the_sums_of_their_definition(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    image = noise(shape)
    assert np.allclose(recon.centred_fft(image, axes=axes), twin.fourier(image, axes), atol=2e-6)
    assert np.allclose(recon.centred_ifft(image, axes=axes), twin.inverse_fourier(image, axes), atol=2e-6)


@pytest.mark.parametrize("length", [1, 2, 5, 8])
def test_phases_turn_a_plain_transform_into_a_centred_one(length: int) -> None:
    image, phase = noise((length,)), grid_phase((length,))
    assert np.allclose(phase, axis_phase(length))
    centred = centre_factor((length,)) * phase * np.fft.fft(phase * image, norm="ortho")
    assert np.allclose(centred, twin.fourier(image, (0,)), atol=2e-6)


@pytest.mark.parametrize("shape", [(3, 2, 6, 8), (2, 4, 7, 5), (1, 1, 1, 9), (3, 5, 4)])
def test_fused_root_of_squares_is_the_magnitude_of_all_coils(shape: tuple[int, ...]) -> None:
    kspace = noise(shape)
    wanted = np.sqrt((np.abs(twin.inverse_fourier(kspace, (-2, -1))) ** 2).sum(axis=-3))
    assert np.allclose(recon.reconstruct_rss(kspace), wanted, atol=1e-5)
    out = np.empty(wanted.shape, np.float32)
    assert recon.reconstruct_rss(kspace, out=out) is out
    single = recon.reconstruct_rss(kspace, watch=Watch(threads=1))
    assert np.array_equal(single, out)


def test_fused_root_of_squares_takes_volumes() -> None:
    kspace = noise((2, 4, 5, 6))
    wanted = np.sqrt((np.abs(twin.inverse_fourier(kspace, (1, 2, 3))) ** 2).sum(axis=0))
    assert np.allclose(recon.reconstruct_rss(kspace, dimensions=3), wanted, atol=1e-5)
    assert np.allclose(recon.root_sum_of_squares(kspace, axis=0), np.sqrt((np.abs(kspace) ** 2).sum(0)), atol=1e-5)


def test_a_wrong_or_cancelled_transform_says_so() -> None:
    stop = threading.Event()
    stop.set()
    for call in (
        lambda: recon.centred_fft(noise((3, 4)), axes=(0, 2)),
        lambda: recon.centred_fft(noise((3, 4)), axes=(1, -1)),
        lambda: recon.centred_fft(np.zeros((0, 4))),
        lambda: recon.centred_fft(np.array(["a", "b"])),
        lambda: recon.reconstruct_rss(noise((4, 4))),
        lambda: recon.reconstruct_rss(noise((1, 4, 4)), dimensions=1),
        lambda: recon.reconstruct_rss(noise((1, 4, 4)), out=np.empty((4, 5), np.float32)),
        lambda: recon.remove_oversampling(noise((4, 4)), 5),
        lambda: recon.zero_fill(noise((4, 4)), {0: 3}),
        lambda: centred_crop(noise((4, 4)), {0: 0}),
    ):
        with pytest.raises(InputError):
            call()
    with pytest.raises(CancelledError):
        recon.reconstruct_rss(noise((3, 2, 4, 4)), watch=Watch(cancel=stop))


@pytest.mark.parametrize(("before", "after"), [(16, 8), (15, 8), (16, 7), (9, 9)])
def test_oversampling_is_cut_from_the_middle_of_the_image(before: int, after: int) -> None:
    image = noise((3, before))
    kspace = recon.remove_oversampling(recon.centred_fft(image, axes=(1,)), after)
    start = before // 2 - after // 2
    assert np.allclose(recon.centred_ifft(kspace, axes=(1,)), image[:, start : start + after], atol=2e-6)


@pytest.mark.parametrize(("before", "after"), [(9, 18), (9, 27), (15, 20)])
def test_zero_filling_interpolates_and_keeps_values_and_the_centre(before: int, after: int) -> None:
    places = (np.arange(before) - before // 2) / before
    finer = (np.arange(after) - after // 2) / after

    def wave(x: np.ndarray) -> np.ndarray:  # Band-limited, so that interpolation is exact.
        return 1.5 + np.cos(2 * np.pi * x) + 0.5 * np.sin(2 * np.pi * 3 * x)

    filled = recon.zero_fill(recon.centred_fft(wave(places)[None], axes=(1,)), {1: after})
    assert np.allclose(recon.centred_ifft(filled, axes=(1,)), wave(finer), atol=1e-5)


def test_noise_becomes_white_with_unit_variance() -> None:
    mixing = noise((4, 4), 1).astype(np.complex128) + 2 * np.eye(4)
    measured = mixing @ noise((4, 20_000), 2)
    white = recon.prewhiten(measured, measured, axis=0)
    assert np.allclose(white @ white.conj().T / white.shape[1], np.eye(4), atol=1e-4)
    half = noise_covariance(measured, bandwidth_ratio=0.5)
    assert np.allclose(2 * half, noise_covariance(measured))
    weights = whitening_matrix(half)
    assert np.allclose(weights @ half @ weights.conj().T, np.eye(4), atol=1e-9)
    for call in (
        lambda: noise_covariance(noise((4, 3))),
        lambda: noise_covariance(noise((2, 9)), bandwidth_ratio=0),
        lambda: whitening_matrix(np.zeros((2, 2))),
        lambda: whitening_matrix(np.ones((2, 3))),
        lambda: mix_coils(noise((3, 4, 4)), np.ones((2, 2))),
        lambda: recon.coil_compression(noise((3, 4, 4)), 4),
        lambda: recon.coil_compression(noise((3, 4, 4)), 0),
        lambda: recon.adaptive_maps(noise((3, 4, 4)), block=4),
        lambda: recon.combine_coils(noise((3, 4, 4)), noise((2, 4, 4))),
        lambda: recon.adaptive_maps(np.full((3, 4, 4), np.nan)),
    ):
        with pytest.raises(InputError):
            call()


def test_compression_keeps_what_few_coils_can_hold() -> None:
    sources = noise((2, 9, 8), 3)
    coils = np.einsum("cs,syx->cyx", noise((6, 2), 4), sources)
    matrix = recon.coil_compression(coils, 2)
    assert np.allclose(matrix @ matrix.conj().T, np.eye(2), atol=1e-5)
    kept = mix_coils(coils, matrix)
    assert np.allclose(np.linalg.norm(kept), np.linalg.norm(coils), rtol=1e-5)
    energies = np.linalg.norm(kept.reshape(2, -1), axis=1)
    assert energies[0] > energies[1]


@pytest.mark.parametrize("shape", [(24, 26), (20, 21, 22)])
def test_adaptive_combination_finds_the_coils_and_keeps_the_signal(shape: tuple[int, ...]) -> None:
    maps = kspace_phantoms.coil_maps(4, shape)
    body = kspace_phantoms.phantom_image(kspace_phantoms.lopsided(len(shape)), shape) + 0.2
    found = recon.adaptive_maps(maps * body, block=3)
    assert np.allclose((np.abs(found) ** 2).sum(axis=0), 1, atol=1e-4)
    unit = maps / np.sqrt((np.abs(maps) ** 2).sum(axis=0))
    assert np.abs((found.conj() * unit).sum(axis=0)).min() > 0.995
    combined = recon.combine_coils(maps * body, maps, axis=0)
    assert np.allclose(combined, body, atol=1e-5)
    assert not recon.combine_coils(maps * body, 0 * maps, axis=0).any()


@pytest.mark.parametrize("measured", [(0, 40), (24, 64)])
def test_partial_fourier_restores_what_zero_filling_blurs(measured: tuple[int, int]) -> None:
    shape = (64, 48)
    body = kspace_phantoms.phantom_image(kspace_phantoms.shepp_logan(), shape)
    rows = (np.arange(64) - 32)[:, None] / 64
    image = body * np.exp(1j * (0.6 + 1.1 * rows))
    full = recon.centred_fft(image)
    part = np.zeros_like(full)
    part[measured[0] : measured[1]] = full[measured[0] : measured[1]]
    errors = {}
    for method in ("zero-fill", "homodyne", "pocs"):
        made = recon.fill_partial_fourier(part, measured, method=method)
        errors[method] = np.linalg.norm(np.abs(made) - body) / np.linalg.norm(body)
    assert errors["homodyne"] < 0.5 * errors["zero-fill"]
    assert errors["pocs"] < 0.5 * errors["zero-fill"]
    pocs = recon.fill_partial_fourier(part, measured, method="pocs")
    inside = body > 0.15
    assert np.abs(np.angle(pocs * np.exp(-1j * (0.6 + 1.1 * rows))))[inside].mean() < 0.05
    assert np.allclose(recon.centred_fft(pocs)[measured[0] : measured[1]], part[measured[0] : measured[1]], atol=1e-5)


def test_partial_fourier_of_whole_k_space_is_the_image_of_any_method() -> None:
    image = noise((2, 6, 7))
    for method in ("zero-fill", "homodyne", "pocs"):
        made = recon.fill_partial_fourier(recon.centred_fft(image), (0, 6), method=method)
        assert np.allclose(made, image, atol=2e-6)
    for wrong in ({"measured": (4, 6)}, {"measured": (0, 3)}, {"method": "guess"}, {"axis": 0}, {"iterations": 0}):
        with pytest.raises(InputError):
            recon.fill_partial_fourier(image, **({"measured": (1, 6)} | wrong))
