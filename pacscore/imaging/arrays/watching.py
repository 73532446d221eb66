"""Long calculations: run over the pool, watched and cancelled from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pacscore import parallel
from pacscore.errors import CancelledError

Item = TypeVar("Item")

Progress = Callable[[str, int, int], None]
"""Called as ``progress(phase, done, total)``, one call at a time; what it raises ends the work."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who watches a calculation, and how many threads it may have.

    Attributes
    ----------
    progress : callable, optional
        A ``Progress``, called from the working threads.
    cancel : threading.Event, optional
        Once set, the calculation ends with ``CancelledError`` at its next step.
    threads : int, optional
        At most so many; by default those of ``Settings``. Results never depend on it.
    """

    progress: Progress | None = None
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

    def each(self, phase: str, items: Sequence[Item]) -> Iterator[Item]:
        """Go through ``items`` one by one; progress counts those that are done.

        Raises
        ------
        CancelledError
            ``cancel`` is set.
        """
        for number, item in enumerate(items, 1):
            self.check()
            yield item
            if self.progress is not None:
                self.progress(phase, number, len(items))
        self.check()

    def part(self, start: int, total: int, *, each: int = 1) -> Watch:
        """The watch of a part of the work: what it has done is told as ``start + each * done`` of ``total``."""
        told = self.progress
        if told is None:
            return self
        return replace(self, progress=lambda phase, done, _: told(phase, start + each * done, total))

    def limited(self, threads: int | None) -> Watch:
        """The same watch with at most so many threads; None changes nothing."""
        return self if threads is None else replace(self, threads=threads)

    def check(self) -> None:
        """Raise ``CancelledError`` if ``cancel`` is set."""
        if self.cancel is not None and self.cancel.is_set():
            raise CancelledError("The calculation was cancelled.")


UNWATCHED = Watch()
"""Nobody watches, and all threads may be used."""
