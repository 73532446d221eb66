"""C functions that kernels call by name: Blosc, CRC32C, and the few of the C library that move bytes.

All take addresses as integers. Blosc is the one that numcodecs carries, CRC32C the one that google-crc32c carries,
so that nothing needs a compiler.

Each symbol is registered under a name of our own: another library in the process may carry its own ``blosc_…``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from pacscore.kernels._compile import Foreign

_INT32, _INT64 = "int32", "int64"
_CTYPES = {_INT32: ctypes.c_int32, _INT64: ctypes.c_int64, "uint32": ctypes.c_uint32}


def _bind(find: Callable[[], Any], name: str, result: str, arguments: Sequence[str]) -> Any:
    """A C function, looked up when a kernel that calls it is compiled (untyped: it is called as the C function)."""

    def load() -> Any:
        import numba
        from llvmlite import binding

        function = getattr(find(), name)
        if numba.config.DISABLE_JIT:
            function = function.__class__((name, find()))  # A private copy: its types are set below.
            function.restype = _CTYPES[result]
            function.argtypes = [_CTYPES[argument] for argument in arguments]
            # ctypes refuses NumPy's integers, which interpreted kernels compute with.
            return lambda *values: function(*map(int, values))
        symbol = f"pacscore_{name}"
        binding.add_symbol(symbol, ctypes.cast(function, ctypes.c_void_p).value)
        types = [getattr(numba.types, argument) for argument in arguments]
        return numba.types.ExternalFunction(symbol, getattr(numba.types, result)(*types))

    return Foreign(load)


def _blosc() -> Any:
    import numcodecs.blosc

    return ctypes.CDLL(numcodecs.blosc.__file__)


def _libc() -> Any:
    return ctypes.CDLL(None)


# (source, destination, destination bytes, threads) -> bytes
blosc_decompress = _bind(_blosc, "blosc_decompress_ctx", _INT32, (_INT64, _INT64, _INT64, _INT32))
# (source, first item, item count, destination) -> bytes
blosc_getitem = _bind(_blosc, "blosc_getitem", _INT32, (_INT64, _INT32, _INT32, _INT64))
# (level, shuffle, item bytes, bytes, source, destination, destination bytes, codec name, block bytes, threads) -> bytes
blosc_compress = _bind(
    _blosc,
    "blosc_compress_ctx",
    _INT32,
    (_INT32, _INT32, _INT64, _INT64, _INT64, _INT64, _INT64, _INT64, _INT64, _INT32),
)
# (descriptor, destination, bytes, offset) -> bytes
pread = _bind(_libc, "pread", _INT64, (_INT32, _INT64, _INT64, _INT64))
# (destination, source, bytes)
memcpy = _bind(_libc, "memcpy", _INT64, (_INT64, _INT64, _INT64))
# (destination, value, bytes)
memset = _bind(_libc, "memset", _INT64, (_INT64, _INT32, _INT64))
# (one, other, bytes) -> 0 when equal
memcmp = _bind(_libc, "memcmp", _INT32, (_INT64, _INT64, _INT64))


def _crc32c() -> Any:
    from google_crc32c import _crc32c as extension

    # The extension links to libcrc32c, wherever that was installed: symbols of its dependencies are found through it.
    return ctypes.CDLL(extension.__file__)


# (start, address, bytes) -> CRC
crc32c = _bind(_crc32c, "crc32c_extend", "uint32", ("uint32", _INT64, _INT64))
