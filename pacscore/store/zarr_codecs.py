"""Codecs of ours for zarr-python, which finds them by entry point (``zarr.codecs``) wherever pacscore is installed.

Nothing here is used by the store itself: its own engine does the same inside its kernels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec

from pacscore.errors import InputError
from pacscore.kernels.gradient import take_gradient_at, undo_gradient_at
from pacscore.store.frame_codecs import frame_codec

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer

_NAME = "pacscore.gradient"
_FRAMES = "pacscore.frames"


@dataclass(frozen=True)
class GradientCodec(ArrayArrayCodec):
    """Words as what a plane through three neighbours leaves of them, zigzag; see ``docs/format.md``.

    Attributes
    ----------
    row_axis : int
        Which axis are the rows of an image; the next are its columns, and all behind are samples of a pixel.
    """

    row_axis: int
    is_fixed_size = True

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Of the metadata of an array."""
        return cls(int(data["configuration"]["row_axis"]))

    def to_dict(self) -> dict[str, Any]:
        """For the metadata of an array."""
        return {"name": _NAME, "configuration": {"row_axis": self.row_axis}}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """As long as the words."""
        return input_byte_length

    async def _decode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        words, images, rows, row_words, step = self._images(chunk_data.as_numpy_array())
        size = words.itemsize
        for image in range(images):
            undo_gradient_at(words.ctypes.data + image * rows * row_words * size, size, rows, row_words, step)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(words)

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer | None:
        words, images, rows, row_words, step = self._images(chunk_data.as_numpy_array())
        take_gradient_at(words.ctypes.data, words.itemsize, images, rows, row_words, step)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(words)

    def _images(self, words: NDArray[Any]) -> tuple[NDArray[Any], int, int, int, int]:
        """A copy of the words, in native order, and how images lie in it."""
        if not 0 <= self.row_axis < words.ndim - 1 or words.itemsize not in (1, 2, 4, 8):
            raise InputError(f"{_NAME} needs words of up to 8 bytes, and columns behind axis {self.row_axis}.")
        copy = np.array(words, words.dtype.newbyteorder("="), order="C")
        rows, columns = words.shape[self.row_axis : self.row_axis + 2]
        step = math.prod(words.shape[self.row_axis + 2 :])
        return copy, math.prod(words.shape[: self.row_axis]), rows, columns * step, step


@dataclass(frozen=True)
class FramesCodec(ArrayBytesCodec):
    """A chunk of one frame as a codestream; see ``docs/format.md``.

    Attributes
    ----------
    codec : str
        ``jpegls``, ``htj2k``, or that of an entry point.
    """

    codec: str
    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Of the metadata of an array."""
        return cls(str(data["configuration"]["codec"]))

    def to_dict(self) -> dict[str, Any]:
        """For the metadata of an array."""
        return {"name": _FRAMES, "configuration": {"codec": self.codec}}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Not known before."""
        raise NotImplementedError

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        words = np.zeros(chunk_spec.shape, chunk_spec.dtype.to_native_dtype())
        frame_codec(self.codec).decode(chunk_bytes.to_bytes(), words.reshape(words.shape[-2:]))
        return chunk_spec.prototype.nd_buffer.from_numpy_array(words)

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        words = np.ascontiguousarray(chunk_data.as_numpy_array())
        if math.prod(words.shape[:-2]) != 1:
            raise InputError(f"{_FRAMES} needs chunks of one frame, not of shape {words.shape}.")
        data = frame_codec(self.codec).encode(words.reshape(words.shape[-2:]))
        return chunk_spec.prototype.buffer.from_bytes(data)
