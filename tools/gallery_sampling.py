"""Gallery entries of resampling: planes, slabs, curves, grids and pictures turned and enlarged, on a CT and an MR."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from gallery import Entry, timed
from numpy.typing import NDArray

import pacscore
from pacscore.imaging import Image, Volume, Window
from pacscore.imaging.resampling import grid_geometry

_SOFT, _BONE = Window(40, 400), Window(500, 2000)
_CORONAL = {"row_direction": (1.0, 0.0, 0.0), "column_direction": (0.0, 0.0, -1.0)}
_SAGITTAL = {"row_direction": (0.0, 1.0, 0.0), "column_direction": (0.0, 0.0, -1.0)}
_OBLIQUE = {"row_direction": (0.9, 0.3, 0.1), "column_direction": (-0.05, 0.48, -0.99)}


def entries(data: Path) -> Iterator[Entry]:
    """Each way to resample once."""
    with tempfile.TemporaryDirectory(prefix="gallery-") as folder, pacscore.create(Path(folder) / "a") as archive:
        archive.ingest(data / "series" / "ct-headneck-90")
        (uid,) = (found["SeriesInstanceUID"] for found in archive.find("series"))
        stored = archive.series(uid).volume()
        yield _pair(
            "Oblique plane from the sealed series", "Only the chunks that the plane meets are decoded.",
            stored.frame(45), lambda: stored.reslice(**_oblique(stored)), _SOFT,
        )  # fmt: skip
        volume = stored.with_array(stored.modality(), derivation="in memory")
    yield from _planes(volume)
    yield from _grids(volume)
    yield from _moves(volume)


def _oblique(volume: Volume) -> dict[str, object]:
    right = np.array(_OBLIQUE["row_direction"])
    down = np.array(_OBLIQUE["column_direction"])
    down = down - right * (right @ down) / (right @ right)
    return {"center_lps": _middle(volume), "row_direction": right, "column_direction": down,
            "spacing_mm": 0.8, "shape": (420, 420)}  # fmt: skip


def _middle(volume: Volume) -> NDArray[np.float64]:
    """The middle of the patient, not of the table and the air around."""
    inside = np.argwhere(volume.array()[::4, ::8, ::8] > -300).mean(axis=0) * [4, 8, 8]
    center: NDArray[np.float64] = (volume.index_to_lps @ [*inside, 1.0])[:3]
    return center


def _planes(volume: Volume) -> Iterator[Entry]:
    center = _middle(volume)
    where = {"center_lps": center, "spacing_mm": 0.8, "shape": (360, 360)}
    nearest = volume.reslice(**where, **_CORONAL, interpolation="nearest")
    for name, note in (
        ("linear", "Coronal across 3 mm slices, beside the nearest voxel."),
        ("cubic", "Catmull-Rom: sharper than linear, a little overshoot at bone."),
        ("bspline", "Cubic B-spline through all voxels: the smoothest."),
    ):
        yield _pair(
            f"Coronal plane, {name}", note, nearest,
            lambda name=name: volume.reslice(**where, **_CORONAL, interpolation=name), _SOFT,
        )  # fmt: skip
    thin = volume.reslice(**where, **_SAGITTAL)
    yield _pair("Mean slab, 10 mm", "Sagittal: noise goes down, edges along the slab stay.", thin,
                lambda: volume.slab(**where, **_SAGITTAL, thickness_mm=10.0), _SOFT)  # fmt: skip
    thin = volume.reslice(**where, **_CORONAL)
    yield _pair("MIP slab, 30 mm", "Coronal: the brightest voxel of each line.", thin,
                lambda: volume.slab(**where, **_CORONAL, thickness_mm=30.0, combine="max"), _BONE)  # fmt: skip
    yield _pair(
        "MinIP slab, 20 mm", "Coronal: the darkest, so the airway.", thin,
        lambda: volume.slab(**where, **_CORONAL, thickness_mm=20.0, combine="min"), Window(-500, 1200),
    )  # fmt: skip
    spine = _spine(volume)
    for style, note in (
        ("straightened", "Along the spinal canal: the curve is the middle column."),
        ("stretched", "The same curve with rows all in one direction: it bends in the picture, lengths stay true."),
    ):
        yield _pair(
            f"Curved section, {style}", note, volume.reslice(**where, **_SAGITTAL),
            lambda style=style: volume.curved(spine, width_mm=160.0, spacing_mm=0.8, angle_deg=90.0, style=style),
            _SOFT,
        )  # fmt: skip


def _spine(volume: Volume) -> NDArray[np.float64]:
    """Some points down the back of the neck: the middle of bone in the rear half of every tenth slice."""
    points = []
    for number in range(4, len(volume), 8):
        bone = np.argwhere(volume.array()[number] > 250)
        body = np.argwhere(volume.array()[number] > -300)
        rear = bone[(bone[:, 0] > np.median(body[:, 0])) & (np.abs(bone[:, 1] - np.median(body[:, 1])) < 40)]
        if len(rear) > 50:
            points.append((volume.index_to_lps @ [number, *rear.mean(axis=0), 1.0])[:3])
    return np.array(points[::-1])


def _grids(volume: Volume) -> Iterator[Entry]:
    nearest = _coronal_of(volume.resample(1.0, interpolation="nearest"))
    for name in ("linear", "cubic"):
        yield _pair(
            f"Isotropic 1 mm, {name}", "One coronal plane of the new grid; before: the nearest voxel.", nearest,
            lambda name=name: _coronal_of(volume.resample(1.0, interpolation=name)), _SOFT,
        )  # fmt: skip
    whole = volume.frame(45)
    coarse = volume.resample(4.0, smooth=False).frame(33)
    yield _pair("Shrunk to 4 mm with averaging", "Before: the same without, which aliases.", coarse,
                lambda: volume.resample(4.0).frame(33), _SOFT)  # fmt: skip
    yield _pair("Third level of a pyramid", "Before: the volume.", whole,
                lambda: _middle_frame(volume.pyramid(3)[3]), _SOFT)  # fmt: skip
    affine = volume.index_to_lps
    affine[1, 0] = 1.0
    tilted = replace(volume, geometry=grid_geometry(affine, ""))
    note = "The array was given the affine of a tilt; both pictures show it as it lies, the grid is upright after."
    yield _pair("Gantry tilt removed", note, tilted.plane("sagittal", 256),
                lambda: tilted.rectified().plane("sagittal", 256), _SOFT)  # fmt: skip


def _coronal_of(volume: Volume) -> Image:
    return volume.plane("coronal", volume.shape[1] // 2)


def _middle_frame(volume: Volume) -> Image:
    return volume.frame(len(volume) // 2)


def _moves(volume: Volume) -> Iterator[Entry]:
    face = volume.frame(45)
    part = replace(face, array=np.ascontiguousarray(face.array[200:300, 200:300]), index_to_lps=None)
    for name in ("nearest", "linear", "cubic", "bspline"):
        yield _pair(f"Magnified 4 times, {name}", "100 × 100 pixels.", part,
                    lambda name=name: part.magnify(4.0, interpolation=name), _SOFT)  # fmt: skip
    yield _pair("Rotated by 25°", "All of it kept.", face, lambda: replace(face, index_to_lps=None).rotate(25.0), _SOFT)
    yield _pair("Moved by 40.5 and 60.25 pixels", "", face, lambda: face.pan(40.5, 60.25), _SOFT)


def _pair(title: str, note: str, before: Image, make: Callable[[], Image], window: Window) -> Entry:
    after, seconds = timed(make)
    return Entry(title, note, _shown(before, window), _shown(after, window), seconds)


def _shown(image: Image, window: Window) -> NDArray[np.uint8]:
    return np.asarray(image.picture(window=window).convert("L"))
