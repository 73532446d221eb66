"""Progress of a run on a terminal: a bar with the rate, the time left and the failures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pacscore.archive.report import Progress, no_progress

if TYPE_CHECKING:
    from pacscore.bulk.mapping import Run


@contextmanager
def watched(progress: Progress | bool | None, run: Run) -> Iterator[Progress]:
    """What to call as items end: the caller's own, a bar on standard error for True, or nothing."""
    if progress is not True:
        yield progress or no_progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task("items", total=run.total, rate="", failed="")

        def draw(phase: str, done: int, total: int) -> None:
            lost = run.failed + run.timed_out
            failed = f"{lost} failed" if lost else ""
            bars.update(bar, completed=done, rate=f"{run.rate:.1f}/s", failed=failed)

        yield draw
