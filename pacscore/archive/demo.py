"""The demo: the main job on real images, told as a story of frozen values that the command line prints."""

from __future__ import annotations

import hashlib
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pacscore.archive.candidates import look_at
from pacscore.archive.rendering import draw
from pacscore.archive.report import IngestReport, Progress, Reported, no_progress
from pacscore.archive.walking import files_below
from pacscore.errors import InputError, UndecodableError
from pacscore.imaging import contact_sheet

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive
    from pacscore.archive.records import StackRecord
    from pacscore.archive.series import Series
    from pacscore.imaging import Volume
    from pacscore.settings import Settings

ATTRIBUTION = (
    "Images: patient STS_003 of the Soft-tissue-Sarcoma collection, The Cancer Imaging Archive, CC BY 3.0 "
    "(Vallières et al., Phys Med Biol 60 (2015) 5471, doi 10.7937/K9/TCIA.2015.7GO2GSKS), and test files of pydicom "
    "(MIT)."
)
_RUNS = 5
_SHEET_MAX = 24


@dataclass(frozen=True, slots=True)
class SeriesLine:
    """One series as the demo's table shows it."""

    study: str
    modality: str
    description: str
    instances: int
    shape: str
    spacing: str
    verdict: str


@dataclass(frozen=True, slots=True)
class DemoStory(Reported):
    """All that happened."""

    archive: str
    ingest: IngestReport
    series: tuple[SeriesLine, ...]
    pictures: tuple[str, ...]
    timing: str
    speedup: float | None
    proven: int
    objects: int
    exported: int
    export_folder: str
    example_series: str
    attribution: str


def packaged_images() -> tuple[Path, ...]:
    """Real files that come with the installation: pacscore's own patient, and what the pydicom package carries."""
    import pydicom

    own = Path(__file__).resolve().parents[1] / "data" / "sts003"
    theirs = Path(pydicom.__file__).parent / "data" / "test_files"
    return tuple(folder for folder in (own, theirs) if folder.is_dir())


