"""Compiling the kernels ahead, by doing a little of everything that the commands do."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pacscore.archive.report import Reported
from pacscore.imaging.enhancement_warming import WARM_CALLS
from pacscore.kernels._compile import cache_folder


@dataclass(frozen=True, slots=True)
class WarmReport(Reported):
    """What is ready, and where it is kept."""

    kernels: int
    seconds: float
    folder: str


def warm_kernels() -> WarmReport:
    """Run the packaged images through an archive in a temporary folder, which calls every kernel with its types."""
    from pacscore.archive.archive import Archive
    from pacscore.archive.demo import packaged_images
    from pacscore.archive.rendering import VIEWS, render_series

    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="pacscore-warm-") as folder, Archive.create(Path(folder) / "a") as archive:
        archive.ingest(*packaged_images())
        for row in archive.find("series", geometry="regular"):
            series = archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"])
            series.volume().modality()
            for view in VIEWS:
                render_series(archive, row["SeriesInstanceUID"], Path(folder) / "picture.png", view=view)
        archive.verify()
    for _, warm in WARM_CALLS:
        warm()
    kept = cache_folder()
    return WarmReport(len(list(kept.glob("*.nbi"))), time.perf_counter() - start, str(kept))
