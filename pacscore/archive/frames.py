"""Frames of a series' objects, wherever they lie: in arrays, as blobs, encapsulated, or still in the journal."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pacscore.archive.candidates import Candidate
from pacscore.archive.planning import describe
from pacscore.archive.records import StackRecord
from pacscore.dicom.attributes import Header
from pacscore.dicom.codecs import decode_frame
from pacscore.dicom.pixels import PixelDescription, read_native_frame
from pacscore.dicom.scan import Scan
from pacscore.errors import NotFoundError, UndecodableError
from pacscore.imaging.sources import Box
from pacscore.parallel import run_tiles
from pacscore.settings import Settings
from pacscore.store.generation import Generation
from pacscore.store.plan import Treatment

_KEPT = 256


@dataclass(frozen=True, slots=True)
class Pixels:
    """What decoding the frames of one object needs."""

    header: Header
    scan: Scan
    description: PixelDescription

    @property
    def transfer_syntax_uid(self) -> str:
        """How they are encoded."""
        return self.scan.parts.transfer_syntax_uid


class FrameReader(Protocol):
    """Frames by the number of their object in the series and their index there."""

    def pixels(self, ordinal: int) -> Pixels:
        """How an object's frames are encoded."""
        ...

    def frame(self, ordinal: int, frame_index: int) -> NDArray[Any]:
        """Stored samples, ``(rows, columns)`` or ``(rows, columns, samples)``, native byte order."""
        ...


class _Remembered:
    """The last few results of a function of one number; safe for several threads."""

    def __init__(self, function: Callable[[int], Pixels]) -> None:
        self._function = function
        self._kept: OrderedDict[int, Pixels] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, number: int) -> Pixels:
        with self._lock:
            if number in self._kept:
                return self._kept[number]
        value = self._function(number)
        with self._lock:
            self._kept[number] = value
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return value
