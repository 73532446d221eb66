"""Staging a generation: one series, or a pack of small ones, written, synced and proven, not yet visible."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pacscore.errors import PacscoreError, ProofError
from pacscore.filesystem import FileSystem
from pacscore.settings import Settings
from pacscore.store.checking import check_plan
from pacscore.store.generation import Generation
from pacscore.store.plan import ObjectSource, SeriesPlan, StagedGeneration, StagedSeries
from pacscore.store.series_writer import SeriesWriter
from pacscore.store.staging import StagingFile

PARALLEL_BYTES_MIN = 256 << 10
"""Bytes of a series, on average, from which those of a pack are written side by side."""

Planned = tuple[SeriesPlan, ObjectSource]


def stage_generation(
    plans: Sequence[Planned],
    path: Path,
    filesystem: FileSystem,
    settings: Settings,
    *,
    pack: bool | None = None,
    progress: Callable[[int], None] | None = None,
) -> StagedGeneration:
    """Write one generation file, sync it and prove it (promise 3).

    Parameters
    ----------
    plans
        The series and where their objects come from. Several make a pack.
    path
        Of the new file, in a staging folder. Making its name durable and publishing it are the caller's steps.
    pack
        Whether members lie below the key of their series; by default when there are several.
    progress
        Called with the bytes of the objects taken since the last call; from one thread at a time. Whatever it
        raises ends the work.

    Raises
    ------
    InputError
        A plan does not fit together; nothing was written.
    ChangedError
        An object is not what was scanned.
    ProofError
        What was written does not read back as what was given.
    StorageError
        The disk is full, or refused a write or a sync.

    Whatever is raised, the staged file is removed if the disk allows it, and is garbage otherwise.
    """
    for plan, _ in plans:
        check_plan(plan)
    in_pack = len(plans) > 1 if pack is None else pack
    staging = StagingFile(path, filesystem, settings)
    try:
        staged, changeable = _write_all(plans, staging, in_pack=in_pack, progress=progress or (lambda count: None))
        length = staging.finish()
        for series, indices in zip(staged, changeable, strict=True):
            _prove_by_hash(path, series, indices, settings)
    except BaseException:
        staging.close()
        with suppress(PacscoreError):
            filesystem.remove(path)
        raise
    return StagedGeneration(path=str(path), series=tuple(staged), bytes_stored=length)


def _write_all(
    plans: Sequence[Planned], staging: StagingFile, *, in_pack: bool, progress: Callable[[int], None]
) -> tuple[list[StagedSeries], list[set[int]]]:
    """One series works on its slabs side by side; those of a pack are small and go side by side as wholes."""

    def write(planned: Planned) -> tuple[StagedSeries, set[int], int]:
        plan, source = planned
        prefix = f"{plan.key}/" if in_pack else ""
        taken = 0

        def count(size: int) -> None:
            nonlocal taken
            taken += size

        report = count if len(plans) > 1 else progress
        series, indices = SeriesWriter(plan, source, staging, prefix=prefix, progress=report).write()
        return series, indices, taken

    staged, changeable = [], []
    results: Iterator[tuple[StagedSeries, set[int], int]]
    if len(plans) == 1:
        results = map(write, plans)
    else:
        size = sum(item.length for plan, _ in plans for item in plan.objects)
        # The work on a tiny series is Python's: two threads take turns at it and are slower than one (1.5 times).
        results = staging.each(write, plans, threads=None if size >= PARALLEL_BYTES_MIN * len(plans) else 1)
    for series, indices, taken in results:
        staged.append(series)
        changeable.append(indices)
        if taken:
            progress(taken)
    return staged, changeable


def _prove_by_hash(path: Path, series: StagedSeries, indices: set[int], settings: Settings) -> None:
    """Objects whose memory may have changed under the writer: reassemble and hash what was stored."""
    if not indices:
        return
    with Generation.open(path, prefix=series.prefix, settings=settings) as generation:
        for index in sorted(indices):
            prefix_length = generation.manifest.number("prefix_length", index)
            digest = hashlib.sha256(memoryview(generation.object_bytes(index))[prefix_length:]).digest()
            if digest != series.sha256[index]:
                raise ProofError(
                    "An object changed while it was written: what is staged has another SHA-256. Ingest it again.",
                    uid=generation.manifest.sop_instance_uids[index],
                )
