"""pacscore export: the original files back, or volumes in the formats of other programs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pacscore.cli.arguments import Archive, AsJson, Match, matches_of, print_json
from pacscore.cli.progress import shown
from pacscore.cli.text import bytes_text, listing
from pacscore.errors import InputError

if TYPE_CHECKING:
    from pacscore.bulk.exporting import VolumesReport

NAME = "export"
HELP = (
    "Write originals back as DICOM files, byte for byte, or volumes for other programs.\n\n"
    "By default every object that matches goes to OUT/<series>/<number>.dcm, hashed against the SHA-256 taken when it "
    "came; existing files are never overwritten. With --to or --layout one file a stack goes out, named safely, with a "
    "manifest; run again, what is there and proven is kept."
)
EPILOG = (
    "Example: pacscore export /data/archive out Modality=CT StudyDate=20200101-    ·    "
    "pacscore export /data/archive out geometry=regular --to nifti --layout bids-like"
)
EXIT_TROUBLE = 1


def run(
    archive: Archive,
    out: Annotated[Path, typer.Argument(help="Folder to write to.", metavar="OUT", show_default=False)],
    match: Match = None,
    to: Annotated[str, typer.Option("--to", help="dicom, nifti, nrrd, hdf5 or zarr (OME-Zarr).")] = "dicom",
    layout: Annotated[
        str | None,
        typer.Option(
            help="flat, bids-like, or a template such as {PatientID}/{StudyDate}/{Modality}.", show_default=False
        ),
    ] = None,
    compress: Annotated[bool, typer.Option("--compress", help="NIfTI as .nii.gz, HDF5 with gzip.")] = False,
    pipeline: Annotated[
        Path | None, typer.Option(help="TOML file of steps to apply to each volume before.", metavar="FILE")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Export and say how much."""
    import pacscore

    volumes = to != "dicom" or layout is not None
    if not volumes and (compress or pipeline is not None):
        raise InputError("--compress and --pipeline are for volumes: name a format with --to.")
    with pacscore.open(archive, read_only=True) as opened, shown(quiet=as_json) as progress:
        if volumes:
            from pacscore.bulk.exporting import export
            from pacscore.imaging import Pipeline

            made = export(
                opened.select(**matches_of(match)), out, format=to, layout=layout or "flat", compress=compress,
                pipeline=None if pipeline is None else Pipeline.read(pipeline), archive=opened, progress=progress,
            )  # fmt: skip
        else:
            report = opened.export(out, progress=progress, **matches_of(match))
    if volumes:
        _show(made, out, as_json=as_json)
    elif as_json:
        print_json(report.as_dict())
    else:
        typer.echo(
            f"{report.objects} objects of {report.series} series, {bytes_text(report.bytes_out)} written to {out} "
            f"in {report.seconds:.1f} s."
        )


def _show(report: VolumesReport, out: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(report.as_dict())
    else:
        typer.echo(
            f"{report.written} files, {bytes_text(report.bytes_out)} written to {out} in {report.seconds:.1f} s; "
            f"{report.kept} were there and proven, {len(report.failed)} could not be made."
        )
        kinds = Counter(each.modality or "no Modality" for each in report.left_out)
        if kinds:
            named = ", ".join(f"{count} {name}" for name, count in sorted(kinds.items()))
            typer.echo(
                f"{len(report.left_out)} series left out, which hold no images: {named}. --to dicom writes them."
            )
        listing("Not made", [(f"{each.series_instance_uid} stack {each.stack}", each.reason) for each in report.failed])
    if report.failed:
        raise typer.Exit(EXIT_TROUBLE)
