"""Colours on plain arrays: YBR to RGB, palettes, pseudo-colour, one picture over another, overlays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.dicom.colour import ybr_full_to_rgb
from pacscore.errors import InputError
from pacscore.imaging.arrays.checks import kernel_input, output_array, read_only
from pacscore.kernels import pointwise as kernels
from pacscore.parallel import run_tiles

_TILE = 1 << 19
Colours = NDArray[np.uint8]


def _segments(*samples: Mapping[int, int]) -> Colours:
    """A palette of straight segments: for red, green and blue the values at some of the 256 places."""
    places = np.arange(256)
    columns = [np.interp(places, list(sample), list(sample.values())) for sample in samples]
    return np.floor(np.stack(columns, axis=-1) + 0.5).astype(np.uint8)


def _published(file: str) -> Colours:
    """A well-known palette (PS3.6 Annex B) that is a list of numbers, from the file of it that pydicom carries."""
    import pydicom
    from pydicom.data import get_palette_files

    (path,) = get_palette_files(f"{file}.dcm")
    stated = pydicom.dcmread(path)
    columns = [stated[f"{colour}PaletteColorLookupTableData"].value for colour in ("Red", "Green", "Blue")]
    return np.stack([np.frombuffer(column, np.uint8, 256) for column in columns], axis=-1)


_PALETTES: Mapping[str, Callable[[], Colours]] = MappingProxyType({
    "grey": lambda: _segments(*[{0: 0, 255: 255}] * 3),
    # PS3.6 Annex B.1.1: red doubles over the lower half, green over the upper, blue fourfold over the last quarter; the
    # last entry is white.
    "hot iron": lambda: _segments({0: 0, 127: 254, 128: 255, 255: 255}, {0: 0, 128: 0, 254: 252, 255: 255},
                                  {0: 0, 191: 0, 254: 252, 255: 255}),
    # B.1.5 to B.1.8: one or two linear segments a colour.
    "spring": lambda: _segments({0: 255, 255: 255}, {0: 0, 255: 255}, {0: 255, 255: 0}),
    "summer": lambda: _segments({0: 0, 255: 0}, {0: 255, 255: 128}, {0: 0, 127: 0, 255: 254}),
    "fall": lambda: _segments({0: 255, 255: 255}, {0: 255, 255: 0}, {0: 0, 255: 0}),
    "winter": lambda: _segments({0: 0, 127: 0, 255: 127}, {0: 0, 255: 255}, {0: 255, 255: 128}),
    # B.1.2 to B.1.4.
    "pet": lambda: _published("pet"),
    "hot metal blue": lambda: _published("hotmetalblue"),
    "pet 20 step": lambda: _published("pet20step"),
    # Not of the Standard: the spectrum from blue to red in four equal segments.
    "rainbow": lambda: _segments({0: 0, 128: 0, 192: 255, 255: 255}, {0: 0, 64: 255, 192: 255, 255: 0},
                                 {0: 255, 64: 255, 128: 0, 255: 0}),
})  # fmt: skip

PALETTES = tuple(_PALETTES)
"""Names of ``palette``: the well-known ones of PS3.6 Annex B, plain grey, and a spectrum."""


def palette(name: str) -> Colours:
    """A palette by name: ``(256, 3)`` uint8.

    Raises
    ------
    InputError
        There is none of that name.

    Examples
    --------
    >>> palette("hot iron")[[0, 64, 255]].tolist()
    [[0, 0, 0], [128, 0, 0], [255, 255, 255]]
    """
    if name not in _PALETTES:
        raise InputError(f"There is no palette {name!r}: choose one of {', '.join(PALETTES)}.", found=name)
    return _PALETTES[name]()


def pseudo_colour(shown: NDArray[Any], colours: str | ArrayLike, *, out: Colours | None = None) -> Colours:
    """Give 8-bit display values the colours of a palette.

    Parameters
    ----------
    shown : NDArray of uint8
        Any shape.
    colours : str or array-like
        A name of ``PALETTES``, or ``(256, 3)`` uint8.
    out : NDArray of uint8, optional
        Shape of ``shown`` and 3, C order.

    Raises
    ------
    InputError
        Other display values, an unknown palette, or ``out`` does not fit.
    """
    if shown.dtype != np.uint8:
        raise InputError(f"A palette colours uint8 display values, not {shown.dtype}: window first.")
    table = _colours(colours)
    target = output_array(out, (*shown.shape, 3), np.dtype(np.uint8))
    source, rgb = kernel_input(shown).reshape(-1), target.reshape(-1, 3)
    run_tiles(lambda a, b: kernels.colour_into(source[a:b], table, rgb[a:b]), source.size, tile=_TILE)
    return target


def fuse(
    below: NDArray[Any],
    above: NDArray[Any],
    *,
    colours_below: str | ArrayLike = "grey",
    colours_above: str | ArrayLike = "hot iron",
    opacity: float | ArrayLike = 0.5,
    out: Colours | None = None,
) -> Colours:
    """Lay one picture over another, for example PET over CT.

    Parameters
    ----------
    below, above : NDArray of uint8
        Display values of one shape, on one grid.
    colours_below, colours_above : str or array-like
        Palettes, as ``pseudo_colour`` takes them.
    opacity : float or array-like
        Of what is above, 0 to 1; or ``(256,)`` of each of its display values. A single number lets 0 shine through
        wholly, so that what is below stays as it is where nothing lies above.
    out : NDArray of uint8, optional
        Their shape and 3, C order.

    Raises
    ------
    InputError
        The shapes differ, values are not uint8, or the opacity is none.

    Examples
    --------
    >>> fuse(np.array([100], np.uint8), np.array([255], np.uint8), opacity=0.5).tolist()
    [[178, 178, 178]]
    """
    if below.shape != above.shape or below.dtype != np.uint8 or above.dtype != np.uint8:
        raise InputError(
            f"Two uint8 pictures of one grid are fused, not {below.dtype} {below.shape} and {above.dtype} "
            f"{above.shape}: resample the second onto the first's grid and window both.",
            expected=below.shape,
            found=above.shape,
        )
    under, over = _colours(colours_below), _colours(colours_above)
    shares = np.asarray(opacity, np.float64)
    if shares.ndim == 0:
        shares = np.full(256, float(shares))
        shares[0] = 0.0
    if shares.shape != (256,) or not ((shares >= 0) & (shares <= 1)).all():
        raise InputError("Opacity is 0 to 1: one number, or one for each of 256 display values.", found=shares.shape)
    alpha = read_only(np.floor(shares * 255 + 0.5).astype(np.uint8))
    target = output_array(out, (*below.shape, 3), np.dtype(np.uint8))
    low, high, rgb = kernel_input(below).reshape(-1), kernel_input(above).reshape(-1), target.reshape(-1, 3)
    run_tiles(lambda a, b: kernels.fuse_into(low[a:b], high[a:b], under, over, alpha, rgb[a:b]), low.size, tile=_TILE)
    return target


def draw_overlay(
    picture: NDArray[Any],
    bits: NDArray[Any],
    *,
    origin: tuple[int, int] = (0, 0),
    colour: tuple[int, int, int] = (255, 255, 0),
) -> Colours:
    """Draw the set bits of an overlay plane on a picture.

    Parameters
    ----------
    picture : NDArray of uint8
        ``(rows, columns)`` display values, or ``(rows, columns, 3)`` RGB.
    bits : NDArray
        ``(rows, columns)`` bool; the part that lies outside the picture is not drawn.
    origin : tuple of int
        Row and column of the picture where the first bit lies, from 0; Overlay Origin (60xx,0050) less 1. May be
        negative.
    colour : tuple of int
        Red, green, blue.

    Returns
    -------
    NDArray of uint8
        ``(rows, columns, 3)``, a new array.

    Raises
    ------
    InputError
        The picture is none, or the overlay has not two axes.

    Notes
    -----
    PS3.3 C.9.2.
    """
    is_grey = picture.ndim == 2
    if picture.dtype != np.uint8 or bits.ndim != 2 or not (is_grey or (picture.ndim == 3 and picture.shape[2] == 3)):
        raise InputError(
            f"An overlay of two axes is drawn on uint8 display values or RGB: {bits.shape} on {picture.dtype} "
            f"{picture.shape}.",
            found=picture.shape,
        )
    rgb = np.repeat(picture[..., None], 3, axis=2) if is_grey else picture.copy()
    first = [max(0, start) for start in origin]
    last = [min(size, start + length) for size, start, length in zip(picture.shape, origin, bits.shape, strict=False)]
    if all(a < b for a, b in zip(first, last, strict=True)):
        inside = bits[tuple(slice(a - o, b - o) for a, b, o in zip(first, last, origin, strict=True))] != 0
        rgb[first[0] : last[0], first[1] : last[1]][inside] = colour
    return rgb


def ybr_to_rgb(ybr: NDArray[Any], *, photometric: str, bits: int = 8) -> NDArray[Any]:
    """Turn YBR samples into RGB.

    Parameters
    ----------
    ybr : NDArray
        ``(…, rows, columns, 3)``. YBR_FULL and YBR_FULL_422 (its chroma already repeated for each pixel): uint8 or
        uint16. YBR_ICT and YBR_RCT: signed integers, chroma around zero, as the transforms inside JPEG 2000 have them;
        decoders undo these themselves, so they are met only by who decodes himself.
    photometric : str
        Photometric Interpretation (0028,0004).
    bits : int
        Bits Stored of a sample.

    Returns
    -------
    NDArray
        Same shape; uint8 for at most 8 bits, else uint16.

    Raises
    ------
    InputError
        Another photometric interpretation, dtype or last axis.

    Notes
    -----
    PS3.3 C.7.6.3.1.2, rounded to nearest with ties up and clamped to the range; YBR_RCT is exact.
    """
    if ybr.ndim < 1 or ybr.shape[-1] != 3 or not 1 <= bits <= 16:
        raise InputError(f"YBR samples have a last axis of 3 and 1 to 16 bits: shape {ybr.shape}, {bits} bits.")
    if photometric in {"YBR_FULL", "YBR_FULL_422"}:
        return ybr_full_to_rgb(ybr, bits=bits)
    if photometric not in {"YBR_ICT", "YBR_RCT"} or ybr.dtype.kind != "i":
        raise InputError(
            f"{photometric} of {ybr.dtype} has no RGB here: (0028,0004). YBR_ICT and YBR_RCT need signed samples.",
            tag="00280004",
            found=photometric,
        )
    luma, blue, red = (ybr[..., sample].astype(np.int64) for sample in range(3))
    if photometric == "YBR_RCT":
        green = luma - ((blue + red) >> 2)
        rgb = np.stack([red + green, green, blue + green], axis=-1)
    else:
        exact = [luma + 1.402 * red, luma - (0.114 * 1.772 * blue + 0.299 * 1.402 * red) / 0.587, luma + 1.772 * blue]
        rgb = np.floor(np.stack(exact, axis=-1) + 0.5).astype(np.int64)
    clamped: NDArray[Any] = np.clip(rgb, 0, (1 << bits) - 1).astype(np.uint8 if bits <= 8 else np.uint16)
    return clamped


def _colours(colours: str | ArrayLike) -> Colours:
    if isinstance(colours, str):
        return read_only(palette(colours))
    table = np.asarray(colours)
    if table.shape != (256, 3) or table.dtype != np.uint8:
        raise InputError(f"A palette is (256, 3) uint8, not {table.dtype} {table.shape}.", found=table.shape)
    return read_only(np.ascontiguousarray(table))
