"""Methods of reconstruction by name: what ``pacscore recon`` and scripts call.

A family of methods is a module that offers

- ``METHODS``: a mapping of each method's name to a sentence about it;
- ``reconstruct(request: Request) -> Volume``: read the request's input, reconstruct it by the request's method, and
  return a volume with geometry, unit and a derivation in words.

It joins by its line in ``FAMILIES``; nothing else changes. Names of methods are lower case with hyphens and unlike
those of other families. Families are imported when they are first needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pacscore.errors import InputError
from pacscore.imaging import Volume
from pacscore.imaging.arrays.watching import UNWATCHED, Watch

FAMILIES: Mapping[str, str] = MappingProxyType(
    {"tomography": "pacscore.recon.tomography_methods", "magnetic resonance": "pacscore.recon.mr_methods"}
)
"""Name to the module that offers its methods."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to reconstruct, and how.

    Attributes
    ----------
    path : Path
        The input: a file, or a folder of files.
    method : str
        One of ``names()``.
    geometry : Path, optional
        A file that says where rays run, where the input does not.
    configuration : mapping
        Tables of a TOML file, ``{"method": {...}, "grid": {...}}``; each family says which it knows.
    watch : Watch
        Progress and cancellation.
    """

    path: Path
    method: str
    geometry: Path | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)
    watch: Watch = UNWATCHED


def names() -> dict[str, str]:
    """All methods with a sentence about each, family by family."""
    return {name: words for module in FAMILIES.values() for name, words in import_module(module).METHODS.items()}


def reconstruct(request: Request) -> Volume:
    """Reconstruct by the method of a request.

    Raises
    ------
    InputError
        There is no such method, or the family cannot use what is given.
    """
    for module in FAMILIES.values():
        family = import_module(module)
        if request.method in family.METHODS:
            volume: Volume = family.reconstruct(request)
            return volume
    raise InputError(
        f"There is no method {request.method!r}: choose one of {', '.join(names())}.", found=request.method
    )
