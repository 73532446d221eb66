"""Tomography by name, from a file to a volume: the family of ``methods`` for projections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError, InputError
from pacscore.imaging import Volume
from pacscore.recon import algebraic, centering, corrections, counts, expectation, variation
from pacscore.recon.cone_geometries import ConeGeometry
from pacscore.recon.configuration import geometry_of, grid_of, table
from pacscore.recon.feldkamp import cone_grid, fdk
from pacscore.recon.filtering import Filter
from pacscore.recon.geometries import FanGeometry, ParallelGeometry
from pacscore.recon.grids import Grid
from pacscore.recon.helical import helical_grid, wfbp
from pacscore.recon.helical_geometries import HelicalGeometry
from pacscore.recon.methods import Request
from pacscore.recon.planar_backprojection import fbp, planar_grid
from pacscore.recon.projection_files import read_rtk_geometry
from pacscore.recon.projector import Projector
from pacscore.recon.raw_projections import AnyGeometry, RawProjections, read_projections

METHODS: Mapping[str, str] = MappingProxyType(
    {
        "fbp": "filtered backprojection of parallel beams and fans",
        "fdk": "cone beams on a circle, by Feldkamp, Davis and Kress",
        "wfbp": "helical scans, by weighted filtered backprojection",
        "sirt": "simultaneous iterative reconstruction",
        "sart": "the algebraic technique, view by view",
        "os-sart": "the algebraic technique over ordered subsets",
        "cgls": "least squares by conjugate gradients",
        "mlem": "maximum likelihood of emission counts",
        "osem": "maximum likelihood of emission counts over ordered subsets",
        "mltr": "maximum likelihood of transmitted counts, without a logarithm",
        "fista-tv": "least squares with total variation, FISTA",
        "chambolle-pock-tv": "least squares with total variation, primal and dual steps",
    }
)
"""Name to a sentence."""

_ITERATIVE: dict[str, Callable[..., Any]] = {
    "sirt": algebraic.sirt, "sart": algebraic.sart, "os-sart": algebraic.os_sart, "cgls": algebraic.cgls,
    "mlem": expectation.mlem, "osem": expectation.osem, "mltr": expectation.mltr, "fista-tv": variation.fista_tv,
    "chambolle-pock-tv": variation.chambolle_pock_tv,
}  # fmt: skip
_ITERATIVE_KEYS = (
    "iterations", "subsets", "relaxation", "weight", "inner_iterations", "minimum", "maximum", "norm_estimate",
    "blank", "background",
)  # fmt: skip
_CENTERS = {
    "sharpness": centering.center_from_sharpness,
    "moments": centering.center_from_moments,
    "opposite-views": centering.center_from_opposite_views,
}
_CENTER_COLUMNS_DOUBTED = 1.0
_PREPARATION = ("transmission_min", "center", "rings", "ring_width", "beam_hardening", "scatter", "rows")


def reconstruct(request: Request) -> Volume:
    """Read, prepare and reconstruct the projections of a request.

    Raises
    ------
    InputError, GeometryError, NotFoundError, UnsupportedError
        What is given cannot be used; the message says why.
    CancelledError
        The request's watch was cancelled.
    """
    raw = read_projections(request.path)
    preparation = table(request.configuration, "preparation", _PREPARATION)
    if "rows" in preparation:
        raw = _chosen_rows(raw, preparation["rows"])
    geometry = find_geometry(raw, request)
    if request.method == "mltr":
        (values, open_beam), words = _transmitted(raw, preparation), ["counts as they are"]
    else:
        (values, words), open_beam = _prepare(raw, preparation, emission=request.method in {"mlem", "osem"}), None
    if "center" in preparation:
        geometry = _centered(geometry, values, preparation["center"])
        words.append(f"center column {geometry.center:.2f}" if isinstance(geometry, ParallelGeometry) else "")
    elif open_beam is None and "center_column" not in table(request.configuration, "geometry"):
        words.append(_doubt_about_center(geometry, values))
    grid = grid_of(table(request.configuration, "grid")) or _default_grid(geometry)
    image, done = _run(request, values, geometry, grid, open_beam)
    result = table(request.configuration, "result", ("water", "air"))
    water = result.get("water", raw.water)
    unit = "" if request.method in {"mlem", "osem"} else "1/mm"
    if water is not None:
        image, unit = corrections.hounsfield(image, water=float(water), air=float(result.get("air", 0.0))), "HU"
        words.append(f"Hounsfield units with water {float(water):g}")
    derivation = "; ".join(part for part in (f"reconstructed by {done}", str(geometry), *words) if part)
    return grid.volume(image, derivation=derivation, unit=unit)


def find_geometry(raw: RawProjections, request: Request) -> AnyGeometry:
    """The geometry of a request: of its file, of the input, or of the table ``[geometry]``.

    Raises
    ------
    InputError
        Nothing says it, or a file is none of those that do.
    """
    given = table(request.configuration, "geometry")
    if request.geometry is not None:
        suffix = request.geometry.suffix.lower()
        if suffix == ".xml":
            if raw.spacing_mm is None or raw.origin_mm is None:
                raise InputError("A geometry of RTK needs the stack's spacing and origin: give it as .mha or .mhd.")
            shape = (raw.values.shape[0], raw.values.shape[1], raw.values.shape[2])
            return read_rtk_geometry(request.geometry, shape=shape, spacing_mm=raw.spacing_mm, origin_mm=raw.origin_mm)
        if suffix in {".txt", ".csv", ".dat"}:
            raw = replace(raw, angles_rad=np.deg2rad(read_angles(request.geometry)))
        else:
            raise InputError(f"A geometry is read from .xml (RTK) or .txt (degrees), not from {suffix or 'this file'}.")
    elif raw.geometry is not None and not given:
        return raw.geometry
    return geometry_of(given, raw)


def read_angles(path: Path) -> NDArray[np.float64]:
    """Degrees from a text file, one a line or separated by commas or spaces.

    Raises
    ------
    InputError
        A word is no number.
    """
    words = path.read_text("utf-8", "replace").replace(",", " ").split()
    try:
        return np.array([float(word) for word in words])
    except ValueError as error:
        raise InputError("The file of angles holds something that is no number.", path=str(path)) from error


def _chosen_rows(raw: RawProjections, rows: Any) -> RawProjections:
    if not (isinstance(rows, list | tuple) and len(rows) == 2 and 0 <= rows[0] < rows[1] <= raw.values.shape[1]):
        raise InputError(f"rows is the first detector row and the one after the last, within {raw.values.shape[1]}.")
    part = slice(rows[0], rows[1])
    flats, darks = (None if field is None else field[..., part, :] for field in (raw.flats, raw.darks))
    return replace(raw, values=raw.values[:, part], geometry=None, flats=flats, darks=darks)


def _prepare(
    raw: RawProjections, preparation: Mapping[str, Any], *, emission: bool
) -> tuple[NDArray[np.float32], list[str]]:
    words: list[str] = []
    if raw.flats is not None:
        normalized = counts.line_integrals(
            raw.values, flats=raw.flats, darks=0.0 if raw.darks is None else raw.darks,
            scatter=preparation.get("scatter", 0.0), transmission_min=preparation.get("transmission_min", 1e-4),
        )  # fmt: skip
        values = normalized.projections
        bad = int(normalized.bad_pixels.sum())
        words.append("flat fields, logarithm" + (f", {bad} bad pixels repaired" if bad else ""))
    else:
        values = np.asarray(raw.values, np.float32)
        if not np.isfinite(values).all():
            values = counts.repair_pixels(values)
            words.append("values that are not finite repaired")
    if "beam_hardening" in preparation:
        values = corrections.linearize(values, preparation["beam_hardening"])
        words.append("beam hardening linearized")
    if "rings" in preparation:
        ways = {"mean": corrections.remove_rings_by_mean, "sorting": corrections.remove_rings_by_sorting}
        way = ways.get(preparation["rings"])
        if way is None:
            raise InputError(f"rings is one of {', '.join(ways)}, not {preparation['rings']!r}.")
        values = way(values, width=int(preparation.get("ring_width", 31)))
        words.append(f"rings removed by {preparation['rings']}")
    return (np.maximum(values, 0.0) if emission else values), words


def _transmitted(
    raw: RawProjections, preparation: Mapping[str, Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Counts above the dark field, and those without the object where flat fields say them."""
    for key in preparation:
        if key not in {"rows", "center"} or isinstance(preparation[key], str):
            raise InputError(f"mltr takes counts as they are, without {key}: {preparation[key]!r}.", found=key)
    dark = np.zeros(raw.values.shape[1:]) if raw.darks is None else np.mean(raw.darks, axis=0, dtype=np.float64)
    counts = np.maximum(raw.values - dark, 0.0).astype(np.float32)
    if raw.flats is None:
        return counts, None
    beam = np.maximum(np.mean(raw.flats, axis=0, dtype=np.float64) - dark, 0.0)
    return counts, beam.astype(np.float32)


