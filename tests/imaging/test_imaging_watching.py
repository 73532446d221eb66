"""What takes long tells how far it is, ends when it is asked to, and gives what it gives unwatched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from imaging.test_imaging_resampling import CountingSource, oblique_affine, volume_of
from numpy.typing import NDArray

from pacscore.errors import CancelledError
from pacscore.imaging import Volume, projection, slabs

LONG: dict[str, Callable[..., Any]] = {
    "resample": lambda volume, **watch: volume.resample(0.9, **watch).modality(),
    "resample bspline": lambda volume, **watch: volume.resample(0.9, interpolation="bspline", **watch).modality(),
    "resample like": lambda volume, **watch: volume.resample(like=_turned(), **watch).modality(),
    "rectified": lambda volume, **watch: volume.rectified(**watch).modality(),
    "pyramid": lambda volume, **watch: volume.pyramid(1, **watch)[-1].modality(),
    "reslice_stack": lambda volume, **watch: volume.reslice_stack(
        slice_count=3, slice_spacing_mm=2.0, **watch
    ).modality(),
    "window": lambda volume, **watch: volume.window("bone", **watch).array(),
    "statistics": lambda volume, **watch: np.array(volume.statistics(**watch).mean),
    "histogram": lambda volume, **watch: volume.histogram(bins=9, **watch).counts,
    "threshold": lambda volume, **watch: volume.threshold(0, **watch).array(),
    "components": lambda volume, **watch: volume.components(0, **watch).statistics.means,
    "grow": lambda volume, **watch: volume.grow(
        [(volume.index_to_lps @ [7, 10, 12, 1])[:3]], low=-2000, **watch
    ).array(),
    "fuse": lambda volume, **watch: volume.fuse(_turned(), window_above="bone", **watch).array(),
    "project": lambda volume, **watch: volume.project(azimuth_deg=20, size=100, **watch).array,
    "project axis": lambda volume, **watch: volume.project("mean", axis="coronal", **watch).array,
    "project slab": lambda volume, **watch: volume.project("sum", thickness_mm=0.5, size=100, **watch).array,
    "render": lambda volume, **watch: volume.render("window", size=100, **watch).array,
    "enhance bilateral": lambda volume, **watch: volume.enhance("bilateral", sigma_value=30, **watch).modality(),
    "enhance nlm": lambda volume, **watch: volume.enhance("nlm", strength=30, search=1, **watch).modality(),
}  # fmt: skip


def _words() -> NDArray[np.int16]:
    return np.random.default_rng(5).integers(-200, 1200, (14, 20, 26)).astype(np.int16)


def _turned() -> Volume:
    affine = oblique_affine((3.0, 1.0, 0.9))
    affine[:3, :3] = affine[[1, 0, 2], :3]
    return volume_of(_words()[:5], affine)


@pytest.fixture
def volume() -> Volume:
    words = _words()
    return volume_of(words, oblique_affine(tilt=0.5), source=CountingSource(words, (2, 8, 8)))


@pytest.mark.parametrize("name", LONG)
def test_progress_rises_to_the_whole_and_changes_nothing(
    volume: Volume, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (slabs, projection):
        monkeypatch.setattr(module, "_SLAB_BYTES", 4 * 20 * 26 * 2)
    told: dict[str, list[tuple[int, int]]] = {}
    lock = threading.Lock()

    def progress(phase: str, done: int, total: int) -> None:
        with lock:
            told.setdefault(phase, []).append((done, total))

    found = LONG[name](volume, progress=progress)
    np.testing.assert_array_equal(found, LONG[name](volume))
    assert told
    for phase, steps in told.items():
        done = [step for step, _ in steps]
        if name not in {"fuse", "pyramid"}:  # These run one kind of work several times.
            assert done == sorted(done), phase
        assert steps[-1][0] == steps[-1][1] > 0, phase


@pytest.mark.parametrize("name", LONG)
def test_cancelling_ends_the_work(volume: Volume, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (slabs, projection):
        monkeypatch.setattr(module, "_SLAB_BYTES", 4 * 20 * 26 * 2)
    cancel = threading.Event()
    with pytest.raises(CancelledError):
        LONG[name](volume, progress=lambda *_: cancel.set(), cancel=cancel)
