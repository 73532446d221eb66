"""Objects that are received piece by piece and written as they come (promise 8): the same as those received whole."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from dicom.data_sets import write_data_set

import pacscore
from pacscore.dicom.part10 import make_file_prefix
from pacscore.errors import InputError, MismatchError
from pacscore.settings import Settings

EXPLICIT, JPEG_2000 = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"
CLASS = "1.2.840.10008.5.1.4.1.1.2"
SMALL = Settings(spool_bytes_min=50_000)
PIXELS = 0x7FE00010


def data_set(uid: str = "1.2.3", *, length: int = 200_000, series: str = "1.2.9", patient: str = "A") -> bytes:
    """A CT image of so many bytes of pixels."""
    side = length // 2
    return write_data_set(
        [
            (0x00080016, "UI", CLASS.encode() + b"\0"),
            (0x00080018, "UI", uid.encode() + b"\0" * (len(uid) % 2)),
            (0x00100020, "LO", patient.encode() + b" " * (len(patient) % 2)),
            (0x0020000D, "UI", b"1.2.8\0"),
            (0x0020000E, "UI", series.encode() + b"\0" * (len(series) % 2)),
            (0x00280010, "US", (1).to_bytes(2, "little")),
            (0x00280011, "US", min(side, 65535).to_bytes(2, "little")),
            (PIXELS, "OW", bytes(range(256)) * (length // 256) + bytes(length % 256)),
        ]
    )


def pieces(whole: bytes, length: int) -> Iterator[bytes]:
    for start in range(0, len(whole), length):
        yield whole[start : start + length]


def no_spool_is_left(archive: Path) -> bool:
    return not [path for path in archive.glob("journal/*/spool/*") if path.is_file()]


@pytest.mark.parametrize("size", [20_000, 60_000])
def test_an_object_that_is_another_than_its_sender_says_is_not_stored(tmp_path: Path, size: int) -> None:
    with pacscore.create(tmp_path / "a", settings=SMALL) as archive:
        for stated in ((CLASS, "1.2.4"), ("1.2.3", "1.2.3")):
            with pytest.raises(MismatchError):
                archive.receive(pieces(data_set(length=size), 999), transfer_syntax=EXPLICIT, stated=stated)
        assert list(archive.find("instance")) == []
        assert no_spool_is_left(tmp_path / "a")
        whole = data_set(length=size)
        receipt = archive.receive(pieces(whole, 999), transfer_syntax=EXPLICIT, stated=(CLASS, "1.2.3"))
        assert receipt.status == "stored"
        assert archive.instance("1.2.3").dataset_bytes() == whole


def test_a_large_object_of_another_uid_is_refused_by_its_beginning(tmp_path: Path) -> None:
    taken = []

    def coming() -> Iterator[bytes]:
        for number, piece in enumerate(pieces(data_set(length=1_000_000), 10_000)):
            taken.append(number)
            yield piece

    with pacscore.create(tmp_path / "a", settings=SMALL) as archive, pytest.raises(MismatchError):
        archive.receive(coming(), transfer_syntax=EXPLICIT, stated=(CLASS, "1.2.4"))
    assert len(taken) == 5  # spool_bytes_min of it.


@pytest.mark.parametrize("size", [20_000, 60_000])  # Kept in memory, and written as it comes.
@pytest.mark.parametrize("length", [1, 999, 70_000, 10**9])
def test_an_object_in_pieces_is_stored_as_it_came(tmp_path: Path, length: int, size: int) -> None:
    whole = make_file_prefix(CLASS, "1.2.3", EXPLICIT) + data_set(length=size)
    with pacscore.create(tmp_path / "a", settings=SMALL) as archive:
        receipt = archive.receive(pieces(whole, length))
        assert (receipt.status, receipt.sha256) == ("stored", hashlib.sha256(data_set(length=size)).hexdigest())
        assert archive.instance("1.2.3").bytes() == whole
        assert archive.receive(BytesIO(whole)).status == "duplicate"
        assert archive.receive(whole).status == "duplicate"
        archive.seal()
        assert archive.instance("1.2.3").bytes() == whole
        assert not archive.verify().findings
    assert no_spool_is_left(tmp_path / "a")


@pytest.mark.parametrize("large", [False, True])
def test_a_data_set_in_pieces_gets_the_file_meta_that_a_whole_one_gets(tmp_path: Path, large: bool) -> None:
    data = data_set()
    with pacscore.create(tmp_path / "a", settings=SMALL if large else Settings()) as archive:
        first = archive.receive(pieces(data, 7000), transfer_syntax=EXPLICIT)
        assert first.status == "stored"
        assert archive.receive(data, transfer_syntax=EXPLICIT).status == "duplicate"
        assert archive.instance("1.2.3").bytes() == make_file_prefix(CLASS, "1.2.3", EXPLICIT) + data
        assert archive.instance("1.2.3").dataset_bytes() == data
        other = archive.receive(pieces(data_set(patient="B"), 7000), transfer_syntax=EXPLICIT)
        assert other.status == "version"
        assert archive.instance("1.2.3", version=2).dataset_bytes() == data_set(patient="B")


def test_a_data_set_without_pixels_is_read_to_its_end(tmp_path: Path) -> None:
    data = write_data_set(
        [
            (0x00080016, "UI", CLASS.encode() + b"\0"),
            (0x00080018, "UI", b"1.2.3\0"),
            (0x0020000D, "UI", b"1.2.8\0"),
            (0x0020000E, "UI", b"1.2.9\0"),
            *((0x00090000 + number, "LO", b"x" * 600) for number in range(0x1000, 0x1100)),
        ]
    )
    with pacscore.create(tmp_path / "a", settings=SMALL) as archive:
        assert archive.receive(pieces(data, 9000), transfer_syntax=EXPLICIT).status == "stored"
        assert archive.instance("1.2.3").dataset_bytes() == data


def test_encapsulated_pixels_in_pieces(tmp_path: Path) -> None:
    head = data_set(length=4)[: -len(b"\xe0\x7f\x10\0OW\0\0") - 8]
    fragments = b"\xfe\xff\0\xe0\0\0\0\0" + b"\xfe\xff\0\xe0" + (150_000).to_bytes(4, "little") + bytes(150_000)
    value = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + fragments + b"\xfe\xff\xdd\xe0\0\0\0\0"
    whole = make_file_prefix(CLASS, "1.2.3", JPEG_2000) + head + value
    with pacscore.create(tmp_path / "a", settings=SMALL) as archive:
        assert archive.receive(pieces(whole, 9000)).status == "stored"
        archive.seal()
        assert archive.instance("1.2.3").bytes() == whole


@pytest.mark.parametrize(
    ("whole", "syntax"),
    [
        (b"no DICOM at all " * 10_000, None),
        (make_file_prefix(CLASS, "1.2.3", EXPLICIT) + data_set()[:-50_000], None),
        (data_set(series=""), EXPLICIT),
    ],
)
def test_promise_10_what_cannot_be_parsed_is_quarantined_whole(
    tmp_path: Path, whole: bytes, syntax: str | None
) -> None:
    with pacscore.create(tmp_path / "a", settings=SMALL) as archive:
        receipt = archive.receive(pieces(whole, 9000), transfer_syntax=syntax)
        assert receipt.status == "quarantined"
        assert receipt.reason
        (kept,) = (tmp_path / "a" / "quarantine").glob("*.dcm")
        assert kept.read_bytes().endswith(whole)
        assert kept.with_suffix(".json").exists()
        assert not list(archive.find("instance"))
    assert no_spool_is_left(tmp_path / "a")


def test_a_sender_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield from pieces(data_set(), 9000)
        raise ConnectionResetError

    with pacscore.create(tmp_path / "a", settings=SMALL) as archive:
        with pytest.raises(ConnectionResetError):
            archive.receive(broken(), transfer_syntax=EXPLICIT)
        with pytest.raises(InputError, match="pieces"):
            archive.receive([*pieces(data_set(), 60_000), "text"], transfer_syntax=EXPLICIT)  # type: ignore[list-item]
        assert not list(archive.find("instance"))
        assert archive.receive(pieces(data_set(), 9000), transfer_syntax=EXPLICIT).status == "stored"
    assert len([path for path in (tmp_path / "a").glob("journal/*/spool/*") if path.is_file()]) == 1


def test_promise_8_memory_holds_the_beginning_of_a_large_object_and_no_more(tmp_path: Path) -> None:
    head = data_set(length=256)[: -256 - 12]
    length = 64 << 20
    begin = head + b"\xe0\x7f\x10\0OW\0\0" + length.to_bytes(4, "little")

    def parts() -> Iterator[bytes]:
        yield begin
        for _ in range(length >> 16):
            yield bytes(1 << 16)

    with pacscore.create(tmp_path / "a") as archive:
        archive.receive(data_set("1.2.4"), transfer_syntax=EXPLICIT)
        tracemalloc.start()
        try:
            assert archive.receive(parts(), transfer_syntax=EXPLICIT).status == "stored"
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 16 << 20
