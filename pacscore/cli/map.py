"""pacscore map: a pipeline or function over every series that matches."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pacscore.cli.arguments import Archive, AsJson, Match, matches_of, print_json
from pacscore.cli.text import listing
from pacscore.errors import InputError

if TYPE_CHECKING:
    from pacscore.archive.selection import Selection

NAME = "map"
HELP = (
    "Run a pipeline, or a function of yours, over every series that matches.\n\n"
    "The function takes a volume and returns a number, text, list or mapping (they become RUN/values.parquet), an "
    "array or volume (RUN/results/*.zarr, or derived series with --volumes series) or a picture (RUN/results/*.png). "
    "What fails or takes too long is an entry in RUN/report.json and ends nothing. A run that was interrupted or "
    "killed goes on with --resume, and computes nothing twice."
)
EPILOG = (
    "Examples: pacscore map A Modality=CT --function body:volume_ml --out run1   ·   "
    "pacscore map A --selection train.json --pipeline isotropic.toml --out run2   ·   "
    "pacscore map A Modality=MR --function mine:f --executor dask --scheduler tcp://head:8786 --out run3 --resume"
)


def run(
    archive: Archive,
    match: Match = None,
    out: Annotated[
        Path, typer.Option(help="The run folder: results and the record of what is done.", metavar="RUN")
    ] = Path("run"),
    pipeline: Annotated[
        Path | None,
        typer.Option(help="The steps.", metavar="FILE.toml", show_default=False, exists=True, dir_okay=False),
    ] = None,
    function: Annotated[
        str | None,
        typer.Option(help="The function; its module is looked for here first.", metavar="MODULE:NAME"),
    ] = None,
    selection: Annotated[
        Path | None,
        typer.Option(help="A file of pacscore select, in place of KEY=VALUE.", metavar="FILE.json", exists=True),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter", "-p", help="Given to the function by name; the value is JSON, or text.", metavar="NAME=VALUE"
        ),
    ] = None,
    executor: Annotated[str, typer.Option(help="threads, processes or dask.")] = "threads",
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler.", metavar="tcp://HOST:PORT", show_default=False)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Threads or processes; by default one for each CPU.", min=1, show_default=False)
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds for one series, then it is given up.", show_default=False)
    ] = None,
    take: Annotated[
        str,
        typer.Option(
            help="What the function takes: volume, series, item; or group, all series of a study or patient of a "
            "--selection made with --level."
        ),
    ] = "volume",
    stack: Annotated[
        int | None, typer.Option(help="Which stack; by default the only one.", min=0, show_default=False)
    ] = None,
    volumes: Annotated[str, typer.Option(help="Where volumes go: zarr, or series (into the archive).")] = "zarr",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run that RUN holds.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="With --resume, do again what failed or timed out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Map, and say what it came to; exit code 1 where an item failed."""
    from pacscore import bulk

    chosen = _function(pipeline, function)
    report = bulk.map(
        _selection(archive, match, selection, going_on=out if resume else None),
        chosen,
        executor=_executor(executor, scheduler),
        workers=workers,
        timeout=timeout,
        take=take,
        stack=stack,
        parameters=_parameters(parameter or ()),
        run=out,
        volumes=volumes,
        resume=resume,
        retry=retry,
        progress=not as_json and sys.stderr.isatty(),
    ).report()
    if as_json:
        print_json(report.as_dict())
    else:
        parts = [f"{report.done} of {report.total} {'groups' if take == 'group' else 'series'} done"]
        parts += [
            f"{count} {what}" for count, what in _counts(report.failed, report.timed_out, report.resumed) if count
        ]
        typer.echo(f"{', '.join(parts)} in {report.seconds:.1f} s ({report.rate:.1f}/s). {report.out}")
        if report.values:
            typer.echo(f"Values: {report.values}")
        listing("Not done", [(failure.series_instance_uid, failure.error) for failure in report.failures])
    if report.failed or report.timed_out:
        raise typer.Exit(1)


def _counts(failed: int, timed_out: int, resumed: int) -> list[tuple[int, str]]:
    return [(failed, "failed"), (timed_out, "timed out"), (resumed, "done before")]


def _function(pipeline: Path | None, function: str | None) -> Callable[..., Any]:
    from pacscore.bulk.functions import PipelineFunction, load_function
    from pacscore.imaging.pipeline import Pipeline

    if (pipeline is None) == (function is None):
        raise InputError("Name one of --pipeline FILE.toml and --function MODULE:NAME.")
    if function is not None:
        return load_function(function, folder=Path.cwd())
    assert pipeline is not None
    return PipelineFunction(Pipeline.read(pipeline))


def _selection(archive: Path, match: list[str] | None, file: Path | None, *, going_on: Path | None) -> Selection:
    """What to work on; a run that goes on works on what it met at first, though the archive may hold more by now."""
    import pacscore
    from pacscore.archive.selection import Selection
    from pacscore.bulk.record import IDENTITY, selection_of

    if file is not None:
        if match:
            raise InputError("Name --selection or KEY=VALUE, not both: the file holds its query.")
        return Selection.load(file, archive=archive)
    if going_on is not None and (going_on / IDENTITY).exists():
        recorded = selection_of(going_on)
        if match and dict(recorded.match) != matches_of(match):
            query = " ".join(f"{key}={value}" for key, value in recorded.match)
            raise InputError(f"The run in {going_on} was started with {query or 'no KEY=VALUE'}: go on with that.")
        return recorded
    with pacscore.open(archive, read_only=True) as opened:
        return opened.select("series", **matches_of(match))


def _executor(executor: str, scheduler: str | None) -> str:
    if executor not in {"threads", "processes", "dask"}:
        raise InputError(f"An executor is threads, processes or dask, not {executor!r}.", found=executor)
    if (executor == "dask") != (scheduler is not None):
        raise InputError("Dask needs an address, and only Dask has one: --executor dask --scheduler tcp://HOST:8786.")
    return scheduler or executor


def _parameters(words: list[str] | tuple[str, ...]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"{word!r} is not NAME=VALUE. Write for example threshold=-300.")
        try:
            parameters[name] = json.loads(value)
        except ValueError:
            parameters[name] = value
    return parameters
