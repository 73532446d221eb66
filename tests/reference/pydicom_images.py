"""Real images as pydicom sees them: attributes, raw pixel values and decoded frames, to compare with."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError as PydicomError

_KEYWORDS = {0x7FE00010: "PixelData", 0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}


@dataclass(frozen=True)
class Place:
    """Where a pixel value lies, as far as mapping needs it."""

    vr: int
    length: int
    encapsulated: bool


class RealImage:
    """One file with pixel data."""

    def __init__(self, path: Path, dataset: pydicom.Dataset, tag: int) -> None:
        self.path = path
        self.dataset = dataset
        self.tag = tag
        self.transfer_syntax_uid = str(dataset.file_meta.TransferSyntaxUID)
        self.value: bytes = dataset[tag].value

    def __repr__(self) -> str:
        return f"<{self.path.name}>"

    @cached_property
    def encapsulated(self) -> bool:
        return self.dataset[self.tag].is_undefined_length or self.value.startswith(b"\xfe\xff\x00\xe0")

    @property
    def place(self) -> Place:
        vr = str(self.dataset[self.tag].VR)
        if self.dataset.original_encoding[0]:
            vr = "OW"
        return Place(int.from_bytes(vr.encode(), "big"), len(self.value), self.encapsulated)

    def get(self, keyword: str) -> Any:
        """A value as `Header.get` would give it."""
        value = self.dataset.get(keyword)
        if isinstance(value, pydicom.multival.MultiValue):
            return [int(item) if isinstance(item, int) else item for item in value]
        if isinstance(value, float):
            return float(value)
        return int(value) if isinstance(value, int) else value

    def get_bytes(self, keyword: str) -> bytes | None:
        return self.dataset.get(keyword)

    def frame_by_pydicom(self, frame_index: int, **options: Any) -> np.ndarray:
        """The frame as pydicom decodes it, with no color transform of its own."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.pixels.pixel_array(self.dataset, index=frame_index, **({"raw": True} | options))


def read_image(path: Path) -> RealImage | None:
    """The file as an image; None if it is no DICOM file with pixel data and a stated transfer syntax."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path)
            uid = dataset.file_meta.get("TransferSyntaxUID")
            tag = next((tag for tag in _KEYWORDS if tag in dataset), None)
            if tag is None or not uid or dataset[tag].value is None:
                return None
        except (PydicomError, EOFError, AttributeError, NotImplementedError, ValueError, KeyError, OSError):
            return None
        return RealImage(path, dataset, tag)


def list_images(data: Path) -> list[Path]:
    """Every file that may be an image; of long series the first two."""
    found = [path for path in sorted((data / "single").rglob("*")) if path.is_file()]
    found += [path for path in sorted((data / "broken").iterdir()) if path.is_file()]
    for folder in sorted((data / "series").iterdir()):
        found += sorted(path for path in folder.rglob("*") if path.is_file())[:2]
    return found
