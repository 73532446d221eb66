"""Figures of the archive core: headers, ingest, receipt, volumes, planes, originals, sizes, many small series."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from rows import Context, Measured, Missing, row
from timing import alternate, spread

import pacscore


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _sealed(context: Context) -> tuple[pacscore.Archive, pacscore.Series]:
    """The big series in an archive under the default strategy, made once."""
    if "sealed" not in context.shared:
        folder = context.scratch / "sealed"
        shutil.rmtree(folder, ignore_errors=True)
        archive = pacscore.create(folder)
        archive.ingest(context.big_series)
        uid = next(iter(archive.find("series")))["SeriesInstanceUID"]
        context.shared["sealed"] = archive, archive.series(uid)
    return context.shared["sealed"]  # type: ignore[no-any-return]


def _unpacked(context: Context) -> Path:
    """The generation of the big series as a folder, for peers that read only folders; the array's path."""
    archive, series = _sealed(context)
    folder = context.scratch / "unpacked"
    if not folder.exists():
        with zipfile.ZipFile(archive.root / series.generation) as file:
            file.extractall(folder)
    return folder / "0"


@row("core.walk", must=100, aim=150, peers=("pydicom",))
def walk_alone(context: Context) -> Measured:
    """The element walk against pydicom.dcmread(stop_before_pixels=True), from bytes in memory."""
    import io

    import pydicom

    from pacscore.dicom.elements import walk
    from pacscore.dicom.part10 import read_file_parts
    from pacscore.dicom.syntaxes import transfer_syntax

    data = [path.read_bytes()[:65536] for path in _files(context.big_series)[:50]]
    starts = []
    for each in data:
        parts = read_file_parts(each)
        starts.append((parts.prefix_length, transfer_syntax(parts.transfer_syntax_uid)))

    def ours() -> None:
        for each, (start, syntax) in zip(data, starts, strict=True):
            walk(each, start, explicit=syntax.explicit, little_endian=syntax.little_endian)

    def theirs() -> None:
        for each in data:
            pydicom.dcmread(io.BytesIO(each), stop_before_pixels=True)

    timed = alternate({"ours": ours, "pydicom": theirs}, rounds=context.rounds)
    value = timed.ratio("pydicom", "ours")
    return Measured(
        *value,
        f"{timed.median('ours') / len(data) * 1e6:.1f} µs; pydicom {timed.median('pydicom') / len(data) * 1e6:.0f} µs",
    )


@row("core.header", must=8, aim=13, peers=("pydicom",))
def header_to_row(context: Context) -> Measured:
    """From bytes to catalog row values and frame geometry, against pydicom.dcmread(stop_before_pixels=True) alone."""
    import io

    import pydicom

    from pacscore.catalog.attributes import CATALOG_KEYWORDS
    from pacscore.dicom.attributes import Header
    from pacscore.dicom.scan import scan
    from pacscore.geometry import GEOMETRY_KEYWORDS, frames_of

    data = [path.read_bytes() for path in _files(context.big_series)[:50]]
    heads = [each[:65536] for each in data]
    sizes = [len(each) for each in data]
    keywords = GEOMETRY_KEYWORDS | CATALOG_KEYWORDS

    def ours() -> None:
        for head, size in zip(heads, sizes, strict=True):
            document = Header(head, scan(head, total_length=size)).document(keywords=keywords)
            frames_of(document, 0)

    def theirs() -> None:
        for head in heads:
            pydicom.dcmread(io.BytesIO(head), stop_before_pixels=True)

    timed = alternate({"ours": ours, "pydicom": theirs}, rounds=context.rounds)
    value = timed.ratio("pydicom", "ours")
    return Measured(*value, f"{timed.median('ours') / len(data) * 1e6:.0f} µs an object")


