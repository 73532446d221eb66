"""The operations of ``_networks`` as Numba intrinsics; their meanings stand there."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from pacscore.kernels._networks import merged, of_rank
from pacscore.kernels._vector_types import Vector, contiguous, larger, llvm_type, pointer, smaller


def load_list(lanes: int, count: int) -> Any:
    @intrinsic
    def operation(typing: Any, array: Any, index: Any, stride: Any) -> Any:
        if not contiguous(array):
            return None
        signature = types.UniTuple(Vector(array.dtype, lanes), count)(array, types.intp, types.intp)

        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kind = llvm_type(signature.return_type.dtype)
            index, vectors = values[1], []
            for _ in range(count):
                place = pointer(context, builder, signature.args[0], values[0], index)
                vector = builder.load(builder.bitcast(place, kind.as_pointer()))
                vector.align = signature.args[0].dtype.bitwidth // 8
                vectors.append(vector)
                index = builder.add(index, values[2])
            return context.make_tuple(builder, signature.return_type, vectors)

        return signature, emit

    return operation


def store_list() -> Any:
    @intrinsic
    def operation(typing: Any, array: Any, index: Any, stride: Any, vectors: Any) -> Any:
        if not (contiguous(array) and array.mutable and _is_list(vectors)):
            return None

        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            index = values[1]
            for vector in cgutils.unpack_tuple(builder, values[3], vectors.count):
                place = pointer(context, builder, signature.args[0], values[0], index)
                stored = builder.store(vector, builder.bitcast(place, vector.type.as_pointer()))
                stored.align = signature.args[0].dtype.bitwidth // 8
                index = builder.add(index, values[2])
            return context.get_dummy_value()

        return types.void(array, types.intp, types.intp, vectors), emit

    return operation


def merge() -> Any:
    @intrinsic
    def operation(typing: Any, a: Any, b: Any) -> Any:
        if not (_is_list(a) and _is_list(b) and a.dtype == b.dtype):
            return None
        signature = types.UniTuple(a.dtype, a.count + b.count)(a, b)

        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            lists = _unpacked(builder, signature, values)
            vectors = merged(*_comparisons(builder, a.dtype), *lists)
            return context.make_tuple(builder, signature.return_type, vectors)

        return signature, emit

    return operation


def select_rank() -> Any:
    @intrinsic
    def operation(typing: Any, a: Any, b: Any) -> Any:
        if not (_is_list(a) and _is_list(b) and a.dtype == b.dtype and a.count == b.count + 1):
            return None

        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return of_rank(*_comparisons(builder, a.dtype), *_unpacked(builder, signature, values))

        return a.dtype(a, b), emit

    return operation


def _is_list(kind: Any) -> bool:
    return isinstance(kind, types.UniTuple) and isinstance(kind.dtype, Vector)


def _unpacked(builder: Any, signature: Any, values: Any) -> tuple[list[Any], list[Any]]:
    first, second = (
        cgutils.unpack_tuple(builder, value, kind.count) for value, kind in zip(values, signature.args, strict=True)
    )
    return first, second


def _comparisons(builder: Any, vector: Vector) -> tuple[Any, Any]:
    return (lambda a, b: smaller(builder, vector, a, b)), (lambda a, b: larger(builder, vector, a, b))
