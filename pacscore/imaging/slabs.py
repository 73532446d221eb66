"""A volume in parts: boxes of whole chunks of slices, about 16 MiB each, and their modality values.

What is counted or compared value by value goes through a stored volume so, and never holds all of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.imaging.arrays import Watch
from pacscore.imaging.sources import Box, everything

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

_SLAB_BYTES = 16 << 20


def slab_boxes(volume: Volume) -> list[Box]:
    """Boxes that cover the volume in the order of its frames; each chunk lies in one of them."""
    lead = len(volume.axes) + 1
    frame, slices = volume.shape[lead:], volume.shape[lead - 1]
    chunk = max(1, volume.source.chunk_shape[lead - 1])
    slab = chunk * max(1, _SLAB_BYTES // max(1, chunk * math.prod(frame) * volume.dtype.itemsize))
    return [
        (
            *(slice(at, at + 1) for at in outer),
            slice(start, min(slices, start + slab)),
            *everything(frame),
        )
        for outer in np.ndindex(*volume.shape[: lead - 1])
        for start in range(0, slices, slab)
    ]


def modality_of(volume: Volume, box: Box, stored: NDArray[Any]) -> NDArray[np.float32]:
    """Modality values of a box whose stored values are given."""
    lead = len(volume.axes) + 1
    places = np.arange(volume.frame_count).reshape(volume.shape[:lead])[box[:lead]].reshape(-1)
    frames = stored.reshape(len(places), *stored.shape[lead:])
    return volume.rescale.frames(places).apply(frames).reshape(stored.shape)


def modality_slabs(volume: Volume, phase: str, watch: Watch) -> Iterator[NDArray[np.float32]]:
    """Modality values, slab after slab."""
    for box in watch.each(phase, slab_boxes(volume)):
        yield modality_of(volume, box, volume.read_box(box))


def mask_between(volume: Volume, low: float, high: float, watch: Watch) -> NDArray[np.bool_]:
    """Where modality values lie between two, both included; slabs are read side by side."""
    inside = np.empty(volume.shape, np.bool_)
    boxes = slab_boxes(volume)

    def compare(start: int, stop: int) -> None:
        for box in boxes[start:stop]:
            values = modality_of(volume, box, volume.read_box(box))
            np.logical_and(values >= low, values <= high, out=inside[box])

    watch.run("comparing", compare, len(boxes))
    return inside
