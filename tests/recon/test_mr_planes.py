"""Transforms that take eight lines side by side, and what is fused with them, against NumPy's in float64."""

from __future__ import annotations

import numpy as np
import pytest

from pacscore import recon
from pacscore.imaging.arrays.watching import Watch
from pacscore.kernels import mr_transforms
from pacscore.recon.magnetic_resonance.plane_transforms import NormalOfCoils, SquaredTransform, line_plan, suits


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.standard_normal(shape) + 1j * random.standard_normal(shape)).astype(np.complex64)


def far(found: np.ndarray, wanted: np.ndarray) -> float:
    """Relative distance; single precision allows a few 1e-7."""
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("length", [8, 16, 24, 32, 40, 72, 120])
def test_eight_lines_are_transformed_and_every_frequency_has_its_place(length: int, inverse: bool) -> None:
    lines, plan = noise((length, 8)), line_plan(length)
    tile = np.stack([lines.real, lines.imag], axis=1).reshape(-1).copy()
    sign = np.float32(-1 if inverse else 1)
    mr_transforms.transform_lanes(tile, length, plan.radices, plan.turns, sign)
    parts = tile.reshape(length, 2, 8)[plan.places].astype(np.float64)
    wide = lines.astype(np.complex128)
    wanted = np.fft.ifft(wide, axis=0) * length if inverse else np.fft.fft(wide, axis=0)
    assert far(parts[:, 0] + 1j * parts[:, 1], wanted) < 5e-7
    assert sorted(plan.places) == list(range(length))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((8, 40), True), ((256, 320), True), ((8, 12), False), ((56, 64), False), ((8, 8, 8), False), ((8, 4096), False)],
)
def test_only_lengths_with_tables_are_taken(shape: tuple[int, ...], expected: bool) -> None:
    assert suits(shape) is expected


@pytest.mark.parametrize("shape", [(8, 24), (40, 16)])
def test_roots_of_planes_are_centred_and_unitary(shape: tuple[int, int]) -> None:
    coils, out = noise((3, *shape)), np.full(shape, np.nan, np.float32)
    transform = SquaredTransform(shape)
    for writeable in (True, False):  # Nothing of the first remains in the second.
        coils.flags.writeable = writeable
        transform(coils, out)
        assert coils.flags.writeable is writeable
    versions = getattr(mr_transforms.add_transformed_squares_into.compiled(), "signatures", [None])
    assert len(versions) == 1
    shifted = np.fft.fftshift(np.fft.ifft2(coils.astype(np.complex128), norm="ortho"), axes=(1, 2))
    assert far(out, np.sqrt((np.abs(shifted) ** 2).sum(axis=0))) < 5e-7


@pytest.mark.parametrize("pattern", ["rows", "columns", "both"])
@pytest.mark.parametrize("shape", [(8, 24), (40, 16)])
def test_the_normal_operator_of_planes_is_its_formula(shape: tuple[int, int], pattern: str) -> None:
    weights, image = noise((2, *shape), 1), noise(shape, 2)
    mask = np.random.default_rng(3).random(shape).astype(np.float32)
    mask = {"rows": mask[:, :1], "columns": mask[:1], "both": mask}[pattern] * np.ones(shape, np.float32)
    planes = NormalOfCoils(weights, mask, 1)
    sums = np.zeros((2, image.size), np.complex64)
    parted = planes.part(image)
    for coil in range(2):
        planes.add(coil, parted, sums[coil], 0)
    spectra = np.fft.fft2(weights.astype(np.complex128) * image) * mask
    assert far(planes.join(sums), (weights.conj() * np.fft.ifft2(spectra)).sum(axis=0)) < 5e-7


def test_sense_of_planes_is_the_same_for_any_number_of_threads() -> None:
    maps, image = noise((5, 16, 24)), noise((16, 24), 1)
    mask = np.random.default_rng(2).random((16, 24)) < 0.5
    alone, two = (recon.SenseOperator(maps, mask, watch=Watch(threads=count)) for count in (1, 2))
    assert np.array_equal(alone.normal(image), two.normal(image))
    assert far(alone.normal(image), alone.adjoint(alone.forward(image))) < 1e-6
