"""Rows: what is measured, what it must reach, and how a value is judged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

NOT_INSTALLED = "not installed"


class Missing(Exception):
    """A peer or data that a row needs is not there; the message names it."""


class Unbuilt(Exception):
    """What a row measures does not exist yet, so the row misses its must; the message names it."""


@dataclass
class Context:
    """What rows share: data, scratch space, and how thorough to be."""

    data: Path
    scratch: Path
    quick: bool
    shared: dict[str, Any] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        """Counted rounds of an alternation."""
        return 3 if self.quick else 9

    def series(self, which: str) -> Path:
        """A folder of files.

        ``made`` (208 × 512 × 512), ``real`` (the largest CT series of the test data), or ``scanner`` (a small CT series
        with the longest headers).
        """
        if which == "made":
            return self.made_series
        return self.found({"real": "series/ct-headneck-90", "scanner": "series/ct-tilt-irregular-ge"}[which])

    @cached_property
    def made_series(self) -> Path:
        """208 × 512 × 512, made from real pixel data."""
        from make_series import make_series

        return make_series(self.found("series").parent, self.scratch)

    def found(self, name: str) -> Path:
        """A part of the test data.

        Raises
        ------
        Missing
            It is not there.
        """
        path = self.data / name
        if not path.exists():
            raise Missing(f"test data {name} in {self.data}; name its folder with --data")
        return path


@dataclass(frozen=True)
class Measured:
    """What a row's function returns: the value, its lower and upper quartile, how often it was taken, and a remark.

    ``must`` and ``aim`` take the place of the row's own, where these are themselves measured in the run.
    """

    value: float
    low: float
    high: float
    detail: str = ""
    rounds: int = 1
    must: float | None = None
    aim: float | None = None


@dataclass(frozen=True)
class Figure:
    """One measured row."""

    row: str
    what: str
    value: float
    low: float
    high: float
    rounds: int
    unit: str
    must: float | None
    aim: float | None
    higher_is_better: bool
    peers: dict[str, str]
    detail: str

    @property
    def verdict(self) -> str:
        """aim, must or MISSED; "–" where nothing is asked for."""
        if self.must is None and self.aim is None:
            return "–"
        if math.isnan(self.value) or not self._reaches(self.must, otherwise=True):
            return "MISSED"
        return "aim" if self._reaches(self.aim, otherwise=False) else "must"

    def _reaches(self, bound: float | None, *, otherwise: bool) -> bool:
        if bound is None:
            return otherwise
        return self.value >= bound if self.higher_is_better else self.value <= bound

    @property
    def value_text(self) -> str:
        """The value with its spread."""
        if math.isnan(self.value):
            return "–"
        spread = f" ({_short(self.low)}–{_short(self.high)})" if self.rounds > 1 else ""
        return f"{_short(self.value)}{self.unit}{spread}"

    @property
    def must_text(self) -> str:
        """The bound that counts."""
        return bound_text(self.must, self.unit, self.higher_is_better)

    @property
    def aim_text(self) -> str:
        """The bound aimed at."""
        return bound_text(self.aim, self.unit, self.higher_is_better)

    @property
    def peers_text(self) -> str:
        """The peers and their versions."""
        return ", ".join(f"{name} {found}" for name, found in self.peers.items())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = {key: None if value != value else value for key, value in asdict(self).items()}
        return {**values, "verdict": self.verdict}


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def bound_text(bound: float | None, unit: str, higher: bool) -> str:
    """A bound as it is printed."""
    return "–" if bound is None else f"{'≥' if higher else '≤'} {_short(bound)}{unit}"


@dataclass(frozen=True)
class Row:
    """A row and how to measure it."""

    name: str
    what: str
    function: Callable[[Context], Measured]
    unit: str
    must: float | None
    aim: float | None
    higher_is_better: bool
    peers: tuple[str, ...]
    any_peer: bool

    @property
    def must_text(self) -> str:
        """The bound that counts."""
        return bound_text(self.must, self.unit, self.higher_is_better)

    @property
    def aim_text(self) -> str:
        """The bound aimed at."""
        return bound_text(self.aim, self.unit, self.higher_is_better)

    def measure(self, context: Context) -> Figure:
        """Measure it, with the peers' versions.

        Raises
        ------
        Missing
            A peer is not installed (with ``any_peer``: none of them), or the test data are not there.
        """
        versions = {peer: installed(peer) for peer in self.peers}
        absent = [peer for peer, found in versions.items() if found == NOT_INSTALLED]
        if absent and (not self.any_peer or len(absent) == len(versions)):
            raise Missing(f"peer {', '.join(absent)} is not installed")
        try:
            measured = self.function(context)
        except Unbuilt as reason:
            measured = Measured(math.nan, math.nan, math.nan, str(reason))
        return Figure(
            self.name, self.what, measured.value, measured.low, measured.high, measured.rounds, self.unit,
            self.must if measured.must is None else measured.must,
            self.aim if measured.aim is None else measured.aim,
            self.higher_is_better, versions, measured.detail,
        )  # fmt: skip


ROWS: dict[str, Row] = {}


def row(
    name: str,
    *,
    must: float | None,
    aim: float | None,
    unit: str = "×",
    higher: bool = True,
    peers: tuple[str, ...] = (),
    any_peer: bool = False,
    what: str | None = None,
) -> Callable[[Callable[[Context], Measured]], Callable[[Context], Measured]]:
    """Register a function as a row; ``what``, or else its docstring, says what is measured.

    All ``peers`` must be installed, or with ``any_peer`` one of them; the others are named as missing.
    """

    def register(function: Callable[[Context], Measured]) -> Callable[[Context], Measured]:
        text = what or (function.__doc__ or "").strip().split("\n")[0]
        ROWS[name] = Row(name, text, function, unit, must, aim, higher, peers, any_peer)
        return function

    return register


def installed(package: str) -> str:
    """The version of an installed package, or ``NOT_INSTALLED``."""
    try:
        return version(package)
    except PackageNotFoundError:
        return NOT_INSTALLED
