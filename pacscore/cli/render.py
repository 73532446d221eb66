"""pacscore render: a series as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pacscore.cli.arguments import Archive, AsJson, Study, print_json
from pacscore.cli.progress import shown
from pacscore.errors import InputError

NAME = "render"
HELP = (
    "Draw a series as a PNG, JPEG or GIF.\n\n"
    "Views of planes: planes (axial, coronal and sagittal through the middle), sheet (evenly spaced slices), axial, "
    "coronal or sagittal (one plane, --index), oblique (one plane across any direction), slab (the mean of 10 mm, or "
    "--thickness, across it).\n\n"
    "Views through the volume, from any side: mip, minip, mean, sum (projections; of a slab with --thickness, of the "
    "voxels as they lie with --axis), volume (shaded, with a --preset), turntable (a GIF all around, of the MIP or a "
    "--preset).\n\n"
    "Pictures carry modality, spacing and verdict, never the patient's identity."
)
EPILOG = (
    "Examples: pacscore render /data/archive 1.2.840.113619.2.55.3 --view planes --out planes.png    ·    "
    "--view oblique --normal 0.3,-1,0.2 --up 0,0,1    ·    --view mip --direction left    ·    "
    "--view mip --direction 0.3,-1,0.2 --thickness 20    ·    "
    "--view volume --preset bone --azimuth 30 --elevation 15    ·    --view turntable --preset skin --out turn.gif"
)
_ENDINGS = {"turntable": "render.gif"}


def run(
    archive: Archive,
    series: Annotated[str, typer.Argument(help="Series Instance UID.", metavar="SERIES", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Picture to write: .png or .jpg, .gif for a turntable; render.png or render.gif if not given."
        ),
    ] = None,
    view: Annotated[
        str,
        typer.Option(
            help="planes, sheet, axial, coronal, sagittal, oblique, slab, mip, minip, mean, sum, volume or turntable."
        ),
    ] = "planes",
    stack: Annotated[int, typer.Option(help="Which stack of the series.", min=0)] = 0,
    index: Annotated[int | None, typer.Option(help="Which plane, from 0; the middle one if not given.")] = None,
    center: Annotated[float | None, typer.Option(help="Window Center, in modality units (CT: HU).")] = None,
    width: Annotated[float | None, typer.Option(help="Window Width.")] = None,
    direction: Annotated[
        str | None,
        typer.Option(
            "--direction",
            "--normal",
            help="From where: anterior, posterior, left, right, superior, inferior, or X,Y,Z from the patient to the "
            "viewer (LPS: to the left, the back, the head).",
            metavar="NAME|X,Y,Z",
        ),
    ] = None,
    up: Annotated[
        str | None, typer.Option(help="With X,Y,Z: what is up; the head if not given.", metavar="X,Y,Z")
    ] = None,
    azimuth: Annotated[
        float | None, typer.Option(help="Or from where by angles: degrees around, 0 in front, 90 at the left.")
    ] = None,
    elevation: Annotated[float | None, typer.Option(help="Degrees toward the head, -90 to 90.")] = None,
    axis: Annotated[
        str | None, typer.Option(help="Project voxels across axial, coronal or sagittal planes of the array.")
    ] = None,
    thickness: Annotated[float | None, typer.Option(help="Of a slab about the middle, mm; all if not given.")] = None,
    at: Annotated[
        str | None, typer.Option(help="Middle of picture and slab, LPS mm; the volume's if not given.", metavar="X,Y,Z")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="bone, vessel, skin, lung (HU), or window (any values).")] = None,
    size: Annotated[int | None, typer.Option(help="Width and height in pixels.")] = None,
    step: Annotated[float | None, typer.Option(help="Between samples, mm; the finest spacing if not given.")] = None,
    count: Annotated[int | None, typer.Option(help="Pictures of a sheet (20) or turntable (36).")] = None,
    seconds: Annotated[float | None, typer.Option(help="Of one turn of a turntable; 4 if not given.")] = None,
    markers: Annotated[bool, typer.Option("--markers", help="Write the letters of the patient's directions.")] = False,
    study: Study = None,
    as_json: AsJson = False,
) -> None:
    """Render and say where the picture lies."""
    import pacscore
    from pacscore.archive.rendering import PictureRequest, render_series

    if (center is None) != (width is None):
        raise InputError("a window has two numbers: give --center and --width together.")
    named = direction is None or direction.isalpha()
    request = PictureRequest(
        view,
        index=index,
        window=None if center is None or width is None else (center, width),
        direction=direction if named else _vector(direction, "--direction"),
        up=_vector(up, "--up"),
        azimuth_deg=azimuth,
        elevation_deg=elevation,
        axis=axis,
        thickness_mm=thickness,
        center_lps=_vector(at, "--at"),
        size=size,
        step_mm=step,
        preset=preset,
        count=count,
        seconds=seconds,
        markers=markers or None,
    )
    target = out or Path(_ENDINGS.get(view, "render.png"))
    with pacscore.open(archive, read_only=True) as opened, shown(quiet=as_json) as progress:
        report = render_series(
            opened, series, target, request, study_instance_uid=study, stack=stack, progress=progress
        )
    if as_json:
        print_json(report.as_dict())
        return
    pictures = f" {report.pictures} pictures of" if report.pictures > 1 else ""
    typer.echo(f"{report.picture}:{pictures} {report.width} × {report.height} pixels, {report.seconds:.1f} s.")


def _vector(text: str | None, option: str) -> tuple[float, float, float] | None:
    """Read ``X,Y,Z``.

    Raises
    ------
    InputError
        It is not three numbers.

    Examples
    --------
    >>> _vector("0,-1,0.5", "--up")
    (0.0, -1.0, 0.5)
    """
    if text is None:
        return None
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"{option} is X,Y,Z, three numbers: not {text!r}.", found=text) from error
    return x, y, z
