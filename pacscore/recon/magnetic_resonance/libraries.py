"""The optional libraries of reconstruction, and the error that names the extra when one is missing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from pacscore.errors import UnsupportedError

_blas_lock = threading.Lock()
_blas_users = 0
_blas_limit: Any = None
_blas_controller: Any = None


def optional(name: str) -> Any:
    """Import a library of the extra ``recon``.

    Raises
    ------
    UnsupportedError
        It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        library = name.partition(".")[0]
        raise UnsupportedError(
            f"Reconstruction of magnetic resonance needs {library}, which is not installed: "
            "install pacscore with the extra recon.",
            expected=library,
        ) from error


def fourier_library() -> Any:
    """``scipy.fft``: several transforms at once, in single precision, without a plan to keep."""
    return optional("scipy.fft")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep NumPy's and SciPy's linear algebra to the calling thread.

    Threads of the library wait for each other by spinning: on matrices of a few hundred rows two of them took 4 to 20
    times the processor time of one where others work on the machine, and hardly less time where none do. Parallel work
    belongs to the one pool. The limit is the process's, so the first to enter sets it and the last to leave lifts it.
    Without threadpoolctl nothing is limited.
    """
    global _blas_users, _blas_limit, _blas_controller  # noqa: PLW0603  # The state is the library's own, and global.
    try:
        control = import_module("threadpoolctl")
    except ImportError:
        yield
        return
    optional("scipy.linalg")  # Its own copy of the library must be there to be found.
    with _blas_lock:
        if _blas_users == 0:
            if _blas_controller is None:
                _blas_controller = control.ThreadpoolController().select(user_api="blas")
            _blas_limit = _blas_controller.limit(limits=1)
        _blas_users += 1
    try:
        yield
    finally:
        with _blas_lock:
            _blas_users -= 1
            if _blas_users == 0:
                _blas_limit.restore_original_limits()
