"""pacscore echo: does a node answer?"""

from __future__ import annotations

import time

import typer

from pacscore.cli.arguments import AsJson, print_json
from pacscore.cli.network import Authorities, Called, Calling, Certificate, Key, Node, address_of

NAME = "echo"
HELP = "Ask whether a DICOM node answers (C-ECHO)."
EPILOG = "Example: pacscore echo pacs.example.org:11112 --to PACS"


def run(
    node: Node,
    called: Called = "ANY-SCP",
    calling: Calling = "PACSCORE",
    certificate: Certificate = None,
    key: Key = None,
    authorities: Authorities = None,
    as_json: AsJson = False,
) -> None:
    """Ask and say how long it took."""
    address = address_of(node, called, certificate, key, authorities)
    from pacscore.dimse.requesting import echo

    start = time.perf_counter()
    echo(address, ae_title=calling)
    seconds = time.perf_counter() - start
    if as_json:
        print_json({"node": node, "ae_title": called, "seconds": seconds})
    else:
        typer.echo(f"{called} at {node} answers after {seconds * 1000:.0f} ms.")
