"""A mixed load on a node for a long time, its receivers killed and its connections cut: is anything lost, does it grow?

    python tools/soak.py [--minutes 30] [--processes 2] [--kill-seconds 9] [--pause 0] [--seed 1]
                         [--folder FOLDER] [--record FILE]

Six peers send objects of 4 KB to 8 MB, one cuts its connection in the middle of objects, others ask, fetch and move all
the time. A receiver is killed (SIGKILL) about every ``--kill-seconds``. Every object that was acknowledged is kept in
mind by its hash. At the end the node drains; then each of them must be there, byte for byte, and the archive sound.
Prints a line a minute and, as JSON, what came of it; exits 1 if anything was lost, memory or descriptors grew, or the
archive has findings.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pacscore  # noqa: E402  # The path is set above.
from pacscore.archive.outgoing import Outgoing, cut_runs, read_run  # noqa: E402
from pacscore.dicom.syntaxes import EXPLICIT_LITTLE  # noqa: E402
from pacscore.dimse.configuration import Limits  # noqa: E402
from pacscore.dimse.connecting import Address, make_entity  # noqa: E402
from pacscore.dimse.requesting import echo, get, query  # noqa: E402
from pacscore.dimse.sending import Sender, Sent  # noqa: E402
from pacscore.errors import PacscoreError  # noqa: E402

CT = "1.2.840.10008.5.1.4.1.1.2"
SIZES = (4 << 10, 4 << 10, 4 << 10, 128 << 10, 512 << 10, 512 << 10, 8 << 20)
SENDERS = 6
MEMORY_GROWTH_MAX = 1.25
DESCRIPTOR_GROWTH_MAX = 16
SAMPLE_SECONDS = 1.0


def make_object(uid: str, series: str, number: int, size: int) -> bytes:
    """A CT slice of about so many bytes, Explicit VR Little Endian."""
    rows = 32 if size < 1 << 17 else 512
    columns = max(1, size // (2 * rows))

    def element(group: int, tag: int, vr: bytes, value: bytes) -> bytes:
        value += b"" if len(value) % 2 == 0 else b"\0" if vr == b"UI" else b" "
        length = struct.pack("<HI", 0, len(value)) if vr == b"OW" else struct.pack("<H", len(value))
        return struct.pack("<HH", group, tag) + vr + length + value

    shorts = ((0x0002, 1), (0x0010, rows), (0x0011, columns), (0x0100, 16), (0x0101, 16), (0x0102, 15), (0x0103, 0))
    parts = [
        element(0x0008, 0x0016, b"UI", CT.encode()),
        element(0x0008, 0x0018, b"UI", uid.encode()),
        element(0x0008, 0x0060, b"CS", b"CT"),
        element(0x0010, 0x0020, b"LO", b"SOAK"),
        element(0x0020, 0x000D, b"UI", series.rsplit(".", 1)[0].encode()),
        element(0x0020, 0x000E, b"UI", series.encode()),
        element(0x0020, 0x0013, b"IS", str(number).encode()),
        element(0x0028, 0x0002, b"US", struct.pack("<H", shorts[0][1])),
        element(0x0028, 0x0004, b"CS", b"MONOCHROME2"),
        *(element(0x0028, tag, b"US", struct.pack("<H", value)) for tag, value in shorts[1:]),
        element(0x7FE0, 0x0010, b"OW", random.Random(number).randbytes(2 * rows) * columns),
    ]
    return b"".join(parts)


@dataclass(frozen=True)
class MadeObject:
    """An object in memory, as ``Sender`` takes it."""

    sop_instance_uid: str
    data: bytes
    sop_class_uid: str = CT
    transfer_syntax_uid: str = EXPLICIT_LITTLE

    def outgoing_in(self, transfer_syntax_uid: str) -> Outgoing:
        """Its bytes."""
        return Outgoing(len(self.data), (self.data,))


@dataclass
class Tally:
    """What the load has done, by all its threads."""

    acknowledged: dict[str, bytes] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    series: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, **counts: int) -> None:
        """Count."""
        with self.lock:
            for name, count in counts.items():
                self.counts[name] = self.counts.get(name, 0) + count


class Load:
    """The peers of one soak."""

    def __init__(self, port: int, folder: Path, seed: int, pause: float) -> None:
        self._pause = pause
        self.address = Address("127.0.0.1", port, "PACSCORE")
        self.folder = folder
        self.seed = seed
        self.tally = Tally()
        self.stopped = threading.Event()
        self.limits = Limits(retry_count=0, negotiation_seconds=10, answer_seconds=60, stall_seconds=20)

    def start(self) -> list[threading.Thread]:
        """All peers, each a thread."""
        works: list[Callable[[random.Random, int], None]] = [self.send] * SENDERS
        works += [self.cut, self.ask, self.fetch]
        threads = [
            threading.Thread(target=self._repeat, args=(work, random.Random(self.seed * 1000 + number), number))
            for number, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        return threads

    def _repeat(self, work: Callable[[random.Random, int], None], choose: random.Random, number: int) -> None:
        while not self.stopped.is_set():
            try:
                work(choose, number)
            except (PacscoreError, OSError):
                self.tally.add(interrupted=1)
                self.stopped.wait(0.2)
            self.stopped.wait(self._pause)

    def send(self, choose: random.Random, number: int) -> None:
        """Send one series; what the node acknowledges is kept in mind."""
        series = f"1.2.826.0.1.{number}.{choose.getrandbits(60)}.1"
        count = choose.randint(1, 40)
        sent = Sent()
        with Sender(make_entity(f"SOAK{number}", self.limits), self.address, self.limits) as sender:
            for index in range(count):
                if self.stopped.is_set():
                    break
                uid = f"{series}.{index}"
                data = make_object(uid, series, index, choose.choice(SIZES))
                before = sent.objects
                sender.send([MadeObject(uid, data)], sent)
                if sent.objects > before:
                    with self.tally.lock:
                        self.tally.acknowledged[uid] = hashlib.sha256(data).digest()
        with self.tally.lock:
            self.tally.series = [*self.tally.series[-200:], series]
        self.tally.add(sent=sent.objects, sent_bytes=sent.bytes, not_sent=len(sent.failures))

    def cut(self, choose: random.Random, number: int) -> None:
        """Begin a connection and leave it in the middle: of a header, a PDU, or an object."""
        with socket.create_connection((self.address.host, self.address.port), 10) as connection:
            noise = choose.randbytes(choose.randint(0, 4000))
            connection.sendall(struct.pack(">BBI", choose.choice((1, 1, 4, 7)), 0, choose.randint(10, 9000)) + noise)
            if choose.random() < 0.5:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        series = f"1.2.826.0.2.{choose.getrandbits(60)}.1"
        sender = Sender(make_entity("SOAKCUT", self.limits), self.address, self.limits)
        killer = threading.Timer(choose.uniform(0.01, 0.3), sender.cut)
        killer.start()
        try:
            for index in range(5):
                uid = f"{series}.{index}"
                data, sent = make_object(uid, series, index, 2 << 20), Sent()
                sender.send([MadeObject(uid, data)], sent)
                if sent.objects:
                    with self.tally.lock:
                        self.tally.acknowledged[uid] = hashlib.sha256(data).digest()
        finally:
            killer.cancel()
            sender.close()
            self.tally.add(cut=1)
        self.stopped.wait(0.1)

    def ask(self, choose: random.Random, number: int) -> None:
        """C-ECHO and C-FIND."""
        echo(self.address, limits=self.limits)
        found = list(query(self.address, "series", {"Modality": "CT"}, limits=self.limits, limit=50))
        self.tally.add(queries=1, rows=len(found))
        self.stopped.wait(0.05)

    def fetch(self, choose: random.Random, number: int) -> None:
        """C-GET of a series that was sent, compared with what is kept in mind."""
        with self.tally.lock:
            series = choose.choice(self.tally.series) if self.tally.series else ""
        if not series:
            self.stopped.wait(0.5)
            return
        folder = self.folder / f"fetched-{choose.getrandbits(40)}"
        match = {"StudyInstanceUID": series.rsplit(".", 1)[0], "SeriesInstanceUID": series}
        try:
            with pacscore.create(folder) as archive:
                get(self.address, "series", match, archive, sop_class_uids=[CT], limits=self.limits)
                for row in archive.find("instance"):
                    found = archive.instance(row["SOPInstanceUID"])
                    expected = self.tally.acknowledged.get(found.sop_instance_uid)
                    wrong = expected is not None and found.sha256 != expected.hex()
                    self.tally.add(fetched=1, fetched_wrong=int(wrong))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.stopped.wait(0.2)


class ServedNode:
    """The node under load: a parent and its receivers."""

    def __init__(self, folder: Path, processes: int) -> None:
        self.log = folder.with_suffix(".log").open("w")
        configuration = folder.with_suffix(".toml")
        configuration.write_text("[limits]\nquiet_seconds = 5.0\nfree_bytes_min = 0\n")
        command = [
            sys.executable,
            "-m",
            "pacscore",
            "serve",
            str(folder),
            "--dimse",
            "0",
            "--processes",
            str(processes),
        ]
        environment = dict(os.environ, PYTHONPATH=str(ROOT))
        self.process = subprocess.Popen(
            [*command, "--config", str(configuration)],
            stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdout is not None
        said = next(line for line in self.process.stdout if " serves " in line)
        self.port = int(said.rsplit(":", 1)[1].rstrip(".\n"))

    def receivers(self) -> list[int]:
        """Process ids of the receivers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(each) for each in path.read_text().split()]

    def stop(self) -> int:
        """Drain, and give the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(120)
        self.log.close()
        return code


@dataclass(frozen=True)
class Sample:
    """One look at a receiver: seconds since it was first seen, MB of resident memory, open descriptors."""

    age: float
    memory_mb: float
    descriptors: int


class Watch:
    """Looks at the receivers again and again."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._born: dict[int, float] = {}

    def look(self, receivers: list[int]) -> None:
        """Take a sample of each."""
        for each in receivers:
            born = self._born.setdefault(each, time.monotonic())
            try:
                status = Path(f"/proc/{each}/status").read_text("ascii", "ignore")
                count = len(os.listdir(f"/proc/{each}/fd"))
            except OSError:
                continue  # It was killed a moment ago.
            memory = next((int(x.split()[1]) / 1024 for x in status.splitlines() if x.startswith("VmRSS")), 0.0)
            if memory:
                self.samples.append(Sample(time.monotonic() - born, memory, count))

    def growth(self) -> dict[str, float]:
        """Medians of the second and the last quarter of the run: what only grows shows there."""
        quarter = max(1, len(self.samples) // 4)
        early, late = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        return {
            "memory_mb_early": statistics.median(each.memory_mb for each in early),
            "memory_mb_late": statistics.median(each.memory_mb for each in late),
            "memory_mb_peak": max(each.memory_mb for each in self.samples),
            "descriptors_early": statistics.median(each.descriptors for each in early),
            "descriptors_late": statistics.median(each.descriptors for each in late),
        }


def check(folder: Path, acknowledged: dict[str, bytes]) -> dict[str, Any]:
    """Look for every acknowledged object, and verify the archive."""
    found: dict[str, str] = {}
    with pacscore.open(folder) as archive:
        for row in archive.find("series"):
            series = archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"])
            for run in cut_runs(series.instances):
                for instance, read in zip(run, read_run(run), strict=True):
                    data = read.joined() if isinstance(read, Outgoing) else b""
                    found[instance.sop_instance_uid] = hashlib.sha256(data).hexdigest()
        lost = [uid for uid in acknowledged if uid not in found]
        altered = [uid for uid, digest in acknowledged.items() if found.get(uid, digest.hex()) != digest.hex()]
        findings = [str(each) for each in archive.verify().findings]
    return {"lost": lost[:20], "lost_count": len(lost), "altered_count": len(altered), "findings": findings[:20]}


def kill_times(choose: random.Random, seconds: float) -> Iterator[float]:
    """When receivers are killed, in seconds from the start."""
    moment = 0.0
    while seconds > 0:
        moment += choose.uniform(0.5, 1.5) * seconds
        yield moment


def soak(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run it, and say what came of it."""
    choose = random.Random(arguments.seed)
    pacscore.create(folder / "archive").close()
    node = ServedNode(folder / "archive", arguments.processes)
    load, watch, kills = Load(node.port, folder, arguments.seed, arguments.pause), Watch(), 0
    threads = load.start()
    started = time.monotonic()
    due, told = kill_times(choose, arguments.kill_seconds), started
    next_kill = next(due, float("inf"))
    while (elapsed := time.monotonic() - started) < arguments.minutes * 60:
        receivers = node.receivers()
        watch.look(receivers)
        if elapsed >= next_kill and receivers:
            os.kill(choose.choice(receivers), signal.SIGKILL)
            kills, next_kill = kills + 1, next(due)
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(f"{elapsed / 60:.0f} min: {kills} kills, {load.tally.counts}", flush=True)
        time.sleep(SAMPLE_SECONDS)
    load.stopped.set()
    for thread in threads:
        thread.join()
    code = node.stop()
    counts = {name: load.tally.counts[name] for name in sorted(load.tally.counts)}
    return {
        "minutes": arguments.minutes, "seed": arguments.seed, "processes": arguments.processes, "kills": kills,
        "acknowledged": len(load.tally.acknowledged), **counts, **watch.growth(), "exit_code": code,
        **check(folder / "archive", load.tally.acknowledged),
    }  # fmt: skip


def troubles_of(result: dict[str, Any]) -> list[str]:
    """What is wrong with a result."""
    memory = result["memory_mb_late"] / result["memory_mb_early"]
    descriptors = result["descriptors_late"] - result["descriptors_early"]
    wrong = {
        f"{result['lost_count']} acknowledged objects are lost": result["lost_count"],
        f"{result['altered_count']} objects are altered": result["altered_count"] or result.get("fetched_wrong"),
        f"the archive has {len(result['findings'])} findings": result["findings"],
        f"memory grew {memory:.2f} times": memory > MEMORY_GROWTH_MAX,
        f"{descriptors:.0f} more descriptors are open": descriptors > DESCRIPTOR_GROWTH_MAX,
        f"the node ended with {result['exit_code']}": result["exit_code"],
        "nothing was acknowledged": not result["acknowledged"],
    }
    return [text for text, is_so in wrong.items() if is_so]


def main() -> None:
    """Read the arguments, run, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--kill-seconds", type=float, default=9.0, help="0 for no kills")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds each peer rests between two works")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="kept afterwards; else a temporary one")
    parser.add_argument("--record", type=Path, help="the result is added to it, a JSON object a line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pacscore-soak-") as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        result = soak(arguments, folder)
    print(json.dumps(result, indent=1))
    if arguments.record:
        with arguments.record.open("a") as file:
            file.write(json.dumps(result) + "\n")
    troubles = troubles_of(result)
    print("\n".join(troubles) if troubles else "Nothing was lost, nothing grew.")
    sys.exit(1 if troubles else 0)


if __name__ == "__main__":
    main()
