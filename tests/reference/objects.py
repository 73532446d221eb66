"""The real objects of the test data, and which of them cannot be scanned."""

from __future__ import annotations

from pathlib import Path

# What must be refused, and why. Everything else below the four folders must be read.
REFUSED = {
    "series/media-dicomdir-pydicom/DICOMDIR-nooffset": "its last record passes the end of the file",
    "series/media-dicomdir-pydicom/README.txt": "text",
    "series/media-dicomdir-pydicom/TINY_ALPHA/README": "text",
    "single/pydicom/no_meta.dcm": "a stray byte before a data set without meta: pydicom refuses it too",
    "single/fo-dicom/GH626.dcm": "a sequence longer than its length, and pixels cut short",
    "broken/MR_truncated.dcm": "pixels cut short",
    "broken/rtplan_truncated.dcm": "ends inside a sequence",
    "not_dicom/dump.txt": "text",
    "not_dicom/empty.dcm": "nothing",
    "not_dicom/photo.jpg": "JPEG",
    "not_dicom/text.dcm": "ZIP",
    "not_dicom/zipMR.gz": "gzip",
}


def object_paths(data: Path) -> list[Path]:
    """Every file that is or claims to be an object."""
    folders = ("series", "single", "broken", "not_dicom")
    return sorted(path for folder in folders for path in (data / folder).rglob("*") if path.is_file())


def readable_paths(data: Path) -> list[Path]:
    """Those that must be read."""
    return [path for path in object_paths(data) if path.relative_to(data).as_posix() not in REFUSED]


def small_paths(data: Path) -> list[Path]:
    """Readable objects of at most 8 KiB: enough of each kind, for work at every offset."""
    return [path for path in readable_paths(data) if path.stat().st_size <= 8192]
