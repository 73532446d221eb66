"""Sealing in the background: a series that nobody adds to any more is laid out, without slowing receipt."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from pacscore.dimse.configuration import Limits
from pacscore.dimse.lines import tell
from pacscore.dimse.storing import Receiver
from pacscore.errors import PacscoreError

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

_LOOK_SECONDS = 1.0


class QuietSealing:
    """Seals each series to which nothing has come for ``quiet_seconds``; a failure waits for its next arrival."""

    def __init__(self, archive: Archive, receiver: Receiver, limits: Limits) -> None:
        self._archive = archive
        self._receiver = receiver
        self._quiet_seconds = limits.quiet_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sealing", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        if self._quiet_seconds:
            self._thread.start()

    def stop(self) -> None:
        """End after what is being sealed."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            quiet = self._receiver.take_quiet(self._quiet_seconds)
            if not quiet:
                continue
            try:
                report = self._archive.seal(only=quiet)
            except (PacscoreError, OSError) as error:
                tell("seal.failed", level=logging.ERROR, series=len(quiet), reason=str(error))
            else:
                tell("seal.done", series=report.series, objects=report.objects)
