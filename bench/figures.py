"""The project's figures: each a row that alternates the project and its peers in one run, once they agree.

    python bench/figures.py [AREA | AREA.ROW …] [--list] [--quick] [--json FILE] [--data FOLDER] [--scratch FOLDER]

Prints row, value, spread, peers with their versions, must, aim and verdict. Exits 1 when a must is missed. A peer
that is not installed is named, not passed over.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench"), str(ROOT / "tools")]

from rows import ROWS, Context, Figure, Missing  # noqa: E402  # The path is set above.

AREAS = ("core",)


def load_rows() -> None:
    """Import the areas; each registers its rows."""
    for area in AREAS:
        __import__(f"{area}_rows")


def chosen(names: list[str]) -> list[str]:
    """The rows that the words name, in their order."""
    if not names:
        return list(ROWS)
    found = [row for row in ROWS if any(row == name or row.startswith(name + ".") for name in names)]
    missing = [name for name in names if not any(row == name or row.startswith(name + ".") for row in ROWS)]
    if missing:
        sys.exit(f"no row or area {', '.join(missing)}; --list shows them")
    return found


def show(figure: Figure) -> None:
    """One row, on a line or two."""
    peers = ", ".join(f"{name} {version}" for name, version in figure.peers.items())
    print(
        f"{figure.verdict:6}  {figure.row:24} {figure.value_text:>26}   "
        f"must {figure.must_text:<10} aim {figure.aim_text:<10} {peers}"
    )
    if figure.detail:
        print(f"        {figure.detail}")
    sys.stdout.flush()


def main() -> int:
    """Run the chosen rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="AREA[.ROW]")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--quick", action="store_true", help="few rounds: for looking whether a row runs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("PACSCORE_TEST_DATA", ROOT.parent / "shared" / "data"))
    )
    parser.add_argument("--scratch", type=Path, help="folder for archives and made series; kept")
    arguments = parser.parse_args()
    load_rows()
    rows = chosen(arguments.names)
    if arguments.list:
        for name in rows:
            print(f"{name:36} must {ROWS[name].must_text:<10} aim {ROWS[name].aim_text:<10} {ROWS[name].what}")
        return 0
    print(
        f"{time.strftime('%Y-%m-%d')}  {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    )
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="pacscore-figures-") as temporary:
        context = Context(arguments.data, arguments.scratch or Path(temporary), arguments.quick)
        context.scratch.mkdir(parents=True, exist_ok=True)
        for name in rows:
            try:
                figure = ROWS[name].measure(context)
            except Missing as missing:
                print(f"absent  {name:32} {missing}")
                continue
            figures.append(figure)
            show(figure)
    if arguments.json:
        arguments.json.write_text(json.dumps([figure.as_dict() for figure in figures], indent=2) + "\n")
    missed = [figure.row for figure in figures if figure.verdict == "MISSED"]
    print(f"{len(figures)} rows, {len(missed)} musts missed{': ' + ', '.join(missed) if missed else ''}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
