"""Run by ``test_imaging_warming``: does all that volumes can, and prints the kernels that warming left out.

What is looked at is each kernel's list of compiled versions in this process. It grows whether a version was compiled or
came from the cache on disk, so that a cache which other tests have filled hides nothing, and nothing is compiled twice.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from imaging.test_imaging_resampling import CountingSource, oblique_affine, volume_of

from pacscore.imaging import Ellipse, Image, Polygon, StoredFormat, Volume, Window, warming
from pacscore.imaging.arrays import PROJECTION_KINDS, Watch
from pacscore.imaging.enhancement_steps import STEPS
from pacscore.imaging.enhancement_warming import _NEEDED
from pacscore.kernels._compile import Kernel


def versions() -> dict[str, int]:
    """How many versions each kernel has that a Python function called."""
    found = {}
    for name, module in [*sys.modules.items()]:
        if name.startswith("pacscore.kernels."):
            for each in vars(module).values():
                if isinstance(each, Kernel) and each._compiled is not None and each.__name__.endswith("_into"):
                    found[f"{each.__module__.rsplit('.')[-1]}.{each.__name__}"] = len(each._compiled.signatures)
    return found


def volumes() -> Iterator[Volume]:
    """Of each kind of words, in memory, in memory that cannot be written to, and in chunks."""
    for dtype in (np.int16, np.uint16, np.uint8, np.float32):
        words = (np.arange(6 * 20 * 70) % 120).astype(dtype).reshape(6, 20, 70)
        locked = words.copy()
        locked.flags.writeable = False
        affine = oblique_affine()
        yield volume_of(words, affine)
        yield volume_of(locked, affine)
        yield volume_of(words, affine, source=CountingSource(words, (2, 8, 32)))
        if words.dtype.kind in "iu":
            yield volume_of(words, affine, stored=StoredFormat(7, 6, signed=words.dtype.kind == "i"))


def resampling(volume: Volume) -> None:
    for interpolation in ("nearest", "linear", "cubic", "bspline"):
        volume.slab(thickness_mm=2.0, spacing_mm=2.0, interpolation=interpolation)
        volume.resample(1.6, interpolation=interpolation)
        volume.reslice_stack(slice_count=2, slice_spacing_mm=1.0, spacing_mm=3.0, interpolation=interpolation)
    volume.curved([(0, 0, 0), (5, 5, 5)], width_mm=4.0)
    Image(np.ones((9, 8), np.float32)).magnify(2.0).rotate(20)


def intensity(volume: Volume) -> None:
    volume.modality()
    volume.frame(2).display()
    volume.plane("coronal", 3).display()
    for function, bits in itertools.product(("LINEAR", "LINEAR_EXACT", "SIGMOID"), (8, 16)):
        volume.window(Window(40, 80, function), bits=bits, inverse=True)
    volume.fuse(volume, window_below=Window(40, 80), window_above=Window(40, 80), colours_above="rainbow")


def analysis(volume: Volume) -> None:
    affine = volume.index_to_lps
    corners = (np.array([(2, 3, 4, 1), (2, 3, 12, 1), (2, 9, 12, 1)]) @ affine.T)[:, :3]
    middle = (affine @ [2, 8, 9, 1])[:3]
    mask = volume.array() > 30
    locked = mask.copy()
    locked.flags.writeable = False
    for each in (None, mask, locked, mask.astype(np.uint8)):
        volume.statistics(mask=each)
        volume.histogram(mask=each)
    for roi in (Polygon(corners), Ellipse(middle, affine[:3, 1] * 3, affine[:3, 2] * 4)):
        volume.statistics(roi=roi)
    for connectivity in (6, 18, 26):
        volume.components(-950, connectivity=connectivity)
        volume.grow([middle], low=-2000, connectivity=connectivity)
    volume.threshold(-940)
    volume.compare(volume)
    volume.profile(middle, middle + 3)
    padded = replace(volume, presentation=replace(volume.presentation, padding=(0, 5)))
    padded.statistics()


def enhancement(volume: Volume) -> None:
    if volume.dtype == np.uint8:
        return
    for name, kind in STEPS.items():
        volume.enhance(kind(**_NEEDED.get(name, {})))
        values = volume.array()
        values.flags.writeable = False
        if values.dtype != np.uint16:
            kind(**_NEEDED.get(name, {})).filtered(values, (3.0, 1.0, 1.0), Watch())


def projections(volume: Volume) -> None:
    if volume.dtype not in (np.int16, np.float32):
        return
    for kind in PROJECTION_KINDS:
        volume.project(kind, azimuth_deg=20, size=8)
        if volume.dtype == np.int16:
            for axis in range(3):
                volume.project(kind, axis=axis)
    volume.render("bone", size=8)


FAMILIES: dict[str, Callable[[Volume], Any]] = {
    each.__name__: each for each in (resampling, intensity, analysis, enhancement, projections)
}


def main() -> None:
    """Print ``family kernel`` for each version that a family used and warming did not make."""
    for _, warm in warming.WARM_CALLS:
        warm()
    known = versions()
    for volume in volumes():
        for name, call in FAMILIES.items():
            call(volume)
            now = versions()
            for kernel, count in now.items():
                if count != known.get(kernel, 0):
                    print(name, volume.dtype, type(volume.source).__name__, kernel)
            known = now


if __name__ == "__main__":
    main()
