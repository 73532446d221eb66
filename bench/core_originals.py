"""Rows about originals: export to files, and single instances."""

from __future__ import annotations

import os
import shutil
import time
from functools import partial

from rows import Context, Measured, row
from sealed import WHICH, bytes_of, files_of, fresh, sealed, sync_file
from timing import alternate, percentile, spread


def _export(context: Context, which: str) -> Measured:
    archive, series = sealed(context, which)
    source = context.series(which)
    out, copy = context.scratch / "export", context.scratch / "copy"

    def clear() -> None:
        for folder in (out, copy):
            fresh(folder)
        os.sync()

    def ours() -> None:
        archive.export(out, SeriesInstanceUID=series.series_instance_uid)

    def theirs() -> None:
        copy.mkdir()
        for path in files_of(source):
            target = copy / path.name
            shutil.copyfile(path, target)
            sync_file(target)
        sync_file(copy)

    clear()
    ours()
    written = [path.read_bytes() for path in sorted(out.rglob("*.dcm"))]
    assert sorted(written) == sorted(path.read_bytes() for path in files_of(source))
    del written
    timed = alternate({"ours": ours, "cp": theirs}, rounds=context.rounds, before=clear)
    size = bytes_of(source) / 1e6
    detail = f"{size / timed.median('ours'):.0f} MB/s; cp and fsync {size / timed.median('cp'):.0f} MB/s"
    return Measured(*timed.ratio("cp", "ours"), detail, timed.rounds)


def _instance_bytes(context: Context, which: str) -> Measured:
    archive, series = sealed(context, which)
    originals = {path.read_bytes() for path in files_of(context.series(which))}
    milliseconds = []
    for uid in series.volume().sop_instance_uids:
        start = time.perf_counter()
        data = archive.instance(uid).bytes()
        milliseconds.append((time.perf_counter() - start) * 1e3)
        assert data in originals
    detail = f"99th percentile {percentile(milliseconds, 0.99):.1f} ms"
    return Measured(*spread(milliseconds), detail, len(milliseconds))


for _suffix, _which in WHICH.items():
    row(
        f"core.export{_suffix}", must=1 / 3, aim=1.0,
        what="export of the series to files, synced, as a share of the rate of cp and fsync of each",
    )(partial(_export, which=_which))  # fmt: skip
    row(
        f"core.instance-bytes{_suffix}", must=10, aim=2, unit=" ms", higher=False,
        what="archive.instance(uid).bytes() in series order, median over the instances",
    )(partial(_instance_bytes, which=_which))  # fmt: skip
