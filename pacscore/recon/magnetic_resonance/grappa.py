"""GRAPPA: missing samples of k-space as weighted sums of their measured neighbours in all coils."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore import parallel
from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.recon.magnetic_resonance.fourier import finite_array
from pacscore.recon.magnetic_resonance.libraries import fourier_library, one_blas_thread

Complex64 = NDArray[np.complex64]

_OFFSET = tuple[int, int]
_LINES = 16
_ROOM = 1 << 18
"""Samples of k-space that a thread gathers at once."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """The regular part of an undersampled pattern of phase encodings.

    Attributes
    ----------
    acceleration : (int, int)
        Of kz and ky, each at least 1; for planes the first is 1.
    shift : int
        By how many ky the sampled lines move from one sampled kz to the next (CAIPIRINHA), 0 to acceleration - 1.
    origin : (int, int)
        A sampled (kz, ky).

    Raises
    ------
    InputError
        A number is out of range.
    """

    acceleration: tuple[int, int]
    shift: int = 0
    origin: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        z, y = self.acceleration
        if z < 1 or y < 1 or not 0 <= self.shift < y:
            raise InputError(f"Accelerations are 1 or more and the shift below that of ky: {self}.")

    def contains(self, kz: NDArray[np.int64], ky: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which positions the pattern samples."""
        planes, rest = np.divmod(kz - self.origin[0], self.acceleration[0])
        lines = (ky - self.origin[1] - planes * self.shift) % self.acceleration[1]
        inside: NDArray[np.bool_] = (rest == 0) & (lines == 0)
        return inside

    def sources(self, kernel: tuple[int, int]) -> list[_OFFSET]:
        """Offsets of the sampled neighbours of a cell: ``kernel`` planes of ``kernel`` lines about its middle."""
        z, y = self.acceleration
        planes = range(-((kernel[0] - 1) // 2), kernel[0] // 2 + 1)
        offsets = []
        for plane in planes:
            # Lines nearest to the middle of the cell, wherever the shift puts them.
            base = plane * self.shift % y
            first = -((kernel[1] - 1) // 2) * y + base - (y if base > y // 2 else 0)
            offsets += [(plane * z, first + line * y) for line in range(kernel[1])]
        return offsets

    def targets(self) -> list[_OFFSET]:
        """Offsets of the missing samples of a cell."""
        z, y = self.acceleration
        return [(dz, dy) for dz in range(z) for dy in range(y) if (dz, dy) != (0, 0)]


def find_lattice(mask: NDArray[np.bool_]) -> Lattice:
    """The lattice of a sampling pattern ``(kz, ky)``, which may hold a fully sampled calibration region beside.

    The smallest acceleration whose lattice samples nothing that the pattern does not, and without which only a
    calibration region would remain, wins.

    Raises
    ------
    InputError
        No lattice up to acceleration 8 by 8 describes the pattern.
    """
    given = np.asarray(mask, bool)
    if given.ndim != 2 or not given.any():
        raise InputError(f"A pattern is (kz, ky) and samples something: {given.shape}.")
    kz, ky = (np.arange(length)[..., None] if at == 0 else np.arange(length) for at, length in enumerate(given.shape))
    first_z = int(np.argmax(given.any(axis=1)))
    first_y = int(np.argmax(given[first_z]))
    choices = [
        Lattice((z, y), shift, (first_z, first_y))
        for z in range(1, min(8, given.shape[0]) + 1)
        for y in range(1, min(8, given.shape[1]) + 1)
        for shift in range(y if z > 1 or given.shape[0] > 1 else 1)
    ]
    choices.sort(key=lambda lattice: (math.prod(lattice.acceleration), lattice.acceleration[0], lattice.shift))
    last_z = int(np.flatnonzero(given.any(axis=1))[-1])
    for lattice in choices:
        expected = lattice.contains(kz, ky)
        expected[:first_z] = False
        expected[last_z + 1 :] = False
        missing = expected & ~given
        lines = np.flatnonzero(given.any(axis=0))
        missing[:, : lines[0]] = False
        missing[:, lines[-1] + 1 :] = False
        if not missing.any():
            return lattice
    raise InputError("The sampled lines are no lattice up to 8 by 8: use SENSE or compressed sensing instead.")


def grappa(
    kspace: NDArray[Any],
    *,
    calibration: NDArray[Any] | None = None,
    lattice: Lattice | None = None,
    kernel: tuple[int, int, int] | None = None,
    regularization: float = 1e-4,
    watch: Watch = UNWATCHED,
) -> Complex64:
    """Fill the missing samples of regularly undersampled k-space.

    Parameters
    ----------
    kspace : NDArray
        ``(coils, ky, kx)`` or ``(coils, kz, ky, kx)``, 0 where not sampled; kx is fully sampled.
    calibration : NDArray, optional
        Fully sampled k-space of the same coils, as many axes; by default the largest fully sampled middle of
        ``kspace`` itself.
    lattice : Lattice, optional
        The pattern; found in ``kspace`` by default.
    kernel : (int, int, int), optional
        How many sampled kz and ky, and how many kx (odd), each weight set reaches; (1, 4, 5) for planes and (2, 4, 5)
        for volumes with an accelerated or shifted kz by default.
    regularization : float
        Tikhonov weight relative to the mean energy of a source, 0 or more.
    watch : Watch
        Cancellation, and progress in three steps.

    Returns
    -------
    NDArray of complex64
        The shape of ``kspace``: what was measured is kept, the rest of the lattice's cells filled.

    Raises
    ------
    InputError
        The pattern is no lattice, or the calibration is too small for the kernel.
    CancelledError
        The watch says so.

    Notes
    -----
    Griswold et al. 2002; Breuer et al. 2006 (2-D CAIPIRINHA). All missing samples of a lattice cell share their
    sources, so that one normal matrix serves them all. Along kx the weights are a convolution, done as a product in x:
    one small matrix product for each x and all cells takes the place of one for each kx of the kernel. Memory: the
    measured lines and twice the result.
    """
    given = finite_array(kspace, "kspace", 3)
    if given.ndim not in {3, 4} or not (math.isfinite(regularization) and regularization >= 0):
        raise InputError(f"kspace is (coils, [kz,] ky, kx) and regularization 0 or more: {given.shape}.")
    volume = given if given.ndim == 4 else given[:, None]
    mask = (volume != 0).any(axis=(0, 3))
    pattern = lattice or find_lattice(mask)
    if pattern.acceleration == (1, 1):
        return given.copy()
    block = _calibration(calibration, volume, mask)
    taps = kernel or ((1 if pattern.acceleration[0] == 1 and pattern.shift == 0 else 2), 4, 5)
    if min(taps) < 1 or taps[2] % 2 == 0:
        raise InputError(f"kernel is (kz, ky, kx), kx odd: {taps}.", found=taps)
    with one_blas_thread():
        weights = _weights(block, pattern, taps, regularization, watch)
    watch.check()
    if watch.progress is not None:
        watch.progress("GRAPPA", 1, 2)
    with one_blas_thread():
        filled = _fill(volume, mask, pattern, weights, kernel=taps[:2], watch=watch)
    if watch.progress is not None:
        watch.progress("GRAPPA", 2, 2)
    return filled.reshape(given.shape)


def _calibration(calibration: NDArray[Any] | None, volume: Complex64, mask: NDArray[np.bool_]) -> Complex64:
    if calibration is not None:
        given = finite_array(calibration, "calibration", volume.ndim - 1)
        given = given if given.ndim == 4 else given[:, None]
        if given.ndim != 4 or given.shape[0] != volume.shape[0]:
            raise InputError(f"A calibration has the coils of kspace, {volume.shape[0]}: it is {given.shape}.")
        return given
    z, y = (length // 2 for length in mask.shape)
    if not mask[z, y]:
        raise InputError("The middle of k-space is not sampled: give a calibration scan.")
    best, box = 0, (z, z, y, y)
    for reach in range(max(z + 1, mask.shape[0] - z)):  # Growing about the middle, keep the largest full rectangle.
        low, high = max(0, z - reach), min(mask.shape[0], z + reach + 1)
        full: NDArray[np.bool_] = np.logical_and.reduce(mask[low:high], axis=0)
        left, right = y, y
        while left > 0 and full[left - 1]:
            left -= 1
        while right < full.size and full[right]:
            right += 1
        if (high - low) * (right - left) > best:
            best, box = (high - low) * (right - left), (low, high, left, right)
    return np.ascontiguousarray(volume[:, box[0] : box[1], box[2] : box[3]])


def _weights(
    block: Complex64, pattern: Lattice, taps: tuple[int, int, int], regularization: float, watch: Watch
) -> Complex64:
    """``(kx taps, targets * coils, sources * coils)``."""
    coils = len(block)
    sources, targets = pattern.sources(taps[:2]), pattern.targets()
    offsets = np.array(sources + targets + [(0, 0)])
    low, high = offsets.min(axis=0), offsets.max(axis=0)
    room = np.array(block.shape[1:3]) - (high - low)
    columns = block.shape[3] - taps[2] + 1
    unknowns = coils * len(sources) * taps[2]
    if (room < 1).any() or columns < 1 or int(room.prod()) * columns < unknowns // 2:
        raise InputError(
            f"A calibration of {block.shape[1:]} (kz, ky, kx) is too small for {unknowns} weights a sample. "
            "Give a larger one or a smaller kernel.",
            found=block.shape[1:],
        )

    def patches(offsets: list[_OFFSET]) -> Complex64:
        views = [block[:, z - low[0] :, y - low[1] :][:, : room[0], : room[1]] for z, y in offsets]
        return np.stack(views).reshape(len(offsets) * coils, -1, block.shape[3])

    given, wanted = patches(sources), patches(targets)[:, :, taps[2] // 2 :][:, :, :columns]
    normal, right = _normal_equations(given, wanted, taps[2], watch)
    normal[np.diag_indices(unknowns)] += regularization * np.trace(normal).real / unknowns + 1e-30
    weights = np.linalg.solve(normal, right).conj().T
    shaped = weights.reshape(len(wanted), taps[2], unknowns // taps[2]).transpose(1, 0, 2)
    return np.ascontiguousarray(shaped, np.complex64)


def _normal_equations(
    given: Complex64, wanted: Complex64, taps: int, watch: Watch
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """The products of all sources at all shifts with each other and with the wanted samples.

    given : (sources, rows, width); wanted : (targets, rows, width - taps + 1)

    Shifting both factors by one sample of kx changes a product by what enters and leaves at the ends of the rows alone:
    one column of blocks is summed, the others follow from it.
    """
    count, columns = len(given), wanted.shape[2]
    seconds = np.concatenate([given[:, :, :columns], wanted]).reshape(count + len(wanted), -1).conj().T
    products = np.empty((taps, count, seconds.shape[1]), np.complex64)

    def multiply(start: int, stop: int) -> None:
        for dx in range(start, stop):
            np.matmul(given[:, :, dx : dx + columns].reshape(count, -1), seconds, out=products[dx])

    parallel.run_tiles(multiply, taps, threads=watch.threads)

    def ends(start: int) -> NDArray[np.complex128]:
        rows = given[:, :, start : start + taps - 1].transpose(2, 0, 1).astype(np.complex128)
        rows = rows.reshape((taps - 1) * count, -1)
        return (rows @ rows.conj().T).reshape(taps - 1, count, taps - 1, count)

    change = ends(columns) - ends(0)
    normal = np.empty((taps, count, taps, count), np.complex128)
    normal[:, :, 0] = products[:, :, :count]
    normal[0] = normal[:, :, 0].conj().transpose(2, 0, 1)
    for dx in range(1, taps):
        normal[dx, :, 1:] = normal[dx - 1, :, :-1] + change[dx - 1]
    unknowns = taps * count
    return normal.reshape(unknowns, unknowns), products[:, :, count:].reshape(unknowns, -1).astype(np.complex128)


def _fill(
    volume: Complex64,
    mask: NDArray[np.bool_],
    pattern: Lattice,
    weights: Complex64,
    *,
    kernel: tuple[int, int],
    watch: Watch,
) -> Complex64:
    coils, width, taps = len(volume), volume.shape[3], len(weights)
    sources, targets = pattern.sources(kernel), pattern.targets()
    cells = _cells(pattern, mask.shape)
    sf = fourier_library()
    length = sf.next_fast_len(width + taps // 2)
    # Only the lattice itself: calibration lines between belong to no source. What lies outside is a line of zeros.
    kz, ky = np.meshgrid(*map(np.arange, mask.shape), indexing="ij")
    lines = np.argwhere(pattern.contains(kz, ky))
    numbers = np.full(mask.shape, len(lines))
    numbers[lines[:, 0], lines[:, 1]] = np.arange(len(lines))
    spectra = np.zeros((length, len(lines) + 1, coils), np.complex64)

    def transform(start: int, stop: int) -> None:
        z, y = lines[start:stop].T
        spectra[:, start:stop] = sf.fft(volume[:, z, y], length, overwrite_x=True).transpose(2, 1, 0)

    parallel.run_tiles(transform, len(lines), tile=_LINES, threads=watch.threads)
    neighbours = np.full((len(cells), len(sources)), len(lines))
    for number, offset in enumerate(sources):
        places = cells + offset
        inside = _within(places, mask.shape)
        neighbours[inside, number] = numbers[tuple(places[inside].T)]
    estimates = np.empty((length, len(cells), weights.shape[1]), np.complex64)
    turns = np.exp(2j * np.pi / length * np.outer(np.arange(length), np.arange(taps) - taps // 2)).astype(np.complex64)
    flat_weights = weights.transpose(0, 2, 1).reshape(taps, -1)

    def apply(start: int, stop: int) -> None:
        factors = (turns[start:stop] @ flat_weights).reshape(-1, *weights.shape[:0:-1])
        rows = spectra[start:stop].take(neighbours, axis=1)
        np.matmul(rows.reshape(stop - start, len(cells), -1), factors, out=estimates[start:stop])

    parallel.run_tiles(apply, length, tile=max(1, min(16, _ROOM // neighbours.size // coils)), threads=watch.threads)
    out = volume.copy()

    def place(start: int, stop: int) -> None:
        filled = sf.ifft(np.ascontiguousarray(estimates[:, start:stop].transpose(1, 2, 0)), overwrite_x=True)
        filled = filled[:, :, :width].reshape(stop - start, len(targets), coils, width)
        for number, offset in enumerate(targets):
            places = cells[start:stop] + offset
            inside = _within(places, mask.shape)
            inside[inside] = ~mask[tuple(places[inside].T)]
            z, y = places[inside].T
            out[:, z, y] = filled[inside, number].swapaxes(0, 1)

    parallel.run_tiles(place, len(cells), tile=_LINES, threads=watch.threads)
    return out


def _within(places: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = np.logical_and.reduce((places >= 0) & (places < shape), axis=1)
    return inside


def _cells(pattern: Lattice, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Lattice points whose cells meet the grid, those before its first line and plane included."""
    z, y = pattern.acceleration
    kz, ky = np.meshgrid(np.arange(-z, shape[0]), np.arange(-y, shape[1]), indexing="ij")
    return np.argwhere(pattern.contains(kz, ky)) - (z, y)
