"""Rows about the way out: C-GET, C-MOVE and C-FIND by DCMTK's users, from our node and from Orthanc.

Both catalogs hold 100,000 other series. What a node of no cost reaches is measured beside (``network_replay``).
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pydicom
from network_crowds import crowd_of, crowded, crowded_orthanc
from network_nodes import Node, free_port, of_nothing, ours, recording, replaying, run, storescp, version_of
from rows import Context, Measured, row
from sealed import files_of, fresh
from timing import Timed, alternate

import pacscore

_FIND_COUNT = 20  # One query is a millisecond or two: each round asks so often, and starts so many programs.


def _keys(source: Path) -> list[str]:
    header = pydicom.dcmread(files_of(source)[0], stop_before_pixels=True)
    return [
        "-S",
        "-k",
        "QueryRetrieveLevel=SERIES",
        "-k",
        f"StudyInstanceUID={header.StudyInstanceUID}",
        "-k",
        f"SeriesInstanceUID={header.SeriesInstanceUID}",
    ]


def _fetched(context: Context, kind: str, *, with_nothing: bool = False) -> Timed:
    """Ours and Orthanc; ``with_nothing`` beside them a node of no cost, which repeats what Orthanc had said."""
    source = context.made_series
    keys, count = _keys(source), len(files_of(source))
    archive, out = context.scratch / "network-fetch", context.scratch / "network-out"
    orthanc_folder, record = context.scratch / "network-orthanc", context.scratch / "network-replay.record"
    crowded(context, archive, crowd_of(context))
    with pacscore.open(archive) as opened:
        opened.ingest(source)
    with ExitStack() as running:
        sink = running.enter_context(storescp(context.scratch / "network-sink", title="SINK"))
        relay = free_port()
        with crowded_orthanc(context, orthanc_folder, destination=relay) as filled:
            run("storescu", "-R", "+sd", "127.0.0.1", str(filled.port), str(source))
            if with_nothing:
                with recording(record, filled, sink=sink, sink_port=relay) as recorder:
                    fresh(out).mkdir()
                    _fetch(kind, recorder, keys, out, times=1)
        nodes = {
            "ours": running.enter_context(ours(archive, destination=sink.port)),
            "Orthanc": running.enter_context(
                crowded_orthanc(context, orthanc_folder, destination=sink.port, kept=True)
            ),
        }
        if with_nothing:
            nodes["nothing"] = running.enter_context(replaying(record, sink=sink))

        def clear() -> None:
            fresh(out).mkdir()
            for each in (context.scratch / "network-sink").iterdir():
                each.unlink()

        calls = {name: partial(_fetch, kind, node, keys, out) for name, node in nodes.items()}
        for call in calls.values():
            clear()
            call()
            if kind != "find":
                folder = out if kind == "get" else context.scratch / "network-sink"
                assert len(list(folder.iterdir())) == count, kind
        return alternate(calls, rounds=max(3, context.rounds // 2), before=clear)


def _fetch(kind: str, node: Node, keys: list[str], out: Path, *, times: int = _FIND_COUNT) -> None:
    place = ["127.0.0.1", str(node.port)]
    called = ["-aec", "ORTHANC" if node.name == "Orthanc" else "PACSCORE"]
    if kind == "get":
        run("getscu", *called, *keys, "-od", str(out), *place)
    elif kind == "move":
        run("movescu", *called, "-aem", "SINK", *keys, *place)
    else:
        for _ in range(times):
            run("findscu", *called, *keys, "-k", "Modality", "-k", "NumberOfSeriesRelatedInstances", *place)


def _against(context: Context, kind: str) -> Measured:
    timed = _fetched(context, kind)
    detail = f"{timed.median('ours'):.2f} s; Orthanc {version_of('Orthanc')} {timed.median('Orthanc'):.2f} s"
    return Measured(*timed.ratio("Orthanc", "ours"), detail, timed.rounds)


def _of_nothing(context: Context, kind: str) -> Measured:
    return of_nothing(_fetched(context, kind, with_nothing=True))


@row("network.get", must=3.0, aim=6.0, what="C-GET of a sealed series of 208 CT objects by getscu, × Orthanc")
def get(context: Context) -> Measured:
    return _against(context, "get")


@row("network.move", must=3.0, aim=6.0, what="C-MOVE of the same to storescp by movescu, × Orthanc")
def move(context: Context) -> Measured:
    return _against(context, "move")


@row("network.find", must=3.0, aim=10.0, what="C-FIND at series level by findscu, program starts included, × Orthanc")
def find(context: Context) -> Measured:
    return _against(context, "find")


@row(
    "network.get-nothing",
    must=None,
    aim=None,
    what="The same C-GET from a node of no cost, which repeats Orthanc's bytes, × Orthanc",
)
def get_nothing(context: Context) -> Measured:
    return _of_nothing(context, "get")


@row("network.move-nothing", must=None, aim=None, what="The same C-MOVE from a node of no cost, × Orthanc")
def move_nothing(context: Context) -> Measured:
    return _of_nothing(context, "move")


@row("network.find-nothing", must=None, aim=None, what="The same C-FIND from a node of no cost, × Orthanc")
def find_nothing(context: Context) -> Measured:
    return _of_nothing(context, "find")
