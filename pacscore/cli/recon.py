"""pacscore recon: raw data to a volume."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from pacscore.cli.arguments import AsJson, print_json
from pacscore.cli.progress import shown
from pacscore.errors import InputError

NAME = "recon"
HELP = (
    "Reconstruct raw data: projections of tomography, k-space of magnetic resonance.\n\n"
    "Inputs: HDF5 (DXchange, NeXus), TIFF stacks and folders, NumPy, MetaImage stacks with RTK's geometry, folders of "
    "DICOM-CT-PD; ISMRMRD and BART. The result becomes a derived series of an archive (--store), a file (--out) or a "
    "picture (--png). --list shows the methods; grids, filters, centers and iterations stand in the --config."
)
EPILOG = (
    "Examples: pacscore recon tooth.h5 --method fbp --config tooth.toml --png tooth.png    ·    "
    "pacscore recon projections.mha --geometry geometry.xml --method fdk --store /data/archive    ·    "
    "pacscore recon sinograms.tif --geometry angles.txt --method sirt --out slices.nii.gz"
)


def run(
    source: Annotated[
        Path | None, typer.Argument(help="Raw data: a file or a folder.", metavar="INPUT", show_default=False)
    ] = None,
    method: Annotated[str, typer.Option(help="How to reconstruct; --list shows all.")] = "fbp",
    geometry: Annotated[
        Path | None,
        typer.Option(help="RTK's .xml, or a .txt of angles in degrees.", exists=True, dir_okay=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Further choices.", metavar="FILE.toml", exists=True, dir_okay=False),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Archive that the result is stored in as a new series.", metavar="ARCHIVE")
    ] = None,
    description: Annotated[str | None, typer.Option(help="Series Description of what is stored.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the result to .npy, .nii, .nii.gz or .zarr.")] = None,
    png: Annotated[Path | None, typer.Option(help="Draw its slices.", metavar="FILE.png")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show the methods and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Reconstruct and say what became of it."""
    import pacscore
    from pacscore.archive.reconstructing import reconstruct_file
    from pacscore.recon.methods import names

    if listed:
        methods = names()
        if as_json:
            print_json(methods)
        else:
            typer.echo("\n".join(f"{name:20} {words}" for name, words in methods.items()))
        return
    if source is None:
        raise InputError("name the raw data: pacscore recon INPUT --method METHOD.")
    with ExitStack() as stack:
        archive = None if store is None else stack.enter_context(pacscore.open(store))
        progress = stack.enter_context(shown(quiet=as_json))
        report = reconstruct_file(
            source, method=method, geometry=geometry, config=config, archive=archive, description=description, out=out,
            png=png, progress=progress,
        )  # fmt: skip
    if as_json:
        print_json(report.as_dict())
        return
    typer.echo(f"{'; '.join(report.derivation)}.")
    shape, steps = (" × ".join(f"{each:g}" for each in values) for values in (report.shape, report.spacing_mm))
    places = [part for part in (report.series and f"series {report.series}", report.out, report.png) if part]
    typer.echo(f"{', '.join(places)}: {shape} voxels of {steps} mm, {report.seconds:.1f} s.")
