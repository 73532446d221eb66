"""pacscore bench: measure storage on one's own images and disk, and compare two runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pacscore.cli.arguments import AsJson, Match, matches_of, print_json
from pacscore.cli.progress import shown
from pacscore.cli.text import bytes_text, listing, table

if TYPE_CHECKING:
    from pacscore.bulk.storage_benchmark.compare import Comparison
    from pacscore.bulk.storage_benchmark.results import Results

NAME = "bench"
EXIT_INTERRUPTED = 130
HELP = "Measure how to store your images, on your own data and disk."
group = typer.Typer(help=HELP, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip()) if text else ()


@group.command(
    epilog="Example: pacscore bench storage /data/archive Modality=CT --strategies balanced,gradient,frames@hdf5 "
    "--workloads volume,patch64 --out RESULT"
)
def storage(
    path: Annotated[Path, typer.Argument(metavar="PATH|ARCHIVE", help="An archive, or a folder of DICOM files.")],
    match: Match = None,
    out: Annotated[
        Path, typer.Option(help="Folder for the results, on the disk to be measured.", show_default=False)
    ] = ...,  # type: ignore[assignment]  # Typer's mark of an option that must be given.
    strategies: Annotated[
        str | None, typer.Option(help="Ours, with commas: NAME or NAME@FORMAT.", show_default="one of each kind")
    ] = None,
    ways: Annotated[
        str | None,
        typer.Option(help="Of the outside world, with commas; 'none' for none.", show_default="all"),
    ] = None,
    workloads: Annotated[str | None, typer.Option(help="With commas.", show_default="all")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Counted rounds of each cell.")] = 5,
    series: Annotated[int, typer.Option(min=1, help="At most so many series, spread over their sizes.")] = 3,
    readers: Annotated[int, typer.Option(min=1, help="How many read at once.")] = 2,
    megabytes: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many megabytes of words.", show_default="128, or 512 with --full"),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(min=0.1, help="About how long it may take; what is too slow for that is left out and named."),
    ] = 4.0,
    full: Annotated[bool, typer.Option("--full", help="Measure everything, however long it takes.")] = False,
    cold: Annotated[bool, typer.Option(help="Measure also with the files out of the page cache.")] = True,
    as_json: AsJson = False,
) -> None:
    """Measure formats and strategies beside the files and tools of the outside world.

    Every way is stored once, its answers are compared with the others', and then all take turns. Writes results.json
    and results.html into the folder; what is stored meanwhile is removed again. After Ctrl-C they hold what was
    measured until then.
    """
    from pacscore.bulk.storage_benchmark.measure import DEFAULT_STRATEGIES, BenchmarkRequest, run_benchmark
    from pacscore.bulk.storage_benchmark.page import page_of

    request = BenchmarkRequest(
        strategies=_words(strategies) or DEFAULT_STRATEGIES,
        ways=() if ways == "none" else _words(ways) or None,
        workloads=_words(workloads),
        rounds=rounds,
        series=series,
        bytes_max=(megabytes or (512 if full else 128)) * 1_000_000,
        seconds=None if full else minutes * 60,
        readers=readers,
        cold=cold,
    )
    with shown(quiet=as_json) as progress:
        results = run_benchmark(
            path, out, request, match=matches_of(match), report=progress or (lambda phase, done, total: None)
        )
    results.save(out / "results.json")
    (out / "results.html").write_text(page_of(results), "utf-8")
    if as_json:
        print_json({"json": str(out / "results.json"), "page": str(out / "results.html"), "left_out": results.left_out})
    else:
        _show(results)
        typer.echo(f"Results: {out / 'results.json'}, {out / 'results.html'}")
    if results.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)


def _show(results: Results) -> None:
    """The table, the sizes and the recommendations."""
    from pacscore.bulk.storage_benchmark.advice import advise, seconds_text

    sizes = {way.name: f"{100 * way.bytes_stored / results.bytes_words:.0f} %" for way in results.ways}
    warm = [column for column in results.columns if not column.endswith("cold")]
    cold = [column for column in results.columns if column.endswith("cold")]
    for title, columns in (("Warm: medians", warm), ("Cold: medians", cold)):
        rows = []
        for way in results.ways:
            cells = [results.cell(way.name, column) for column in columns]
            rows.append((way.name, sizes[way.name], *("" if c is None else seconds_text(c.median) for c in cells)))
        if columns:
            table(title, ("way", "#size", *(f"#{column.removesuffix(', cold')}" for column in columns)), rows)
    table("Recommendations", ("for", "take", "because"), ((a.use, a.way, a.reason) for a in advise(results)))
    listing("Left out", list(results.left_out.items()))


@group.command(epilog="Example: pacscore bench compare BEFORE/results.json AFTER/results.json")
def compare(
    before: Annotated[Path, typer.Argument(metavar="A.json", help="Of the earlier run.")],
    after: Annotated[Path, typer.Argument(metavar="B.json", help="Of the later one.")],
    as_json: AsJson = False,
) -> None:
    """Tell what changed between two runs beyond noise; exits 1 where something became slower."""
    from dataclasses import asdict

    from pacscore.bulk.storage_benchmark.compare import compare_results
    from pacscore.bulk.storage_benchmark.results import load_results

    comparison = compare_results(load_results(before), load_results(after))
    if as_json:
        print_json(asdict(comparison))
    else:
        _show_changes(comparison)
    if any(change.verdict == "slower" for change in comparison.changes):
        raise typer.Exit(1)


def _show_changes(comparison: Comparison) -> None:
    from pacscore.bulk.storage_benchmark.advice import seconds_text

    listing("Not the same in both runs", [(name, " → ".join(pair)) for name, pair in comparison.differences.items()])
    changed = [change for change in comparison.changes if change.verdict != "same"]
    table(
        f"Beyond noise: {len(changed)} of {len(comparison.changes)} cells",
        ("way", "workload", "", "#before", "#after", "#times", "#95 %"),
        (
            (
                change.way,
                change.column,
                change.verdict,
                seconds_text(change.before),
                seconds_text(change.after),
                f"{change.ratio:.2f}",
                f"{change.low:.2f} to {change.high:.2f}",
            )
            for change in sorted(changed, key=lambda change: -change.ratio)
        ),
    )
    sizes = [(way, f"{bytes_text(a)} → {bytes_text(b)}") for way, (a, b) in comparison.sizes.items()]
    listing("Sizes", sizes)
    listing("Only in the first", [(cell, "") for cell in comparison.only_before])
    listing("Only in the second", [(cell, "") for cell in comparison.only_after])
