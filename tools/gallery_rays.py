"""Projections and volume renderings of the gallery: the real head and neck CT from all sides, a PET, an MR."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from gallery import Entry, timed
from numpy.typing import NDArray

import pacscore
from pacscore.imaging import DIRECTIONS, Framing, Image, Scene, View, Volume

CELL = 420
HEAD = (257.0, -300.0, -130.0)
"""A point in the middle of the head of ``ct-headneck-90``, LPS."""


def entries(data: Path) -> Iterator[Entry]:
    """Pictures of each kind; every one says from where it is seen."""
    with tempfile.TemporaryDirectory(prefix="pacscore-gallery-") as folder:
        head = _volume(data / "series" / "ct-headneck-90", Path(folder) / "head")
        yield from _axis_projections(head)
        yield from _ray_projections(head)
        yield from _renderings(head)
        for name, modality in (("sts003-pet", "PET"), ("sts003-mr-t1", "MR")):
            yield from _other(_volume(data / "series" / name, Path(folder) / name), modality)


def _volume(series: Path, root: Path) -> Volume:
    """A series read from an archive of its own."""
    archive = pacscore.create(root)
    archive.ingest(series)
    uid = next(iter(archive.find("series")))["SeriesInstanceUID"]
    return archive.series(uid).volume()


def _shown(image: Image) -> NDArray[np.uint8]:
    """As a reader sees it, with letters."""
    return np.asarray(image.picture(size=(CELL, CELL), markers=True).convert("RGB"))


def _row(images: list[Image]) -> NDArray[np.uint8]:
    """Pictures side by side."""
    cells = [_shown(image) for image in images]
    height = max(cell.shape[0] for cell in cells)
    return np.concatenate([np.pad(cell, ((0, height - cell.shape[0]), (0, 8), (0, 0))) for cell in cells], axis=1)


def _entry(title: str, note: str, before: Image | None, make: Callable[[], Image]) -> Entry:
    image, seconds = timed(make)
    return Entry(title, note, None if before is None else _shown(before), _shown(image), seconds)


def _axis_projections(volume: Volume) -> Iterator[Entry]:
    kinds = {"max": "MIP", "min": "MinIP", "mean": "Mean", "sum": "Sum"}
    for plane in ("axial", "coronal", "sagittal"):
        middle = volume.plane(plane, volume.plane_count(plane) // 2)
        yield _entry(
            f"MIP across {plane} planes", f"all of {volume.shape}, read in slabs from the archive", middle,
            lambda plane=plane: volume.project("max", axis=plane),
        )  # fmt: skip
    for kind, name in kinds.items():
        yield _entry(
            f"{name} of a slab, 20 mm", "coronal voxels about the middle of the head", volume.plane("coronal", 210),
            lambda kind=kind: volume.project(kind, axis="coronal", thickness_mm=20, center_lps=HEAD),
        )  # fmt: skip


def _ray_projections(volume: Volume) -> Iterator[Entry]:
    scene = Scene.of(volume)
    for name in DIRECTIONS:
        yield _entry(
            f"MIP seen from {name}", "the volume ready in memory; letters name the patient's directions", None,
            lambda name=name: scene.project("max", View.named(name)),
        )  # fmt: skip
    for kind in ("max", "min", "mean"):
        yield _entry(
            f"Oblique slab, {kind}, 15 mm", "seen along (0.5, -1, 0.3); only the chunks that it meets are read",
            volume.plane("coronal", 210),
            lambda kind=kind: volume.project(kind, direction=(0.5, -1, 0.3), thickness_mm=15, center_lps=HEAD),
        )  # fmt: skip


def _renderings(volume: Volume) -> Iterator[Entry]:
    scene = Scene.of(volume)
    close = Framing(512, pixel_mm=0.62, center_lps=HEAD)
    for preset in ("bone", "vessel", "skin", "lung", "window"):
        yield _entry(
            f"Volume rendering, preset {preset}", "azimuth 30°, elevation 12°, 512², samples 1 mm apart",
            scene.project("max", View.orbit(30, 12), close),
            lambda preset=preset: scene.render(preset, View.orbit(30, 12), close),
        )  # fmt: skip
    for name in ("anterior", "left", "superior"):
        yield _entry(
            f"Skin seen from {name}", "head up, or the front up from above", None,
            lambda name=name: scene.render("skin", View.named(name), close),
        )  # fmt: skip
    for show in ("max", "bone", "skin"):
        images, seconds = timed(lambda show=show: scene.turntable(show, count=8, framing=Framing(320)), warm=False)
        yield Entry(f"Turntable of {show}", "eight of its pictures, 45° apart", None, _row(images), seconds)


def _other(volume: Volume, modality: str) -> Iterator[Entry]:
    middle = volume.plane("coronal", volume.plane_count("coronal") // 2)
    yield _entry(f"MIP of {modality}", f"{volume.shape}, from the front", middle, lambda: volume.project("max"))
    yield _entry(
        f"Volume rendering of {modality}", "transfer function by window, from the front", middle,
        lambda: volume.render("window", size=400),
    )  # fmt: skip
