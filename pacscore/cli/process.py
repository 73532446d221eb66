"""pacscore process: a pipeline of named steps over a series."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pacscore.cli.arguments import Archive, AsJson, Study, print_json
from pacscore.cli.progress import shown
from pacscore.errors import InputError

NAME = "process"
HELP = (
    "Run a pipeline of named steps over a series.\n\n"
    "The steps and their parameters stand in a TOML file (examples/ has some; a name that is none lists all). The "
    "result becomes a new series beside its source, with references to it and a description of what was done; or, "
    "with --out, a NumPy array or a picture of its slices."
)
EPILOG = "Example: pacscore process /data/archive 1.2.840.113619.2.55.3 --pipeline denoise.toml --out sheet.png"


def run(
    archive: Archive,
    series: Annotated[str, typer.Argument(help="Series Instance UID.", metavar="SERIES", show_default=False)],
    pipeline: Annotated[
        Path,
        typer.Option(help="The steps.", metavar="FILE.toml", show_default=False, exists=True, dir_okay=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Write the result to .npy, .png or .jpg instead of storing it.", show_default=False),
    ] = None,
    description: Annotated[
        str | None, typer.Option(help="Series Description of the result, at most 64 characters.", show_default=False)
    ] = None,
    stack: Annotated[int, typer.Option(help="Which stack of the series.", min=0)] = 0,
    at: Annotated[
        list[str] | None,
        typer.Option(help="Index along an extra axis, for example time=3; once for each.", metavar="AXIS=INDEX"),
    ] = None,
    study: Study = None,
    as_json: AsJson = False,
) -> None:
    """Process and say what became of it."""
    import pacscore
    from pacscore.archive.processing import process_series
    from pacscore.imaging.pipeline import Pipeline

    steps = Pipeline.read(pipeline)
    with pacscore.open(archive, read_only=out is not None) as opened, shown(quiet=as_json) as progress:
        report = process_series(
            opened,
            series,
            steps,
            study_instance_uid=study,
            stack=stack,
            at=_indices(at or ()),
            description=description,
            out=out,
            progress=progress,
        )
    if as_json:
        print_json(report.as_dict())
        return
    shape = " × ".join(map(str, report.shape))
    typer.echo(f"{'; '.join(report.derivation)}.")
    typer.echo(f"{report.out or 'Series ' + report.series}: {shape} {report.dtype}, {report.seconds:.1f} s.")


def _indices(words: list[str] | tuple[str, ...]) -> dict[str, int] | None:
    indices: dict[str, int] = {}
    for word in words:
        name, equals, number = word.partition("=")
        if not (name and equals and number.lstrip("-").isdecimal()):
            raise InputError(f"{word!r} is not AXIS=INDEX. Write for example time=3.")
        indices[name] = int(number)
    return indices or None
