"""pacscore select: what a query meets, as a file that says it again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pacscore.cli.arguments import Archive, AsJson, Match, matches_of, print_json
from pacscore.errors import InputError

NAME = "select"
HELP = (
    "Write the series that match, in the generations they have now, to a small file.\n\n"
    "`pacscore map --selection` and Python (`Selection.load`) read it: a run over it can be repeated while the archive "
    "goes on. --sample takes some by a seed; --split writes one file for each part, no patient in two of them."
)
EPILOG = (
    "Examples: pacscore select A Modality=CT geometry=regular --out ct.json   ·   "
    "pacscore select A Modality=MR --sample 50 --seed 1 --out fifty.json   ·   "
    "pacscore select A --split train=.8,val=.2 --by PatientID --seed 1 --out cohort.json"
)


def run(
    archive: Archive,
    match: Match = None,
    out: Annotated[
        Path, typer.Option(help="The file; with --split NAME-train.json and so on.", metavar="FILE.json")
    ] = Path("selection.json"),
    level: Annotated[
        str,
        typer.Option(help="series: those that match; study, patient: all series of the studies or patients that do."),
    ] = "series",
    sample: Annotated[
        int | None, typer.Option(help="Take so many of them, whole ones of the level, chosen by the seed.", min=0)
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Parts and their shares.", metavar="NAME=SHARE,…", show_default=False)
    ] = None,
    by: Annotated[str, typer.Option(help="What must not lie in two parts: PatientID or StudyInstanceUID.")] = (
        "PatientID"
    ),
    seed: Annotated[int, typer.Option(help="Another seed takes and splits otherwise.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Select, write and say how many."""
    import pacscore

    shares = _shares(split) if split is not None else None
    with pacscore.open(archive, read_only=True) as opened:
        selection = opened.select(level, **matches_of(match))
    if sample is not None:
        selection = selection.sample(sample, seed=seed)
    if shares is None:
        parts = {"": (out, selection)}
    else:
        found = selection.split(by=by, seed=seed, **shares)
        parts = {name: (out.with_name(f"{out.stem}-{name}{out.suffix}"), part) for name, part in found.items()}
    written: list[dict[str, Any]] = []
    for name, (path, part) in parts.items():
        part.save(path)
        unsealed = sum(not item.generation for item in part)
        patients = len({item.patient_id for item in part})
        written.append(
            {"part": name, "file": str(path), "series": len(part), "patients": patients, "unsealed": unsealed}
        )
    if as_json:
        print_json(written)
        return
    for each in written:
        waits = f"; {each['unsealed']} wait in the journal, seal them first" if each["unsealed"] else ""
        typer.echo(f"{each['file']}: {each['series']} series of {each['patients']} patients{waits}.")


def _shares(text: str) -> dict[str, float]:
    r"""Read ``train=.8,val=.2``.

    Examples
    --------
    >>> _shares("train=.8,val=.2")
    {'train': 0.8, 'val': 0.2}
    """
    shares: dict[str, float] = {}
    for word in text.split(","):
        name, equals, share = word.partition("=")
        try:
            number = float(share)
        except ValueError:
            number = -1.0
        if not (equals and name.isidentifier() and number > 0) or name in {*shares, "by", "seed"}:
            raise InputError(f"{word!r} is not NAME=SHARE. Write for example train=.8,val=.2.")
        shares[name] = number
    return shares
