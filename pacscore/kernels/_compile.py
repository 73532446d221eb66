"""The one decorator of every compiled function, and their cache on disk.

K1  Importing a module of kernels imports neither Numba nor anything else that is slow; the first call does.
K2  Kernels are serial, release the interpreter lock, never raise (``error_model="numpy"``), and are cached.
K3  The cache folder is named by a hash of all sources in ``kernels/`` and by the versions of Python, Numba and NumPy.
    Numba's own check looks at one file's time stamp: it would serve the old result when a helper in another file
    changes. Nothing in a folder of ours is ever stale, and no setting of the user's own Numba code is touched.
K4  Several processes may compile at once: Numba writes each file beside its place and renames it.
K5  What is loaded from the cache is code, so only a folder that nobody else can write to is used. One that was filled
    ahead and cannot be written to is used too, and what it lacks is compiled for this process alone.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
import tempfile
import threading
import types
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.RLock()
_folder: Path | None = None


class Kernel(Generic[P, R]):
    """A function that Numba compiles when it is first called.

    Inside another kernel it stands for its compiled self, so kernels call each other by plain names.

    Attributes
    ----------
    python : callable
        The function as written: the interpreted twin.
    """

    def __init__(self, function: Callable[P, R], options: dict[str, Any]) -> None:
        self.python = function
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__wrapped__ = function
        self._options = options
        self._compiled: Callable[P, R] | None = None
        self._called: Callable[P, R] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return (self._called or self._callable())(*args, **kwargs)

    def _callable(self) -> Callable[P, R]:
        is_merged = "forceinline" in self._options  # Then it has no entry for Python where it is compiled.
        self._called = self.python if is_merged else self.compiled()
        return self._called

    def compiled(self) -> Callable[P, R]:
        """The Numba dispatcher, made now if need be."""
        with _lock:
            if self._compiled is None:
                self._compiled = _compile(self.python, self._options)
            return self._compiled


@overload
def kernel(function: Callable[..., Any], *, fastmath: frozenset[str] = ..., inline: bool = ...) -> Any: ...


@overload
def kernel(*, fastmath: frozenset[str] = ..., inline: bool = ...) -> Callable[[Callable[..., Any]], Any]: ...


def kernel(
    function: Callable[P, R] | None = None, *, fastmath: frozenset[str] = frozenset(), inline: bool = False
) -> Any:
    """Mark a function as a kernel.

    Parameters
    ----------
    fastmath
        A named subset of LLVM's flags where the twin's tolerance allows it and a gain is measured.
    inline
        Always merge into the caller: for helpers of a few lines. Called from Python they run
        interpreted, whatever the mode.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    if fastmath:
        options["fastmath"] = set(fastmath)
    if inline:
        # Only kernels call it: what calls from Python is not compiled, a fourth of the time that such helpers take.
        options |= {"forceinline": True, "no_cpython_wrapper": True}

    def mark(marked: Callable[P, R]) -> Kernel[P, R]:
        return Kernel(marked, options)

    return mark if function is None else mark(function)


def cache_folder() -> Path:
    """Where compiled kernels are kept: inside the installation, or the user's cache where that cannot be written.

    A folder of the installation that was filled ahead (``pacscore warm`` while an image is built) is used as it is.
    """
    global _folder  # noqa: PLW0603
    with _lock:
        if _folder is None:
            _folder = _choose_folder(_stamp())
        return _folder


def use_cache_folder(folder: Path) -> None:
    """Keep compiled kernels below ``folder`` from now on; for tests and for images built ahead."""
    global _folder  # noqa: PLW0603
    with _lock:
        _folder = Path(folder) / _stamp()
        _folder.mkdir(parents=True, exist_ok=True)


def _stamp() -> str:
    import numba
    import numpy as np

    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    versions = f"{sys.version_info[:3]} {numba.__version__} {np.__version__} {numba.config.BOUNDSCHECK}"
    digest.update(versions.encode())
    return "kernels-" + digest.hexdigest()[:20]


