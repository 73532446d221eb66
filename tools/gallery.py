"""An HTML gallery of the imaging kernels on real data: before, after, what was done, and how long it took.

    python tools/gallery.py OUT [TOPIC …] [--data FOLDER] [--list]

Topics are the modules ``gallery_<topic>.py`` beside this file, all of them unless some are named. Each offers
``entries(data)``, which yields ``Entry`` values. OUT gets ``index.html``, which needs nothing but the folder it lies
in, and the pictures as PNG files in ``pictures/``.
"""

from __future__ import annotations

import argparse
import html
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parent
sys.path[:0] = [str(ROOT), str(TOOLS)]

STYLE = """
:root { color-scheme: dark; --paper: #14171a; --card: #1d2226; --ink: #e8ebee; --quiet: #9aa5ae; --line: #2c3339; }
body { margin: 0 auto; max-width: 1500px; padding: 2rem 1.5rem; background: var(--paper); color: var(--ink);
       font: 16px/1.5 system-ui, sans-serif; }
h1 { font-weight: 600; margin: 0 0 .25rem; }
h2 { font-weight: 600; margin: 2.5rem 0 1rem; text-transform: capitalize; }
p.lead, nav { color: var(--quiet); }
nav a { color: inherit; margin-right: 1rem; text-transform: capitalize; }
section { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 44rem), 1fr)); gap: 1.25rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; }
article h3 { margin: 0 0 .2rem; font-weight: 600; font-size: 1.05rem; }
article p { margin: 0 0 .8rem; color: var(--quiet); font-size: .9rem; }
.time { float: right; color: var(--quiet); font-variant-numeric: tabular-nums; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .6rem; }
.pair.single { grid-template-columns: 1fr; }
figure { margin: 0; }
img { width: 100%; height: auto; display: block; border-radius: .3rem; background: #000; }
figcaption { color: var(--quiet); font-size: .8rem; margin-top: .25rem; }
""".strip()


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One picture pair of the gallery.

    Attributes
    ----------
    title : str
        What was done, in a few words.
    note : str
        The data, parameters, what to look at.
    before, after : NDArray of uint8
        ``(rows, columns)`` grey or ``(rows, columns, 3)`` RGB; ``before`` is None where there is no picture of it.
    seconds : float
        How long the step took once its kernels were compiled.
    """

    title: str
    note: str
    before: NDArray[np.uint8] | None
    after: NDArray[np.uint8]
    seconds: float


def timed(step: Callable[[], Any], *, warm: bool = True) -> tuple[Any, float]:
    """Run a step and say how long it took; with ``warm`` once before, so that compiling does not count."""
    if warm:
        step()
    start = time.perf_counter()
    result = step()
    return result, time.perf_counter() - start


def topics() -> list[str]:
    """The topics there are, in alphabetical order."""
    return sorted(path.stem.removeprefix("gallery_") for path in TOOLS.glob("gallery_*.py"))


def make_gallery(out: Path, names: Iterable[str], data: Path) -> int:
    """Draw the topics into ``out`` and return how many entries there are."""
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    sections: list[tuple[str, list[str]]] = []
    for name in names:
        started = time.perf_counter()
        cards = [_card(out, name, number, entry) for number, entry in enumerate(_entries(name, data), 1)]
        print(f"{name}: {len(cards)} entries, {time.perf_counter() - started:.1f} s", flush=True)
        sections.append((name, cards))
    (out / "index.html").write_text(_page(sections), "utf-8")
    return sum(len(cards) for _, cards in sections)


def _entries(name: str, data: Path) -> Iterable[Entry]:
    entries: Iterable[Entry] = import_module(f"gallery_{name}").entries(data)
    return entries


def _card(out: Path, topic: str, number: int, entry: Entry) -> str:
    figures = []
    for when, picture in (("before", entry.before), ("after", entry.after)):
        if picture is not None:
            name = f"pictures/{topic}-{number:02d}-{when}.png"
            _save(picture, out / name, f"{topic} {number}, {entry.title}: {when}")
            height, width = picture.shape[:2]
            figures.append(
                f'<figure><a href="{name}"><img src="{name}" width="{width}" height="{height}" loading="lazy" '
                f'alt="{html.escape(entry.title, quote=True)}, {when}"></a><figcaption>{when}</figcaption></figure>'
            )
    return (
        f'<article><span class="time">{_time_text(entry.seconds)}</span><h3>{html.escape(entry.title)}</h3>'
        f"<p>{html.escape(entry.note)}</p>"
        f'<div class="pair{"" if len(figures) == 2 else " single"}">{"".join(figures)}</div></article>'
    )


def _save(picture: NDArray[np.uint8], path: Path, what: str) -> None:
    from PIL import Image

    is_grey = picture.ndim == 2
    if picture.dtype != np.uint8 or not (is_grey or (picture.ndim == 3 and picture.shape[2] == 3)):
        sys.exit(
            f"{what} is {picture.dtype} {picture.shape}: a picture is uint8, (rows, columns) or (rows, columns, 3)"
        )
    Image.fromarray(np.ascontiguousarray(picture)).save(path, "PNG")


def _time_text(seconds: float) -> str:
    return (
        f"{seconds * 1e3:.2g} ms" if seconds < 0.1 else f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
    )


def _page(sections: list[tuple[str, list[str]]]) -> str:
    links = "".join(f'<a href="#{name}">{name}</a>' for name, _ in sections)
    body = "".join(f'<h2 id="{name}">{name}</h2><section>{"".join(cards)}</section>' for name, cards in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>pacscore: imaging kernels</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        "<h1>Imaging kernels</h1>"
        f'<p class="lead">Real data, before and after. Times are of one call on {os.cpu_count()} CPUs with the '
        "kernels compiled before; bench/ has the comparisons.</p>"
        f"<nav>{links}</nav>{body}</body></html>\n"
    )


def data_folder() -> Path:
    """``PACSCORE_TEST_DATA``, else ``shared/data`` beside the checkout or beside its folder."""
    named = os.environ.get("PACSCORE_TEST_DATA")
    places = [Path(named)] if named else [parent / "shared" / "data" for parent in (ROOT.parent, ROOT.parent.parent)]
    return next((place for place in places if place.is_dir()), places[0])


def main() -> int:
    """Make the gallery of the chosen topics."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", metavar="OUT")
    parser.add_argument("topics", nargs="*", metavar="TOPIC")
    parser.add_argument("--data", type=Path, default=data_folder(), help="the test data; default as for the tests")
    parser.add_argument("--list", action="store_true", help="print the topics")
    arguments = parser.parse_args()
    known = topics()
    if arguments.list:
        print("\n".join(known))
        return 0
    if arguments.out is None:
        parser.error("name the folder to write to")
    if unknown := [name for name in arguments.topics if name not in known]:
        parser.error(f"no topic {', '.join(unknown)}; there are {', '.join(known) or 'none'}")
    count = make_gallery(arguments.out, arguments.topics or known, arguments.data)
    print(f"{arguments.out / 'index.html'}: {count} entries")
    return 0


if __name__ == "__main__":
    # The topics import Entry from "gallery": running as __main__ must not make a second one.
    sys.modules["gallery"] = sys.modules["__main__"]
    sys.exit(main())
