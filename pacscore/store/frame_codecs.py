"""Frames as codestreams: JPEG-LS and HTJ2K, each frame a chunk, lossless.

A codec of somebody else's joins as an entry point of the group ``pacscore.frame_codecs``; whatever it is, every frame
is decoded and compared before it is trusted (promise 3), and a CRC32C stands behind it.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import UnsupportedError
from pacscore.store.plugins import plugin, plugin_names

_GROUP = "pacscore.frame_codecs"


class FrameCodec(Protocol):
    """Encodes the frames of a stack, one by one; called from several threads."""

    def accepts(self, dtype: np.dtype[Any]) -> bool:
        """Whether it keeps every word of this dtype."""
        ...

    def encode(self, frame: NDArray[Any]) -> bytes:
        """(rows, columns), C order, native byte order, read-only, to a codestream."""
        ...

    def decode(self, data: bytes, out: NDArray[Any]) -> None:
        """The same words, into an array of the frame's shape and dtype; any exception says that it is damaged."""
        ...


class _Integers:
    """What both formats hold: words of 8 and 16 bits; signed ones with their sign bit turned over, so in order."""

    def accepts(self, dtype: np.dtype[Any]) -> bool:
        return dtype.kind in "iu" and dtype.itemsize <= 2


class JpegLs(_Integers):
    """ISO/IEC 14495-1 by CharLS."""

    def encode(self, frame: NDArray[Any]) -> bytes:
        """See ``FrameCodec``."""
        return bytes(_imagecodecs().jpegls_encode(unsigned_of(frame)))

    def decode(self, data: bytes, out: NDArray[Any]) -> None:
        """See ``FrameCodec``."""
        put_unsigned(_imagecodecs().jpegls_decode(data), out)


class HtJ2k(_Integers):
    """ISO/IEC 15444-15, reversible: OpenJPH encodes; OpenJPEG decodes, since it says when a codestream is damaged."""

    def encode(self, frame: NDArray[Any]) -> bytes:
        """See ``FrameCodec``."""
        return bytes(_imagecodecs().htj2k_encode(unsigned_of(frame), reversible=True))

    def decode(self, data: bytes, out: NDArray[Any]) -> None:
        """See ``FrameCodec``."""
        put_unsigned(_imagecodecs().jpeg2k_decode(data), out)


_CODECS: dict[str, FrameCodec] = {"jpegls": JpegLs(), "htj2k": HtJ2k()}


def frame_codec(name: str) -> FrameCodec:
    """The codec of that name.

    Raises
    ------
    UnsupportedError
        There is none.
    """
    found: FrameCodec | None = _CODECS.get(name) or plugin(_GROUP, name)
    if found is None:
        names = ", ".join([*_CODECS, *plugin_names(_GROUP)])
        raise UnsupportedError(f"No codec of frames is called {name!r}; there are {names}.", found=name)
    return found


def unsigned_of(frame: NDArray[Any]) -> NDArray[Any]:
    """Words as unsigned numbers in the same order: the least signed word becomes 0."""
    if frame.dtype.kind == "u":
        return frame
    unsigned = np.dtype(f"u{frame.dtype.itemsize}")
    top = unsigned.type(1 << (8 * frame.dtype.itemsize - 1))
    turned: NDArray[Any] = frame.view(unsigned) ^ top
    return turned


def put_unsigned(words: NDArray[Any], out: NDArray[Any]) -> None:
    """The inverse, into ``out``.

    Raises
    ------
    ValueError
        The words are not of its shape and width.
    """
    if words.shape != out.shape or words.dtype.itemsize != out.dtype.itemsize:
        raise ValueError("A codestream holds a frame of another size.")
    if out.dtype.kind == "u":
        out[...] = words
        return
    top = words.dtype.type(1 << (8 * words.dtype.itemsize - 1))
    out[...] = (words ^ top).view(out.dtype)


def _imagecodecs() -> Any:
    try:
        import imagecodecs
    except ImportError as error:
        raise UnsupportedError(
            "Frames as JPEG-LS or HTJ2K need imagecodecs: pip install 'pacscore[codecs]'.", found="imagecodecs"
        ) from error
    return imagecodecs
