"""What the checked functions ask of arrays before a kernel sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import InputError


def output_array(out: NDArray[Any] | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return ``out`` if it can take the result, or a new array when none is given.

    Raises
    ------
    InputError
        It has another shape or dtype, is read-only or not in C order.
    """
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype or not (out.flags.c_contiguous and out.flags.writeable):
        raise InputError(
            f"out must be a writable {dtype} array of shape {shape} in C order: it is {out.dtype} {out.shape}.",
            expected=(str(dtype), shape),
            found=(str(out.dtype), out.shape),
        )
    return out


def native(words: NDArray[Any]) -> NDArray[Any]:
    """``words`` as a kernel takes them: C order, aligned, native bytes; copied only where they are not."""
    return np.require(words, words.dtype.newbyteorder("="), ("C", "A"))


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """``array`` as kernels get their input: whether it can be written to would be a type of its own to compile for."""
    view = array.view()
    view.flags.writeable = False
    return view


def kernel_input(words: NDArray[Any]) -> NDArray[Any]:
    """``words`` as a kernel reads them: ``native`` and read-only."""
    return read_only(native(words))


def per_frame(value: ArrayLike, frames: int, name: str) -> NDArray[np.float64]:
    """One finite number for each of ``frames`` frames, float64; a single one serves all.

    Raises
    ------
    InputError
        The count fits neither, or a number is not finite.
    """
    given = np.asarray(value, np.float64)
    if given.ndim > 1 or given.size not in {1, frames}:
        raise InputError(f"{name}: {frames} frames need one value or {frames}, not {given.size}.", found=given.size)
    if not np.isfinite(given).all():
        raise InputError(f"{name} is not finite. Correct the attribute.")
    return read_only(np.ascontiguousarray(np.broadcast_to(given.reshape(-1), (frames,))))


def refuse_overlap(source: NDArray[Any], target: NDArray[Any]) -> None:
    """Raise ``InputError`` where ``target`` may share memory with ``source``."""
    if np.may_share_memory(source, target):
        raise InputError("out overlaps the input. Give another array.")
