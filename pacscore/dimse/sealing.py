"""Sealing in the background: what nobody adds to any more is laid out, without slowing receipt.

Whoever follows the archive for all processes that share it (the holder of the queue's lock) says what is quiet; so of
several receivers one alone seals, and only what none of them receives.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING

from pacscore.dimse.lines import tell
from pacscore.errors import PacscoreError

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive
    from pacscore.dimse.storing import Counters

_IDLE_SECONDS = 30.0


class QuietSealing:
    """Seals series that it is given, in a thread of its own; a failure waits for the series' next arrival."""

    def __init__(self, archive: Archive, counters: Counters) -> None:
        self._archive = archive
        self._counters = counters
        self._quiet: queue.SimpleQueue[frozenset[str]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sealing", daemon=True)

    def start(self) -> None:
        """Begin to wait for work."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is being sealed; what waits is sealed another time."""
        while not self._quiet.empty():
            self._quiet.get()
        self._quiet.put(frozenset())
        if self._thread.is_alive():
            self._thread.join()

    def add(self, series_instance_uids: frozenset[str]) -> None:
        """Let series be sealed that have become quiet."""
        if series_instance_uids:
            self._quiet.put(series_instance_uids)

    def _run(self) -> None:
        self._reserve()
        received = 0
        while (quiet := self._next()) != frozenset():
            if quiet is not None:
                self._seal(quiet)
            elif received == self._counters.stored:
                self._reserve()
            received = self._counters.stored

    def _next(self) -> frozenset[str] | None:
        """The next series to be sealed; None when there were none for a while."""
        try:
            return self._quiet.get(timeout=_IDLE_SECONDS)
        except queue.Empty:
            return None

    def _seal(self, quiet: frozenset[str]) -> None:
        try:
            report = self._archive.seal(only=quiet)
        except (PacscoreError, OSError) as error:
            tell("seal.failed", level=logging.ERROR, series=len(quiet), reason=str(error))
        else:
            if report.series:
                tell("seal.done", series=report.series, objects=report.objects)

    def _reserve(self) -> None:
        """Make room for what comes next; without it receiving is as safe, and slower."""
        try:
            self._archive.reserve()
        except (PacscoreError, OSError) as error:
            tell("room.failed", level=logging.WARNING, reason=str(error))
