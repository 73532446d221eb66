"""Small objects to be sent."""

from __future__ import annotations

from dicom.data_sets import write_data_set

CT = "1.2.840.10008.5.1.4.1.1.2"


def data_set(
    instance: str = "1.2.3.1",
    *,
    series: str = "1.2.3.0.1",
    study: str = "1.2.3.0",
    sop_class: str = CT,
    explicit: bool = True,
    name: str = "DOE^JANE",
    number: int = 1,
    size: int = 64,
) -> bytes:
    """A CT slice of 8 rows, or of as many as ``size`` bytes take."""
    rows = 8 if size < 1_000_000 else 512
    columns = size // (2 * rows)

    def text(value: str) -> bytes:
        return value.encode("utf-8") + (b" " if len(value.encode("utf-8")) % 2 else b"")

    def uid(value: str) -> bytes:
        return value.encode() + (b"\0" if len(value) % 2 else b"")

    def short(value: int) -> bytes:
        return value.to_bytes(2, "little")

    pixels = (number * 7 + 1).to_bytes(2, "little") * (rows * columns)
    return write_data_set(
        [
            (0x00080005, "CS", text("ISO_IR 192")),
            (0x00080016, "UI", uid(sop_class)),
            (0x00080018, "UI", uid(instance)),
            (0x00080020, "DA", b"20240131"),
            (0x00080060, "CS", b"CT"),
            (0x00081030, "LO", text("Thorax")),
            (0x00100010, "PN", text(name)),
            (0x00100020, "LO", text("P1")),
            (0x0020000D, "UI", uid(study)),
            (0x0020000E, "UI", uid(series)),
            (0x00200013, "IS", text(str(number))),
            (0x00280002, "US", short(1)),
            (0x00280004, "CS", text("MONOCHROME2")),
            (0x00280010, "US", short(rows)),
            (0x00280011, "US", short(columns)),
            (0x00280100, "US", short(16)),
            (0x00280101, "US", short(16)),
            (0x00280102, "US", short(15)),
            (0x00280103, "US", short(0)),
            (0x7FE00010, "OW", pixels),
        ],
        explicit=explicit,
    )