def _centered(geometry: AnyGeometry, values: NDArray[np.float32], center: Any) -> AnyGeometry:
    if not isinstance(geometry, ParallelGeometry | FanGeometry):
        raise InputError("center is for parallel beams and fans; of cones give column_offset_mm.")
    if isinstance(center, int | float):
        return replace(geometry, center_column=float(center))
    if center not in _CENTERS or not isinstance(geometry, ParallelGeometry):
        raise InputError(f"center is a column, or of parallel beams one of {', '.join(_CENTERS)}: not {center!r}.")
    return replace(geometry, center_column=_CENTERS[center](values, geometry.angles))


def _doubt_about_center(geometry: AnyGeometry, values: NDArray[np.float32]) -> str:
    """What is said where nobody stated the axis of parallel beams, and it does not seem to lie in the middle."""
    if not isinstance(geometry, ParallelGeometry) or geometry.center != (geometry.column_count - 1) / 2:
        return ""
    try:
        seen = centering.center_from_opposite_views(values, geometry.angles)
    except GeometryError:
        return ""  # No two views lie opposite each other.
    if abs(seen - geometry.center) <= _CENTER_COLUMNS_DOUBTED:
        return ""
    return (
        f"the axis was taken to be in the middle, but opposite views say column {seen:.1f}: give center in the "
        "configuration's [preparation]"
    )


