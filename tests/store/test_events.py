"""The event log on a real disk. E with a number is an invariant of ``events``."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from pacscore.errors import ChangedError, DamagedError, FormatVersionError, InputError, NotFoundError, ReadOnlyError
from pacscore.filesystem import LocalFileSystem
from pacscore.settings import Settings
from pacscore.store.events import Event, EventLog, EventPosition
from pacscore.store.segment_files import make_segment
from pacscore.store.segments import LogFault

FS = LocalFileSystem()
SETTINGS = Settings(event_segment_bytes_max=2000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "events"


def always(_: Sequence[Event]) -> bool:
    return True


def fill(folder: Path, count: int = 40) -> list[EventPosition]:
    with EventLog.open(folder, FS, SETTINGS) as log:
        return [log.append(always, b"event %d" % number) for number in range(count)]


def test_events_come_back_in_order_across_segments_and_reopening(folder: Path) -> None:
    positions = fill(folder)
    assert len(list(folder.glob("*.log"))) > 2
    for read_only in (False, True):
        with EventLog.open(folder, FS, SETTINGS, read_only=read_only) as log:
            assert [(e.position, e.payload) for e in log.read()] == [
                (position, b"event %d" % number) for number, position in enumerate(positions)
            ]
            for number, position in enumerate(positions):
                assert [e.payload for e in log.read(position)] == [b"event %d" % n for n in range(number + 1, 40)]
            assert not list(log.verify())
            assert log.findings == ()


def test_a_reader_at_the_end_takes_an_event_that_is_being_written_for_no_damage(folder: Path) -> None:
    (last,) = fill(folder, 1)
    (segment,) = folder.glob("*.log")
    whole = segment.read_bytes()
    with EventLog.open(folder, FS, SETTINGS, read_only=True) as log:
        for being_written in (b"", whole[:30], whole[:64] + b"x" * 100):
            segment.write_bytes(whole[:-64] + being_written)  # Without the mark, which comes after the sync.
            assert list(log.read(last)) == []
            assert [event.payload for event in log.read()] == [b"event 0"]


def test_e1_each_event_is_chained_to_all_before_it(folder: Path) -> None:
    positions = fill(folder)
    chain = bytes(32)
    for number, position in enumerate(positions):
        chain = hashlib.sha256(chain + b"event %d" % number).digest()
        assert position.endswith(":" + chain.hex()[:16])


def test_e2_an_append_whose_check_fails_writes_nothing(folder: Path) -> None:
    fill(folder, 3)
    with EventLog.open(folder, FS, SETTINGS) as log:
        snapshot = list(log.read())[-1].position
        seen: list[bytes] = []

        def nothing_new(events: Sequence[Event]) -> bool:
            seen[:] = [event.payload for event in events]
            return not events

        first = log.append(nothing_new, b"mine", after=snapshot)
        with pytest.raises(ChangedError):
            log.append(nothing_new, b"mine again", after=snapshot)
        assert seen == [b"mine"]
        log.append(nothing_new, b"and on", after=first)
        assert [event.payload for event in log.read(snapshot)] == [b"mine", b"and on"]


def test_several_events_are_appended_together(folder: Path) -> None:
    with EventLog.open(folder, FS, SETTINGS) as log:
        positions = log.append_many(always, [b"a", memoryview(b"b"), b""])
        assert [event.position for event in log.read()] == positions
        assert log.append_many(always, []) == []


def _count_up(folder: Path, times: int) -> None:
    with EventLog.open(folder, FS, SETTINGS) as log:
        for _ in range(times):
            while True:
                events = list(log.read())
                last = int(events[-1].payload) if events else 0
                try:
                    log.append(lambda new: not new, b"%d" % (last + 1), after=events[-1].position if events else None)
                except ChangedError:
                    continue
                break


def test_e2_processes_and_threads_that_compare_and_swap_lose_no_count(folder: Path) -> None:
    EventLog.open(folder, FS, SETTINGS).close()
    context = multiprocessing.get_context("fork")
    workers: list[threading.Thread | multiprocessing.process.BaseProcess] = [
        context.Process(target=_count_up, args=(folder, 15)) for _ in range(3)
    ]
    workers += [threading.Thread(target=_count_up, args=(folder, 15)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with EventLog.open(folder, FS, SETTINGS, read_only=True) as log:
        assert [event.payload for event in log.read()] == [b"%d" % number for number in range(1, 91)]
        assert not list(log.verify())


def test_e5_a_position_of_another_log_is_refused(folder: Path, tmp_path: Path) -> None:
    fill(folder, 5)
    with EventLog.open(tmp_path / "other", FS, SETTINGS) as log:
        foreign = log.append(always, b"event of another archive")
    with EventLog.open(folder, FS, SETTINGS) as log:
        for position in (foreign, EventPosition("9:64:0123456789abcdef")):
            with pytest.raises(NotFoundError):
                list(log.read(position))
            with pytest.raises(NotFoundError):
                log.append(always, b"x", after=position)
        for wrong in ("", "1:2", "1:x:0123456789abcdef", "1:64:"):
            with pytest.raises(InputError):
                list(log.read(EventPosition(wrong)))


def test_e4_a_torn_end_is_dropped_by_the_next_writer_and_hidden_from_readers(folder: Path) -> None:
    fill(folder, 3)
    path = max(folder.glob("*.log"))
    whole = path.read_bytes()
    with EventLog.open(folder, FS, SETTINGS) as log:
        log.append(always, b"torn")
    torn = path.read_bytes()[:-64]  # Without the mark behind it.
    for cut in range(len(whole), len(torn)):
        path.write_bytes(torn[:cut])
        with EventLog.open(folder, FS, SETTINGS, read_only=True) as log:
            assert [event.payload for event in log.read()] == [b"event 0", b"event 1", b"event 2"]
    with EventLog.open(folder, FS, SETTINGS) as log:
        assert [finding.code for finding in log.findings] == [LogFault.TAIL_DROPPED]
        log.append(always, b"next")
        assert [event.payload for event in log.read()][-1] == b"next"
        assert not list(log.verify())


def test_a_torn_end_left_by_another_process_is_dropped_by_a_log_that_was_open_already(folder: Path) -> None:
    fill(folder, 3)
    with EventLog.open(folder, FS, SETTINGS) as log:
        with max(folder.glob("*.log")).open("ab") as file:
            file.write(os.urandom(100))
        log.append(always, b"next")
        assert [event.payload for event in log.read()] == [b"event 0", b"event 1", b"event 2", b"next"]
        assert [finding.code for finding in log.findings] == [LogFault.TAIL_DROPPED]


def test_e4_any_flipped_byte_below_the_synced_offset_is_reported_and_never_cut(folder: Path) -> None:
    fill(folder, 12)
    for path in sorted(folder.glob("*.log")):
        whole = path.read_bytes()
        for offset in range(0, len(whole) - 64, 7):
            damaged = bytearray(whole)
            damaged[offset] ^= 0x10
            path.write_bytes(damaged)
            with EventLog.open(folder, FS, SETTINGS) as log:
                found = [finding.code for finding in log.verify()]
                is_padding = damaged[offset] == 0x10 and not found
                assert LogFault.DAMAGED in found or is_padding
                assert len(path.read_bytes()) == len(whole)
                if not is_padding:
                    with pytest.raises(DamagedError):
                        list(log.read())
        path.write_bytes(whole)


def test_e3_a_missing_segment_is_reported(folder: Path) -> None:
    fill(folder)
    sorted(folder.glob("*.log"))[1].unlink()
    with EventLog.open(folder, FS, SETTINGS, read_only=True) as log:
        assert [finding.code for finding in log.verify()] == [LogFault.SEGMENT_MISSING, LogFault.DAMAGED]
        with pytest.raises(DamagedError):
            list(log.read())


def test_e1_a_segment_replaced_together_with_its_checksums_breaks_the_chain(folder: Path, tmp_path: Path) -> None:
    fill(folder, 12)
    with EventLog.open(tmp_path / "forged", FS, SETTINGS) as log:
        for number in range(12):
            log.append(always, b"forged%d" % number)
    assert (tmp_path / "forged" / "00000001.log").stat().st_size == (folder / "00000001.log").stat().st_size
    (folder / "00000001.log").write_bytes((tmp_path / "forged" / "00000001.log").read_bytes())
    with EventLog.open(folder, FS, SETTINGS, read_only=True) as log:
        with pytest.raises(DamagedError):
            list(log.read())
        assert [finding.code for finding in log.verify()] == [LogFault.DAMAGED]


def test_a_log_of_a_newer_format_is_refused_with_its_version(folder: Path) -> None:
    folder.mkdir()
    make_segment(folder / "00000001.log", FS, {"log": "events", "format": 2})
    with pytest.raises(FormatVersionError) as caught:
        EventLog.open(folder, FS, SETTINGS)
    assert caught.value.fields["found"] == 2


def test_a_reader_takes_no_lock_and_writes_nothing(folder: Path) -> None:
    fill(folder, 3)
    before = sorted(os.walk(folder))
    with FS.lock(folder / "lock"), EventLog.open(folder, FS, SETTINGS, read_only=True) as log:
        assert len(list(log.read())) == 3
        with pytest.raises(ReadOnlyError):
            log.append(always, b"x")
    assert sorted(os.walk(folder)) == before
    with EventLog.open(folder / "absent", FS, SETTINGS, read_only=True) as log:
        assert not list(log.read())
        assert not list(log.verify())
    log = EventLog.open(folder, FS, SETTINGS)
    log.close()
    with pytest.raises(InputError):
        log.append(always, b"x")
