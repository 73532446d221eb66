"""Bytes at an address, as an array: how one call of a kernel serves many objects.

Numba takes an array for each argument, and looks at each on every call; a hundred headers would be a hundred calls of
2 µs. Their addresses and sizes are two arrays, whatever the number of headers.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from pacscore.kernels._compile import Foreign


def _load(dtype: str, *, writable: bool) -> Callable[[], Any]:
    def load() -> Any:
        import numba
        import numpy as np

        kind = np.dtype(dtype)

        def interpreted(address: int, count: int) -> Any:
            memory = (ctypes.c_uint8 * (int(count) * kind.itemsize)).from_address(int(address))
            array: Any = np.frombuffer(memoryview(memory), kind)
            array.flags.writeable = writable
            return array

        return interpreted if numba.config.DISABLE_JIT else _intrinsic(dtype, writable=writable)

    return load


def _intrinsic(dtype: str, *, writable: bool) -> Any:
    from numba.core import cgutils, types
    from numba.extending import intrinsic
    from numba.np.arrayobj import make_array, populate_array

    # Read-only bytes are what every kernel over bytes is compiled for.
    array_type = types.Array(getattr(types, dtype), 1, "C", readonly=not writable)
    item_bytes = array_type.dtype.bitwidth // 8

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        address, count = arguments
        array = make_array(array_type)(context, builder)
        size = context.get_constant(types.intp, item_bytes)
        populate_array(
            array,
            data=builder.inttoptr(address, context.get_data_type(array_type.dtype).as_pointer()),
            shape=cgutils.pack_array(builder, [count]),
            strides=cgutils.pack_array(builder, [size]),
            itemsize=size,
            meminfo=None,
        )
        return array._getvalue()

    @intrinsic  # type: ignore[untyped-decorator]  # Numba is untyped.
    def at(typing: Any, address: Any, count: Any) -> Any:
        return array_type(types.int64, types.int64), emit

    return at


bytes_at: Any = Foreign(_load("uint8", writable=False))
"""``bytes_at(address, size)`` -> (size,) uint8, read-only, not owned: whoever calls the kernel keeps the memory."""

words8_at: Any = Foreign(_load("uint8", writable=True))
"""``words8_at(address, count)`` -> (count,) uint8 that can be written to; likewise not owned. So are its namesakes."""
words16_at: Any = Foreign(_load("uint16", writable=True))
words32_at: Any = Foreign(_load("uint32", writable=True))
words64_at: Any = Foreign(_load("uint64", writable=True))
