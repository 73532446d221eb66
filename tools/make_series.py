"""Make a large CT series from real pixel data, for the figures: 208 × 512 × 512 int16, explicit little endian.

    python tools/make_series.py DATA_FOLDER OUT_FOLDER [--slices 208]

The 90 slices of ``ct-headneck-90`` (511 × 511) are continued by mirroring along the slices and padded to 512 × 512 by
repeating the last row and column; every header is a real one with new UIDs, positions and numbers. 1-in-1: no pixel
value is computed.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import ExplicitVRLittleEndian


def make_series(data: Path, out: Path, slices: int = 208, *, root: str = "2.25.7000") -> Path:
    """Write the series below ``out`` unless it is there already, and return its folder."""
    folder = out / f"ct-{slices}x512x512"
    if folder.is_dir() and len(list(folder.iterdir())) == slices:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    real = [pydicom.dcmread(path) for path in sorted((data / "series" / "ct-headneck-90").iterdir())]
    real.sort(key=lambda each: float(each.ImagePositionPatient[2]))
    order = list(range(len(real))) + list(range(len(real) - 2, -1, -1))
    while len(order) < slices:
        order += order[1:]
    first = float(real[0].ImagePositionPatient[2])
    for number, index in enumerate(order[:slices]):
        source = real[index]
        made = pydicom.Dataset()
        made.update({element.tag: copy.copy(element) for element in source if element.tag != 0x7FE00010})
        pixels = np.pad(source.pixel_array, ((0, 1), (0, 1)), mode="edge").astype(np.int16)
        made.Rows, made.Columns, made.PixelRepresentation = 512, 512, 1
        made.SOPInstanceUID = f"{root}.{slices}.{number + 1}"
        made.SeriesInstanceUID = f"{root}.{slices}"
        made.StudyInstanceUID = root
        made.InstanceNumber = number + 1
        made.ImagePositionPatient = [*source.ImagePositionPatient[:2], first + 3.0 * number]
        made.SliceLocation = first + 3.0 * number
        made.add_new(0x7FE00010, "OW", pixels.tobytes())
        made.file_meta = pydicom.dataset.FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.MediaStorageSOPClassUID = source.SOPClassUID
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        pydicom.dcmwrite(
            folder / f"{number:04d}.dcm", made, enforce_file_format=True, implicit_vr=False, little_endian=True
        )
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--slices", type=int, default=208)
    arguments = parser.parse_args()
    print(make_series(arguments.data, arguments.out, arguments.slices))
