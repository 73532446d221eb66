"""pacscore get: fetch objects from another node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pacscore.cli.arguments import AsJson, Match, matches_of, print_json
from pacscore.cli.network import Authorities, Called, Calling, Certificate, Key, Node, address_of
from pacscore.cli.progress import shown
from pacscore.cli.text import listing

NAME = "get"
HELP = (
    "Fetch what matches from a DICOM node into an archive (C-GET).\n\n"
    "What comes is durable when it is acknowledged, and identical objects are kept once: run it again after a failure."
)
EPILOG = "Example: pacscore get pacs.example.org:11112 MY_ARCHIVE --to PACS StudyInstanceUID=1.2.3"


def run(
    node: Node,
    archive: Annotated[Path, typer.Argument(help="Folder of the archive to fill.", metavar="ARCHIVE")],
    match: Match = None,
    level: Annotated[str, typer.Option(help="patient, study, series or instance.")] = "study",
    called: Called = "ANY-SCP",
    calling: Calling = "PACSCORE",
    certificate: Certificate = None,
    key: Key = None,
    authorities: Authorities = None,
    as_json: AsJson = False,
) -> None:
    """Fetch, seal and say how much."""
    address = address_of(node, called, certificate, key, authorities)
    import pacscore
    from pacscore.dimse.requesting import Retrieved, get

    with pacscore.open(archive) as opened, shown(quiet=as_json) as progress:

        def told(state: Retrieved) -> None:
            if progress is not None:
                done = state.completed + state.failed + state.warnings
                progress("fetching", done, done + state.remaining)

        state = get(address, level, matches_of(match), opened, ae_title=calling, told=told)
        opened.seal(progress=progress)
    if as_json:
        print_json(state.as_dict())
    else:
        typer.echo(f"{state.received} objects fetched, {state.failed} failed.")
        listing("Failed", [(uid, "") for uid in state.failed_uids])
    if state.failed:
        raise typer.Exit(1)