def _choose_folder(stamp: str) -> Path:
    named = os.environ.get("PACSCORE_KERNEL_CACHE")  # Read here because a kernel has no caller to hand it settings.
    installed = Path(__file__).parent / "__pycache__" / stamp
    candidates = [*([Path(named) / stamp] if named else []), installed, *_user_folder(stamp)]
    for candidate in candidates:
        try:
            candidate.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(candidate, os.W_OK) or any(candidate.glob("*.nbi")):
            return candidate
    # A name in a shared folder could be taken by somebody else first, and what lies there would be run.
    return Path(tempfile.mkdtemp(prefix="pacscore-kernels-"))


def _user_folder(stamp: str) -> list[Path]:
    try:
        return [Path.home() / ".cache" / "pacscore" / stamp]
    except RuntimeError:  # A user without an entry and a home, as in many containers.
        return []


def _compile(function: Callable[P, R], options: dict[str, Any]) -> Callable[P, R]:
    import numba

    resolved = _with_compiled_globals(function)
    if numba.config.DISABLE_JIT:
        return resolved
    _import_array_functions()
    dispatcher = numba.njit(**options)(resolved)
    dispatcher._cache = _cache_for(resolved)
    return dispatcher  # type: ignore[no-any-return]  # Numba is untyped.


def _import_array_functions() -> None:
    """Import what Numba does at its first compilation, without SciPy's linear algebra: half the time that takes.

    Numba asks there whether SciPy's BLAS can be imported, and again wherever a matrix product is compiled. The first
    time it is enough that SciPy is installed, so products of the user's own still compile.
    """
    from numba.np import linalg

    asked = getattr(linalg, "ensure_blas", None)
    if asked is None or "numba.np.arraymath" in sys.modules or find_spec("scipy") is None:
        return
    linalg.ensure_blas = lambda: None
    try:
        from numba.np import arraymath

        arraymath.ensure_blas = asked
    finally:
        linalg.ensure_blas = asked


def _with_compiled_globals(function: Callable[P, R]) -> Callable[P, R]:
    """A copy of ``function`` whose global kernels are the compiled ones: Numba knows nothing of ``Kernel``."""
    assert isinstance(function, types.FunctionType)
    names = {name: value for name, value in function.__globals__.items() if isinstance(value, Kernel)}
    used = {name: value.compiled() for name, value in names.items() if name in function.__code__.co_names}
    lazy = {
        name: value()
        for name, value in function.__globals__.items()
        if isinstance(value, Foreign) and name in function.__code__.co_names
    }
    if not used and not lazy:
        return function
    copy = types.FunctionType(
        function.__code__, function.__globals__ | used | lazy, function.__name__, function.__defaults__
    )
    copy.__qualname__ = function.__qualname__
    copy.__module__ = function.__module__
    copy.__doc__ = function.__doc__
    return copy


class Foreign:
    """What kernels call by name but is no kernel: made when the first kernel using it is compiled.

    ``load`` returns what stands in the kernel's place. A C function: a ``numba.types.ExternalFunction``, or with the
    compiler off a ctypes function. A vector operation: a Numba intrinsic, or its scalar twin.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._value: Any = None

    def __call__(self) -> Any:
        if self._value is None:
            self._value = self._load()
        return self._value


def _cache_for(function: Callable[..., Any]) -> Any:
    from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

    class Locator(_CacheLocator):  # type: ignore[misc]  # Numba is untyped.
        """Keeps every kernel in the one folder, whose name already says which sources it holds."""

        def __init__(self, py_func: Any, py_file: str) -> None:
            self._py_file = py_file

        def get_cache_path(self) -> str:
            return str(cache_folder())

        def get_source_stamp(self) -> str:
            return "kernels"

        def get_disambiguator(self) -> str:
            return Path(self._py_file).stem

        @classmethod
        def from_function(cls, py_func: Any, py_file: str) -> Any:
            return cls(py_func, py_file)

    class Implementation(CompileResultCacheImpl):  # type: ignore[misc]
        _locator_classes = [Locator]  # noqa: RUF012

    class Cache(FunctionCache):  # type: ignore[misc]
        _impl_class = Implementation

        def save_overload(self, sig: Any, data: Any) -> None:
            """Keep a compiled kernel; a folder that is full or cannot be written to costs time, never a result."""
            with suppress(OSError):
                super().save_overload(sig, data)

    assert inspect.isfunction(function)
    return Cache(function)
