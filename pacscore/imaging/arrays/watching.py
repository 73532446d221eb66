"""Long calculations: run over the pool, watched and cancelled from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from pacscore import parallel
from pacscore.errors import CancelledError


@dataclass(frozen=True, slots=True)
class Watch:
    """Who watches a calculation, and how many threads it may have.

    Attributes
    ----------
    progress : callable, optional
        Called as ``progress(phase, done, total)`` from the working threads, one call at a time. What it raises ends
        the work.
    cancel : threading.Event, optional
        Once set, the calculation ends with ``CancelledError`` at its next step.
    threads : int, optional
        At most so many; by default those of ``Settings``. Results never depend on it.
    """

    progress: Callable[[str, int, int], None] | None = None
    cancel: threading.Event | None = None
    threads: int | None = None

    def run(self, phase: str, function: Callable[[int, int], None], count: int, *, tile: int = 1) -> None:
        """Call ``function(start, stop)`` for ranges covering ``range(count)``; see ``parallel.run_tiles``.

        Raises
        ------
        CancelledError
            ``cancel`` is set. What was computed so far is worthless.
        """
        if self.progress is None and self.cancel is None:
            parallel.run_tiles(function, count, tile=tile, threads=self.threads)
            return
        lock = threading.Lock()
        done = 0

        def watched(start: int, stop: int) -> None:
            nonlocal done
            self.check()
            function(start, stop)
            with lock:
                done += stop - start
                if self.progress is not None:
                    self.progress(phase, done, count)

        parallel.run_tiles(watched, count, tile=tile, threads=self.threads)
        self.check()

    def check(self) -> None:
        """Raise ``CancelledError`` if ``cancel`` is set."""
        if self.cancel is not None and self.cancel.is_set():
            raise CancelledError("The calculation was cancelled.")


UNWATCHED = Watch()
"""Nobody watches, and all threads may be used."""
