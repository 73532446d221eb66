"""Rows about a large catalog: loading, finding, and the way in and out beside a million series."""

from __future__ import annotations

import hashlib
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import questions
from core_in import receive_all
from core_small import small_files
from idc import Index
from questions import PAGE, Questions
from rows import Context, Measured, row
from sealed import files_of, fresh, series_uid
from timing import alternate, percentile, seconds_of, spread

import pacscore
from pacscore.catalog import Catalog, InstanceColumns, SeriesRow


def _stamp() -> str:
    """Changes with how the catalog stores: a catalog kept in the scratch folder is used again only with the same."""
    folder = Path(pacscore.__file__).parent / "catalog"
    names = ("schema.py", "attributes.py", "dialect.py", "encoding.py", "writing.py", "migrations.py", "folding.py")
    sources = [Path(__file__).with_name("idc.py"), *(folder / name for name in names)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:8]


STAMP = _stamp()  # Of the code that is running: sources may change during a long run.


def _index(context: Context) -> Index:
    if "idc" not in context.shared:
        context.shared["idc"] = Index.of(context)
    found: Index = context.shared["idc"]
    return found


def _path(context: Context) -> Path:
    kind = "quick" if context.quick else "full"
    return context.scratch / f"idc-{kind}-{_index(context).copies}-{STAMP}" / "catalog.sqlite"


def _load(context: Context, path: Path) -> tuple[float, float]:
    """Load the whole index into a new catalog: seconds, and how many of them making the rows took."""
    fresh(path.parent).mkdir(parents=True)
    unfinished = path.with_suffix(".part")
    making = 0.0

    def entries() -> Iterator[tuple[SeriesRow, InstanceColumns]]:
        nonlocal making
        source = _index(context).entries()
        while True:
            start = time.perf_counter()
            entry = next(source, None)
            making += time.perf_counter() - start
            if entry is None:
                return
            yield entry

    with Catalog.open(unfinished) as catalog:
        seconds = seconds_of(lambda: catalog.bulk_load(entries()))
        assert catalog.counts().series == _index(context).count
    unfinished.rename(path)
    return seconds, making


def _loaded(context: Context) -> Path:
    path = _path(context)
    if not path.exists():
        _load(context, path)
    return path


@row("core.catalog-load", must=15_000, aim=30_000, unit="/s")
def load(context: Context) -> Measured:
    """Loading 1,044,191 real series through the catalog's bulk path, indexes included; without making the rows."""
    index = _index(context)
    path = _path(context)
    seconds, making = _load(context, path)
    rate = index.count / (seconds - making)
    detail = (
        f"{index.count:,} series in {seconds - making:.0f} s, and {making:.0f} s for making rows of Parquet "
        f"({index.count / seconds:,.0f}/s with them); {path.stat().st_size / 1e6:.0f} MB; {index.name}"
    )
    return Measured(rate, rate, rate, detail)


def _check_answers(catalog: Catalog, index: Index, question: questions.Question) -> None:
    """A few answers as Arrow counts them; only where matching is by equality of the text."""
    keys = set().union(*question.matches)
    if question.level != "series" or question.options or not keys <= _EXACT:
        return
    for match in question.matches[:5]:
        if any(set(str(value)) & set("*?\\") for value in match.values()):
            continue
        limit = 2000
        found = sum(1 for _ in catalog.find("series", match, limit=limit))
        assert found == min(limit, index.counted(match)), (question.name, match, found)


_EXACT = {"SeriesInstanceUID", "StudyInstanceUID", "PatientID", "Modality", "BodyPartExamined"}


def _find(context: Context, asked: Questions, scale: float) -> Measured:
    """The 99th percentile over the values of the slowest kind of question; each value is the median of three."""
    index = _index(context)
    sample = index.sample(30 if context.quick else 300)
    worst, low, words, count = 0.0, 0.0, [], 0
    with Catalog.open(_loaded(context), read_only=True) as catalog:
        for question in asked(sample):
            _check_answers(catalog, index, question)
            seconds = [_asked(catalog, question, match) for match in question.matches]
            middle, high = statistics.median(seconds) * scale, percentile(seconds, 0.99) * scale
            count += len(seconds)
            words.append((high, f"{question.name} {middle:.3g}/{high:.3g}"))
            if high >= worst:
                worst, low = high, middle
    slowest = ", ".join(text for _, text in sorted(words, reverse=True)[:6])
    return Measured(worst, low, worst, f"p50/p99: {slowest}", count)


