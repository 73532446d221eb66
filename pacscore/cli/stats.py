"""pacscore stats: how much there is, and how well it is stored."""

from __future__ import annotations

import typer

from pacscore.cli.arguments import Archive, AsJson, print_json
from pacscore.cli.text import bytes_text, table

NAME = "stats"
HELP = "Summarise an archive: patients, studies, series, instances, sizes, modalities and geometry verdicts."
EPILOG = "Example: pacscore stats /data/archive --json"


def run(archive: Archive, as_json: AsJson = False) -> None:
    """Summarise and print."""
    import pacscore

    with pacscore.open(archive, read_only=True) as opened:
        summary = opened.stats()
    if as_json:
        print_json(summary)
        return
    typer.echo(
        f"{summary['patients']} patients, {summary['studies']} studies, {summary['series']} series, "
        f"{summary['instances']} instances ({summary['received']} received and not sealed yet)."
    )
    originals, stored = summary["bytes_original"], summary["bytes_stored"]
    percent = f" ({100 * stored / originals:.0f} %)" if originals else ""
    typer.echo(f"{bytes_text(originals)} of originals in {bytes_text(stored)}{percent}.")
    superseded = summary["superseded"]
    if superseded["generations"]:
        typer.echo(
            f"{superseded['generations']} superseded generations wait for collection: {superseded['files']} files, "
            f"{bytes_text(superseded['bytes'])}."
        )
    table(
        "Modalities",
        ("modality", "#series", "#instances"),
        ((m["modality"], m["series"], m["instances"]) for m in summary["modalities"]),
    )
    table("Geometry", ("verdict", "#series"), summary["verdicts"].items())
