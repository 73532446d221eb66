"""pacscore find: ask the catalog."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pacscore.cli.arguments import Archive, AsJson, Match, matches_of, print_json
from pacscore.cli.text import table
from pacscore.errors import InputError

NAME = "find"
HELP = (
    "Find patients, studies, series or instances.\n\n"
    "Keys are DICOM keywords (PatientName), tags (00080060), nested (ProcedureCodeSequence.CodeValue) or private "
    "(GEMS_PARM_01:0043xx39) attributes; any level's key may be used at any level. Names match without regard to "
    "case and accents."
)
EPILOG = (
    "Examples: pacscore find A Modality=CT StudyDate=20200101-20201231   ·   "
    "pacscore find A --level study 'PatientName=*mül*'   ·   pacscore find A geometry=regular"
)

_COLUMNS = {
    "patient": ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "NumberOfPatientRelatedStudies"),
    "study": (
        "PatientName",
        "StudyDate",
        "ModalitiesInStudy",
        "StudyDescription",
        "NumberOfStudyRelatedSeries",
        "StudyInstanceUID",
    ),
    "series": (
        "StudyDate",
        "Modality",
        "SeriesDescription",
        "NumberOfSeriesRelatedInstances",
        "geometry",
        "SeriesInstanceUID",
    ),
    "instance": ("Modality", "InstanceNumber", "SOPClassUID", "SOPInstanceUID"),
}


def run(
    archive: Archive,
    match: Match = None,
    level: Annotated[str, typer.Option(help="patient, study, series or instance.")] = "series",
    geometry: Annotated[
        str | None,
        typer.Option(
            help="Only series of this verdict: regular, tilted, irregular, gaps, duplicates, time, mixed, none."
        ),
    ] = None,
    order: Annotated[str | None, typer.Option(help="Order by this key; -KEY for descending.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many rows; 0 for all.", min=0)] = 100,
    as_json: AsJson = False,
) -> None:
    """Query and print."""
    import pacscore

    keys = matches_of(match)
    if geometry:
        if keys.setdefault("geometry", geometry) != geometry:
            raise InputError("geometry is given twice. Give it once, as --geometry or as geometry=VERDICT.")
    elif level == "series":
        keys.setdefault("geometry", "")
    with pacscore.open(archive, read_only=True) as opened:
        rows = list(opened.find(level, order=order, limit=limit or None, **keys))
    if as_json:
        print_json(rows)
        return
    columns = list(_COLUMNS.get(level, _COLUMNS["series"]))
    columns[:0] = [
        key for key in keys if key not in columns and key != "geometry" and rows and any(key in row for row in rows)
    ]
    table(
        f"{len(rows)} {level if len(rows) == 1 or level == 'series' else _plural(level)}",
        columns,
        ([_cell(row.get(name)) for name in columns] for row in rows),
    )
    if limit and len(rows) == limit:
        typer.echo(f"Stopped after {limit}: --limit 0 shows all.")


def _plural(level: str) -> str:
    return "studies" if level == "study" else level + "s"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, list) else str(value)
