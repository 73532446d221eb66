"""Rows about headers: the element walk, and from bytes to a catalog row and frame geometry."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial

from rows import Context, Measured, row
from sealed import WHICH, files_of
from timing import alternate

_COUNT = 80
# The headers of the two large series were stripped on their way here; these are as their scanner wrote them.
_SERIES = {**WHICH, "-scanner": "scanner"}
_HEAD_BYTES = 65536
_OF_INSTANCES = (0x00080018, 0x00200013, 0x00200032, 0x00201041)  # UID, number, position, slice location.


def _headers(context: Context, which: str) -> list[tuple[bytes, int]]:
    """Heads of files, with the sizes of the files."""
    found = []
    for path in files_of(context.series(which))[:_COUNT]:
        with path.open("rb") as file:
            found.append((file.read(_HEAD_BYTES), path.stat().st_size))
    return found


def _varied(head: bytes, size: int, number: int) -> bytes:
    """A head with new values of what differs between the instances of a series, as long as before.

    Without this a memory of decoded values, which a series fills once, would know them from the last round.
    """
    from pacscore.dicom.scan import scan

    digits = [b"123456789"[number // 9**power % 9] for power in range(3)]
    elements = scan(head, total_length=size).elements
    varied = bytearray(head)
    for tag, offset, length, depth in zip(
        elements.tag.tolist(), elements.offset.tolist(), elements.length.tolist(), elements.depth.tolist(), strict=True
    ):
        if tag in _OF_INSTANCES and depth == 0:
            places = [at for at in range(offset, offset + length) if chr(varied[at]).isdigit()][-3:]
            for at, digit in zip(places, digits, strict=False):
                varied[at] = digit
    return bytes(varied)


def _read_by_pydicom(heads: list[bytes]) -> None:
    import pydicom

    for head in heads:
        pydicom.dcmread(io.BytesIO(head), stop_before_pixels=True)


def _walk(context: Context, which: str) -> Measured:
    import pydicom

    from pacscore.dicom.elements import walk
    from pacscore.dicom.part10 import read_file_parts
    from pacscore.dicom.syntaxes import transfer_syntax

    heads = [head for head, _ in _headers(context, which)]
    starts = []
    for head in heads:
        parts = read_file_parts(head)
        syntax = transfer_syntax(parts.transfer_syntax_uid)
        starts.append((parts.prefix_length, syntax.explicit, syntax.little_endian))

    def ours() -> None:
        for head, (start, explicit, little_endian) in zip(heads, starts, strict=True):
            walk(head, start, explicit=explicit, little_endian=little_endian)

    for head, (start, explicit, little_endian) in zip(heads, starts, strict=True):
        table = walk(head, start, explicit=explicit, little_endian=little_endian)
        found = [tag for tag, depth in zip(table.tag.tolist(), table.depth.tolist(), strict=True) if depth == 0]
        expected = [int(each.tag) for each in pydicom.dcmread(io.BytesIO(head), stop_before_pixels=True)]
        assert [tag for tag in found if tag < 0x7FE00008 and tag & 0xFFFF] == expected

    timed = alternate({"ours": ours, "pydicom": partial(_read_by_pydicom, heads)}, rounds=context.rounds)
    each = {name: timed.median(name) / len(heads) * 1e6 for name in timed.seconds}
    detail = f"{each['ours']:.1f} µs an object; pydicom {each['pydicom']:.0f} µs; {len(table)} elements"
    return Measured(*timed.ratio("pydicom", "ours"), detail, timed.rounds)


def _header(context: Context, which: str) -> Measured:
    import pydicom

    from pacscore.catalog import ReceivedRow
    from pacscore.catalog.attributes import CATALOG_KEYWORDS
    from pacscore.dicom.attributes import Header
    from pacscore.dicom.scan import scan
    from pacscore.geometry import GEOMETRY_KEYWORDS, frames_of

    originals = _headers(context, which)
    sizes = [size for _, size in originals]
    warm = 2
    variants = [
        [_varied(head, size, number) for head, size in originals] for number in range(2 * (warm + context.rounds) + 1)
    ]
    keywords = GEOMETRY_KEYWORDS | CATALOG_KEYWORDS
    upcoming: Iterator[list[bytes]] = iter(variants)
    current = next(upcoming)

    def fresh() -> None:
        nonlocal current
        current = next(upcoming)

    def one(head: bytes, size: int) -> ReceivedRow:
        scanned = scan(head, total_length=size)
        document = Header(head, scanned).document(keywords=keywords)
        frames_of(document, 0)
        return ReceivedRow(
            "", "", scanned.study_instance_uid, scanned.series_instance_uid, scanned.sop_instance_uid,
            scanned.sop_class_uid, document, b"", scanned.parts.transfer_syntax_uid,
        )  # fmt: skip

    def ours() -> None:
        for head, size in zip(current, sizes, strict=True):
            one(head, size)

    for head, size in zip(current, sizes, strict=True):
        expected = pydicom.dcmread(io.BytesIO(head), stop_before_pixels=True)
        made = one(head, size)
        assert made.sop_instance_uid == expected.SOPInstanceUID
        assert made.document["ImagePositionPatient"] == [float(each) for each in expected.ImagePositionPatient]
        assert made.document["PatientID"] == expected.PatientID

    timed = alternate(
        {"ours": ours, "pydicom": lambda: _read_by_pydicom(current)}, rounds=context.rounds, warm=warm, before=fresh
    )
    each = {name: timed.median(name) / len(sizes) * 1e6 for name in timed.seconds}
    detail = f"{each['ours']:.0f} µs an object; pydicom, attributes not read, {each['pydicom']:.0f} µs"
    return Measured(*timed.ratio("pydicom", "ours"), detail, timed.rounds)


for _suffix, _which in _SERIES.items():
    row(
        f"core.walk{_suffix}", must=100, aim=150, peers=("pydicom",),
        what="the element walk alone against pydicom.dcmread(stop_before_pixels=True), from bytes in memory",
    )(partial(_walk, which=_which))  # fmt: skip
    row(
        f"core.header{_suffix}", must=8, aim=13, peers=("pydicom",),
        what="from bytes to catalog row and frame geometry against pydicom.dcmread(stop_before_pixels=True) alone",
    )(partial(_header, which=_which))  # fmt: skip
