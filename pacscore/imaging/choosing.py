"""One volume out of several: an index along some of the extra axes of a stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pacscore.errors import InputError, SelectionError
from pacscore.imaging.sources import PartOfSource

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume


def at(volume: Volume, indices: Mapping[str, int] | None = None, /, **by_name: int) -> Volume:
    """Choose one index along some of the extra axes: ``volume.at(time=3)``.

    Parameters
    ----------
    indices, **by_name
        Index along each named axis, negative from the end; axes that are not named stay.

    Raises
    ------
    InputError
        There is no such axis.
    SelectionError
        The index is outside it.
    """
    wanted = {**(indices or {}), **by_name}
    names = [axis.name for axis in volume.axes]
    if unknown := set(wanted) - set(names):
        raise InputError(f"There is no axis {sorted(unknown)[0]!r}: this stack has {names or 'none'}.", found=names)
    fixed: list[int | None] = []
    for axis, length in zip(volume.axes, volume.shape, strict=False):
        index = wanted.get(axis.name)
        if index is not None and not -length <= index < length:
            raise SelectionError(f"Index {index} is outside axis {axis.name}, whose length is {length}.")
        fixed.append(None if index is None else index % length)
    lead = volume.shape[: len(volume.axes) + 1]
    kept = np.arange(volume.frame_count).reshape(lead)
    kept = kept[tuple(slice(None) if index is None else index for index in fixed)].reshape(-1)
    return replace(
        volume,
        source=PartOfSource(volume.source, fixed),
        stored=volume.stored.frames(kept),
        rescale=volume.rescale.frames(kept),
        presentation=volume.presentation.frames(kept),
        axes=tuple(axis for axis, index in zip(volume.axes, fixed, strict=True) if index is None),
        sop_instance_uids=tuple(volume.sop_instance_uids[place] for place in kept) if volume.sop_instance_uids else (),
    )
