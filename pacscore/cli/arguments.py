"""Arguments that several commands share, and how KEY=VALUE words are read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from pacscore.errors import InputError

Archive = Annotated[Path, typer.Argument(help="Folder of the archive.", metavar="ARCHIVE", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
Study = Annotated[
    str | None,
    typer.Option("--study", help="Study Instance UID, where two studies hold a series of this UID.", metavar="UID"),
]
Match = Annotated[
    list[str] | None,
    typer.Argument(
        help="What to match: DICOM keyword, tag, nested or private key, = value; or geometry=VERDICT. * and ? are "
        "wildcards, A-B a range of dates or times, an empty value asks for the attribute back.",
        metavar="[KEY=VALUE]...",
        show_default=False,
    ),
]


def matches_of(words: Iterable[str] | None) -> dict[str, str]:
    r"""Read ``KEY=VALUE`` words.

    Raises
    ------
    InputError
        A word has no ``=``, a key stands twice, or a key is no attribute but an option in lower case.

    Examples
    --------
    >>> matches_of(["Modality=CT", "StudyDate=20200101-"])
    {'Modality': 'CT', 'StudyDate': '20200101-'}
    """
    match: dict[str, str] = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InputError(f"{word!r} is not KEY=VALUE. Write for example Modality=CT.")
        if key.isalpha() and key.islower() and key != "geometry":
            raise InputError(f"{key} is no attribute. Options are written --{key}, keys like PatientName=VALUE.")
        if key in match:
            raise InputError(f"{key} stands twice. Give several values as one list: {key}='A\\B'.")
        match[key] = value
    return match


def print_json(value: Any) -> None:
    """Write one JSON value and a line end to standard output; escaped where that cannot take every character."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    json.dump(value, sys.stdout, indent=2, ensure_ascii=not unicode, default=str)
    sys.stdout.write("\n")
