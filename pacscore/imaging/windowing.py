"""Volumes as display values: a window over all of a volume, and one volume laid over another."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import GeometryError, InputError
from pacscore.imaging import arrays, regridding
from pacscore.imaging.arrays import Progress, Watch
from pacscore.imaging.arrays.showing import aligned_empty
from pacscore.imaging.presets import Voi, choose_voi
from pacscore.imaging.sources import ArrayInMemory, everything
from pacscore.imaging.values import Presentation, Rescale, StoredFormat, VoiTable, Window

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

_SLAB_BYTES = 2 << 20  # Fits the second cache: what is decoded is mapped before it leaves.
_SAMPLE_SLICES = 9
_GRID_MM = 1e-3


def shown_window(volume: Volume) -> Window | None:
    """The window to show the whole stack with: the header's where most frames share it, else an automatic one.

    It is computed from at most nine frames spread over the stack, so that the cost does not grow with it (see
    ``Window.automatic_for``); None for colour.
    """
    if not volume.is_monochrome:
        return None
    shared = volume.presentation.shared_window(volume.frame_count)
    return shared or Window.automatic_for(_sample(volume), unit=volume.rescale.unit)


def window(
    volume: Volume,
    which: Voi = None,
    *,
    bits: int = 8,
    inverse: bool | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Volume:
    """Apply a window to the whole volume: a derived volume of display values.

    Parameters
    ----------
    which : Window, VoiTable, int, str, optional
        What to show. A number counts the header's windows and, after them, its VOI LUTs; a name is a preset (``bone``),
        an explanation of the header, ``percentile`` or ``histogram``. By default ``shown_window()``, or the header's
        VOI LUT where it has that and no window.
    bits : int
        8 gives uint8 of 0 to 255, 16 gives uint16 of 0 to 65535.
    inverse : bool, optional
        Low values are bright; by default as the photometric interpretation and Presentation LUT Shape say.
    progress : callable, optional
        Called as ``progress(phase, done, total)`` from the working threads.
    cancel : threading.Event, optional
        Once set, the work ends with ``CancelledError``.

    Returns
    -------
    Volume
        Same shape, grid and sources, MONOCHROME2, without unit; a picture of it shows its values as they are.

    Raises
    ------
    InputError
        The volume is in colour, or there is no such window.
    UnsupportedError
        The header names a transformation that cannot be done.
    CancelledError
        ``cancel`` was set.

    Notes
    -----
    PS3.3 C.11.1, C.11.2, C.11.6. Stored words become display values in one pass, slab by slab as they are decoded, so
    that beside the result a few MiB are needed. Equal to ``display`` of every frame with the same window.
    """
    if not volume.is_monochrome:
        raise InputError("Colour is shown without a window.")
    chosen = _chosen(volume, which)
    turned = volume.presentation.is_inverse if inverse is None else inverse
    out = aligned_empty(volume.shape, np.dtype(f"u{bits // 8}" if bits in {8, 16} else "u1"))
    if bits not in {8, 16}:
        raise InputError(f"Display values have 8 or 16 bits, not {bits}.", found=bits)
    _fill(volume, _Shower(volume, chosen, bits, turned), out, Watch(progress, cancel))
    top = (1 << bits) - 1
    if isinstance(chosen, Window):
        said = f"window {chosen.center:g}/{chosen.width:g} {chosen.function}"
    else:
        said = f"VOI LUT {chosen.explanation}".rstrip()
    shown = replace(
        volume.presentation,
        photometric="MONOCHROME2",
        windows=((Window(top / 2, top, "LINEAR_EXACT", "as windowed"),),),
        padding=None,
        voi_tables=(),
        inverse=False,
    )
    return replace(
        volume.with_array(out, derivation=said + (", inverted" if turned else ""), presentation=shown),
        rescale=Rescale.linear(),
    )


def fuse(
    below: Volume,
    above: Volume,
    *,
    window_below: Voi = None,
    window_above: Voi = None,
    colours_above: str | ArrayLike = "hot iron",
    opacity: float | ArrayLike = 0.5,
    interpolation: str = "linear",
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Volume:
    """Lay another volume over this one, for example PET over CT: a derived RGB volume.

    Parameters
    ----------
    above : Volume
        On any grid in the same frame of reference: where it is another, it is resampled onto this volume's.
    window_below, window_above : Window, VoiTable, int, str, optional
        As ``window`` takes them.
    colours_above, opacity
        A palette and how much of it covers what is below; see ``arrays.fuse``.
    interpolation
        As ``resample`` takes it.
    progress, cancel
        As for ``window``.

    Returns
    -------
    Volume
        ``(slices, rows, columns, 3)`` uint8 RGB, on this volume's grid; the instances of both are its sources.

    Raises
    ------
    GeometryError
        The volumes lie in different frames of reference, or on different grids and one does not state its frame; or one
        that must be resampled has a single slice.
    InputError
        One is in colour, has further axes, or there is no such window or palette.
    CancelledError
        ``cancel`` was set.

    Notes
    -----
    Grids are one where they have one shape and their corners lie within a thousandth of a millimetre. Outside the other
    volume nothing is laid over this one, provided that its window shows its background (0, of HU -1024) as black.
    """
    moved = not _share_grid(below, above)
    further = dict.fromkeys((*below.further_sop_instance_uids, *above.source_instance_uids))
    if moved:
        above = regridding.resample(above, like=below, interpolation=interpolation, progress=progress, cancel=cancel)
    under = window(below, window_below, progress=progress, cancel=cancel).array()
    over = window(above, window_above, progress=progress, cancel=cancel).array()
    rgb = arrays.fuse(under, over, colours_above=colours_above, opacity=opacity)
    palette = colours_above if isinstance(colours_above, str) else "colours of its own"
    said = f"{above.presentation.modality or 'another volume'} in {palette}"
    if moved:
        said += f", resampled onto this grid, {interpolation}"
    return replace(
        below,
        source=ArrayInMemory(rgb),
        stored=StoredFormat.of_dtype(rgb.dtype),
        rescale=Rescale.linear(),
        presentation=Presentation(below.presentation.modality, "RGB", pixel_aspect=below.presentation.pixel_aspect),
        to_rgb=None,
        derivation=(*below.derivation, f"fused with {said}"),
        further_sop_instance_uids=tuple(further),
    )


class _Shower:
    """Turns frames of words into display values; the maps of frames that are rescaled alike are made once."""

    def __init__(self, volume: Volume, chosen: Window | VoiTable, bits: int, inverse: bool) -> None:
        self._volume, self._chosen, self._bits, self._inverse = volume, chosen, bits, inverse
        rescale, stored = volume.rescale, volume.stored
        self._small = volume.dtype.kind in "iu" and volume.dtype.itemsize <= 2
        self.alike = rescale.slopes.size == 1 and len(rescale.tables) <= 1 and not stored.of_frames
        # A table has as many entries as there are stored values: for a small frame with a rescale of its own that is
        # more work than the frame itself.
        self._mapped = self._small and (self.alike or math.prod(volume.shape[len(volume.axes) + 1 :]) > 1 << 17)
        self._shared = self._map(0) if self._mapped and self.alike else None

    def show(self, words: NDArray[Any], frame: int, out: NDArray[Any]) -> None:
        """Map ``(frames, …)`` words of frames from ``frame`` on into ``out``."""
        if self._shared is not None:
            self._shared.apply(words, out=out, threads=1)
        elif self._mapped:
            for place in range(len(words)):
                self._map(frame + place).apply(words[place], out=out[place], threads=1)
        else:
            places = slice(frame, frame + len(words))
            stored = words
            for each in range(len(words)):
                form = self._volume.stored.frames(slice(frame + each, frame + each + 1))
                if form.masks(words.dtype):
                    stored = stored.copy() if stored is words else stored
                    arrays.mask_stored(
                        stored[each], bits_stored=form.bits_stored, high_bit=form.high_bit, signed=form.signed,
                        out=stored[each],
                    )  # fmt: skip
            self._show_values(self._volume.rescale.frames(places).apply(stored), out)

    def _show_values(self, values: NDArray[np.float32], out: NDArray[Any]) -> None:
        chosen = self._chosen
        if isinstance(chosen, VoiTable):
            out[...] = chosen.display(values, bits=self._bits, inverse=self._inverse)
            return
        rows = values.reshape(-1, values.shape[-1])
        arrays.window(
            rows, chosen.center, chosen.width, function=chosen.function, inverse=self._inverse, bits=self._bits,
            out=out.reshape(rows.shape),
        )  # fmt: skip

    def _map(self, frame: int) -> arrays.DisplayMap:
        volume = self._volume
        form = volume.stored.frames(slice(frame, frame + 1))
        width = volume.dtype.itemsize * 8
        bits, high = (form.bits_stored, form.high_bit) if form.masks(volume.dtype) else (width, width - 1)
        stored = arrays.stored_values(volume.dtype, bits)
        values = volume.rescale.frames(slice(frame, frame + 1)).apply(stored[None])
        shown = np.empty(values.shape, f"u{self._bits // 8}")
        self._show_values(values, shown)
        return arrays.display_map(shown[0], volume.dtype, bits_stored=bits, high_bit=high)


def _fill(volume: Volume, shower: _Shower, out: NDArray[Any], watch: Watch) -> None:
    """Decode and map slabs of whole chunks side by side."""
    lead = len(volume.axes) + 1
    frame_shape = volume.shape[lead:]
    slices = volume.shape[lead - 1]
    chunk = max(1, volume.source.chunk_shape[lead - 1])
    chunk_bytes = chunk * max(1, math.prod(frame_shape) * volume.dtype.itemsize)
    slab = chunk * max(1, _SLAB_BYTES // chunk_bytes)
    slabs = [(outer, start) for outer in np.ndindex(*volume.shape[: lead - 1]) for start in range(0, slices, slab)]

    def show(first: int, last: int) -> None:
        for outer, start in slabs[first:last]:
            stop = min(slices, start + slab)
            box = (*(slice(index, index + 1) for index in outer), slice(start, stop), *everything(frame_shape))
            words = volume.source.read(box).reshape(stop - start, *frame_shape)
            frame = int(np.ravel_multi_index((*outer, start), volume.shape[:lead]))
            shower.show(words, frame, out[outer][start:stop])

    watch.run("window", show, len(slabs))


def _chosen(volume: Volume, which: Voi) -> Window | VoiTable:
    windows, tables = volume.presentation.frame_windows(0), volume.presentation.frame_tables(0)
    if which is not None:
        return choose_voi(which, (*windows, *tables), unit=volume.rescale.unit, sample=lambda: _sample(volume))
    if tables and not volume.presentation.windows:
        return tables[0]
    shown = shown_window(volume)
    assert shown is not None
    return shown


def _sample(volume: Volume) -> NDArray[Any]:
    """Values of at most nine frames spread over the stack, padding left out."""
    places = np.unique(np.linspace(0, volume.frame_count - 1, _SAMPLE_SLICES + 2)[1:-1].round().astype(int))
    return np.concatenate([volume.frame(int(place)).shown_values() for place in places])


def _share_grid(below: Volume, above: Volume) -> bool:
    """Whether two volumes have one grid; raises where it is not certain that they lie in one space."""
    for volume in (below, above):
        if volume.axes or not volume.is_monochrome:
            raise InputError("Fusion is of two monochrome volumes without further axes: choose with at().")
    names = below.geometry.frame_of_reference_uid, above.geometry.frame_of_reference_uid
    if names[0] and names[1] and names[0] != names[1]:
        raise GeometryError(
            f"The volumes lie in different frames of reference, {names[0]} and {names[1]}: register them first.",
            expected=names[0],
            found=names[1],
        )
    apart = math.inf
    if below.shape == above.shape:
        corners = np.array([(a, b, c, 1) for a in (0, 1) for b in (0, 1) for c in (0, 1)]) * [*below.shape, 1]
        apart = float(np.abs(corners @ (below.index_to_lps - above.index_to_lps).T).max())
    if apart > _GRID_MM and not (names[0] and names[1]):
        raise GeometryError(
            f"The grids differ: {below.shape} and {above.shape}; and not both volumes state their Frame of Reference "
            "UID (0020,0052), so whether they lie in one space is not known. Where you know it, resample the second "
            "with like= first.",
            expected=below.shape,
            found=above.shape,
        )
    return apart <= _GRID_MM
