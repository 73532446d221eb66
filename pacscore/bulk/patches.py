"""Random boxes of volumes for training: where they lie is a function of seed, epoch and index, and of nothing else.

P1  A patch reads the chunks it meets and no others.
P2  The same seed, epoch and index give the same patches in any process, thread or order of visits.
P3  Of foreground every voxel is equally likely to be in the middle, save where the border of the volume forbids it.

Pure NumPy; ``torch`` wraps it. Values are modality values in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import AmbiguousError, InputError, UnsupportedError
from pacscore.imaging import ArrayInMemory, Box, Presentation, Rescale, StoredFormat, arrays
from pacscore.imaging.kept import KeptChunks
from pacscore.parallel import map_ordered

if TYPE_CHECKING:
    from pacscore.imaging import Volume

_CELL = 16
_MARGIN = 2  # Voxels beyond a patch that interpolation may need, before what smoothing needs.
Size = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Foreground:
    """Where the foreground of a volume lies: how many of its voxels each cell of 16 × 16 × 16 holds.

    Some 30 kB a volume, so it can be made once and kept; picking a voxel then reads one cell.

    Attributes
    ----------
    counts : (cells, cells, cells) uint16
    within : tuple of float, optional
        The modality values that are foreground, both ends included; None where a mask says it.
    """

    counts: NDArray[np.uint16]
    within: tuple[float, float] | None = None

    @classmethod
    def of(cls, volume: Volume, *, low: float = -math.inf, high: float = math.inf) -> Foreground:
        """Of the voxels whose modality value is ``low`` to ``high``. Reads the volume once, in slabs of cells.

        Raises
        ------
        InputError
            The limits are not in order.
        AmbiguousError, UnsupportedError
            The volume has further axes, or colours.
        """
        if not low <= high:
            raise InputError(f"Foreground lies between two values in order, not {low} and {high}.")
        refuse_unfit(volume)
        slices = volume.shape[0]
        step = _CELL * max(1, -(-volume.source.chunk_shape[0] // _CELL))

        def count(start: int) -> NDArray[np.uint16]:
            stop = min(slices, start + step)
            box = (slice(start, stop), slice(0, volume.shape[1]), slice(0, volume.shape[2]))
            return _counted(_is_within(read_values(volume, box), (low, high)))

        return cls(np.concatenate(list(map_ordered(count, range(0, slices, step)))), (low, high))

    @classmethod
    def of_mask(cls, mask: NDArray[Any]) -> Foreground:
        """Of the voxels of a mask that are not zero; ``(slices, rows, columns)``."""
        return cls(_counted(np.asarray(mask) != 0))

    @property
    def voxels(self) -> int:
        """How many there are."""
        return int(self.counts.sum(dtype=np.int64))

    def pick(self, chooser: np.random.Generator, read: Callable[[Box], NDArray[np.bool_]], shape: Size) -> Size | None:
        """A voxel of the foreground, all equally likely; None where there is none.

        read : which voxels of a box are foreground
        """
        sums = np.cumsum(self.counts.reshape(-1), dtype=np.int64)
        if sums.size == 0 or sums[-1] == 0:
            return None
        number = int(chooser.integers(sums[-1]))
        cell = int(np.searchsorted(sums, number, "right"))
        first = [int(at) * _CELL for at in np.unravel_index(cell, self.counts.shape)]
        box = tuple(slice(at, min(length, at + _CELL)) for at, length in zip(first, shape, strict=True))
        inside = read(box)
        places = np.flatnonzero(inside)
        before = int(sums[cell] - self.counts.reshape(-1)[cell])
        if len(places) != sums[cell] - before:
            raise InputError("This foreground is of another volume or mask: make it anew.")
        within = np.unravel_index(int(places[number - before]), inside.shape)
        return first[0] + int(within[0]), first[1] + int(within[1]), first[2] + int(within[2])


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """What one visit to a volume gives.

    Attributes
    ----------
    values : (patches, slices, rows, columns) float32
        Modality values, C order.
    starts : (patches, 3) float64
        Where the first voxel of each lies in the volume's indices; below 0 where it begins outside.
    index_to_lps : (patches, 4, 4) float64, optional
        The affine of each, None where the volume has none.
    labels : (patches, slices, rows, columns), optional
        The label's voxels at the same places, 0 outside the volume.
    """

    values: NDArray[np.float32]
    starts: NDArray[np.float64]
    index_to_lps: NDArray[np.float64] | None = None
    labels: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class PatchSampler:
    """How patches are drawn.

    Attributes
    ----------
    size : tuple of int
        Slices, rows and columns of a patch.
    count : int
        Patches a visit.
    seed : int
        Another seed, other patches.
    spacing_mm : tuple of float, optional
        Between the patch's slices, rows and columns: each volume is resampled there. By default voxels are taken as
        they are.
    foreground_share : float
        Probability that a patch is drawn around a voxel of the foreground rather than anywhere, 0 to 1.
    pad : float, optional
        Modality value outside the volume; without it a volume smaller than a patch is refused.

    Raises
    ------
    InputError
        A number is out of range.

    Examples
    --------
    >>> PatchSampler((32, 64, 64), count=2, seed=1).starts((40, 64, 100), epoch=0, index=3).shape
    (2, 3)
    """

    size: Size
    count: int = 1
    seed: int = 0
    spacing_mm: tuple[float, float, float] | None = None
    foreground_share: float = 0.0
    pad: float | None = None

    def __post_init__(self) -> None:
        if len(self.size) != 3 or min(self.size) < 1 or self.count < 1 or self.seed < 0:
            raise InputError("A sampler takes patches of three lengths, a count of 1 or more and a seed of 0 or more.")
        if not 0 <= self.foreground_share <= 1:
            raise InputError(f"foreground_share is a probability, not {self.foreground_share}.")
        if self.spacing_mm is not None and (len(self.spacing_mm) != 3 or not min(self.spacing_mm) > 0):
            raise InputError("spacing_mm is three positive distances: between slices, rows and columns.")

    def starts(
        self,
        shape: Size,
        *,
        epoch: int,
        index: int,
        extent: tuple[float, float, float] | None = None,
        pick: Callable[[np.random.Generator], Size | None] | None = None,
    ) -> NDArray[np.float64]:
        """Where the patches of a visit begin, in voxels of a volume of that shape: ``(count, 3)``.

        Parameters
        ----------
        epoch, index : int
            With the seed, all that decides.
        extent : tuple of float, optional
            How many voxels a patch covers along each axis; ``size`` unless it is resampled.
        pick : callable, optional
            Gives a voxel of the foreground.
        """
        chooser = np.random.default_rng(np.random.SeedSequence([self.seed, epoch, index]))
        covered = np.array(self.size if extent is None else extent, np.float64)
        room = np.array(shape, np.float64) - covered
        whole = extent is None
        found = np.empty((self.count, 3))
        for patch in range(self.count):
            draws = chooser.random(3)  # Drawn whether used or not: what comes after does not depend on it.
            around = None
            if chooser.random() < self.foreground_share and pick is not None:
                around = pick(chooser)
            free = np.floor(draws * (room + 1)) if whole else draws * room
            start = free if around is None else np.array(around) - (np.floor(covered / 2) if whole else covered / 2)
            middle = np.floor(room / 2) if whole else room / 2
            found[patch] = np.where(room >= 0, np.clip(start, 0, np.maximum(room, 0)), middle)
        return found

    def read(
        self,
        volume: Volume,
        *,
        epoch: int = 0,
        index: int = 0,
        foreground: Foreground | None = None,
        label: NDArray[Any] | None = None,
    ) -> Patches:
        """The patches of a visit.

        Parameters
        ----------
        volume : Volume
            Without further axes, grey.
        epoch, index : int
            Which visit: the number of the pass, and of the volume in it.
        foreground : Foreground, optional
            What ``foreground_share`` speaks of: of this volume, or of ``label``.
        label : NDArray, optional
            ``(slices, rows, columns)``, of the volume's shape: cut at the same places. Where its foreground is picked
            it is looked up here.

        Raises
        ------
        InputError
            The volume is smaller than a patch and there is no ``pad``; the label has another shape; a share of
            foreground was asked for, and none given.
        GeometryError
            A spacing was asked for and the volume has none.
        AmbiguousError, UnsupportedError
            The volume has further axes, or colours.
        """
        refuse_unfit(volume)
        shape: Size = (volume.shape[0], volume.shape[1], volume.shape[2])
        if label is not None and label.shape != shape:
            raise InputError(f"The label has the shape {label.shape}, its volume {shape}.", expected=shape)
        if self.foreground_share > 0 and foreground is None:
            raise InputError("foreground_share asks for a Foreground: make one of the volume or of a mask.")
        steps = np.ones(3)
        if self.spacing_mm is not None:
            steps = np.array(self.spacing_mm) / np.linalg.norm(volume.index_to_lps[:3, :3], axis=0)
        covered = np.array(self.size) * steps
        if self.pad is None and (covered > shape).any():
            raise InputError(
                f"A patch covers {' x '.join(f'{each:.4g}' for each in covered)} voxels, and the volume has {shape}: "
                "give pad, the value outside."
            )
        pick = None if foreground is None else _picker(volume, foreground, label, shape)
        extent = None if self.spacing_mm is None else (float(covered[0]), float(covered[1]), float(covered[2]))
        starts = self.starts(shape, epoch=epoch, index=index, extent=extent, pick=pick)
        values = np.empty((self.count, *self.size), np.float32)
        labels = None if label is None else np.zeros((self.count, *self.size), label.dtype)
        # Of a patch's first voxel the corner lies at start - 1/2, so its centre is half a step behind.
        centers = starts + (steps - 1) / 2
        for patch in range(self.count):
            if self.spacing_mm is None:
                self._cut(volume, starts[patch], values[patch])
                if labels is not None and label is not None:
                    _cut_label(label, starts[patch], labels[patch])
            else:
                self._sample(volume, centers[patch], steps, values[patch])
                if labels is not None and label is not None:
                    _sample_label(label, centers[patch], steps, labels[patch])
        return Patches(values, centers, _affines(volume, centers, steps), labels)

    def _cut(self, volume: Volume, start: NDArray[np.float64], out: NDArray[np.float32]) -> None:
        box, inside = _overlap(start, self.size, volume.shape)
        if inside == tuple(slice(0, length) for length in self.size):
            read_values(volume, box, out)
            return
        out[...] = self.pad
        out[inside] = read_values(volume, box)

    def _sample(
        self, volume: Volume, start: NDArray[np.float64], steps: NDArray[np.float64], out: NDArray[np.float32]
    ) -> None:
        """Resample a patch from the part of the volume around it."""
        margin = np.ceil(_MARGIN + 2 * steps)
        low = np.maximum(0, np.floor(start - margin)).astype(int)
        high = np.minimum(volume.shape, np.ceil(start + steps * np.array(self.size) + margin)).astype(int)
        part = _part(volume, tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)))
        sampled = part.resample(
            index_to_lps=_affines(volume, start[None], steps)[0],  # type: ignore[index]  # A spacing needs an affine.
            shape=self.size,
            background=self.pad,
        )
        sampled.modality(out)


def read_values(volume: Volume, box: Box, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Modality values of a box of a volume without further axes."""
    source, rescale = volume.source, volume.rescale.frames(box[0])
    is_plain = not (rescale.tables or rescale.missing or volume.stored.masks(volume.dtype))
    if is_plain and isinstance(source, KeptChunks):  # From memory the pass over the words is what takes time.
        return arrays.rescale_box(source.met(box), box, rescale.slopes, rescale.intercepts, out=out)
    return rescale.apply(volume.read_box(box), out)


