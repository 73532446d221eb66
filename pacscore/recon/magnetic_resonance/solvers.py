"""Iterative solvers for ``min |A x - y|²`` with penalties, on complex images.

They know ``A' A`` and ``A' y`` alone. Every solver can be watched, cancelled and stopped by its callback, and keeps the
curve of its residuals. Memory: the stated number of images beside what the operator needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import mr_coils

Complex64 = NDArray[np.complex64]

Operator: TypeAlias = Callable[[Complex64], Complex64]
Callback: TypeAlias = Callable[[int, Complex64, float], "bool | None"]
"""Called after each iteration as ``callback(iteration, image, residual)``; a true answer ends the work. The image is
the solver's own: copy what is to be kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """What an iterative solver found.

    Attributes
    ----------
    image : NDArray of complex64
    residuals : NDArray of float64
        One per iteration. Conjugate gradients: the norm of the normal equations' residual over that of their right
        side. FISTA: the norm of the last change over that of the image.
    stopped : str
        Why it ended: ``tolerance``, ``iterations`` or ``callback``.
    """

    image: Complex64
    residuals: NDArray[np.float64]
    stopped: str

    @property
    def iterations(self) -> int:
        """How many were done."""
        return len(self.residuals)


@dataclass(frozen=True, slots=True)
class Stopping:
    """When a solver ends.

    Attributes
    ----------
    iterations : int
        At most, at least 1.
    tolerance : float
        It ends once the residual (see ``Solution``) is at most this; 0 to run all iterations.
    callback : callable, optional
        See ``Callback``.

    Raises
    ------
    InputError
        A number is out of range.
    """

    iterations: int = 30
    tolerance: float = 1e-6
    callback: Callback | None = None

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise InputError("iterations is at least 1.", found=self.iterations)
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise InputError("tolerance is 0 or more.", found=self.tolerance)

    def reason(self, iteration: int, image: Complex64, residual: float) -> str:
        """Why to end after this iteration, or an empty text."""
        if self.callback is not None and self.callback(iteration, image, residual):
            return "callback"
        if residual <= self.tolerance:
            return "tolerance"
        return "iterations" if iteration == self.iterations else ""


def conjugate_gradient(
    normal: Operator,
    rhs: Complex64,
    *,
    regularization: float = 0.0,
    start: Complex64 | None = None,
    stopping: Stopping | None = None,
    watch: Watch = UNWATCHED,
) -> Solution:
    """Solve ``(A' A + regularization) x = A' y``.

    Parameters
    ----------
    normal : callable
        ``A' A``, returning a new array.
    rhs : NDArray of complex64
        ``A' y``, any shape.
    regularization : float
        Weight of ``|x|²``, 0 or more.
    start : NDArray of complex64, optional
        Where to begin; zero by default.
    stopping : Stopping, optional
        30 iterations or a residual of 1e-6 by default.
    watch : Watch
        Progress (one step per iteration) and cancellation.

    Returns
    -------
    Solution

    Raises
    ------
    InputError
        The weight is negative, or ``start`` has another shape.
    CancelledError
        The watch says so.

    Notes
    -----
    Hestenes and Stiefel 1952. Memory: four images.
    """
    ends = stopping or Stopping()
    _check_weight(regularization)
    solution = _start(start, rhs)
    residual = np.array(rhs)
    if start is not None:
        residual -= normal(solution) + np.float32(regularization) * solution
    direction = residual.copy()
    scale = float(np.linalg.norm(rhs))
    squares = float(np.linalg.norm(residual)) ** 2
    if squares == 0 or scale == 0:
        return Solution(solution, np.zeros(0), "tolerance")
    flat = solution.reshape(-1), residual.reshape(-1), direction.reshape(-1)
    curve: list[float] = []
    reason = ""
    while not reason:
        watch.check()
        image = normal(direction)
        if regularization:
            image += np.float32(regularization) * direction
        curvature = float(np.vdot(direction, image).real)
        if curvature <= 0:  # The direction is one that the operator does not see: nothing more can be gained.
            curve.append(curve[-1] if curve else 1.0)
            reason = "tolerance"
            break
        step = np.float32(squares / curvature)
        remaining = float(mr_coils.descend_into(step, flat[2], image.reshape(-1), flat[0], flat[1]))
        mr_coils.turn_into(flat[1], np.float32(remaining / squares), flat[2])
        squares = remaining
        curve.append(math.sqrt(squares) / scale)
        if watch.progress is not None:
            watch.progress("conjugate gradients", len(curve), ends.iterations)
        reason = ends.reason(len(curve), solution, curve[-1])
        if squares == 0:
            reason = reason or "tolerance"
    return Solution(solution, np.array(curve), reason)


def fista(
    normal: Operator,
    rhs: Complex64,
    proximal: Callable[[Complex64, float], Complex64],
    *,
    lipschitz: float,
    start: Complex64 | None = None,
    stopping: Stopping | None = None,
    watch: Watch = UNWATCHED,
) -> Solution:
    """Minimise ``|A x - y|² / 2 + g(x)`` for a convex penalty g.

    Parameters
    ----------
    normal, rhs, start, watch
        As in ``conjugate_gradient``.
    proximal : callable
        ``proximal(x, step)`` returns the minimiser of ``|u - x|² / 2 + step * g(u)``; it may use x up.
    lipschitz : float
        At least the largest eigenvalue of ``A' A``.
    stopping : Stopping, optional
        100 iterations or a change of 1e-5 by default.

    Returns
    -------
    Solution

    Raises
    ------
    InputError
        ``lipschitz`` is not positive, or ``start`` has another shape.
    CancelledError
        The watch says so.

    Notes
    -----
    Beck and Teboulle 2009. Memory: five images.
    """
    ends = stopping or Stopping(iterations=100, tolerance=1e-5)
    if not (math.isfinite(lipschitz) and lipschitz > 0):
        raise InputError("lipschitz is positive.", found=lipschitz)
    step = 1.0 / lipschitz
    old = _start(start, rhs)
    point, lower = old.copy(), np.empty_like(old)
    weight = 1.0
    curve: list[float] = []
    reason = ""
    flat_rhs = rhs.reshape(-1)
    while not reason:
        watch.check()
        image = normal(point)
        mr_coils.gradient_step_into(point.reshape(-1), image.reshape(-1), flat_rhs, np.float32(step), lower.reshape(-1))
        new = proximal(lower, step)
        following = (1.0 + math.sqrt(1.0 + 4.0 * weight * weight)) / 2.0
        momentum = np.float32((weight - 1.0) / following)
        change, size = mr_coils.extrapolate_into(new.reshape(-1), old.reshape(-1), momentum, point.reshape(-1))
        weight = following
        curve.append(math.sqrt(change / size) if size > 0 else 0.0)
        # Used up, the memory below is the new image: what held the old one is free instead.
        lower, old = (old if np.shares_memory(new, lower) else lower), new
        if watch.progress is not None:
            watch.progress("FISTA", len(curve), ends.iterations)
        reason = ends.reason(len(curve), new, curve[-1])
    return Solution(old, np.array(curve), reason)


def largest_eigenvalue(normal: Operator, shape: tuple[int, ...], *, iterations: int = 20, seed: int = 0) -> float:
    """The largest eigenvalue of ``A' A``, by power iteration from a seeded start; rather a little too small."""
    random = np.random.default_rng(seed)
    vector = (random.standard_normal(shape) + 1j * random.standard_normal(shape)).astype(np.complex64)
    value = 0.0
    for _ in range(iterations):
        vector /= np.float32(np.linalg.norm(vector))
        vector = normal(vector)
        value = float(np.linalg.norm(vector))
        if value == 0:
            return 0.0
    return value


def _start(start: Complex64 | None, rhs: Complex64) -> Complex64:
    if start is None:
        return np.zeros_like(rhs)
    if start.shape != rhs.shape:
        raise InputError(f"start has the image's shape {rhs.shape}, not {start.shape}.", found=start.shape)
    return np.array(start, np.complex64, order="C")


def _check_weight(weight: float) -> None:
    if not (math.isfinite(weight) and weight >= 0):
        raise InputError("A regularization weight is 0 or more.", found=weight)
