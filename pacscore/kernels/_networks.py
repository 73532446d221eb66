"""Sorting networks over vectors: many sorted lists at once, one in each lane.

A list is a tuple of vectors of ``_vector``; its entries ascend in every lane. Like those names, each of these stands
for an operation that is made when a kernel using it is compiled, and for its twin where the compiler is off.
Comparisons whose outcome nobody uses cost nothing: the compiler removes them, so ``merge(a, b)[4:14]`` computes only
what ten ranks need.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from pacscore.kernels import _vector_twins as twins
from pacscore.kernels._compile import Foreign

Compare = Callable[[Any, Any], Any]


def merged(smaller: Compare, larger: Compare, a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
    """One sorted list of two, of any lengths.

    Batcher's odd-even merge (Knuth, The Art of Computer Programming 3, 5.3.4): entries at even places are merged, then
    those at odd places, then neighbours are compared.
    """
    if not a or not b:
        return [*a, *b]
    if len(a) == len(b) == 1:
        return [smaller(a[0], b[0]), larger(a[0], b[0])]
    even = merged(smaller, larger, a[0::2], b[0::2])
    odd = merged(smaller, larger, a[1::2], b[1::2])
    result = [even[0]]
    pairs = min(len(odd), len(even) - 1)
    for place in range(pairs):
        result += [smaller(odd[place], even[place + 1]), larger(odd[place], even[place + 1])]
    return result + odd[pairs:] + even[pairs + 1 :]


def of_rank(smaller: Compare, larger: Compare, a: Sequence[Any], b: Sequence[Any]) -> Any:
    """The largest entry of ``a`` that can be meant when ``a`` holds as many ranks as ``b`` has entries, and one more.

    It is the entry of that rank in the union: with ``j`` entries of ``b`` below it, ``a`` gives entry ``len(b) - j``,
    and the smallest of the larger ones of both is the wanted one.
    """
    result = a[len(b)]
    for count in range(1, len(b) + 1):
        result = smaller(result, larger(a[len(b) - count], b[count - 1]))
    return result


def _operation(name: str, twin: Callable[..., Any], *parameters: Any) -> Any:
    def load() -> Any:
        import numba

        if numba.config.DISABLE_JIT:
            return twin
        from pacscore.kernels import _network_code

        return getattr(_network_code, name)(*parameters)

    return Foreign(load)


@functools.cache
def load_list_of(lanes: int, count: int) -> Any:
    """``(array, index, stride)`` → the list of ``count`` vectors that begin at ``index``, ``index + stride``, …"""
    load = twins.load(lanes)
    return _operation(
        "load_list",
        lambda array, index, stride: tuple(load(array, index + place * stride) for place in range(count)),
        lanes,
        count,
    )


def _store_list(array: Any, index: int, stride: int, vectors: Sequence[Any]) -> None:
    for place, vector in enumerate(vectors):
        twins.store(array, index + place * stride, vector)


store_list = _operation("store_list", _store_list)
"""``(array, index, stride, list)``: the opposite of ``load_list_of``."""
merge = _operation("merge", lambda a, b: tuple(merged(twins.minimum, twins.maximum, a, b)))
"""``(a, b)`` → both lists as one sorted list."""
select_rank = _operation("select_rank", lambda a, b: of_rank(twins.minimum, twins.maximum, a, b))
"""``(a, b)`` → the entry of rank ``first + len(b)`` in the union of ``b`` and the list that ``a`` is a part of: the
entries from rank ``first`` on, one more than ``b`` has."""
