"""Reconstruction: from raw data to volumes, computed tomography and magnetic resonance.

Each name is fetched when it is first used, so that importing this package loads no heavy library.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MR = "pacscore.recon.magnetic_resonance."
_HOMES = {
    "CartesianData": _MR + "raw",
    "FieldOfView": _MR + "raw",
    "IsmrmrdFile": _MR + "ismrmrd",
    "MrOptions": _MR + "preparation",
    "NonCartesianData": _MR + "raw",
    "NonCartesianSense": _MR + "noncartesian",
    "NonuniformFourier": _MR + "nufft",
    "OffResonanceSense": _MR + "off_resonance",
    "SenseOperator": _MR + "sense",
    "Stopping": _MR + "solvers",
    "ToeplitzNormal": _MR + "noncartesian",
    "Trajectory": _MR + "trajectories",
    "adaptive_maps": _MR + "coils",
    "centred_fft": _MR + "fourier",
    "centred_ifft": _MR + "fourier",
    "coil_compression": _MR + "coils",
    "combine_coils": _MR + "coils",
    "compressed_sensing": _MR + "compressed_sensing",
    "density_weights": _MR + "density",
    "espirit_maps": _MR + "espirit",
    "fill_partial_fourier": _MR + "partial_fourier",
    "grappa": _MR + "grappa",
    "grid": _MR + "noncartesian",
    "iterative_sense": _MR + "noncartesian",
    "mr_methods": "",
    "kspace_phantoms": "",
    "prewhiten": _MR + "coils",
    "read_cfl": _MR + "bart",
    "read_raw": _MR + "reading",
    "reconstruct_rss": _MR + "fourier",
    "remove_oversampling": _MR + "fourier",
    "root_sum_of_squares": _MR + "coils",
    "sense": _MR + "sense",
    "write_cfl": _MR + "bart",
    "zero_fill": _MR + "fourier",
}
"""Name to the module it lives in; a name without one is a module of this package."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pacscore.recon' has no attribute {name!r}")
    home = _HOMES[name]
    value = getattr(import_module(home), name) if home else import_module(f"{__name__}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOMES)
