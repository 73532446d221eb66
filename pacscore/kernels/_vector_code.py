"""The vector operations as Numba intrinsics, one function for each name of ``_vector``, where their meanings stand.

Each is a pair: ``typed`` takes the argument types and gives the signature, or None where the operation does not apply
(then the kernel does not compile); ``emit`` takes the context, a builder, the signature and the LLVM values.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from pacscore.kernels._vector_types import (
    INT32,
    INT64,
    Vector,
    called,
    contiguous,
    larger,
    llvm_type,
    number_type,
    picked,
    pointer,
    smaller,
    splatted,
    suffix,
)


def _intrinsic(arity: int, typed: Callable[..., Any], emit: Callable[..., Any]) -> Any:
    def define(*arguments: Any) -> Any:
        signature = typed(*arguments)
        return None if signature is None else (signature, emit)

    # Numba counts the parameters, so each number of them needs a function that names them.
    definitions: dict[int, Callable[..., Any]] = {
        0: lambda typing: define(),
        1: lambda typing, a: define(a),
        2: lambda typing, a, b: define(a, b),
        3: lambda typing, a, b, c: define(a, b, c),
    }
    return intrinsic(definitions[arity])


def load(lanes: int) -> Any:
    def typed(array: Any, index: Any) -> Any:
        return Vector(array.dtype, lanes)(array, types.intp) if contiguous(array) else None

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = llvm_type(signature.return_type)
        place = pointer(context, builder, signature.args[0], values[0], values[1])
        loaded = builder.load(builder.bitcast(place, kind.as_pointer()))
        loaded.align = signature.args[0].dtype.bitwidth // 8
        return loaded

    return _intrinsic(2, typed, emit)


def store(streaming: bool) -> Any:
    def typed(array: Any, index: Any, vector: Any) -> Any:
        fits = contiguous(array) and array.mutable and isinstance(vector, Vector) and vector.dtype == array.dtype
        return types.void(array, types.intp, vector) if fits else None

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = pointer(context, builder, signature.args[0], values[0], values[1])
        stored = builder.store(values[2], builder.bitcast(place, values[2].type.as_pointer()))
        stored.align = signature.args[0].dtype.bitwidth // 8
        if streaming:
            stored.align = signature.args[2].dtype.bitwidth // 8 * signature.args[2].lanes
            stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return _intrinsic(3, typed, emit)


def splat(lanes: int) -> Any:
    def typed(scalar: Any) -> Any:
        kind = types.unliteral(scalar)
        return Vector(kind, lanes)(kind) if isinstance(kind, types.Integer | types.Float) else None

    return _intrinsic(1, typed, lambda context, builder, signature, values: splatted(builder, values[0], lanes))


def constant(dtype: str, values: tuple[float, ...]) -> Any:
    vector = Vector(number_type(dtype), len(values))
    kind = llvm_type(vector)
    numbers = [float(value) if vector.is_float else int(value) for value in values]
    return _intrinsic(0, vector, lambda *_: ir.Constant(kind, numbers))


def convert(dtype: str) -> Any:
    target = number_type(dtype)

    def typed(vector: Any) -> Any:
        return Vector(target, vector.lanes)(vector) if isinstance(vector, Vector) else None

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, result = signature.args[0], signature.return_type
        name = _conversion(source, result)
        return getattr(builder, name)(values[0], llvm_type(result)) if name else values[0]

    return _intrinsic(1, typed, emit)


def _conversion(source: Vector, result: Vector) -> str:
    """The LLVM instruction; empty where the bits stay."""
    before = 1 if source.is_mask else source.dtype.bitwidth
    after = result.dtype.bitwidth
    if source.is_float:
        if result.is_float:
            return "" if before == after else "fpext" if after > before else "fptrunc"
        return "fptosi" if result.is_signed else "fptoui"
    if result.is_float:
        return "sitofp" if source.is_signed else "uitofp"
    if before == after:
        return ""
    return "trunc" if after < before else "sext" if source.is_signed else "zext"


def reinterpret(dtype: str) -> Any:
    target = number_type(dtype)

    def typed(vector: Any) -> Any:
        fits = isinstance(vector, Vector) and not vector.is_mask and vector.dtype.bitwidth == target.bitwidth
        return Vector(target, vector.lanes)(vector) if fits else None

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], llvm_type(signature.return_type))

    return _intrinsic(1, typed, emit)


def shuffle(places: Sequence[int]) -> Any:
    def typed(a: Any, b: Any) -> Any:
        fits = isinstance(a, Vector) and a == b and max(places) < 2 * a.lanes
        return Vector(a.dtype, len(places))(a, b) if fits else None

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return picked(builder, values[0], values[1], places)

    return _intrinsic(2, typed, emit)


def _places(builder: Any, vector: Any, lanes: int) -> list[Any]:
    # Each lane first, then widened: offsets that come from memory are then loaded one by one, with no shuffle.
    single = [builder.extract_element(vector, ir.Constant(INT32, number)) for number in range(lanes)]
    return single if vector.type.element == INT64 else [builder.sext(each, INT64) for each in single]


def _offsets_fit(array: Any, offsets: Any) -> bool:
    whole = isinstance(offsets, Vector) and offsets.dtype in (types.int32, types.int64)
    return whole and contiguous(array)


def _gathered(context: Any, builder: Any, signature: Any, values: Any, element: Any) -> Any:
    """One memory access of type ``element`` for each lane, in a vector."""
    array, offsets = signature.args[0], signature.args[2]
    first = pointer(context, builder, array, values[0], values[1])
    result = ir.Constant(ir.VectorType(element, offsets.lanes), ir.Undefined)
    for number, offset in enumerate(_places(builder, values[2], offsets.lanes)):
        item = builder.load(builder.bitcast(builder.gep(first, [offset]), element.as_pointer()))
        item.align = array.dtype.bitwidth // 8
        result = builder.insert_element(result, item, ir.Constant(INT32, number))
    return result


def gather() -> Any:
    def typed(array: Any, base: Any, offsets: Any) -> Any:
        fits = _offsets_fit(array, offsets)
        return Vector(array.dtype, offsets.lanes)(array, types.intp, offsets) if fits else None

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _gathered(context, builder, signature, values, llvm_type(signature.return_type).element)

    return _intrinsic(3, typed, emit)


def gather_pairs() -> Any:
    def typed(array: Any, base: Any, offsets: Any) -> Any:
        if not _offsets_fit(array, offsets):
            return None
        return types.UniTuple(Vector(array.dtype, offsets.lanes), 2)(array, types.intp, offsets)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = llvm_type(signature.return_type.dtype)
        bits = signature.args[0].dtype.bitwidth
        if bits > 32:
            next_base = builder.add(values[1], ir.Constant(values[1].type, 1))
            beside = (values[0], next_base, values[2])
            pair = [_gathered(context, builder, signature, each, kind.element) for each in (values, beside)]
        else:
            both = _gathered(context, builder, signature, values, ir.IntType(2 * bits))
            width = ir.VectorType(ir.IntType(bits), kind.count)
            shift = ir.Constant(both.type, [bits] * kind.count)
            halves = [builder.trunc(both, width), builder.trunc(builder.lshr(both, shift), width)]
            ordered = halves if sys.byteorder == "little" else halves[::-1]
            pair = [builder.bitcast(half, kind) for half in ordered]
        return context.make_tuple(builder, signature.return_type, pair)

    return _intrinsic(3, typed, emit)


def pairs_along() -> Any:
    vector = Vector(types.float32, 8)

    def typed(array: Any, position: Any, step: Any) -> Any:
        fits = contiguous(array) and array.dtype == types.float32
        return types.UniTuple(vector, 2)(array, types.int64, types.int64) if fits else None

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pair = ir.VectorType(ir.FloatType(), 2)
        loaded = []
        for number in range(8):
            ahead = builder.mul(values[2], ir.Constant(INT64, number))
            place = builder.lshr(builder.add(values[1], ahead), ir.Constant(INT64, 32))
            first = pointer(context, builder, signature.args[0], values[0], place)
            loaded.append(builder.load(builder.bitcast(first, pair.as_pointer())))
            loaded[-1].align = 4
        fours = [picked(builder, loaded[start], loaded[start + 1], range(4)) for start in range(0, 8, 2)]
        # Lanes 0 1 4 5 and 2 3 6 7, so that what follows stays within the halves of a register.
        low, high = (picked(builder, fours[start], fours[start + 2], range(8)) for start in range(2))
        left = picked(builder, low, high, (0, 2, 8, 10, 4, 6, 12, 14))
        right = picked(builder, low, high, (1, 3, 9, 11, 5, 7, 13, 15))
        return context.make_tuple(builder, signature.return_type, [left, right])

    return _intrinsic(3, typed, emit)


def select() -> Any:
    def typed(mask: Any, a: Any, b: Any) -> Any:
        fits = isinstance(mask, Vector) and isinstance(a, Vector) and mask.is_mask and a == b and mask.lanes == a.lanes
        return a(mask, a, b) if fits else None

    return _intrinsic(3, typed, lambda context, builder, signature, values: builder.select(*values))


def _of_two(allows: Callable[[Vector], bool], emit: Callable[..., Any]) -> Any:
    """An operation on two vectors of one type that gives a third."""

    def typed(a: Any, b: Any) -> Any:
        return a(a, b) if isinstance(a, Vector) and a == b and not a.is_mask and allows(a) else None

    return _intrinsic(2, typed, lambda context, builder, signature, values: emit(builder, signature.args[0], *values))


def minimum() -> Any:
    return _of_two(lambda vector: True, smaller)


def maximum() -> Any:
    return _of_two(lambda vector: True, larger)


def _saturating(name: str) -> Any:
    def emit(builder: Any, vector: Vector, a: Any, b: Any) -> Any:
        full = f"llvm.{'s' if vector.is_signed else 'u'}{name}.sat.{suffix(a.type)}"
        return called(builder, full, a.type, [a, b])

    return _of_two(lambda vector: not vector.is_float, emit)


def add_saturated() -> Any:
    return _saturating("add")


def subtract_saturated() -> Any:
    return _saturating("sub")


def multiply_high() -> Any:
    def emit(builder: Any, vector: Vector, a: Any, b: Any) -> Any:
        bits = vector.dtype.bitwidth
        if not vector.is_signed:
            scale = ir.Constant(INT32, bits)
            # Not widened, multiplied and shifted, which is one instruction only if it stands together: where a factor
            # is the same all along a loop, its widening is moved out of it, and ten instructions remain.
            return called(builder, f"llvm.umul.fix.{suffix(a.type)}", a.type, [a, b, scale])
        wide = ir.VectorType(ir.IntType(2 * bits), vector.lanes)
        product = builder.mul(builder.sext(a, wide), builder.sext(b, wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, [bits] * vector.lanes)), a.type)

    return _of_two(lambda vector: not vector.is_float and vector.dtype.bitwidth <= 32, emit)


def _of_floats(name: str) -> Any:
    """An LLVM intrinsic of one argument, for vectors and scalars of floats."""

    def typed(x: Any) -> Any:
        return x(x) if isinstance(getattr(x, "dtype", x), types.Float) and not isinstance(x, types.Array) else None

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = values[0].type
        return called(builder, f"llvm.{name}.{suffix(kind)}", kind, values)

    return _intrinsic(1, typed, emit)


rint = functools.partial(_of_floats, "rint")
floor = functools.partial(_of_floats, "floor")
absolute = functools.partial(_of_floats, "fabs")
square_root = functools.partial(_of_floats, "sqrt")


def lane() -> Any:
    def typed(vector: Any, number: Any) -> Any:
        return vector.dtype(vector, types.int64) if isinstance(vector, Vector) and not vector.is_mask else None

    return _intrinsic(2, typed, lambda context, builder, signature, values: builder.extract_element(*values))


def _reduced(combine: Callable[..., Any]) -> Any:
    def typed(vector: Any) -> Any:
        return vector.dtype(vector) if isinstance(vector, Vector) and not vector.is_mask else None

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        whole, vector = values[0], signature.args[0]
        while whole.type.count > 1:
            half = whole.type.count // 2
            parts = (picked(builder, whole, whole, range(start, start + half)) for start in (0, half))
            whole = combine(builder, Vector(vector.dtype, half), *parts)
        return builder.extract_element(whole, ir.Constant(INT32, 0))

    return _intrinsic(1, typed, emit)


def _add(builder: Any, vector: Vector, a: Any, b: Any) -> Any:
    return builder.fadd(a, b) if vector.is_float else builder.add(a, b)


lane_sum = functools.partial(_reduced, _add)
lane_minimum = functools.partial(_reduced, smaller)
lane_maximum = functools.partial(_reduced, larger)


def mask_bits() -> Any:
    def typed(mask: Any) -> Any:
        fits = isinstance(mask, Vector) and mask.is_mask and mask.lanes <= 64
        return types.uint64(mask) if fits else None

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        lanes = signature.args[0].lanes
        bits = builder.bitcast(values[0], ir.IntType(lanes))
        return bits if lanes == 64 else builder.zext(bits, INT64)

    return _intrinsic(1, typed, emit)


def _of_bits(emit_bits: Callable[..., Any]) -> Any:
    def typed(bits: Any) -> Any:
        return types.int64(types.uint64) if isinstance(bits, types.Integer) else None

    return _intrinsic(1, typed, lambda context, builder, signature, values: emit_bits(builder, values[0]))


def trailing_zeros() -> Any:
    return _of_bits(lambda builder, bits: builder.cttz(bits, ir.Constant(ir.IntType(1), 0)))


def population_count() -> Any:
    return _of_bits(lambda builder, bits: builder.ctpop(bits))
