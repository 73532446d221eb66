"""pacscore verify: hash every object and check every structure."""

from __future__ import annotations

import typer

from pacscore.cli.arguments import Archive, AsJson, print_json
from pacscore.cli.progress import shown

NAME = "verify"
HELP = (
    "Prove that everything stored is whole.\n\n"
    "Reassembles and hashes every object, checks every checksum and that events, storage and catalog agree. Changes "
    "nothing and reports every finding, not only the first."
)
EPILOG = "Example: pacscore verify /data/archive    ·    exit code 1: there are findings"


def run(archive: Archive, as_json: AsJson = False) -> None:
    """Verify and print the findings."""
    import pacscore

    with pacscore.open(archive, read_only=True) as opened, shown(quiet=as_json) as progress:
        report = opened.verify(progress=progress)
    if as_json:
        print_json(report.as_dict())
    else:
        for finding in report.findings:
            typer.echo(f"{finding.code}: {finding.message}")
        verdict = "all whole" if not report.findings else f"{len(report.findings)} findings"
        typer.echo(f"{report.objects} objects of {report.series} series hashed in {report.seconds:.1f} s: {verdict}.")
    if report.findings:
        raise typer.Exit(1)
