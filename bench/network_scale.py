"""Rows about size and number: large objects, many objects, many associations, and a catalog full of series."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pydicom
from network_crowds import crowd_of, crowded, filled_orthanc
from network_nodes import Node, orthanc, ours, run, storescp, version_of
from network_user import CT, EXPLICIT, IMPLICIT, STUDY_FIND, VERIFICATION, Template, User, identifier_of, series_uid_of
from rows import Context, Measured, row
from sealed import files_of, fresh
from timing import Timed, alternate, spread

import pacscore

_LARGE_FRAMES = 397  # Of 512 × 512 words: 208 MB.


def _large(context: Context) -> Path:
    """One object of 208 MB, whose frames are a real slice again and again."""
    path = context.scratch / "large-object.dcm"
    if not path.exists():
        made = pydicom.dcmread(files_of(context.made_series)[100])
        made.NumberOfFrames = _LARGE_FRAMES
        made.PixelData = bytes(made.PixelData) * _LARGE_FRAMES
        made.save_as(path, enforce_file_format=True)
    return path


def _large_timed(context: Context) -> tuple[Timed, list[float]]:
    if "network-large" in context.shared:
        found: tuple[Timed, list[float]] = context.shared["network-large"]
        return found
    path, warm = _large(context), files_of(context.made_series)[0]
    nodes: dict[str, Node] = {}
    idle: list[float] = []
    grown: list[float] = []
    with ExitStack() as running:

        def clear() -> None:
            running.close()
            folder = context.scratch / "network-large"
            fresh(folder)
            nodes["ours"] = running.enter_context(ours(folder, warm=warm))
            nodes["storescp"] = running.enter_context(storescp(context.scratch / "network-large-peer"))
            idle[:] = [nodes["ours"].peak_mb()]

        def store(name: str) -> None:
            run("storescu", "-R", "127.0.0.1", str(nodes[name].port), str(path))
            if name == "ours":
                grown.append(nodes["ours"].peak_mb() - idle[0])

        calls = {name: partial(store, name) for name in ("ours", "storescp")}
        timed = alternate(calls, rounds=max(3, context.rounds // 2), before=clear)
    context.shared["network-large"] = timed, grown
    return timed, grown


@row("network.store-large", must=0.6, aim=1.0, what="C-STORE of one object of 208 MB, × storescp, which does not sync")
def store_large(context: Context) -> Measured:
    timed, _ = _large_timed(context)
    detail = f"{timed.median('ours'):.2f} s; storescp {version_of('storescp')} {timed.median('storescp'):.2f} s"
    return Measured(*timed.ratio("storescp", "ours"), detail, timed.rounds)


@row("network.store-large-memory", must=100, aim=50, unit=" MB", higher=False, what="its peak memory above idle")
def store_large_memory(context: Context) -> Measured:
    _, grown = _large_timed(context)
    return Measured(*spread(grown), "", len(grown))


def _rate(port: int, template: Template, numbers: range, *, series: int = 0) -> float:
    """Objects a second, one association."""
    objects = [template.object(number, series=series) for number in numbers]
    with User(port, CT, EXPLICIT, called="PACSCORE") as user:
        start = time.perf_counter()
        statuses = {user.store(uid, data) for uid, data in objects}
        seconds = time.perf_counter() - start
    assert statuses == {0}, statuses
    return len(objects) / seconds


@row("network.store-flat", must=0.9, aim=0.95, what="C-STORE of 4 KB: slowest to median rate, thousands of 20,000")
def store_flat(context: Context) -> Measured:
    """Each block of 1,000 a series; the first is left out: it warms the node."""
    count = 5_000 if context.quick else 20_000
    template = Template(files_of(context.made_series)[0])
    folder = context.scratch / "network-flat"
    fresh(folder)
    with ours(folder, warm=files_of(context.made_series)[0]) as node:
        starts = range(0, count + 1000, 1000)
        rates = [_rate(node.port, template, range(at, at + 1000), series=at) for at in starts][1:]
    middle = statistics.median(rates)
    detail = f"{middle:.0f} objects/s; first {rates[0]:.0f}, last {rates[-1]:.0f}, slowest {min(rates):.0f}"
    return Measured(min(rates) / middle, min(rates) / middle, min(rates) / middle, detail)


@row(
    "network.store-crowded", must=0.9, aim=0.95, what="C-STORE of 4 KB beside 1,000,000 series: share of the empty rate"
)
def storecrowded(context: Context) -> Measured:
    count = 20_000 if context.quick else 1_000_000
    template = Template(files_of(context.made_series)[0])
    empty, full = context.scratch / "network-empty", context.scratch / "network-full"
    pacscore.create(fresh(empty)).close()
    crowded(context, full, count)
    each = 200 if context.quick else 1_000
    with ExitStack() as running:
        nodes = {folder.name: running.enter_context(ours(folder)) for folder in (empty, full)}
        taken = dict.fromkeys(nodes, 0)

        def store(name: str) -> None:
            first = taken[name]
            taken[name] += each
            _rate(nodes[name].port, template, range(first, first + each), series=first)

        calls = {name: partial(store, name) for name in nodes}
        timed = alternate(calls, rounds=context.rounds)
    fresh(full)  # Gigabytes.
    alone, beside = (each / timed.median(folder.name) for folder in (empty, full))
    detail = f"{beside:.0f} objects/s, {alone:.0f} in the empty one; {count:,} series"
    return Measured(*timed.ratio(empty.name, full.name), detail, timed.rounds)


@row(
    "network.store32", must=0, aim=0, unit=" errors", higher=False, what="C-STORE by 32 associations at once, 100 each"
)
def store32(context: Context) -> Measured:
    template = Template(files_of(context.made_series)[0])
    folder = context.scratch / "network-32"
    fresh(folder)
    each = 20 if context.quick else 100
    with ours(folder, warm=files_of(context.made_series)[0], processes=2) as node:

        def send(number: int) -> int:
            try:
                _rate(node.port, template, range(number * each, (number + 1) * each), series=number)
            except (AssertionError, OSError):
                return 1
            return 0

        start = time.perf_counter()
        with ThreadPoolExecutor(32) as pool:
            errors = sum(pool.map(send, range(32)))
        seconds = time.perf_counter() - start
    with pacscore.open(folder, read_only=True) as archive:
        count = sum(int(found["NumberOfSeriesRelatedInstances"]) for found in archive.find("series"))
    errors += 32 * each + 1 - count if not errors else 0
    return Measured(errors, errors, errors, f"{32 * each / seconds:.0f} objects/s together")


@row(
    "network.find-crowded",
    must=3.0,
    aim=10.0,
    what="C-FIND at series level, one association, 100,000 series, × Orthanc",
)
def findcrowded(context: Context) -> Measured:
    """A series by its UIDs; our catalog holds 100,000 real series and that one, Orthanc's as many made ones."""
    count, asked = crowd_of(context), 50 if context.quick else 200
    template = Template(files_of(context.made_series)[0])
    folder = crowded(context, context.scratch / "network-find", count)
    wanted = count // 2
    with ExitStack() as running:
        nodes = {"ours": running.enter_context(ours(folder))}
        nodes["Orthanc"] = running.enter_context(orthanc(filled_orthanc(context, count), kept=True))
        _rate(nodes["ours"].port, template, range(wanted, wanted + 1), series=wanted)
        identifier = identifier_of(
            QueryRetrieveLevel="SERIES",
            Modality="",
            NumberOfSeriesRelatedInstances="",
            StudyInstanceUID=series_uid_of(wanted).replace("8201", "8202"),
            SeriesInstanceUID=series_uid_of(wanted),
        )

        def ask(name: str) -> None:
            called = "ORTHANC" if name == "Orthanc" else "PACSCORE"
            with User(nodes[name].port, STUDY_FIND, IMPLICIT, called=called) as user:
                for _ in range(asked):
                    assert user.find(identifier) == 1, name

        def echo() -> None:
            with User(nodes["ours"].port, VERIFICATION, IMPLICIT, called="PACSCORE") as user:
                for _ in range(asked):
                    user.echo()

        timed = alternate({**{name: partial(ask, name) for name in nodes}, "echo": echo}, rounds=context.rounds)
    detail = (
        f"{timed.median('ours') / asked * 1e3:.2f} ms; Orthanc {version_of('Orthanc')} "
        f"{timed.median('Orthanc') / asked * 1e3:.2f} ms; our C-ECHO {timed.median('echo') / asked * 1e3:.2f} ms"
    )
    return Measured(*timed.ratio("Orthanc", "ours"), detail, timed.rounds)
