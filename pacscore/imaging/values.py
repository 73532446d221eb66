"""What turns stored words into values and values into a picture: facts about a stack, as frozen values.

They know nothing of DICOM's encoding; ``attributes`` reads them from documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import InputError, UnsupportedError
from pacscore.imaging import arrays

Item = TypeVar("Item")

MONOCHROME = frozenset({"MONOCHROME1", "MONOCHROME2"})
"""Photometric Interpretations (0028,0004) that a window shows."""


@dataclass(frozen=True, slots=True)
class StoredFormat:
    """How stored values lie in words (PS3.5 8.1.1).

    Attributes
    ----------
    bits_stored, high_bit : int
        Bits Stored (0028,0101) and High Bit (0028,0102).
    signed : bool
        Pixel Representation (0028,0103) is 1.
    clean : bool
        Every word is known to equal its stored value (sealing counted none that the mask alters), so that nothing need
        be masked when reading.
    of_frames : tuple of StoredFormat
        The format of each frame where they differ, as in scans of which the slices with the brightest pixels state one
        bit more; this value then is the widest of them. Empty where all frames share this one.
    """

    bits_stored: int
    high_bit: int
    signed: bool
    clean: bool = False
    of_frames: tuple[StoredFormat, ...] = ()

    @classmethod
    def together(cls, formats: Sequence[StoredFormat]) -> StoredFormat:
        """The format of a stack whose frames have these."""
        widest = max(formats, key=lambda each: (each.bits_stored, each.high_bit))
        if all(each == widest for each in formats):
            return widest
        return replace(widest, clean=all(each.clean for each in formats), of_frames=tuple(formats))

    def frames(self, places: slice | NDArray[np.intp]) -> StoredFormat:
        """Of some of the frames."""
        if not self.of_frames:
            return self
        kept = self.of_frames[places] if isinstance(places, slice) else [self.of_frames[place] for place in places]
        return self.together(kept) if len(kept) else self

    @classmethod
    def of_dtype(cls, dtype: np.dtype[Any]) -> StoredFormat:
        """Words that are their values, as in a derived array."""
        bits = dtype.itemsize * 8
        return cls(bits, bits - 1, signed=dtype.kind != "u", clean=True)

    def masks(self, dtype: np.dtype[Any]) -> bool:
        """Whether any word of this dtype must be masked to get its stored value."""
        if self.of_frames and not self.clean:  # The widest may need no mask where a narrower one does.
            return any(each.masks(dtype) for each in self.of_frames)
        return not self.clean and dtype.kind in "iu" and self.bits_stored < dtype.itemsize * 8


@dataclass(frozen=True, slots=True)
class Window:
    """What range of modality values a picture shows.

    Attributes
    ----------
    center, width : float
        Window Center (0028,1050) and Window Width (0028,1051), in the modality's unit.
    function : str
        VOI LUT Function (0028,1056): LINEAR, LINEAR_EXACT or SIGMOID.
    explanation : str
        Window Center & Width Explanation (0028,1055), for example BONE.
    automatic : bool
        Computed from the pixels, not taken from the header.

    Raises
    ------
    InputError
        The three are no window of the Standard.

    Examples
    --------
    >>> Window(40, 400).limits()
    (-160.0, 239.0)
    """

    center: float
    width: float
    function: str = "LINEAR"
    explanation: str = ""
    automatic: bool = False

    def __post_init__(self) -> None:
        arrays.check_window(self.center, self.width, self.function)

    @classmethod
    def between(cls, low: float, high: float, *, automatic: bool = False) -> Window:
        """The window that shows ``low`` black and ``high`` white."""
        return cls((low + high) / 2, high - low, "LINEAR_EXACT", automatic=automatic)

    @classmethod
    def automatic_for(
        cls, values: NDArray[Any], *, unit: str = "", padding: tuple[float, float] | None = None
    ) -> Window:
        """A window for values whose header has none.

        Parameters
        ----------
        values : NDArray
            Modality values, any shape.
        unit : str
            Of the values.
        padding : tuple of float, optional
            Range of values that are padding.

        Notes
        -----
        Hounsfield units have a scale of their own: the soft-tissue window 40, 400 where at least a twentieth of the
        values lies in it. All else is shown between percentiles (see ``arrays.percentile_limits``), as CT is when it
        is mostly air, metal or noise.
        """
        if unit == "HU":
            soft = cls(40.0, 400.0, explanation="soft tissue", automatic=True)
            low, high = soft.limits()
            if values.size and np.count_nonzero((values > low) & (values < high)) * 20 >= values.size:
                return soft
        return cls.between(*arrays.percentile_limits(values, padding=padding), automatic=True)

    def limits(self) -> tuple[float, float]:
        """The values at which the picture becomes black and white; for SIGMOID, where its tangent does."""
        if self.function == "LINEAR":
            return self.center - 0.5 - (self.width - 1) / 2, self.center - 0.5 + (self.width - 1) / 2
        return self.center - self.width / 2, self.center + self.width / 2


@dataclass(frozen=True, slots=True, eq=False)
class LookupTable:
    """A Modality LUT (PS3.3 C.11.1.1.1).

    Attributes
    ----------
    first : int
        First stored value mapped, from LUT Descriptor (0028,3002).
    entries : NDArray of float32
        ``(entries,)`` output values.
    """

    first: int
    entries: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class VoiTable:
    """A VOI LUT (PS3.3 C.11.2.1.1): a table in place of a window.

    Attributes
    ----------
    first : int
        First modality value mapped, from LUT Descriptor (0028,3002); lower ones map there too, those beyond the end to
        the last entry.
    entries : NDArray of uint16
        ``(entries,)`` output values, 0 to ``2**bits - 1``.
    bits : int
        Of an output value, from the descriptor; more where the entries need it.
    explanation : str
        LUT Explanation (0028,3003).
    """

    first: int
    entries: NDArray[np.uint16]
    bits: int
    explanation: str = ""

    def display(self, values: NDArray[Any], *, bits: int = 8, inverse: bool = False) -> NDArray[Any]:
        """Display values of modality values of any shape, rounded to whole ones first; NaN is shown as the first."""
        place = np.floor(np.nan_to_num(np.asarray(values, np.float64), nan=self.first) + 0.5) - self.first
        index = np.clip(place, 0, len(self.entries) - 1).astype(np.int64)
        top, given = (1 << bits) - 1, (1 << self.bits) - 1
        scaled = (self.entries.astype(np.int64) * top * 2 + given) // (2 * given)  # To nearest, ties up.
        shown: NDArray[Any] = scaled.astype(f"u{bits // 8}")[index]
        return np.invert(shown) if inverse else shown


@dataclass(frozen=True, slots=True, eq=False)
class Rescale:
    """How stored values become modality values, frame by frame.

    Attributes
    ----------
    slopes, intercepts : NDArray of float64
        ``(1,)`` when all frames share them, else ``(frames,)`` in the order of the stack.
    tables : tuple of LookupTable
        Modality LUTs in place of slope and intercept: none, one for all frames, or one per frame.
    unit : str
        Of the modality values: HU, BQML, ...; empty when unknown.
    missing : str
        Why modality values cannot be given; empty when they can.
    """

    slopes: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    tables: tuple[LookupTable, ...] = ()
    unit: str = ""
    missing: str = ""

    @classmethod
    def linear(cls, slope: ArrayLike = 1.0, intercept: ArrayLike = 0.0, *, unit: str = "") -> Rescale:
        """One slope and intercept, or one of each per frame; equal ones are kept once.

        Raises
        ------
        InputError
            One is not finite, or the numbers of slopes and intercepts differ.
        """
        slopes, intercepts = (np.atleast_1d(np.asarray(value, np.float64)) for value in (slope, intercept))
        try:
            slopes, intercepts = (np.array(value) for value in np.broadcast_arrays(slopes, intercepts))
        except ValueError as error:
            raise InputError(f"{slopes.size} slopes but {intercepts.size} intercepts.") from error
        if slopes.ndim != 1 or not (np.isfinite(slopes).all() and np.isfinite(intercepts).all()):
            raise InputError("Rescale Slope and Rescale Intercept must be finite: (0028,1053), (0028,1052).")
        if slopes.size > 1 and (slopes == slopes[0]).all() and (intercepts == intercepts[0]).all():
            slopes, intercepts = slopes[:1].copy(), intercepts[:1].copy()
        return cls(slopes, intercepts, unit=unit)

    @property
    def is_identity(self) -> bool:
        """Modality values are the stored values."""
        return not self.tables and not self.missing and bool((self.slopes == 1).all() and (self.intercepts == 0).all())

    def frames(self, places: slice | NDArray[np.int64]) -> Rescale:
        """Of some of the frames."""
        shared = self.slopes.size == 1
        return Rescale(
            self.slopes if shared else self.slopes[places],
            self.intercepts if shared else self.intercepts[places],
            _some(self.tables, places),
            self.unit,
            self.missing,
        )

    def apply(self, stored: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Modality values of ``(frames, …)`` stored values.

        Raises
        ------
        UnsupportedError
            The header names a transformation whose data is not at hand.
        InputError
            The number of frames is not that of the slopes or tables, or ``out`` does not fit.
        """
        if self.missing:
            raise UnsupportedError(self.missing)
        if not self.tables:
            return arrays.rescale(stored, self.slopes, self.intercepts, out=out)
        if len(self.tables) not in {1, len(stored)}:
            raise InputError(f"{len(stored)} frames need one Modality LUT or {len(stored)}, not {len(self.tables)}.")
        target = np.empty(stored.shape, np.float32) if out is None else out
        for frame, words in enumerate(stored):
            table = self.tables[0 if len(self.tables) == 1 else frame]
            arrays.look_up(words, first=table.first, table=table.entries, out=target[frame])
        return target


