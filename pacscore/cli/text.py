"""Numbers and lists as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import typer

LISTED_MAX = 10
_PIPE_COLUMNS = 240


def bytes_text(count: float) -> str:
    """A number of bytes with a unit.

    Examples
    --------
    >>> bytes_text(532), bytes_text(48_200_000)
    ('532 B', '48.2 MB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def printable(text: str) -> str:
    r"""Text from outside, with what would steer a terminal shown as an escape; line ends become spaces.

    Examples
    --------
    >>> printable("a\x1b[31mb"), printable("two\r\nlines"), printable("naïve")
    ('a\\x1b[31mb', 'two lines', 'naïve')
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode("ascii")
        for each in " ".join(text.splitlines())
    )


def listing(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print a titled list, cut after a few lines."""
    if not rows:
        return
    typer.echo(f"{title}:")
    for name, reason in rows[:LISTED_MAX]:
        typer.echo(f"  {printable(name)}{f': {printable(reason)}' if reason else ''}")
    if len(rows) > LISTED_MAX:
        typer.echo(f"  … and {len(rows) - LISTED_MAX} more (all of them with --json)")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table as wide as the terminal; into a file or pipe as wide as it wants.

    ``#`` before a column's name sets it to the right; UIDs are never broken, so that they can be copied.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # A plain string would be read as markup: "[/b]" in a description is an error there.

    drawn = Table(title=Text(title), title_justify="left", header_style="bold")
    for name in columns:
        justify: Literal["left", "right"] = "right" if name.startswith("#") else "left"
        heading = Text(name.removeprefix("#") or name)
        drawn.add_column(heading, justify=justify, overflow="fold", no_wrap=name.endswith("UID"))
    for row in rows:
        drawn.add_row(*(Text("" if value is None else printable(str(value))) for value in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_COLUMNS)
    console.print(drawn)
