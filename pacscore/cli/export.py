"""pacscore export: the original files back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pacscore.cli.arguments import Archive, AsJson, Match, matches_of, print_json
from pacscore.cli.progress import shown
from pacscore.cli.text import bytes_text

NAME = "export"
HELP = (
    "Write originals back as DICOM files, byte for byte.\n\n"
    "Every object that matches goes to OUT/<series>/<number>.dcm, hashed against the SHA-256 taken when it came. "
    "Existing files are never overwritten."
)
EPILOG = "Example: pacscore export /data/archive out Modality=CT StudyDate=20200101-"


def run(
    archive: Archive,
    out: Annotated[Path, typer.Argument(help="Folder to write to.", metavar="OUT", show_default=False)],
    match: Match = None,
    as_json: AsJson = False,
) -> None:
    """Export and say how much."""
    import pacscore

    with pacscore.open(archive, read_only=True) as opened, shown(quiet=as_json) as progress:
        report = opened.export(out, progress=progress, **matches_of(match))
    if as_json:
        print_json(report.as_dict())
    else:
        typer.echo(
            f"{report.objects} objects of {report.series} series, {bytes_text(report.bytes_out)} written to {out} "
            f"in {report.seconds:.1f} s."
        )
