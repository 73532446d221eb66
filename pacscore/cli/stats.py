"""pacscore stats: how much there is, and how well it is stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pacscore.cli.arguments import Archive, AsJson, Match, matches_of, print_json
from pacscore.cli.progress import shown
from pacscore.cli.text import bytes_text, table

if TYPE_CHECKING:
    from pacscore.bulk.stack_statistics import ArchiveStatistics

NAME = "stats"
HELP = (
    "Summarise an archive: patients, studies, series, instances, sizes, modalities and geometry verdicts.\n\n"
    "With KEY=VALUE, --spread, --intensity or --out every stack that matches is looked at: spacings, protocols, "
    "intensities; as tables, CSV, Parquet, or a page with plots."
)
EPILOG = (
    "Example: pacscore stats /data/archive    ·    pacscore stats /data/archive Modality=CT --intensity --out ct.html"
)
_PROTOCOLS = 20


def run(
    archive: Archive,
    match: Match = None,
    spread: Annotated[bool, typer.Option("--spread", help="Look at every stack: spacings and protocols.")] = False,
    intensity: Annotated[
        bool, typer.Option("--intensity", help="Also read every volume: smallest, largest and mean value.")
    ] = False,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="Write it as .csv, .parquet or .html; may be given several times.", metavar="FILE"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Summarise and print."""
    import pacscore

    matches = matches_of(match)
    with pacscore.open(archive, read_only=True) as opened, shown(quiet=as_json) as progress:
        if matches or spread or intensity or out:
            from pacscore.bulk.stack_statistics import archive_statistics, check_ending

            for path in out or ():  # Before an hour of reading.
                check_ending(path)
            found = archive_statistics(opened, intensity=intensity, progress=progress, **matches)
        else:
            _show_summary(opened.stats(), as_json=as_json)
            return
    for path in out or ():
        found.write(path)
    if as_json:
        print_json(found.as_dict())
    else:
        _show_statistics(found, out or [])


def _show_summary(summary: dict[str, Any], *, as_json: bool) -> None:
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


def _show_statistics(found: ArchiveStatistics, written: list[Path]) -> None:
    originals, stored = found.total("bytes_original"), found.total("bytes_stored")
    typer.echo(
        f"{len(found.of_series)} series, {len(found.rows)} stacks, {found.total('instances')} instances, "
        f"{bytes_text(originals)} of originals in {bytes_text(stored)}."
    )
    modalities = found.count("Modality")
    table("Modalities", ("modality", "#series"), modalities)
    table("Geometry", ("verdict", "#stacks"), found.count("geometry", of_series=False))
    spreads = [(name, each) for name, _ in modalities for each in found.spreads(name)]
    table(
        "Volumes",
        ("modality", "what", "unit", "#volumes", "#smallest", "#median", "#largest"),
        (
            (name, s.name, s.unit, s.count, f"{s.smallest:.5g}", f"{s.median:.5g}", f"{s.largest:.5g}")
            for name, s in spreads
        ),
    )
    protocols = found.protocols()
    table("Protocols", ("modality", "protocol", "scanner", "#series", "#instances"), protocols[:_PROTOCOLS])
    if len(protocols) > _PROTOCOLS:
        typer.echo(f"… and {len(protocols) - _PROTOCOLS} more (all of them with --out or --json)")
    for path in written:
        typer.echo(f"Written to {path}")
