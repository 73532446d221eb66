"""Tables of a TOML file as geometries, grids and preparations.

    [geometry]                      # where the input and --geometry do not say it, or to correct them
    type = "cone"                   # parallel, fan, cone, helical
    angles_deg = [0, 1, 2]          # or first_deg, step_deg (the number of views is the input's)
    column_spacing_mm = 0.5         # and the other arguments of the geometry by name

    [grid]                          # by default what the detector sees
    shape = [256, 256, 256]         # slices, rows, columns
    spacing_mm = 0.5
    center_lps = [0.0, 0.0, 0.0]

    [preparation]
    transmission_min = 1e-4         # of counts
    center = "sharpness"            # or moments, opposite-views, or a column number (parallel beams)
    rings = "sorting"               # or mean, with ring_width
    beam_hardening = [1.0, 0.05]    # coefficients of p, p², …
    scatter = 0.0                   # counts
    rows = [10, 20]                 # only these detector rows, first and the one after the last (planes)

    [method]                        # what the method takes by name, as iterations, filter, cutoff
    iterations = 50

    [result]
    water = 0.0192                  # attenuation of water: the result is in Hounsfield units

A key that has no meaning is refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.recon.cone_geometries import ConeGeometry
from pacscore.recon.geometries import FanGeometry, ParallelGeometry
from pacscore.recon.grids import Grid
from pacscore.recon.helical_geometries import HelicalGeometry
from pacscore.recon.raw_projections import AnyGeometry, RawProjections

TABLES = ("geometry", "grid", "preparation", "method", "result")
_TYPES: dict[str, Any] = {
    "parallel": ParallelGeometry, "fan": FanGeometry, "cone": ConeGeometry.circular, "helical": HelicalGeometry,
}  # fmt: skip


def table(configuration: Mapping[str, Any], name: str, known: tuple[str, ...] | None = None) -> dict[str, Any]:
    """A table of a configuration, empty where it is not there.

    Raises
    ------
    InputError
        It is no table, or holds a key that is not known.
    """
    unknown = set(configuration) - set(TABLES)
    if unknown:
        raise InputError(f"There is no table [{sorted(unknown)[0]}]: tables are {', '.join(TABLES)}.")
    found = configuration.get(name, {})
    if not isinstance(found, Mapping):
        raise InputError(f"{name} is a table: write [{name}] above its keys.")
    if known is not None:
        refuse_unknown(found, known, f"[{name}]")
    return dict(found)


def refuse_unknown(found: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Raise ``InputError`` where a key has no meaning."""
    for key in found:
        if key not in known:
            raise InputError(f"{key} has no meaning in {where}: known are {', '.join(known)}.", found=key)


def geometry_of(values: Mapping[str, Any], raw: RawProjections) -> AnyGeometry:
    """The geometry of the table ``[geometry]``, with angles and spacing of the input where it gives none.

    Raises
    ------
    InputError
        The type or a key has no meaning, or something is missing.
    """
    given = dict(values)
    kind = given.pop("type", "parallel")
    if kind not in _TYPES:
        raise InputError(f"There is no geometry {kind!r}: types are {', '.join(_TYPES)}.", found=kind)
    views, rows, columns = raw.values.shape
    given.setdefault("row_count", rows)
    given.setdefault("column_count", columns)
    angles = _angles(given, raw, views)
    if raw.spacing_mm is not None:
        given.setdefault("row_spacing_mm", raw.spacing_mm[0])
        given.setdefault("column_spacing_mm", raw.spacing_mm[1])
    parameters = inspect.signature(_TYPES[kind]).parameters
    refuse_unknown(given, tuple(parameters), f"[geometry] of type {kind}")
    missing = [
        name for name, each in parameters.items()
        if each.default is inspect.Parameter.empty and name not in {*given, "angles_rad"}
    ]  # fmt: skip
    if missing:
        raise InputError(f"[geometry] of type {kind} needs {', '.join(missing)}.", found=missing)
    geometry: AnyGeometry = _TYPES[kind](angles, **given)
    return geometry


def _angles(given: dict[str, Any], raw: RawProjections, views: int) -> NDArray[np.float64]:
    listed = given.pop("angles_deg", None)
    first, step = given.pop("first_deg", None), given.pop("step_deg", None)
    if listed is not None:
        return np.deg2rad(np.asarray(listed, np.float64))
    if step is not None:
        angles: NDArray[np.float64] = np.deg2rad((first or 0.0) + step * np.arange(views))
        return angles
    if raw.angles_rad is None:
        raise InputError(
            "The input states no angles: give a file of degrees with --geometry, or angles_deg or step_deg in "
            "[geometry]."
        )
    return raw.angles_rad


def grid_of(values: Mapping[str, Any]) -> Grid | None:
    """The grid of the table ``[grid]``, or None where it says nothing.

    Raises
    ------
    InputError
        A key has no meaning, or the shape is missing.
    """
    refuse_unknown(values, ("shape", "spacing_mm", "center_lps", "directions"), "[grid]")
    if not values:
        return None
    if "shape" not in values:
        raise InputError("[grid] needs a shape: slices, rows, columns.")
    given = {name: tuple(value) if name == "shape" or (name == "spacing_mm" and isinstance(value, list)) else value
             for name, value in values.items()}  # fmt: skip
    return Grid(**given)
