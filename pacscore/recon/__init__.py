"""Reconstruction: from raw data to volumes, computed tomography and magnetic resonance.

    from pacscore import recon
    geometry = recon.ConeGeometry.circular(angles, row_count=384, ...)
    volume = recon.fdk(projections, geometry)
    raw = recon.read_raw("scan.h5")
    volume = recon.mr_methods.sense_method(raw)

Importing this package loads none of the heavy libraries; each name is fetched when it is first used.
"""

from __future__ import annotations

from typing import Any

# A method or value joins by its line: name and the module it lives in; "" names a module itself.
_HOMES = {
    "CartesianData": "pacscore.recon.magnetic_resonance.raw",
    "ConeGeometry": "pacscore.recon.cone_geometries",
    "FanGeometry": "pacscore.recon.geometries",
    "FieldOfView": "pacscore.recon.magnetic_resonance.raw",
    "Filter": "pacscore.recon.filtering",
    "Grid": "pacscore.recon.grids",
    "HelicalGeometry": "pacscore.recon.helical_geometries",
    "IsmrmrdFile": "pacscore.recon.magnetic_resonance.ismrmrd",
    "MrOptions": "pacscore.recon.magnetic_resonance.preparation",
    "NonCartesianData": "pacscore.recon.magnetic_resonance.raw",
    "NonCartesianSense": "pacscore.recon.magnetic_resonance.noncartesian",
    "NonuniformFourier": "pacscore.recon.magnetic_resonance.nufft",
    "OffResonanceSense": "pacscore.recon.magnetic_resonance.off_resonance",
    "ParallelGeometry": "pacscore.recon.geometries",
    "Projector": "pacscore.recon.projector",
    "RawProjections": "pacscore.recon.raw_projections",
    "SenseOperator": "pacscore.recon.magnetic_resonance.sense",
    "Stop": "pacscore.recon.iterating",
    "Stopping": "pacscore.recon.magnetic_resonance.solvers",
    "ToeplitzNormal": "pacscore.recon.magnetic_resonance.noncartesian",
    "Trajectory": "pacscore.recon.magnetic_resonance.trajectories",
    "adaptive_maps": "pacscore.recon.magnetic_resonance.coils",
    "center_from_moments": "pacscore.recon.centering",
    "center_from_opposite_views": "pacscore.recon.centering",
    "center_from_sharpness": "pacscore.recon.centering",
    "centred_fft": "pacscore.recon.magnetic_resonance.fourier",
    "centred_ifft": "pacscore.recon.magnetic_resonance.fourier",
    "cgls": "pacscore.recon.algebraic",
    "chambolle_pock_tv": "pacscore.recon.variation",
    "coil_compression": "pacscore.recon.magnetic_resonance.coils",
    "combine_coils": "pacscore.recon.magnetic_resonance.coils",
    "compressed_sensing": "pacscore.recon.magnetic_resonance.compressed_sensing",
    "cone_grid": "pacscore.recon.feldkamp",
    "density_weights": "pacscore.recon.magnetic_resonance.density",
    "espirit_maps": "pacscore.recon.magnetic_resonance.espirit",
    "fbp": "pacscore.recon.planar_backprojection",
    "fdk": "pacscore.recon.feldkamp",
    "fill_partial_fourier": "pacscore.recon.magnetic_resonance.partial_fourier",
    "find_bad_pixels": "pacscore.recon.counts",
    "fista_tv": "pacscore.recon.variation",
    "fit_beam_hardening": "pacscore.recon.corrections",
    "grappa": "pacscore.recon.magnetic_resonance.grappa",
    "grid": "pacscore.recon.magnetic_resonance.noncartesian",
    "helical_grid": "pacscore.recon.helical",
    "hounsfield": "pacscore.recon.corrections",
    "interpolate_metal": "pacscore.recon.corrections",
    "is_upright": "pacscore.recon.upright",
    "iterative_sense": "pacscore.recon.magnetic_resonance.noncartesian",
    "kspace_phantoms": "",
    "line_integrals": "pacscore.recon.counts",
    "linearize": "pacscore.recon.corrections",
    "metal_trace": "pacscore.recon.corrections",
    "methods": "",
    "mlem": "pacscore.recon.expectation",
    "mltr": "pacscore.recon.expectation",
    "mr_methods": "",
    "os_sart": "pacscore.recon.algebraic",
    "osem": "pacscore.recon.expectation",
    "planar_grid": "pacscore.recon.planar_backprojection",
    "prewhiten": "pacscore.recon.magnetic_resonance.coils",
    "read_cfl": "pacscore.recon.magnetic_resonance.bart",
    "read_projections": "pacscore.recon.raw_projections",
    "read_raw": "pacscore.recon.magnetic_resonance.reading",
    "reconstruct_rss": "pacscore.recon.magnetic_resonance.fourier",
    "remove_oversampling": "pacscore.recon.magnetic_resonance.fourier",
    "remove_rings_by_mean": "pacscore.recon.corrections",
    "remove_rings_by_sorting": "pacscore.recon.corrections",
    "repair_pixels": "pacscore.recon.counts",
    "root_sum_of_squares": "pacscore.recon.magnetic_resonance.coils",
    "sart": "pacscore.recon.algebraic",
    "sense": "pacscore.recon.magnetic_resonance.sense",
    "simulate": "",
    "sirt": "pacscore.recon.algebraic",
    "wfbp": "pacscore.recon.helical",
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
