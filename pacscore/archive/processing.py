"""Running a pipeline over a stored series: the result becomes a derived series, an array or a picture."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pacscore.archive.report import Progress, Reported
from pacscore.errors import InputError, StorageError
from pacscore.imaging import Volume, slice_sheet
from pacscore.imaging.pipeline import Pipeline

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

ENDINGS = (".npy", ".png", ".jpg", ".jpeg")


@dataclass(frozen=True, slots=True)
class ProcessReport(Reported):
    """What a pipeline made.

    Attributes
    ----------
    source, series : str
        Series Instance UIDs of the input, and of the result; "" where that was written to a file.
    out : str
        The file, "" where a series was stored.
    shape, dtype
        Of the result.
    steps : tuple of dict
        Name and parameters of each step.
    derivation : tuple of str
        What was done, in words.
    seconds : float
        Reading, computing and storing.
    """

    source: str
    series: str
    out: str
    shape: tuple[int, ...]
    dtype: str
    steps: tuple[dict[str, Any], ...]
    derivation: tuple[str, ...]
    seconds: float


def process_series(
    archive: Archive,
    series_instance_uid: str,
    pipeline: Pipeline,
    *,
    study_instance_uid: str | None = None,
    stack: int = 0,
    at: Mapping[str, int] | None = None,
    description: str | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> ProcessReport:
    """Run a pipeline over one stack of a series and store the result beside it, or write it to a file.

    Parameters
    ----------
    archive
        Open for writing, unless ``out`` is given.
    series_instance_uid, study_instance_uid, stack
        Which stack; the study only where two hold a series of this UID.
    pipeline
        What to do.
    at
        Index along each extra axis by name. A derived series has none, so all must be chosen to store one.
    description
        Series Description; by default the pipeline's, else the words of its steps, at most 64 characters.
    out
        ``.npy`` for the array, ``.png`` or ``.jpg`` for a sheet of its slices; nothing is stored then.
    progress, cancel
        As for ``Pipeline.apply``.

    Raises
    ------
    InputError
        The file's ending is none of these, or a step refuses.
    NotFoundError
        There is no such series or stack.
    CancelledError
        ``cancel`` was set; nothing was stored.
    StorageError
        The file cannot be written.
    """
    started = time.perf_counter()
    if out is not None and out.suffix.lower() not in ENDINGS:
        raise InputError(
            f"A result is written as {', '.join(ENDINGS)}, not as {out.suffix or 'a name without ending'}."
        )
    series = archive.series(series_instance_uid, study_instance_uid)
    result = pipeline.apply(
        series.volume(stack, at=at),
        progress=progress,
        cancel=cancel,
        open_series=lambda uid: archive.series(uid).volume(),
    )
    stored = ""
    if out is None:
        words = description or pipeline.description or "; ".join(result.derivation)
        title = words if len(words) <= 64 or description or pipeline.description else words[:63] + "…"
        stored = archive.store_derived(result, description=title).series_instance_uid
    else:
        _write(result, out)
    return ProcessReport(
        source=series.series_instance_uid,
        series=stored,
        out="" if out is None else str(out),
        shape=result.shape,
        dtype=str(result.dtype),
        steps=tuple(step.as_dict() for step in pipeline.steps),
        derivation=result.derivation,
        seconds=time.perf_counter() - started,
    )


def _write(volume: Volume, out: Path) -> None:
    try:
        if out.parent != Path():
            out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix.lower() == ".npy":
            with out.open("wb") as file:
                np.save(file, volume.array() if volume.rescale.is_identity else volume.modality())
        else:
            slice_sheet(volume).save(out)
    except OSError as error:
        raise StorageError(f"The result cannot be written: {error.strerror}.", path=str(out)) from error
