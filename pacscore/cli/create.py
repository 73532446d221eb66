"""pacscore create: make an empty archive."""

from __future__ import annotations

from typing import Annotated

import typer

from pacscore.cli.arguments import Archive, AsJson, print_json

NAME = "create"
HELP = "Make a new, empty archive.\n\nThe folder must not exist yet, or be empty."
EPILOG = "Example: pacscore create /data/archive --strategy balanced"


def run(
    archive: Archive,
    strategy: Annotated[
        str,
        typer.Option(
            help="How pixels are laid out: balanced (default: fast in every direction), frames (fastest slice by "
            "slice), bricks (fastest planes and boxes), archive (smallest), part10 (plain DICOM files)."
        ),
    ] = "balanced",
    as_json: AsJson = False,
) -> None:
    """Make an archive and say what to do next."""
    import pacscore

    with pacscore.create(archive, strategy=strategy) as made:
        summary = {"archive": str(archive), "strategy": strategy, "format": made.format_version}
    if as_json:
        print_json(summary)
    else:
        typer.echo(f"Created {archive} (strategy {strategy}). Next: pacscore ingest {archive} FOLDER")
