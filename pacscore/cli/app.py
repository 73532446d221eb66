"""The entry point: all commands, and the outer edge where errors become messages and exit codes."""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import Annotated, NoReturn

import typer

from pacscore.cli import (
    bench,
    catalog,
    create,
    demo,
    echo,
    events,
    export,
    find,
    get,
    ingest,
    map,
    move,
    process,
    query,
    queue,
    rebuild,
    recon,
    render,
    reseal,
    seal,
    select,
    send,
    serve,
    show,
    stats,
    verify,
    warm,
)
from pacscore.errors import ErrorCode, PacscoreError
from pacscore.version import __version__

EXIT_TROUBLE = 1
EXIT_MISUSE = 2
EXIT_INTERRUPTED = 130
_MISUSE = {ErrorCode.INVALID_ARGUMENT, ErrorCode.INVALID_QUERY, ErrorCode.NOT_FOUND, ErrorCode.AMBIGUOUS}

app = typer.Typer(
    name="pacscore",
    help="Keep medical images: DICOM in, one proven copy in Zarr, volumes and the same bytes out.",
    epilog="Start with: pacscore demo    ·    then: pacscore create MY_ARCHIVE && pacscore ingest MY_ARCHIVE FOLDER",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pacscore {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


_CORE = (demo, create, ingest, seal, find, show, render, process, recon, export, verify, stats, reseal, rebuild, warm)
_BULK = (select, map)
_NETWORK = (serve, echo, send, query, move, get, queue, events)

for module in (*_CORE, *_BULK, *_NETWORK):
    app.command(module.NAME, help=module.HELP, epilog=module.EPILOG, short_help=module.HELP.split("\n", maxsplit=1)[0])(
        module.run
    )
app.add_typer(catalog.group)
app.add_typer(bench.group, name=bench.NAME)


def main() -> None:
    """Run the command line; exit codes: 0 all well, 1 something was refused or damaged, 2 misuse, 130 interrupted."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # A name that the terminal cannot show must not end the command.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit as left:  # Typer turns Ctrl-C into this before it can be caught here.
        if left.code != EXIT_INTERRUPTED:
            raise
        _leave_interrupted()
    except KeyboardInterrupt:
        _leave_interrupted()
    except PacscoreError as error:
        place = f" [{error.fields['path']}]" if "path" in error.fields else ""
        typer.echo(f"pacscore: {error.message}{place}", err=True)
        sys.exit(EXIT_MISUSE if error.code in _MISUSE else EXIT_TROUBLE)
    except OSError as error:
        place = f" [{error.filename}]" if error.filename else ""
        typer.echo(f"pacscore: {error.strerror or error}. Check the path and its permissions.{place}", err=True)
        sys.exit(EXIT_TROUBLE)


def _leave_interrupted() -> NoReturn:
    typer.echo("pacscore: interrupted. What was finished is kept; run the same command again to go on.", err=True)
    sys.stdout.flush()
    os._exit(EXIT_INTERRUPTED)  # Pool threads may be inside a kernel; waiting for them would look like a hang.
