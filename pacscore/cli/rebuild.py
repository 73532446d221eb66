"""pacscore rebuild: make the catalog anew from storage alone."""

from __future__ import annotations

import typer

from pacscore.cli.arguments import Archive, AsJson, print_json
from pacscore.cli.progress import shown

NAME = "rebuild"
HELP = (
    "Make the catalog anew from storage alone.\n\n"
    "The catalog is derived: losing it loses nothing. Opening an archive whose catalog is missing or behind brings it "
    "up to date by itself; this command makes a new one even where the old one looks whole."
)
EPILOG = "Example: pacscore rebuild /data/archive"


def run(archive: Archive, as_json: AsJson = False) -> None:
    """Rebuild and say how much."""
    import pacscore

    with pacscore.open(archive) as opened, shown(quiet=as_json) as progress:
        report = opened.rebuild(progress=progress)
    if as_json:
        print_json(report.as_dict())
    else:
        typer.echo(f"{report.series} series, {report.instances} instances catalogued anew in {report.seconds:.1f} s.")
