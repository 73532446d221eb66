"""The command line as a user runs it: in a process of its own, or by the same entry point in this one."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pacscore.cli import main

_COLUMNS = "160"


def pacscore_process(*words: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pacscore", *map(str, words)],
        capture_output=True, text=True, check=False, cwd=folder, env=os.environ | {"COLUMNS": _COLUMNS},
    )  # fmt: skip


def pacscore(*words: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in this process: most of what a process of its own costs is its start.

    It begins at the same entry point, so that messages and exit codes are those of the outer edge. An error that the
    edge does not know ends the test here, as its traceback would there.
    """
    out, error = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    before = signal.getsignal(signal.SIGPIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pacscore", *map(str, words)])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", error)
        patch.setenv("COLUMNS", _COLUMNS)
        if folder is not None:
            patch.chdir(folder)
        try:
            main()
            code = 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        finally:
            signal.signal(signal.SIGPIPE, before)  # A command lets a closed pipe end its process; this one goes on.
    return subprocess.CompletedProcess(list(map(str, words)), code, _text(out), _text(error))


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    written = stream.buffer
    assert isinstance(written, io.BytesIO)
    return written.getvalue().decode("utf-8")
