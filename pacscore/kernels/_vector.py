"""The vocabulary of portable vector operations: a few lanes computed at once, inside kernels.

A vector is a value of 2 to 64 equal lanes, a power of two of them: 8 of float32, 16 of int16, what the formula needs.
LLVM turns it into the registers at hand (AVX2, NEON, two of half the width), so nothing here names a machine. It pays
where loops do not vectorise by themselves: gathers, saturation, sorting networks, early exits. Elsewhere loops do.

V1  Importing this module imports no Numba (K1): a name below becomes an operation when a kernel using it is compiled.
V2  With the compiler off (``NUMBA_DISABLE_JIT=1``) each name is its scalar twin: a vector then is a small NumPy array
    of shape ``(lanes,)``. Both give equal lanes, bit for bit, where the kernel has no ``fastmath``.
V3  Loads and stores are not bounds-checked when compiled; the twin raises ``IndexError``. Indices count elements of the
    C-contiguous array from its first, whatever its rank. No array need be aligned beyond its items.
V4  Vectors never leave kernels: no argument or result of a function called from Python, no item of an array. An
    ``inline`` kernel may take and return them.

Vectors of one dtype and lane count combine by ``+ - * /`` (``/``: floats), ``& | ^ << >>`` (integers and masks; ``>>``
is arithmetic where signed), ``< <= > >= == !=`` (a mask), ``-`` and ``~`` in front. A scalar beside a vector must have
exactly its dtype: ``v * np.float32(2)``; mixed dtypes do not compile: convert first. Integers wrap. Write
``x = x + y``, not ``x += y``, which does not compile: interpreted it would change every name of the same array.

Examples
--------
Name what is used at the top of the kernels' module; an operation works for every dtype and, unless its factory fixed
them, any number of lanes::

    from pacscore.kernels._vector import convert_to, load_of, maximum, splat_of, store

    load8, splat8, to_float32 = load_of(8), splat_of(8), convert_to("float32")

    @kernel
    def scale_into(words: NDArray[np.int16], slope: float, low: float, out: NDArray[np.float32]) -> None:
        factor, floor = splat8(np.float32(slope)), splat8(np.float32(low))
        full = words.size // 8 * 8
        for start in range(0, full, 8):
            store(out, start, maximum(to_float32(load8(words, start)) * factor, floor))
        for index in range(full, words.size):
            out[index] = max(np.float32(words[index]) * np.float32(slope), np.float32(low))

A caller's ``fastmath`` flags reach every operation here (``reassoc`` cancels magic-number rounding: use ``rint``), so
test a kernel that has them against a float64 definition.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from pacscore.kernels import _vector_twins as twins
from pacscore.kernels._compile import Foreign


def _operation(name: str, twin: Callable[..., Any], *parameters: Any) -> Any:
    """A name for kernels (untyped: it is called as the operation)."""

    def load() -> Any:
        import numba

        if numba.config.DISABLE_JIT:
            return twin
        from pacscore.kernels import _vector_code

        return getattr(_vector_code, name)(*parameters)

    return Foreign(load)


@functools.cache
def load_of(lanes: int) -> Any:
    """``(array, index)`` → the vector ``array[index : index + lanes]``."""
    return _operation("load", twins.load(lanes), lanes)


@functools.cache
def splat_of(lanes: int) -> Any:
    """``(scalar)`` → a vector with the scalar in each lane, of the scalar's dtype: ``np.float32(x)``, not ``x``."""
    return _operation("splat", twins.splat(lanes), lanes)


@functools.cache
def constant_of(dtype: str, values: tuple[float, ...]) -> Any:
    """``()`` → the vector of these values, such as ``constant_of("float32", tuple(range(8)))``."""
    return _operation("constant", twins.constant(dtype, values), dtype, values)


@functools.cache
def convert_to(dtype: str) -> Any:
    """``(vector)`` → the same lanes as another dtype.

    Integers wrap when narrowed, keep their sign when widened; floats are truncated toward zero, undefined outside the
    integer's range; masks become 0 and 1.
    """
    return _operation("convert", twins.convert(dtype), dtype)