@row("core.ingest", must=1.5, aim=1.0, higher=False, peers=("dcm2niix",))
def ingest_series(context: Context) -> Measured:
    """Ingest, sealed, durable, hashed, proven, as a multiple of dcm2niix -z n, which keeps voxels alone, unsynced."""
    source, archive, nifti = context.big_series, context.scratch / "ingest", context.scratch / "nifti"
    program = shutil.which("dcm2niix") or str(Path(sys.executable).parent / "dcm2niix")

    def clear() -> None:
        for folder in (archive, nifti):
            shutil.rmtree(folder, ignore_errors=True)
        nifti.mkdir()
        pacscore.create(archive).close()
        os.sync()

    def ours() -> None:
        with pacscore.open(archive) as opened:
            assert opened.ingest(source).stored == len(_files(source))

    def theirs() -> None:
        command = [program, "-z", "n", "-b", "n", "-o", str(nifti), str(source)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    timed = alternate({"ours": ours, "dcm2niix": theirs}, rounds=context.rounds, before=clear)
    rate = _bytes(source) / timed.median("ours") / 1e6
    return Measured(*timed.ratio("ours", "dcm2niix"), f"{timed.median('ours') * 1e3:.0f} ms, {rate:.0f} MB/s")


@row("core.receive", must=0.6, aim=0.9)
def durable_receive(context: Context) -> Measured:
    """Durable receive from 8 threads of 525 KB instances, as a share of appending the bytes with a sync per 4 MiB."""
    data = [path.read_bytes() for path in _files(context.big_series)[:160]]
    total = sum(map(len, data))
    folder = context.scratch / "receive"

    def clear() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        pacscore.create(folder).close()
        os.sync()

    def ours() -> None:
        with pacscore.open(folder) as archive:
            items = iter(data)
            lock = threading.Lock()

            def work() -> None:
                while True:
                    with lock:
                        item = next(items, None)
                    if item is None:
                        return
                    assert archive.receive(item).status == "stored"

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def plain() -> None:
        descriptor = os.open(folder / "plain.bin", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        pending = 0
        for item in data:
            os.write(descriptor, item)
            pending += len(item)
            if pending >= 4 << 20:
                os.fdatasync(descriptor)
                pending = 0
        os.fdatasync(descriptor)
        os.close(descriptor)

    timed = alternate({"ours": ours, "plain": plain}, rounds=context.rounds, before=clear)
    return Measured(*timed.ratio("plain", "ours"), f"{total / timed.median('ours') / 1e6:.0f} MB/s")


def _peer_reads(context: Context, box: tuple[slice, ...]) -> dict[str, Any]:
    """The same box from the same store by tensorstore, zarr-python and zarrs, each at its best: from a folder."""
    import tensorstore
    import zarr

    path = _unpacked(context)
    opened = tensorstore.open(
        {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path) + "/"}},
        context=tensorstore.Context({"data_copy_concurrency": {"limit": 2}, "cache_pool": {"total_bytes_limit": 0}}),
        read=True,
    ).result()
    plain = zarr.open_array(path, mode="r")
    readers: dict[str, Any] = {
        "tensorstore": lambda: opened[box].read().result(),
        "zarr": lambda: plain[box],
    }
    try:
        import zarrs  # noqa: F401  # Registers its pipeline.
    except ImportError:
        return readers

    def by_zarrs() -> Any:
        with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
            return zarr.open_array(path, mode="r")[box]

    readers["zarrs"] = by_zarrs
    return readers


def _against_peers(context: Context, box: tuple[slice, ...]) -> Measured:
    _, series = _sealed(context)
    volume = series.volume()
    readers = {"ours": lambda: volume.source.read(_full(box, volume.shape)), **_peer_reads(context, box)}
    expected = readers["tensorstore"]()
    for name, read in readers.items():
        assert np.array_equal(np.asarray(read()).reshape(expected.shape), expected), name
    timed = alternate(readers, rounds=context.rounds if context.quick else 15)
    best = timed.fastest(*(name for name in readers if name != "ours"))
    return Measured(
        *timed.ratio(best, "ours"), f"{timed.median('ours') * 1e3:.2f} ms; {best} {timed.median(best) * 1e3:.2f} ms"
    )


def _full(box: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(*part.indices(length)[:2]) for part, length in zip(box, shape, strict=True))


@row("core.volume", must=1.5, aim=2.5, peers=("tensorstore", "zarr", "zarrs"))
def whole_volume(context: Context) -> Measured:
    """The whole volume against the fastest of tensorstore, zarr-python and zarrs on the very same store."""
    return _against_peers(context, (slice(None), slice(None), slice(None)))


@row("core.volume-npload", must=4.5, aim=2.2, higher=False, peers=("numpy",))
def volume_npload(context: Context) -> Measured:
    """The whole volume as a multiple of np.load of the same array."""
    _, series = _sealed(context)
    volume = series.volume()
    path = context.scratch / "volume.npy"
    np.save(path, volume.array())
    timed = alternate({"ours": volume.array, "npload": lambda: np.load(path)}, rounds=context.rounds + 6)
    return Measured(
        *timed.ratio("ours", "npload"),
        f"{timed.median('ours') * 1e3:.1f} ms; np.load {timed.median('npload') * 1e3:.1f} ms",
    )


