"""Nodes to measure: ours, Orthanc and DCMTK's storescp, each a process of its own on the loopback address.

``TCP_NODELAY=1`` is in the environment of every DCMTK and Orthanc process: without it each object waits 40 ms for a
delayed acknowledgement, and the comparison would be one of that.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rows import Measured, Missing
from sealed import fresh
from timing import Timed

ENVIRONMENT = dict(os.environ, TCP_NODELAY="1", PYTHONPATH=str(Path(__file__).resolve().parents[1]))
_SECONDS = 60.0
_REPLAY = str(Path(__file__).with_name("network_replay.py"))


@dataclass(frozen=True)
class Node:
    """A node at work."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def peak_mb(self) -> float:
        """The most memory it has had, in MB (Linux)."""
        text = Path(f"/proc/{self.process.pid}/status").read_text("ascii", "ignore")
        return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM"))


def program(name: str) -> str:
    """A peer's program; pynetdicom brings scripts of the same names, which are not meant.

    Raises
    ------
    Missing
        It is not installed.
    """
    own = str(Path(sys.executable).parent)
    folders = [each for each in [*os.get_exec_path(), "/usr/bin", "/usr/sbin"] if each != own]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise Missing(f"peer {name} is not installed")
    return found


def version_of(name: str) -> str:
    """What the program says of itself."""
    said = subprocess.run([program(name), "--version"], capture_output=True, text=True, check=False)
    words = (said.stdout + said.stderr).split()
    return next((word for word in words if word[:1].isdigit() or word.startswith("v3")), "?")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(name: str, *arguments: str) -> None:
    """Run a program of DCMTK to its end."""
    done = subprocess.run([program(name), *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (name, done.stdout[-500:], done.stderr[-500:])


def _until_listening(port: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nobody listens on {port}")


def _until_bound(port: int) -> None:
    """As above, without a connection (Linux)."""
    deadline = time.monotonic() + _SECONDS
    wanted = f":{port:04X} 00000000:0000 0A"
    while time.monotonic() < deadline:
        if wanted in Path("/proc/net/tcp").read_text("ascii"):
            return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on {port}")


@contextmanager
def ours(
    folder: Path, *, path: str = "fast", processes: int = 1, destination: int = 0, warm: Path | None = None
) -> Iterator[Node]:
    """Our node on the archive at ``folder``; ``warm`` is a file that it gets before it counts."""
    port = free_port()
    configuration = folder.with_suffix(".toml")
    configuration.write_text(
        "[limits]\nquiet_seconds = 3600\n"
        + (f'[[peer]]\nae_title = "SINK"\nhost = "127.0.0.1"\nport = {destination}\n' if destination else "")
    )
    command = [sys.executable, "-m", "pacscore", "serve", str(folder), "--dimse", str(port), "--data-path", path]
    command += ["--processes", str(processes), "--config", str(configuration)]
    with _process("ours", command, port) as node:
        for _ in range(2 * processes if warm else 0):  # Each receiver compiles or loads what it needs once.
            run("storescu", "-R", "127.0.0.1", str(port), str(warm))
        yield node


@contextmanager
def orthanc(folder: Path, *, destination: int = 0, synced: bool = True, kept: bool = False) -> Iterator[Node]:
    """Orthanc with its storage synced, as the issue asks; ``kept`` with what its folder holds already."""
    if not kept:
        fresh(folder).mkdir(parents=True)
    port, http = free_port(), free_port()
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomPort": port,
        "HttpPort": http,
        "DicomAet": "ORTHANC",
        "SyncStorageArea": synced,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalities": {"sink": ["SINK", "127.0.0.1", destination]} if destination else {},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with _process("Orthanc", [program("Orthanc"), str(folder / "orthanc.json")], port) as node:
        yield node


@contextmanager
def storescp(folder: Path, *, title: str = "STORESCP") -> Iterator[Node]:
    """DCMTK's receiver, a process for each association; it keeps files as they come, and neither indexes nor syncs."""
    fresh(folder).mkdir(parents=True)
    port = free_port()
    command = [program("storescp"), "--fork", "+B", "+xa", "-aet", title, "-od", str(folder), str(port)]
    with _process("storescp", command, port) as node:
        yield node


@contextmanager
def _process(name: str, command: Sequence[str], port: int, *, ahead: bool = True) -> Iterator[Node]:
    """A program that listens; ``ahead``: it may be connected to once before it counts."""
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        (_until_listening if ahead else _until_bound)(port)
        yield Node(name, port, process)
    finally:
        process.terminate()
        process.wait(60)


def of_nothing(timed: Timed) -> Measured:
    """What a node of no cost reaches, and ours in the same run."""
    ratio = timed.ratio("Orthanc", "ours")[0]
    detail = f"{timed.median('nothing'):.2f} s; Orthanc {timed.median('Orthanc'):.2f} s; ours in this run {ratio:.3g}×"
    return Measured(*timed.ratio("Orthanc", "nothing"), detail, timed.rounds)


@contextmanager
def recording(path: Path, node: Node, *, sink: Node | None = None, sink_port: int = 0) -> Iterator[Node]:
    """Stands in front of a node, and of the sink it sends to at ``sink_port``; ``path`` gets what passed."""
    port = free_port()
    places = [f"{port}:{node.port}"] + ([f"{sink_port}:{sink.port}"] if sink is not None else [])
    with _process(node.name, [sys.executable, _REPLAY, "record", str(path), *places], port, ahead=False) as recorder:
        yield recorder
    assert path.is_file(), path


@contextmanager
def replaying(path: Path, *, sink: Node | None = None, journal: Path | None = None) -> Iterator[Node]:
    """A node of no cost: it repeats what was recorded; with a journal it writes and syncs what it reads."""
    port = free_port()
    command = [sys.executable, _REPLAY, "replay", str(path), str(port), *([str(sink.port)] if sink is not None else [])]
    if journal is not None:
        command += ["--durable", str(journal)]
    with _process("nothing", command, port, ahead=False) as node:
        yield node
