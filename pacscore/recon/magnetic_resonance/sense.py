"""SENSE: an image seen through several coils, from Cartesian k-space that is not fully sampled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore import parallel
from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import mr_coils
from pacscore.recon.magnetic_resonance.fourier import (
    centre_factor,
    complex_array,
    finite_array,
    grid_phase,
    image_array,
)
from pacscore.recon.magnetic_resonance.libraries import fourier_library
from pacscore.recon.magnetic_resonance.plane_transforms import NormalOfCoils, suits
from pacscore.recon.magnetic_resonance.solvers import Solution, Stopping, conjugate_gradient

Complex64 = NDArray[np.complex64]
Float32 = NDArray[np.float32]

_CHUNK = 1 << 17


def sampling_mask(kspace: NDArray[Any], *, coil_axis: int = 0) -> NDArray[np.bool_]:
    """Where k-space was sampled: positions at which a coil holds anything but 0."""
    mask: NDArray[np.bool_] = (np.asarray(kspace) != 0).any(axis=coil_axis)
    return mask


class CoilSums:
    """Sums over coils, side by side, that do not depend on the number of threads.

    Coils are dealt to a fixed number of groups, each summed in order, and the groups then in order.
    """

    def __init__(self, coils: int, shape: tuple[int, ...], watch: Watch) -> None:
        self.groups = min(coils, max(4, coils // 4))
        self._coils, self._shape, self._watch = coils, shape, watch
        self._sums = np.empty((self.groups, math.prod(shape)), np.complex64)

    def of_groups(self, work: Any) -> Complex64:
        """Call ``work(coils, sums, group)`` for each group, with its range of coils; the sums ``(groups, voxels)``."""
        sums = self._sums

        def of_groups(start: int, stop: int) -> None:
            for group in range(start, stop):
                sums[group] = 0
                first, last = (self._coils * at // self.groups for at in (group, group + 1))
                work(range(first, last), sums[group], group)

        parallel.run_tiles(of_groups, self.groups, threads=self._watch.threads)
        return sums

    def run(self, work: Any) -> Complex64:
        """The total of ``of_groups``, a new array."""
        sums = self.of_groups(work)
        total = np.empty(self._shape, np.complex64)
        flat = total.reshape(-1)

        def add(start: int, stop: int) -> None:
            part = flat[start:stop]
            if self.groups == 1:
                part[...] = sums[0, start:stop]
                return
            np.add(sums[0, start:stop], sums[1, start:stop], out=part)
            for group in range(2, self.groups):
                part += sums[group, start:stop]

        parallel.run_tiles(add, flat.size, tile=_CHUNK, threads=self._watch.threads)
        return total


class SenseOperator:
    """What Cartesian sampling through coils does to an image: ``A x = mask * F (maps * x)``.

    Parameters
    ----------
    maps : NDArray
        ``(coils, [slice,] row, column)`` sensitivities.
    mask : NDArray
        ``([kz,] ky, kx)``: 1 or True where sampled; weights 0 … 1 are possible; broadcast.
    watch : Watch
        Threads, and cancellation between steps of a solver.

    Raises
    ------
    InputError
        Shapes do not fit, or values are not finite.

    Notes
    -----
    F is the centred, unitary transform. Axes along which the mask does not change need no transform in ``normal``: the
    usual undersampling of phase encodings leaves one of two. The shifts of the transform are part of the maps. Planes
    whose sides are multiples of 8 and products of 2, 3 and 5 are transformed by kernels of our own. Memory: the maps,
    for such planes twice, and for each group of coils and each thread two images.
    """

    def __init__(self, maps: NDArray[Any], mask: NDArray[Any], *, watch: Watch = UNWATCHED) -> None:
        given = finite_array(maps, "maps", 3)
        self.coils, self.shape = given.shape[0], given.shape[1:]
        if len(self.shape) not in {2, 3}:
            raise InputError(f"maps are (coils, [slice,] row, column), not {given.shape}.")
        weights = np.asarray(mask, np.float32)
        try:
            self._mask = np.array(np.broadcast_to(weights, self.shape), np.float32, order="C")
        except ValueError as error:
            raise InputError(f"A mask {weights.shape} does not fit images {self.shape}.") from error
        if not (np.isfinite(self._mask).all() and (self._mask >= 0).all() and (self._mask <= 1).all()):
            raise InputError("A mask holds values from 0 to 1.")
        self._maps = given * grid_phase(self.shape)
        self._kspace_phase = grid_phase(self.shape) * np.complex64(centre_factor(self.shape))
        self._squared_mask = self._mask * self._mask
        self._axes = tuple(
            axis for axis in range(len(self.shape)) if (self._mask != self._mask.take([0], axis=axis)).any()
        )
        # Along an untransformed axis the mask is constant: any of its entries serves, in place.
        self._watch = watch
        self._sums = CoilSums(self.coils, self.shape, watch)
        self._planes = (
            NormalOfCoils(self._maps, self._squared_mask, self._sums.groups)
            if self._axes and suits(self.shape)
            else None
        )

    @property
    def largest_eigenvalue_bound(self) -> float:
        """Not less than the largest eigenvalue of ``A' A``: the transform is unitary and the mask at most 1."""
        squares = np.zeros(self.shape, np.float32)
        for coil in self._maps:
            mr_coils.add_squares_into(coil.reshape(-1), squares.reshape(-1))
        return float(squares.max())

    def forward(self, image: NDArray[Any]) -> Complex64:
        """k-space ``(coils, [kz,] ky, kx)`` of an image, 0 where it is not sampled."""
        x = image_array(image, self.shape)
        out = np.empty((self.coils, *self.shape), np.complex64)
        sf = fourier_library()

        def run(start: int, stop: int) -> None:
            for coil in range(start, stop):
                mr_coils.multiply_into(self._maps[coil].reshape(-1), x.reshape(-1), out[coil].reshape(-1))
                out[coil] = sf.fftn(out[coil], norm="ortho", overwrite_x=True)
                out[coil] *= self._kspace_phase
                mr_coils.scale_into(self._mask.reshape(-1), out[coil].reshape(-1))

        parallel.run_tiles(run, self.coils, threads=self._watch.threads)
        return out

    def adjoint(self, kspace: NDArray[Any]) -> Complex64:
        """The image ``A' y`` of k-space ``(coils, [kz,] ky, kx)``."""
        y = complex_array(kspace, "kspace", 3)
        if y.shape != self._maps.shape:
            raise InputError(f"kspace has the maps' shape {self._maps.shape}, not {y.shape}.", found=y.shape)
        sf, back = fourier_library(), np.conj(self._kspace_phase)

        def run(coils: range, sums: Complex64, group: int) -> None:
            scratch = np.empty(self.shape, np.complex64)
            for coil in coils:
                np.multiply(y[coil], back, out=scratch)
                mr_coils.scale_into(self._mask.reshape(-1), scratch.reshape(-1))
                image = sf.ifftn(scratch, norm="ortho", overwrite_x=True)
                mr_coils.add_conjugate_product_into(self._maps[coil].reshape(-1), image.reshape(-1), sums)

        return self._sums.run(run)

    def normal(self, image: Complex64) -> Complex64:
        """``A' A x``, a new array: what solvers call."""
        x = image_array(image, self.shape).reshape(-1)
        if self._planes is not None:
            return self._normal_of_planes(self._planes, x)
        sf, axes = fourier_library(), self._axes

        def run(coils: range, sums: Complex64, group: int) -> None:
            scratch = np.empty(self.shape, np.complex64)
            for coil in coils:
                weights = self._maps[coil].reshape(-1)
                mr_coils.multiply_into(weights, x, scratch.reshape(-1))
                values = sf.fftn(scratch, axes=axes, overwrite_x=True) if axes else scratch
                mr_coils.scale_into(self._squared_mask.reshape(-1), values.reshape(-1))
                values = sf.ifftn(values, axes=axes, overwrite_x=True) if axes else values
                mr_coils.add_conjugate_product_into(weights, values.reshape(-1), sums)

        return self._sums.run(run)

    def _normal_of_planes(self, planes: NormalOfCoils, image: Complex64) -> Complex64:
        parted = planes.part(image)

        def run(coils: range, sums: Complex64, group: int) -> None:
            for coil in coils:
                planes.add(coil, parted, sums, group)

        return planes.join(self._sums.of_groups(run), self._watch.threads)


