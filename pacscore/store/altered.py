"""Counting words that are not their stored values: what readers change by masking to Bits Stored (PS3.5 8.1.1).

Arrays hold words as they came. Where a frame has none that masking would alter, readers need not mask it; where it
has, something lies beside the stored values: an overlay of old, rubbish, or a sign that was not extended.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels.pixels import count_altered_words, count_outside_into
from pacscore.store.plan import ObjectPlan, StoredBits

_WHOLE = 64


def count_altered(plan: ObjectPlan, data: bytes | memoryview) -> NDArray[np.int64]:
    """Count, for each frame of an object whose words go into arrays, those that masking alters.

    Parameters
    ----------
    plan
        Its treatment is ARRAY; its frames are equally long and fill the pixel value but for the pad.
    data
        The whole object.

    Returns
    -------
    (frames,) int64
    """
    frames = len(plan.positions)
    counts = np.zeros(frames, np.int64)
    bits, length = plan.stored_bits, plan.pixel_length - plan.pad
    if bits is None or not length:
        return counts
    kind = np.dtype(f"{'i' if bits.signed else 'u'}{bits.word_bits // 8}")
    words = np.frombuffer(data, kind, length // kind.itemsize, plan.header_length).reshape(frames, -1)
    if plan.swap:
        words = words.byteswap()
    words.flags.writeable = False  # The one form the kernels are specialised for.
    if bits.shift == 0 and bits.word_bits < _WHOLE:
        low, high = bits.value_range
        count_outside_into(words, low, high, counts)
        return counts
    if bits.word_bits == _WHOLE:  # The kernel computes in int64, whatever their sign.
        words = words.view(np.int64)
    mask, sign = _masks(bits)
    for frame in range(frames):
        counts[frame] = count_altered_words(words[frame], bits.shift, mask, sign)
    return counts


def _masks(bits: StoredBits) -> tuple[int, int]:
    """The lowest ``bits`` set, and the sign bit among them or 0."""
    return (1 << bits.stored) - 1, 1 << (bits.stored - 1) if bits.signed else 0
