"""Several receivers on one port: a parent that listens, and children that accept, each with the archive open.

The kernel gives each connection to one of those that wait for it. A child that dies is started again; SIGTERM lets all
of them drain.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pacscore.dimse.lines import tell
from pacscore.dimse.server import listen

if TYPE_CHECKING:
    from pacscore.dimse.configuration import Node

_RESTART_SECONDS = 0.5
_LOOK_SECONDS = 0.1


def supervise(
    archive: Path,
    node: Node,
    config: Path | None,
    *,
    options: Sequence[str],
    said: Callable[[Node, int, Path], None],
) -> None:
    """Run the receivers, each with further ``options``, until told to stop."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    listener = listen(node.host, node.port)
    command = [sys.executable, "-m", "pacscore", "serve", str(archive), "--listener", str(listener.fileno())]
    command += ["--aet", node.ae_title, "--host", node.host, "--processes", str(node.processes)]
    command += ["--config", str(config)] if config is not None else []
    command += options

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, pass_fds=[listener.fileno()])

    children = [start() for _ in range(node.processes)]
    said(node, int(listener.getsockname()[1]), archive)
    while not stopped.wait(_LOOK_SECONDS):
        for place, child in enumerate(children):
            if child.poll() is not None:
                tell("receiver.died", code=child.returncode)
                time.sleep(_RESTART_SECONDS)
                children[place] = start()
    for child in children:
        child.terminate()
    for child in children:
        child.wait()
    listener.close()
