"""Compiling the kernels ahead: a little of everything that the commands do, and each family of imaging kernels."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from pacscore.archive.report import Progress, Reported, no_progress
from pacscore.imaging.warming import WARM_CALLS
from pacscore.kernels._compile import cache_folder
from pacscore.recon import tomography_warming
from pacscore.recon.magnetic_resonance import warming as mr_warming


@dataclass(frozen=True, slots=True)
class WarmReport(Reported):
    """What is ready, where it is kept, and how many seconds each part took."""

    kernels: int
    seconds: float
    folder: str
    parts: dict[str, float] = field(default_factory=dict)


def warm_kernels(*, progress: Progress | None = None) -> WarmReport:
    """Call every kernel that the commands use with the types they use.

    The packaged images run through an archive in a temporary folder, then each family of ``imaging.warming`` is called
    on tiny arrays. With a full cache this takes a few seconds and compiles nothing.
    """
    report = progress or no_progress
    calls = (("archive", _run_archive), *WARM_CALLS, *tomography_warming.WARM_CALLS, *mr_warming.WARM_CALLS)
    parts: dict[str, float] = {}
    start = time.perf_counter()
    for number, (name, call) in enumerate(calls):
        report("warming", number, len(calls))
        began = time.perf_counter()
        call()
        parts[name] = time.perf_counter() - began
    report("warming", len(calls), len(calls))
    kept = cache_folder()
    return WarmReport(len(list(kept.glob("*.nbi"))), time.perf_counter() - start, str(kept), parts)


def _run_archive() -> None:
    from pacscore.archive.archive import Archive
    from pacscore.archive.demo import packaged_images
    from pacscore.archive.rendering import PLANES, PictureRequest, render_series

    with tempfile.TemporaryDirectory(prefix="pacscore-warm-") as folder, Archive.create(Path(folder) / "a") as archive:
        archive.ingest(*packaged_images())
        for row in archive.find("series", geometry="regular"):
            series = archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"])
            series.volume().modality()
            for view in ("planes", "sheet", *PLANES):
                render_series(archive, row["SeriesInstanceUID"], Path(folder) / "picture.png", PictureRequest(view))
        archive.verify()
