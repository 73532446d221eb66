"""Vectors as a Numba type, with its operators, and the LLVM instructions both are made of.

It imports Numba at its top, as ``_vector_code`` does: both are imported when a kernel using vectors is compiled or
comes from the cache, never earlier (K1). What each operation means stands in ``_vector``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import lower_builtin, models, register_model
from numba.np.numpy_support import from_dtype

INT1, INT32, INT64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
ARITHMETIC = {
    operator.add: ("add", "fadd"), operator.sub: ("sub", "fsub"), operator.mul: ("mul", "fmul"),
    operator.truediv: (None, "fdiv"), operator.and_: ("and_", None), operator.or_: ("or_", None),
    operator.xor: ("xor", None), operator.lshift: ("shl", None), operator.rshift: ("ashr", None),
}  # fmt: skip
COMPARISONS = {
    operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.eq: "==", operator.ne: "!=",
}  # fmt: skip


class Vector(types.Type):  # type: ignore[misc]  # Numba is untyped.
    """``lanes`` values of one Numba number type, or of boolean: a mask."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(f"vector({dtype} x {lanes})")

    @property
    def is_float(self) -> bool:
        return isinstance(self.dtype, types.Float)

    @property
    def is_mask(self) -> bool:
        return bool(self.dtype == types.boolean)

    @property
    def is_signed(self) -> bool:
        return bool(getattr(self.dtype, "signed", False))


@register_model(Vector)
class VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, llvm_type(vector))


def llvm_type(vector: Vector) -> Any:
    dtype = vector.dtype
    if vector.is_mask:
        return ir.VectorType(INT1, vector.lanes)
    if vector.is_float:
        return ir.VectorType(ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType(), vector.lanes)
    return ir.VectorType(ir.IntType(dtype.bitwidth), vector.lanes)


def number_type(name: str) -> Any:
    import numpy as np

    return from_dtype(np.dtype(name))


def splatted(builder: Any, scalar: Any, lanes: int) -> Any:
    kind = ir.VectorType(scalar.type, lanes)
    empty = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(empty, scalar, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(INT32, lanes), [0] * lanes))


def picked(builder: Any, a: Any, b: Any, places: Sequence[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, len(places)), list(places)))


def called(builder: Any, name: str, result: Any, arguments: Sequence[Any]) -> Any:
    """Call an LLVM intrinsic by its full name: llvmlite's own declarations do not know vectors."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def suffix(kind: Any) -> str:
    element = kind.element if isinstance(kind, ir.VectorType) else kind
    bits = {"float": "f32", "double": "f64"}.get(str(element)) or str(element)
    return f"v{kind.count}{bits}" if isinstance(kind, ir.VectorType) else bits


def pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def contiguous(array: Any) -> bool:
    return isinstance(array, types.Array) and array.layout == "C" and isinstance(array.dtype, types.Number)


def operand(kind: Any, scalar: Any, lanes: int, builder: Any) -> Any:
    return scalar if isinstance(kind, Vector) else splatted(builder, scalar, lanes)


def _both(a: Any, b: Any) -> Vector | None:
    """The vector type that two operands share: a scalar's type is that of a lane."""
    vector, other = (a, b) if isinstance(a, Vector) else (b, a)
    return vector if isinstance(vector, Vector) and other in (vector, vector.dtype) else None


def _register_binary(function: Any, result_of: Callable[[Vector], Vector | None], emit: Callable[..., Any]) -> None:
    @infer_global(function)
    class Typing(AbstractTemplate):  # type: ignore[misc]
        def generic(self, arguments: Any, keywords: Any) -> Any:
            vector = _both(*arguments) if len(arguments) == 2 else None
            result = None if vector is None else result_of(vector)
            return None if result is None else result(*arguments)

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = _both(*signature.args)
        assert vector is not None
        a, b = (operand(kind, value, vector.lanes, builder) for kind, value in zip(signature.args, values, strict=True))
        return emit(builder, vector, a, b)

    for kinds in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(function, *kinds)(lower)


def _register_unary(function: Any, allows: Callable[[Vector], bool], emit: Callable[..., Any]) -> None:
    @infer_global(function)
    class Typing(AbstractTemplate):  # type: ignore[misc]
        def generic(self, arguments: Any, keywords: Any) -> Any:
            fits = len(arguments) == 1 and isinstance(arguments[0], Vector) and allows(arguments[0])
            return arguments[0](arguments[0]) if fits else None

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return emit(builder, signature.args[0], values[0])

    lower_builtin(function, Vector)(lower)


def _register_operators() -> None:
    for function, names in ARITHMETIC.items():

        def result_of(vector: Vector, names: Any = names) -> Vector | None:
            if vector.is_mask:
                return vector if names[0] in {"and_", "or_", "xor"} else None
            return vector if names[vector.is_float] else None

        def emit(builder: Any, vector: Vector, a: Any, b: Any, names: Any = names) -> Any:
            name = names[vector.is_float]
            return getattr(builder, "lshr" if name == "ashr" and not vector.is_signed else name)(a, b)

        _register_binary(function, result_of, emit)
    for function, sign in COMPARISONS.items():

        def mask_of(vector: Vector) -> Vector | None:
            return None if vector.is_mask else Vector(types.boolean, vector.lanes)

        _register_binary(
            function, mask_of, lambda builder, vector, a, b, sign=sign: compared(builder, vector, sign, a, b)
        )
    _register_unary(operator.neg, lambda vector: not vector.is_mask, _negate)
    _register_unary(operator.invert, lambda vector: not vector.is_float, lambda builder, vector, a: builder.not_(a))


def _negate(builder: Any, vector: Vector, a: Any) -> Any:
    return builder.fneg(a) if vector.is_float else builder.neg(a)


def compared(builder: Any, vector: Vector, sign: str, a: Any, b: Any) -> Any:
    if vector.is_float:
        return (builder.fcmp_unordered if sign == "!=" else builder.fcmp_ordered)(sign, a, b)
    return (builder.icmp_signed if vector.is_signed else builder.icmp_unsigned)(sign, a, b)


def smaller(builder: Any, vector: Vector, a: Any, b: Any) -> Any:
    if vector.is_float:
        return builder.select(compared(builder, vector, "<", a, b), a, b)
    # Not compare and select: in long networks those cost seconds of optimiser time.
    return called(builder, f"llvm.{'s' if vector.is_signed else 'u'}min.{suffix(a.type)}", a.type, [a, b])


def larger(builder: Any, vector: Vector, a: Any, b: Any) -> Any:
    if vector.is_float:
        return builder.select(compared(builder, vector, ">", a, b), a, b)
    return called(builder, f"llvm.{'s' if vector.is_signed else 'u'}max.{suffix(a.type)}", a.type, [a, b])


_register_operators()