@row("core.volume-files", must=6, aim=12, peers=("SimpleITK",))
def volume_files(context: Context) -> Measured:
    """The whole volume against SimpleITK's ImageSeriesReader on the original files."""
    import SimpleITK

    _, series = _sealed(context)
    volume = series.volume()
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(context.big_series))

    def theirs() -> Any:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(names)
        return reader.Execute()

    assert np.array_equal(SimpleITK.GetArrayFromImage(theirs()).astype(np.float32), volume.modality())
    timed = alternate({"ours": volume.array, "SimpleITK": theirs}, rounds=5 if not context.quick else 3)
    return Measured(*timed.ratio("SimpleITK", "ours"), f"{timed.median('SimpleITK') * 1e3:.0f} ms from files")


@row("core.plane-axial", must=1.0, aim=2.0, peers=("tensorstore", "zarr", "zarrs"))
def plane_axial(context: Context) -> Measured:
    """One axial plane against the fastest of the same three."""
    return _against_peers(context, (slice(100, 101), slice(None), slice(None)))


@row("core.plane-coronal", must=1.0, aim=2.0, peers=("tensorstore", "zarr", "zarrs"))
def plane_coronal(context: Context) -> Measured:
    """One coronal plane against the fastest of the same three."""
    return _against_peers(context, (slice(None), slice(250, 251), slice(None)))


@row("core.plane-sagittal", must=1.0, aim=2.0, peers=("tensorstore", "zarr", "zarrs"))
def plane_sagittal(context: Context) -> Measured:
    """One sagittal plane against the fastest of the same three."""
    return _against_peers(context, (slice(None), slice(None), slice(250, 251)))


@row("core.box", must=1.0, aim=2.0, peers=("tensorstore", "zarr", "zarrs"))
def box(context: Context) -> Measured:
    """A 64³ box off the chunk grid against the fastest of the same three."""
    return _against_peers(context, (slice(70, 134), slice(201, 265), slice(187, 251)))


