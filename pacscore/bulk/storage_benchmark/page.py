"""One self-contained page: recommendations, plots, every number, and how it was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from pacscore.bulk.storage_benchmark.advice import advise, seconds_text
from pacscore.bulk.storage_benchmark.plots import heat_map, size_against_speed
from pacscore.bulk.storage_benchmark.results import Results

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
table { border-collapse: collapse; font-size: 13px } th, td { padding: .25rem .6rem; text-align: left; }
tr { border-bottom: 1px solid #e4e4e4 } th { white-space: nowrap; color: #555 } td.number { text-align: right }
.wide { overflow-x: auto } .wide svg { max-width: 100%; height: auto; min-width: 34rem } .map svg { min-width: 68rem }
td:first-child, td:nth-child(2) { white-space: nowrap } p.note { color: #555 }
@media (max-width: 40rem) { td:first-child, td:nth-child(2) { white-space: normal } }
"""


def page_of(results: Results) -> str:
    """The page, as HTML text; it asks for nothing from elsewhere."""
    advice = _table(("for", "take", "because"), ((each.use, each.way, each.reason) for each in advise(results)))
    total = f"{results.bytes_words / 1e6:.0f} MB of words in {len(results.data)} series"
    sections = [
        f"<h1>How to store these images</h1><p>{escape(total)}, measured {escape(results.made)}.</p>",
        f"<h2>Recommendations</h2>{advice}",
        "<h2>Size against speed</h2><p class=note>Up and left is better. Blue: pacscore. Green: originals are kept. "
        f"Grey: headers are lost.</p><div class=wide>{size_against_speed(results)}</div>",
        f"<h2>Every workload</h2><div class='wide map'>{heat_map(results)}</div>",
        f"<h2>Sizes</h2>{_sizes(results)}",
        f"<h2>All numbers</h2>{_numbers(results)}",
        f"<h2>What was measured, where and how</h2>{_facts(results)}",
    ]
    if results.left_out:
        left_out = _table(("what", "why"), results.left_out.items())
        sections.append(f"<h2>Left out</h2>{left_out}")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>Storage benchmark</title><style>{_STYLE}</style></head><body>'
        f"{''.join(sections)}</body></html>\n"
    )


def _sizes(results: Results) -> str:
    rows = (
        (
            way.name,
            f"{way.bytes_stored / 1e6:.1f} MB",
            f"{100 * way.bytes_stored / results.bytes_words:.1f} %",
            way.files,
            "yes" if way.keeps_originals else "no",
            way.what,
            _listed(way.versions),
        )
        for way in sorted(results.ways, key=lambda way: way.bytes_stored)
    )
    return _table(("way", "on disk", "of the words", "files", "originals kept", "settings", "versions"), rows)


def _numbers(results: Results) -> str:
    rows = []
    for row in results.rows:
        rate = f"{row.bytes_read / row.median / 1e6:.0f} MB/s" if row.bytes_read else ""
        interval = f"{seconds_text(row.low)} to {seconds_text(row.high)}"
        rows.append((row.workload, row.state, row.way, seconds_text(row.median), interval, rate, len(row.seconds)))
    return _table(("workload", "state", "way", "median", "95 % of the median", "rate", "rounds"), rows)


def _facts(results: Results) -> str:
    data = ((each.name, each.files, f"{each.bytes_files / 1e6:.1f} MB of files") for each in results.data)
    return (
        _table(("series", "files", "size"), data)
        + _table(("machine", ""), results.machine.items())
        + _table(("setting", ""), ((name, _plain(value)) for name, value in results.settings.items()))
        + "<p class=note>Answers of all ways were compared with each other before anything was timed. Ways took turns "
        "in every round; times are medians, with where the median lies by bootstrap. Warm: files in the page cache. "
        "Cold: just these files dropped from it before each call; other caches stay. Archives are kept open between "
        "calls, and all else is opened anew; the workload “open” begins from nothing.</p>"
    )


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "no limit" if value is None else str(value)


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {found}" for name, found in versions.items())


def _table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(value))}</td>' for value in row)}</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
