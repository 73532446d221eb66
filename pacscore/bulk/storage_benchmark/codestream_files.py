"""A compressed image file for each slice: JPEG-LS, JPEG 2000 and HTJ2K, lossless, by imagecodecs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.bulk.storage_benchmark.cases import Case
from pacscore.bulk.storage_benchmark.ways import Box, Way
from pacscore.errors import InputError

Encode = Callable[[NDArray[Any]], bytes]
Decode = Callable[[bytes], NDArray[Any]]


class _Slices:
    """A box decodes the slices it meets."""

    def __init__(self, folder: Path, decode: Decode) -> None:
        self._facts = json.loads((folder / "facts.json").read_text("utf-8"))
        self.shape: tuple[int, ...] = tuple(self._facts["shape"])
        self._folder, self._decode = folder, decode

    def read(self, box: Box) -> NDArray[Any]:
        dtype = np.dtype(self._facts["dtype"])
        parts = []
        for number in range(*box[0].indices(self.shape[0])):
            frame = self._decode((self._folder / f"{number:06d}").read_bytes())[box[1:]]
            parts.append(frame.astype(np.int64) + self._facts["least"])
        return np.stack(parts).astype(dtype)

    def close(self) -> None:
        self._facts = {}


def _writer(encode: Encode) -> Callable[[Case, Path], None]:
    def write(case: Case, folder: Path) -> None:
        least = int(case.words.min())  # From the least word on, so that sign and unused bits cost nothing.
        if case.words.dtype.kind == "f" or int(case.words.max()) - least > 0xFFFF:
            raise InputError("words of more than 16 bits")
        facts = {"shape": case.words.shape, "dtype": case.words.dtype.name, "least": least}
        (folder / "facts.json").write_text(json.dumps(facts), "utf-8")
        for number, frame in enumerate(case.words):
            raised = (frame.astype(np.int64) - least).astype(np.uint16)
            (folder / f"{number:06d}").write_bytes(encode(np.ascontiguousarray(raised)))

    return write


def _jpegls(frame: NDArray[Any]) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpegls_encode(frame))


def _jpegls_decoded(data: bytes) -> NDArray[Any]:
    import imagecodecs

    return np.asarray(imagecodecs.jpegls_decode(data))


def _jpeg2k(frame: NDArray[Any]) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpeg2k_encode(frame, level=0, reversible=True))


def _htj2k(frame: NDArray[Any]) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.htj2k_encode(frame, reversible=True))


def _jpeg2k_decoded(data: bytes) -> NDArray[Any]:
    import imagecodecs

    return np.asarray(imagecodecs.jpeg2k_decode(data))


def _way(name: str, what: str, encode: Encode, decode: Decode) -> Way:
    return Way(name, what, ("imagecodecs",), _writer(encode), lambda folder: _Slices(folder, decode))


CODESTREAM_WAYS = (
    _way("jpeg-ls", "a file for each slice, CharLS", _jpegls, _jpegls_decoded),
    _way("jpeg-2000", "a file for each slice, reversible, OpenJPEG", _jpeg2k, _jpeg2k_decoded),
    _way("htj2k", "a file for each slice, reversible, OpenJPH writes and OpenJPEG reads", _htj2k,
         _jpeg2k_decoded),
)  # fmt: skip
