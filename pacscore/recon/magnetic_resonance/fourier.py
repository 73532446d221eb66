"""Cartesian k-space and images: centred transforms, fused with what follows them.

F1  Zero frequency and the middle of an image lie at index ``length // 2``, for even and odd lengths alike.
F2  Transforms are unitary: they keep the energy, and white noise of one standard deviation stays so.
F3  Measured data become an image by the inverse transform (exponent ``+2 pi i k x``), as ISMRMRD and BART have it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore import parallel
from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import mr_coils
from pacscore.recon.magnetic_resonance.libraries import fourier_library
from pacscore.recon.magnetic_resonance.plane_transforms import SquaredTransform, suits
from pacscore.settings import Settings

Complex64 = NDArray[np.complex64]
Float32 = NDArray[np.float32]


def complex_array(values: NDArray[Any], what: str, least_ndim: int = 1) -> Complex64:
    """``values`` as complex64 in C order, copied only where they are not.

    Raises
    ------
    InputError
        They are not numbers, have too few axes, or none along one of them.
    """
    given = np.asarray(values)
    if given.dtype.kind not in "iufc":
        raise InputError(f"{what} holds numbers, not {given.dtype}.", found=str(given.dtype))
    if given.ndim < least_ndim or 0 in given.shape:
        raise InputError(f"{what} has {least_ndim} axes or more, none of them empty: it is {given.shape}.")
    return np.require(given, np.complex64, ("C", "A"))


def finite_array(values: NDArray[Any], what: str, least_ndim: int = 1) -> Complex64:
    """As ``complex_array``, for calculations in which one value that is not finite would spoil all.

    Raises
    ------
    InputError
        As there, or a value is infinite or not a number.
    """
    array = complex_array(values, what, least_ndim)
    if not np.isfinite(array.view(np.float32)).all():
        raise InputError(f"{what} holds values that are not finite. Set lost samples to zero.")
    return array


def image_array(image: NDArray[Any], shape: tuple[int, ...]) -> Complex64:
    """``image`` as ``complex_array``, of the shape that the maps of an operator have.

    Raises
    ------
    InputError
        As there, or it has another shape.
    """
    given = complex_array(image, "image", 2)
    if given.shape != shape:
        raise InputError(f"An image of these maps is {shape}, not {given.shape}.", found=given.shape)
    return given


def centred_fft(image: NDArray[Any], *, axes: Sequence[int] = (-2, -1), watch: Watch = UNWATCHED) -> Complex64:
    """Transform images to k-space.

    Parameters
    ----------
    image : NDArray
        Any shape, real or complex.
    axes : sequence of int
        Which to transform.
    watch : Watch
        Progress, cancellation, threads.

    Returns
    -------
    NDArray of complex64
        The same shape, unitary scaling; see F1, F2.

    Raises
    ------
    InputError
        An axis does not exist or is named twice.
    """
    return _centred(image, axes, forward=True, watch=watch)


def centred_ifft(kspace: NDArray[Any], *, axes: Sequence[int] = (-2, -1), watch: Watch = UNWATCHED) -> Complex64:
    """Transform k-space to images; everything as in ``centred_fft``, which it undoes."""
    return _centred(kspace, axes, forward=False, watch=watch)


def reconstruct_rss(
    kspace: NDArray[Any], *, dimensions: int = 2, out: Float32 | None = None, watch: Watch = UNWATCHED
) -> Float32:
    """Transform each coil and combine the magnitudes: the root of the sum of squares.

    Parameters
    ----------
    kspace : NDArray
        ``(…, coils, [kz,] ky, kx)``.
    dimensions : int
        2 or 3: how many axes to transform, the last ones.
    out : NDArray of float32, optional
        ``(…, [slice,] row, column)``, C order.
    watch : Watch
        Progress, cancellation, threads.

    Returns
    -------
    NDArray of float32
        ``(…, [slice,] row, column)``.

    Raises
    ------
    InputError
        There are too few axes, or ``out`` does not fit.

    Notes
    -----
    One coil is transformed at a time into scratch space, so that beside the result each thread needs one image. The
    magnitude does not see the shift of k-space (a phase), and the shift of the image is done while the root is written.
    """
    if dimensions not in {2, 3}:
        raise InputError("dimensions is 2 or 3.", found=dimensions)
    given = complex_array(kspace, "kspace", dimensions + 1)
    spatial, lead = given.shape[-dimensions:], given.shape[: -dimensions - 1]
    from pacscore.imaging.arrays import output_array

    result = output_array(out, (*lead, *spatial), np.dtype(np.float32))
    images, made = given.reshape(-1, given.shape[-dimensions - 1], *spatial), result.reshape(-1, *spatial)
    sf = fourier_library()
    workers, threads = _workers(len(images), watch), watch.threads or Settings().threads()
    scale = np.float32(1.0 / math.prod(spatial))

    def run(start: int, stop: int) -> None:
        if suits(spatial):
            planes = SquaredTransform(spatial)
            for item in range(start, stop):
                planes(images[item], made[item])
            return
        scratch, sums = np.empty(spatial, np.complex64), np.empty(spatial, np.float32)
        for item in range(start, stop):
            sums[...] = 0
            for coil in images[item]:
                np.copyto(scratch, coil)
                image = sf.ifftn(scratch, norm="forward", overwrite_x=True, workers=workers)
                mr_coils.add_squares_into(image.reshape(-1), sums.reshape(-1))
            sums *= scale  # Of all coils at once, rather than in the transform of each.
            for source, target in _swaps(spatial, [length // 2 for length in spatial]):
                np.sqrt(sums[source], out=made[item][target])

    # Several images to a tile: fresh scratch space costs a twentieth of an image's time.
    watch.run("transforming", run, len(images), tile=max(1, len(images) // (4 * threads)))
    return result


def remove_oversampling(kspace: NDArray[Any], length: int, *, axis: int = -1, watch: Watch = UNWATCHED) -> Complex64:
    """Cut the field of view along a fully sampled axis to its middle, and return to k-space.

    Parameters
    ----------
    kspace : NDArray
        Any shape.
    length : int
        Of the axis afterwards, at most what it is.
    axis : int
        Usually the readout.

    Returns
    -------
    NDArray of complex64
        k-space of the smaller field of view; values of its image are those of the larger one.

    Raises
    ------
    InputError
        The length is not within the axis.
    """
    given = complex_array(kspace, "kspace")
    if not 1 <= length <= given.shape[axis]:
        raise InputError(f"An axis of {given.shape[axis]} cannot be cut to {length}.", found=length)
    if length == given.shape[axis]:
        return given
    image = centred_ifft(given, axes=(axis,), watch=watch)
    return centred_fft(centred_crop(image, {axis: length}), axes=(axis,), watch=watch)


def zero_fill(kspace: NDArray[Any], lengths: dict[int, int]) -> Complex64:
    """Put k-space into the middle of a larger one filled with zeros: interpolates the image to a finer grid.

    Parameters
    ----------
    kspace : NDArray
        Any shape.
    lengths : dict
        Axis to new length, at least what it is.

    Returns
    -------
    NDArray of complex64
        Scaled so that the image keeps its values.

    Raises
    ------
    InputError
        A length is shorter than the axis.
    """
    given = complex_array(kspace, "kspace")
    shape = list(given.shape)
    for axis, length in lengths.items():
        if length < given.shape[axis]:
            raise InputError(f"Zero filling lengthens an axis: {given.shape[axis]} to {length} does not.", found=length)
        shape[axis] = length
    out = np.zeros(shape, np.complex64)
    out[_middle(out.shape, given.shape)] = given * np.float32(math.sqrt(out.size / given.size))
    return out


def centred_crop(array: NDArray[Any], lengths: dict[int, int]) -> NDArray[Any]:
    """A view of the middle of an array: index ``length // 2`` stays the centre.

    Raises
    ------
    InputError
        A length is not within its axis.
    """
    shape = list(array.shape)
    for axis, length in lengths.items():
        if not 1 <= length <= array.shape[axis]:
            raise InputError(f"An axis of {array.shape[axis]} cannot be cut to {length}.", found=length)
        shape[axis] = length
    view: NDArray[Any] = array[_middle(array.shape, tuple(shape))]
    return view


def axis_phase(length: int) -> NDArray[np.complex128]:
    """What turns a plain transform into a centred one along an axis: ``exp(2 pi i c n / length)``, c the centre.

    Exactly ±1 for even lengths. With P this phase along every axis and c = length // 2, the centred transform is
    ``exp(-2 pi i c c / length) P F P``: the shifts become factors that join those already there (maps, samples).
    """
    if length % 2 == 0:
        return np.where(np.arange(length) % 2 == 0, 1.0, -1.0).astype(np.complex128)
    phase: NDArray[np.complex128] = np.exp(2j * np.pi * ((length // 2) * np.arange(length) % length) / length)
    return phase


def grid_phase(shape: Sequence[int]) -> Complex64:
    """The product of ``axis_phase`` along all axes, ``shape``."""
    phase = np.ones((1,) * len(shape), np.complex128)
    for axis, length in enumerate(shape):
        phase = phase * axis_phase(length).reshape([-1 if at == axis else 1 for at in range(len(shape))])
    return phase.astype(np.complex64)


def centre_factor(shape: Sequence[int]) -> complex:
    """The constant of the centred transform; see ``axis_phase``."""
    turns = sum(((length // 2) ** 2 % length) / length for length in shape)
    return complex(np.exp(-2j * np.pi * turns))


def _centred(values: NDArray[Any], axes: Sequence[int], *, forward: bool, watch: Watch) -> Complex64:
    given = complex_array(values, "The array")
    chosen = sorted({axis % given.ndim for axis in axes if -given.ndim <= axis < given.ndim})
    if len(chosen) != len(tuple(axes)) or not chosen:
        raise InputError(f"An array of shape {given.shape} has no axes {tuple(axes)}.", found=tuple(axes))
    last = tuple(range(given.ndim - len(chosen), given.ndim))
    ordered = np.moveaxis(given, chosen, last)
    spatial = ordered.shape[len(ordered.shape) - len(chosen) :]
    result = np.empty(given.shape, np.complex64)
    made = np.moveaxis(result, chosen, last)
    places = list(itertools.product(*map(range, ordered.shape[: -len(chosen)])))
    sf, workers = fourier_library(), _workers(len(places), watch)
    transform = sf.fftn if forward else sf.ifftn

    def run(start: int, stop: int) -> None:
        scratch = np.empty(spatial, np.complex64)
        for place in places[start:stop]:
            for source, target in _swaps(spatial, [-(length // 2) for length in spatial]):
                scratch[target] = ordered[place][source]
            image = transform(scratch, norm="ortho", overwrite_x=True, workers=workers)
            for source, target in _swaps(spatial, [length // 2 for length in spatial]):
                made[place][target] = image[source]

    # Many short lines (one axis of an image) are worth more than one to a tile.
    watch.run("transforming", run, len(places), tile=max(1, 4096 // math.prod(spatial)))
    return result


def _swaps(shape: Sequence[int], shifts: Sequence[int]) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Blocks (from, to) that roll an array by ``shifts``."""
    per_axis = []
    for length, shift in zip(shape, shifts, strict=True):
        moved = shift % length
        parts = [(slice(0, length - moved), slice(moved, length)), (slice(length - moved, length), slice(0, moved))]
        per_axis.append(parts if moved else parts[:1])
    for block in itertools.product(*per_axis):
        yield tuple(part[0] for part in block), tuple(part[1] for part in block)


def _middle(larger: tuple[int, ...], smaller: tuple[int, ...]) -> tuple[slice, ...]:
    starts = [a // 2 - b // 2 for a, b in zip(larger, smaller, strict=True)]
    return tuple(slice(start, start + length) for start, length in zip(starts, smaller, strict=True))


def _workers(items: int, watch: Watch) -> int:
    """Threads inside one transform: those that whole items leave idle."""
    if parallel.is_worker() or items > 1:
        return 1
    return Settings().threads() if watch.threads is None else max(1, watch.threads)
