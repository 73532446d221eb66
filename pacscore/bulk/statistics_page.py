"""Statistics of an archive as one page that needs nothing else: tables and plots drawn as SVG.

No patient is named: rows are counted, and what is printed from headers (protocols, scanners) is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from pacscore.version import __version__

if TYPE_CHECKING:
    from pacscore.bulk.stack_statistics import ArchiveStatistics

_WIDTH, _ROW, _LABEL = 640, 24, 170
_PLOT_HEIGHT, _PLOT_LEFT, _PLOT_BOTTOM = 190, 52, 40
_BINS = 32
_ANCHORS = {0: "start", 8: "middle", 16: "middle", 24: "middle", 32: "end"}  # Of the numbers below a histogram.
_RANGES_MAX = 60
_COLOURS = ("#2a6f97", "#c8553d", "#588157", "#8e6c8a", "#c9a227", "#4f5d75", "#9c6644", "#3a7d7c")
_SAID = {"slice_spacing_mm": "slice spacing", "row_spacing_mm": "row spacing", "SliceThickness": "slice thickness"}
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1360px;padding:0 1rem;color:#1d232a;background:#fff}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin:2rem 0 .6rem;border-bottom:1px solid #d7dce1}
.numbers{display:flex;flex-wrap:wrap;gap:1.8rem;margin:1rem 0}.numbers b{display:block;font-size:1.5rem}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr));gap:1.4rem}
figure{margin:0}figcaption{font-weight:600;margin-bottom:.3rem}svg{width:100%;height:auto}
.wide{overflow-x:auto}th,td.n{white-space:nowrap}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.2rem .8rem .2rem 0;text-align:left}
th{border-bottom:1px solid #9aa5b1}td.n,th.n{text-align:right}svg text{font:12px system-ui,sans-serif;fill:#1d232a}
"""


def page_of(found: ArchiveStatistics) -> str:
    """The page, HTML."""
    from pacscore.bulk.stack_statistics import counted_rows

    original, stored = found.total("bytes_original"), found.total("bytes_stored")
    modalities = found.count("Modality")
    colour = {name: _COLOURS[number % len(_COLOURS)] for number, (name, _) in enumerate(modalities)}
    numbers = (
        ("series", f"{len(found.of_series):,}"),
        ("stacks", f"{len(found.rows):,}"),
        ("instances", f"{found.total('instances'):,}"),
        ("of originals", _bytes_text(original)),
        ("stored", f"{_bytes_text(stored)} ({100 * stored / original:.0f} %)" if original else _bytes_text(stored)),
    )
    plots = [
        bar_chart("Series by modality", modalities, colours=[colour[name] for name, _ in modalities]),
        bar_chart("Stacks by geometry verdict", found.count("geometry", of_series=False)),
        bar_chart("Findings, stacks that have one", counted_rows(_findings(found), rows_max=12)),
        bar_chart("Scanners, series", counted_rows(found.count("Manufacturer"), rows_max=10)),
        *_histograms(found, colour),
        _intensity_ranges(found, colour),
    ]
    spreads = [
        (modality, _SAID.get(each.name, each.name), each.unit, each.count, *map(_number, each.ends))
        for modality, _ in modalities
        for each in found.spreads(modality)
    ]
    sections = [
        "<div class=numbers>" + "".join(f"<div><b>{value}</b>{name}</div>" for name, value in numbers) + "</div>",
        "<div class=plots>" + "".join(plot for plot in plots if plot) + "</div>",
        "<h2>Volumes by modality</h2>",
        html_table(("modality", "what", "unit", "#volumes", "#smallest", "#median", "#largest"), spreads),
        "<h2>Protocols</h2>",
        html_table(("modality", "protocol", "scanner", "#series", "#instances"), found.protocols()[:50]),
        *_problems(found),
    ]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Archive statistics</title><style>{_STYLE}</style><h1>What the archive holds</h1>"
        f"<p>Made by pacscore {escape(__version__)}.</p>{''.join(sections)}</html>\n"
    )


