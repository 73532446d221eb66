"""pacscore warm: compile the kernels ahead."""

from __future__ import annotations

import typer

from pacscore.cli.arguments import AsJson, print_json
from pacscore.cli.progress import shown

NAME = "warm"
HELP = (
    "Compile all kernels now and keep them on disk.\n\n"
    "Kernels compile when they are first called; this moves that wait to a moment of your choice, for example into the "
    "building of an image."
)
EPILOG = "Example: pacscore warm"


def run(as_json: AsJson = False) -> None:
    """Compile and say where the result lies."""
    from pacscore.archive.warming import warm_kernels

    with shown(quiet=as_json) as progress:
        report = warm_kernels(progress=progress)
    if as_json:
        print_json(report.as_dict())
    else:
        for name, seconds in report.parts.items():
            typer.echo(f"{seconds:6.1f} s  {name}")
        typer.echo(f"{report.kernels} kernels ready in {report.seconds:.1f} s, kept in {report.folder}.")
