"""Working copies: decoded frames of a sealed series, so that a compressed original reads like a native one.

W1  A working copy is a cache: below ``cache/``, made when a strategy asks for it, rebuildable, deletable at any time,
    never the source of original bytes. A missing one only makes reading slower.
W2  It is a generation file like any other, whose objects are the decoded frames, so it is written, proven and read by
    the same code.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pacscore.archive.copies import copy_path
from pacscore.archive.frames import FrameReader
from pacscore.archive.records import StackRecord
from pacscore.archive.sealing import Sealed
from pacscore.archive.series import Series
from pacscore.archive.session import Session
from pacscore.errors import UndecodableError
from pacscore.store.plan import ObjectPlan, SeriesPlan, StackPlan, Treatment
from pacscore.store.strategy import Strategy
from pacscore.store.writer import stage_generation

_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


def write_copies(session: Session, sealed: Sealed, strategy: Strategy | None = None) -> None:
    """Write the working copies of what was just sealed, if its strategy (by default the archive's) asks for them."""
    strategy = strategy or Strategy.named(session.layout.strategy)
    if not strategy.working_copy:
        return
    for gathered in sealed.gathered:
        stored = session.catalog.series_by_key(gathered.key)
        if stored is not None and stored.state == "sealed":
            write_series_copies(session, Series(session, stored), strategy)


def write_series_copies(session: Session, series: Series, strategy: Strategy) -> int:
    """Write a working copy of each stack that lies in no array, and return how many were written.

    A stack with a frame that cannot be decoded here gets none.
    """
    written = 0
    for number, record in enumerate(series.stacks):
        path = copy_path(session, series.generation, number)
        if record.array >= 0 or path.exists():
            continue
        try:
            _write(session, series, record, path, strategy)
        except UndecodableError:
            continue
        written += 1
    return written


class _DecodedFrames:
    """The frames of a stack as the writer reads objects."""

    def __init__(self, record: StackRecord, frames: FrameReader) -> None:
        self._record = record
        self._frames = frames

    def read(self, index: int) -> bytes:
        """One frame's words, little-endian."""
        ordinal, frame_index = self._record.frames[index].tolist()
        words = self._frames.frame(ordinal, frame_index)
        return words.astype(words.dtype.newbyteorder("<"), copy=False).tobytes()


def _write(session: Session, series: Series, record: StackRecord, path: Path, strategy: Strategy) -> None:
    size = int(np.prod(record.frame_shape)) * np.dtype(record.dtype).itemsize
    objects = tuple(
        ObjectPlan(
            sop_instance_uid=str(position),
            sop_class_uid="",
            transfer_syntax_uid=_EXPLICIT_LITTLE,
            length=size,
            prefix_length=0,
            header_length=0,
            pixel_length=size,
            header_crc32c=0,
            treatment=Treatment.ARRAY,
            stack=0,
            positions=(position,),
        )
        for position in range(len(record.frames))
    )
    stack = StackPlan(record.shape, record.dtype, record.dimension_names, len(record.frame_shape))
    plan = SeriesPlan(
        series.key, series.study_instance_uid, series.series_instance_uid, None, objects, (stack,), {}, strategy
    )
    if not session.layout.cache.exists():
        session.filesystem.make_folder(session.layout.cache, exist_ok=True)
    with session.staging.place("", path) as staged:
        stage_generation([(plan, _DecodedFrames(record, series.frames))], staged, session.filesystem, session.settings)
        session.filesystem.rename(staged, path)
