"""Overlay planes: one bit a pixel, in an attribute of their own or in bits of the pixel words that hold no sample.

PS3.3 C.9.2 and C.9.3; bits are packed as PS3.5 8.1.2 says, the first in the lowest bit of a byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.dicom.header import Header
from pacscore.errors import InvalidDicomError

_GROUPS = range(0x6000, 0x6020, 2)


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """One overlay plane of one frame.

    Attributes
    ----------
    group : int
        60xx.
    bits : NDArray of bool
        ``(rows, columns)``.
    origin : tuple of int
        Row and column of the image where the first bit lies, from 0: Overlay Origin (60xx,0050) less 1. May be
        negative.
    kind : str
        Overlay Type (60xx,0040): G graphics, R region of interest.
    label : str
        Overlay Label (60xx,1500), else Overlay Description (60xx,0022).
    """

    group: int
    bits: NDArray[np.bool_]
    origin: tuple[int, int]
    kind: str
    label: str


def read_overlays(header: Header, frame_index: int, words: Callable[[], NDArray[Any]]) -> tuple[Overlay, ...]:
    """The overlay planes that belong to a frame.

    Parameters
    ----------
    header
        Of the object.
    frame_index
        From 0. A plane without Number of Frames in Overlay (60xx,0015) belongs to every frame.
    words
        Gives the frame's pixel words as stored, ``(rows, columns)``; called only where a plane lies in their bits.

    Raises
    ------
    InvalidDicomError
        A plane's attributes contradict each other or its data is too short.
    """
    found = (_read_plane(header, group, frame_index, words) for group in _GROUPS)
    return tuple(overlay for overlay in found if overlay is not None)


def _read_plane(header: Header, group: int, frame_index: int, words: Callable[[], NDArray[Any]]) -> Overlay | None:
    base = group << 16
    rows, columns = header.get(base | 0x0010), header.get(base | 0x0011)
    if not isinstance(rows, int) or not isinstance(columns, int) or rows <= 0 or columns <= 0:
        return None  # Empty groups are met, and presentation states that only switch a plane on.
    count = header.get(base | 0x0015)
    if isinstance(count, int) and count > 0:
        first = header.get(base | 0x0051)
        place = frame_index - (first - 1 if isinstance(first, int) else 0)
        if not 0 <= place < count:
            return None
    else:
        place = 0
    allocated = header.get(base | 0x0100)
    if allocated in {None, 1}:
        data = header.value_bytes(base | 0x3000)
        if not data:
            return None
        bits = _unpack(data, place, rows, columns, group, little_endian=header.elements.little_endian)
    else:
        bits = _from_words(words(), header.get(base | 0x0102), rows, columns, group)
    origin = header.get(base | 0x0050)
    numbers = [part for part in origin if isinstance(part, int)] if isinstance(origin, list) else []
    label = header.get(base | 0x1500) or header.get(base | 0x0022)
    return Overlay(
        group,
        bits,
        (numbers[0] - 1, numbers[1] - 1) if len(numbers) == 2 else (0, 0),
        str(header.get(base | 0x0040) or "G"),
        label if isinstance(label, str) else "",
    )


def _unpack(data: bytes, place: int, rows: int, columns: int, group: int, *, little_endian: bool) -> NDArray[np.bool_]:
    size = rows * columns
    if (place + 1) * size > len(data) * 8:
        raise InvalidDicomError(
            f"Overlay Data ({group:04X},3000) has {len(data)} bytes, too few for {place + 1} planes of {rows} x "
            f"{columns} bits.",
            tag=f"{group:04X}3000",
            expected=-(-(place + 1) * size // 8),
            found=len(data),
        )
    raw = np.frombuffer(data, np.uint8)
    if not little_endian and len(raw) % 2 == 0:  # Words of 16 bits, which this transfer syntax swaps.
        raw = raw.reshape(-1, 2)[:, ::-1].reshape(-1)
    start = place * size
    part = np.unpackbits(raw[start // 8 : -(-(start + size) // 8)], bitorder="little")
    return np.asarray(part[start % 8 : start % 8 + size].reshape(rows, columns), np.bool_)


def _from_words(words: NDArray[Any], position: object, rows: int, columns: int, group: int) -> NDArray[np.bool_]:
    width = words.dtype.itemsize * 8
    if words.shape != (rows, columns) or not isinstance(position, int) or not 0 <= position < width:
        raise InvalidDicomError(
            f"Overlay {group:04X} lies in bit {position} of the pixels, but is {rows} x {columns} where these are "
            f"{words.shape} of {width} bits.",
            tag=f"{group:04X}0102",
            expected=(rows, columns),
            found=words.shape,
        )
    unsigned = words.view(f"u{words.dtype.itemsize}")
    return np.asarray((unsigned >> unsigned.dtype.type(position)) & unsigned.dtype.type(1), np.bool_)
