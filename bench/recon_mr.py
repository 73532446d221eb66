"""Rows of Cartesian magnetic resonance against NumPy, SciPy, sigpy, pygrappa and the command bart.

BART is timed as a command with its files in memory: starting it takes some milliseconds, which count. Both sides have
two threads where they use any.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rows import Context, Measured, Missing, row
from timing import Timed, alternate

from pacscore import recon
from pacscore.recon import kspace_phantoms

SHAPE, COILS = (256, 256), 8
CALIBRATION = slice(116, 140)


def times_of(timed: Timed) -> str:
    """Medians of all that was alternated."""
    return ", ".join(f"{name} {timed.median(name) * 1e3:.1f} ms" for name in timed.seconds)


def rounds_of(context: Context) -> int:
    return 3 if context.quick else 9


@lru_cache(maxsize=1)
def scan() -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """Fully sampled k-space of the Shepp-Logan head in eight coils, a little noise, and the coils' unit maps."""
    kspace = kspace_phantoms.phantom_kspace(kspace_phantoms.shepp_logan(), SHAPE, coils=COILS, noise=2e-3)
    maps = kspace_phantoms.coil_maps(COILS, SHAPE)
    return kspace, (maps / np.sqrt((np.abs(maps) ** 2).sum(axis=0))).astype(np.complex64)


def undersampled() -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """A quarter of it, at random, with its middle."""
    random = np.random.default_rng(0)
    mask = (random.random(SHAPE) < 0.25).astype(np.float32)
    mask[CALIBRATION, CALIBRATION] = 1
    return scan()[0] * mask, mask


