"""Words beside pictures: what a volume is and how far its geometry can be trusted; never whose it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pacscore.imaging.picture import text_width
from pacscore.imaging.values import Window

if TYPE_CHECKING:
    from pacscore.imaging.image import Image
    from pacscore.imaging.volume import Volume

Ink = tuple[int, int, int]

PAPER: Ink = (24, 26, 29)
INK: Ink = (232, 234, 237)
QUIET_INK: Ink = (154, 160, 166)
_VERDICT_INK: dict[str, Ink] = {"regular": (129, 201, 149), "tilted": (253, 214, 99), "none": QUIET_INK}
_DOUBTFUL_INK: Ink = (242, 139, 130)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, its colour and height in pixels."""

    text: str
    ink: Ink
    size: int


def verdict_ink(verdict: str) -> Ink:
    """Green for regular, amber for tilted, grey without geometry, red for what must not be measured across slices."""
    return _VERDICT_INK.get(verdict, _DOUBTFUL_INK)


def describe(volume: Volume, size: int) -> list[Line]:
    """Axes, spacing and verdict of a volume, a line each."""
    named = [f"{axis.name} {len(axis.values)}" for axis in volume.axes]
    lengths = " x ".join(str(length) for length in volume.shape[len(volume.axes) :])
    verdict = str(volume.geometry.verdict)
    return [
        Line(" · ".join([*named, lengths]), INK, size),
        Line(spacing_line(volume.spacing_mm), QUIET_INK, size),
        Line("no geometry" if verdict == "none" else verdict, verdict_ink(verdict), size),
    ]


def facts(volume: Volume, window: Window | None) -> list[tuple[str, str, Ink]]:
    """What a volume is, as rows of a table: name, value, colour of the value."""
    shape, lead = volume.shape, len(volume.axes)
    rows = [(axis.name, f"{len(axis.values)} {axis.unit}".strip(), INK) for axis in volume.axes]
    rows.append(("slices", str(shape[lead]), INK))
    rows.append(("frame", " x ".join(str(length) for length in shape[lead + 1 :]), INK))
    rows.append(("spacing", spacing_line(volume.spacing_mm), INK))
    if volume.spacing_mm is not None and None not in volume.spacing_mm:
        lengths = (step * count for step, count in zip(volume.spacing_mm, shape[lead:], strict=False) if step)
        rows.append(("extent", " x ".join(f"{length:.0f}" for length in lengths) + " mm", INK))
    rows.append(("stored", f"{volume.dtype}, {volume.stored.bits_stored} bits", INK))
    if window is not None:
        rows.append(("window", window_line(window, volume.rescale.unit), INK))
        rows.append(("chosen", "automatically" if window.automatic else "by the header", INK))
    verdict = str(volume.geometry.verdict)
    rows.append(("geometry", verdict, verdict_ink(verdict)))
    rows += [("derived", step, INK) for step in volume.derivation]
    return rows


def describe_image(image: Image, size: int) -> list[Line]:
    """Modality, size and spacing of an image, a line each."""
    lengths = " x ".join(str(length) for length in image.shape[:2])
    return [
        Line(f"{image.modality or 'image'} · {lengths}", INK, size),
        Line(spacing_line(image.spacing_mm), QUIET_INK, size),
    ]


def spacing_line(spacing_mm: tuple[float | None, ...] | None) -> str:
    """The spacing to three digits, with a question mark where it is not known.

    Examples
    --------
    >>> spacing_line((None, 0.9765625, 0.9765625))
    '? x 0.977 x 0.977 mm'
    """
    if spacing_mm is None:
        return "spacing unknown"
    return " x ".join("?" if step is None else f"{step:.3g}" for step in spacing_mm) + " mm"


def window_line(window: Window, unit: str) -> str:
    """Width and level as a radiologist writes them.

    Examples
    --------
    >>> window_line(Window(40, 400), "HU")
    'W 400  L 40 HU'
    """
    words = [f"W {window.width:.4g}  L {window.center:.4g}", unit, window.explanation]
    return " ".join(word for word in words if word)


def wrap(text: str, size: int, width: float) -> list[str]:
    """Break a sentence into lines no wider than ``width`` pixels; a single long word is cut."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(joined, size) <= width:
            lines[-1] = joined
        else:
            lines.append(fit(word, size, width))
    return lines


def fit(text: str, size: int, width: float) -> str:
    """``text``, or as much of it as ``width`` pixels hold, ending in dots."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "...", size) > width:
        text = text[:-1]
    return text + "..."