def bar_chart(title: str, pairs: Sequence[tuple[str, int]], *, colours: Sequence[str] | None = None) -> str:
    """Horizontal bars with their numbers; empty where there is nothing."""
    if not pairs:
        return ""
    most = max(count for _, count in pairs)
    bars = []
    for number, (name, count) in enumerate(pairs):
        top = number * _ROW
        width = max(1.0, (_WIDTH - _LABEL - 70) * count / most)
        fill = colours[number] if colours else _COLOURS[0]
        bars += [
            _text(_LABEL - 8, top + 16, _shortened(name, 22), anchor="end"),
            _drawn("rect", x=_LABEL, y=top + 3, width=width, height=_ROW - 7, fill=fill),
            _text(_LABEL + width + 6, top + 16, f"{count:,}"),
        ]
    return _figure(title, "".join(bars), len(pairs) * _ROW + 4)


def histogram_chart(
    title: str, groups: Sequence[tuple[str, Sequence[float], str]], *, unit: str, logarithmic: bool = False
) -> str:
    """Stacked counts of values in equal bins, one colour a group; empty where no group has values.

    groups : name, values, colour
    """
    values = np.array([value for _, group, _ in groups for value in group], np.float64)
    values = values[values > 0] if logarithmic else values
    if values.size == 0:
        return ""
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = (low / 2, high * 2) if logarithmic else (low - 0.5, high + 0.5)
    edges = np.geomspace(low, high, _BINS + 1) if logarithmic else np.linspace(low, high, _BINS + 1)
    edges[-1] = high
    counts = [np.histogram(np.asarray(group, np.float64), edges)[0] for _, group, _ in groups]
    most = max(1, int(np.sum(counts, axis=0).max()))
    width = (_WIDTH - _PLOT_LEFT - 10) / _BINS
    base = _PLOT_HEIGHT - _PLOT_BOTTOM
    below = np.zeros(_BINS)
    parts = [_axis(base, most)]
    for (_, _, colour), group in zip(groups, counts, strict=True):
        for place, count in enumerate(group.tolist()):
            if count:
                height = (base - 12) * count / most
                top = base - (base - 12) * below[place] / most - height
                left = _PLOT_LEFT + place * width
                parts.append(_drawn("rect", x=left, y=top, width=width - 1, height=height, fill=colour))
        below += group
    for place, anchor in _ANCHORS.items():
        parts.append(_text(_PLOT_LEFT + place * width, base + 16, _number(edges[place]), anchor=anchor))
    parts.append(_legend([(name, colour) for name, group, colour in groups if len(group)], base + 34, unit))
    return _figure(title, "".join(parts), _PLOT_HEIGHT)


def range_chart(title: str, ranges: Sequence[tuple[str, float, float, float, str]], *, unit: str) -> str:
    """A line from the smallest to the largest value, with a dot at the mean, for each; empty where there is none.

    ranges : name, smallest, mean, largest, colour
    """
    if not ranges:
        return ""
    low, high = min(each[1] for each in ranges), max(each[3] for each in ranges)
    span = (high - low) or 1.0
    row = 11
    base = 8 + row * len(ranges)

    def at(value: float) -> float:
        return _PLOT_LEFT + (_WIDTH - _PLOT_LEFT - 30) * (value - low) / span

    parts = []
    for number, (name, smallest, mean, largest, colour) in enumerate(ranges):
        y = 8 + row * number
        parts.append(_drawn("line", x1=at(smallest), x2=at(largest), y1=y, y2=y, stroke=colour, stroke_width=3))
        parts.append(_drawn("circle", f"<title>{escape(name)}</title>", cx=at(mean), cy=y, r=4, fill=colour))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = low + span * share
        parts.append(_text(at(value), base + 16, _number(value), anchor="middle"))
    parts.append(_text(_WIDTH - 4, base + 34, unit, anchor="end"))
    return _figure(title, "".join(parts), base + 40)


