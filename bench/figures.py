"""The project's figures: each a row that alternates the project and its peers in one run, once they agree.

    python bench/figures.py [AREA | AREA.ROW …] [--list] [--quick] [--json FILE] [--markdown FILE]
                            [--data FOLDER] [--scratch FOLDER]
    python bench/figures.py --from A.json B.json … --markdown FILE

Prints row, value, spread, peers with their versions, must, aim and verdict. Exits 1 when a must is missed or a row
fails. A peer that is not installed is named, not passed over. With --scratch made series and large catalogs are kept
and used again; without it they are made in a temporary folder. With --from nothing is measured: the page is made of
runs that wrote JSON, of a row measured twice the later named; a row of none of them keeps its line of the page.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench"), str(ROOT / "tools")]

from rows import ROWS, Context, Figure, Missing, Row  # noqa: E402  # The path is set above.

AREAS = ("core", "kernels", "network", "bulk", "recon")
_BASE = ("numpy", "numba", "zarr", "numcodecs", "sqlalchemy", "pydicom", "imagecodecs")


def data_folder() -> Path:
    """``PACSCORE_TEST_DATA``, else ``shared/data`` beside the checkout or beside its folder."""
    named = os.environ.get("PACSCORE_TEST_DATA")
    places = [Path(named)] if named else [parent / "shared" / "data" for parent in (ROOT.parent, ROOT.parent.parent)]
    return next((place for place in places if place.is_dir()), places[0])


def load_rows() -> None:
    """Import the areas; each registers its rows."""
    for area in AREAS:
        __import__(f"{area}_rows")


def chosen(names: list[str]) -> list[str]:
    """The rows that the words name, in their order."""
    if not names:
        return list(ROWS)
    missing = [name for name in names if not any(_names(name, row) for row in ROWS)]
    if missing:
        sys.exit(f"no row or area {', '.join(missing)}; --list shows them")
    return [row for row in ROWS if any(_names(name, row) for name in names)]


def _names(name: str, row: str) -> bool:
    return row == name or row.startswith(name + ".")


def show(figure: Figure) -> None:
    """One row, on a line or two."""
    print(
        f"{figure.verdict:6}  {figure.row:30} {figure.value_text:>26}   "
        f"must {figure.must_text:<10} aim {figure.aim_text:<10} {figure.peers_text}"
    )
    if figure.detail:
        print(f"        {figure.detail}")
    sys.stdout.flush()


def machine() -> str:
    """Where and with what this was measured."""
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # Not Linux: the short name does.
    packages = ", ".join(f"{name} {version(name)}" for name in _BASE)
    return (
        f"{time.strftime('%Y-%m-%d')}, {cpu}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {packages}"
    )


def markdown(figures: list[Figure], absent: dict[str, str], heading: str, earlier: dict[str, str]) -> str:
    """The results as a page; ``earlier`` are lines of rows that were measured before and not now."""
    lines = [
        "# Results",
        "",
        "Made by `python bench/figures.py --markdown bench/RESULTS.md`. Values are medians, with quartiles in "
        "brackets; page cache warm, kernels compiled before. Rows ending in `-real` are measured on the largest real "
        "CT series of the test data (90 × 511 × 511), their namesakes on 208 × 512 × 512 made from its pixels, rows "
        "ending in `-scanner` on headers of 90 elements as a scanner wrote them.",
        "",
        heading,
        "",
        "| row | what | value | must | aim | verdict | n | peers | remark |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    found = {
        each.row: f"| {each.row} | {each.what} | {each.value_text} | {each.must_text} | {each.aim_text} | "
        f"{'**missed**' if each.verdict == 'MISSED' else each.verdict} | {each.rounds} | {each.peers_text} | "
        f"{each.detail} |"
        for each in figures
    }
    found = earlier | found
    lines += [found[name] for name in ROWS if name in found]
    lines += [
        f"| {name} | | not measured | | | | | | {reason} |" for name, reason in absent.items() if name not in found
    ]
    return "\n".join(lines) + "\n"


def page_of(records: list[Path], page: Path | None) -> str:
    """The page of several runs; a row that none of them measured keeps its line of the page there is."""
    found: dict[str, Figure] = {}
    absent: dict[str, str] = {}
    earlier, headings = _lines_of(page)
    for path in records:
        record = json.loads(path.read_text("utf-8"))
        headings.append(record["machine"])
        absent |= record["absent"]
        for stated in record["figures"]:
            kept = {name.name: stated[name.name] for name in fields(Figure)}
            found[stated["row"]] = Figure(**{**kept, "value": float("nan") if kept["value"] is None else kept["value"]})
    missing = {name: absent.get(name, "not in these runs") for name in ROWS if name not in found}
    return markdown([found[name] for name in ROWS if name in found], missing, _joined(headings), earlier)


def _lines_of(page: Path | None) -> tuple[dict[str, str], list[str]]:
    """The measured rows of a page, and its lines about machines."""
    text = page.read_text("utf-8") if page is not None and page.exists() else ""
    rows = [line for line in text.splitlines() if line.startswith("| ") and "| not measured |" not in line]
    machines = [line for line in text.splitlines() if re.match(r"\d{4}-\d\d-\d\d, ", line)]
    return {line.split(" | ")[0][2:]: line for line in rows[1:]}, machines


def _joined(headings: list[str]) -> str:
    """One paragraph for each machine and day, with the load of its runs."""
    loads: dict[str, list[str]] = {}
    for heading in headings:
        machine_text, _, load = heading.removesuffix(".").partition("; load ")
        loads.setdefault(machine_text, []).extend(load.replace(" before, ", " to ").replace(" after", "").split(", "))
    return "\n\n".join(f"{each}; load {', '.join(found)}." for each, found in loads.items())


@dataclass
class Report:
    """What a run has found so far; written after each row, so that an interrupted run leaves what it had."""

    context: Context
    as_json: Path | None
    as_markdown: Path | None
    load_before: float = field(default_factory=lambda: os.getloadavg()[0])
    figures: list[Figure] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def measure(self, row: Row) -> None:
        """Measure a row, show it and write the files."""
        try:
            figure = row.measure(self.context)
        except Missing as missing:
            self.absent[row.name] = str(missing)
            print(f"absent  {row.name:30} {missing}", flush=True)
        except Exception:  # The outer edge: the other rows are measured all the same.
            self.absent[row.name] = "failed: see the log of the run"
            self.failed.append(row.name)
            print(f"FAILED  {row.name:30}\n{traceback.format_exc()}", flush=True)
        else:
            self.figures.append(figure)
            show(figure)
        self._write()

    def _write(self) -> None:
        load = f"load {self.load_before:.1f} before, {os.getloadavg()[0]:.1f} after"
        heading = f"{machine()}; {load}{', quick' if self.context.quick else ''}."
        if self.as_json:
            figures = [figure.as_dict() for figure in self.figures]
            record = {"machine": heading, "absent": self.absent, "figures": figures}
            self.as_json.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")
        if self.as_markdown:
            self.as_markdown.write_text(markdown(self.figures, self.absent, heading, {}), "utf-8")

    @property
    def missed(self) -> list[str]:
        """The rows that miss their must."""
        return [figure.row for figure in self.figures if figure.verdict == "MISSED"]


def main() -> int:
    """Run the chosen rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="AREA[.ROW]")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--quick", action="store_true", help="few rounds: for looking whether a row runs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--data", type=Path, default=data_folder(), help="the test data; default as for the tests")
    parser.add_argument("--scratch", type=Path, help="folder for archives, made series and catalogs; kept")
    parser.add_argument(
        "--from", type=Path, nargs="+", dest="records", metavar="FILE", help="make a page of these runs"
    )
    arguments = parser.parse_args()
    load_rows()
    if arguments.records:
        page = page_of(arguments.records, arguments.markdown)
        print(page) if arguments.markdown is None else arguments.markdown.write_text(page, "utf-8")
        return 0
    rows = [ROWS[name] for name in chosen(arguments.names)]
    if arguments.list:
        for row in rows:
            print(f"{row.name:30} must {row.must_text:<10} aim {row.aim_text:<10} {row.what}")
        return 0
    os.environ["PYTHONPATH"] = str(ROOT)  # Processes that rows start measure this tree too.
    print(machine(), f"load before {os.getloadavg()[0]:.1f}", sep="\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="pacscore-figures-") as temporary:
        context = Context(arguments.data, arguments.scratch or Path(temporary), arguments.quick)
        context.scratch.mkdir(parents=True, exist_ok=True)
        report = Report(context, arguments.json, arguments.markdown)
        for row in rows:
            report.measure(row)
    missed = report.missed
    print(f"{len(report.figures)} rows, {len(missed)} musts missed{': ' + ', '.join(missed) if missed else ''}")
    if report.absent:
        print(f"{len(report.absent)} not measured: {', '.join(report.absent)}")
    return 1 if missed or report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