class Bart:
    """The command, its arrays in a folder in memory where the system has one."""

    def __init__(self) -> None:
        if shutil.which("bart") is None:
            raise Missing("peer bart is not installed (the Debian package bart)")
        memory = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self.path = Path(self._folder.name)

    def write(self, name: str, array: NDArray[Any]) -> None:
        recon.write_cfl(self.path / name, array)

    def read(self, name: str) -> NDArray[np.complex64]:
        return np.array(recon.read_cfl(self.path / name, squeeze=True))

    def __call__(self, *words: object) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "2"}
        done = subprocess.run(
            ["bart", *map(str, words)], cwd=self.path, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Missing(f"bart {words[0]} failed: {done.stderr[:200]}")


def _fft_against(context: Context, peer: str) -> Measured:
    import scipy.fft

    kspace = np.repeat(scan()[0][None], 32, axis=0)

    def plain(library: Any, **choices: Any) -> NDArray[Any]:
        axes = (2, 3)
        image = library.ifft2(library.ifftshift(kspace, axes=axes), axes=axes, norm="ortho", **choices)
        return np.sqrt((np.abs(library.fftshift(image, axes=axes)) ** 2).sum(axis=1))

    def sigpy() -> NDArray[Any]:
        import sigpy

        return np.sqrt((np.abs(sigpy.ifft(kspace, axes=(2, 3))) ** 2).sum(axis=1))

    theirs: Callable[[], NDArray[Any]] = {
        "numpy": lambda: plain(np.fft), "scipy": lambda: plain(scipy.fft, workers=2), "sigpy": sigpy,
    }[peer]  # fmt: skip
    ours, wanted = recon.reconstruct_rss(kspace), theirs()
    assert np.linalg.norm(ours - wanted) < 1e-5 * np.linalg.norm(wanted)
    timed = alternate({"ours": lambda: recon.reconstruct_rss(kspace), peer: theirs}, rounds=rounds_of(context))
    return Measured(*timed.ratio(peer, "ours"), times_of(timed), timed.rounds)


for _peer, _must, _aim in (("sigpy", 3.0, 4.5), ("numpy", 5.0, 7.0), ("scipy", 2.5, 4.0)):
    row(
        f"recon.mr-fft-{_peer}", must=_must, aim=_aim, peers=(_peer,),
        what=f"FFT and root of squares, 32 slices × 8 coils × 256², against {_peer}",
    )(lambda context, peer=_peer: _fft_against(context, peer))  # fmt: skip


def _sense() -> NDArray[np.complex64]:
    kspace, mask = undersampled()
    return recon.sense(
        kspace, scan()[1], mask=mask, regularization=1e-3, stopping=recon.Stopping(30, 0.0)
    ).image  # fmt: skip


@row("recon.mr-sense-sigpy", must=2.2, aim=4.0, peers=("sigpy",))
def sense_sigpy(context: Context) -> Measured:
    """SENSE by 30 conjugate gradients, 8 coils 256², against sigpy."""
    import sigpy.mri

    kspace, mask = undersampled()

    def theirs() -> NDArray[Any]:
        return sigpy.mri.app.SenseRecon(
            kspace, scan()[1], weights=mask, lamda=1e-3, max_iter=30, show_pbar=False
        ).run()  # fmt: skip

    assert np.linalg.norm(_sense() - theirs()) < 1e-3 * np.linalg.norm(theirs())
    timed = alternate({"ours": _sense, "sigpy": theirs}, rounds=rounds_of(context))
    return Measured(*timed.ratio("sigpy", "ours"), times_of(timed), timed.rounds)


@row("recon.mr-sense-bart", must=5.0, aim=8.0)
def sense_bart(context: Context) -> Measured:
    """SENSE by 30 conjugate gradients, 8 coils 256², against the command bart pics."""
    bart = Bart()
    bart.write("kspace", undersampled()[0][:, None])
    bart.write("maps", scan()[1][:, None])

    def theirs() -> None:
        bart("pics", "-l2", "-r", 0.001, "-i", 30, "kspace", "maps", "image")

    theirs()
    ours, found = np.abs(_sense()), np.abs(bart.read("image"))
    found *= (ours * found).sum() / (found * found).sum()
    assert np.linalg.norm(ours - found) < 0.03 * np.linalg.norm(ours)
    timed = alternate({"ours": _sense, "bart": theirs}, rounds=rounds_of(context))
    return Measured(*timed.ratio("bart", "ours"), times_of(timed), timed.rounds)


def _agreement(maps: NDArray[Any]) -> float:
    """Median cosine with the true maps inside the head."""
    inside = kspace_phantoms.phantom_image(kspace_phantoms.shepp_logan(), SHAPE, subsamples=1) > 0.05
    inside &= (np.abs(maps) > 0).any(axis=0)
    size = np.sqrt((np.abs(maps) ** 2).sum(axis=0))
    cosine = np.abs((maps.conj() * scan()[1]).sum(axis=0)) / np.maximum(size, 1e-20)
    return float(np.median(cosine[inside]))


@row("recon.mr-espirit-sigpy", must=12.0, aim=25.0, peers=("sigpy",))
def espirit_sigpy(context: Context) -> Measured:
    """ESPIRiT maps, 24² calibration, 6² kernels, 8 coils 256², against sigpy."""
    import sigpy.mri

    kspace = scan()[0]

    def theirs() -> NDArray[Any]:
        return sigpy.mri.app.EspiritCalib(
            kspace, calib_width=24, thresh=0.02, kernel_width=6, crop=0.95, show_pbar=False
        ).run()  # fmt: skip

    ours, found = _agreement(recon.espirit_maps(kspace).maps), _agreement(theirs())
    assert ours > found - 1e-5, f"cosine {ours}, sigpy {found}"
    timed = alternate(
        {"ours": lambda: recon.espirit_maps(kspace), "sigpy": theirs}, rounds=3 if context.quick else 5, warm=1
    )
    detail = f"{times_of(timed)}; cosine with the true maps {ours:.5f}, sigpy {found:.5f}"
    return Measured(*timed.ratio("sigpy", "ours"), detail, timed.rounds)


@row("recon.mr-espirit-bart", must=1.8, aim=3.0)
def espirit_bart(context: Context) -> Measured:
    """ESPIRiT maps, 24² calibration, 6² kernels, 8 coils 256², against the command bart ecalib."""
    bart, kspace = Bart(), scan()[0]
    bart.write("kspace", kspace[:, None])

    def theirs() -> None:
        bart("ecalib", "-m", 1, "-r", 24, "-k", 6, "kspace", "maps")

    theirs()
    ours, found = _agreement(recon.espirit_maps(kspace).maps), _agreement(bart.read("maps"))
    assert ours > found - 1e-4, f"cosine {ours}, bart {found}"
    timed = alternate({"ours": lambda: recon.espirit_maps(kspace), "bart": theirs}, rounds=rounds_of(context))
    detail = f"{times_of(timed)}; cosine with the true maps {ours:.5f}, bart {found:.5f}"
    return Measured(*timed.ratio("bart", "ours"), detail, timed.rounds)


@row("recon.mr-grappa", must=10.0, aim=40.0, peers=("pygrappa",))
def grappa(context: Context) -> Measured:
    """GRAPPA of threefold undersampled lines, 24 calibration lines, 8 coils 256², against pygrappa (cgrappa)."""
    import pygrappa

    full = scan()[0]
    mask = np.zeros(SHAPE, np.float32)
    mask[::3] = 1
    mask[CALIBRATION] = 1
    kspace = full * mask

    def theirs() -> NDArray[Any]:
        calibration = full[:, CALIBRATION].astype(np.complex128)
        return pygrappa.cgrappa(kspace.astype(np.complex128), calibration, kernel_size=(5, 5), coil_axis=0)

    def error(filled: NDArray[Any]) -> float:
        return float(np.linalg.norm(np.abs(filled) - np.abs(full)) / np.linalg.norm(full))

    ours, found = error(recon.grappa(kspace)), error(theirs())
    assert ours <= 1.01 * found, f"error {ours}, pygrappa {found}"
    timed = alternate({"ours": lambda: recon.grappa(kspace), "pygrappa": theirs}, rounds=3, warm=1)
    return Measured(
        *timed.ratio("pygrappa", "ours"), f"{times_of(timed)}; error {ours:.4f} and {found:.4f}", timed.rounds
    )


def _sparse(iterations: int, weight: float, **choices: Any) -> NDArray[np.complex64]:
    kspace, mask = undersampled()
    ending = recon.Stopping(iterations, 0.0)
    return recon.compressed_sensing(kspace, scan()[1], weight, mask=mask, stopping=ending, **choices).image


@row("recon.mr-l1-sigpy", must=4.5, aim=8.0, peers=("sigpy",))
def l1_sigpy(context: Context) -> Measured:
    """An iteration of FISTA with wavelets, 8 coils 256², against sigpy: 60 iterations less 20, each."""
    import sigpy.mri

    kspace, mask = undersampled()

    def theirs(iterations: int) -> NDArray[Any]:
        return sigpy.mri.app.L1WaveletRecon(
            kspace, scan()[1], 2e-3, weights=mask, max_iter=iterations, show_pbar=False
        ).run()  # fmt: skip

    timed = alternate(
        {
            "ours 60": lambda: _sparse(60, 2e-3), "ours 20": lambda: _sparse(20, 2e-3),
            "sigpy 60": lambda: theirs(60), "sigpy 20": lambda: theirs(20),
        },
        rounds=rounds_of(context), warm=1,
    )  # fmt: skip
    return _per_iteration(timed, "sigpy", "60", "20", 40)


@row("recon.mr-l1-bart", must=4.0, aim=7.0)
def l1_bart(context: Context) -> Measured:
    """An iteration of FISTA with wavelets, 8 coils 256², against the command bart pics: 100 iterations less 20."""
    bart = Bart()
    bart.write("kspace", undersampled()[0][:, None])
    bart.write("maps", scan()[1][:, None])

    def theirs(iterations: int) -> None:
        bart("pics", "-S", "-e", "-R", "W:3:0:0.002", "-i", iterations, "kspace", "maps", "image")

    timed = alternate(
        {
            "ours 100": lambda: _sparse(100, 2e-3), "ours 20": lambda: _sparse(20, 2e-3),
            "bart 100": lambda: theirs(100), "bart 20": lambda: theirs(20),
        },
        rounds=rounds_of(context), warm=1,
    )  # fmt: skip
    return _per_iteration(timed, "bart", "100", "20", 80)


def _per_iteration(timed: Timed, peer: str, many: str, few: str, difference: int) -> Measured:
    from timing import spread

    ratios = []
    for number in range(timed.rounds):
        cost = {
            name: timed.seconds[f"{name} {many}"][number] - timed.seconds[f"{name} {few}"][number]
            for name in ("ours", peer)
        }
        ratios.append(cost[peer] / cost["ours"])
    each = {
        name: (timed.median(f"{name} {many}") - timed.median(f"{name} {few}")) / difference * 1e3
        for name in ("ours", peer)
    }
    detail = ", ".join(f"{name} {value:.2f} ms an iteration" for name, value in each.items())
    return Measured(*spread(ratios), detail, timed.rounds)


@row("recon.mr-l1-objective", must=4.5, aim=8.0, peers=("sigpy",))
def l1_objective(context: Context) -> Measured:
    """Time until an equal objective, against sigpy's FISTA: the misfit and the Haar wavelets that both can have."""
    import sigpy.mri

    from pacscore.recon.magnetic_resonance.wavelets import WaveletTransform

    kspace, mask = undersampled()
    maps, weight = scan()[1], 2e-3
    transform, operator = WaveletTransform(SHAPE, wavelet="haar", levels=4), recon.SenseOperator(maps, mask)

    def objective(image: NDArray[Any]) -> float:
        misfit = np.linalg.norm(operator.forward(image) - kspace) ** 2 / 2
        coefficients = transform.forward(np.array(image, np.complex64))
        return float(misfit) + weight * transform.absolute_sum(coefficients, approximation=True)

    def theirs() -> NDArray[Any]:
        return sigpy.mri.app.L1WaveletRecon(
            kspace, maps, weight, weights=mask, wave_name="haar", max_iter=60, show_pbar=False
        ).run()  # fmt: skip

    wanted = objective(theirs())
    count = next(
        number for number in range(5, 400, 5)
        if objective(_sparse(number, weight, wavelet="haar", approximation=True)) <= wanted
    )  # fmt: skip
    timed = alternate(
        {"ours": lambda: _sparse(count, weight, wavelet="haar", approximation=True), "sigpy": theirs},
        rounds=3 if context.quick else 5, warm=1,
    )  # fmt: skip
    return Measured(*timed.ratio("sigpy", "ours"), f"{times_of(timed)}; {count} iterations against 60", timed.rounds)
