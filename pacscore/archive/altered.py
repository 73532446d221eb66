"""What the counts of altered words tell a reader: whether to mask, and what lies beside the values.

Sealing counts, frame by frame, the words that masking to Bits Stored alters (PS3.5 8.1.1), and the manifest keeps it.
What waits in the journal is counted when its series is opened, so that the answer is the same before and after sealing
(promise 9). Where nobody counted, as with encapsulated frames, readers mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pacscore.archive.candidates import Candidate
from pacscore.archive.records import SeriesRecord, StackRecord
from pacscore.archive.sources import SealedSource
from pacscore.geometry import Finding
from pacscore.imaging.values import StoredFormat
from pacscore.parallel import map_ordered
from pacscore.settings import Settings
from pacscore.store.altered import count_altered
from pacscore.store.plan import ObjectPlan, SeriesPlan, Treatment

Counts = NDArray[np.int64]


def with_counts(record: SeriesRecord, counts_of: Callable[[int], Counts | None]) -> SeriesRecord:
    """The record of a series whose stacks say what was counted in their arrays.

    Parameters
    ----------
    counts_of
        Of an array's number: how many words of each frame masking alters, flat over axes and slices, or None where
        nobody counted.
    """
    return replace(record, stacks=tuple(_with_counts(stack, counts_of) for stack in record.stacks))


def _with_counts(stack: StackRecord, counts_of: Callable[[int], Counts | None]) -> StackRecord:
    counts = counts_of(stack.array) if stack.array >= 0 else None
    if counts is None:
        return stack
    values = replace(stack.values, stored=_judged(stack.values.stored, counts))
    altered = int(counts.sum())
    if not altered:
        return replace(stack, values=values)
    frames = int(np.count_nonzero(counts))
    finding = Finding(
        "altered-words",
        f"{altered} words in {frames} of {len(counts)} frames are not their stored values: bits beside Bits Stored "
        "(0028,0101) are set, an overlay or rubbish, or signs are not extended. Arrays hold the words; values are "
        "masked.",
        {"word_count": altered, "frame_count": frames},
    )
    return replace(stack, values=values, geometry=replace(stack.geometry, findings=(*stack.geometry.findings, finding)))


def _judged(stored: StoredFormat, counts: Counts) -> StoredFormat:
    """The format of a stack that says which frames need no masking."""
    kinds: dict[tuple[int, int, bool, bool], StoredFormat] = {}  # Few formats stand for very many frames.
    formats = []
    for each, clean in zip(stored.of_frames, (counts == 0).tolist(), strict=bool(stored.of_frames)):
        kind = each.bits_stored, each.high_bit, each.signed, clean
        if kind not in kinds:
            kinds[kind] = replace(each, clean=clean)
        formats.append(kinds[kind])
    return replace(stored, clean=not counts.any(), of_frames=tuple(formats))


def count_waiting(plan: SeriesPlan, ordered: Sequence[Candidate], settings: Settings) -> list[Counts]:
    """The counts of each array that sealing would make of these objects; what is sealed already is not read again."""
    found = [np.zeros(int(np.prod(stack.shape[: -stack.frame_rank])), np.int64) for stack in plan.stacks]
    counted = map_ordered(
        lambda pair: _count(*pair), zip(plan.objects, ordered, strict=True), threads=settings.threads()
    )
    for item, counts in zip(plan.objects, counted, strict=True):
        places = np.array(item.positions, np.int64)
        stacks = np.array(item.frame_stacks or (item.stack,) * len(places), np.int64)
        for number in np.unique(stacks).tolist():
            own = stacks == number
            found[number][places[own]] = counts[own]
    return found


def _count(item: ObjectPlan, candidate: Candidate) -> Counts:
    if item.treatment != Treatment.ARRAY or item.stored_bits is None:
        return np.zeros(len(item.positions), np.int64)
    source = candidate.source
    if isinstance(source, SealedSource) and source.generation.manifest.treatment(source.ordinal) == Treatment.ARRAY:
        known = source.generation.manifest.altered_of_object(source.ordinal)
        if known is not None:
            return known
    return count_altered(item, source.read())
