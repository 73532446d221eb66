"""``pacscore serve`` as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def start_serving(folder: Path, *options: str) -> tuple[subprocess.Popen[str], int]:
    """The process, and the port it listens on."""
    command = [sys.executable, "-m", "pacscore", "serve", str(folder), "--dimse", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if " serves " in line:
            return process, int(line.rsplit(":", 1)[1].rstrip(".\n"))
    raise AssertionError("the node did not start")


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[int, int]]:
    """A node at work: its process id and port; it drains at the end."""
    process, port = start_serving(folder, *options)
    try:
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()
