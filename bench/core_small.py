"""Rows about many small objects: rates of small instances and of series of one, first tenth against last."""

from __future__ import annotations

import os
from pathlib import Path

from core_in import receive_all
from rows import Context, Measured, row
from sealed import bytes_of, files_of, fresh
from timing import seconds_of, spread

import pacscore

_TENTHS = 10


def small_files(context: Context, name: str, count: int, series: int) -> Path:
    """Real 64 × 64 MR instances with new UIDs, ``count`` of them in ``series`` series; made once."""
    import pydicom

    folder = context.scratch / f"{name}-{count}"
    if folder.is_dir() and len(list(folder.iterdir())) == count:
        return folder
    fresh(folder).mkdir(parents=True)
    source = pydicom.dcmread(files_of(context.found("series/mr-fmri-ge-multiphase"))[0])
    assert (source.Rows, source.Columns) == (64, 64)
    for number in range(count):
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = f"2.25.8000.{count}.{series}.{number}"
        source.SeriesInstanceUID = f"2.25.8001.{count}.{series}.{number % series}"
        source.InstanceNumber = number // series + 1
        source.ImagePositionPatient = [0, 0, float(number // series)]
        source.save_as(folder / f"{number:06d}.dcm")
    return folder


def _warm_up(context: Context) -> None:
    """Compile and load what an ingest and a receipt need, in an archive that is thrown away."""
    folder = small_files(context, "warm", 100, 2)
    with pacscore.create(fresh(context.scratch / "warm-archive")) as archive:
        archive.ingest(folder)
    with pacscore.create(fresh(context.scratch / "warm-archive")) as archive:
        receive_all(archive, [path.read_bytes() for path in files_of(folder)])


def _ingest_rates(context: Context, folder: Path, count: int) -> list[float]:
    _warm_up(context)
    rates = []
    for _ in range(1 if context.quick else 3):
        os.sync()
        with pacscore.create(fresh(context.scratch / "small-archive")) as archive:
            seconds = seconds_of(lambda archive=archive: archive.ingest(folder))  # type: ignore[misc]
            stats = archive.stats()
        assert stats["instances"] == count, stats
        rates.append(count / seconds)
    return rates


@row("core.small-instances", must=1000, aim=2000, unit="/s")
def small_instances(context: Context) -> Measured:
    """Ingest of 10,000 instances of 64 × 64 in four series, after warm-up."""
    count = 1000 if context.quick else 10_000
    rates = _ingest_rates(context, small_files(context, "small", count, 4), count)
    return Measured(*spread(rates), f"{count} instances in {count / spread(rates)[0]:.1f} s", len(rates))


@row("core.small-series", must=150, aim=None, unit="/s")
def small_series(context: Context) -> Measured:
    """Ingest of 5,000 series of one instance; half the rate of a synced file each will do, that rate is the aim."""
    count = 500 if context.quick else 5_000
    folder = small_files(context, "singles", count, count)
    synced = [_synced_rate(context, folder)]
    rates = _ingest_rates(context, folder, count)
    synced.append(_synced_rate(context, folder))
    plain = sum(synced) / len(synced)
    files = sum(1 for path in (context.scratch / "small-archive").rglob("*") if path.is_file())
    detail = f"one synced file each: {plain:.0f}/s; {files} files in the archive"
    return Measured(*spread(rates), detail, len(rates), must=min(150.0, plain / 2), aim=plain)


def _synced_rate(context: Context, folder: Path) -> float:
    """Files a second, each of an object's bytes and synced."""
    objects = [path.read_bytes() for path in files_of(folder)[:500]]
    target = fresh(context.scratch / "synced")
    target.mkdir()

    def write() -> None:
        for number, item in enumerate(objects):
            descriptor = os.open(target / str(number), os.O_CREAT | os.O_WRONLY)
            os.write(descriptor, item)
            os.fsync(descriptor)
            os.close(descriptor)

    return len(objects) / seconds_of(write)


@row("core.small-instances-tail", must=0.9, aim=None)
def small_instances_tail(context: Context) -> Measured:
    """10,000 instances of 64 × 64 in four series, received: rate of the last tenth as a share of the first's."""
    count = 1000 if context.quick else 10_000
    objects = [path.read_bytes() for path in files_of(small_files(context, "small", count, 4))]
    _warm_up(context)
    part = count // _TENTHS
    runs = []
    for _ in range(1 if context.quick else 3):
        with pacscore.create(fresh(context.scratch / "tail-archive")) as archive:
            runs.append([
                seconds_of(lambda a=archive, n=n: receive_all(a, objects[n * part : (n + 1) * part]))  # type: ignore[misc]
                for n in range(_TENTHS)
            ])  # fmt: skip
    return _tail(runs, part, sum(map(len, objects)))


@row("core.small-series-tail", must=0.9, aim=None)
def small_series_tail(context: Context) -> Measured:
    """5,000 series of one instance, ingested by tenths: rate of the last tenth as a share of the first's."""
    count = 500 if context.quick else 5_000
    folder = small_files(context, "singles", count, count)
    files = files_of(folder)
    _warm_up(context)
    part = count // _TENTHS
    runs = []
    for _ in range(1 if context.quick else 3):
        with pacscore.create(fresh(context.scratch / "tail-archive")) as archive:
            runs.append([
                seconds_of(lambda a=archive, n=n: a.ingest(*files[n * part : (n + 1) * part]))  # type: ignore[misc]
                for n in range(_TENTHS)
            ])  # fmt: skip
            assert archive.stats()["series"] == count
    return _tail(runs, part, bytes_of(folder))


def _tail(runs: list[list[float]], part: int, total: int) -> Measured:
    ratios = [seconds[0] / seconds[-1] for seconds in runs]
    tenths = ", ".join(f"{part / seconds:.0f}" for seconds in runs[len(runs) // 2])
    return Measured(*spread(ratios), f"rates of the tenths: {tenths} /s; {total / 1e6:.0f} MB", len(ratios))
