"""The optional libraries of reconstruction, and the error that names the extra when one is missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pacscore.errors import UnsupportedError


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
