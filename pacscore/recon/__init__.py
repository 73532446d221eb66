"""Reconstruction: from raw data to volumes, computed tomography and magnetic resonance.

    from pacscore import recon
    raw = recon.read_raw("scan.h5")
    volume = recon.mr_methods.sense_method(raw)

Importing this package loads none of the heavy libraries; each name is fetched when it is first used.
"""

from __future__ import annotations

from typing import Any

# A method or value joins by its line: name and the module it lives in; "" names a module itself.
_HOMES = {
    "CartesianData": "pacscore.recon.magnetic_resonance.raw",
    "FieldOfView": "pacscore.recon.magnetic_resonance.raw",
    "IsmrmrdFile": "pacscore.recon.magnetic_resonance.ismrmrd",
    "MrOptions": "pacscore.recon.magnetic_resonance.preparation",
    "NonCartesianData": "pacscore.recon.magnetic_resonance.raw",
    "NonCartesianSense": "pacscore.recon.magnetic_resonance.noncartesian",
    "NonuniformFourier": "pacscore.recon.magnetic_resonance.nufft",
    "OffResonanceSense": "pacscore.recon.magnetic_resonance.off_resonance",
    "SenseOperator": "pacscore.recon.magnetic_resonance.sense",
    "Stopping": "pacscore.recon.magnetic_resonance.solvers",
    "ToeplitzNormal": "pacscore.recon.magnetic_resonance.noncartesian",
    "Trajectory": "pacscore.recon.magnetic_resonance.trajectories",
    "adaptive_maps": "pacscore.recon.magnetic_resonance.coils",
    "centred_fft": "pacscore.recon.magnetic_resonance.fourier",
    "centred_ifft": "pacscore.recon.magnetic_resonance.fourier",
    "coil_compression": "pacscore.recon.magnetic_resonance.coils",
    "combine_coils": "pacscore.recon.magnetic_resonance.coils",
    "compressed_sensing": "pacscore.recon.magnetic_resonance.compressed_sensing",
    "density_weights": "pacscore.recon.magnetic_resonance.density",
    "espirit_maps": "pacscore.recon.magnetic_resonance.espirit",
    "fill_partial_fourier": "pacscore.recon.magnetic_resonance.partial_fourier",
    "grappa": "pacscore.recon.magnetic_resonance.grappa",
    "grid": "pacscore.recon.magnetic_resonance.noncartesian",
    "iterative_sense": "pacscore.recon.magnetic_resonance.noncartesian",
    "kspace_phantoms": "",
    "mr_methods": "",
    "prewhiten": "pacscore.recon.magnetic_resonance.coils",
    "read_cfl": "pacscore.recon.magnetic_resonance.bart",
    "read_raw": "pacscore.recon.magnetic_resonance.reading",
    "reconstruct_rss": "pacscore.recon.magnetic_resonance.fourier",
    "remove_oversampling": "pacscore.recon.magnetic_resonance.fourier",
    "root_sum_of_squares": "pacscore.recon.magnetic_resonance.coils",
    "sense": "pacscore.recon.magnetic_resonance.sense",
    "write_cfl": "pacscore.recon.magnetic_resonance.bart",
    "zero_fill": "pacscore.recon.magnetic_resonance.fourier",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pacscore.recon' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name) if home else importlib.import_module(f"pacscore.recon.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
