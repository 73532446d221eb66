"""What is done to line integrals and to reconstructed values: beam hardening, metal, rings, Hounsfield units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore import parallel
from pacscore.errors import InputError
from pacscore.recon.counts import repair_pixels
from pacscore.recon.projector import Projector

Array = NDArray[np.float32]


def linearize(projections: NDArray[Any], coefficients: Sequence[float]) -> Array:
    """Correct beam hardening by a polynomial without constant term, ``c1 p + c2 p² + …``.

    Raises
    ------
    InputError
        There is no coefficient, or the polynomial does not rise over the data's range.
    """
    terms = np.asarray(coefficients, np.float64).reshape(-1)
    values = np.asarray(projections, np.float32)
    if terms.size == 0 or not np.isfinite(terms).all():
        raise InputError("A beam-hardening polynomial has one finite coefficient or more: c1, c2, …")
    highest = float(values.max(initial=0.0))
    slopes = np.polynomial.polynomial.polyval(
        np.linspace(0, max(highest, 0.0), 64), np.polynomial.polynomial.polyder([0.0, *terms])
    )
    if (np.asarray(slopes) <= 0).any():
        raise InputError("The beam-hardening polynomial falls within the range of the data: fit it over this range.")
    result: Array = np.polynomial.polynomial.polyval(values, np.array([0.0, *terms], np.float32)).astype(np.float32)
    return result


def fit_beam_hardening(measured: NDArray[Any], expected: NDArray[Any], *, degree: int = 3) -> tuple[float, ...]:
    """Coefficients for ``linearize`` from line integrals measured and expected of the same rays, by least squares.

    Raises
    ------
    InputError
        The arrays differ in size or are too small for the degree.
    """
    x, y = np.ravel(measured).astype(np.float64), np.ravel(expected).astype(np.float64)
    if x.size != y.size or x.size < degree or degree < 1:
        raise InputError(f"Fitting degree {degree} needs as many measured as expected values, {degree} or more.")
    powers = x[:, None] ** np.arange(1, degree + 1)
    found, *_ = np.linalg.lstsq(powers, y, rcond=None)
    return tuple(found.tolist())


def metal_trace(volume: NDArray[Any], projector: Projector, *, threshold: float) -> NDArray[np.bool_]:
    """Where the shadow of voxels above a threshold falls: (views, rows, columns) bool.

    Raises
    ------
    InputError
        The volume does not fit the projector's grid.
    """
    shadow = projector @ (np.asarray(volume) > threshold).astype(np.float32)
    trace: NDArray[np.bool_] = shadow.reshape(projector.geometry.shape) > 0
    return trace


def interpolate_metal(
    projections: NDArray[Any], volume: NDArray[Any], projector: Projector, *, threshold: float
) -> Array:
    """Projections in which the shadow of metal is interpolated along the rows from both sides.

    Parameters
    ----------
    projections : (views, rows, columns) array
    volume : (slices, rows, columns) array
        A first reconstruction.
    threshold : float
        Values above it are metal.

    Raises
    ------
    InputError
        Shapes do not fit, or metal hides a whole view.

    Notes
    -----
    Kalender, Hebel and Ebersberger 1987, Radiology 164(2). What was metal must be put back into the result.
    """
    return repair_pixels(projections, metal_trace(volume, projector, threshold=threshold))


def hounsfield(values: NDArray[Any], *, water: float, air: float = 0.0) -> Array:
    """Attenuation in Hounsfield units: water becomes 0, air -1000.

    Raises
    ------
    InputError
        Water does not attenuate more than air.
    """
    if not (np.isfinite(water) and np.isfinite(air) and water > air):
        raise InputError(f"Water ({water}) must attenuate more than air ({air}).", found=(water, air))
    scale = np.float32(1000.0 / (water - air))
    return (np.asarray(values, np.float32) - np.float32(water)) * scale


def remove_rings_by_mean(projections: NDArray[Any], *, width: int = 31) -> Array:
    """Remove stripes that last over all views: what the mean over views has beyond its median-smoothed self.

    Parameters
    ----------
    projections : (views, rows, columns) array
        Line integrals.
    width : int
        Columns of the median, odd; wider than the widest stripe, narrower than the object's own shapes.

    Raises
    ------
    InputError
        The width is not an odd number from 3 to the number of columns.

    Notes
    -----
    Rivers 1998. Quick; features of the object that are concentric about the axis suffer too.
    """
    values = np.asarray(projections, np.float32)
    _check_width(width, values)
    mean = values.mean(axis=0, dtype=np.float64)
    stripes = mean - _median_along_columns(mean, width)
    result: Array = values - stripes[None].astype(np.float32)
    return result


def remove_rings_by_sorting(projections: NDArray[Any], *, width: int = 31) -> Array:
    """Remove stripes by smoothing across columns what has the same rank within its column.

    Parameters
    ----------
    projections, width
        As in ``remove_rings_by_mean``.

    Raises
    ------
    InputError
        As in ``remove_rings_by_mean``.

    Notes
    -----
    Vo, Atwood and Drakopoulos 2018, Opt. Express 26(22), algorithm 3. It also takes stripes whose strength depends on
    the value, and leaves the object's own shapes better than a mean.
    """
    values = np.asarray(projections, np.float32)
    _check_width(width, values)
    result = np.empty(values.shape, np.float32)

    def run(start: int, stop: int) -> None:
        for row in range(start, stop):
            sinogram = values[:, row]
            order = np.argsort(sinogram, axis=0, kind="stable")
            smooth = _median_along_columns(np.take_along_axis(sinogram, order, axis=0), width)
            back = np.empty_like(smooth)
            np.put_along_axis(back, order, smooth, axis=0)
            result[:, row] = back

    parallel.run_tiles(run, values.shape[1])
    return result


def _check_width(width: int, values: Array) -> None:
    if values.ndim != 3:
        raise InputError(f"Projections are (views, rows, columns), not of shape {values.shape}.", found=values.shape)
    if not (3 <= width <= values.shape[2] and width % 2):
        raise InputError(f"width is an odd number of columns from 3 to {values.shape[2]}: {width} is none.")


def _median_along_columns(values: NDArray[Any], width: int) -> NDArray[Any]:
    half = width // 2
    padded = np.pad(values, ((0, 0), (half, half)), mode="reflect" if half < values.shape[1] else "edge")
    result = np.empty_like(values)
    for row in range(values.shape[0]):
        result[row] = np.median(np.lib.stride_tricks.sliding_window_view(padded[row], width), axis=-1)
    return result
