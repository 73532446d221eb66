"""The page's plots, as SVG text: size against speed, and a heat map of all cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from pacscore.bulk.storage_benchmark.advice import seconds_text
from pacscore.bulk.storage_benchmark.results import Results, Row

_FONT = 'font-family="system-ui, sans-serif"'
_OURS, _KEEPING, _OTHER = "#1b6ca8", "#2e8b57", "#8a8a8a"
_WIDTH, _HEIGHT = 860, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 200, 30, 60
_RED = 30.0
_CELL_WIDTH, _CELL_HEIGHT, _NAMES, _HEAD = 62, 24, 200, 120


def size_against_speed(results: Results) -> str:
    """Each way a point: what it takes on the disk, and how fast whole volumes come out; right and down is worse."""
    points = []
    for way in results.ways:
        cell = results.cell(way.name, "volume")
        if cell is not None:
            colour = _OURS if way.name.startswith("pacscore ") else _KEEPING if way.keeps_originals else _OTHER
            share = 100 * way.bytes_stored / results.bytes_words
            points.append((share, cell.bytes_read / cell.median / 1e6, way.name, colour))
    if not points:
        return ""
    shares, rates = [point[0] for point in points], [point[1] for point in points]
    across = _linear(0, max(shares) * 1.05, _LEFT, _WIDTH - _RIGHT)
    up = _logarithmic(min(rates) / 1.3, max(rates) * 1.3, _HEIGHT - _BOTTOM, _TOP)
    parts = [_svg(_WIDTH, _HEIGHT), *_frame(across, up, max(shares) * 1.05, min(rates) / 1.3, max(rates) * 1.3)]
    taken: list[float] = []
    for share, rate, name, colour in sorted(points, key=lambda point: -point[1]):
        x, y = across(share), up(rate)
        label_y = y
        while any(abs(label_y - other) < 15 for other in taken):  # Labels stand below each other, never on each other.
            label_y += 15
        taken.append(label_y)
        label_x = _WIDTH - _RIGHT + 12
        parts += [
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{label_x - 4}" y2="{label_y:.1f}" stroke="{colour}" '
            f'stroke-width="0.5" opacity="0.6"/>',
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"><title>{escape(name)}: {share:.0f} %, '
            f"{rate:.0f} MB/s</title></circle>",
            _text(label_x, label_y + 4, name, size=11, colour=colour),
        ]
    return "\n".join([*parts, "</svg>"])


def heat_map(results: Results, columns: Sequence[str] | None = None) -> str:
    """Ways by workloads: the time of each cell, coloured by how many times the best of its column it is."""
    columns = results.columns if columns is None else columns
    ways = [way.name for way in results.ways]
    width = _NAMES + _CELL_WIDTH * len(columns) + 90
    parts = [_svg(width, _HEAD + _CELL_HEIGHT * len(ways) + 40)]
    for number, column in enumerate(columns):
        x = _NAMES + _CELL_WIDTH * (number + 0.5)
        parts.append(
            f'<text x="{x:.0f}" y="{_HEAD - 8}" {_FONT} font-size="12" fill="#222" '
            f'transform="rotate(-45 {x:.0f} {_HEAD - 8})">{escape(column)}</text>'
        )
    best = {column: _best(results, column) for column in columns}
    for line, way in enumerate(ways):
        y = _HEAD + _CELL_HEIGHT * line
        parts.append(_text(_NAMES - 8, y + 16, way, size=12, anchor="end"))
        for number, column in enumerate(columns):
            parts.append(_cell(results.cell(way, column), best[column], _NAMES + _CELL_WIDTH * number, y))
    bottom = _HEAD + _CELL_HEIGHT * len(ways) + 24
    parts.append(
        _text(
            _NAMES,
            bottom,
            "green: the best of its column; yellow: 5 times as long; red: 30 times or more; grey: not measured",
            size=12,
        )
    )
    return "\n".join([*parts, "</svg>"])


def _cell(cell: Row | None, best: float, x: float, y: float) -> str:
    box = f'<rect x="{x}" y="{y}" width="{_CELL_WIDTH - 2}" height="{_CELL_HEIGHT - 2}" rx="2"'
    if cell is None:
        return f'{box} fill="#f0f0f0"/>'
    times = cell.median / best
    interval = f"{seconds_text(cell.median)} ({seconds_text(cell.low)} to {seconds_text(cell.high)})"
    title = f"<title>{escape(cell.way)}, {escape(cell.column)}: {interval}, {times:.1f} × the best</title>"
    label = _text(x + _CELL_WIDTH / 2 - 1, y + 15, seconds_text(cell.median), size=10, anchor="middle")
    return f'{box} fill="{_shade(times)}">{title}</rect>{label}'


def _best(results: Results, column: str) -> float:
    return min(row.median for row in results.rows if row.column == column)


def _shade(times: float) -> str:
    """Green over yellow to red on a logarithmic scale from 1 to 30."""
    place = min(1.0, math.log(max(1.0, times), _RED))
    stops = ((0x9B, 0xD7, 0xA0), (0xFB, 0xE8, 0x9A), (0xEF, 0x8E, 0x7E))
    low, high, part = (stops[0], stops[1], 2 * place) if place < 0.5 else (stops[1], stops[2], 2 * place - 1)
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in zip(low, high, strict=True))


class _Scale:
    """From a value to a place on the picture."""

    def __init__(self, low: float, high: float, first: float, last: float, *, logarithmic: bool) -> None:
        self._logarithmic = logarithmic
        self._low, self._high = self._of(low), self._of(high)
        self._first, self._last = first, last

    def _of(self, value: float) -> float:
        return math.log10(value) if self._logarithmic else value

    def __call__(self, value: float) -> float:
        part = (self._of(value) - self._low) / ((self._high - self._low) or 1.0)
        return self._first + part * (self._last - self._first)


def _linear(low: float, high: float, first: float, last: float) -> _Scale:
    return _Scale(low, high, first, last, logarithmic=False)


def _logarithmic(low: float, high: float, first: float, last: float) -> _Scale:
    return _Scale(low, high, first, last, logarithmic=True)


def _frame(across: _Scale, up: _Scale, share_max: float, rate_min: float, rate_max: float) -> list[str]:
    """Axes, grid lines and their labels."""
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    step = 10 if share_max <= 120 else 50
    for share in range(0, int(share_max) + 1, step):
        x = across(share)
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#e4e4e4"/>')
        parts.append(_text(x, bottom + 18, f"{share} %", size=11, anchor="middle"))
    for power in range(math.floor(math.log10(rate_min)), math.ceil(math.log10(rate_max)) + 1):
        for digit in (1, 2, 5):
            rate = digit * 10.0**power
            if rate_min <= rate <= rate_max:
                y = up(rate)
                parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#e4e4e4"/>')
                parts.append(_text(_LEFT - 6, y + 4, f"{rate:g}", size=11, anchor="end"))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 14, "size on disk, share of the words", anchor="middle"))
    parts.append(_text(8, 16, "MB/s, whole volumes, warm"))
    return parts


def _svg(width: float, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img"><rect width="100%" height="100%" fill="#ffffff"/>'
    )


def _text(x: float, y: float, text: str, *, size: int = 13, anchor: str = "start", colour: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" {_FONT} font-size="{size}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(text)}</text>"
    )
