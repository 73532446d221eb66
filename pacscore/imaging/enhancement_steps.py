"""What can be done to the pixels of a volume or image, as frozen values: one class per step, its fields the parameters.

Each has ``filtered(values, spacing_mm, watch)``, which works on ``(rows, columns)`` or ``(slices, rows, columns)``
modality values, and ``words()``, the derivation for people. ``UNIT`` says what becomes of the values' unit: ``{}`` is
the unit it was, and anything else means that the old windows no longer fit. Millimetres become samples here, axis by
axis, so that unequal spacing is respected. ``planar`` takes each slice by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError
from pacscore.imaging import arrays
from pacscore.imaging.arrays import Watch

SAME_UNIT = "{}"
PER_MM = "{}/mm"
PER_MM2 = "{}/mm2"
NO_UNIT = ""
_CLAHE_STEPS = 4096
"""Into how many steps CLAHE sorts floats and integers of a wide range: as many as a detector of 12 bits has."""

Values = NDArray[Any]
Spacing = tuple[float | None, ...] | None
"""Millimetres between slices, rows, columns, or between rows and columns; None where not known."""


class Enhancement(Protocol):
    """A step with its parameters."""

    UNIT: ClassVar[str]

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """The values after the step, of the same shape."""
        ...

    def words(self) -> str:
        """What was done, for people."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaussian:
    """Smooth by a Gaussian of ``sigma_mm``; see ``arrays.gaussian``."""

    UNIT: ClassVar[str] = SAME_UNIT
    sigma_mm: float = 1.0
    planar: bool = False

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """As float32."""
        return arrays.gaussian(values, _samples(self.sigma_mm, values, spacing_mm, self.planar), watch=watch)

    def words(self) -> str:
        """Its sigma."""
        return f"Gaussian, sigma {self.sigma_mm:g} mm{_planar(self.planar)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Smooth by the mean of ``size`` samples along each axis; see ``arrays.box``."""

    UNIT: ClassVar[str] = SAME_UNIT
    size: int = 3
    planar: bool = False

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """As float32."""
        return arrays.box(values, _window(self.size, values, self.planar), watch=watch)

    def words(self) -> str:
        """Its size."""
        return f"box mean {self.size}{_planar(self.planar)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Median:
    """The median of ``size`` samples along each axis; see ``arrays.median``."""

    UNIT: ClassVar[str] = SAME_UNIT
    size: int = 3
    planar: bool = False

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """In the values' dtype."""
        return arrays.median(values, _window(self.size, values, self.planar), watch=watch)

    def words(self) -> str:
        """Its size."""
        return f"median {self.size}{_planar(self.planar)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """The value at a rank among ``size`` samples along each axis: 0 percent the smallest; see ``arrays.rank``."""

    UNIT: ClassVar[str] = SAME_UNIT
    percent: float
    size: int = 3
    planar: bool = False

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """In the values' dtype."""
        size = _window(self.size, values, self.planar)
        return arrays.rank(values, size, percent=self.percent, watch=watch)

    def words(self) -> str:
        """Its rank and size."""
        return f"rank {self.percent:g} % of {self.size}{_planar(self.planar)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsharp:
    """Sharpen by ``amount`` times the difference from a Gaussian, where above ``threshold``; see ``arrays.unsharp``."""

    UNIT: ClassVar[str] = SAME_UNIT
    sigma_mm: float = 1.0
    amount: float = 1.0
    threshold: float = 0.0
    planar: bool = False

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """As float32."""
        sigma = _samples(self.sigma_mm, values, spacing_mm, self.planar)
        return arrays.unsharp(values, sigma, amount=self.amount, threshold=self.threshold, watch=watch)

    def words(self) -> str:
        """Its parameters."""
        return f"unsharp mask, sigma {self.sigma_mm:g} mm, amount {self.amount:g}{_planar(self.planar)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sobel:
    """Magnitude of the gradient, per millimetre; see ``arrays.sobel``."""

    UNIT: ClassVar[str] = PER_MM
    planar: bool = False

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """As float32."""
        spacing = _spacing(values, spacing_mm, planar=self.planar)
        return arrays.sobel(values, spacing, planar=self.planar, watch=watch)

    def words(self) -> str:
        """Its name."""
        return f"Sobel gradient magnitude{_planar(self.planar)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Laplacian:
    """Sum of second differences, per square millimetre; see ``arrays.laplacian``."""

    UNIT: ClassVar[str] = PER_MM2
    planar: bool = False

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """As float32."""
        spacing = _spacing(values, spacing_mm, planar=self.planar)
        return arrays.laplacian(values, spacing, planar=self.planar, watch=watch)

    def words(self) -> str:
        """Its name."""
        return f"Laplacian{_planar(self.planar)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bilateral:
    """Smooth within regions that differ by ``sigma_value``, in the values' unit; see ``arrays.bilateral``."""

    UNIT: ClassVar[str] = SAME_UNIT
    sigma_value: float
    sigma_mm: float = 1.5
    planar: bool = False

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """As float32."""
        sigma = _samples(self.sigma_mm, values, spacing_mm, self.planar)
        return arrays.bilateral(values, sigma, sigma_value=self.sigma_value, watch=watch)

    def words(self) -> str:
        """Its sigmas."""
        return f"bilateral, sigma {self.sigma_mm:g} mm and {self.sigma_value:g}{_planar(self.planar)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NonLocalMeans:
    """Average what looks alike: ``strength`` in the values' unit; see ``arrays.nlm``."""

    UNIT: ClassVar[str] = SAME_UNIT
    strength: float
    patch: int = 5
    search: int = 5
    noise: float = 0.0
    planar: bool = False

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """As float32."""
        flat = self.planar and values.ndim == 3
        patch, search = (
            ((1, self.patch, self.patch), (0, self.search, self.search)) if flat else (self.patch, self.search)
        )
        return arrays.nlm(values, strength=self.strength, patch=patch, search=search, noise=self.noise, watch=watch)

    def words(self) -> str:
        """Its parameters."""
        return (
            f"non-local means, strength {self.strength:g}, patch {self.patch}, search {self.search}"
            f"{_planar(self.planar)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Equalize:
    """Equalise the histogram of all values together, within their range; see ``arrays.equalize``."""

    UNIT: ClassVar[str] = NO_UNIT

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """As float32."""
        return arrays.equalize(values) if values.size else values

    def words(self) -> str:
        """Its name."""
        return "histogram equalisation"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatchHistogram:
    """Give the values the distribution of ``reference``; ``said`` names it. See ``arrays.match_histogram``."""

    UNIT: ClassVar[str] = SAME_UNIT
    reference: NDArray[Any] | arrays.Histogram
    said: str = "a reference"

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """As float32."""
        return arrays.match_histogram(values, self.reference) if values.size else values

    def words(self) -> str:
        """What it was matched to."""
        return f"histogram matched to {self.said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clahe:
    """CLAHE of each plane, within the range of all values; see ``arrays.clahe``.

    Whole numbers are levels as they are; floats, and wider ranges than 65536, are sorted into 4096 steps.
    """

    UNIT: ClassVar[str] = NO_UNIT
    clip: float = 2.0
    tiles: int = 8

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """As float32."""
        result = np.empty(values.shape, np.float32)
        if not values.size:
            return result
        low, high = float(values.min()), float(values.max())
        whole = values.dtype.kind in "iu" and high - low < 1 << 16
        levels = max(int(high - low) + 1, 2) if whole else _CLAHE_STEPS
        step = 1.0 if whole else (high - low) / (levels - 1) or 1.0

        def equalized(plane: Values, inner: Watch) -> Values:
            words = np.rint((plane.astype(np.float64) - low) / step).astype(np.uint16)
            tiles = (min(self.tiles, plane.shape[0]), min(self.tiles, plane.shape[1]))
            return arrays.clahe(words, clip=self.clip, tiles=tiles, levels=levels, watch=inner)

        _plane_by_plane(values, result, equalized, "CLAHE", watch)
        result *= np.float32(step)
        result += np.float32(low)
        return result

    def words(self) -> str:
        """Its parameters."""
        return f"CLAHE, clip {self.clip:g}, {self.tiles} x {self.tiles} tiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gamma:
    """Bend the range from ``low`` to ``high`` by a power; see ``arrays.gamma``."""

    UNIT: ClassVar[str] = NO_UNIT
    exponent: float
    low: float | None = None
    high: float | None = None

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """As float32."""
        return arrays.gamma(values, self.exponent, low=self.low, high=self.high, watch=watch) if values.size else values

    def words(self) -> str:
        """Its exponent."""
        return f"gamma {self.exponent:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """Multi-scale contrast of each plane, for radiographs; see ``arrays.amplify_detail``."""

    UNIT: ClassVar[str] = NO_UNIT
    exponent: float = 0.7
    core: float = 0.01
    base: float = 1.0

    def filtered(self, values: Values, spacing_mm: Spacing, watch: Watch) -> Values:
        """As float32."""
        result = np.empty(values.shape, np.float32)

        def amplified(plane: Values, inner: Watch) -> Values:
            return arrays.amplify_detail(plane, exponent=self.exponent, core=self.core, base=self.base, watch=inner)

        _plane_by_plane(values, result, amplified, "detail", watch)
        return result

    def words(self) -> str:
        """Its parameters."""
        return f"multi-scale contrast, exponent {self.exponent:g}, core {self.core:g}"


STEPS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "bilateral": Bilateral,
        "box": Box,
        "clahe": Clahe,
        "detail": Detail,
        "equalize": Equalize,
        "gamma": Gamma,
        "gaussian": Gaussian,
        "laplacian": Laplacian,
        "median": Median,
        "nlm": NonLocalMeans,
        "rank": Rank,
        "sobel": Sobel,
        "unsharp": Unsharp,
    }
)
"""The steps that a name and plain parameters describe."""


def _plane_by_plane(
    values: Values, out: Values, function: Callable[[Values, Watch], Values], phase: str, watch: Watch
) -> None:
    """Fill ``out`` plane by plane; each plane has all threads, and progress counts planes."""
    if not values.size:
        return
    planes = values.reshape(-1, *values.shape[-2:])
    inner = replace(watch, progress=None)
    for number, (plane, target) in enumerate(zip(planes, out.reshape(planes.shape), strict=True), 1):
        target[...] = function(plane, inner)
        if watch.progress is not None:
            watch.progress(phase, number, len(planes))


def _planar(planar: bool) -> str:
    return ", each slice by itself" if planar else ""


def _window(size: int, values: Values, planar: bool) -> tuple[int, ...]:
    return (1, size, size) if planar and values.ndim == 3 else (size,) * values.ndim


def _spacing(values: Values, spacing_mm: Spacing, *, planar: bool) -> tuple[float, ...]:
    """Millimetres along each axis; 1 along slices that are not looked across.

    Raises
    ------
    GeometryError
        One that is needed is not known.
    """
    known = spacing_mm or (None,) * values.ndim
    across = values.ndim == 3 and (planar or values.shape[0] == 1)
    needed = tuple(1.0 if across and axis == 0 else step for axis, step in enumerate(known))
    if any(step is None for step in needed):
        raise GeometryError(
            "Millimetres mean nothing here: the spacing "
            + ("between slices" if needed[-1] is not None else "of the pixels")
            + " is not known. Use planar = true if only that between slices is missing, or the functions of "
            "pacscore.imaging.arrays, which count samples."
        )
    return tuple(float(step) for step in needed if step is not None)


def _samples(sigma_mm: float, values: Values, spacing_mm: Spacing, planar: bool) -> tuple[float, ...]:
    """Sigma in samples along each axis, 0 along slices that are taken by themselves."""
    spacing = _spacing(values, spacing_mm, planar=planar)
    flat = planar and values.ndim == 3
    return tuple(0.0 if flat and axis == 0 else sigma_mm / step for axis, step in enumerate(spacing))
