"""Gallery entries of magnetic resonance: every method on phantoms with exact k-space and on a real brain, with errors.

The left picture of a pair is what a plain inverse transform or gridding makes of the same samples, or the truth; the
right one the method's image, with its error ten times amplified and a line profile below where there is a truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gallery import Entry, timed
from numpy.typing import NDArray

from pacscore import recon
from pacscore.recon import kspace_phantoms
from pacscore.recon.magnetic_resonance.off_resonance import OffResonanceSense, correct_off_resonance

_SHAPE, _COILS, _NOISE = (256, 256), 8, 0.01
_ROW = 90


def entries(data: Path) -> Iterator[Entry]:
    """Cartesian, partial, along trajectories, and the brain."""
    phantom = kspace_phantoms.shepp_logan()
    truth = kspace_phantoms.phantom_image(phantom, _SHAPE)
    full = kspace_phantoms.phantom_kspace(phantom, _SHAPE, coils=_COILS, noise=_NOISE)
    maps = kspace_phantoms.coil_maps(_COILS, _SHAPE)
    yield from _whole(full, maps, truth)
    yield from _parallel(full, maps, truth)
    yield from _partial(truth)
    yield from _trajectories(phantom, maps, truth)
    yield _field(truth)
    yield from _brain(data)


def _whole(full: NDArray[Any], maps: NDArray[Any], truth: NDArray[Any]) -> Iterator[Entry]:
    image, seconds = timed(lambda: recon.reconstruct_rss(full))
    yield Entry("FFT and root of squares", f"{_COILS} coils, 256², noise {_NOISE:g}: brighter near the coils.",
                _grey(truth), _grey(image), seconds)  # fmt: skip
    coils = recon.centred_ifft(full)
    found, seconds = timed(lambda: recon.espirit_maps(full))
    combined = recon.combine_coils(coils, found.maps)
    weights = np.sqrt((np.abs(maps) ** 2).sum(axis=0))
    yield Entry("ESPIRiT sensitivities", "Left: the true maps of four coils; right: what 24² calibration lines give.",
                _tiles(np.abs(maps[:4]) / weights), _tiles(np.abs(found.maps[:4])), seconds)  # fmt: skip
    yield Entry("Combination with ESPIRiT maps", "The coils' shading stays, noise in the air goes.", _grey(image),
                _judged(np.abs(combined), truth * weights), seconds)  # fmt: skip
    adaptive, seconds = timed(lambda: recon.combine_coils(coils, recon.adaptive_maps(coils)))
    yield Entry("Adaptive combination", "Walsh, 7 × 7 neighbourhoods.", _grey(image),
                _judged(np.abs(adaptive), truth * weights), seconds)  # fmt: skip
    finer, seconds = timed(lambda: recon.reconstruct_rss(recon.zero_fill(full[:, 64:192, 64:192], {1: 512, 2: 512})))
    yield Entry("Zero-fill interpolation", "The middle 128² of k-space on a grid of 512².",
                _grey(recon.reconstruct_rss(full[:, 64:192, 64:192]).repeat(4, 0).repeat(4, 1)), _grey(finer),
                seconds)  # fmt: skip


def _parallel(full: NDArray[Any], maps: NDArray[Any], truth: NDArray[Any]) -> Iterator[Entry]:
    lines = kspace_phantoms.regular_mask(_SHAPE, (3,))
    scattered = kspace_phantoms.random_mask(_SHAPE, 0.2)
    weights = np.sqrt((np.abs(maps) ** 2).sum(axis=0))
    folded = recon.reconstruct_rss(full * lines)
    filled, seconds = timed(lambda: recon.reconstruct_rss(recon.grappa(full * lines)))
    yield Entry("GRAPPA", "Every third line and 24 in the middle.", _grey(folded), _judged(filled, truth * weights),
                seconds)  # fmt: skip
    solved, seconds = timed(
        lambda: recon.sense(full * lines, maps, regularization=1e-3, stopping=recon.Stopping(60, 1e-4))
    )
    yield Entry("SENSE", f"The same lines, {solved.iterations} conjugate gradients.", _grey(folded),
                _judged(np.abs(solved.image), truth), seconds)  # fmt: skip
    blurred = recon.reconstruct_rss(full * scattered)
    for penalty, weight in (("wavelet", 4e-3), ("total variation", 3e-3)):
        solved, seconds = timed(
            lambda p=penalty, w=weight: recon.compressed_sensing(full * scattered, maps, w, penalty=p)
        )
        yield Entry(f"Compressed sensing, {penalty}",
                    f"A fifth of the positions at random, FISTA, {solved.iterations} iterations.", _grey(blurred),
                    _judged(np.abs(solved.image), truth), seconds)  # fmt: skip


def _partial(truth: NDArray[Any]) -> Iterator[Entry]:
    rows, columns = np.meshgrid(*((np.arange(n) - n // 2) / n for n in _SHAPE), indexing="ij")
    image = truth * np.exp(1j * (0.5 + 2 * rows + columns * columns * 3))
    kspace = recon.centred_fft(image)
    kspace[160:] = 0
    plain = np.abs(recon.fill_partial_fourier(kspace, (0, 160), method="zero-fill"))
    for method in ("homodyne", "pocs"):
        made, seconds = timed(lambda m=method: recon.fill_partial_fourier(kspace, (0, 160), method=m))
        yield Entry(f"Partial Fourier, {method}", "Five eighths of the lines, a smooth phase; left: zero-filled.",
                    _judged(plain, truth), _judged(np.abs(made), truth), seconds)  # fmt: skip


def _trajectories(phantom: Any, maps: NDArray[Any], truth: NDArray[Any]) -> Iterator[Entry]:
    for name, trajectory in {
        "radial, golden angle": recon.Trajectory.radial(_SHAPE, 120, golden_angle=True),
        "spiral": recon.Trajectory.spiral(_SHAPE, 24),
    }.items():
        samples = kspace_phantoms.phantom_kspace(phantom, trajectory, coils=_COILS, noise=_NOISE)
        weights, cost = timed(lambda t=trajectory: recon.density_weights(t), warm=False)
        gridded, seconds = timed(lambda s=samples, t=trajectory, w=weights: recon.grid(s, t, weights=w))
        combined = np.abs(recon.combine_coils(gridded, maps))
        shots = len(trajectory.coordinates)
        yield Entry(f"Gridding, {name}", f"{shots} interleaves; the weights took {cost:.1f} s.", _grey(truth),
                    _judged(combined, truth), seconds)  # fmt: skip
        solved, seconds = timed(
            lambda s=samples, t=trajectory, w=weights: recon.iterative_sense(
                s, maps, t, weights=w, stopping=recon.Stopping(15, 0.0)
            ),
            warm=False,
        )
        yield Entry(f"Iterative SENSE, {name}", "15 conjugate gradients with the Toeplitz operator, set-up included.",
                    _grey(combined), _judged(np.abs(solved.image), truth), seconds)  # fmt: skip


def _field(truth: NDArray[Any]) -> Entry:
    small = truth[::2, ::2]
    shape = small.shape
    rows, columns = np.meshgrid(*((np.arange(n) - n // 2) / n for n in shape), indexing="ij")
    field = 120 * np.exp(-8 * ((rows + 0.2) ** 2 + columns**2)) - 30
    trajectory = recon.Trajectory.spiral(shape, 8)
    times = np.linspace(0.001, 0.016, trajectory.coordinates.shape[1])
    maps = kspace_phantoms.coil_maps(4, shape)
    operator = OffResonanceSense(maps, trajectory, field, times)
    samples = operator.forward(small)
    blurred = np.abs(recon.iterative_sense(samples, maps, trajectory).image)
    mended, seconds = timed(
        lambda: correct_off_resonance(samples, operator, stopping=recon.Stopping(20, 0.0)), warm=False
    )
    return Entry("Off-resonance, corrected", "A spiral of 15 ms in a field off by up to 90 Hz; left: not corrected.",
                 _judged(blurred, small), _judged(np.abs(mended.image), small), seconds)  # fmt: skip


def _brain(data: Path) -> Iterator[Entry]:
    kspace = recon.read_raw(data / "recon" / "cartesian_ksp.npy").kspace[0, :, 0]
    note = "Real, 8 coils, an eighth of the positions; there is no fully sampled reference."
    blurred = recon.reconstruct_rss(kspace)
    found, seconds = timed(lambda: recon.espirit_maps(kspace))
    yield Entry("Brain: ESPIRiT sensitivities", "Of four coils, cropped by their eigenvalue.",
                _tiles(np.abs(recon.centred_ifft(kspace))[:4]), _tiles(np.abs(found.maps[:4])), seconds)  # fmt: skip
    maps, brightest = recon.espirit_maps(kspace, crop=0.8).maps, float(blurred.max())
    methods: dict[str, Callable[[], Any]] = {
        "SENSE": lambda: recon.sense(kspace, maps, regularization=1e-2),
        "wavelet": lambda: recon.compressed_sensing(kspace, maps, 3e-3 * brightest),
        "total variation": lambda: recon.compressed_sensing(kspace, maps, 3e-3 * brightest, penalty="total variation"),
    }
    for name, method in methods.items():
        solved, seconds = timed(method)
        yield Entry(f"Brain: {name}", f"{note} {solved.iterations} iterations.", _grey(blurred),
                    _grey(np.abs(solved.image)), seconds)  # fmt: skip


def _grey(image: NDArray[Any], top: float | None = None) -> NDArray[np.uint8]:
    bright = float(np.quantile(image, 0.998)) if top is None else top
    return (np.clip(np.asarray(image, np.float64) / max(bright, 1e-12), 0, 1) ** 0.7 * 255).astype(np.uint8)


def _tiles(images: NDArray[Any]) -> NDArray[np.uint8]:
    return np.vstack([np.hstack([_grey(a), _grey(b)]) for a, b in (images[:2], images[2:])])


def _judged(image: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.uint8]:
    """The image, its error ten times amplified beside it, and a profile of both below: truth yellow, image white."""
    scale = float((image * truth).sum() / (image * image).sum())
    made = image * scale
    top = float(truth.max())
    above = np.hstack([_grey(made, top), _grey(np.abs(made - truth) * 10, top)])
    row = _ROW * truth.shape[0] // _SHAPE[0]
    picture = np.full((100, above.shape[1], 3), 20, np.uint8)
    for values, colour in ((truth[row], (255, 210, 60)), (made[row], (240, 240, 240))):
        at = np.interp(np.linspace(0, len(values) - 1, above.shape[1]), np.arange(len(values)), values)
        heights = np.clip(np.round(90 - 75 * at / top), 0, 99).astype(int)
        for column in range(1, above.shape[1]):
            low, high = sorted(heights[column - 1 : column + 1])
            picture[low : high + 1, column] = colour
    return np.vstack([np.repeat(above[..., None], 3, axis=-1), picture])
