"""The command line: parse, call one function of a room below, print.

One file per command. Each imports what it needs inside its function, so that ``pacscore --help`` costs no more than
typer itself and a command pays only for what it uses (promise 12).
"""

from pacscore.cli.app import main

__all__ = ["main"]
