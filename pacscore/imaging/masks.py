"""A delineation of something on a volume's grid: a segment of a SEG, a structure of an RTSTRUCT."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


class Mask:
    """One delineated thing, drawn on the grid of a volume when it is first looked at.

    Attributes
    ----------
    label : str
        Segment Label (0062,0005) or ROI Name (3006,0026).
    number : int
        Segment Number (0062,0004) or ROI Number (3006,0022).
    kind : str
        ``SEG`` or ``RTSTRUCT``.
    sop_instance_uid : str
        Of the object that delineates it.
    shape : tuple of int
        Of the volume: ``(slices, rows, columns)``.
    """

    def __init__(
        self,
        label: str,
        number: int,
        *,
        kind: str,
        sop_instance_uid: str,
        shape: tuple[int, int, int],
        draw: Callable[[], NDArray[np.bool_]],
    ) -> None:
        self.label = label
        self.number = number
        self.kind = kind
        self.sop_instance_uid = sop_instance_uid
        self.shape = shape
        self._draw = draw

    def __repr__(self) -> str:
        return f"<Mask {self.number} {self.label!r} of {self.kind} {self.sop_instance_uid}>"

    @cached_property
    def array(self) -> NDArray[np.bool_]:
        """``(slices, rows, columns)``: the voxels whose centres lie inside.

        Raises
        ------
        GeometryError
            It lies across the planes of the grid.
        UndecodableError
            Its frames cannot be decoded.
        """
        drawn = self._draw()
        drawn.flags.writeable = False
        return drawn

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.bool_]:
        """The mask, for ``numpy.asarray``."""
        return np.array(self.array, dtype, copy=copy)  # type: ignore[call-overload,no-any-return]  # A dtype-like.
