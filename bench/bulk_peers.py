"""The statistic of a series as its users write it over files, for a process pool; a module that workers can import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PERCENTS = (1, 50, 99)
FOREGROUND = 100.0
_SLAB_BYTES = 16 << 20

Found = tuple[float, ...]
"""Mean, percentiles, and voxels above a threshold, all in the modality's unit."""


def of_counts(counts: NDArray[np.int64], first: int, slope: float, intercept: float) -> Found:
    """The statistic from how often each word occurs, ``first`` being the word of the first count."""
    total = int(counts.sum())
    words = np.arange(first, first + len(counts), dtype=np.float64)
    values = words * slope + intercept
    ends = np.cumsum(counts)
    ranks = [min(total - 1, int(percent / 100 * total)) for percent in PERCENTS]
    found = [float(values[np.searchsorted(ends, rank, side="right")]) for rank in ranks]
    mean = float((counts * values).sum()) / total  # Not `@`: BLAS would start threads of its own in every worker.
    return (round(mean, 4), *found, float(counts[values > FOREGROUND].sum()))


def of_words(words: NDArray[Any], slope: float, intercept: float) -> Found:
    """The statistic of an array with NumPy; counting is faster than ``np.percentile`` and gives the same."""
    first = int(words.min())
    counts = np.bincount((words.reshape(-1) - np.int32(first)).astype(np.int32))
    return of_counts(counts, first, slope, intercept)


def with_pydicom(folder: Path) -> Found:
    """Every file read, decoded and stacked by position."""
    import pydicom

    objects = [pydicom.dcmread(path) for path in folder.iterdir()]
    objects.sort(key=lambda each: float(each.ImagePositionPatient[2]))
    words = np.stack([each.pixel_array for each in objects])
    return of_words(words, float(objects[0].get("RescaleSlope", 1)), float(objects[0].get("RescaleIntercept", 0)))


def with_simpleitk(folder: Path) -> Found:
    """ImageSeriesReader on the names that GDCM sorts; it gives rescaled values."""
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    values = SimpleITK.GetArrayViewFromImage(image)  # Of the image's own memory, so that one must live on.
    if values.dtype.kind == "f":  # Slopes of MR.
        return of_words(np.rint(values).astype(np.int32), 1.0, 0.0)
    return of_words(values, 1.0, 0.0)


def with_nibabel(path: Path) -> Found:
    """The words of a compressed file, and the scale of its header."""
    import nibabel

    image = nibabel.load(path)
    slope, intercept = image.header.get_slope_inter()
    words = np.asanyarray(image.dataobj.get_unscaled())
    return of_words(words, 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))


def ours(volume: Any) -> Found:
    """The same over a stored volume, some whole chunks of slices at a time."""
    from pacscore.imaging import arrays

    slices, rows, columns = volume.shape
    chunk = volume.source.chunk_shape[0]
    step = chunk * max(1, _SLAB_BYTES // (chunk * rows * columns * volume.dtype.itemsize))
    counts = np.zeros(65536, np.int64)
    for start in range(0, slices, step):
        box = (slice(start, min(slices, start + step)), slice(0, rows), slice(0, columns))
        counts += arrays.histogram_16(volume.read_box(box))
    present = counts != 0
    first, last = int(present.argmax()), len(present) - 1 - int(present[::-1].argmax())
    slope, intercept = float(volume.rescale.slopes[0]), float(volume.rescale.intercepts[0])
    return of_counts(counts[first : last + 1], first + int(np.iinfo(volume.dtype).min), slope, intercept)


def for_a_millisecond(_item: Any) -> float:
    """Take a millisecond, and say how long it was."""
    import time

    started = time.perf_counter()
    time.sleep(1e-3)
    return time.perf_counter() - started
