"""Steps of pipelines that change the grid of a volume, or how its values are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from pacscore.errors import InputError
from pacscore.imaging import regridding, windowing
from pacscore.imaging.arrays import Watch
from pacscore.imaging.values import Window

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume


@dataclass(frozen=True, slots=True)
class Resample:
    """Another spacing between voxels, the same body: one number for all axes, or slice, row, column; mm."""

    spacing_mm: float | tuple[float, ...]
    interpolation: str = "linear"

    def apply(self, volume: Volume, watch: Watch) -> Volume:
        """The volume on its new grid."""
        return regridding.resample(
            volume, self.spacing_mm, interpolation=self.interpolation, progress=watch.progress, cancel=watch.cancel
        )


@dataclass(frozen=True, slots=True)
class Rectify:
    """Slices moved within their planes until gantry tilt is gone."""

    interpolation: str = "linear"

    def apply(self, volume: Volume, watch: Watch) -> Volume:
        """The volume without tilt."""
        return regridding.rectified(
            volume, interpolation=self.interpolation, progress=watch.progress, cancel=watch.cancel
        )


@dataclass(frozen=True, slots=True)
class ApplyWindow:
    """Display values of a window: a preset by name, or a center and a width in the modality's unit.

    Raises
    ------
    InputError
        One of center and width is given without the other, or both beside a preset.
    """

    preset: str | None = None
    center: float | None = None
    width: float | None = None
    bits: int = 8

    def __post_init__(self) -> None:
        if (self.center is None) != (self.width is None) or (self.preset is not None and self.center is not None):
            raise InputError("A window is a preset, or center and width together, or none for the header's own.")

    def apply(self, volume: Volume, watch: Watch) -> Volume:
        """The volume of display values."""
        chosen: Window | str | None = self.preset
        if self.center is not None and self.width is not None:
            chosen = Window(self.center, self.width)
        return windowing.window(volume, chosen, bits=self.bits, progress=watch.progress, cancel=watch.cancel)


STEPS: Mapping[str, type[Resample] | type[Rectify] | type[ApplyWindow]] = MappingProxyType(
    {"resample": Resample, "rectify": Rectify, "window": ApplyWindow}
)
"""The steps by name."""


def apply_step(volume: Volume, step: Resample | Rectify | ApplyWindow, watch: Watch) -> Volume:
    """What the step makes of the volume."""
    watch.check()
    return step.apply(volume, watch)