@row("core.export", must=1 / 3, aim=1.0)
def export_series(context: Context) -> Measured:
    """Export of the series to files, as a share of the rate of cp and fsync of each file."""
    archive, series = _sealed(context)
    out, copy = context.scratch / "export", context.scratch / "copy"

    def clear() -> None:
        for folder in (out, copy):
            shutil.rmtree(folder, ignore_errors=True)
        os.sync()

    def theirs() -> None:
        copy.mkdir()
        for path in _files(context.big_series):
            target = copy / path.name
            shutil.copyfile(path, target)
            descriptor = os.open(target, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    timed = alternate(
        {"ours": lambda: archive.export(out, SeriesInstanceUID=series.series_instance_uid), "cp": theirs},
        rounds=context.rounds, before=clear,
    )  # fmt: skip
    return Measured(*timed.ratio("cp", "ours"), f"{_bytes(context.big_series) / timed.median('ours') / 1e6:.0f} MB/s")


@row("core.instance-bytes", must=10, aim=2, unit=" ms", higher=False)
def instance_bytes(context: Context) -> Measured:
    """instance.bytes() in series order, median."""
    archive, series = _sealed(context)
    uids = series.volume().sop_instance_uids
    milliseconds = []
    for uid in uids:
        start = time.perf_counter()
        archive.instance(uid).bytes()
        milliseconds.append((time.perf_counter() - start) * 1e3)
    return Measured(
        *spread(milliseconds), f"99th percentile {sorted(milliseconds)[int(0.99 * len(milliseconds))]:.1f} ms"
    )


def _manifest_series(context: Context) -> list[Path]:
    """All native CT and MR series of the manifest."""
    found = []
    for line in (context.data / "MANIFEST.tsv").read_text("utf-8").splitlines()[1:]:
        cells = line.split("\t")
        if (
            cells[1] == "series"
            and cells[2] in {"CT", "MR"}
            and cells[5] in {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}
        ):
            found.append(context.data / cells[0])
    if not found:
        raise Missing(f"series of the manifest in {context.data}")
    return found


def _size(context: Context, strategy: str) -> Measured:
    folders = _manifest_series(context)
    archive = context.scratch / f"size-{strategy}"
    shutil.rmtree(archive, ignore_errors=True)
    with pacscore.create(archive, strategy=strategy) as made:
        made.ingest(*folders)
    stored = int(
        subprocess.run(["du", "-sb", str(archive)], check=True, capture_output=True, text=True).stdout.split()[0]
    )
    original = sum(map(_bytes, folders))
    value = 100 * stored / original
    return Measured(value, value, value, f"{stored / 1e6:.1f} of {original / 1e6:.1f} MB")


@row("core.size-balanced", must=50, aim=42, unit=" %", higher=False)
def size_balanced(context: Context) -> Measured:
    """du -sb of an archive of all native CT and MR of the manifest, as a share of the files' bytes."""
    return _size(context, "balanced")


@row("core.size-archive", must=42, aim=None, unit=" %", higher=False)
def size_archive(context: Context) -> Measured:
    """The same under the archive strategy."""
    return _size(context, "archive")


def _small_files(context: Context, name: str, count: int, series: int) -> Path:
    """Real 64 × 64 MR instances with new UIDs, ``count`` of them in ``series`` series."""
    import pydicom

    folder = context.scratch / name
    if folder.is_dir() and len(list(folder.iterdir())) == count:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source = pydicom.dcmread(next((context.data / "series" / "mr-fmri-ge-multiphase").iterdir()))
    for number in range(count):
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = f"2.25.8000.{count}.{series}.{number}"
        source.SeriesInstanceUID = f"2.25.8001.{count}.{series}.{number % series}"
        source.InstanceNumber = number // series + 1
        source.ImagePositionPatient = [0, 0, float(number // series)]
        source.save_as(folder / f"{number:06d}.dcm")
    return folder


@row("core.small-instances", must=1000, aim=2000, unit="/s")
def small_instances(context: Context) -> Measured:
    """10,000 instances of 64 × 64 in four series, after warm-up."""
    count = 1000 if context.quick else 10_000
    folder = _small_files(context, "small", count, 4)
    archive = context.scratch / "small-archive"
    shutil.rmtree(archive, ignore_errors=True)
    with pacscore.create(archive) as opened:
        report = opened.ingest(folder)
        assert report.stored == count
    rate = count / report.seconds
    return Measured(rate, rate, rate, f"{report.seconds:.1f} s")


@row("core.small-series", must=150, aim=None, unit="/s")
def small_series(context: Context) -> Measured:
    """5,000 one-instance series."""
    count = 500 if context.quick else 5_000
    folder = _small_files(context, "singles", count, count)
    archive = context.scratch / "singles-archive"
    shutil.rmtree(archive, ignore_errors=True)
    with pacscore.create(archive) as opened:
        report = opened.ingest(folder)
        assert report.stored == count
        assert opened.stats()["series"] == count
    rate = count / report.seconds
    data = [path.read_bytes() for path in _files(folder)[:500]]
    target = context.scratch / "synced"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    start = time.perf_counter()
    for number, item in enumerate(data):
        descriptor = os.open(target / str(number), os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, item)
        os.fsync(descriptor)
        os.close(descriptor)
    synced = len(data) / (time.perf_counter() - start)
    files = sum(1 for path in archive.rglob("*") if path.is_file())
    return Measured(rate, rate, rate, f"one synced file each: {synced:.0f}/s; {files} files in the archive")


@row("core.memory", must=700, aim=400, unit=" MB", higher=False)
def ingest_memory(context: Context) -> Measured:
    """Peak anonymous memory of a process that ingests a 1 GB series."""
    from make_series import make_series

    folder = make_series(context.data, context.scratch, 400 if context.quick else 1990)
    archive = context.scratch / "memory-archive"
    shutil.rmtree(archive, ignore_errors=True)
    code = (
        "import pacscore, sys, threading, time\n"
        "peak = 0\n"
        "def watch():\n"
        "    global peak\n"
        "    while True:\n"
        "        lines = open('/proc/self/status').read().split('\\n')\n"
        "        peak = max(peak, next(int(l.split()[1]) for l in lines if l.startswith('RssAnon')))\n"
        "        time.sleep(0.005)\n"
        "threading.Thread(target=watch, daemon=True).start()\n"
        "with pacscore.create(sys.argv[1]) as archive: archive.ingest(sys.argv[2])\n"
        "print(peak / 1024)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(archive), str(folder)], check=True, capture_output=True, text=True
    )
    value = float(result.stdout.split()[-1]) * 1.048576
    shutil.rmtree(archive, ignore_errors=True)
    return Measured(value, value, value, f"{_bytes(folder) / 1e9:.2f} GB series")


@row("core.cold-start", must=1.0, aim=None, unit=" s", higher=False)
def cold_start(context: Context) -> Measured:
    """A fresh process's first kernel call (a scan) from its start, kernels cached."""
    path = _files(context.big_series)[0]
    code = f"from pacscore.dicom.scan import scan; scan(open({str(path)!r}, 'rb').read())"
    subprocess.run([sys.executable, "-c", code], check=True)
    seconds = []
    for _ in range(context.rounds):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        seconds.append(time.perf_counter() - start)
    return Measured(*spread(seconds), f"bare Python {_bare() * 1e3:.0f} ms")


def _bare() -> float:
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
