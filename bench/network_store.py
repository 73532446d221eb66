"""Rows about receipt: C-STORE by DCMTK's storescu into our node, Orthanc and storescp, sender included.

Ours acknowledges what is hashed, indexed and synced; Orthanc what is indexed and synced; storescp what is written. Our
catalog and Orthanc's hold 100,000 other series.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import pydicom
from network_crowds import crowd_of, crowded, crowded_orthanc
from network_nodes import (
    ENVIRONMENT,
    Node,
    of_nothing,
    orthanc,
    ours,
    program,
    recording,
    replaying,
    storescp,
    version_of,
)
from rows import Context, Measured, row
from sealed import files_of, fresh
from timing import Timed, alternate

import pacscore

_SMALL_COUNT = 1000
Start = Callable[[Path], AbstractContextManager[Node]]


def _small(context: Context) -> Path:
    """A thousand CT objects of about 4 KB, made of a real header."""
    folder = context.scratch / "small-objects"
    if not folder.is_dir():
        data_set = pydicom.dcmread(files_of(context.made_series)[0])
        data_set.Rows = data_set.Columns = 32
        data_set.PixelData = bytes(2 * 32 * 32)
        fresh(folder).mkdir(parents=True)
        for number in range(_SMALL_COUNT):
            data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.{number + 1}"
            data_set.InstanceNumber = number + 1
            data_set.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
    return folder


def _send(port: int, groups: list[list[Path]]) -> None:
    """Each group by a sender of its own, all at once."""
    command = [program("storescu"), "-R", "127.0.0.1", str(port)]
    senders = [subprocess.Popen([*command, *map(str, group)], env=ENVIRONMENT) for group in groups]
    codes = [sender.wait() for sender in senders]
    assert set(codes) == {0}, codes


def _stored(context: Context, source: Path, starts: dict[str, Start], *, associations: int = 1) -> Timed:
    files = files_of(source)
    groups = [files[n::associations] for n in range(associations)]
    nodes: dict[str, Node] = {}
    with ExitStack() as running:

        def clear() -> None:
            running.close()
            for name, start in starts.items():
                nodes[name] = running.enter_context(start(context.scratch / f"network-{name}"))
            os.sync()  # What was copied is not to be written while objects are synced.

        calls = {name: partial(_send_to, nodes, name, groups) for name in starts}
        clear()
        calls["ours"]()
        with pacscore.open(context.scratch / "network-ours", read_only=True) as opened:
            uid = pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID
            found = opened.find("series", SeriesInstanceUID=uid)
            count = sum(int(each["NumberOfSeriesRelatedInstances"]) for each in found)
            assert count == len(files), (count, len(files))
        return alternate(calls, rounds=max(3, context.rounds // 2), before=clear)


def _send_to(nodes: dict[str, Node], name: str, groups: list[list[Path]]) -> None:
    _send(nodes[name].port, groups)


def _ours(
    context: Context, folder: Path, *, warm: Path, path: str = "fast", processes: int = 1
) -> AbstractContextManager[Node]:
    crowded(context, folder, crowd_of(context))
    return ours(folder, path=path, processes=processes, warm=warm)


def _against(context: Context, source: Path, peer: str, start: Start, **how: int) -> Measured:
    warm = files_of(source)[0]
    processes = 2 if how.get("associations", 1) > 1 else 1
    starts: dict[str, Start] = {"ours": partial(_ours, context, warm=warm, processes=processes), peer: start}
    timed = _stored(context, source, starts, **how)
    detail = f"{timed.median('ours'):.2f} s; {peer} {version_of(peer)} {timed.median(peer):.2f} s"
    return Measured(*timed.ratio(peer, "ours"), detail, timed.rounds)


@row("network.store-orthanc", must=2.5, aim=5.0, what="C-STORE, 208 CT objects of 525 KB, one association, × Orthanc")
def store_orthanc(context: Context) -> Measured:
    return _against(context, context.made_series, "Orthanc", partial(crowded_orthanc, context))


@row("network.store-storescp", must=0.5, aim=1.0, what="the same, × storescp, which neither indexes nor syncs")
def store_storescp(context: Context) -> Measured:
    return _against(context, context.made_series, "storescp", storescp)


@row("network.store4-orthanc", must=3.0, aim=6.0, what="the same by four associations, two receivers, × Orthanc")
def store4_orthanc(context: Context) -> Measured:
    return _against(context, context.made_series, "Orthanc", partial(crowded_orthanc, context), associations=4)


@row("network.store4-storescp", must=0.9, aim=1.5, what="the same by four associations, × storescp")
def store4_storescp(context: Context) -> Measured:
    return _against(context, context.made_series, "storescp", storescp, associations=4)


@row("network.store-small", must=3.5, aim=6.0, what="C-STORE, 1,000 CT objects of 4 KB, one association, × Orthanc")
def store_small(context: Context) -> Measured:
    return _against(context, _small(context), "Orthanc", partial(crowded_orthanc, context))


@row("network.data-path", must=1.2, aim=2.0, what="C-STORE of the 208 objects by our data path, × by pynetdicom's own")
def data_path(context: Context) -> Measured:
    warm = files_of(context.made_series)[0]
    slow = partial(_ours, context, warm=warm, path="pynetdicom")
    timed = _stored(context, context.made_series, {"ours": partial(_ours, context, warm=warm), "pynetdicom": slow})
    detail = f"{timed.median('ours'):.2f} s; pynetdicom's path {timed.median('pynetdicom'):.2f} s"
    return Measured(*timed.ratio("pynetdicom", "ours"), detail, timed.rounds)


def _of_nothing(context: Context, source: Path) -> Measured:
    """A node that repeats what Orthanc had answered, and writes and syncs what it reads, but costs nothing else."""
    record, scratch = context.scratch / "network-replay.record", context.scratch
    with orthanc(scratch / "network-Orthanc") as node, recording(record, node) as recorder:
        _send(recorder.port, [files_of(source)])

    def nothing(folder: Path) -> AbstractContextManager[Node]:
        return replaying(record, journal=scratch / "network-replay.journal")

    warm = files_of(source)[0]
    starts: dict[str, Start] = {
        "ours": partial(_ours, context, warm=warm), "Orthanc": partial(crowded_orthanc, context), "nothing": nothing
    }  # fmt: skip
    return of_nothing(_stored(context, source, starts))


@row(
    "network.store-nothing",
    must=None,
    aim=None,
    what="The 208 objects to a node that only writes and syncs what it reads, × Orthanc",
)
def store_nothing(context: Context) -> Measured:
    return _of_nothing(context, context.made_series)


@row(
    "network.store-small-nothing",
    must=None,
    aim=None,
    what="The 1,000 small objects to a node that only writes and syncs, × Orthanc",
)
def store_small_nothing(context: Context) -> Measured:
    return _of_nothing(context, _small(context))
