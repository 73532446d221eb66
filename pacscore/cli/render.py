"""pacscore render: a series as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pacscore.cli.arguments import Archive, AsJson, Study, print_json
from pacscore.errors import InputError

NAME = "render"
HELP = (
    "Draw a series as a PNG or JPEG.\n\n"
    "Views: planes (axial, coronal and sagittal through the middle), sheet (evenly spaced slices), axial, coronal or "
    "sagittal (one plane, --index). Pictures carry modality, spacing and verdict, never the patient's identity."
)
EPILOG = "Example: pacscore render /data/archive 1.2.840.113619.2.55.3 --view planes --out planes.png"


def run(
    archive: Archive,
    series: Annotated[str, typer.Argument(help="Series Instance UID.", metavar="SERIES", show_default=False)],
    out: Annotated[Path, typer.Option(help="Picture to write; .png or .jpg.")] = Path("render.png"),
    view: Annotated[str, typer.Option(help="planes, sheet, axial, coronal or sagittal.")] = "planes",
    stack: Annotated[int, typer.Option(help="Which stack of the series.", min=0)] = 0,
    index: Annotated[int | None, typer.Option(help="Which plane, from 0; the middle one if not given.")] = None,
    center: Annotated[float | None, typer.Option(help="Window Center, in modality units (CT: HU).")] = None,
    width: Annotated[float | None, typer.Option(help="Window Width.")] = None,
    study: Study = None,
    as_json: AsJson = False,
) -> None:
    """Render and say where the picture lies."""
    import pacscore
    from pacscore.archive.rendering import render_series

    if (center is None) != (width is None):
        raise InputError("a window has two numbers: give --center and --width together.")
    window = None if center is None or width is None else (center, width)
    with pacscore.open(archive, read_only=True) as opened:
        size = render_series(
            opened, series, out, study_instance_uid=study, view=view, stack=stack, index=index, window=window
        )
    if as_json:
        print_json({"picture": str(out), "width": size[0], "height": size[1]})
    else:
        typer.echo(f"{out}: {size[0]} × {size[1]} pixels.")
