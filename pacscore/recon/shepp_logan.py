"""The head of Shepp and Logan, as a table that the phantoms of tomography and of magnetic resonance share."""

from __future__ import annotations

SHEPP_LOGAN = (
    (1.0, 0.69, 0.92, 0.81, 0.0, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.78, 0.0, -0.0184, 0.0, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.22, 0.0, 0.0, -18.0),
    (-0.2, 0.16, 0.41, 0.28, -0.22, 0.0, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.41, 0.0, 0.35, -0.15, 0.0),
    (0.1, 0.046, 0.046, 0.05, 0.0, 0.1, 0.25, 0.0),
    (0.1, 0.046, 0.046, 0.05, 0.0, -0.1, 0.25, 0.0),
    (0.1, 0.046, 0.023, 0.05, -0.08, -0.605, 0.0, 0.0),
    (0.1, 0.023, 0.023, 0.02, 0.0, -0.605, 0.0, 0.0),
    (0.1, 0.023, 0.046, 0.02, 0.06, -0.605, 0.0, 0.0),
)
"""Value, half axes x, y, z, centre x, y, z, degrees from x toward y; in halves of the field of view. The face looks
toward rising y.

In the plane Shepp and Logan 1974, IEEE Trans. Nucl. Sci. 21(3), with the contrast of Toft 1996; along z as the common
3-D version has it.
"""
