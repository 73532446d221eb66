"""pacscore catalog: what analysts take from the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pacscore.cli.arguments import Archive, AsJson, print_json
from pacscore.cli.progress import shown

NAME = "catalog"
HELP = "Export the catalog as tables: pacscore catalog export ARCHIVE OUT."
EPILOG = "Example: pacscore catalog export /data/archive /data/tables"

group = typer.Typer(name=NAME, help=HELP, epilog=EPILOG, short_help=HELP, no_args_is_help=True)


@group.callback()
def _group() -> None:
    pass


@group.command(
    "export",
    help="Write the catalog as partitioned Parquet, one row a study, series, stack and instance, or bring what is "
    "there up to date: only what changed since is read.",
    epilog="Example: pacscore catalog export /data/archive /data/tables && "
    "duckdb -c \"SELECT Modality, count(*) FROM '/data/tables/series/*/*.parquet' GROUP BY 1\"",
)
def export(
    archive: Archive,
    out: Annotated[Path, typer.Argument(help="Folder of the tables.", metavar="OUT", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Export and say how much."""
    import pacscore
    from pacscore.bulk.catalog_tables import export_catalog

    with pacscore.open(archive, read_only=True) as opened, shown(quiet=as_json) as progress:
        report = export_catalog(opened, out, progress=progress)
    if as_json:
        print_json(report.as_dict())
        return
    what = "all series" if report.made_anew else "series that had changed"
    typer.echo(
        f"{report.series} {what} written to {report.files} files in {out}, {report.gone} gone, "
        f"in {report.seconds:.1f} s."
    )
