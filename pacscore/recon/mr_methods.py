"""Methods that turn a measurement into a volume, by name: what commands and scripts call.

Each is a plain function ``(raw, options) -> Volume``. Coils are prewhitened where noise was measured, oversampling of
the readout is cut before and that of the phase encodings after, voxels are those that the header asks for, and the
volume says in ``derivation`` what was done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, UnsupportedError
from pacscore.imaging import Volume
from pacscore.imaging.arrays.watching import Watch
from pacscore.recon.magnetic_resonance.coils import combine_coils, mix_coils
from pacscore.recon.magnetic_resonance.compressed_sensing import compressed_sensing, sparse_solution
from pacscore.recon.magnetic_resonance.density import density_weights
from pacscore.recon.magnetic_resonance.espirit import espirit_maps
from pacscore.recon.magnetic_resonance.fourier import centred_fft, centred_ifft
from pacscore.recon.magnetic_resonance.grappa import grappa
from pacscore.recon.magnetic_resonance.noncartesian import NonCartesianSense, grid, iterative_sense
from pacscore.recon.magnetic_resonance.preparation import (
    DEFAULTS,
    MrOptions,
    coil_images,
    combination_words,
    combined_image,
    fitted_image,
    full_middle,
    image_axes,
    mixing_matrix,
    readied_kspace,
)
from pacscore.recon.magnetic_resonance.raw import CartesianData, NonCartesianData, fit_image, volume_of
from pacscore.recon.magnetic_resonance.reading import read_raw
from pacscore.recon.magnetic_resonance.sense import sense

Complex64 = NDArray[np.complex64]
Raw = CartesianData | NonCartesianData


def fft(raw: Raw, options: MrOptions = DEFAULTS) -> Volume:
    """Transform fully sampled k-space, or what there is of it, and combine the coils.

    Raises
    ------
    UnsupportedError
        The measurement is not Cartesian.
    """

    def image(kspace: Complex64, calibration: Complex64) -> Complex64:
        return combined_image(coil_images(kspace, options), calibration, options)

    return _each(_cartesian(raw, "fft"), options, image, f"inverse FFT, {combination_words(options)}")


def sense_method(raw: Raw, options: MrOptions = DEFAULTS) -> Volume:
    """SENSE by conjugate gradients with ESPIRiT maps; of trajectories, too.

    Raises
    ------
    InputError
        The calibration region is not fully sampled.
    """
    if isinstance(raw, NonCartesianData):
        return _each_of_trajectory(
            raw, options, _iterated(raw, options), "iterative SENSE, Toeplitz, conjugate gradients"
        )

    def image(kspace: Complex64, calibration: Complex64) -> Complex64:
        maps = espirit_maps(calibration, calibration=options.calibration, crop=0.8, watch=options.watch).maps
        scale = float((np.abs(maps) ** 2).sum(axis=0).max())
        return sense(
            kspace, maps, regularization=options.regularization * scale, stopping=options.stopping(30),
            watch=options.watch,
        ).image  # fmt: skip

    return _each(raw, options, image, f"SENSE, conjugate gradients, regularization {options.regularization:g}")


def grappa_method(raw: Raw, options: MrOptions = DEFAULTS) -> Volume:
    """GRAPPA of regularly undersampled k-space, then as ``fft``.

    Raises
    ------
    UnsupportedError
        The measurement is not Cartesian.
    InputError
        The pattern is not regular, or the calibration too small.
    """
    data = _cartesian(raw, "grappa")

    def image(kspace: Complex64, calibration: Complex64) -> Complex64:
        separate = data.calibration is not None
        own = full_middle(calibration) if separate else None
        filled = grappa(kspace, calibration=own, watch=options.watch)
        return combined_image(coil_images(filled, options), calibration if separate else filled, options)

    return _each(data, options, image, f"GRAPPA, {combination_words(options)}")


def l1_method(raw: Raw, options: MrOptions = DEFAULTS) -> Volume:
    """Compressed sensing with an absolute sum of wavelet coefficients, FISTA."""
    return _sparse(raw, options, "wavelet")


def tv_method(raw: Raw, options: MrOptions = DEFAULTS) -> Volume:
    """Compressed sensing with total variation, FISTA."""
    return _sparse(raw, options, "total variation")


def gridding(raw: Raw, options: MrOptions = DEFAULTS) -> Volume:
    """The adjoint transform of density-compensated samples.

    Raises
    ------
    UnsupportedError
        The measurement is Cartesian.
    """
    if not isinstance(raw, NonCartesianData):
        raise UnsupportedError("Gridding is for trajectories; this measurement is Cartesian: use fft.")
    weights = density_weights(raw.trajectory, method=options.density, watch=options.watch)

    def image(samples: Complex64) -> Complex64:
        images = grid(samples, raw.trajectory, weights=weights, watch=options.watch)
        return combined_image(images, centred_fft(images, axes=image_axes(images)), options)

    return _each_of_trajectory(
        raw, options, image, f"gridding, density {options.density}, {combination_words(options)}"
    )


FUNCTIONS: Mapping[str, Callable[[Raw, MrOptions], Volume]] = MappingProxyType(
    {
        "fft": fft,
        "sense": sense_method,
        "grappa": grappa_method,
        "l1": l1_method,
        "tv": tv_method,
        "gridding": gridding,
    }
)
"""Name to function."""

METHODS: Mapping[str, str] = MappingProxyType(
    {
        "fft": "magnetic resonance, inverse transform of Cartesian k-space",
        "sense": "magnetic resonance, conjugate gradients with ESPIRiT maps; trajectories, too",
        "grappa": "magnetic resonance, regularly undersampled lines filled in k-space",
        "l1": "magnetic resonance, compressed sensing with wavelets; trajectories, too",
        "tv": "magnetic resonance, compressed sensing with total variation; trajectories, too",
        "gridding": "magnetic resonance, density-compensated adjoint transform of a trajectory",
    }
)
"""Name to a sentence."""


class Request(Protocol):
    """What a command asks for."""

    @property
    def path(self) -> Path:
        """The raw data; see ``read_raw``."""
        ...

    @property
    def method(self) -> str:
        """One of ``METHODS``."""
        ...

    @property
    def configuration(self) -> Mapping[str, Any]:
        """Tables of a TOML file; see ``reconstruct``."""
        ...

    @property
    def watch(self) -> Watch:
        """Progress and cancellation."""
        ...


def reconstruct(request: Request) -> Volume:
    """Read a measurement and reconstruct it by the request's method.

    Of the configuration, the table ``[method]`` holds fields of ``MrOptions`` by name, ``[input]`` the choices of
    ``read_raw``: ``encoding``, ``dataset``, ``trajectory_unit``, ``select`` for ISMRMRD, and ``field_of_view_mm``
    (slice, row, column) for BART and NumPy, whose images then lie along the axes of the patient about the origin.

    Raises
    ------
    InputError
        There is no such method, or a choice is not known.
    NotFoundError, UnsupportedError, GeometryError, LimitError
        The input cannot be used; the message says why.
    CancelledError
        The watch says so.
    """
    if request.method not in FUNCTIONS:
        raise InputError(f"method is one of {', '.join(FUNCTIONS)}, not {request.method!r}.", found=request.method)
    tables = {name: dict(request.configuration.get(name, {})) for name in ("input", "method")}
    if unknown := set(request.configuration) - set(tables):
        raise InputError(f"Magnetic resonance has the tables [input] and [method], not {sorted(unknown)}.")
    known = {field.name for field in fields(MrOptions)} - {"callback", "watch"}
    if unknown := set(tables["method"]) - known:
        raise InputError(f"[method] has no {sorted(unknown)}: there are {', '.join(sorted(known))}.")
    options = MrOptions(**tables["method"], watch=request.watch)
    return FUNCTIONS[request.method](read_raw(request.path, **tables["input"]), options)


def _sparse(raw: Raw, options: MrOptions, penalty: str) -> Volume:
    words = f"compressed sensing, {penalty}, weight {options.weight:g}"
    if isinstance(raw, NonCartesianData):
        return _each_of_trajectory(raw, options, _iterated(raw, options, penalty), words)

    def image(kspace: Complex64, calibration: Complex64) -> Complex64:
        maps = espirit_maps(calibration, calibration=options.calibration, crop=0.8, watch=options.watch).maps
        zero_filled = combine_coils(centred_ifft(kspace, axes=image_axes(kspace)), maps, axis=0)
        weight = options.weight * float(np.abs(zero_filled).max())
        return compressed_sensing(
            kspace, maps, weight, penalty=penalty, wavelet=options.wavelet, stopping=options.stopping(100),
            watch=options.watch,
        ).image  # fmt: skip

    return _each(raw, options, image, words)


def _iterated(raw: NonCartesianData, options: MrOptions, penalty: str = "") -> Callable[[Complex64], Complex64]:
    trajectory = raw.trajectory
    weights = density_weights(trajectory, method=options.density, watch=options.watch)

    def image(samples: Complex64) -> Complex64:
        images = grid(samples, trajectory, weights=weights, watch=options.watch)
        maps = espirit_maps(
            centred_fft(images, axes=image_axes(images)), calibration=options.calibration, crop=0.8, watch=options.watch
        ).maps
        if not penalty:
            return iterative_sense(
                samples, maps, trajectory, weights=weights, regularization=options.regularization,
                stopping=options.stopping(20), watch=options.watch,
            ).image  # fmt: skip
        operator = NonCartesianSense(maps, trajectory, weights=weights, watch=options.watch)
        rhs = operator.adjoint(samples)
        return sparse_solution(
            operator, rhs, options.weight * float(np.abs(rhs).max()), penalty=penalty, wavelet=options.wavelet,
            stopping=options.stopping(60), watch=options.watch,
        ).image  # fmt: skip

    return image


def _each(raw: Raw, options: MrOptions, image: Callable[[Complex64, Complex64], Complex64], words: str) -> Volume:
    """Reconstruct each slice of each series of Cartesian data, ``image(kspace, calibration)``, coils first."""
    data = _cartesian(raw, "this method")
    matrix = mixing_matrix(data.kspace, data.noise, data.noise_bandwidth_ratio, options, axis=-4)
    images = []
    for lead, kspace in _frames(data.kspace, 4):
        options.watch.check()
        other = kspace if data.calibration is None else data.calibration[lead[-1]]
        pair = [readied_kspace(each, matrix, data) for each in (kspace, other)]
        made = image(*(each if data.is_volume else each[:, 0] for each in pair))
        images.append(np.abs(fitted_image(made if data.is_volume else made[None], data)))
    return _volume(images, data, data.kspace.shape[: len(data.axes)], words, matrix)


def _each_of_trajectory(
    raw: NonCartesianData, options: MrOptions, image: Callable[[Complex64], Complex64], words: str
) -> Volume:
    matrix = mixing_matrix(raw.samples, raw.noise, raw.noise_bandwidth_ratio, options, axis=-3)
    images = []
    for _, samples in _frames(raw.samples, 3):
        options.watch.check()
        made = image(samples if matrix is None else mix_coils(samples, matrix, axis=0))
        images.append(np.abs(fit_image(made if raw.is_volume else made[None], raw.field_of_view, watch=options.watch)))
    return _volume(images, raw, raw.samples.shape[: len(raw.axes)], words, matrix)


def _frames(array: Complex64, tail: int) -> Iterator[tuple[tuple[int, ...], Complex64]]:
    for lead in np.ndindex(array.shape[:-tail]):
        yield lead, array[lead]


def _volume(
    images: list[NDArray[Any]], raw: Raw, series: tuple[int, ...], words: str, matrix: Complex64 | None
) -> Volume:
    stacked = np.stack(images).astype(np.float32)
    array = stacked.reshape(*series, -1, *stacked.shape[-2:])
    done = words if matrix is None else f"{words}; coils mixed to {len(matrix)}"
    return volume_of(array, raw.field_of_view, axes=raw.axes, derivation=f"reconstructed: {done}")


def _cartesian(raw: Raw, what: str) -> CartesianData:
    if isinstance(raw, CartesianData):
        return raw
    raise UnsupportedError(f"{what} is for Cartesian data; along a trajectory use gridding, sense, l1 or tv.")
