"""pacscore ingest: take files and folders into an archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pacscore.cli.arguments import Archive, AsJson, print_json
from pacscore.cli.progress import shown
from pacscore.cli.text import bytes_text, listing

NAME = "ingest"
HELP = (
    "Take DICOM files and folders into an archive.\n\n"
    "Objects are grouped by series, laid out, synced and proven byte for byte before they count as stored. What is in "
    "already is skipped, so an interrupted run is simply run again. Files that are not DICOM are listed and left "
    "alone; what claims to be DICOM and cannot be parsed is copied to the archive's quarantine with its reason."
)
EPILOG = "Example: pacscore ingest /data/archive /mnt/cd1 study.dcm    ·    exit code 1: not all went in"


def run(
    archive: Archive,
    paths: Annotated[
        list[Path], typer.Argument(help="Files and folders.", metavar="PATH...", show_default=False, exists=True)
    ],
    create: Annotated[bool, typer.Option("--create", help="Make the archive first if there is none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ingest and print the report."""
    import pacscore

    if create and not (archive / "pacscore.toml").exists():
        pacscore.create(archive).close()
    with pacscore.open(archive) as opened, shown(quiet=as_json) as progress:
        report = opened.ingest(*paths, progress=progress)
    if as_json:
        print_json(report.as_dict())
    else:
        rate = report.bytes_in / report.seconds / 1e6 if report.seconds else 0.0
        ratio = f", {100 * report.bytes_stored / report.bytes_in:.0f} % of it" if report.bytes_in else ""
        typer.echo(
            f"{report.stored} stored, {report.duplicates} already there, {report.versions} kept as further versions, "
            f"{len(report.quarantined)} quarantined, {len(report.skipped)} skipped."
        )
        typer.echo(
            f"{bytes_text(report.bytes_in)} in, {bytes_text(report.bytes_stored)} stored{ratio}, "
            f"{report.seconds:.1f} s, {rate:.0f} MB/s."
        )
        listing("Quarantined", [(entry.path, entry.reason) for entry in report.quarantined])
        listing("Not readable", [(entry.path, entry.reason) for entry in report.unreadable])
        listing("Skipped", [(entry.path, entry.reason) for entry in report.skipped])
        listing("Kept as further versions", [(uid, "") for uid in report.version_uids])
    if report.quarantined or report.unreadable:
        raise typer.Exit(1)
