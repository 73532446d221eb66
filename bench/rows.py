"""Rows: what is measured, what it must reach, and how a value is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


class Missing(Exception):
    """A peer or data that a row needs is not there; the message names it."""


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

    @cached_property
    def big_series(self) -> Path:
        """208 × 512 × 512, made from real pixel data."""
        from make_series import make_series

        if not (self.data / "series").is_dir():
            raise Missing(f"test data in {self.data}")
        return make_series(self.data, self.scratch)

    @cached_property
    def real_series(self) -> Path:
        """The largest real CT series of the test data."""
        return self.data / "series" / "ct-headneck-90"


@dataclass(frozen=True)
class Figure:
    """One measured row."""

    row: str
    value: float
    low: float
    high: float
    unit: str
    must: float | None
    aim: float | None
    higher_is_better: bool
    peers: dict[str, str]
    detail: str

    @property
    def verdict(self) -> str:
        """aim, must or MISSED."""
        for name, bound in (("aim", self.aim), ("must", self.must)):
            if bound is None or (self.value >= bound if self.higher_is_better else self.value <= bound):
                return name
        return "MISSED"

    @property
    def value_text(self) -> str:
        """The value with its spread."""
        return f"{self.value:.3g}{self.unit} ({self.low:.3g}–{self.high:.3g})"

    @property
    def must_text(self) -> str:
        """The bound that counts."""
        return _bound(self.must, self.unit, self.higher_is_better)

    @property
    def aim_text(self) -> str:
        """The bound aimed at."""
        return _bound(self.aim, self.unit, self.higher_is_better)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.__dict__, "verdict": self.verdict}


def _bound(bound: float | None, unit: str, higher: bool) -> str:
    return "–" if bound is None else f"{'≥' if higher else '≤'} {bound:g}{unit}"


@dataclass(frozen=True)
class Measured:
    """What a row's function returns: the value, its lower and upper quartile, and a remark."""

    value: float
    low: float
    high: float
    detail: str = ""


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

    @property
    def must_text(self) -> str:
        """The bound that counts."""
        return _bound(self.must, self.unit, self.higher_is_better)

    @property
    def aim_text(self) -> str:
        """The bound aimed at."""
        return _bound(self.aim, self.unit, self.higher_is_better)

    def measure(self, context: Context) -> Figure:
        """Measure it, with the peers' versions."""
        versions = {peer: installed(peer) for peer in self.peers}
        measured = self.function(context)
        return Figure(
            self.name, measured.value, measured.low, measured.high, self.unit, self.must, self.aim,
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
) -> Callable[[Callable[[Context], Measured]], Callable[[Context], Measured]]:
    """Register a function as a row; its docstring says what is measured."""

    def register(function: Callable[[Context], Measured]) -> Callable[[Context], Measured]:
        what = (function.__doc__ or "").strip().split("\n")[0]
        ROWS[name] = Row(name, what, function, unit, must, aim, higher, peers)
        return function

    return register


def installed(package: str) -> str:
    """The version of an installed package.

    Raises
    ------
    Missing
        It is not installed.
    """
    try:
        return version(package)
    except PackageNotFoundError:
        raise Missing(f"peer {package} is not installed") from None
