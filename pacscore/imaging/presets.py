"""What to show, by name or number: presets, the header's own windows and tables, automatic windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging import arrays
from pacscore.imaging.values import VoiTable, Window

Voi: TypeAlias = Window | VoiTable | int | str | None
"""How a caller says what to show."""

_HU, _SUV = "HU", "g/ml"

# Windows in common clinical use; widths and centres vary by some tens between institutions.
_PRESETS: dict[str, tuple[float, float, str]] = {
    "abdomen": (50, 400, _HU),
    "angio": (300, 600, _HU),
    "bone": (400, 1800, _HU),
    "brain": (40, 80, _HU),
    "liver": (60, 160, _HU),
    "lung": (-600, 1500, _HU),
    "mediastinum": (50, 350, _HU),
    "pet": (3.5, 7, _SUV),
    "soft tissue": (40, 400, _HU),
    "spine": (50, 250, _HU),
    "stroke": (40, 40, _HU),
    "subdural": (75, 215, _HU),
    "temporal bone": (600, 2800, _HU),
}

PRESETS = MappingProxyType({name: unit for name, (_, _, unit) in _PRESETS.items()})
"""Names of presets, each with the unit of the values it is for."""

AUTOMATIC = ("percentile", "histogram")
"""Names of automatic windows; see ``automatic_window``."""


def preset(name: str) -> Window:
    """A window in common use.

    Raises
    ------
    InputError
        There is none of that name.

    Examples
    --------
    >>> preset("lung").limits()
    (-1350.0, 149.0)
    """
    if name not in _PRESETS:
        raise InputError(f"There is no window {name!r}: choose one of {', '.join(_PRESETS)}.", found=name)
    center, width, unit = _PRESETS[name]
    function = "LINEAR" if unit == _HU else "LINEAR_EXACT"  # LINEAR is made for whole numbers.
    return Window(center, width, function, explanation=name)


def automatic_window(values: NDArray[Any], *, method: str = "percentile", share: float = 0.95) -> Window:
    """A window computed from values.

    Parameters
    ----------
    values : NDArray
        Modality values, any shape; NaN and infinities are left out.
    method : str
        ``percentile``: from the 1st to the 99.5th percentile, background left out (``arrays.percentile_limits``).
        ``histogram``: the narrowest range that holds ``share`` of what is not background. The background is what lies
        below the threshold that parts a histogram best in two (N. Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62,
        equation 18), where it is at least a quarter.
    share : float
        Above 0, at most 1; used by ``histogram``.

    Raises
    ------
    InputError
        Another method or share.
    """
    if method not in AUTOMATIC or not 0 < share <= 1:
        raise InputError(f"An automatic window is by {' or '.join(AUTOMATIC)}, with a share of 0 to 1: not {method!r}.")
    if method == "percentile":
        return Window.between(*arrays.percentile_limits(values), automatic=True)
    finite = np.asarray(values)[np.isfinite(values)]
    if not finite.size or finite.min() == finite.max():
        return Window.between(*arrays.percentile_limits(values), automatic=True)
    found = arrays.histogram(finite, bins=1024)
    start = _threshold_bin(found.counts)
    if found.counts[:start].sum() * 4 < found.counts.sum():
        start = 0
    sums = np.concatenate([[0], np.cumsum(found.counts[start:])])
    wanted = np.minimum(sums[:-1] + share * sums[-1], sums[-1])
    ends = np.searchsorted(sums, wanted - 1e-9)
    lengths = np.where(sums[:-1] + share * sums[-1] <= sums[-1] + 1e-9, ends - np.arange(len(ends)), len(sums))
    first = int(np.argmin(lengths))
    return Window.between(float(found.edges[start + first]), float(found.edges[start + ends[first]]), automatic=True)


def choose_voi(
    which: Window | VoiTable | int | str,
    own: Sequence[Window | VoiTable],
    *,
    unit: str,
    sample: Callable[[], NDArray[Any]],
) -> Window | VoiTable:
    """The window or table that a caller means.

    Parameters
    ----------
    which
        Itself; a number among ``own``; or a name: of a preset, of an explanation among ``own``, of an automatic window.
    own
        The header's windows and VOI LUTs.
    unit
        Of the modality values: a preset in another one is refused.
    sample
        Gives the values that an automatic window is computed from.

    Raises
    ------
    InputError
        There is none of that number or name, or its unit is another.
    """
    if isinstance(which, (Window, VoiTable)):
        return which
    if isinstance(which, int):
        if not -len(own) <= which < len(own):
            raise InputError(f"There is no window {which}: the header has {len(own)}.", found=which, expected=len(own))
        return own[which]
    if which in AUTOMATIC:
        return automatic_window(sample(), method=which)
    for each in own:
        if each.explanation and each.explanation.casefold() == which.casefold():
            return each
    chosen = preset(which)
    if PRESETS[which] != unit:
        raise InputError(
            f"The window {which!r} is for values in {PRESETS[which]}; these are in {unit or 'an unknown unit'}. "
            "Give a Window.",
            expected=PRESETS[which],
            found=unit,
        )
    return chosen


def _threshold_bin(counts: NDArray[np.int64]) -> int:
    """The first bin of the upper class."""
    weights = counts / counts.sum()
    places = np.arange(len(counts))
    below = np.cumsum(weights)[:-1]
    moments = np.cumsum(weights * places)
    between = moments[-1] * below - moments[:-1]
    spread = below * (1 - below)
    quality = np.divide(between**2, spread, out=np.zeros_like(spread), where=spread > 1e-12)
    return int(np.argmax(quality)) + 1
