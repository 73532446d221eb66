"""pacscore reseal: lay out series again by another strategy."""

from __future__ import annotations

from typing import Annotated

import typer

from pacscore.cli.arguments import Archive, AsJson, Match, matches_of, print_json
from pacscore.cli.progress import shown
from pacscore.cli.text import listing

NAME = "reseal"
HELP = (
    "Lay out series again by another strategy.\n\n"
    "Every series that matches becomes a new, proven generation; readers keep the one they opened, and originals stay "
    "byte for byte what they are. The old generation goes when an hour (PACSCORE_GRACE_SECONDS) has passed."
)
EPILOG = "Example: pacscore reseal /data/archive --strategy archive StudyDate=-20201231"


def run(
    archive: Archive,
    match: Match = None,
    strategy: Annotated[
        str,
        typer.Option(
            help="balanced, decoded, frames, bricks, archive, gradient, jpegls, htj2k, hdf5 or part10; NAME@FORMAT for "
            "another format (zarr, hdf5, part10).",
            show_default=False,
        ),
    ] = ...,  # type: ignore[assignment]  # Typer's mark of an option that must be given.
    as_json: AsJson = False,
) -> None:
    """Reseal and say how much."""
    import pacscore

    with pacscore.open(archive) as opened, shown(quiet=as_json) as progress:
        report = opened.reseal(strategy, progress=progress, **matches_of(match))
    if as_json:
        print_json(report.as_dict())
    else:
        typer.echo(f"{report.series} series laid out by {strategy} in {report.seconds:.1f} s.")
        listing("Damaged, left as they are", [(entry.path, entry.reason) for entry in report.damaged])
    if report.damaged:
        raise typer.Exit(1)
