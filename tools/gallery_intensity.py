"""Gallery entries of intensity: windows, tables, the standard display function, colours, overlays, fusion."""

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
from pacscore.imaging import ArrayInMemory, Volume, arrays
from pacscore.imaging.values import VoiTable, Window

_SLICE = 70
_SERIES = ("ct-headneck-90", "sts003-ct", "sts003-pet", "mr-t1-jpegls-4")


def entries(data: Path) -> Iterator[Entry]:
    """Each way to show values, on a CT of head and neck, a PET over its CT, and single objects."""
    with tempfile.TemporaryDirectory(prefix="gallery-") as folder, pacscore.create(Path(folder) / "a") as archive:
        archive.ingest(*(data / "series" / name for name in _SERIES))
        singles = ("pydicom/examples_overlay.dcm", "pydicom-data/OBXXXX1A_rle_2frame.dcm", "dcm4che/YBR_FULL-RLE.dcm")
        archive.ingest(*(data / "single" / name for name in singles))
        volumes = [archive.series(row["SeriesInstanceUID"]).volume() for row in archive.find("series")]
        head = next(each for each in volumes if each.shape[-2:] == (511, 511))
        legs = next(each for each in volumes if each.presentation.modality == "CT" and each.shape[0] == 51)
        pet = next(each for each in volumes if each.presentation.modality == "PT")
        yield from map(_cropped, _windows(_loaded(head)))
        yield from map(_cropped, _colours(_loaded(head), _loaded(legs), _loaded(pet)))
        yield from _objects(archive)


def _windows(head: Volume) -> Iterator[Entry]:
    plain = head.window("soft tissue").array()[_SLICE]
    for name in ("bone", "brain", "lung", "percentile", "histogram"):
        shown, seconds = timed(lambda name=name: head.window(name))
        said = shown.derivation[-1]
        yield Entry(f"Window: {name}", f"{said}; {_size(head)} in one pass. Before: soft tissue.", plain,
                    shown.array()[_SLICE], seconds)  # fmt: skip
    sigmoid, seconds = timed(lambda: head.window(Window(40, 400, "SIGMOID")))
    yield Entry("VOI LUT function SIGMOID", "40/400: dark and bright ends keep some contrast. Before: LINEAR.", plain,
                sigmoid.array()[_SLICE], seconds)  # fmt: skip
    places = np.arange(1400) / 1399
    table = VoiTable(-1000, np.floor(4095 * places**2.5 + 0.5).astype(np.uint16), 12, "curve")
    curved, seconds = timed(lambda: head.window(table))
    yield Entry("VOI LUT sequence", "A table of 1400 entries and 12 bits from -1000 HU on, exponent 2.5.", plain,
                curved.array()[_SLICE], seconds)  # fmt: skip
    turned, seconds = timed(lambda: head.window("soft tissue", inverse=True))
    yield Entry("Inverse", "As MONOCHROME1, or Presentation LUT Shape INVERSE.", plain, turned.array()[_SLICE], seconds)
    luminances = 0.5 + 400 * (np.arange(256) / 255) ** 2.2
    levels, seconds = timed(lambda: arrays.ddl_of_p_values(luminances, ambient_cd_m2=0.3))
    yield Entry("Grayscale Standard Display Function", "P-Values to levels of a display with gamma 2.2 and 400 cd/m²: "
                "steps that are equal to the eye; the darkest ones are raised.", plain,
                levels.astype(np.uint8)[plain], seconds)  # fmt: skip


def _colours(head: Volume, legs: Volume, pet: Volume) -> Iterator[Entry]:
    shown = head.window("soft tissue").array()
    for name in ("hot iron", "rainbow", "winter"):
        colours, seconds = timed(lambda name=name: arrays.pseudo_colour(shown, name))
        yield Entry(f"Pseudo-colour: {name}", f"{_size(head)}; hot iron and winter as in PS3.6 Annex B.",
                    shown[_SLICE], colours[_SLICE], seconds)  # fmt: skip
    window = Window.between(0, float(np.percentile(pet.modality(), 99.8)))
    fused, seconds = timed(
        lambda: legs.fuse(pet, window_below="soft tissue", window_above=window, opacity=np.linspace(0, 0.9, 256))
    )
    index = 26
    yield Entry("Fusion of PET and CT", "PET on the CT's grid, linear, in hot iron, more opaque the hotter: a sarcoma.",
                _enlarged(legs.window("soft tissue").array()[index]), _enlarged(fused.array()[index]),
                seconds)  # fmt: skip


def _objects(archive: pacscore.Archive) -> Iterator[Entry]:
    for row in archive.find("series"):
        series = archive.series(row["SeriesInstanceUID"])
        instance = series.instances[0]
        photometric = series.stacks[0].values.presentation.photometric
        volume = series.volume()
        if volume.axes or photometric in {"PALETTE COLOR", "YBR_FULL"}:
            if photometric in {"PALETTE COLOR", "YBR_FULL"}:
                stored = instance.frame(0)
                raw = stored if stored.ndim == 2 else stored[..., 0]
                rgb, seconds = timed(lambda instance=instance: instance.frame_rgb(0))
                yield Entry(f"{photometric} to RGB", "Before: the stored samples, of YBR the first.",
                            raw.astype(np.uint8), (rgb >> (8 * (rgb.dtype.itemsize - 1))).astype(np.uint8),
                            seconds)  # fmt: skip
        elif overlays := instance.overlays():
            image = volume.frame(0)
            drawn, seconds = timed(lambda image=image, overlays=overlays: image.overlaid(overlays))
            yield Entry("Overlay plane 6000", f"{overlays[0].bits.sum()} bits of graphics, drawn in yellow.",
                        image.display(), drawn, seconds)  # fmt: skip


def _loaded(volume: Volume) -> Volume:
    """In memory, so that times are those of the step alone."""
    return replace(volume, source=ArrayInMemory(volume.array()), stored=replace(volume.stored, clean=True))


def _size(volume: Volume) -> str:
    return " × ".join(map(str, volume.shape))


def _cropped(entry: Entry) -> Entry:
    """The head alone, of whole slices."""
    before, after = (each[120:410, 130:390] if each.shape[0] == 511 else each for each in (entry.before, entry.after))
    return replace(entry, before=before, after=after)


def _enlarged(picture: NDArray[Any]) -> NDArray[Any]:
    return picture.repeat(3, 0).repeat(3, 1)
