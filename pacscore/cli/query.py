"""pacscore query: ask another node what it has."""

from __future__ import annotations

from typing import Annotated

import typer

from pacscore.cli.arguments import AsJson, Match, matches_of, print_json
from pacscore.cli.network import Authorities, Called, Calling, Certificate, Key, Node, address_of
from pacscore.cli.text import table

NAME = "query"
HELP = (
    "Ask another DICOM node for patients, studies, series or instances (C-FIND).\n\n"
    "Keys are DICOM keywords; a value may have wildcards or be a range where the node supports it."
)
EPILOG = (
    "Example: pacscore query pacs.example.org:11112 --to PACS --level study PatientName='MULLER*' StudyDate=20200101-"
)


def run(
    node: Node,
    match: Match = None,
    level: Annotated[str, typer.Option(help="patient, study, series or instance.")] = "study",
    limit: Annotated[int, typer.Option(help="At most so many answers; 0 for all.", min=0)] = 100,
    called: Called = "ANY-SCP",
    calling: Calling = "PACSCORE",
    certificate: Certificate = None,
    key: Key = None,
    authorities: Authorities = None,
    as_json: AsJson = False,
) -> None:
    """Query and print."""
    address = address_of(node, called, certificate, key, authorities)
    from pacscore.dimse.requesting import query

    rows = list(query(address, level, matches_of(match), ae_title=calling, limit=limit or None))
    if as_json:
        print_json(rows)
        return
    hidden = {"QueryRetrieveLevel", "RetrieveAETitle", "SpecificCharacterSet", "InstanceAvailability"}
    columns = list(dict.fromkeys(key for row in rows for key in row if key not in hidden))
    table(f"{len(rows)} answers", columns, ([_cell(row.get(name)) for name in columns] for row in rows))


def _cell(value: object) -> str:
    return "" if value is None else "\\".join(map(str, value)) if isinstance(value, list) else str(value)
