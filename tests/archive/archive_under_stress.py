"""What happens to an archive in a day, and what must be true of it after any crash."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from pacscore.archive.archive import Archive
from pacscore.errors import PacscoreError
from pacscore.filesystem import PENDING_PREFIX, FileSystem
from pacscore.settings import Settings
from tests.failing_filesystem import FailingFileSystem

# One thread, so that the steps of a day are the same each time; limits so low that each way of storing is met.
SETTINGS = Settings(
    thread_count=1,
    spool_bytes_min=3000,
    segment_bytes_max=12_000,
    small_series_bytes=5000,
    event_segment_bytes_max=1200,
)

COLLECTING = replace(SETTINGS, grace_seconds=0)
"""What is superseded goes at once."""

LOSES_ALL = 2
"""A seed of the twin's power cut that keeps no name and no whole write which is not synced."""

_CATALOG = ("catalog.sqlite", "catalog.sqlite-wal")


@cache
def make_object(series: int, number: int, *, variant: int = 0, size: int = 16) -> bytes:
    """One CT slice: the same for the same arguments; another data set of the same UID for another variant."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{series}.{number + 1}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    each = pydicom.Dataset()
    each.file_meta = meta
    each.SOPClassUID, each.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    each.StudyDate, each.Modality, each.PatientName, each.PatientID = "20200102", "CT", "Stress^Test", "17"
    each.StudyInstanceUID, each.SeriesInstanceUID = f"1.2.{series // 3 + 1}", f"1.2.3.{series + 1}.0"
    each.SeriesDescription, each.InstanceNumber = f"series {series}", number + 1
    each.ImageComments = f"variant {variant}"
    each.ImagePositionPatient, each.ImageOrientationPatient = [0, 0, 2.5 * number], [1, 0, 0, 0, 1, 0]
    each.FrameOfReferenceUID, each.PixelSpacing = "1.2.9", [1, 1]
    each.Rows = each.Columns = size
    each.SamplesPerPixel, each.PhotometricInterpretation = 1, "MONOCHROME2"
    each.BitsAllocated, each.BitsStored, each.HighBit, each.PixelRepresentation = 16, 16, 15, 1
    words = np.random.default_rng([series, number, variant]).integers(-1000, 1000, (size, size), dtype="<i2")
    each.PixelData = words.tobytes()
    written = BytesIO()
    pydicom.dcmwrite(written, each, enforce_file_format=True)
    return written.getvalue()


def broken_object(number: int) -> bytes:
    """One that claims to be DICOM and ends inside its pixel data."""
    return make_object(90, number)[:-7]


def name_of(whole: bytes) -> str:
    """How a promise calls an object."""
    return hashlib.sha256(whole).hexdigest()


@dataclass
class Promises:
    """What was asked for, and what the caller was told.

    ``told`` is called with each acknowledgement as a line, so that a process which is killed has said what it was told.
    """

    told: Callable[[str], None] = lambda _: None
    asked: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    quarantined: set[str] = field(default_factory=set)

    def say(self, verb: str, names: Sequence[str]) -> None:
        for name in names:
            self.hear(f"{verb} {name}")
            self.told(f"{verb} {name}")

    def hear(self, line: str) -> None:
        verb, _, name = line.partition(" ")
        getattr(self, verb).add(name)

    def copy(self) -> Promises:
        return Promises(self.told, set(self.asked), set(self.acknowledged), set(self.quarantined))


class Twin(FailingFileSystem):
    """The failing seam, which can be used on after a kill without forgetting what is not yet durable."""

    def revive(self) -> None:
        """The process that died is started again."""
        self.is_dead = False
        self._crash_at = None

    def crash_after(self, steps: int) -> None:
        """End the process that many steps from now."""
        self._crash_at = len(self.steps) + steps

    def cut_power(self, seed: int, archive: Path, catalogs: Sequence[dict[str, bytes]]) -> None:
        """A power cut, of which the catalog, not written through the seam, survives as one of these or not at all."""
        self.power_cut(seed)
        if archive.is_dir() and seed % 3:
            for name, content in catalogs[seed % len(catalogs)].items():
                (archive / name).write_bytes(content)


def catalog_files(root: Path) -> dict[str, bytes]:
    """The catalog as it lies there now."""
    return {name: (root / name).read_bytes() for name in _CATALOG if (root / name).exists()}


@contextmanager
def opened(root: Path, fs: FileSystem, settings: Settings = SETTINGS) -> Iterator[Archive]:
    """The archive, open for writing, and after a crash without the connections that the dead process had."""
    archive = Archive.open(root, settings=settings, filesystem=fs)
    try:
        yield archive
    finally:
        try:
            archive.close()
        finally:
            archive._session.catalog.close()


def receive(archive: Archive, promises: Promises, *objects: bytes) -> None:
    """Receive each, and note what was acknowledged."""
    for whole in objects:
        promises.say("asked", [name_of(whole)])
        receipt = archive.receive(whole)
        promises.say("quarantined" if receipt.status == "quarantined" else "acknowledged", [name_of(whole)])


def ingest(archive: Archive, promises: Promises, folder: Path) -> None:
    """Ingest a folder, and note what was acknowledged."""
    wholes = {str(path): name_of(path.read_bytes()) for path in sorted(folder.iterdir())}
    promises.say("asked", list(wholes.values()))
    report = archive.ingest(folder)
    refused = {entry.path for entry in report.quarantined}
    promises.say("quarantined", [wholes[path] for path in sorted(refused)])
    promises.say("acknowledged", [name for path, name in wholes.items() if path not in refused])


def write_folder(folder: Path, *objects: bytes) -> Path:
    """A folder with each object as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, whole in enumerate(objects):
        (folder / f"{number:03d}.dcm").write_bytes(whole)
    return folder


