"""pacscore demo: the main job on real images, from an empty folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pacscore.cli.arguments import AsJson, print_json
from pacscore.cli.progress import shown
from pacscore.cli.text import bytes_text, table

NAME = "demo"
LISTED = 12
HELP = (
    "Run the main job on real DICOM: yours, or a patient that comes with pacscore.\n\n"
    "Makes an archive, ingests, shows what was found, draws pictures, times reading a volume against reading the "
    "files, proves every object byte for byte and exports a series. Everything stays in the output folder."
)
EPILOG = "Examples: pacscore demo   ·   pacscore demo ~/my_dicom --out /tmp/look"


def run(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of DICOM files; left out: the images that come along.", show_default=False, exists=True
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the archive, pictures and export.")] = Path("pacscore-demo"),
    as_json: AsJson = False,
) -> None:
    """Run the demo and print its story."""
    from pacscore.archive.demo import run_demo

    def say(text: str) -> None:
        if not as_json:
            typer.echo(text)

    with shown(quiet=as_json) as progress:
        story = run_demo(path, out, progress=progress, say=say)
    if as_json:
        print_json(story.as_dict())
        return
    table(
        "What was found",
        ("study", "modality", "series", "#objects", "shape", "spacing mm", "geometry"),
        (
            (s.study, s.modality, s.description, s.instances, s.shape, s.spacing, s.verdict)
            for s in story.series[:LISTED]
        ),
    )
    if len(story.series) > LISTED:
        typer.echo(f"… and {len(story.series) - LISTED} smaller series: pacscore find {story.archive} --limit 0")
    report = story.ingest
    typer.echo(
        f"Ingest    {report.stored} objects, {bytes_text(report.bytes_in)} -> {bytes_text(report.bytes_stored)} "
        f"on disk ({100 * report.bytes_stored / max(1, report.bytes_in):.0f} %), {report.seconds:.1f} s; "
        f"{len(report.skipped)} skipped, {len(report.quarantined)} quarantined"
    )
    typer.echo(f"Volume    {story.timing}")
    typer.echo(f"Proof     {story.proven} of {story.objects} objects came back byte for byte")
    typer.echo(f"Export    {story.exported} files in {story.export_folder}")
    for picture in story.pictures:
        typer.echo(f"Picture   {picture}")
    typer.echo(f"Archive   {story.archive}")
    if not story.pictures:
        typer.echo(
            f"\nNext:  pacscore find {story.archive}\n       pacscore show {story.archive} {story.example_series}"
        )
        return
    typer.echo(
        f"\nNext:  pacscore find {story.archive}\n       pacscore show {story.archive} {story.example_series}\n"
        f"       pacscore render {story.archive} {story.example_series} --view sheet\n"
        f'       python -c "import pacscore; print(pacscore.open({str(story.archive)!r}, read_only=True)'
        f'.series({story.example_series!r}).volume().modality().mean())"'
    )
    if story.attribution:
        typer.echo(f"\n{story.attribution}")
