"""Writer slots: each process that writes to a journal owns one, claimed by lock and used again.

A slot is a folder ``01``, ``02``, … with a lock file, segments and a spool. It belongs to whoever holds the lock, not
to a process id, so that there are never more slots than there were writers at once, and a crashed writer's records pass
to the next one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pacscore.errors import RetryError
from pacscore.filesystem import PENDING_PREFIX, FileSystem
from pacscore.locks import Lock
from pacscore.settings import Settings
from pacscore.store.ledger import Ledger
from pacscore.store.segment_files import segment_numbers, segment_path
from pacscore.store.segments import LogFinding, recover_segment
from pacscore.store.spool import remove_spooled

SPOOL = "spool"

_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot whose lock is held."""

    number: int
    folder: Path
    lock: Lock


def slot_folder(journal: Path, number: int) -> Path:
    """Where slot ``number`` lies."""
    return journal / f"{number:02d}"


def slot_numbers(journal: Path) -> list[int]:
    """The slots of a journal, ascending."""
    names = os.listdir(journal) if journal.is_dir() else []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def try_slot(journal: Path, number: int, fs: FileSystem) -> Slot | None:
    """Hold an existing slot, or None while another writer does."""
    folder = slot_folder(journal, number)
    try:
        return Slot(number, folder, fs.lock(folder / _LOCK, wait_seconds=0))
    except RetryError:
        return None


def claim_slot(journal: Path, fs: FileSystem, settings: Settings) -> Slot:
    """Hold the first slot that is free, made if need be.

    Raises
    ------
    RetryError
        All slots are taken.
    """
    for number in range(1, settings.writer_slot_count + 1):
        fs.make_folder(slot_folder(journal, number), exist_ok=True)
        slot = try_slot(journal, number, fs)
        if slot is not None:
            # The spool's name becomes durable with the first segment's, which no record comes before.
            fs.make_folder(slot.folder / SPOOL, exist_ok=True)
            fs.sync_folder(journal)  # Though the slot was there: its maker may have died before the sync.
            return slot
    raise RetryError(
        f"All {settings.writer_slot_count} writers that this archive allows at once are at work. Close one, or raise "
        "writer_slot_count.",
        expected=settings.writer_slot_count,
    )


def recover_slot(slot: Slot, fs: FileSystem) -> list[LogFinding]:
    """Bring a slot in order after whatever happened to its last owner; twice equals once."""
    findings: list[LogFinding] = []
    for name in sorted(os.listdir(slot.folder)):
        if name.startswith(PENDING_PREFIX):
            fs.remove(slot.folder / name)
    paths = {number: segment_path(slot.folder, number) for number in segment_numbers(slot.folder)}
    if paths:
        fs.sync_folder(slot.folder)  # The last owner may have died between making a segment and doing this.
    for path in paths.values():
        findings += recover_segment(path, fs)
    spool = slot.folder / SPOOL
    unrecorded = set(os.listdir(spool)) if spool.is_dir() else set()
    is_damaged = False
    for number, path in paths.items() if unrecorded else ():
        ledger = Ledger(slot.number, number)
        ledger.extend(path, stated_only=True)
        unrecorded -= {entry.spooled.name for entry in ledger.entries.values() if entry.spooled is not None}
        is_damaged |= bool(ledger.damage)
    if not is_damaged:  # P2
        remove_spooled(spool, fs, unrecorded)
    return findings
