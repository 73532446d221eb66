"""pacscore move: have a node send objects to another."""

from __future__ import annotations

from typing import Annotated

import typer

from pacscore.cli.arguments import AsJson, Match, matches_of, print_json
from pacscore.cli.network import Authorities, Called, Calling, Certificate, Key, Node, address_of
from pacscore.cli.progress import shown
from pacscore.cli.text import listing

NAME = "move"
HELP = "Have a DICOM node send what matches to another node (C-MOVE); it must know that node by its AE title."
EPILOG = "Example: pacscore move pacs.example.org:11112 --to PACS --destination WORKSTATION StudyInstanceUID=1.2.3"


def run(
    node: Node,
    destination: Annotated[str, typer.Option("--destination", help="AE title of the node to send to.", metavar="AE")],
    match: Match = None,
    level: Annotated[str, typer.Option(help="patient, study, series or instance.")] = "study",
    called: Called = "ANY-SCP",
    calling: Calling = "PACSCORE",
    certificate: Certificate = None,
    key: Key = None,
    authorities: Authorities = None,
    as_json: AsJson = False,
) -> None:
    """Move and say how much."""
    address = address_of(node, called, certificate, key, authorities)
    from pacscore.dimse.requesting import Retrieved, move

    with shown(quiet=as_json) as progress:

        def told(state: Retrieved) -> None:
            if progress is not None:
                done = state.completed + state.failed + state.warnings
                progress("moving", done, done + state.remaining)

        state = move(address, level, matches_of(match), destination, ae_title=calling, told=told)
    if as_json:
        print_json(state.as_dict())
    else:
        typer.echo(f"{state.completed + state.warnings} objects moved, {state.failed} failed.")
        listing("Failed", [(uid, "") for uid in state.failed_uids])
    if state.failed:
        raise typer.Exit(1)
