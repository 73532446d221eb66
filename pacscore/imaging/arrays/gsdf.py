"""The Grayscale Standard Display Function: luminance steps that an eye can just tell, and levels for them.

PS3.14: a just-noticeable difference (JND) index of 1 stands for 0.05 cd/m², one of 1023 for 3993.404. P-Values are
linear in the JND index between the luminance of a display's darkest and brightest level; Digital Driving Levels (DDLs)
are what the display takes.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import InputError

JND_MAX = 1023.0
LUMINANCE_LIMITS_CD_M2 = (0.05, 3993.404)
"""Of the function: JND index 1 and 1023."""

# PS3.14 section 7.1, equation 7-1: log10 of the luminance as a quotient of polynomials in ln j.
_NUMERATOR = (-1.3011877, 8.0242636e-2, 1.3646699e-1, -2.5468404e-2, 1.3635334e-3)
_DENOMINATOR = (1.0, -2.5840191e-2, -1.0320229e-1, 2.8745620e-2, -3.1978977e-3, 1.2992634e-4)
# Equation 7-2: j as a polynomial in log10 of the luminance.
_INVERSE = (
    71.498068,
    94.593053,
    41.912053,
    9.8247004,
    0.28175407,
    -1.1878455,
    -0.18014349,
    0.14710899,
    -0.017046845,
)


def luminance_of_jnd(jnd: ArrayLike) -> NDArray[np.float64]:
    """Luminance in cd/m² of JND indices.

    Raises
    ------
    InputError
        An index is outside 1 to 1023.

    Examples
    --------
    >>> np.round(luminance_of_jnd([1, 1023]), 2)
    array([5.00000e-02, 3.99333e+03])
    """
    index = np.asarray(jnd, np.float64)
    if not ((index >= 1) & (index <= JND_MAX)).all():
        raise InputError("A JND index is 1 to 1023 (PS3.14 section 7).")
    logarithm = np.log(index)
    above, below = polynomial.polyval(logarithm, _NUMERATOR), polynomial.polyval(logarithm, _DENOMINATOR)
    return np.asarray(10.0 ** (above / below), np.float64)


def jnd_of_luminance(luminance_cd_m2: ArrayLike) -> NDArray[np.float64]:
    """JND index of luminances in cd/m²; the inverse of ``luminance_of_jnd`` to 0.1 of an index.

    Raises
    ------
    InputError
        A luminance is outside 0.05 to 3993.404 cd/m².
    """
    luminance = np.asarray(luminance_cd_m2, np.float64)
    low, high = LUMINANCE_LIMITS_CD_M2
    if not ((luminance >= low * 0.999) & (luminance <= high * 1.001)).all():
        raise InputError(f"The standard function is defined for {low} to {high} cd/m² (PS3.14 section 7).")
    return np.asarray(polynomial.polyval(np.log10(luminance), _INVERSE), np.float64)


def ddl_of_p_values(luminances_cd_m2: ArrayLike, *, p_bits: int = 8, ambient_cd_m2: float = 0.0) -> NDArray[np.uint16]:
    """The table that makes a display follow the standard function: a DDL for each P-Value.

    Parameters
    ----------
    luminances_cd_m2 : array-like
        ``(levels,)`` measured luminance of each DDL, rising, from level 0 on.
    p_bits : int
        Of the P-Values, 1 to 16.
    ambient_cd_m2 : float
        Luminance that the room adds, where the measurement was without.

    Returns
    -------
    NDArray of uint16
        ``(2**p_bits,)`` for each P-Value the level whose luminance lies nearest in JND indices.

    Raises
    ------
    InputError
        Luminances do not rise, or lie outside the function's range.

    Notes
    -----
    PS3.14 Annex C; the P-Values are spread evenly over the JND indices between the darkest and the brightest level.
    """
    levels = _jnd_of_levels(luminances_cd_m2, ambient_cd_m2)
    if not 1 <= p_bits <= 16:
        raise InputError(f"P-Values have 1 to 16 bits, not {p_bits}.", found=p_bits)
    wanted = np.linspace(levels[0], levels[-1], 1 << p_bits)
    above = np.clip(np.searchsorted(levels, wanted), 1, len(levels) - 1)
    nearer = wanted - levels[above - 1] <= levels[above] - wanted
    return np.asarray(np.where(nearer, above - 1, above), np.uint16)


def p_values_of_ddl(luminances_cd_m2: ArrayLike, *, p_bits: int = 8, ambient_cd_m2: float = 0.0) -> NDArray[np.uint16]:
    """The P-Value that each DDL of a measured display shows: ``(levels,)`` uint16; arguments as ``ddl_of_p_values``."""
    levels = _jnd_of_levels(luminances_cd_m2, ambient_cd_m2)
    if not 1 <= p_bits <= 16:
        raise InputError(f"P-Values have 1 to 16 bits, not {p_bits}.", found=p_bits)
    share = (levels - levels[0]) / (levels[-1] - levels[0])
    return np.asarray(np.floor(share * ((1 << p_bits) - 1) + 0.5), np.uint16)


def _jnd_of_levels(luminances_cd_m2: ArrayLike, ambient_cd_m2: float) -> NDArray[np.float64]:
    luminances = np.asarray(luminances_cd_m2, np.float64)
    if luminances.ndim != 1 or not 2 <= len(luminances) <= 65536 or not (np.diff(luminances) > 0).all():
        raise InputError("Give the luminance of each level of a display, at least two, rising.", found=luminances.shape)
    return jnd_of_luminance(luminances + ambient_cd_m2)
