"""Rows about the way out: C-GET, C-MOVE and C-FIND by DCMTK's users, from our node and from Orthanc."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pydicom
from network_nodes import Node, orthanc, ours, run, storescp, version_of
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


def _fetched(context: Context, kind: str) -> Timed:
    source = context.made_series
    keys, count = _keys(source), len(files_of(source))
    archive, out = context.scratch / "network-fetch", context.scratch / "network-out"
    pacscore.create(fresh(archive)).close()
    with pacscore.open(archive) as opened:
        opened.ingest(source)
    with ExitStack() as running:
        sink = running.enter_context(storescp(context.scratch / "network-sink", title="SINK"))
        nodes = {
            "ours": running.enter_context(ours(archive, destination=sink.port)),
            "Orthanc": running.enter_context(orthanc(context.scratch / "network-orthanc", destination=sink.port)),
        }
        run("storescu", "-R", "+sd", "127.0.0.1", str(nodes["Orthanc"].port), str(source))

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


def _fetch(kind: str, node: Node, keys: list[str], out: Path) -> None:
    place = ["127.0.0.1", str(node.port)]
    called = ["-aec", "ORTHANC" if node.name == "Orthanc" else "PACSCORE"]
    if kind == "get":
        run("getscu", *called, *keys, "-od", str(out), *place)
    elif kind == "move":
        run("movescu", *called, "-aem", "SINK", *keys, *place)
    else:
        for _ in range(_FIND_COUNT):
            run("findscu", *called, *keys, "-k", "Modality", "-k", "NumberOfSeriesRelatedInstances", *place)


def _against(context: Context, kind: str) -> Measured:
    timed = _fetched(context, kind)
    detail = f"{timed.median('ours'):.2f} s; Orthanc {version_of('Orthanc')} {timed.median('Orthanc'):.2f} s"
    return Measured(*timed.ratio("Orthanc", "ours"), detail, timed.rounds)


@row("network.get", must=3.0, aim=6.0, what="C-GET of a sealed series of 208 CT objects by getscu, × Orthanc")
def get(context: Context) -> Measured:
    return _against(context, "get")


@row("network.move", must=3.0, aim=6.0, what="C-MOVE of the same to storescp by movescu, × Orthanc")
def move(context: Context) -> Measured:
    return _against(context, "move")


@row("network.find", must=3.0, aim=10.0, what="C-FIND at series level by findscu, program starts included, × Orthanc")
def find(context: Context) -> Measured:
    return _against(context, "find")
