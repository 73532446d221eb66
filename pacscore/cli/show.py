"""pacscore show: everything about one series or instance."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pacscore.cli.arguments import Archive, AsJson, Study, print_json
from pacscore.cli.text import bytes_text, table

NAME = "show"
HELP = (
    "Show one series or one instance.\n\n"
    "For a series: its stacks with shape, spacing and geometry verdict, the findings behind the verdict, and how it is "
    "stored. For an instance: its attributes."
)
EPILOG = "Example: pacscore show /data/archive 1.2.840.113619.2.55.3"


def run(
    archive: Archive,
    uid: Annotated[str, typer.Argument(help="Series or SOP Instance UID.", metavar="UID", show_default=False)],
    study: Study = None,
    series: Annotated[
        str | None, typer.Option(help="Series Instance UID, where several series hold this instance.", metavar="UID")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find out what the UID names, and print it."""
    import pacscore
    from pacscore.errors import NotFoundError

    with pacscore.open(archive, read_only=True) as opened:
        try:
            found = opened.series(uid, study)
        except NotFoundError:
            instance = opened.instance(uid, series)
            document = instance.document()
            if as_json:
                print_json(document)
            else:
                table(
                    f"Instance {uid}", ("attribute", "value"), ((key, _short(value)) for key, value in document.items())
                )
            return
        summary = found.as_dict()
    if as_json:
        print_json(summary)
        return
    typer.echo(f"Series {uid}, {summary['instances']} instances, {summary['state']}, {bytes_text(summary['bytes'])}")
    table(
        "Stacks",
        ("#", "kind", "shape", "dtype", "spacing mm (slice, row, column)", "verdict"),
        (
            (
                number,
                stack["kind"],
                " × ".join(map(str, stack["shape"])),
                stack["dtype"],
                _spacing(stack["spacing_mm"]),
                stack["verdict"],
            )
            for number, stack in enumerate(summary["stacks"])
        ),
    )
    for number, stack in enumerate(summary["stacks"]):
        for finding in stack["findings"]:
            typer.echo(f"  stack {number}: {finding['message']}")


def _spacing(values: Any) -> str:
    return " × ".join("?" if value is None else f"{value:.4g}" for value in values) if values else ""


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "…"
