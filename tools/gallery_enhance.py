"""Gallery entries of enhancement: filters, noise reduction and contrast on a CT, an MR and a radiograph."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gallery import Entry, timed
from numpy.typing import NDArray

import pacscore
from pacscore.imaging import Image, Volume, Window
from pacscore.imaging.enhancement_steps import MatchHistogram

_SOFT = Window(40, 400)
_HEAD = slice(110, 350), slice(160, 340)
"""Where the patient is in the CT slices shown."""
_CT_STEPS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("gaussian", "sigma 1.5 mm along all axes: fewer samples across the thick slices", {"sigma_mm": 1.5}),
    ("box", "mean of 5 × 5, each slice by itself", {"size": 5, "planar": True}),
    ("median", "3 × 3 × 3: noise goes, edges of bone stay sharp", {"size": 3}),
    ("median", "5 × 5 × 5", {"size": 5}),
    ("rank", "90 % of 5 × 5: bright structures grow", {"percent": 90.0, "size": 5, "planar": True}),
    ("unsharp", "sigma 1 mm, amount 1.5", {"sigma_mm": 1.0, "amount": 1.5, "planar": True}),
    ("bilateral", "3-D: smooth within tissue, not across its borders", {"sigma_value": 60.0, "sigma_mm": 2.0}),
    ("nlm", "strength 30 HU, patch 5, search 5, each slice by itself", {"strength": 30.0, "planar": True}),
    ("nlm", "strength 30 HU, patch 3, search 3, across slices too", {"strength": 30.0, "patch": 3, "search": 3}),
    ("sobel", "gradient magnitude, HU per mm, 3-D", {}),
    ("laplacian", "HU per square mm, each slice by itself", {"planar": True}),
)  # fmt: skip
_CONTRAST_STEPS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("equalize", "histogram equalisation over all values; the border, 40 % of them and one value, takes its share", {}),
    ("clahe", "clip 2, 8 × 8 tiles", {}),
    ("clahe", "clip 6, 4 × 4 tiles", {"clip": 6.0, "tiles": 4}),
    ("gamma", "exponent 2; MONOCHROME1, so high values are dark: soft tissue brightens", {"exponent": 2.0}),
    ("detail", "Laplacian pyramid, exponent 0.6: faint lines of every size come out", {"exponent": 0.6}),
    ("detail", "exponent 0.5, base 0.6: narrower latitude too", {"exponent": 0.5, "base": 0.6, "core": 0.02}),
)


def entries(data: Path) -> Iterator[Entry]:
    """Each step once or twice."""
    with tempfile.TemporaryDirectory(prefix="gallery-") as folder, pacscore.create(Path(folder) / "a") as archive:
        archive.ingest(
            data / "series" / "ct-headneck-90",
            data / "series" / "sts003-mr-t1",
            data / "single" / "dicom-test-files" / "RG3_JPLY",
        )
        volumes = {row["Modality"]: archive.series(row["SeriesInstanceUID"]).volume() for row in archive.find("series")}
        ct, mr, radiograph = (_loaded(volumes[modality]) for modality in ("CT", "MR", "CR"))
    yield from _ct_entries(ct)
    image = radiograph.frame(0)
    for name, note, parameters in _CONTRAST_STEPS:
        yield _of_image(image, name, f"Radiograph, {image.shape[0]} × {image.shape[1]}: {note}", parameters)
    for name, parameters in (("clahe", {"clip": 3.0, "tiles": 4}), ("equalize", {})):
        yield _of_image(mr.frame(len(mr) // 2), name, "MR, one slice", parameters)
    body = ct.frame(70).array
    body = body[body > -300]
    matched, seconds = timed(lambda: mr.frame(len(mr) // 2).enhance(MatchHistogram(reference=body)))
    note = "MR slice given the distribution of a CT slice's body: a soft tissue window of CT now shows it"
    before = mr.frame(len(mr) // 2).display()
    yield Entry("match histogram", note, _larger(before), _larger(matched.display(_SOFT)), seconds)


def _loaded(volume: Volume) -> Volume:
    """In memory, so that times are of the step alone."""
    return volume.with_array(volume.modality(), derivation="read")


def _ct_entries(ct: Volume) -> Iterator[Entry]:
    middle = 35
    before = ct.frame(middle).display(_SOFT)
    for name, note, parameters in _CT_STEPS:
        part = ct if name != "nlm" else _slab(ct, middle)
        place = middle if part is ct else len(part) // 2
        result, seconds = timed(lambda part=part, name=name, parameters=parameters: part.enhance(name, **parameters))
        after = result.frame(place)
        window = _SOFT if name not in {"sobel", "laplacian"} else _edge_window(after)
        title = result.derivation[-1]
        size = " × ".join(map(str, part.shape))
        pair = (_larger(picture[_HEAD]) for picture in (before, after.display(window)))
        yield Entry(title, f"CT, {size}: {note}", *pair, seconds)


def _slab(volume: Volume, middle: int) -> Volume:
    from dataclasses import replace

    from pacscore.imaging import ArrayInMemory

    part = np.ascontiguousarray(volume.array()[middle - 8 : middle + 9])
    return replace(volume, source=ArrayInMemory(part), sop_instance_uids=())


def _edge_window(image: Image) -> Window:
    top = float(np.percentile(np.abs(image.array), 99.5))
    return Window.between(0.0 if image.array.min() >= 0 else -top, top)


def _of_image(image: Image, name: str, note: str, parameters: dict[str, Any]) -> Entry:
    result, seconds = timed(lambda: image.enhance(name, **parameters))
    title = f"{name} {', '.join(f'{key} {value:g}' for key, value in parameters.items())}".strip()
    # What keeps the range is shown over the same range; a window made for the result would hide what changed.
    window = None if name == "detail" else Window.between(float(image.array.min()), float(image.array.max()))
    return Entry(title, note, _larger(image.display(window)), _larger(result.display(window)), seconds)


def _larger(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """At least 400 pixels high, by repeating pixels."""
    factor = -(-400 // picture.shape[0])
    return np.kron(picture, np.ones((factor, factor), np.uint8))
