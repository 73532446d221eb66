"""What compiles the kernels of enhancement ahead: each step once, with the kinds of arrays that volumes have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pacscore.imaging.arrays import Watch
from pacscore.imaging.enhancement_steps import STEPS

_NEEDED = {
    "bilateral": {"sigma_value": 9.0},
    "gamma": {"exponent": 0.5},
    "nlm": {"strength": 9.0, "search": 1},
    "rank": {"percent": 0.0},
}


def _enhancements() -> None:
    for dtype in (np.int16, np.float32):
        values = np.arange(3 * 17 * 18, dtype=dtype).reshape(3, 17, 18)
        for name, kind in STEPS.items():
            kind(**_NEEDED.get(name, {})).filtered(values, (1.0, 1.0, 1.0), Watch())
        STEPS["median"](size=5).filtered(values, None, Watch())


WARM_CALLS: tuple[tuple[str, Callable[[], None]], ...] = (("enhancement", _enhancements),)
"""Name for people, and the function that calls every kernel of the family once with each kind of array."""