def run_demo(
    path: Path | None, out: Path, *, progress: Progress | None = None, say: Callable[[str], None] = lambda text: None
) -> DemoStory:
    """Run the main job on ``path``, or on the packaged images, below ``out``.

    Raises
    ------
    InputError
        ``out`` is not empty, or there is no DICOM in ``path``.
    """
    from pacscore.archive.archive import Archive

    progress = progress or no_progress
    if out.exists() and any(out.iterdir()):
        raise InputError(
            "the demo's output folder is not empty: remove it, or choose another with --out.", path=str(out)
        )
    sources = (path,) if path is not None else packaged_images()
    say(f"Taking DICOM from {', '.join(map(str, sources))}")
    with Archive.create(out / "archive") as archive:
        report = archive.ingest(*sources, progress=progress)
        if not report.stored:
            raise InputError("no DICOM object was found there. Give a folder that holds some.", path=str(path))
        found = [(row, archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"])) for row in archive.find()]
        found.sort(key=lambda pair: _voxels(pair[1]), reverse=True)
        opened = [series for _, series in found]
        example = max(opened, key=_volume_voxels)
        pictures = _draw(opened, example, out)
        timing, speedup = _time_volume(example, sources) if example.stacks else ("there is none to read", None)
        proven, objects = _prove(archive, sources, progress)
        exported = archive.export(out / "export", SeriesInstanceUID=example.series_instance_uid, progress=progress)
        return DemoStory(
            archive=str(out / "archive"),
            ingest=report,
            series=tuple(_line(row, series) for row, series in found),
            pictures=tuple(map(str, pictures)),
            timing=timing,
            speedup=speedup,
            proven=proven,
            objects=objects,
            exported=exported.objects,
            export_folder=str(out / "export"),
            example_series=example.series_instance_uid,
            attribution=ATTRIBUTION if path is None else "",
        )


def _voxels(series: Series) -> tuple[int, str]:
    return max((math.prod(stack.shape) for stack in series.stacks), default=0), series.series_instance_uid


def _volume_voxels(series: Series) -> int:
    """Voxels of its largest grey volume: what the demo reads and draws."""
    return max(map(_grey_voxels, series.stacks), default=0)


def _grey_voxels(stack: StackRecord) -> int:
    return math.prod(stack.shape) if stack.kind == "volume" and len(stack.frame_shape) == 2 else 0


def _shown(series: Series) -> Volume:
    """Its largest grey volume, else its first stack; of extra axes the first index of each."""
    number = max(range(len(series.stacks)), key=lambda index: _grey_voxels(series.stacks[index]))
    return series.volume(number, at={axis.name: 0 for axis in series.stacks[number].axes})


def _draw(opened: list[Series], example: Series, out: Path) -> list[Path]:
    """A contact sheet of the largest series, and three planes of the example, where they have pictures."""
    if not example.stacks:
        return []
    sheet, planes = out / "contact-sheet.png", out / "three-planes.png"
    contact_sheet([_shown(series) for series in opened if series.stacks][:_SHEET_MAX]).save(sheet)
    try:
        draw(_shown(example), "planes").save(planes)
    except UndecodableError:
        return [sheet]
    return [sheet, planes]


def _time_volume(series: Series, sources: tuple[Path, ...]) -> tuple[str, float | None]:
    """Read the example's volume from the archive and from its files with pydicom, several times each, in turn."""
    import pydicom

    volume = _shown(series)
    wanted = set(volume.sop_instance_uids)
    files = [path for path in files_below(sources) if _sop_instance_uid(path, series.settings) in wanted]

    def from_files() -> None:
        slices = [pydicom.dcmread(path) for path in files]
        np.stack([each.pixel_array for each in sorted(slices, key=lambda each: str(each.SOPInstanceUID))])

    times: dict[str, list[float]] = {"archive": [], "files": []}
    try:
        for _ in range(_RUNS):
            for name, read in (("archive", volume.array), ("files", from_files)):
                start = time.perf_counter()
                read()
                times[name].append(time.perf_counter() - start)
    except UndecodableError as error:
        return error.message, None
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:  # What pydicom raises there.
        return f"pydicom cannot read these files to compare with: {type(error).__name__}", None
    archive, plain = (statistics.median(times[name]) for name in ("archive", "files"))
    text = (
        f"{' × '.join(map(str, volume.shape))} in {archive * 1e3:.1f} ms; from the {len(files)} files with pydicom "
        f"{plain * 1e3:.1f} ms: {plain / archive:.0f} times faster"
    )
    return text, plain / archive


def _sop_instance_uid(path: Path, settings: Settings) -> str:
    candidate = look_at(path, settings).candidate
    return candidate.sop_instance_uid if candidate is not None else ""


def _prove(archive: Archive, sources: tuple[Path, ...], progress: Progress) -> tuple[int, int]:
    """How many of the files that were taken come back byte for byte, and how many were taken."""
    originals = {hashlib.sha256(path.read_bytes()).digest() for path in files_below(sources)}
    instances = [
        instance
        for row in archive.find("series")
        for instance in archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"]).all_versions
    ]
    proven = 0
    for number, instance in enumerate(instances, 1):
        proven += hashlib.sha256(instance.bytes()).digest() in originals
        progress("proving", number, len(instances))
    return proven, len(instances)


def _line(row: dict[str, Any], series: Series) -> SeriesLine:
    record = max(series.stacks, key=lambda stack: math.prod(stack.shape), default=None)
    spacing = record.geometry.spacing_mm if record is not None else None
    return SeriesLine(
        study=str(row.get("StudyDate") or ""),
        modality=str(row.get("Modality") or ""),
        description=str(row.get("SeriesDescription") or ""),
        instances=int(row.get("NumberOfSeriesRelatedInstances") or 0),
        shape=" × ".join(map(str, record.shape)) if record is not None else "",
        spacing=" × ".join("?" if value is None else f"{value:.3g}" for value in spacing) if spacing else "",
        verdict=series.verdict,
    )
