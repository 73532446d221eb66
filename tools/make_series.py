"""Make a large CT series from real pixel data, for the figures: 208 × 512 × 512 int16, explicit little endian.

    python tools/make_series.py DATA_FOLDER OUT_FOLDER [--slices 208] [--syntax jpeg2000|jpegls|htj2k]

The 90 slices of ``ct-headneck-90`` (511 × 511) are continued by mirroring along the slices and padded to 512 × 512 by
repeating the last row and column; every header is a real one with new UIDs, positions and numbers. 1-in-1: no pixel
value is computed. ``--syntax`` also makes a copy with losslessly compressed frames.
"""

from __future__ import annotations

import argparse
import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, HTJ2KLossless, JPEG2000Lossless, JPEGLSLossless

SYNTAXES = {"jpeg2000": JPEG2000Lossless, "jpegls": JPEGLSLossless, "htj2k": HTJ2KLossless}


def make_series(data: Path, out: Path, slices: int = 208, *, root: str = "2.25.7000") -> Path:
    """Write the series below ``out`` unless it is there already, and return its folder."""
    folder = out / f"ct-{slices}x512x512-16bit"
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
        made.Rows, made.Columns = 512, 512
        # Signed words of 12 bits would turn values from 2048 on into negative ones.
        made.PixelRepresentation, made.BitsStored, made.HighBit = 1, 16, 15
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


def encode_lossless(words: NDArray[Any], syntax: str) -> bytes:
    """A frame of 16-bit words as a lossless codestream."""
    import imagecodecs

    if syntax == "jpegls":  # JPEG-LS knows no sign: the words are coded as they lie.
        return bytes(imagecodecs.jpegls_encode(words.view(np.uint16)))
    if syntax == "htj2k":
        return bytes(imagecodecs.htj2k_encode(words, reversible=True))
    return bytes(imagecodecs.jpeg2k_encode(words, codecformat="j2k", reversible=True, level=0))


def make_encapsulated(native: Path, out: Path, syntax: str) -> Path:
    """A copy of a native series with each frame compressed by one of ``SYNTAXES``; its folder, made once."""
    sources = sorted(native.iterdir())
    folder = out / f"{native.name}-{syntax}"
    if folder.is_dir() and len(list(folder.iterdir())) == len(sources):
        return folder
    folder.mkdir(parents=True, exist_ok=True)

    def make(path: Path) -> None:
        made = pydicom.dcmread(path)
        frame = encode_lossless(made.pixel_array, syntax)
        made.PixelData = encapsulate([frame])
        made["PixelData"].VR = "OB"
        made["PixelData"].is_undefined_length = True
        made.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
            setattr(made, keyword, f"{made[keyword].value}.{sorted(SYNTAXES).index(syntax) + 1}")
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        made.save_as(folder / path.name, enforce_file_format=True)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(make, sources))
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--slices", type=int, default=208)
    parser.add_argument("--syntax", choices=sorted(SYNTAXES), help="make a compressed copy too")
    arguments = parser.parse_args()
    made = make_series(arguments.data, arguments.out, arguments.slices)
    print(made)
    if arguments.syntax:
        print(make_encapsulated(made, arguments.out, arguments.syntax))
