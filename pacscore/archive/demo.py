"""The demo: the main job on real images, told as a story of frozen values that the command line prints."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pacscore.archive.report import IngestReport, Progress, no_progress
from pacscore.errors import InputError

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive
    from pacscore.archive.series import Series

ATTRIBUTION = (
    "Images: patient STS_003 of the Soft-tissue-Sarcoma collection, The Cancer Imaging Archive, CC BY 3.0 "
    "(Vallières et al., Phys Med Biol 60 (2015) 5471, doi 10.7937/K9/TCIA.2015.7GO2GSKS), and test files of pydicom (MIT)."
)
_RUNS = 5


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
class DemoStory:
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

    def as_dict(self) -> dict[str, Any]:
        """The story as JSON."""
        return asdict(self)


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
        raise InputError("the demo's output folder is not empty: remove it, or choose another with --out.", path=str(out))
    sources = (path,) if path is not None else packaged_images()
    say(f"Taking DICOM from {', '.join(map(str, sources))}")
    with Archive.create(out / "archive") as archive:
        report = archive.ingest(*sources, progress=progress)
        if not report.stored:
            raise InputError("no DICOM object was found there. Give a folder that holds some.", path=str(path))
        rows = list(archive.find("series"))
        opened = [archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"]) for row in rows]
        example = max(opened, key=_volume_voxels)
        pictures = _draw(opened, example, out)
        timing, speedup = _time_volume(example, sources)
        proven, objects = _prove(archive, sources, progress)
        exported = archive.export(out / "export", SeriesInstanceUID=example.series_instance_uid, progress=progress)
        return DemoStory(
            archive=str(out / "archive"),
            ingest=report,
            series=tuple(_line(row, series) for row, series in zip(rows, opened, strict=True)),
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