@functools.cache
def reinterpret_as(dtype: str) -> Any:
    """``(vector)`` → the same bits as a dtype of equal size."""
    return _operation("reinterpret", twins.reinterpret(dtype), dtype)


@functools.cache
def shuffle_by(places: Sequence[int]) -> Any:
    """``(a, b)`` → a vector of lanes chosen from both, numbered through: ``shuffle_by((0, 1, 4, 5))``. A tuple."""
    return _operation("shuffle", twins.shuffle(places), places)


store = _operation("store", twins.store, False)
"""``(array, index, vector)``: put the lanes into ``array[index : index + lanes]``, of the vector's dtype."""
store_past_cache = _operation("store", twins.store, True)
"""``(array, index, vector)``: ``store`` for results far larger than the cache, which then need not be read before they
are written (a window over 109 MB: 2.4 ms for 3.0). The address must be a multiple of the vector's bytes: see to it, a
processor may end the process otherwise."""
gather = _operation("gather", twins.gather)
"""``(array, base, offsets)`` → ``array[base + offsets[lane]]`` for each lane; offsets are int32 or int64."""
gather_pairs = _operation("gather_pairs", twins.gather_pairs)
"""``(array, base, offsets)`` → two vectors, of ``array[base + offset]`` and of its right neighbour: one memory access
for both where an item has at most 32 bits, half the price of two gathers."""
pairs_along = _operation("pairs_along", twins.pairs_along)
"""``(array, position, step)`` → two vectors of 8 float32, of ``array[place]`` and of its right neighbour at the places
``position + lane * step``, which are int64 fixed-point numbers with 32 bits after the point, 0 or more. Sampling along
a line: the places stay in scalar registers (FDK backprojection, as a prototype: 1.6 for 1.25 voxels a ns)."""
select = _operation("select", twins.select)
"""``(mask, a, b)`` → ``a`` where the mask holds, else ``b``."""
minimum = _operation("minimum", twins.minimum)
"""``(a, b)`` → the smaller of each lane; of floats ``a`` where ``a < b``, else ``b`` (so ``b`` beside a NaN)."""
maximum = _operation("maximum", twins.maximum)
"""``(a, b)`` → the larger of each lane; of floats ``a`` where ``a > b``, else ``b``."""
add_saturated = _operation("add_saturated", twins.add_saturated)
"""``(a, b)`` → sums of integers, held at the ends of their dtype."""
subtract_saturated = _operation("subtract_saturated", twins.subtract_saturated)
"""``(a, b)`` → differences of integers, held at the ends of their dtype."""
multiply_high = _operation("multiply_high", twins.multiply_high)
"""``(a, b)`` → the upper halves of the products of integers of at most 32 bits."""
rint = _operation("rint", twins.rint)
"""``(x)`` → rounded to whole numbers, ties to even; vectors and scalars of floats."""
floor = _operation("floor", twins.floor)
"""``(x)`` → the next whole number not above; vectors and scalars of floats."""
absolute = _operation("absolute", twins.absolute)
"""``(x)`` → without the sign; vectors and scalars of floats."""
square_root = _operation("square_root", twins.square_root)
"""``(x)`` → the square root; vectors and scalars of floats."""
lane = _operation("lane", twins.lane)
"""``(vector, number)`` → one lane as a scalar."""
lane_sum = _operation("lane_sum", twins.lane_sum)
"""``(vector)`` → the sum of all lanes: the upper half is added to the lower until one remains."""
lane_minimum = _operation("lane_minimum", twins.lane_minimum)
"""``(vector)`` → the smallest lane, halves taken as in ``lane_sum``."""
lane_maximum = _operation("lane_maximum", twins.lane_maximum)
"""``(vector)`` → the largest lane, halves taken as in ``lane_sum``."""
mask_bits = _operation("mask_bits", twins.mask_bits)
"""``(mask)`` → uint64 whose bit ``k`` says whether the mask holds in lane ``k``."""
trailing_zeros = _operation("trailing_zeros", twins.trailing_zeros)
"""``(uint64)`` → int64, the number of zero bits below the lowest set one; 64 of 0."""
population_count = _operation("population_count", twins.population_count)
"""``(uint64)`` → int64, the number of set bits."""
