"""Scanning: identity, the place of the pixels, and that header, pixels and trailer are the whole object (S1)."""

from __future__ import annotations

from pathlib import Path

from pacscore.dicom.scan import scan

# What cannot be scanned, and why. Everything else below data/ must be.
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
    folders = ("series", "single", "broken", "not_dicom")
    return sorted(path for folder in folders for path in (data / folder).rglob("*") if path.is_file())


def readable_paths(data: Path) -> list[Path]:
    return [path for path in object_paths(data) if path.relative_to(data).as_posix() not in REFUSED]


def test_every_real_object_is_partitioned_into_header_pixels_and_trailer(data: Path) -> None:
    paths = readable_paths(data)
    assert len(paths) > 700
    for path in paths:
        whole = path.read_bytes()
        found = scan(whole)
        assert found.parts.prefix_length <= found.header_length <= len(whole) == found.total_length
        if found.pixels is None:
            assert found.header_length == len(whole)
            assert found.trailer_length == 0
            continue
        assert found.pixels.offset == found.header_length
        assert found.header_length + found.pixels.length + found.trailer_length == len(whole)
        assert min(found.pixels.length, found.trailer_length) >= 0