def in_memory() -> tempfile.TemporaryDirectory[str]:
    """A folder in memory where there is one: what the power takes is decided by the twin and not by the disk."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)


@contextmanager
def quick_folder() -> Iterator[Path]:
    with in_memory() as folder:
        yield Path(folder)


def broken_promises(root: Path, promises: Promises) -> list[str]:
    """Open what a crash left, recover it twice, and tell what is not as it was promised."""
    fs = Twin(root)  # It fails at nothing here, and takes no time to sync.
    broken: list[str] = []
    try:
        seen = [_look(root, fs, promises, broken) for _ in range(2)]
    except PacscoreError as error:
        return [*broken, f"{type(error).__name__}: {error} {error.fields}"]
    if seen[0] != seen[1]:
        broken.append("recovering twice gives something else than once")
    return broken


def _look(root: Path, fs: FileSystem, promises: Promises, broken: list[str]) -> tuple[str, list[str]]:
    with opened(root, fs) as archive:
        found = Counter(name_of(whole) for whole in all_objects(archive))
        broken += (f"{name[:8]} was acknowledged and is lost" for name in promises.acknowledged - set(found))
        broken += (f"{name[:8]} was never asked for" for name in set(found) - promises.asked)
        broken += (f"{name[:8]} is there {count} times" for name, count in found.items() if count > 1)
        kept = {path.stem for path in (root / "quarantine").glob("*.json")}
        broken += (f"{name[:8]} was quarantined and is lost" for name in promises.quarantined - kept)
        broken += (f"a finding: {finding.code}: {finding.message}" for finding in archive.verify().findings)
        for path in (root / "quarantine").glob("*.dcm"):
            if name_of(path.read_bytes()) != path.stem or not path.with_suffix(".json").read_bytes().endswith(b"}\n"):
                broken.append(f"{path.name[:8]} in quarantine is altered")
        digest = archive._session.catalog.digest()
        archive.rebuild()
        if archive._session.catalog.digest() != digest:
            broken.append("the catalog is not what a rebuilt one is")
        committed = {event["file"] for event in archive.events() if event["kind"] == "commit"}
        collected = {file for event in archive.events() if event["kind"] == "collected" for file in event["files"]}
    broken += leftovers(root, committed)
    broken += (f"collected and still there: {name}" for name in collected if (root / name).exists())
    return digest, sorted(found.elements())


def all_objects(archive: Archive) -> Iterator[bytes]:
    """Every object, versions included."""
    for row in archive.find("series"):
        for instance in archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"]).all_versions:
            yield instance.bytes()


def leftovers(root: Path, committed: set[str]) -> Iterator[str]:
    """What lies about and belongs to nobody."""
    yield from (f"left in staging: {path.name}" for path in (root / "staging").iterdir() if path.name != "lock")
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if path.name.startswith(PENDING_PREFIX):
            yield f"left pending: {name}"
        if path.suffix == ".zip" and name.split("/", maxsplit=1)[0] in {"series", "packs"} and name not in committed:
            yield f"left published and not committed: {name}"
        if path.parent.name == "quarantine" and path.suffix == ".dcm" and not path.with_suffix(".json").exists():
            yield f"left in quarantine without a reason: {name}"


@dataclass(frozen=True)
class Job:
    """One thing done to an archive, which can be done again after it was interrupted.

    ``prepare`` is done before, without a failure; ``work`` is what is interrupted.
    """

    work: Callable[[Path, FileSystem, Promises, Path], None]
    prepare: Callable[[Path, FileSystem, Promises, Path], None] = lambda root, fs, promises, folder: None
    creates: bool = False

    def begin(self, where: Path) -> tuple[Path, Promises, Path]:
        """An archive as it is before the work, in a new folder; with the folder of files to be ingested."""
        made, promised = _beginning(self)
        shutil.copytree(Path(made.name) / "job", where)
        return where / "archive", promised.copy(), where / "files"


@cache
def _beginning(job: Job) -> tuple[tempfile.TemporaryDirectory[str], Promises]:
    """What each run of a job begins with a copy of, and what was promised until then; made once in a process."""
    made = in_memory()
    where, promises = Path(made.name) / "job", Promises()
    (where / "files").mkdir(parents=True)
    if not job.creates:
        fs = Twin(where)
        Archive.create(where / "archive", settings=SETTINGS, filesystem=fs).close()
        job.prepare(where / "archive", fs, promises, where / "files")
    return made, promises


def _receive(root: Path, fs: FileSystem, promises: Promises, folder: Path) -> None:
    with opened(root, fs) as archive:
        receive(
            archive,
            promises,
            make_object(0, 0),
            make_object(0, 1),
            make_object(0, 0),
            make_object(0, 1, variant=1),
            make_object(0, 1)[:128].replace(b"\0", b"x") + make_object(0, 1)[128:],
            broken_object(0),
            make_object(1, 0, size=64),
        )


def _seal(root: Path, fs: FileSystem, promises: Promises, folder: Path) -> None:
    with opened(root, fs) as archive:
        archive.seal()


def _receive_and_seal(root: Path, fs: FileSystem, promises: Promises, folder: Path) -> None:
    with opened(root, fs) as archive:
        receive(archive, promises, make_object(2, 0), make_object(3, 0), make_object(4, 0, size=64))
        archive.seal()


def _write_files(root: Path, fs: FileSystem, promises: Promises, folder: Path) -> None:
    write_folder(
        folder,
        *(make_object(5, number, size=48) for number in range(3)),
        *(make_object(series, 0) for series in (6, 7, 8)),
        make_object(8, 0),
        make_object(8, 0, variant=2),
        broken_object(1),
        b"no DICOM at all",
    )
    (folder / "009.dcm").rename(folder.parent / "not-dicom.txt")


def _ingest(root: Path, fs: FileSystem, promises: Promises, folder: Path) -> None:
    with opened(root, fs) as archive:
        ingest(archive, promises, folder)


def _prepare_late(root: Path, fs: FileSystem, promises: Promises, folder: Path) -> None:
    with opened(root, fs) as archive:
        write_folder(folder, *(make_object(5, number, size=48) for number in range(2)), make_object(6, 0))
        ingest(archive, promises, folder)
        receive(archive, promises, make_object(5, 2, size=48))
        write_folder(folder, make_object(5, 4, size=48))


def _late(root: Path, fs: FileSystem, promises: Promises, folder: Path) -> None:
    with opened(root, fs) as archive:
        receive(archive, promises, make_object(6, 1), make_object(5, 3, size=48))
        ingest(archive, promises, folder)
        archive.seal()


def _create(root: Path, fs: FileSystem, promises: Promises, folder: Path) -> None:
    if not (root / "pacscore.toml").exists():
        Archive.create(root, settings=SETTINGS, filesystem=fs).close()
    with opened(root, fs) as archive:
        receive(archive, promises, make_object(0, 0))


def _prepare_collect(root: Path, fs: FileSystem, promises: Promises, folder: Path) -> None:
    with opened(root, fs) as archive:
        for number in range(2):  # A generation of its own and a pack, each superseded by the next.
            receive(archive, promises, make_object(5, number, size=48), make_object(6, number), make_object(7, number))
            archive.seal()


def _collect(root: Path, fs: FileSystem, promises: Promises, folder: Path) -> None:
    with opened(root, fs, COLLECTING) as archive:
        receive(archive, promises, make_object(5, 2, size=48), make_object(6, 2))
        archive.seal()


JOBS = {
    "create": Job(_create, creates=True),
    "receive": Job(_receive),
    "seal": Job(_seal, _receive),
    "receive and seal": Job(_receive_and_seal),
    "ingest": Job(_ingest, _write_files),
    "late": Job(_late, _prepare_late),
    "collect": Job(_collect, _prepare_collect),
}


def whole_job(job: Job) -> Twin:
    """A seam that has seen the job without a failure: its steps and syncs."""
    with quick_folder() as where:
        root, promises, folder = job.begin(where / "job")
        fs = Twin(where / "job")
        job.work(root, fs, promises, folder)
        assert not broken_promises(root, promises)
        return fs