def html_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; ``#`` before a column's name sets it to the right."""
    right = [name.startswith("#") for name in columns]
    head = "".join(
        f"<th{' class=n' if numeric else ''}>{escape(name.removeprefix('#'))}</th>"
        for name, numeric in zip(columns, right, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=n' if numeric else ''}>{escape(f'{cell:,}' if isinstance(cell, int) else str(cell))}</td>"
            for cell, numeric in zip(row, right, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _findings(found: ArchiveStatistics) -> list[tuple[str, int]]:
    counted: dict[str, int] = {}
    for row in found.rows:
        for code in str(row["findings"] or "").split():
            counted[code] = counted.get(code, 0) + 1
    return sorted(counted.items(), key=lambda pair: -pair[1])


def _histograms(found: ArchiveStatistics, colour: dict[str, str]) -> list[str]:
    wanted = (
        ("Distance between slices", "slice_spacing_mm", "mm", False),
        ("Distance between rows", "row_spacing_mm", "mm", False),
        ("Slices of a volume", "slices", "slices", True),
        ("Bytes of a series", "bytes_original", "bytes", True),
    )
    charts = []
    for title, column, unit, logarithmic in wanted:
        rows = found.of_series if column == "bytes_original" else [r for r in found.rows if r["kind"] == "volume"]
        groups = [
            (name, [float(row[column]) for row in rows if row["Modality"] == name and row[column] is not None], shade)
            for name, shade in colour.items()
        ]
        shown = f"{title}, logarithmic" if logarithmic else title
        charts.append(histogram_chart(shown, groups, unit=unit, logarithmic=logarithmic))
    return charts


def _intensity_ranges(found: ArchiveStatistics, colour: dict[str, str]) -> str:
    """Of volumes in Hounsfield units, which alone share a scale; every n-th of many."""
    rows = [row for row in found.rows if row["minimum"] is not None and row["unit"] == "HU"]
    step = -(-len(rows) // _RANGES_MAX) or 1
    ranges = [
        (
            str(row["SeriesInstanceUID"]),
            row["minimum"],
            row["mean"],
            row["maximum"],
            colour.get(row["Modality"], "#666"),
        )
        for row in rows[::step]
    ]
    return range_chart("Smallest, mean and largest value of each volume", ranges, unit="HU")


def _problems(found: ArchiveStatistics) -> list[str]:
    rows = [(row["SeriesInstanceUID"], row["problem"]) for row in found.rows if row["problem"]]
    return ["<h2>What could not be read</h2>", html_table(("series", "why"), rows)] if rows else []


def _axis(base: float, most: int) -> str:
    line = _drawn("line", x1=_PLOT_LEFT, x2=_WIDTH - 10, y1=base, y2=base, stroke="#9aa5b1")
    return line + _text(_PLOT_LEFT - 6, 18, f"{most:,}", anchor="end") + _text(_PLOT_LEFT - 6, base, "0", anchor="end")


def _legend(names: Sequence[tuple[str, str]], y: float, unit: str) -> str:
    parts, left = [], float(_PLOT_LEFT)
    for name, colour in names[:8]:
        parts.append(_drawn("rect", x=left, y=y - 10, width=10, height=10, fill=colour))
        parts.append(_text(left + 14, y, _shortened(name, 9)))
        left += 26 + 8 * len(_shortened(name, 9))
    return "".join(parts) + _text(_WIDTH - 4, y, unit, anchor="end")


def _figure(title: str, content: str, height: float) -> str:
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="0 0 {_WIDTH} {height:.0f}">{content}</svg></figure>'
    )


def _text(x: float, y: float, content: str, *, anchor: str = "start") -> str:
    return _drawn("text", escape(content), x=x, y=y, text_anchor=anchor)


def _drawn(name: str, content: str = "", **attributes: str | float) -> str:
    """An SVG element; ``_`` in an attribute's name stands for ``-``."""
    listed = "".join(
        f' {key.replace("_", "-")}="{value if isinstance(value, str) else f"{value:.5g}"}"'
        for key, value in attributes.items()
    )
    return f"<{name}{listed}>{content}</{name}>"


def _number(value: float) -> str:
    """Three or four digits that matter; from ten thousand on as k, M, G."""
    if not math.isfinite(value):
        return "–"
    for least, size, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= least:
            return f"{value / size:.3g}{letter}"
    return f"{value:.4g}" if abs(value) >= 1000 else f"{value:.3g}"


def _bytes_text(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
