"""Reconstruction: from raw data to volumes, computed tomography and magnetic resonance.

    from pacscore import recon
    geometry = recon.ConeGeometry.circular(angles, row_count=384, ...)
    volume = recon.fdk(projections, geometry)

Importing this package loads none of the heavy libraries; each name is fetched when it is first used.
"""

from __future__ import annotations

from typing import Any

# A method or value joins by its line: name and the module it lives in; "" names a module itself.
_HOMES = {
    "ConeGeometry": "pacscore.recon.cone_geometries",
    "FanGeometry": "pacscore.recon.geometries",
    "Filter": "pacscore.recon.filtering",
    "Grid": "pacscore.recon.grids",
    "HelicalGeometry": "pacscore.recon.helical_geometries",
    "ParallelGeometry": "pacscore.recon.geometries",
    "Projector": "pacscore.recon.projector",
    "RawProjections": "pacscore.recon.raw_projections",
    "Stop": "pacscore.recon.iterating",
    "center_from_moments": "pacscore.recon.centering",
    "center_from_opposite_views": "pacscore.recon.centering",
    "center_from_sharpness": "pacscore.recon.centering",
    "cgls": "pacscore.recon.algebraic",
    "chambolle_pock_tv": "pacscore.recon.variation",
    "cone_grid": "pacscore.recon.feldkamp",
    "fbp": "pacscore.recon.planar_backprojection",
    "fdk": "pacscore.recon.feldkamp",
    "find_bad_pixels": "pacscore.recon.counts",
    "fista_tv": "pacscore.recon.variation",
    "fit_beam_hardening": "pacscore.recon.corrections",
    "helical_grid": "pacscore.recon.helical",
    "hounsfield": "pacscore.recon.corrections",
    "interpolate_metal": "pacscore.recon.corrections",
    "is_upright": "pacscore.recon.upright",
    "line_integrals": "pacscore.recon.counts",
    "linearize": "pacscore.recon.corrections",
    "metal_trace": "pacscore.recon.corrections",
    "methods": "",
    "mlem": "pacscore.recon.expectation",
    "mltr": "pacscore.recon.expectation",
    "os_sart": "pacscore.recon.algebraic",
    "osem": "pacscore.recon.expectation",
    "planar_grid": "pacscore.recon.planar_backprojection",
    "read_projections": "pacscore.recon.raw_projections",
    "remove_rings_by_mean": "pacscore.recon.corrections",
    "remove_rings_by_sorting": "pacscore.recon.corrections",
    "repair_pixels": "pacscore.recon.counts",
    "sart": "pacscore.recon.algebraic",
    "simulate": "",
    "sirt": "pacscore.recon.algebraic",
    "wfbp": "pacscore.recon.helical",
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
