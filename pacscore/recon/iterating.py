"""What all iterative methods share: the state of a run, stop rules, constraints, and passes over large arrays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore import parallel
from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.recon.geometries import check_projections
from pacscore.recon.joseph_rays import Array
from pacscore.recon.projector import Projector

_ITEMS = 1 << 16


@dataclass(frozen=True, slots=True)
class Stop:
    """When to end before the last iteration.

    Attributes
    ----------
    residual : float
        Once the residual, relative to the data, is at most this: the noise's part of the data (discrepancy principle).
    change : float
        Once an iteration lowers the residual by less than this part of it.
    seconds : float
        Once so much time has passed.
    """

    residual: float = 0.0
    change: float = 0.0
    seconds: float = float("inf")


@dataclass(frozen=True, slots=True)
class Progress:
    """What a callback is told after each iteration.

    Attributes
    ----------
    iteration : int
        From 1.
    residual : float
        Of the estimate before this iteration's update, relative to the data.
    volume : callable
        Gives the estimate, (slices, rows, columns) float32, a copy.
    """

    iteration: int
    residual: float
    volume: Callable[[], Array]


@dataclass(frozen=True, slots=True, eq=False)
class Reconstruction:
    """What an iterative method found.

    Attributes
    ----------
    volume : NDArray of float32
        (slices, rows, columns) of the grid.
    residuals : tuple of float
        Relative to the data, of the estimate that each iteration began with; of MLEM and its kin the deviance per
        measurement.
    stopped : str
        ``iterations``, ``residual``, ``change``, ``seconds`` or ``callback``.
    """

    volume: Array
    residuals: tuple[float, ...]
    stopped: str


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """What every iterative method takes by name.

    Attributes
    ----------
    start : NDArray, optional
        (slices, rows, columns) to begin with (a warm start); by default 0, of MLEM and its kin a constant.
    minimum, maximum : float, optional
        Bounds of the values: ``minimum=0`` keeps them from being negative.
    mask : NDArray of bool, optional
        (slices, rows, columns): voxels outside it stay 0.
    stop : Stop
    callback : callable, optional
        Called with a ``Progress`` after each iteration; the run ends once it returns True.
    watch : Watch
        Progress in the phase ``iterating``, and cancellation between iterations; the projector's own watch cancels
        within them.
    """

    start: NDArray[Any] | None = None
    minimum: float | None = None
    maximum: float | None = None
    mask: NDArray[np.bool_] | None = None
    stop: Stop = field(default_factory=Stop)
    callback: Callable[[Progress], bool | None] | None = None
    watch: Watch = UNWATCHED

    @classmethod
    def of(cls, given: dict[str, Any], **defaults: Any) -> Options:
        """From keyword arguments.

        Raises
        ------
        InputError
            One has no meaning.
        """
        unknown = set(given) - set(cls.__slots__)
        if unknown:
            raise InputError(
                f"Iterative methods take {', '.join(cls.__slots__)}: not {', '.join(sorted(unknown))}.",
                found=sorted(unknown),
            )
        return replace(cls(**defaults), **given)


class Run:
    """One run of a method: data and estimate in native layouts, residuals, and when to stop.

    Use ``for _ in run: ...`` around an iteration, which must call ``note`` once, and ``finish`` at the end.
    """

    def __init__(
        self, projections: NDArray[Any], projector: Projector, iterations: int, options: Options, *, fill: float = 0.0
    ) -> None:
        if iterations < 1:
            raise InputError(f"An iterative method needs one iteration or more, not {iterations}.", found=iterations)
        self.projector, self.iterations, self.options = projector, iterations, options
        self.data = projector.native_projections(check_projections(projections, projector.geometry.shape))
        self.allowed = self._allowed()
        if options.start is None:
            self.estimate = projector.new_volume() if fill == 0.0 else self.allowed * np.float32(fill)
        else:
            start = np.asarray(options.start)
            if start.shape != projector.grid.shape or not np.isfinite(start).all():
                raise InputError(f"start must be finite and of the grid's shape {projector.grid.shape}.")
            self.estimate = projector.native_volume(start)
            self.constrain()
        self.residuals: list[float] = []
        self.stopped = "iterations"
        self.scale = max(norm(self.data), 1e-30)

    def _allowed(self) -> Array:
        mask = self.options.mask
        if mask is None:
            inside: NDArray[Any] = np.ones(self.projector.grid.shape, np.float32)
        elif np.shape(mask) != self.projector.grid.shape:
            raise InputError(f"mask must have the grid's shape {self.projector.grid.shape}, not {np.shape(mask)}.")
        else:
            inside = np.asarray(mask, bool)
        return self.projector.native_volume(inside)

    def constrain(self) -> None:
        """Put the estimate within its bounds and mask."""
        low, high = self.options.minimum, self.options.maximum
        if low is None and high is None and self.options.mask is None:
            return

        def step(x: Array, allowed: Array) -> None:
            if low is not None or high is not None:
                np.clip(x, low, high, out=x)
            x *= allowed

        passes(step, self.estimate, self.allowed)

    def __iter__(self) -> Any:
        began = time.perf_counter()
        for number in range(1, self.iterations + 1):
            self.options.watch.check()
            yield number
            if self.options.watch.progress is not None:
                self.options.watch.progress("iterating", number, self.iterations)
            reason = self._ends(number, time.perf_counter() - began)
            if reason:
                self.stopped = reason
                return

    def note(self, residual: float) -> None:
        """Say how large the residual was, relative to the data."""
        self.residuals.append(residual)

    def _ends(self, number: int, seconds: float) -> str:
        stop, found = self.options.stop, self.residuals
        told = Progress(number, found[-1], lambda: self.projector.volume_of(self.estimate))
        if self.options.callback is not None and self.options.callback(told):
            return "callback"
        if found[-1] <= stop.residual:
            return "residual"
        if len(found) > 1 and stop.change > 0 and found[-2] - found[-1] < stop.change * abs(found[-2]):
            return "change"
        return "seconds" if seconds >= stop.seconds else ""

    def finish(self) -> Reconstruction:
        """What was found."""
        return Reconstruction(self.projector.volume_of(self.estimate), tuple(self.residuals), self.stopped)


def passes(step: Callable[..., None], *arrays: Array) -> None:
    """Call ``step`` with pieces of flat arrays small enough for the cache: several operations then cost one pass."""
    flat = [array.reshape(-1) for array in arrays]

    def run(start: int, stop: int) -> None:
        for first in range(start, stop, _ITEMS):
            step(*(each[first : min(stop, first + _ITEMS)] for each in flat))

    parallel.run_tiles(run, flat[0].size, tile=8 * _ITEMS)


def over_views(views: NDArray[np.intp] | None, step: Callable[..., float], *arrays: Array) -> float:
    """Sum what ``step`` returns over pieces of some views of native projections, in a fixed order."""
    if views is None:
        found: dict[int, float] = {}
        first = arrays[0].__array_interface__["data"][0]

        def place(*pieces: Array) -> None:
            found[pieces[0].__array_interface__["data"][0] - first] = step(*pieces)

        passes(place, *arrays)
        return sum(found[key] for key in sorted(found))
    total = 0.0
    for view in views:
        for chunk in range(arrays[0].shape[0] if arrays[0].ndim == 4 else 1):
            where = (chunk, view) if arrays[0].ndim == 4 else (view,)
            total += step(*(each[where].reshape(-1) for each in arrays))
    return total


def dot(a: Array, b: Array) -> float:
    """The inner product: float32 within pieces, float64 between them, in a fixed order."""
    x, y = a.reshape(-1), b.reshape(-1)
    return float(sum(float(x[i : i + _ITEMS] @ y[i : i + _ITEMS]) for i in range(0, x.size, _ITEMS)))


def norm(a: Array) -> float:
    """The Euclidean length."""
    return float(np.sqrt(dot(a, a)))


def reciprocal(sums: Array) -> Array:
    """1 / sums in place; 0 where a sum is next to nothing, as of rays that miss the grid."""
    tiny = np.float32(1e-6) * np.float32(sums.max(initial=0.0))

    def step(x: Array) -> None:
        hit = x > tiny
        np.divide(np.float32(1), x, out=x, where=hit)
        x *= hit

    passes(step, sums)
    return sums


def subsets_of(views: int, count: int) -> list[NDArray[np.intp]]:
    """Views dealt out to subsets evenly, in an order in which consecutive ones lie far apart.

    Raises
    ------
    InputError
        There are more subsets than views.
    """
    if not 1 <= count <= views:
        raise InputError(f"{views} views make 1 to {views} subsets, not {count}.", found=count)
    golden = np.argsort(np.mod(np.arange(count) * 0.6180339887498949, 1.0), kind="stable")
    return [np.arange(int(first), views, count) for first in np.argsort(golden, kind="stable")]