@dataclass(frozen=True, slots=True)
class Presentation:
    """How a stack is to be shown, and what it shows.

    Attributes
    ----------
    modality : str
        Modality (0008,0060), empty when unknown.
    photometric : str
        Photometric Interpretation (0028,0004) of the values that a volume reads.
    windows : tuple of tuple of Window
        The header's windows: one tuple for all frames, or one per frame; the first of each is the default (PS3.3
        C.11.2.1.2). Empty when there are none.
    padding : tuple of float, optional
        Stored values of padding, Pixel Padding Value to Pixel Padding Range Limit (PS3.3 C.7.5.1.1.2).
    pixel_aspect : float
        Height of a pixel over its width where no spacing is known: Pixel Aspect Ratio (0028,0034).
    voi_tables : tuple of tuple of VoiTable
        The header's VOI LUTs, as ``windows``.
    inverse : bool
        Presentation LUT Shape (2050,0020) is INVERSE: low values are bright, as in MONOCHROME1.
    as_seen : bool
        Frames are views from a chosen side, PROJECTION IMAGE in Image Type (0008,0008): rows and columns stay.
    findings : tuple of str
        What in the header could not be used, for people.
    """

    modality: str = ""
    photometric: str = "MONOCHROME2"
    windows: tuple[tuple[Window, ...], ...] = ()
    padding: tuple[float, float] | None = None
    pixel_aspect: float = 1.0
    findings: tuple[str, ...] = ()
    voi_tables: tuple[tuple[VoiTable, ...], ...] = ()
    inverse: bool = False
    as_seen: bool = False

    @property
    def is_inverse(self) -> bool:
        """Low values are bright."""
        return self.inverse or self.photometric == "MONOCHROME1"

    def frame_windows(self, frame_index: int) -> tuple[Window, ...]:
        """All windows of one frame."""
        return self.windows[0 if len(self.windows) == 1 else frame_index] if self.windows else ()

    def frame_tables(self, frame_index: int) -> tuple[VoiTable, ...]:
        """All VOI LUTs of one frame."""
        return self.voi_tables[0 if len(self.voi_tables) == 1 else frame_index] if self.voi_tables else ()

    def frame_window(self, frame_index: int) -> Window | None:
        """The default window of one frame, None when its header has none."""
        if not self.windows:
            return None
        of_frame = self.windows[0 if len(self.windows) == 1 else frame_index]
        return of_frame[0] if of_frame else None

    def shared_window(self, frame_count: int) -> Window | None:
        """The default window of more than half of the frames, None when there is none such.

        Scanners give some frames of a stack a window of their own; a picture across frames needs one.
        """
        counted = Counter(of_frame[0] for of_frame in self.windows if of_frame)
        if len(self.windows) == 1:
            return self.frame_window(0)
        window, count = counted.most_common(1)[0] if counted else (None, 0)
        return window if count * 2 > frame_count else None

    def frames(self, places: slice | NDArray[np.int64]) -> Presentation:
        """Of some of the frames."""
        return replace(self, windows=_some(self.windows, places), voi_tables=_some(self.voi_tables, places))


def _some(per_frame: tuple[Item, ...], places: slice | NDArray[np.int64]) -> tuple[Item, ...]:
    """The entries of some frames; one entry stands for all frames."""
    if len(per_frame) <= 1:
        return per_frame
    return tuple(per_frame[place] for place in np.arange(len(per_frame))[places])
