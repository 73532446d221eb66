"""The journal on a real disk. J, R, S, G, P and B with a number are the invariants of its modules."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from pacscore.errors import DamagedError, InputError, LimitError, NotFoundError, ReadOnlyError, RetryError
from pacscore.filesystem import LocalFileSystem
from pacscore.settings import Settings
from pacscore.store.journal import Journal, Position
from pacscore.store.segments import LogFault

FS = LocalFileSystem()
SETTINGS = Settings(segment_bytes_max=64 << 10, spool_bytes_min=20_000, group_bytes_max=32 << 10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def body_of(number: int) -> bytes:
    return random.Random(number).randbytes(number * 37 % 5000)


def contents(journal: Journal) -> dict[bytes, bytes]:
    return {record.head: bytes(record.body) for record in journal.records()}


def segments(folder: Path, slot: str = "01") -> list[Path]:
    return sorted((folder / slot).glob("*.log"))


def test_what_was_appended_is_read_back_at_once_and_after_reopening(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        positions = [journal.append(b"%d" % number, [body_of(number)]) for number in range(60)]
        assert len(set(positions)) == 60
        for number, position in enumerate(positions):
            head, body = journal.read(position)
            assert (head, body) == (b"%d" % number, body_of(number))
    with Journal.open(folder, FS, SETTINGS, read_only=True) as journal:
        assert [(r.position, r.head, bytes(r.body)) for r in journal.records()] == [
            (position, b"%d" % number, body_of(number)) for number, position in enumerate(positions)
        ]
    assert len(segments(folder)) > 1
    assert all(path.stat().st_size <= SETTINGS.segment_bytes_max + 64 for path in segments(folder))


def test_parts_of_every_kind_are_joined(folder: Path) -> None:
    parts = [b"ab", bytearray(b"cd"), memoryview(b"ef"), np.arange(3, dtype="<i4"), np.zeros(0), b""]
    with Journal.open(folder, FS, SETTINGS) as journal:
        head, body = journal.read(journal.append(b"", parts))
        assert (head, bytes(body)) == (b"", b"abcdef" + np.arange(3, dtype="<i4").tobytes())
        head, body = journal.read(journal.append(b"only a head", []))
        assert (head, bytes(body)) == (b"only a head", b"")


def test_a_body_is_handed_out_read_only(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        for length in (10, 30_000):
            assert journal.read(journal.append(b"", [bytes(length)]))[1].readonly


def test_many_records_share_one_sync_and_keep_their_order(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        positions = journal.append_many((b"%d" % number, [body_of(number)]) for number in range(100))
        assert [journal.read(position)[0] for position in positions] == [b"%d" % number for number in range(100)]
        assert journal.append_many([]) == []


def test_threads_append_at_once_and_nothing_is_mixed_up(folder: Path) -> None:
    positions: dict[int, Position] = {}

    def work(first: int) -> None:
        for number in range(first, first + 40):
            positions[number] = journal.append(b"%d" % number, [body_of(number), b"|", body_of(number + 1)])

    with Journal.open(folder, FS, SETTINGS) as journal:
        threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 320, 40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number, position in positions.items():
            expected = body_of(number) + b"|" + body_of(number + 1)
            assert journal.read(position) == (b"%d" % number, expected)
    assert len(positions) == 320


def test_a_large_object_lies_in_the_spool(folder: Path) -> None:
    large = random.Random(1).randbytes(50_000)
    with Journal.open(folder, FS, SETTINGS) as journal:
        position = journal.append(b"large", [large[:100], large[100:]])
        assert journal.read(position) == (b"large", large)
        assert len(list((folder / "01" / "spool").iterdir())) == 1
    assert sum(path.stat().st_size for path in segments(folder)) < 2000


@pytest.mark.parametrize("length", [0, 5, 19_999, 20_000, 100_000])
def test_a_stream_of_unknown_length_is_stored_whole(folder: Path, length: int) -> None:
    whole = random.Random(length).randbytes(length)
    seen: list[int] = []

    def chunks() -> Iterator[memoryview]:
        reused = bytearray(777)
        for start in range(0, length, 777):
            piece = whole[start : start + 777]
            reused[: len(piece)] = piece
            seen.append(len(piece))
            yield memoryview(reused)[: len(piece)]

    with Journal.open(folder, FS, SETTINGS) as journal:
        with journal.spooling(chunks()) as spool:
            assert spool.length == length
            written = spool.write(b"%d" % sum(seen))
            journal.wait([written])
            position = written.position
        assert journal.read(position) == (b"%d" % length, whole)


@pytest.mark.parametrize("length", [100, 100_000])
@pytest.mark.parametrize("where", ["chunks", "before the record", "nowhere"])
def test_a_stream_that_is_not_appended_leaves_nothing(folder: Path, length: int, where: str) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(0, length, 100):
            yield bytes(100)
        if where == "chunks":
            raise ConnectionResetError

    with Journal.open(folder, FS, SETTINGS) as journal:
        with suppress(ConnectionResetError), journal.spooling(chunks()) as spool:
            assert spool.path.stat().st_size == length
            if where == "before the record":
                raise ConnectionResetError
        assert not contents(journal)
        assert not list((folder / "01" / "spool").iterdir())


def test_j6_retired_records_are_gone_and_their_space_is_freed(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        positions = [journal.append(b"%d" % number, [body_of(number)]) for number in range(100)]
        large = journal.append(b"large", [bytes(30_000)])
        before = segments(folder)
        journal.retire([*positions[:90], large])
        journal.retire(positions[:3])
        assert set(contents(journal)) == {b"%d" % number for number in range(90, 100)}
        assert len(segments(folder)) < len(before)
        assert not list((folder / "01" / "spool").iterdir())
        with pytest.raises(NotFoundError):
            journal.read(positions[0])
    with Journal.open(folder, FS, SETTINGS) as journal:
        assert set(contents(journal)) == {b"%d" % number for number in range(90, 100)}
        journal.retire(positions[90:])
        assert not contents(journal)
        assert len(segments(folder)) == 1


def test_a_retired_record_is_not_found_even_while_its_segment_is_there(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal, Journal.open(folder, FS, SETTINGS, read_only=True) as reader:
        large = journal.append(b"large", [bytes(30_000)])
        journal.append(b"kept", [b"x"])
        assert reader.read(large)[0] == b"large"
        journal.retire([large])
        for opened in (journal, reader):
            with pytest.raises(NotFoundError):
                opened.read(large)


def test_b3_segment_numbers_are_not_used_twice(folder: Path) -> None:
    seen: set[Position] = set()
    for _ in range(5):
        with Journal.open(folder, FS, SETTINGS) as journal:
            new = [journal.append(b"", [bytes(9000)]) for _ in range(10)]
            assert not seen.intersection(new)
            seen.update(new)
            journal.retire(new)


def test_j7_what_is_still_needed_is_copied_forward(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        positions = [journal.append(b"%d" % number, [bytes(3000)]) for number in range(100)]
        large = journal.append(b"large", [bytes(30_000)])
        kept = [*positions[::19], large]
        journal.append_many((b"new%d" % number, [bytes(3000)]) for number in range(30))
        journal.retire(set(positions) - set(kept))
        full = len(segments(folder))
        moves = dict(journal.compact())
        assert set(moves) <= set(kept)
        assert len(moves) >= 4
        for old, new in moves.items():
            assert journal.read(old) == journal.read(new)
        origins = {record.origin: record.position for record in journal.records() if record.origin}
        assert origins == moves
        journal.collect()
        assert len(segments(folder)) < full
        assert {b"%d" % number for number in range(0, 100, 19)} <= set(contents(journal))
        for old, new in moves.items():
            assert journal.read(old) == journal.read(new)
        journal.retire(kept)  # The old positions still name the copies.
        assert set(contents(journal)) == {b"new%d" % number for number in range(30)}
    with Journal.open(folder, FS, SETTINGS) as journal:
        assert set(contents(journal)) == {b"new%d" % number for number in range(30)}


def test_heads_are_those_of_the_records_without_their_objects(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal, Journal.open(folder, FS, SETTINGS) as other:
        positions = [journal.append(b"%d" % number, [bytes(3000)]) for number in range(100)]
        kept = [*positions[::19], journal.append(b"large", [bytes(30_000)]), other.append(b"other", [b"1"])]

        def heads_of_records(after: list[Position]) -> list[tuple[Position, bytes]]:
            return [(record.position, record.head) for record in journal.records(after)]

        assert list(journal.heads()) == heads_of_records([])
        assert len(list(journal.heads())) == 102
        journal.append_many((b"new%d" % number, [bytes(3000)]) for number in range(30))
        journal.retire(set(positions) - set(kept))
        assert dict(journal.compact())
        journal.collect()
        for after in ([], [positions[50]], [positions[50], kept[-1]]):
            assert list(journal.heads(after)) == heads_of_records(after)
        assert len(list(journal.heads([positions[50]]))) > 30
        (spooled,) = (path for path in folder.rglob("spool/*") if path.is_file())
        spooled.write_bytes(b"")  # It is not looked at.
        assert tuple(head for _, head in journal.heads() if not head[:1].isdigit() and head[:3] != b"new") == (
            b"large",
            b"other",
        )


@pytest.mark.parametrize("at", [0, 65, 100])  # Header, head and object: one checksum covers the last two.
def test_a_head_that_is_damaged_is_said_so(folder: Path, at: int) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        position = journal.append(b"head", [bytes(100)])
        assert [head for _, head in journal.heads()] == [b"head"]
        path = segments(folder)[-1]
        content = bytearray(path.read_bytes())
        content[int(position.split(":")[2]) + at] ^= 1
        path.write_bytes(content)
        with pytest.raises(DamagedError):
            list(journal.heads())


def test_each_open_journal_has_a_slot_of_its_own_and_reads_the_others(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as first, Journal.open(folder, FS, SETTINGS) as second:
        one = first.append(b"one", [b"1"])
        two = second.append(b"two", [b"2"])
        assert [one[:2], two[:2]] == ["01", "02"]
        assert first.read(two) == (b"two", b"2")
        assert set(contents(second)) == set(contents(first)) == {b"one", b"two"}
        second.retire([one])
        assert set(contents(first)) == {b"two"}
    with Journal.open(folder, FS, SETTINGS) as journal:
        assert set(contents(journal)) == {b"two"}
        assert journal.append(b"three", [])[:2] == "01"


def test_what_another_writer_retired_is_freed_by_the_slots_owner(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as first, Journal.open(folder, FS, SETTINGS) as second:
        positions = [first.append(b"%d" % number, [bytes(9000)]) for number in range(30)]
        second.retire(positions)
        assert len(segments(folder)) > 2
        first.collect()
        assert len(segments(folder)) == 1
        assert not contents(second)


def test_all_slots_taken_is_an_error_that_says_so(folder: Path) -> None:
    settings = Settings(writer_slot_count=1)
    with Journal.open(folder, FS, settings):
        with pytest.raises(RetryError, match="writer_slot_count"):
            Journal.open(folder, FS, settings)
        Journal.open(folder, FS, settings, read_only=True)
    Journal.open(folder, FS, settings).close()


def test_records_after_positions_continue_each_writer(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as first, Journal.open(folder, FS, SETTINGS) as second:
        ones = [first.append(b"a%d" % number, []) for number in range(5)]
        twos = [second.append(b"b%d" % number, []) for number in range(5)]
        heads = [record.head for record in first.records([ones[2], twos[3]])]
        assert heads == [b"a3", b"a4", b"b4"]
        assert [record.head for record in first.records([ones[4]])] == [b"b0", b"b1", b"b2", b"b3", b"b4"]


def test_j3_another_process_sees_what_is_acknowledged_while_the_writer_lives(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as writer, Journal.open(folder, FS, SETTINGS) as other:
        for number in range(20):
            writer.append(b"%d" % number, [body_of(number)])
            assert len(contents(other)) == number + 1


def test_a_reader_writes_nothing_and_refuses_to(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        journal.append(b"x", [b"y"])
    before = sorted(os.walk(folder))
    with Journal.open(folder, FS, SETTINGS, read_only=True) as journal:
        assert contents(journal) == {b"x": b"y"}
        with pytest.raises(ReadOnlyError):
            journal.append(b"", [])
        with pytest.raises(ReadOnlyError):
            journal.retire([])
    assert sorted(os.walk(folder)) == before
    assert not contents(Journal.open(folder / "absent", FS, SETTINGS, read_only=True))


def test_misuse_is_named(folder: Path) -> None:
    journal = Journal.open(folder, FS, SETTINGS)
    with pytest.raises(LimitError):
        journal.append(bytes((1 << 20) + 1), [])
    for wrong in ("", "01:1:0", "01:1:x:5", "../x:1:2:3", "٣:1:2:3", "01:1:-5:3"):
        with pytest.raises(InputError):
            journal.read(Position(wrong))
    position = journal.append(b"a", [b"b"])
    with pytest.raises(DamagedError):
        journal.read(Position(position.replace(":80", ":88").replace(":72", ":80")))
    journal.close()
    journal.close()
    with pytest.raises(InputError):
        journal.append(b"", [])


def test_a_forked_child_appends_to_a_slot_of_its_own(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        journal.append(b"parent", [b"before"])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                position = journal.append(b"child", [b"x"])
                status = 0 if position.startswith("02:") and journal.read(position)[0] == b"child" else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert journal.append(b"parent again", [b"after"]).startswith("01:")
        assert set(contents(journal)) == {b"parent", b"child", b"parent again"}


def test_a_stored_object_that_contains_a_journal_is_not_taken_for_records(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        journal.append(b"inner", [b"x" * 1000])
        segment = segments(folder)[0].read_bytes()
        journal.append(b"outer", [segment])
        journal.append(b"last", [b""])
        assert set(contents(journal)) == {b"inner", b"outer", b"last"}


def test_j1_j2_whatever_byte_is_flipped_below_the_synced_offset_is_reported_and_nothing_else_is_lost(
    folder: Path,
) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        for number in range(12):
            journal.append(b"%d" % number, [bytes([number]) * 150])
    (path,) = segments(folder)
    whole = path.read_bytes()
    for offset in range(0, len(whole) - 64, 5):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x40
        path.write_bytes(damaged)
        with Journal.open(folder, FS, SETTINGS) as journal:
            reports: list[object] = []
            found = {r.head: bytes(r.body) for r in journal.records(on_damage=reports.append)}
            missing = 12 - len(found)
            assert missing <= 1
            assert all(body == bytes([int(head)]) * 150 for head, body in found.items())
            assert bool(missing) <= bool(reports)
            assert bool(list(journal.verify())) or damaged[offset] == 0x40
            if missing:
                with pytest.raises(DamagedError):
                    list(journal.records())
            assert path.read_bytes() == bytes(damaged)


def test_j2_an_unacknowledged_tail_is_dropped_at_whatever_byte_it_is_cut(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        for number in range(4):
            journal.append(b"%d" % number, [bytes([number]) * 150])
        (path,) = segments(folder)
        acknowledged = path.stat().st_size - 64  # All but the last mark.
        journal.append_many((b"%d" % number, [bytes([number]) * 150]) for number in range(4, 7))
        torn = path.read_bytes()[:-64]
    for cut in [*range(acknowledged, len(torn), 5), len(torn)]:
        for junk in (b"", bytes(40), b"\xff" * 40):
            path.write_bytes(torn[:cut] + junk)
            with Journal.open(folder, FS, SETTINGS) as journal:
                heads = [int(head) for head in contents(journal)]
                assert heads == list(range(len(heads)))
                assert len(heads) >= 4
            with Journal.open(folder, FS, SETTINGS) as journal:
                assert journal.findings == ()
                assert [int(head) for head in contents(journal)] == heads


def test_j2_a_tail_with_valid_records_behind_a_torn_one_is_dropped_whole(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        journal.append(b"kept", [b"x"])
        journal.append_many((b"%d" % number, [bytes(150)]) for number in range(3))
        (path,) = segments(folder)
        whole = path.read_bytes()[:-64]
    first = whole.index(bytes(150))
    path.write_bytes(whole[:first] + b"\x01" + whole[first + 1 :])
    with Journal.open(folder, FS, SETTINGS) as journal:
        assert set(contents(journal)) == {b"kept"}
        assert len(journal.findings) == 1
        journal.append(b"next", [])
        assert not list(journal.verify())


def test_p2_a_spool_file_without_a_record_goes_unless_its_record_may_be_damaged(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        large = journal.append(b"large", [bytes(30_000)])
        journal.append(b"behind", [b"x"])
    orphan = folder / "01" / "spool" / ("ab" * 16)
    orphan.write_bytes(b"half")
    Journal.open(folder, FS, SETTINGS).close()
    assert not orphan.exists()
    (path,) = segments(folder)
    whole = bytearray(path.read_bytes())
    whole[int(large.split(":")[2]) + 20] ^= 1
    path.write_bytes(whole)
    orphan.write_bytes(b"half")
    with Journal.open(folder, FS, SETTINGS):
        assert len(list(orphan.parent.iterdir())) == 2


def test_a_damaged_spool_file_is_reported(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        position = journal.append(b"large", [bytes(30_000)])
        (path,) = (folder / "01" / "spool").iterdir()
        path.write_bytes(bytes(29_999) + b"\x01")
        with pytest.raises(DamagedError):
            journal.read(position)
        assert [finding.path for finding in journal.verify()] == [path]
        path.unlink()
        with pytest.raises(DamagedError):
            list(journal.records())


def test_s4_a_segment_without_any_frame_is_reported_and_left_alone(folder: Path) -> None:
    with Journal.open(folder, FS, SETTINGS) as journal:
        journal.append(b"x", [b"y"])
    for content in (b"", bytes(500)):
        (folder / "01" / "00000002.log").write_bytes(content)
        with Journal.open(folder, FS, SETTINGS) as journal:
            assert [finding.code for finding in journal.findings] == [LogFault.DAMAGED]
            assert journal.append(b"z", []).startswith("01:3:")
            assert [finding.code for finding in journal.verify()] == [LogFault.DAMAGED]
        assert (folder / "01" / "00000002.log").read_bytes() == content
        (folder / "01" / "00000003.log").unlink()
