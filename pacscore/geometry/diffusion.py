"""Diffusion weighting of an MR frame: b-value and gradient direction, also where makers keep them in private elements.

The values only tell frames apart here. The direction is kept as it stands: Siemens and the Standard give it in patient
coordinates, GE relative to the image; converting it is not this room's business.
"""

from __future__ import annotations

from typing import TypeAlias

from pacscore.geometry.attributes import Document
from pacscore.geometry.header import first_item, number, vector

Diffusion: TypeAlias = tuple[float | None, ...]  # b-value, then three components or nothing.

_B_VALUES = (
    "DiffusionBValue",
    "SIEMENS MR HEADER:0019xx0C",
    "Philips Imaging DD 001:2001xx03",
    "Image Private Header:0065xx09",
    "GEMS_PARM_01:0043xx39",
)
_DIRECTIONS = ("DiffusionGradientOrientation", "SIEMENS MR HEADER:0019xx0E", "Image Private Header:0065xx37")
_COMPONENTS = (
    ("GEMS_ACQU_01:0019xxBB", "GEMS_ACQU_01:0019xxBC", "GEMS_ACQU_01:0019xxBD"),
    ("Philips MR Imaging DD 001:2005xxB0", "Philips MR Imaging DD 001:2005xxB1", "Philips MR Imaging DD 001:2005xxB2"),
)
# GE writes b-values above a software version with this much added.
_GE_OFFSET = 1e9

KEYWORDS: frozenset[str] = frozenset((*_B_VALUES, *_DIRECTIONS, *(key for keys in _COMPONENTS for key in keys)))


def classic_diffusion(document: Document) -> Diffusion | None:
    """(b-value, x, y, z), (b-value,) or None, from the top level of a classic object."""
    b_value = None
    for key in _B_VALUES:
        b_value = number(document.get(key))
        if b_value is not None:
            break
    direction = None
    for key in _DIRECTIONS:
        direction = vector(document.get(key), 3)
        if direction is not None:
            break
    if direction is None:
        for keys in _COMPONENTS:
            direction = vector([_numeric(document.get(key)) for key in keys], 3)
            if direction is not None:
                break
    return _diffusion(b_value, direction)


def macro_diffusion(item: Document) -> Diffusion | None:
    """The same from an item of the MR Diffusion Sequence (0018,9117), PS3.3 C.8.13.5.9."""
    oriented = first_item(item.get("DiffusionGradientDirectionSequence"))
    direction = vector(oriented.get("DiffusionGradientOrientation"), 3)
    return _diffusion(number(item.get("DiffusionBValue")), direction)


def label(value: Diffusion) -> str:
    """How an axis names it.

    Examples
    --------
    >>> label((1000.0, 0.6, -0.8, 0.0))
    'b=1000 (0.6, -0.8, 0)'
    """
    b_value = "unknown" if value[0] is None else f"{value[0]:g}"
    direction = f" ({', '.join(f'{component:g}' for component in value[1:])})" if len(value) > 1 else ""
    return f"b={b_value}{direction}"


def _diffusion(b_value: float | None, direction: tuple[float, ...] | None) -> Diffusion | None:
    if b_value is None and direction is None:
        return None
    if b_value is not None and b_value >= _GE_OFFSET:
        b_value -= _GE_OFFSET
    # A zero vector stands for "no direction".
    if direction is None or not any(direction):
        return (b_value,)
    return (b_value, *(round(component, 6) + 0.0 for component in direction))


def _numeric(value: object) -> object:
    """A number that an element of text holds: GE's components are DS values without a public dictionary entry."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return value
