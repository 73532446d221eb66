"""Transfer functions: which values of a volume are seen, in what colour, and how surfaces shine."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pacscore.errors import InputError
from pacscore.imaging.arrays import ClassificationTable, Lighting
from pacscore.imaging.values import Window

_ENTRIES = 4096


@dataclass(frozen=True, slots=True)
class TransferFunction:
    """Opacity and colour by modality value, straight between the points given, constant beyond them.

    Attributes
    ----------
    opacity : sequence of (value, opacity)
        Values ascending; opacity 0 to 1 of one millimetre, so that a picture does not depend on the step between
        samples.
    colour : sequence of (value, red, green, blue)
        Values ascending; 0 to 1.
    lighting : Lighting
        How surfaces shine.
    unit : str
        Of the values: HU, or empty for any.

    Raises
    ------
    InputError
        No points, values that do not ascend or are not finite, or parts outside 0 to 1.

    Examples
    --------
    >>> glass = TransferFunction([(0, 0.0), (100, 0.5)], [(0, 1, 1, 1)])
    >>> float(glass.table(step_mm=2.0).opacities[-1])
    0.75
    """

    opacity: Sequence[tuple[float, float]]
    colour: Sequence[tuple[float, float, float, float]]
    lighting: Lighting = field(default_factory=Lighting)
    unit: str = ""

    def __post_init__(self) -> None:
        for name, points, width in (("opacity", self.opacity, 2), ("colour", self.colour, 4)):
            if not points or any(len(point) != width for point in points):
                raise InputError(f"The {name} of a transfer function is a list of points of {width} numbers.")
            values = [point[0] for point in points]
            if not all(map(math.isfinite, values)) or any(b <= a for a, b in itertools.pairwise(values)):
                raise InputError(f"The values of the {name} points must be finite and ascend.", found=values)
            if not all(0 <= part <= 1 for point in points for part in point[1:]):
                raise InputError(f"The parts of the {name} points lie from 0 to 1.", found=points)

    @classmethod
    def of_window(cls, window: Window) -> TransferFunction:
        """For values without a scale of their own, such as MR: what the window shows dark is clear, bright is dense."""
        low, high = window.limits()
        clear = low + 0.25 * (high - low)
        return cls(
            [(clear, 0.0), (low + 0.6 * (high - low), 0.08), (high, 0.6)],
            [(clear, 0.45, 0.3, 0.25), (low + 0.6 * (high - low), 0.85, 0.65, 0.5), (high, 1.0, 0.96, 0.9)],
        )

    def table(self, *, step_mm: float) -> ClassificationTable:
        """Opacities of samples ``step_mm`` apart, and colours, at 4096 equal steps over all points.

        Raises
        ------
        InputError
            The step is not positive.
        """
        if not step_mm > 0:
            raise InputError(f"Samples lie a positive distance apart, not {step_mm}.", found=step_mm)
        ends = [points[place][0] for points in (self.opacity, self.colour) for place in (0, -1)]
        first, last = min(ends), max(ends)
        entries = _ENTRIES if last > first else 1
        values = np.linspace(first, last, entries)
        of_mm = np.interp(values, [point[0] for point in self.opacity], [point[1] for point in self.opacity])
        opacities = 1.0 - (1.0 - of_mm) ** step_mm
        places = [point[0] for point in self.colour]
        parts = [np.interp(values, places, [point[part] for point in self.colour]) for part in (1, 2, 3)]
        step = (last - first) / (entries - 1) if entries > 1 else 1.0
        return ClassificationTable(opacities.astype(np.float32), np.stack(parts, 1).astype(np.float32), first, step)


PRESETS = {
    "bone": TransferFunction(
        [(150, 0.0), (350, 0.3), (1200, 0.9)],
        [(150, 0.75, 0.48, 0.34), (300, 0.92, 0.78, 0.62), (700, 0.98, 0.94, 0.86), (1500, 1.0, 1.0, 0.98)],
        unit="HU",
    ),
    "vessel": TransferFunction(
        [(120, 0.0), (200, 0.12), (350, 0.5), (600, 0.6), (1200, 0.8)],
        [(120, 0.45, 0.03, 0.02), (220, 0.8, 0.14, 0.08), (380, 0.95, 0.5, 0.35), (600, 0.96, 0.88, 0.76),
         (1500, 1.0, 0.99, 0.95)],
        unit="HU",
    ),
    "skin": TransferFunction(
        [(-450, 0.0), (-200, 0.12), (50, 0.4), (300, 0.7)],
        [(-500, 0.72, 0.46, 0.36), (-200, 0.88, 0.66, 0.54), (100, 0.95, 0.76, 0.64), (500, 0.98, 0.92, 0.84)],
        Lighting(0.28, 0.7, 0.12, 12),
        unit="HU",
    ),
    "lung": TransferFunction(
        [(-960, 0.0), (-880, 0.012), (-700, 0.03), (-500, 0.03), (-350, 0.0), (-100, 0.0), (40, 0.004), (200, 0.02),
         (500, 0.15)],
        [(-960, 0.3, 0.55, 0.85), (-800, 0.45, 0.7, 0.92), (-500, 0.85, 0.75, 0.7), (0, 0.9, 0.5, 0.42),
         (300, 0.98, 0.93, 0.84)],
        Lighting(0.35, 0.6, 0.2, 10),
        unit="HU",
    ),
}  # fmt: skip
"""For CT in Hounsfield units."""


def transfer_of(wanted: str | TransferFunction | None, *, unit: str, window: Window | None) -> TransferFunction:
    """The transfer function that an argument names.

    ``window`` is made from the volume's window, for values of any unit; None means bone for Hounsfield units and
    ``window`` for all else.

    Raises
    ------
    InputError
        There is no such preset, or it is for another unit.
    """
    if isinstance(wanted, TransferFunction):
        return wanted
    name = wanted or ("bone" if unit == "HU" else "window")
    if name == "window":
        if window is None:
            raise InputError("A transfer function by window needs a volume that a window shows.")
        return TransferFunction.of_window(window)
    if name not in PRESETS:
        raise InputError(f"There is no preset {name!r}: choose one of {', '.join(PRESETS)}, window.", found=name)
    preset = PRESETS[name]
    if preset.unit != unit:
        raise InputError(
            f"Preset {name} is for {preset.unit}, but these values are in {unit or 'no known unit'}. Use window, or a "
            "TransferFunction of your own.",
            expected=preset.unit,
            found=unit,
        )
    return preset