def _asked(catalog: Catalog, question: questions.Question, match: dict[str, Any]) -> float:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        list(catalog.find(question.level, match, limit=PAGE, **question.options))
        seconds.append(time.perf_counter() - start)
        if seconds[0] > 2:
            break
    return statistics.median(seconds)


for _name, _what, _asked_by, _must, _aim, _scale in (
    ("one-key", "one key", questions.one_key, 30, 5, 1e3),
    ("three-keys", "three keys", questions.three_keys, 100, 20, 1e3),
    ("ordered", "ordered by StudyDate", questions.ordered, 250, 50, 1e3),
    ("levels", "keys of several levels", questions.levels, 250, 50, 1e3),
    ("substring", "*x* on SeriesDescription", questions.substring, 250, 50, 1e3),
    ("unindexed", "an attribute without an index", questions.unindexed, 10, 2, 1),
):
    row(
        f"core.find-{_name}", must=_must, aim=_aim, unit=" ms" if _scale > 1 else " s", higher=False,
        what=f"find over a million real series, {_what}, first page of 100: p99 of the slowest kind (low: its p50)",
    )(partial(_find, asked=_asked_by, scale=_scale))  # fmt: skip


@row("core.find-cancel", must=1.0, aim=None, unit=" s", higher=False)
def cancel(context: Context) -> Measured:
    """From cancelling a search without an index over a million series to its error."""
    told = threading.Event()
    moments: list[float] = []

    def tell() -> None:
        moments.append(time.perf_counter())
        told.set()

    with Catalog.open(_loaded(context), read_only=True) as catalog:
        timer = threading.Timer(0.01 if context.quick else 0.2, tell)
        timer.start()
        try:
            list(catalog.find("series", {"EchoTime": 7}, cancel=told))
        except pacscore.errors.CancelledError:
            seconds = time.perf_counter() - moments[0]
        else:
            raise AssertionError("the search ended before it was cancelled")
    return Measured(seconds, seconds, seconds)


# Beside a million series and twenty million instances.


def _crowd(context: Context) -> tuple[int, int]:
    """Series, and instances of each."""
    return (20_000, 20) if context.quick else (1_000_000, 20)


def _long(context: Context) -> Path:
    """The files of the series of 5,000 instances."""
    return small_files(context, "long", 500 if context.quick else 5_000, 1)


def _crowd_catalog(context: Context) -> Path:
    """A catalog of the crowd alone; kept, for it takes minutes."""
    count, instances = _crowd(context)
    path = context.scratch / f"crowd-{count}-{STAMP}" / "catalog.sqlite"
    if not path.exists():
        fresh(path.parent).mkdir(parents=True)
        unfinished = path.with_suffix(".part")
        with Catalog.open(unfinished) as catalog:
            catalog.bulk_load(_index(context).entries(limit=count, instances=instances))
            found = catalog.counts()
        assert (found.series, found.instances) == (count, count * instances), found
        unfinished.rename(path)
    return path


def _archives(context: Context) -> tuple[Path, Path]:
    """An archive with one series of 5,000 instances, and the same with the crowd in its catalog; made once in a run.

    The crowd is in the catalog first: an archive whose event log is empty takes any catalog for its own.
    """
    empty, full = context.scratch / "crowd-none", context.scratch / "crowd-all"
    if "crowd" not in context.shared:
        for folder in (empty, full):
            pacscore.create(fresh(folder)).close()
            if folder == full:
                shutil.copyfile(_crowd_catalog(context), full / "catalog.sqlite")
            with pacscore.open(folder) as archive:
                assert archive.ingest(_long(context)).stored == len(files_of(_long(context)))
        count, instances = _crowd(context)
        with Catalog.open(full / "catalog.sqlite", read_only=True) as catalog:
            found = catalog.counts()
        assert (found.series, found.instances) == (count + 1, count * instances + len(files_of(_long(context)))), found
        context.shared["crowd"] = True
    return empty, full