def refuse_unfit(volume: Volume) -> None:
    """Refuse what has no patches of three axes."""
    if volume.axes:
        names = ", ".join(f"{axis.name} ({len(axis.values)})" for axis in volume.axes)
        raise AmbiguousError(f"This stack has further axes: {names}. Choose one volume with at().", axes=names)
    if not volume.is_monochrome:
        raise UnsupportedError("Patches are of one sample a voxel: this volume is in colour.")


def _counted(inside: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """How many voxels of each cell are set; along the first axis first, where whole planes are added."""
    counts: NDArray[Any] = inside.view(np.uint8)
    for axis, kind in enumerate((np.uint8, np.uint16, np.uint16)):
        counts = np.add.reduceat(counts, np.arange(0, counts.shape[axis], _CELL), axis=axis, dtype=kind)
    return counts


def _is_within(values: NDArray[np.float32], limits: tuple[float, float]) -> NDArray[np.bool_]:
    return (values >= limits[0]) & (values <= limits[1])


def _picker(
    volume: Volume, foreground: Foreground, label: NDArray[Any] | None, shape: Size
) -> Callable[[np.random.Generator], Size | None]:
    limits = foreground.within
    if limits is None and label is None:
        raise InputError("This foreground is of a mask: give it as label.")

    def inside(box: Box) -> NDArray[np.bool_]:
        if limits is not None:
            return _is_within(read_values(volume, box), limits)
        assert label is not None
        return np.ascontiguousarray(label[box] != 0)

    return lambda chooser: foreground.pick(chooser, inside, shape)


def _overlap(start: NDArray[np.float64], size: Size, shape: tuple[int, ...]) -> tuple[Box, Box]:
    """The part of a patch that lies in the volume: in the volume's indices, and in the patch's."""
    first = [int(at) for at in start]
    low = [max(0, at) for at in first]
    high = [min(length, at + extent) for at, extent, length in zip(first, size, shape, strict=True)]
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return box, tuple(slice(a - at, b - at) for a, b, at in zip(low, high, first, strict=True))


def _cut_label(label: NDArray[Any], start: NDArray[np.float64], out: NDArray[Any]) -> None:
    box, inside = _overlap(start, (out.shape[0], out.shape[1], out.shape[2]), label.shape)
    out[inside] = label[box]


def _sample_label(
    label: NDArray[Any], start: NDArray[np.float64], steps: NDArray[np.float64], out: NDArray[Any]
) -> None:
    """The label of the nearest voxel; 0 outside."""
    places, inside = [], []
    for axis in range(3):
        nearest = np.floor(start[axis] + steps[axis] * np.arange(out.shape[axis]) + 0.5).astype(int)
        within = np.flatnonzero((nearest >= 0) & (nearest < label.shape[axis]))
        inside.append(within)
        places.append(nearest[within])
    out[np.ix_(*inside)] = label[np.ix_(*places)]


def _affines(volume: Volume, starts: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.float64] | None:
    if not volume.has_affine:
        return None
    affines = np.repeat(volume.index_to_lps[None], len(starts), axis=0)
    affines[:, :3, 3] += starts @ volume.index_to_lps[:3, :3].T
    affines[:, :3, :3] *= steps
    return affines


def _part(volume: Volume, box: Box) -> Volume:
    """A box of a volume as a volume of its own, in memory."""
    values = read_values(volume, box)
    affine = volume.index_to_lps
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    return replace(
        volume,
        source=ArrayInMemory(values),
        geometry=replace(volume.geometry, index_to_lps=affine, positions_lps=None),
        stored=StoredFormat.of_dtype(values.dtype),
        rescale=Rescale.linear(unit=volume.rescale.unit),
        presentation=Presentation(volume.presentation.modality),
        sop_instance_uids=(),
        further_sop_instance_uids=(),
    )
