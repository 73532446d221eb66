"""pacscore events: what happened."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from pacscore.cli.arguments import Archive, AsJson
from pacscore.cli.text import printable

NAME = "events"
HELP = (
    "Tell what happened in an archive, oldest first, one event a line.\n\n"
    "There are commit, received, collected, quiet (nothing has come for a study for a while) and forwarded. Each event "
    "has a position to go on from with --after; --follow waits for more."
)
EPILOG = "Example: pacscore events /data/archive --follow --json"
_LOOK_SECONDS = 0.5


def run(
    archive: Archive,
    after: Annotated[str | None, typer.Option(help="Go on behind this position.", metavar="POSITION")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more until interrupted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print events as they come."""
    import pacscore

    with pacscore.open(archive, read_only=True) as opened:
        while True:
            for event in opened.events(after=after):
                after = event["position"]
                typer.echo(json.dumps(event) if as_json else _line(event))
            if not follow:
                return
            time.sleep(_LOOK_SECONDS)


def _line(event: Mapping[str, Any]) -> str:
    shown = {key: value for key, value in event.items() if key not in {"position", "kind"}}
    return printable(f"{event.get('kind', '')} " + " ".join(f"{key}={value}" for key, value in shown.items()))