def _default_grid(geometry: AnyGeometry) -> Grid:
    if isinstance(geometry, ConeGeometry):
        return cone_grid(geometry)
    return helical_grid(geometry) if isinstance(geometry, HelicalGeometry) else planar_grid(geometry)


def _run(
    request: Request,
    values: NDArray[np.float32],
    geometry: AnyGeometry,
    grid: Grid,
    open_beam: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], str]:
    if request.method in _ITERATIVE:
        given = table(request.configuration, "method", _ITERATIVE_KEYS)
        projector = Projector(geometry, grid, watch=replace(request.watch, progress=None))
        if request.method.endswith("-tv") and "weight" not in given:
            raise InputError(f"{request.method} needs a weight in [method].")
        accepted = _accepted(request.method, given)
        if request.method == "mltr":
            accepted.setdefault("blank", open_beam)
            if accepted["blank"] is None:
                raise InputError("mltr needs counts without the object: flat fields, or blank in [method].")
        found = _ITERATIVE[request.method](values, projector, watch=request.watch, **accepted)
        return found.volume, f"{request.method}, {len(found.residuals)} iterations, residual {found.residuals[-1]:.3g}"
    given = table(request.configuration, "method", ("filter", "cutoff", "extrapolate", "limited_angle", "smooth_rows"))
    chosen = Filter(
        given.get("filter", "ramp"), float(given.get("cutoff", 1.0)), float(given.get("extrapolate", 0.0))
    )  # fmt: skip
    words = f"{request.method}, {chosen}"
    limited = bool(given.get("limited_angle", False))
    if request.method == "fbp" and isinstance(geometry, ParallelGeometry | FanGeometry):
        return fbp(values, geometry, grid, filter=chosen, limited_angle=limited, watch=request.watch), words
    if request.method == "fdk" and isinstance(geometry, ConeGeometry):
        return fdk(values, geometry, grid, filter=chosen, limited_angle=limited, watch=request.watch), words
    if request.method == "wfbp" and isinstance(geometry, HelicalGeometry):
        smooth = float(given.get("smooth_rows", 0.6))
        return wfbp(values, geometry, grid, filter=chosen, smooth_rows=smooth, watch=request.watch), words
    fitting = {ConeGeometry: "fdk", HelicalGeometry: "wfbp"}.get(type(geometry), "fbp")
    raise InputError(f"{request.method} does not fit this geometry ({geometry}): use {fitting} or an iterative method.")


def _accepted(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    import inspect

    parameters = inspect.signature(_ITERATIVE[method]).parameters
    for key in given:
        if key not in parameters and key not in {"minimum", "maximum"}:
            raise InputError(f"{method} takes no {key}.", found=key)
    return dict(given)
