"""A training set: intensities normalised, voxels isotropic, no patient in both parts.

    python training_set.py ARCHIVE SET Modality=MR

Makes SET/train and SET/val, each a run folder with results/N.zarr (float32, chunked, with index_to_lps among its
attributes) and the record of what was done to which generation. It needs no bias correction (N4): intensities are
clipped to percentiles and set to mean 0 and deviation 1.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import pacscore
from pacscore import bulk
from pacscore.imaging import Rescale, arrays

if TYPE_CHECKING:
    from pacscore import Volume


def prepare(volume: Volume, spacing_mm: float = 2.0) -> Volume:
    """An isotropic volume whose values have mean 0 and deviation 1, outliers clipped."""
    isotropic = volume.resample(spacing_mm)
    values = isotropic.modality()
    low, high = arrays.percentile_limits(values, low_percent=1.0, high_percent=99.0)
    np.clip(values, low, high, out=values)
    values -= values.mean(dtype=np.float64)
    values /= max(float(values.std(dtype=np.float64)), 1e-6)
    said = f"clipped to {low:g} to {high:g}, mean 0, deviation 1"
    return replace(isotropic.with_array(values, derivation=said), rescale=Rescale.linear())


def main(archive: str, out: str, *words: str) -> None:
    """Prepare every regular series that matches, in two parts."""
    match = dict(word.split("=", 1) for word in words)
    with pacscore.open(archive, read_only=True) as opened:
        selection = opened.select(geometry="regular", **match)
    for name, part in selection.split(train=0.8, val=0.2, by="PatientID", seed=1).items():
        report = bulk.map(part, prepare, run=Path(out) / name, progress=True).report()
        print(f"{name}: {report.done} volumes, {report.failed} failed.")


if __name__ == "__main__":
    main(*sys.argv[1:])
