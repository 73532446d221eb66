"""Rows about what kernels cost before they run: from a full cache, and compiled from nothing.

A process of its own calls every kernel that ``pacscore warm`` covers and times the first call with each kind of
arguments, as a caller meets it: compiling or loading, and a run on small arrays, one thread. The first of all also
imports Numba; it is its own row and left out of the others.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from rows import Context, Measured, row
from sealed import fresh
from timing import alternate, spread

_WATCH = """
import json, time
from pacscore.kernels import _compile
known, seconds, plain = set(), [], _compile.Kernel.__call__
def kind(value):
    flags = getattr(value, "flags", None)
    return (type(value), getattr(value, "dtype", None), getattr(value, "ndim", None), flags and flags.writeable)
def watched(self, *values, **names):
    key = (self.__module__, self.__name__, *map(kind, values))
    if key in known:
        return plain(self, *values, **names)
    known.add(key)
    start = time.perf_counter()
    result = plain(self, *values, **names)
    seconds.append((f"{self.__module__.rsplit('.')[-1]}.{self.__name__}", time.perf_counter() - start))
    return result
_compile.Kernel.__call__ = watched
from pacscore.archive.warming import warm_kernels
import pacscore.settings
pacscore.settings.Settings.threads = lambda self: 1
warm_kernels()
print(json.dumps(seconds))
"""
_FIRST = """
import numpy as np
from pacscore.imaging import arrays
arrays.project_axis(np.ones((4, 4, 16), np.int16), 0)
"""


def _run(code: str, cache: Path) -> str:
    environment = {**os.environ, "PACSCORE_KERNEL_CACHE": str(cache)}
    done = subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True)
    return done.stdout


def _calls(cache: Path) -> list[tuple[str, float]]:
    """Each kernel's first call but the first of all; calls of some milliseconds of work are among them."""
    return [(name, seconds) for name, seconds in json.loads(_run(_WATCH, cache).splitlines()[-1])][1:]


def _compiled(context: Context) -> tuple[Path, list[tuple[str, float]]]:
    """A cache filled from nothing once in a run, and what filling it took."""
    if "kernel-cache" not in context.shared:
        folder = fresh(context.scratch / "kernel-cache")
        folder.mkdir(parents=True)
        context.shared["kernel-cache"] = folder, _calls(folder)
    found: tuple[Path, list[tuple[str, float]]] = context.shared["kernel-cache"]
    return found


def _loaded(context: Context) -> list[list[tuple[str, float]]]:
    if "kernel-loads" not in context.shared:
        cache, _ = _compiled(context)
        context.shared["kernel-loads"] = [_calls(cache) for _ in range(3 if context.quick else 5)]
    found: list[list[tuple[str, float]]] = context.shared["kernel-loads"]
    return found


def _slowest(calls: list[tuple[str, float]], count: int = 3) -> str:
    ordered = sorted(calls, key=lambda call: -call[1])[:count]
    return ", ".join(f"{name} {seconds * 1e3:.0f} ms" for name, seconds in ordered)


def _unsettled(calls: list[tuple[str, float]]) -> list[float]:
    return [seconds for _, seconds in calls]


@row("kernels.first-call", must=1.0, aim=None, unit=" s", higher=False)
def first_call(context: Context) -> Measured:
    """A fresh process's first imaging kernel, from its start, kernels cached."""
    cache, _ = _compiled(context)
    _run(_FIRST, cache)
    timed = alternate({"ours": lambda: _run(_FIRST, cache)}, rounds=context.rounds, warm=1)
    return Measured(*spread(timed.seconds["ours"]), rounds=timed.rounds)


@row("kernels.load-median", must=0.020, aim=None, unit=" s", higher=False)
def load_median(context: Context) -> Measured:
    """Each further kernel's first call, cached: the median over kernels."""
    runs = _loaded(context)
    medians = [statistics.median(_unsettled(calls)) for calls in runs]
    return Measured(*spread(medians), f"{len(runs[0])} kernels; slowest {_slowest(runs[0])}", len(runs))


@row("kernels.load-max", must=0.150, aim=None, unit=" s", higher=False)
def load_max(context: Context) -> Measured:
    """Each further kernel's first call, cached: the slowest kernel, its median over processes."""
    runs = _loaded(context)
    by_place: list[Any] = [statistics.median(seconds) for seconds in zip(*map(_unsettled, runs), strict=True)]
    worst = max(range(len(by_place)), key=by_place.__getitem__)
    return Measured(*spread([run[worst][1] for run in runs]), runs[0][worst][0], len(runs))


@row("kernels.compile-median", must=1.5, aim=None, unit=" s", higher=False)
def compile_median(context: Context) -> Measured:
    """Each further kernel's first call without a cache: the median over kernels."""
    _, calls = _compiled(context)
    value = statistics.median(_unsettled(calls))
    return Measured(value, value, value, f"{len(calls)} kernels, {sum(_unsettled(calls)):.0f} s in all")


@row("kernels.compile-max", must=10.0, aim=None, unit=" s", higher=False)
def compile_max(context: Context) -> Measured:
    """Each further kernel's first call without a cache: the slowest kernel."""
    _, calls = _compiled(context)
    value = max(_unsettled(calls))
    return Measured(value, value, value, _slowest(calls, 5))
