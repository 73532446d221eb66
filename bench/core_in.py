"""Rows about the way in: ingest of a series, durable receipt, peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rows import Context, Measured, row
from sealed import WHICH, bytes_of, files_of, fresh
from timing import alternate

import pacscore

_GROUP_BYTES = 4 << 20


def _ingest(context: Context, which: str) -> Measured:
    import dcm2niix

    source, archive, nifti = context.series(which), context.scratch / "ingest", context.scratch / "nifti"
    count, voxels = len(files_of(source)), bytes_of(source)

    def clear() -> None:
        fresh(nifti).mkdir()
        pacscore.create(fresh(archive)).close()
        os.sync()

    def ours() -> None:
        with pacscore.open(archive) as opened:
            report = opened.ingest(source)
        assert report.stored == count

    def theirs() -> None:
        # The program itself: the package's command starts it from a Python process.
        command = [dcm2niix.bin, "-z", "n", "-b", "n", "-o", str(nifti), str(source)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    clear()
    theirs()
    written = sum(path.stat().st_size for path in nifti.glob("*.nii"))
    assert 0.9 * voxels < written < 1.1 * voxels, "dcm2niix has not converted the whole series"
    timed = alternate({"ours": ours, "dcm2niix": theirs}, rounds=context.rounds, before=clear)
    with pacscore.open(archive, read_only=True) as opened:
        assert not opened.verify().findings
    rate = voxels / timed.median("ours") / 1e6
    detail = f"{timed.median('ours') * 1e3:.0f} ms, {rate:.0f} MB/s; dcm2niix {timed.median('dcm2niix') * 1e3:.0f} ms"
    return Measured(*timed.ratio("ours", "dcm2niix"), detail, timed.rounds)


for _suffix, _which in WHICH.items():
    row(
        f"core.ingest{_suffix}", must=1.5, aim=1.0, higher=False, peers=("dcm2niix",),
        what="ingest into a fresh archive, sealed, durable, hashed, proven, as a multiple of dcm2niix -z n -b n, which "
        "keeps voxels alone, unsynced",
    )(partial(_ingest, which=_which))  # fmt: skip


def receive_all(archive: pacscore.Archive, objects: list[bytes], *, threads: int = 8, status: str = "stored") -> None:
    """Receive objects from several threads at once."""
    items = iter(objects)
    lock = threading.Lock()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while True:
                with lock:
                    item = next(items, None)
                if item is None:
                    return
                found = archive.receive(item).status
                assert found == status, found
        except BaseException as failure:  # Told to the caller below; a thread's own failure is only printed.
            failures.append(failure)
            raise

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]


def _append_plainly(path: Path, objects: list[bytes]) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    pending = 0
    for item in objects:
        os.write(descriptor, item)
        pending += len(item)
        if pending >= _GROUP_BYTES:
            os.fdatasync(descriptor)
            pending = 0
    os.fdatasync(descriptor)
    os.close(descriptor)


def _instances(context: Context) -> list[bytes]:
    return [path.read_bytes() for path in files_of(context.series("made"))[:160]]


@row("core.receive", must=0.6, aim=0.9)
def durable_receive(context: Context) -> Measured:
    """Durable receive from 8 threads of 525 KB instances, as a share of appending the bytes with a sync per 4 MiB."""
    objects = _instances(context)
    folder = context.scratch / "receive"
    opened: list[pacscore.Archive] = []

    def clear() -> None:
        while opened:
            opened.pop().close()
        pacscore.create(fresh(folder)).close()
        opened.append(pacscore.open(folder))
        opened[0].reserve(sum(map(len, objects)) * 17 // 16)  # As `pacscore serve` does at its start and after sealing.
        os.sync()

    clear()
    receive_all(opened[0], objects)
    for item in objects[:: len(objects) // 8]:
        uid = opened[0].receive(item).sop_instance_uid  # A duplicate now.
        assert opened[0].instance(uid).bytes() == item
    timed = alternate(
        {
            "ours": lambda: receive_all(opened[0], objects),
            "plain": lambda: _append_plainly(folder / "plain.bin", objects),
        },
        rounds=context.rounds, before=clear,
    )  # fmt: skip
    opened.pop().close()
    total = sum(map(len, objects)) / 1e6
    detail = f"{total / timed.median('ours'):.0f} MB/s; plain {total / timed.median('plain'):.0f} MB/s"
    return Measured(*timed.ratio("plain", "ours"), detail, timed.rounds)


@row("core.receive-acknowledgements", must=3, aim=4, unit=" per sync")
def acknowledgements_per_sync(context: Context) -> Measured:
    """Acknowledgements for each fdatasync or fsync of the process while 8 threads send 525 KB instances."""
    objects = _instances(context)
    folder = context.scratch / "receive-syncs"
    counted: list[float] = []
    for _ in range(3):
        with pacscore.create(fresh(folder)) as archive:
            syncs = _count_syncs(lambda archive=archive: receive_all(archive, objects))  # type: ignore[misc]
        counted.append(len(objects) / syncs)
    counted.sort()
    return Measured(
        counted[1], counted[0], counted[2], f"{len(objects) / counted[1]:.0f} syncs, SQLite's checkpoints not counted",
        len(counted),
    )  # fmt: skip


def _count_syncs(work: Callable[[], None]) -> int:
    count = 0
    lock = threading.Lock()
    originals = os.fdatasync, os.fsync

    def counting(sync: Callable[[int], None]) -> Callable[[int], None]:
        def call(descriptor: int) -> None:
            nonlocal count
            with lock:
                count += 1
            sync(descriptor)

        return call

    os.fdatasync, os.fsync = map(counting, originals)
    try:
        work()
    finally:
        os.fdatasync, os.fsync = originals
    return count


@row("core.memory", must=700, aim=400, unit=" MB", higher=False)
def ingest_memory(context: Context) -> Measured:
    """Peak anonymous memory of the process tree that ingests a 1 GB series."""
    from make_series import make_series

    folder = make_series(context.found("series").parent, context.scratch, 400 if context.quick else 1990)
    archive = fresh(context.scratch / "memory-archive")
    code = "import pacscore, sys\nwith pacscore.create(sys.argv[1]) as archive: archive.ingest(sys.argv[2])"
    process = subprocess.Popen([sys.executable, "-c", code, str(archive), str(folder)])
    peak = 0
    while process.poll() is None:
        peak = max(peak, _anonymous_bytes(process.pid))
        time.sleep(0.005)
    assert process.returncode == 0
    size = bytes_of(folder)
    fresh(archive)
    value = peak / 1e6
    return Measured(value, value, value, f"{size / 1e9:.2f} GB series, read every 5 ms")


def _anonymous_bytes(pid: int) -> int:
    """Anonymous memory in use by a process and its descendants."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
        kilobytes = next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text("utf-8").split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return 0  # It has ended.
    return kilobytes * 1024 + sum(map(_anonymous_bytes, children))
