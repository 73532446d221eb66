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
_HEAD_BYTES = 4096  # The longest of these headers has 1,940.
# Every timed call is preceded by a collection of garbage, which leaves nothing in the processor's caches. So that this
# is not what is measured, each side goes over the series several times a call.
_PASSES = 10
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

    from pacscore.dicom.heads import walk_heads
    from pacscore.dicom.part10 import read_file_parts
    from pacscore.dicom.syntaxes import transfer_syntax

    heads = [head for head, _ in _headers(context, which)]
    parts = [read_file_parts(head) for head in heads]
    begins = [each.prefix_length for each in parts]
    syntaxes = [transfer_syntax(each.transfer_syntax_uid) for each in parts]
    explicit, little_endian = syntaxes[0].explicit, syntaxes[0].little_endian
    assert all((each.explicit, each.little_endian) == (explicit, little_endian) for each in syntaxes)

    def ours() -> None:
        for _ in range(_PASSES):
            walk_heads(heads, begins, explicit=explicit, little_endian=little_endian)

    def theirs() -> None:
        for _ in range(_PASSES):
            _read_by_pydicom(heads)

    for head, table in zip(
        heads, walk_heads(heads, begins, explicit=explicit, little_endian=little_endian), strict=True
    ):
        found = [tag for tag, depth in zip(table.tag.tolist(), table.depth.tolist(), strict=True) if depth == 0]
        expected = [int(each.tag) for each in pydicom.dcmread(io.BytesIO(head), stop_before_pixels=True)]
        assert [tag for tag in found if tag < 0x7FE00008 and tag & 0xFFFF] == expected

    timed = alternate({"ours": ours, "pydicom": theirs}, rounds=context.rounds)
    each = {name: timed.median(name) / len(heads) / _PASSES * 1e6 for name in timed.seconds}
    detail = f"{each['ours']:.1f} µs an object; pydicom {each['pydicom']:.0f} µs; {len(table)} elements"
    return Measured(*timed.ratio("pydicom", "ours"), detail, timed.rounds)


def _header(context: Context, which: str) -> Measured:
    import pydicom

    from pacscore.catalog import ReceivedRow
    from pacscore.catalog.attributes import CATALOG_KEYWORDS
    from pacscore.dicom.attributes import Header
    from pacscore.dicom.documents import choose_documents
    from pacscore.dicom.heads import scan_heads
    from pacscore.geometry import GEOMETRY_KEYWORDS, FrameReader

    originals = _headers(context, which)
    sizes = [size for _, size in originals]
    warm = 2
    variants = [
        [[_varied(head, size, _PASSES * number + each) for head, size in originals] for each in range(_PASSES)]
        for number in range(2 * (warm + context.rounds) + 1)
    ]
    keywords = GEOMETRY_KEYWORDS | CATALOG_KEYWORDS
    upcoming: Iterator[list[list[bytes]]] = iter(variants)
    current = next(upcoming)

    def fresh() -> None:
        nonlocal current
        current = next(upcoming)

    def rows_of(heads: list[bytes]) -> list[ReceivedRow]:
        scans = scan_heads(heads, sizes)
        headers = [Header(head, scanned) for head, scanned in zip(heads, scans, strict=True)]
        rows, reader = [], FrameReader()
        for scanned, document in zip(scans, choose_documents(headers, keywords), strict=True):
            reader.read(document, 0)
            row = ReceivedRow(
                "", "", scanned.study_instance_uid, scanned.series_instance_uid, scanned.sop_instance_uid,
                scanned.sop_class_uid, document, b"", scanned.parts.transfer_syntax_uid,
            )  # fmt: skip
            rows.append(row)
        return rows

    def ours() -> None:
        for heads in current:
            rows_of(heads)

    def theirs() -> None:
        for heads in current:
            _read_by_pydicom(heads)

    for head, made in zip(current[0], rows_of(current[0]), strict=True):
        expected = pydicom.dcmread(io.BytesIO(head), stop_before_pixels=True)
        assert made.sop_instance_uid == expected.SOPInstanceUID
        assert made.document["ImagePositionPatient"] == [float(each) for each in expected.ImagePositionPatient]
        assert made.document["PatientID"] == expected.PatientID

    timed = alternate({"ours": ours, "pydicom": theirs}, rounds=context.rounds, warm=warm, before=fresh)
    each = {name: timed.median(name) / len(sizes) / _PASSES * 1e6 for name in timed.seconds}
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
