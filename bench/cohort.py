"""A cohort of CT and MR series of mixed size, cut from real ones: as files, as compressed NIfTI, and in an archive."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from rows import Context, Missing
from sealed import bytes_of, fresh

import pacscore

# Share of the series, where they are cut from, and how many slices: most are small, a few make most of the bytes.
_KINDS = (
    (0.35, "sts003-ct", (24, 51)),
    (0.35, "sts003-mr-t1", (20, 47)),
    (0.25, "ct-headneck-90", (8, 20)),
    (0.05, "ct-headneck-90", (60, 90)),
)
_UID = "2.25.7100"


@dataclass(frozen=True)
class Cohort:
    """The same series three times.

    Attributes
    ----------
    folders : list of Path
        Of the original files, one for each series.
    archive : Archive
        All of them, sealed.
    selection : Selection
        In the order of the folders.
    size : int
        Bytes of the files.
    """

    folders: list[Path]
    archive: pacscore.Archive
    selection: pacscore.Selection
    size: int


def cohort(context: Context) -> Cohort:
    """200 series, or 24 in a quick run; made once in a run, or once for all with a scratch folder."""
    if "cohort" in context.shared:
        found: Cohort = context.shared["cohort"]
        return found
    count = 24 if context.quick else 200
    root = context.scratch / f"cohort-{count}"
    if not (root / "whole").exists():
        _make(context, fresh(root), count)
        (root / "whole").touch()
    folders = sorted((root / "files").iterdir())
    archive = pacscore.create(fresh(context.scratch / f"cohort-{count}-archive"))
    archive.ingest(root / "files")
    selection = archive.select()
    by_uid = {item.series_instance_uid: item for item in selection}
    items = tuple(by_uid[f"{_UID}.{int(folder.name)}"] for folder in folders)
    made = Cohort(folders, archive, replace(selection, items=items), bytes_of(root / "files"))
    context.shared["cohort"] = made
    return made


def compressed_nifti(context: Context) -> list[Path]:
    """The cohort as ``.nii.gz``: modality values as 16-bit integers."""
    try:
        import nibabel
    except ImportError as error:
        raise Missing("peer nibabel is not installed") from error
    made = cohort(context)
    folder = made.folders[0].parent.parent / "nifti"
    folder.mkdir(exist_ok=True)
    paths = []
    for source, series in zip(made.folders, made.selection.series(made.archive), strict=True):
        path = folder / f"{source.name}.nii.gz"
        paths.append(path)
        if path.exists():
            continue
        values = series.volume().modality()
        whole = values.astype(np.int16)
        assert np.array_equal(whole, values), "the cohort's values are whole numbers"
        nibabel.save(nibabel.Nifti1Image(whole.T, np.diag([-1.0, -1.0, 1.0, 1.0])), path)
    return paths


def _make(context: Context, root: Path, count: int) -> None:
    dice = np.random.default_rng(11)
    number = 0
    for share, name, (fewest, most) in _KINDS:
        objects = [pydicom.dcmread(path) for path in sorted(context.found(f"series/{name}").iterdir())]
        objects.sort(key=lambda each: float(each.ImagePositionPatient[2]))
        for _ in range(round(share * count)):
            length = min(len(objects), int(dice.integers(fewest, most + 1)))
            first = int(dice.integers(0, len(objects) - length + 1))
            _write(objects[first : first + length], root / "files" / f"{number:04d}", number)
            number += 1


def _write(objects: list[Any], folder: Path, number: int) -> None:
    folder.mkdir(parents=True)
    for place, source in enumerate(objects):
        each = copy.copy(source)
        each.PatientID, each.StudyInstanceUID = f"cohort-{number // 2}", f"{_UID}.{number // 2}.1"
        each.SeriesInstanceUID, each.SOPInstanceUID = f"{_UID}.{number}", f"{_UID}.{number}.{place + 1}"
        each.InstanceNumber = place + 1
        each.file_meta = copy.copy(source.file_meta)
        each.file_meta.MediaStorageSOPInstanceUID = each.SOPInstanceUID
        pydicom.dcmwrite(folder / f"{place:03d}.dcm", each)
