"""Scanning: identity, the place of the pixels, and that header, pixels and trailer are the whole object (S1)."""

from __future__ import annotations

from pathlib import Path

from reference.objects import readable_paths

from pacscore.dicom.scan import scan


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