def sense(
    kspace: NDArray[Any],
    maps: NDArray[Any],
    *,
    mask: NDArray[Any] | None = None,
    regularization: float = 0.0,
    stopping: Stopping | None = None,
    watch: Watch = UNWATCHED,
) -> Solution:
    """Reconstruct an image from undersampled Cartesian k-space by conjugate gradients.

    Parameters
    ----------
    kspace : NDArray
        ``(coils, [kz,] ky, kx)``, 0 where not sampled; prewhitened where noise was measured.
    maps : NDArray
        ``(coils, [slice,] row, column)`` sensitivities, as of ``espirit_maps``.
    mask : NDArray, optional
        Where k-space was sampled; by default where it is not 0.
    regularization : float
        Weight of ``|x|²`` in ``|A x - y|² + regularization |x|²``.
    stopping : Stopping, optional
        30 iterations or a residual of 1e-6 by default.
    watch : Watch
        Progress, cancellation, threads.

    Returns
    -------
    Solution
        Its image is ``([slice,] row, column)``, with phase.

    Raises
    ------
    InputError
        Shapes do not fit, or values are not finite.
    CancelledError
        The watch says so.

    Notes
    -----
    Pruessmann et al. 2001. Memory: as ``SenseOperator``, and six images.
    """
    given = finite_array(kspace, "kspace", 3)
    operator = SenseOperator(maps, sampling_mask(given) if mask is None else mask, watch=watch)
    return conjugate_gradient(
        operator.normal, operator.adjoint(given), regularization=regularization, stopping=stopping, watch=watch
    )
