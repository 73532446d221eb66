"""Rows about starting: import, the command line's help, the first kernel call of a fresh process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rows import Context, Measured, row
from sealed import files_of
from timing import alternate, spread

_TYPER = """import typer
app = typer.Typer(add_completion=False)
@app.command()
def main(name: str = "x") -> None:
    "Say nothing."
app()
"""


def _more_than(context: Context, ours: list[str], bare: list[str], name: str) -> Measured:
    """Seconds that one command takes more than another, of processes run in turn."""
    timed = alternate(
        {"ours": lambda: _run(ours), "bare": lambda: _run(bare)}, rounds=5 if context.quick else 21, warm=2
    )
    extra = [a - b for a, b in zip(timed.seconds["ours"], timed.seconds["bare"], strict=True)]
    detail = f"{timed.median('ours') * 1e3:.0f} ms; {name} {timed.median('bare') * 1e3:.0f} ms"
    return Measured(*spread(extra), detail, timed.rounds)


def _run(arguments: list[str]) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


@row("core.import", must=0.1, aim=None, unit=" s", higher=False)
def import_package(context: Context) -> Measured:
    """What `import pacscore` takes more than bare Python."""
    return _more_than(context, ["-c", "import pacscore"], ["-c", "pass"], "bare Python")


@row("core.help", must=0.1, aim=None, unit=" s", higher=False, peers=("typer",))
def show_help(context: Context) -> Measured:
    """What `pacscore --help` takes more than the help of a bare typer program."""
    bare = context.scratch / "bare_typer.py"
    bare.write_text(_TYPER, "utf-8")
    command = ["-c", "from pacscore.cli import main; main()", "--help"]
    return _more_than(context, command, [str(bare), "--help"], "bare typer")


@row("core.cold-start", must=1.0, aim=None, unit=" s", higher=False)
def cold_start(context: Context) -> Measured:
    """A fresh process's first kernel call (a scan) from its start, kernels cached."""
    path: Path = files_of(context.series("made"))[0]
    code = f"from pacscore.dicom.scan import scan; scan(open({str(path)!r}, 'rb').read())"
    timed = alternate({"ours": lambda: _run(["-c", code])}, rounds=context.rounds, warm=1)
    return Measured(*spread(timed.seconds["ours"]), rounds=timed.rounds)
