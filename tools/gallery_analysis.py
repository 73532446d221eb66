"""Gallery entries of analysis: thresholds, components, growing, masks of SEG and RTSTRUCT, regions, profiles."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from gallery import Entry, timed
from numpy.typing import NDArray

import pacscore
from pacscore.imaging import ArrayInMemory, Volume, Window, arrays
from pacscore.imaging.regions import Ellipse, distance_mm

_SLICE = 70


def entries(data: Path) -> Iterator[Entry]:
    """Each on a CT of head and neck, or on the thigh CT that a structure set belongs to."""
    with tempfile.TemporaryDirectory(prefix="gallery-") as folder, pacscore.create(Path(folder) / "a") as archive:
        names = ("ct-headneck-90", "sts003-ct", "sts003-ct-rtstruct", "ct-liver-23x38x3", "ct-liver-23x38x3-seg")
        archive.ingest(*(data / "series" / name for name in names))
        volumes = [archive.series(row["SeriesInstanceUID"]).volume() for row in archive.find("series", Modality="CT")]
        head, legs, liver = (next(each for each in volumes if each.shape[0] == slices) for slices in (90, 51, 3))
        head = replace(head, source=ArrayInMemory(head.array()), stored=replace(head.stored, of_frames=(), clean=True))
        yield from map(_cropped, _parts(head))
        yield from map(_cropped, _numbers(head))
        yield _masked(archive, legs, "soft tissue", 3)
        yield _masked(archive, liver, Window.between(0, 1), 12)


def _parts(head: Volume) -> Iterator[Entry]:
    plain = head.window("bone").array()
    bone, seconds = timed(lambda: head.threshold(250))
    yield Entry("Threshold", "250 HU and more.", plain[_SLICE], _over(plain[_SLICE], bone[_SLICE] != 0), seconds)
    found, seconds = timed(lambda: head.components(250))
    labels = found.volume.array()
    largest = np.argsort(found.volumes_mm3)[::-1][:6]
    colours = np.zeros((len(found.statistics) + 1, 3), np.uint8)
    colours[1:] = 90
    colours[largest + 1] = [
        (255, 90, 70),
        (90, 200, 255),
        (255, 220, 80),
        (120, 230, 120),
        (220, 120, 255),
        (255, 160, 60),
    ]
    yield Entry("Connected components", f"{len(found.statistics)} parts of bone, 26 neighbours; six in colours, "
                f"{found.volumes_mm3[largest[0]] / 1000:.0f} cm³ the first.", plain[_SLICE], colours[labels[_SLICE]],
                seconds)  # fmt: skip
    centre = found.statistics.centroids[largest[0]]
    values = head.modality()
    inside = np.argwhere((values[_SLICE] > -50) & (values[_SLICE] < 150))
    row, column = inside[np.argmin(np.abs(inside - centre[1:]).sum(1))]
    seed = (head.index_to_lps @ [_SLICE, row, column, 1])[:3]
    grown, seconds = timed(lambda: head.grow([seed], low=-50, high=150))
    soft = head.window("soft tissue").array()[_SLICE]
    yield Entry("Region growing", f"-50 to 150 HU from one seed: {int(grown.array().sum())} voxels.", soft,
                _over(soft, grown[_SLICE] != 0), seconds)  # fmt: skip


def _numbers(head: Volume) -> Iterator[Entry]:
    affine = head.index_to_lps
    soft = head.window("soft tissue").array()[_SLICE]
    middle = np.argwhere(soft > 60).mean(0)
    centre = (affine @ [_SLICE, *middle, 1])[:3]
    ellipse = Ellipse(centre, affine[:3, 1] * 30, affine[:3, 2] * 45)
    found, seconds = timed(lambda: head.statistics(roi=ellipse))
    mask = ellipse.on_grid(affine, head.shape).mask
    yield Entry("Statistics in an ellipse", f"{found.mean:.0f} ± {found.deviation:.0f} HU, {found.minimum:.0f} to "
                f"{found.maximum:.0f}, {ellipse.area_mm2() / 100:.1f} cm².", soft, _outlined(soft, mask),
                seconds)  # fmt: skip
    start, stop = ((affine @ [_SLICE, middle[0], column, 1])[:3] for column in (120.0, 390.0))
    profile, seconds = timed(lambda: head.profile(start, stop))
    drawn = np.repeat(soft[..., None], 3, -1)
    drawn[round(middle[0]), 120:391] = (255, 220, 0)
    yield Entry("Line profile", f"{distance_mm(start, stop):.0f} mm, {len(profile.values)} samples from "
                f"{np.nanmin(profile.values):.0f} to {np.nanmax(profile.values):.0f} HU.", drawn,
                _curve(profile.values), seconds)  # fmt: skip
    histogram, seconds = timed(lambda: head.histogram(bins=512, limits=(-1024, 1024)))
    yield Entry("Histogram", "-1024 to 1024 HU, logarithm of the counts: air, fat, muscle.", None,
                _curve(np.log1p(histogram.counts.astype(np.float64))), seconds)  # fmt: skip


def _masked(archive: pacscore.Archive, volume: Volume, window: Window | str, scale: int) -> Entry:
    masks = archive.masks(volume)
    mask = masks[0]
    found, seconds = timed(lambda: volume.statistics(mask=mask))
    index = int(np.argmax(mask.array.sum((1, 2))))
    shown = volume.window(window).array()[index].repeat(scale, 0).repeat(scale, 1)
    inside = mask.array[index].repeat(scale, 0).repeat(scale, 1)
    note = f"{mask.label}: {found.volume_mm3 / 1000:.1f} cm³, mean {found.mean:.1f} {found.unit}"
    return Entry(f"{mask.kind} of the archive on a volume's grid", note, shown, _outlined(shown, inside), seconds)


def _cropped(entry: Entry) -> Entry:
    """The head alone, of whole slices."""
    pictures = (entry.before, entry.after)
    before, after = (each if each is None or each.shape[0] != 511 else each[120:410, 130:390] for each in pictures)
    return replace(entry, before=before, after=after)


def _over(picture: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[Any]:
    return arrays.fuse(picture, mask.astype(np.uint8) * 255, colours_above=_flat((255, 80, 60)), opacity=0.55)


def _flat(colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.tile(np.array(colour, np.uint8), (256, 1))


def _outlined(picture: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[Any]:
    inner = mask.copy()
    for axis in (0, 1):
        for step in (1, -1):
            moved = np.zeros_like(mask)
            ahead, behind = [slice(None)] * 2, [slice(None)] * 2
            ahead[axis], behind[axis] = (slice(1, None), slice(-1)) if step > 0 else (slice(-1), slice(1, None))
            moved[tuple(ahead)] = mask[tuple(behind)]
            inner &= moved
    return arrays.draw_overlay(picture, mask & ~inner, colour=(255, 220, 0))


def _curve(values: NDArray[np.float64], height: int = 400) -> NDArray[np.uint8]:
    picture = np.full((height, 800), 20, np.uint8)
    at = np.interp(np.linspace(0, len(values) - 1, 800), np.arange(len(values)), np.nan_to_num(values))
    span = np.ptp(at) or 1.0
    rows = np.round((height - 20) * (1 - (at - at.min()) / span)).astype(int) + 10
    for column in range(1, 800):
        low, high = sorted(rows[column - 1 : column + 1])
        picture[low - 1 : high + 2, column] = 235
    return picture
