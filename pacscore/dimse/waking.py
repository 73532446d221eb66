"""Waiting until there is something to do, where pynetdicom looks every millisecond."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any


class Checkpoint(threading.Event):
    """Where pynetdicom's reactor pauses: here it sleeps until there is something to do, and serves messages at once.

    Each of its own rounds begins with a sleep of a millisecond, which is longer than a query takes.
    """

    def __init__(self, serve: Callable[[], bool]) -> None:
        super().__init__()
        self.work = threading.Event()
        self._serve = serve

    def wait(self, timeout: float | None = None) -> bool:
        """Serve what comes until it is something else."""
        while self.work.wait(0.25):
            self.work.clear()
            if not self._serve():
                break  # Something else has happened: the reactor looks.
        return super().wait(timeout)


class SignallingQueue(queue.Queue[Any]):
    """A queue that tells when something was put into it."""

    def __init__(self, signal: Callable[[], None]) -> None:
        super().__init__()
        self._signal = signal

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an item into it, and tell."""
        super().put(item, block, timeout)
        self._signal()
