"""The words that masking to Bits Stored alters are counted, frame by frame, for every kind of word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacscore.store.altered import count_altered
from pacscore.store.plan import ObjectPlan, StoredBits, Treatment
from tests.reference import pixels as twin


def _plan(words: np.ndarray, frames: int, *, header: int, pad: int, swap: bool, bits: StoredBits | None) -> ObjectPlan:
    return ObjectPlan(
        "1.2.3",
        "1.2",
        "1.2.840.10008.1.2.1",
        header + words.nbytes + pad,
        0,
        header,
        words.nbytes + pad,
        0,
        Treatment.ARRAY,
        stack=0,
        positions=tuple(range(frames)),
        swap=swap,
        pad=pad,
        stored_bits=bits,
    )


@pytest.mark.kernel
@settings(deadline=None)  # The first example may compile a kernel.
@given(draw=st.data())
def test_counts_equal_the_twin_for_every_word_type_order_and_place(draw: st.DataObject) -> None:
    allocated = draw.draw(st.sampled_from([8, 16, 32, 64]))
    stored = draw.draw(st.integers(1, allocated - 1))
    high_bit = draw.draw(st.one_of(st.just(stored - 1), st.integers(stored - 1, allocated - 1)))
    signed, swap = draw.draw(st.booleans()), draw.draw(st.booleans())
    frames, count = draw.draw(st.integers(1, 3)), draw.draw(st.integers(1, 9))
    header, pad = draw.draw(st.integers(0, 5)), draw.draw(st.integers(0, 1))
    value = st.one_of(st.integers(0, (1 << allocated) - 1), st.integers(0, (1 << (stored - 1)) - 1))
    raw = draw.draw(st.lists(value, min_size=frames * count, max_size=frames * count))
    words = np.array(raw, f"u{allocated // 8}")
    data = bytes(header) + (words.byteswap() if swap else words).tobytes() + bytes(pad)
    bits = StoredBits(allocated, stored, high_bit + 1 - stored, signed)
    plan = _plan(words, frames, header=header, pad=pad, swap=swap, bits=bits)
    values = words.view(f"{'i' if signed else 'u'}{allocated // 8}").tolist()
    altered = [
        twin.stored_value(word, allocated=allocated, stored=stored, high_bit=high_bit, signed=signed) != value
        for word, value in zip(raw, values, strict=True)
    ]
    expected = np.array(altered).reshape(frames, count).sum(axis=1)
    assert count_altered(plan, data).tolist() == expected.tolist()
    assert count_altered(plan, memoryview(bytearray(data))).tolist() == expected.tolist()


def test_nothing_is_counted_where_every_bit_is_stored() -> None:
    words = np.full(8, 0xFFFF, np.uint16)
    plan = _plan(words, 2, header=0, pad=0, swap=False, bits=None)
    assert count_altered(plan, words.tobytes()).tolist() == [0, 0]