class _Objects:
    """Small instances, new in every batch: the UIDs of a real one are replaced in its bytes."""

    def __init__(self, context: Context) -> None:
        import io

        import pydicom

        dataset = pydicom.dcmread(files_of(small_files(context, "warm", 100, 2))[0])
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.8100.1000000"
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = "2.25.8101.1000000", "2.25.8102.1000000"
        written = io.BytesIO()
        dataset.save_as(written)
        self._template = written.getvalue()
        self._next = 1_000_000

    def batch(self, count: int, *, series: int = 8) -> list[bytes]:
        made = []
        first, self._next = self._next, self._next + count
        for number in range(first, first + count):
            data = self._template.replace(b"2.25.8100.1000000", b"2.25.8100.%07d" % number)
            group = first + number % series
            for root in (b"2.25.8101", b"2.25.8102"):
                data = data.replace(root + b".1000000", root + b".%07d" % group)
            made.append(data)
        return made


@contextmanager
def _copied(source: Path, target: Path) -> Iterator[pacscore.Archive]:
    shutil.copytree(source, fresh(target))
    with pacscore.open(target) as archive:
        yield archive


@row("core.crowded-receive", must=0.8, aim=0.95)
def crowded_receive(context: Context) -> Measured:
    """Receipt of new and known instances beside 1,000,000 series, 20,000,000 instances: share of the empty rate."""

    empty, full = _archives(context)
    count = 200 if context.quick else 1_000
    objects = _Objects(context)
    known = [path.read_bytes() for path in files_of(_long(context))[: count // 2]]
    batch: list[bytes] = []

    def renew() -> None:
        batch[:] = objects.batch(count)

    def work(archive: pacscore.Archive) -> None:
        receive_all(archive, batch)
        receive_all(archive, batch, status="duplicate")
        receive_all(archive, known, status="duplicate")

    with (
        _copied(empty, context.scratch / "crowd-empty") as alone,
        _copied(full, context.scratch / "crowd-full") as crowded,
    ):
        timed = alternate(
            {"empty": lambda: work(alone), "full": lambda: work(crowded)}, rounds=context.rounds, before=renew
        )
    fresh(context.scratch / "crowd-full")  # Gigabytes.
    total = 2 * count + len(known)
    detail = (
        f"{total / timed.median('full'):.0f} objects/s, {total / timed.median('empty'):.0f} in the empty one; "
        f"{count} new, {count} known to the journal, {len(known)} sealed; {_crowd(context)[0]:,} series"
    )
    return Measured(*timed.ratio("empty", "full"), detail, timed.rounds)


@row("core.crowded-plane", must=20, aim=5, unit=" ms", higher=False)
def crowded_plane(context: Context) -> Measured:
    """Opening the archive of 1,000,000 series for reading, and one plane of its series of 5,000 instances."""

    _, full = _archives(context)
    with pacscore.open(full, read_only=True) as archive:
        uid = series_uid(archive, StudyInstanceUID=_study(context))
    steps: dict[str, list[float]] = {"open": [], "series": [], "volume": [], "plane": []}
    totals = []
    for _ in range(3 + 2 * context.rounds):
        moments = [time.perf_counter()]
        archive = pacscore.open(full, read_only=True)
        moments.append(time.perf_counter())
        series = archive.series(uid)
        moments.append(time.perf_counter())
        volume = series.volume()
        moments.append(time.perf_counter())
        plane = volume[volume.shape[0] // 2]
        moments.append(time.perf_counter())
        archive.close()
        totals.append((moments[-1] - moments[0]) * 1e3)
        for name, start, stop in zip(steps, moments, moments[1:], strict=False):
            steps[name].append((stop - start) * 1e3)
    import pydicom

    files = files_of(_long(context))
    assert (plane == pydicom.dcmread(files[len(files) // 2]).pixel_array).all()
    detail = ", ".join(f"{name} {statistics.median(values):.1f} ms" for name, values in steps.items())
    return Measured(*spread(totals[3:]), detail, len(totals) - 3)


def _study(context: Context) -> str:
    import pydicom

    uid: str = pydicom.dcmread(files_of(_long(context))[0], stop_before_pixels=True).StudyInstanceUID
    return uid
