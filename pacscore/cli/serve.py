"""pacscore serve: an archive on the network."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pacscore.cli.arguments import Archive
from pacscore.cli.network import need_network
from pacscore.errors import InputError

if TYPE_CHECKING:
    from pacscore.dimse.configuration import Node
    from pacscore.flow.rules import Rule

NAME = "serve"
HELP = (
    "Serve an archive on the DICOM network, making it if there is none.\n\n"
    "Without a configuration it listens on this machine alone and serves every program on it. A TOML file names the "
    "peers elsewhere and what each may do (its tables: node, peer, limits, tls); PACSCORE_DIMSE_PORT and kin and the "
    "flags override it. SIGTERM or Ctrl-C lets what is being received finish."
)
EPILOG = (
    "Examples: pacscore serve /data/archive   ·   pacscore serve /data/archive --config node.toml --check   ·   "
    "pacscore serve A --host 0.0.0.0 --aet PACS --config node.toml"
)


def run(
    archive: Archive,
    port: Annotated[int | None, typer.Option("--dimse", help="Port to listen on.", metavar="PORT")] = None,
    title: Annotated[str | None, typer.Option("--aet", help="AE title of this node.", metavar="AE")] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.", metavar="ADDRESS")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Configuration file.", metavar="FILE")] = None,
    processes: Annotated[int | None, typer.Option(help="How many receivers share the port.", min=1, max=64)] = None,
    check: Annotated[bool, typer.Option("--check", help="Check the configuration and exit.")] = False,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="One JSON object a line on standard error.")] = False,
    path: Annotated[
        str, typer.Option("--data-path", help="fast, or pynetdicom: for comparisons.", hidden=True)
    ] = "fast",
    descriptor: Annotated[int, typer.Option("--listener", help="An inherited socket.", hidden=True)] = -1,
) -> None:
    """Serve until told to stop."""
    need_network()
    from pacscore.dimse.configuration import read_node, read_section
    from pacscore.flow.rules import rules_of
    from pacscore.flow.webhook import check_address

    flags: dict[str, Any] = {"port": port, "ae_title": title, "host": host, "processes": processes}
    node = read_node(config, os.environ, **flags)
    rules = rules_of(read_section(config, "forward"))
    webhooks = [check_address(str(each.get("url", ""))) for each in read_section(config, "webhook")]
    for rule in rules:
        if node.destination(rule.to) is None:
            raise InputError(f"forward: {rule.to} is no [[peer]] with a port.")
    if check:
        _describe(node, archive, rules)
        return
    _log_to_stderr(as_json=json_logs)
    if node.processes > 1 and descriptor < 0:
        from pacscore.cli.receivers import supervise

        _make_if_missing(archive)
        options = ["--data-path", path, *(["--json-logs"] if json_logs else [])]
        supervise(archive, node, config, options=options, said=_say)
        return
    listener = socket.socket(fileno=descriptor) if descriptor >= 0 else None
    _serve(archive, node, rules=rules, webhooks=webhooks, fast=path == "fast", listener=listener)


def _serve(archive: Path, node: Node, **options: Any) -> None:
    import pacscore
    from pacscore.dimse.server import DicomServer

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    _make_if_missing(archive)
    with pacscore.open(archive) as opened:
        server = DicomServer(opened, node, **options)
        server.start()
        gc.collect()
        gc.freeze()  # What the libraries hold for good is not looked through again at every collection.
        if options["listener"] is None:
            _say(node, server.port, archive)
        while not stopped.wait(0.5):
            pass
        server.stop()


def _make_if_missing(archive: Path) -> None:
    import pacscore
    from pacscore.errors import NotFoundError

    try:
        pacscore.open(archive, read_only=True).close()
    except NotFoundError:
        pacscore.create(archive).close()
        typer.echo(f"Created {archive}.")


def _say(node: Node, port: int, archive: Path) -> None:
    """How to reach it, and how to send a first image."""
    typer.echo(f"{node.ae_title} serves {archive} on {node.host}:{port}.")
    typer.echo(f"  Does it answer?    pacscore echo {_reachable(node)}:{port} --to {node.ae_title}")
    typer.echo(f"  A first image:     pacscore send {_reachable(node)}:{port} IMAGE.dcm --to {node.ae_title}")
    typer.echo(f"  What is in it?     pacscore query {_reachable(node)}:{port} --to {node.ae_title}")
    sys.stdout.flush()


def _reachable(node: Node) -> str:
    return "localhost" if node.host in {"127.0.0.1", "0.0.0.0", "::", "::1", ""} else node.host


def _describe(node: Node, archive: Path, rules: tuple[Rule, ...]) -> None:
    typer.echo(f"{node.ae_title} would serve {archive} on {node.host}:{node.port}{' by TLS' if node.tls else ''}.")
    if node.tls is not None:
        from pacscore.dimse.security import server_context

        server_context(node.tls)
    typer.echo("Programs on this machine may do everything, but for peers of a loopback address.")
    for peer in node.peers:
        rights = ", ".join(sorted(peer.rights)) or "nothing"
        reached = f", reached at port {peer.port}" if peer.port else ""
        typer.echo(f"  {peer.ae_title} at {peer.host} may: {rights}{reached}.")
    for rule in rules:
        what = " ".join(f"{key}={value}" for key, value in rule.match.items()) or "everything"
        by = f" from {rule.sender}" if rule.sender else ""
        typer.echo(f"  {what}{by} goes on to {rule.to} once quiet for {rule.quiet_seconds:g} s.")
    typer.echo("The configuration is sound.")


def _log_to_stderr(*, as_json: bool) -> None:
    from pacscore.dimse.lines import LOGGER, LineFormat

    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(LineFormat(as_json=as_json))
    LOGGER.addHandler(stream)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    logging.getLogger("pynetdicom").addHandler(logging.NullHandler())
    logging.getLogger("pynetdicom").propagate = False
