"""pacscore queue: what waits to be sent on."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from pacscore.cli.arguments import Archive, AsJson, print_json
from pacscore.cli.text import table
from pacscore.errors import InputError

NAME = "queue"
HELP = (
    "Show, retry or drop what waits to be forwarded, reported or told.\n\n"
    "list shows all jobs with the reason of their last failure; retry makes one of them, or all, due now; drop removes "
    "one for good."
)
EPILOG = "Examples: pacscore queue list A   ·   pacscore queue retry A   ·   pacscore queue drop A NAME"


def run(
    action: Annotated[str, typer.Argument(help="list, retry or drop.", metavar="list|retry|drop")],
    archive: Archive,
    name: Annotated[str | None, typer.Argument(help="The job, as list names it.", metavar="[NAME]")] = None,
    as_json: AsJson = False,
) -> None:
    """Look at the queue or change it."""
    import pacscore
    from pacscore.flow.queue import WorkQueue

    if action not in {"list", "retry", "drop"}:
        raise InputError(f"{action!r} is none of list, retry, drop.")
    with pacscore.open(archive, read_only=True) as opened:
        folder = opened.root / "queue"
    queue = WorkQueue(folder) if folder.is_dir() or action != "list" else None
    if action == "retry" and queue is not None:
        typer.echo(f"{queue.retry(name)} jobs are due now.")
        return
    if action == "drop" and queue is not None:
        if name is None:
            raise InputError("name the job to drop, as list shows it.")
        queue.drop(name)
        typer.echo(f"Dropped {name}.")
        return
    jobs = queue.jobs() if queue is not None else []
    if as_json:
        print_json([job.as_dict() for job in jobs])
        return
    rows = ([job.name, job.kind, job.destination, job.attempts, _due(job.due), job.reason] for job in jobs)
    table(f"{len(jobs)} jobs", ["name", "kind", "to", "#attempts", "due", "last failure"], rows)


def _due(moment: float) -> str:
    seconds = moment - time.time()
    return "now" if seconds <= 0 else f"in {seconds:.0f} s"
