"""Bytes at an address, as an array: how one call of a kernel serves many objects.

Numba takes an array for each argument, and looks at each on every call; a hundred headers would be a hundred calls of
2 µs. Their addresses and sizes are two arrays, whatever the number of headers.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from pacscore.kernels._compile import Foreign


def _load() -> Callable[[int, int], Any]:
    import numba
    import numpy as np

    def interpreted(address: int, size: int) -> Any:
        array: Any = np.frombuffer(memoryview((ctypes.c_uint8 * int(size)).from_address(int(address))), np.uint8)
        array.flags.writeable = False
        return array

    return interpreted if numba.config.DISABLE_JIT else _intrinsic()


def _intrinsic() -> Any:
    from numba.core import cgutils, types
    from numba.extending import intrinsic
    from numba.np.arrayobj import make_array, populate_array

    array_type = types.Array(types.uint8, 1, "C", readonly=True)  # What every kernel over bytes is compiled for.

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        address, size = arguments
        array = make_array(array_type)(context, builder)
        one = context.get_constant(types.intp, 1)
        populate_array(
            array,
            data=builder.inttoptr(address, cgutils.voidptr_t),
            shape=cgutils.pack_array(builder, [size]),
            strides=cgutils.pack_array(builder, [one]),
            itemsize=one,
            meminfo=None,
        )
        return array._getvalue()

    @intrinsic  # type: ignore[untyped-decorator]  # Numba is untyped.
    def at(typing: Any, address: Any, size: Any) -> Any:
        return array_type(types.int64, types.int64), emit

    return at


bytes_at: Any = Foreign(_load)
"""``bytes_at(address, size)`` -> (size,) uint8, read-only, not owned: whoever calls the kernel keeps the memory."""
