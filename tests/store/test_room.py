"""Room in the journal: zeros on the disk, written over. F5 and S5 are the invariants of its modules."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest

from pacscore.errors import StorageFullError
from pacscore.filesystem import LocalFileSystem
from pacscore.settings import Settings
from pacscore.store.journal import Journal
from pacscore.store.segments import LogFault
from tests.failing_filesystem import FailingFileSystem

FS = LocalFileSystem()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def body_of(number: int) -> bytes:
    return random.Random(number).randbytes(number * 37 % 5000)


def segments(folder: Path) -> list[Path]:
    return sorted((folder / "01").glob("*.log"))


def test_f5_room_is_overwritten_and_what_is_left_of_it_goes(folder: Path) -> None:
    with Journal.open(folder, FS, Settings()) as journal:
        journal.append(b"before", [body_of(1)])
        journal.reserve(1 << 20)
        made = segments(folder)[-1]
        inode, size = made.stat().st_ino, made.stat().st_size
        assert size == 1 << 20
        kept = {journal.append(b"%d" % number, [body_of(number)]): body_of(number) for number in range(2, 40)}
        assert (made.stat().st_ino, made.stat().st_size) == (inode, size)
        journal.reserve(1 << 20)  # There is enough left of it.
        assert segments(folder)[-1] == made
        with Journal.open(folder, FS, Settings(), read_only=True) as reader:
            assert all(reader.read(position)[1] == body for position, body in kept.items())
            assert len(list(reader.records())) == 39
            assert not list(reader.verify())
    assert made.stat().st_size < size
    with Journal.open(folder, FS, Settings()) as journal:
        assert not journal.findings
        assert all(journal.read(position)[1] == body for position, body in kept.items())


def test_f5_records_go_on_behind_the_room_when_that_is_used_up(folder: Path) -> None:
    with Journal.open(folder, FS, Settings()) as journal:
        journal.reserve(5_000)
        kept = {journal.append(b"", [body_of(number)]): body_of(number) for number in range(60)}
        assert len(segments(folder)) == 1
        assert segments(folder)[0].stat().st_size > 5_000
        journal.reserve(20_000)
        assert len(segments(folder)) == 2
        assert all(journal.read(position)[1] == body for position, body in kept.items())


def test_s5_room_that_a_killed_writer_left_goes_without_a_word(folder: Path) -> None:
    journal = Journal.open(folder, FS, Settings())
    journal.reserve(1 << 20)
    journal.append(b"", [body_of(1)])
    left = segments(folder)[0].read_bytes()
    journal.close()
    segments(folder)[0].write_bytes(left)
    with Journal.open(folder, FS, Settings()) as journal:
        assert not journal.findings
        assert len(list(journal.records())) == 1
    assert segments(folder)[0].stat().st_size < 1 << 16


def test_s5_zeros_amid_a_segment_are_damage_and_what_lies_behind_them_still_counts(folder: Path) -> None:
    with Journal.open(folder, FS, Settings()) as journal:
        journal.reserve(1 << 20)
        first = journal.append(b"", [bytes(200_000)])
        lost = journal.append(b"", [b"x" * 70_000])
        last = journal.append(b"", [body_of(3)])
        place = int(str(lost).split(":")[2])
        content = bytearray(segments(folder)[0].read_bytes())
        content[place : place + 70_080] = bytes(70_080)
        segments(folder)[0].write_bytes(content)
        assert [finding.code for finding in journal.verify()] == [LogFault.DAMAGED]
    with Journal.open(folder, FS, Settings()) as journal:
        assert [finding.code for finding in journal.verify()] == [LogFault.DAMAGED]
        assert journal.read(first)[1] == bytes(200_000)
        assert journal.read(last)[1] == body_of(3)
        assert len(list(journal.records(on_damage=lambda _: None))) == 2


def test_f5_a_full_disk_refuses_room_and_nothing_else(folder: Path) -> None:
    fs = FailingFileSystem(folder.parent, disk_bytes=200_000)
    with Journal.open(folder, fs, Settings()) as journal:
        position = journal.append(b"", [body_of(1)])
        with pytest.raises(StorageFullError):
            journal.reserve(1 << 20)
        assert not [path for path in (folder / "01").iterdir() if path.name.startswith(".")]
        fs.disk_bytes = None
        journal.append(b"", [body_of(2)])
        assert journal.read(position)[1] == body_of(1)


class _SmallDisk(FailingFileSystem):
    """Refuses each write that is longer than what is left of it."""

    left = 1 << 20

    def take_room(self, wanted: int) -> int:
        if wanted > self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return wanted


def test_of_a_group_that_finds_no_room_the_small_ones_are_written_alone(folder: Path) -> None:
    fs = _SmallDisk(folder.parent)
    with Journal.open(folder, fs, Settings()) as journal:
        journal.append(b"before", [b"x"])
        fs.left = 3_000
        bodies = [bytes(500), bytes(50_000), bytes(700)]
        written = journal.write([journal.draft(b"%d" % number, [body]) for number, body in enumerate(bodies)])
        assert isinstance(written[1], StorageFullError)
        kept = [each for each in written if not isinstance(each, Exception)]
        assert len(kept) == 2
        journal.wait(kept)
        assert [journal.read(each.position)[1] for each in kept] == [bodies[0], bodies[2]]
    with Journal.open(folder, FS, Settings()) as journal:
        assert [record.head for record in journal.records()] == [b"before", b"0", b"2"]
