"""Choosing the codec of a stack by encoding a few samples of its words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pacscore.store.layout import ArrayLayout
from pacscore.store.objects import ObjectReader
from pacscore.store.plan import ObjectPlan
from pacscore.store.shards import address_of, encoded_length
from pacscore.store.strategy import Codec, Strategy

SAMPLE_COUNT = 4
SAMPLE_BYTES = 1 << 20


def choose_codec(
    layouts: Callable[[Codec], ArrayLayout],
    strategy: Strategy,
    *,
    owners: NDArray[np.int64],
    frame_numbers: NDArray[np.int64],
    objects: Sequence[ObjectPlan],
    reader: ObjectReader,
) -> Codec:
    """The codec ``strategy`` takes for this stack; the same for the same words.

    Up to four frames, spread over the stack, are sampled, large ones in their middle. Big-endian words are judged as
    they lie: the order of bytes hardly matters to a shuffle. ``layouts`` gives the layout with each codec.
    """
    layout = layouts(strategy.codec)
    if not strategy.others:
        return strategy.codec
    positions = np.unique(np.linspace(0, len(owners) - 1, min(SAMPLE_COUNT, len(owners))).astype(np.int64))
    chosen = [(int(owners[position]), int(frame_numbers[position])) for position in positions]
    for index, _ in chosen:
        reader.expect(index)
    samples = []
    for index, frame in chosen:
        start, length = _middle(layout)
        offset = objects[index].header_length + frame * layout.frame_bytes + start
        samples.append((memoryview(reader.take(index))[offset : offset + length], index))
    sizes = {strategy.codec: _encoded(samples, layout)}
    raw = sum(len(view) for view, _ in samples)
    if sizes[strategy.codec] > strategy.codec_ratio_max * raw:
        sizes |= {codec: _encoded(samples, layouts(codec)) for codec in strategy.others}
    for _, index in samples:
        reader.release(index)
    best = min(sizes, key=lambda codec: sizes[codec])
    return best if sizes[best] <= (1 - strategy.gain_min) * sizes[strategy.codec] else strategy.codec


def _middle(layout: ArrayLayout) -> tuple[int, int]:
    """Where a sample begins in a frame, and its bytes: whole rows, since predictors look at the row above."""
    row_bytes = math.prod(layout.shape[layout.row_axis + 1 :]) * layout.item_bytes
    rows = layout.frame_bytes // row_bytes
    count = max(1, min(rows, SAMPLE_BYTES // row_bytes))
    return (rows - count) // 2 * row_bytes, count * row_bytes


def _encoded(samples: Sequence[tuple[memoryview, int]], layout: ArrayLayout) -> int:
    return sum(encoded_length(address_of(view), len(view), layout) for view, _ in samples)
