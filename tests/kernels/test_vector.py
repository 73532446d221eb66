"""The vector vocabulary against NumPy: compiled, inside a fastmath caller, and (marked runs) interpreted (V1 to V4)."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import (
    absolute,
    add_saturated,
    constant_of,
    convert_to,
    floor,
    gather,
    gather_pairs,
    lane,
    lane_maximum,
    lane_minimum,
    lane_sum,
    load_of,
    mask_bits,
    maximum,
    minimum,
    multiply_high,
    pairs_along,
    population_count,
    reinterpret_as,
    rint,
    select,
    shuffle_by,
    splat_of,
    square_root,
    store,
    store_past_cache,
    subtract_saturated,
    trailing_zeros,
)

load4, load8, load16, load32, load64 = load_of(4), load_of(8), load_of(16), load_of(32), load_of(64)
splat8, splat32 = splat_of(8), splat_of(32)
ramp8, weights4 = constant_of("float32", tuple(range(8))), constant_of("float32", (0.5, -1.0, 2.5, 0.25))
ints4 = constant_of("int16", (1, -2, 3, -4))
to_int8, to_int16, to_int32, to_int64 = (convert_to(name) for name in ("int8", "int16", "int32", "int64"))
to_uint8, to_uint16, to_float32, to_float64 = (convert_to(name) for name in ("uint8", "uint16", "float32", "float64"))
as_int32, as_float32 = reinterpret_as("int32"), reinterpret_as("float32")
low_half, even_lanes = shuffle_by((0, 1, 2, 3)), shuffle_by(tuple(range(0, 16, 2)))

FAST = frozenset({"contract", "reassoc", "nsz"})
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32"]
FLOATS = ["float32", "float64"]


def _fast(function: Callable[..., None]) -> Any:
    """The same kernel with fastmath, under a name of its own: the cache knows kernels by name."""
    copy = types.FunctionType(function.__code__, function.__globals__, function.__name__ + "_fast")
    copy.__qualname__, copy.__module__ = copy.__name__, function.__module__
    return kernel(copy, fastmath=FAST)


def _kinds(function: Callable[..., None]) -> list[Any]:
    return [pytest.param(kernel(function), id="plain"), pytest.param(_fast(function), id="fastmath")]


def _numbers(dtype: str, count: int, seed: int = 0) -> NDArray[Any]:
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (random.normal(size=count) * 100).astype(kind)
    ends = np.iinfo(kind)
    values = random.integers(ends.min, ends.max, count, kind, endpoint=True)
    values[:2] = ends.min, ends.max
    return values


def arithmetic_into(a: Any, b: Any, out: Any) -> None:
    x, y = load8(a, 0), load8(b, 0)
    store(out, 0, x + y)
    store(out, 8, x - y)
    store(out, 16, x * y)
    store(out, 24, minimum(x, y))
    store(out, 32, maximum(x, y))
    store(out, 40, -x)
    store(out, 48, select(x < y, x, y + y))
    store(out, 56, x * b[3] + a[1])


@pytest.mark.kernel
@pytest.mark.parametrize("run", _kinds(arithmetic_into))
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_arithmetic_equals_numpy(dtype: str, run: Any) -> None:
    a, b = _numbers(dtype, 8), _numbers(dtype, 8, 1)
    out = np.empty(64, dtype)
    run(a, b, out)
    with np.errstate(over="ignore"):
        x = b[3:4]
        expected = [
            a + b,
            a - b,
            a * b,
            np.minimum(a, b),
            np.maximum(a, b),
            -a,
            np.where(a < b, a, b + b),
            a * x + a[1:2],
        ]
    if np.dtype(dtype).kind == "f":
        np.testing.assert_allclose(out.reshape(8, 8), np.stack(expected), rtol=1e-5, atol=1e-4)  # Contraction.
        assert np.array_equal(out[:40].reshape(5, 8), np.stack(expected[:5]))
    else:
        assert np.array_equal(out.reshape(8, 8), np.stack(expected))


@kernel
def divide_into(a: Any, b: Any, out: Any) -> None:
    x, y = load8(a, 0), load8(b, 0)
    store(out, 0, x / y)
    store(out, 8, a[2] / y)


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", FLOATS)
def test_quotients_equal_numpy(dtype: str) -> None:
    a, b = _numbers(dtype, 8), _numbers(dtype, 8, 1)
    b[3], out = 0, np.empty(16, dtype)
    with np.errstate(divide="ignore"):
        divide_into(a, b, out)
        assert np.array_equal(out, np.concatenate([a / b, a[2] / b]))


@kernel
def integers_into(a: Any, b: Any, shift: Any, out: Any) -> None:
    x, y, n = load16(a, 0), load16(b, 0), load16(shift, 0)
    store(out, 0, x & y)
    store(out, 16, x | y)
    store(out, 32, x ^ y)
    store(out, 48, ~x)
    store(out, 64, x << n)
    store(out, 80, x >> n)
    store(out, 96, add_saturated(x, y))
    store(out, 112, subtract_saturated(x, y))
    store(out, 128, multiply_high(x, y))


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_operations_equal_python(dtype: str) -> None:
    a, b, shift = _numbers(dtype, 16), _numbers(dtype, 16, 1), (np.arange(16) % 8).astype(dtype)
    out = np.empty(144, dtype)
    integers_into(a, b, shift, out)
    ends, bits = np.iinfo(dtype), np.dtype(dtype).itemsize * 8
    exact = [(int(p), int(q)) for p, q in zip(a, b, strict=True)]

    def clipped(values: list[int]) -> NDArray[Any]:
        return np.array([min(max(value, ends.min), ends.max) for value in values], dtype)

    expected = [
        a & b, a | b, a ^ b, ~a, a << shift, a >> shift, clipped([p + q for p, q in exact]),
        clipped([p - q for p, q in exact]), np.array([(p * q) >> bits for p, q in exact], dtype),
    ]  # fmt: skip
    assert np.array_equal(out.reshape(9, 16), np.stack(expected))


@kernel
def scaled_into(a: Any, factor: Any, out: Any) -> None:
    factors = splat32(factor)
    for start in range(0, a.size, 32):
        store(out, start, multiply_high(load32(a, start), factors))


def test_upper_halves_of_unsigned_products_are_never_widened() -> None:
    """A factor that stays the same along a loop, widened before it, made a window take 1.4 times as long."""
    import numba

    a, out = np.arange(0, 65536, 512, np.uint16), np.empty(128, np.uint16)
    code = numba.njit(scaled_into.compiled().py_func)  # What comes from the cache cannot be inspected.
    code(a, np.uint16(40000), out)
    assert np.array_equal(out, (a.astype(np.uint32) * 40000 >> 16).astype(np.uint16))
    assert "to <32 x i32>" not in next(iter(code.inspect_llvm().values()))


@kernel
def compare_into(a: Any, b: Any, out: Any, bits: Any) -> None:
    x, y = load8(a, 0), load8(b, 0)
    bits[0] = mask_bits(x < y)
    bits[1] = mask_bits(x <= y)
    bits[2] = mask_bits(x > y)
    bits[3] = mask_bits(x >= y)
    bits[4] = mask_bits(x == y)
    bits[5] = mask_bits(x != y)
    bits[6] = mask_bits(~((x < y) | (x == y)) & (x != y))
    store(out, 0, to_uint8(x < y))


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_comparisons_equal_numpy(dtype: str) -> None:
    a, b = _numbers(dtype, 8), _numbers(dtype, 8, 1)
    b[4] = a[4]
    if np.dtype(dtype).kind == "f":
        a[5], b[6] = np.nan, np.inf
    out, bits = np.empty(8, np.uint8), np.zeros(7, np.uint64)
    compare_into(a, b, out, bits)
    masks = [a < b, a <= b, a > b, a >= b, a == b, a != b, ~((a < b) | (a == b)) & (a != b)]
    assert bits.tolist() == [int(np.packbits(mask, bitorder="little")[0]) for mask in masks]
    assert np.array_equal(out, masks[0].astype(np.uint8))


@kernel
def convert_integers_into(a: Any, int8: Any, int16: Any, int32: Any, int64: Any, float32: Any, float64: Any) -> None:
    x = load8(a, 0)
    store(int8, 0, to_int8(x))
    store(int16, 0, to_int16(x))
    store(int32, 0, to_int32(x))
    store(int64, 0, to_int64(x))
    store(float32, 0, to_float32(x))
    store(float64, 0, to_float64(x))


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_conversions_equal_numpy(dtype: str) -> None:
    a = _numbers(dtype, 8)
    if np.dtype(dtype).kind == "f":
        a = np.array([-127.9, -1.5, -0.2, 0, 0.7, 1.5, 99.99, 127.4], dtype)
    outs = [np.empty(8, name) for name in ("int8", "int16", "int32", "int64", "float32", "float64")]
    convert_integers_into(a, *outs)
    for out in outs:
        assert np.array_equal(out, a.astype(out.dtype))


def rounding_into(a: Any, out: Any, scalars: Any) -> None:
    x = load8(a, 0)
    store(out, 0, rint(x))
    store(out, 8, floor(x))
    store(out, 16, absolute(x))
    store(out, 24, square_root(absolute(x)))
    scalars[0], scalars[1], scalars[2], scalars[3] = rint(a[0]), floor(a[1]), absolute(a[2]), square_root(a[7])


@pytest.mark.kernel
@pytest.mark.parametrize("run", _kinds(rounding_into))
@pytest.mark.parametrize("dtype", FLOATS)
def test_rounding_survives_fastmath(dtype: str, run: Any) -> None:
    a = np.array([2.5, -0.25, -3.5, 0.5, 1.4999999, 8388609.0, -1e6 - 0.5, 3.0], dtype)
    out, scalars = np.empty(32, dtype), np.empty(4, dtype)
    run(a, out, scalars)
    assert np.array_equal(out.reshape(4, 8)[:3], np.stack([np.rint(a), np.floor(a), np.abs(a)]))
    np.testing.assert_allclose(out[24:], np.sqrt(np.abs(a.astype(np.float64))), rtol=1e-6)
    np.testing.assert_allclose(scalars, [np.rint(a[0]), np.floor(a[1]), abs(a[2]), np.sqrt(3)], rtol=1e-6)


def exponential_into(a: Any, out: Any) -> None:
    """2 to the power of each lane: rint and reinterpretation, as weights of denoising kernels need them."""
    for start in range(0, a.size, 8):
        x = load8(a, start)
        whole = rint(x)
        part = x - whole
        power = splat8(np.float32(0.0095701))
        power = power * part + splat8(np.float32(0.05591786))
        power = power * part + splat8(np.float32(0.24024745))
        power = power * part + splat8(np.float32(0.69312181))
        power = power * part + splat8(np.float32(0.99999926))
        store(out, start, as_float32(as_int32(power) + (to_int32(whole) << splat8(np.int32(23)))))


@pytest.mark.kernel
@pytest.mark.parametrize("run", _kinds(exponential_into))
def test_exponent_by_rint_and_bits_equals_its_float64_definition(run: Any) -> None:
    a = np.linspace(-60, 3, 256, dtype=np.float32)
    out = np.empty_like(a)
    run(a, out)
    np.testing.assert_allclose(out, np.exp2(a.astype(np.float64)), rtol=5e-6)


@kernel
def gather_into(array: Any, base: int, narrow: Any, wide: Any, out: Any) -> None:
    first, second = gather_pairs(array, base, load8(narrow, 0))
    store(out, 0, first)
    store(out, 8, second)
    store(out, 16, gather(array, base, load8(wide, 0)))


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_gathers_take_negative_offsets_and_any_rank(dtype: str) -> None:
    array = _numbers(dtype, 64).reshape(4, 16)
    array.flags.writeable = False
    offsets = np.array([-20, 3, 0, 35, 7, 7, -1, 42], np.int32)
    out = np.empty(24, dtype)
    gather_into(array, 20, offsets, offsets.astype(np.int64), out)
    flat = array.reshape(-1)
    assert np.array_equal(out.reshape(3, 8), np.stack([flat[20 + offsets], flat[21 + offsets], flat[20 + offsets]]))


@kernel
def along_into(array: Any, position: int, step: int, out: Any) -> None:
    left, right = pairs_along(array, position, step)
    store(out, 0, left)
    store(out, 8, right)


@pytest.mark.kernel
@pytest.mark.parametrize(("start", "step"), [(3.25, 0.7), (0.0, 1.0), (30.5, -4.125), (7.9, 0.0), (0.999, 3.3)])
def test_pairs_lie_along_a_line_at_fixed_point_places(start: float, step: float) -> None:
    array, out = _numbers("float32", 40), np.empty(16, np.float32)
    position, ahead = int(start * 2**32), int(step * 2**32)
    along_into(array, position, ahead, out)
    places = [(position + lane * ahead) >> 32 for lane in range(8)]
    assert np.array_equal(out, np.concatenate([array[places], array[[place + 1 for place in places]]]))


def lanes_into(a: Any, out: Any) -> None:
    x = load8(a, 0)
    out[0], out[1], out[2] = lane_sum(x), lane_minimum(x), lane_maximum(x)
    out[3] = lane(x, 5)
    store(out, 4, low_half(x, x))
    store(out, 8, even_lanes(x, load8(a, 8)))


@pytest.mark.kernel
@pytest.mark.parametrize("run", _kinds(lanes_into))
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_lanes_are_reduced_picked_and_shuffled(dtype: str, run: Any) -> None:
    a = _numbers(dtype, 16)
    out = np.empty(16, dtype)
    run(a, out)
    exact = a[:8].sum(dtype=dtype)
    np.testing.assert_allclose(out[:4], [exact, a[:8].min(), a[:8].max(), a[5]], rtol=1e-5)
    assert np.array_equal(out[4:], np.concatenate([a[:4], a[:16:2]]))


@kernel
def widths_into(a: Any, b: Any, out: Any) -> None:
    store(out, 1, load64(a, 3) + load64(b, 1))
    store(out, 65, load32(a, 0) - load32(b, 0))
    store(out, 97, load4(a, 60) * load4(b, 60))


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_unaligned_vectors_of_many_widths(dtype: str) -> None:
    a, b = _numbers(dtype, 67), _numbers(dtype, 67, 1)
    out = np.zeros(102, dtype)
    widths_into(a, b, out)
    with np.errstate(over="ignore"):
        expected = [a[3:67] + b[1:65], a[:32] - b[:32], a[60:64] * b[60:64]]
    assert np.array_equal(out[1:101], np.concatenate(expected))
    assert out[0] == out[101] == 0


@kernel
def constants_into(scale: float, out: Any, whole: Any) -> None:
    store(out, 0, ramp8() * splat8(np.float32(scale)))
    store(out, 8, weights4())
    store(whole, 0, ints4())


@pytest.mark.kernel
def test_constants_and_splats() -> None:
    out, whole = np.empty(12, np.float32), np.empty(4, np.int16)
    constants_into(0.25, out, whole)
    assert out.tolist() == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 0.5, -1, 2.5, 0.25]
    assert whole.tolist() == [1, -2, 3, -4]


@kernel
def mask_words_into(mask: Any, out: Any) -> None:
    bits = mask_bits(load64(mask, 0) != np.uint8(0))
    out[0], out[1] = trailing_zeros(bits), population_count(bits)
    out[2], out[3] = trailing_zeros(np.uint64(0)), population_count(~np.uint64(0))


@pytest.mark.kernel
def test_bits_of_64_lanes() -> None:
    mask, out = np.zeros(64, np.uint8), np.empty(4, np.int64)
    mask[[5, 9, 63]] = 1, 255, 7
    mask_words_into(mask, out)
    assert out.tolist() == [5, 3, 64, 64]


@pytest.mark.kernel
def test_extremes_take_the_second_beside_a_nan() -> None:
    a, b = np.array([np.nan, 1.0] * 4, np.float32), np.array([2.0, np.nan] * 4, np.float32)
    out = np.empty(64, np.float32)
    kernel(arithmetic_into)(a, b, out)
    assert np.array_equal(out[24:32], b, equal_nan=True)
    assert np.array_equal(out[32:40], b, equal_nan=True)


@kernel
def doubled_past_cache_into(a: Any, out: Any) -> None:
    for start in range(0, a.size, 64):
        store_past_cache(out, start, load64(a, start) + load64(a, start))


@pytest.mark.kernel
def test_storing_past_the_cache_stores_the_same() -> None:
    room = np.zeros(64 * 9, np.uint8)
    skip = -room.ctypes.data % 64
    out, a = room[skip : skip + 512], np.random.default_rng(9).integers(0, 256, 512, np.uint8)
    doubled_past_cache_into(a, out)
    assert np.array_equal(out, a + a)
    assert room.sum(dtype=int) == out.sum(dtype=int)


@kernel
def mixed_into(a: Any, b: Any, out: Any) -> None:
    store(out, 0, load8(a, 0) + load8(b, 0))


@kernel
def in_place_into(a: Any, b: Any, out: Any) -> None:
    total = load8(a, 0)
    total += load8(b, 0)
    store(out, 0, total)


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="what does not compile (until 2029-12-31)")
def test_mixed_dtypes_and_changes_in_place_do_not_compile() -> None:
    from numba.core.errors import TypingError

    single = np.zeros(8, np.float32)
    with pytest.raises(TypingError):
        mixed_into(single, np.zeros(8), single)
    with pytest.raises(TypingError):
        in_place_into(single, single, single)


def test_importing_the_vocabulary_imports_no_numba() -> None:
    code = "import sys, pacscore.kernels._vector; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
