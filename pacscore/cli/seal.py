"""pacscore seal: lay out what was received."""

from __future__ import annotations

import typer

from pacscore.cli.arguments import Archive, AsJson, print_json
from pacscore.cli.progress import shown
from pacscore.cli.text import listing

NAME = "seal"
HELP = (
    "Lay out what was received and is still in the journal.\n\n"
    "Every series with received objects becomes a new, proven generation; then the journal's space is freed. Reading "
    "gives the same answers before, during and after."
)
EPILOG = "Example: pacscore seal /data/archive"


def run(archive: Archive, as_json: AsJson = False) -> None:
    """Seal and say how much."""
    import pacscore

    with pacscore.open(archive) as opened, shown(quiet=as_json) as progress:
        report = opened.seal(progress=progress)
    if as_json:
        print_json(report.as_dict())
    else:
        typer.echo(f"{report.series} series with {report.objects} received objects sealed in {report.seconds:.1f} s.")
        listing("Damaged, left as they are", [(entry.path, entry.reason) for entry in report.damaged])
    if report.damaged:
        raise typer.Exit(1)
