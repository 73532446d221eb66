"""Which attributes tell the frames of one plane apart, and whether their values make a complete product.

Frames of one orientation are in planes numbered from 0. Where planes repeat, the attributes of ``attributes.py`` are
tried in order. What has been accepted divides the planes into *cells*; an attribute is accepted as an axis if every
cell holds every one of its values equally often. Once each cell holds one frame, the product of axes and planes is
complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacscore.geometry import diffusion, moments
from pacscore.geometry.attributes import ATTRIBUTES, Attribute, Label, Rule
from pacscore.geometry.header import FrameHeader
from pacscore.geometry.stack import Axis
from pacscore.geometry.verdict import Finding, Json

Codes: TypeAlias = NDArray[np.int64]

_STEADY = 0.25
"""Times of one rank may differ between planes, less a common offset, by this part of the shortest step."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A complete product: the axes, and each frame's index along them."""

    axes: tuple[Axis, ...]
    indices: tuple[Codes, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """The frames belong to several stacks: a number for each frame, and the attribute that separates them."""

    name: str
    codes: Codes


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A product with holes, cut into complete parts: a number for each frame, and a finding for each part."""

    codes: Codes
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _Cells:
    """The planes, divided by what has been accepted so far."""

    codes: Codes
    count: int
    axes: list[Axis] = field(default_factory=list)
    indices: list[Codes] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def resolved(self) -> bool:
        return self.count == self.codes.size

    def too_many(self, value_count: int) -> bool:
        """Whether there are fewer frames than cells times values: no complete product, and no table to allocate."""
        return self.count * value_count > self.codes.size

    def table(self, codes: Codes, value_count: int) -> NDArray[np.int64]:
        """(cells, values) how many frames each cell has of each value."""
        flat = np.bincount(self.codes * value_count + codes, minlength=self.count * value_count)
        return flat.reshape(self.count, value_count)

    def accept(self, axis: Axis, codes: Codes) -> None:
        self.axes.append(axis)
        self.indices.append(codes)
        self.codes = self.codes * len(axis.values) + codes
        self.count *= len(axis.values)


def arrange(frames: Sequence[FrameHeader], planes: Codes) -> Arrangement | Split | Incomplete | None:
    """Find the axes of frames whose planes repeat.

    Parameters
    ----------
    frames
        In order of acquisition, as far as Instance Number tells.
    planes
        (frames,) int64, the number of each frame's plane; all numbers from 0 to the largest occur.

    Returns
    -------
    None if no attribute tells them apart: duplicates.
    """
    plane_count = int(planes.max()) + 1
    cells = _Cells(planes, plane_count)
    for index, attribute in enumerate(ATTRIBUTES):
        if cells.resolved:
            break
        found = _try(cells, attribute, [frame.labels[index] for frame in frames], frames)
        if found is not None:
            return found
    for place in range(_dimension_count(frames)):
        if cells.resolved:
            break
        _try_exact(cells, f"dimension_{place + 1}", "", [float(frame.dimension_index[place]) for frame in frames])
    if not cells.resolved:
        _try_instance_order(cells, frames)
    if cells.resolved:
        return Arrangement(tuple(cells.axes), tuple(cells.indices), tuple(cells.findings))
    return _cut_incomplete(frames, planes, plane_count) or _by_instance(frames, planes)


def members_of(codes: Codes) -> list[Codes]:
    """The indices of each number's frames, ascending; all numbers from 0 to the largest occur."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def _try(
    cells: _Cells, attribute: Attribute, labels: list[Label | None], frames: Sequence[FrameHeader]
) -> Split | None:
    if attribute.rule is Rule.EXACT:
        _try_exact(cells, attribute.name, attribute.unit, labels)
    elif attribute.rule is Rule.OCCURRENCE:
        _try_occurrence(cells, attribute, labels, frames)
    elif attribute.rule is Rule.RANKED:
        _try_ranked(cells, attribute, labels)
    else:
        return _try_split(cells, attribute, labels)
    return None


def _factorize(labels: Sequence[Label | None], *, ordered: bool = True) -> tuple[Codes, list[Label | None]]:
    """Number the distinct labels: ascending with absent ones last, or in order of appearance."""
    distinct = dict.fromkeys(labels)
    values = list(distinct)
    if len(values) == 1:
        return np.zeros(len(labels), np.int64), values
    if ordered:
        values.sort(key=lambda value: (value is None, isinstance(value, str), value))
    numbers = {value: number for number, value in enumerate(values)}
    return np.fromiter((numbers[label] for label in labels), np.int64, len(labels)), values


def _axis_value(value: Label | None) -> float | str:
    if isinstance(value, tuple):
        return diffusion.label(value)
    return "none" if value is None else value


def _try_exact(cells: _Cells, name: str, unit: str, labels: Sequence[Label | None]) -> None:
    codes, values = _factorize(labels)
    if len(values) < 2 or cells.too_many(len(values)):
        return
    table = cells.table(codes, len(values))
    if table.min() == table.max():
        cells.accept(Axis(name, tuple(map(_axis_value, values)), unit), codes)


def _try_occurrence(
    cells: _Cells, attribute: Attribute, labels: Sequence[Label | None], frames: Sequence[FrameHeader]
) -> None:
    """Values of which some occur several times in every cell: the n-th of each is a value of its own.

    Which of the equal ones of different cells belong together only Instance Number can say.
    """
    codes, values = _factorize(labels, ordered=False)
    if len(values) < 2 or cells.too_many(len(values)):
        return
    table = cells.table(codes, len(values))
    if (table.min(axis=0) != table.max(axis=0)).any():
        return
    if (table == table[0, 0]).all():
        cells.accept(Axis(attribute.name, tuple(map(_axis_value, values)), attribute.unit), codes)
        return
    ranks = _instance_ranks(cells, frames)
    if ranks is None:
        return
    at_rank = np.zeros(int(ranks.max()) + 1, np.int64)
    at_rank[ranks] = codes
    if (at_rank[ranks] != codes).any():
        return
    seen: Counter[int] = Counter()
    names: list[str] = []
    for code in at_rank.tolist():
        seen[code] += 1
        names.append(str(_axis_value(values[code])) + (f" #{seen[code]}" if table[0, code] > 1 else ""))
    cells.accept(Axis(attribute.name, tuple(names), attribute.unit), ranks)
    cells.findings.append(_counted(int(table[0].max())))


def _try_split(cells: _Cells, attribute: Attribute, labels: Sequence[Label | None]) -> Split | None:
    """Stacks of their own, if every value fills every cell equally, or if the values leave one frame in each cell."""
    codes, values = _factorize(labels)
    if len(values) < 2:
        return None
    if np.unique(cells.codes * len(values) + codes).size == codes.size:
        return Split(attribute.name, codes)
    if cells.too_many(len(values)):
        return None
    table = cells.table(codes, len(values))
    return Split(attribute.name, codes) if (table.min(axis=0) == table.max(axis=0)).all() else None


def _try_ranked(cells: _Cells, attribute: Attribute, labels: Sequence[Label | None]) -> None:
    """By order within each cell, if the orders of all cells agree about what belongs together.

    They do if the times of each cell differ from those of others by a common offset (slices have times of their own
    within each volume, or each is acquired at all times before the next), or if they start alike and differ by a
    common factor (heart beats of another length). Else a frame missing here and another there would shift the ranks
    unnoticed. That all times of one rank lie before all of the next is not enough: shifted ranks can do so too.
    """
    if None in labels or len(set(labels)) < 2:
        return
    times = moments.seconds(labels) if attribute.text else np.array(labels, np.float64)
    if times is None:
        return
    order = np.lexsort((times, cells.codes))
    own, when = cells.codes[order], times[order]
    first = np.diff(own, prepend=-1) != 0
    fresh = first | (np.diff(when, prepend=np.nan) != 0.0)
    counts = np.bincount(own[fresh], minlength=cells.count)
    rank_count = int(counts[0])
    if rank_count < 2 or (counts != rank_count).any():
        return
    running = np.cumsum(fresh) - 1
    ranks = np.empty(order.size, np.int64)
    ranks[order] = running % rank_count
    table = cells.table(ranks, rank_count)
    if table.min() != table.max():
        return
    grid = when[fresh].reshape(cells.count, rank_count)
    if not _agree(grid):
        return
    starts = grid.min(axis=0)
    if attribute.text:
        starts = starts - starts[0]
    cells.accept(Axis(attribute.name, tuple(map(float, starts)), attribute.unit), ranks)


def _agree(grid: NDArray[np.float64]) -> bool:
    """grid : (cells, ranks) float64, ascending along ranks."""
    offsets = grid - grid[:, :1]
    if _steady(offsets):
        return True
    # Beats start alike; without that condition a missing first phase here and a missing last one there would pass.
    starts_alike = np.ptp(grid[:, 0]) <= _STEADY * float(np.median(np.diff(grid, axis=1)))
    return bool(starts_alike) and _steady(offsets / offsets[:, -1:])


def _steady(offsets: NDArray[np.float64]) -> bool:
    """offsets : (cells, ranks) float64, ascending along ranks. Whether all cells' are those of the median cell."""
    usual = np.median(offsets, axis=0)
    return bool(np.abs(offsets - usual).max() <= _STEADY * np.diff(usual).min())


def _dimension_count(frames: Sequence[FrameHeader]) -> int:
    lengths = {len(frame.dimension_index) for frame in frames}
    return lengths.pop() if len(lengths) == 1 else 0


def _instance_ranks(cells: _Cells, frames: Sequence[FrameHeader]) -> Codes | None:
    """Each frame's place among the repeats of its cell, if Instance Number runs through them regularly.

    Either each block of consecutive frames holds every cell once, or each cell's frames are consecutive. Frames with
    equal or without Instance Numbers are not told apart.
    """
    keys = {(frame.instance_number, frame.frame_index) for frame in frames}
    repeats = len(frames) // cells.count
    if any(frame.instance_number is None for frame in frames) or len(keys) < len(frames):
        return None
    if repeats * cells.count != len(frames):
        return None
    # The frames come sorted by just these keys, so their places are the order.
    places = np.arange(len(frames))
    for ranks in (places // cells.count, places % repeats):
        table = cells.table(ranks, repeats)
        if table.min() == table.max():
            return ranks
    return None


def _try_instance_order(cells: _Cells, frames: Sequence[FrameHeader]) -> None:
    ranks = _instance_ranks(cells, frames)
    if ranks is not None:
        repeats = int(ranks.max()) + 1
        cells.accept(Axis("repeat", tuple(map(float, range(repeats))), ""), ranks)
        cells.findings.append(_counted(repeats))


def _counted(repeats: int) -> Finding:
    return Finding(
        "repeat-axis",
        f"Only Instance Number (0020,0013) tells {repeats} frames of each plane apart.",
        {"repeat_count": repeats},
    )


def _cut_incomplete(frames: Sequence[FrameHeader], planes: Codes, plane_count: int) -> Incomplete | None:
    """Cut a product with holes by the values of its axes.

    An attribute counts if all its values occur together in at least one plane, which those that differ from slice to
    slice do not. Combinations of values that have the same planes as most others stay together where they make a
    complete product; each other one is a part of its own. So a duplicate of one slice spoils one volume of many.
    """
    cells, names = planes, list[str]()
    combination = np.zeros(len(frames), np.int64)
    chosen: list[tuple[Codes, list[Label | None]]] = []
    for index, attribute in enumerate(ATTRIBUTES):
        if attribute.rule is Rule.SPLIT:
            continue
        codes, values = _factorize([frame.labels[index] for frame in frames], ordered=attribute.name != "diffusion")
        if len(values) < 2 or not _meet_in_one_plane(planes, codes, plane_count, len(values)):
            continue
        finer = np.unique(cells * len(values) + codes, return_inverse=True)[1]
        if finer.max() == np.unique(cells).size - 1:
            continue
        cells = finer
        combination = np.unique(combination * len(values) + codes, return_inverse=True)[1]
        names.append(attribute.name)
        chosen.append((codes, values))
        if finer.max() + 1 == len(frames):
            break
    return _parts(planes, plane_count, combination, names, chosen) if chosen else None


def _by_instance(frames: Sequence[FrameHeader], planes: Codes) -> Split | None:
    """Multi-frame objects that repeat each other's planes are separate volumes, if nothing says how they relate."""
    codes, values = _factorize([float(frame.instance) for frame in frames])
    if len(values) < 2 or len(values) == len(frames):
        return None
    together = planes * len(values) + codes
    return Split("instance", codes) if np.unique(together).size == len(frames) else None


def _meet_in_one_plane(planes: Codes, codes: Codes, plane_count: int, value_count: int) -> bool:
    present = np.unique(planes * value_count + codes) // value_count
    return int(np.bincount(present, minlength=plane_count).max()) == value_count


def _parts(
    planes: Codes,
    plane_count: int,
    combination: Codes,
    names: list[str],
    chosen: list[tuple[Codes, list[Label | None]]],
) -> Incomplete | None:
    combination_count = int(combination.max()) + 1
    sets: dict[bytes, list[int]] = {}
    for number, members in enumerate(members_of(combination)):
        sets.setdefault(np.sort(planes[members]).tobytes(), []).append(number)
    most = max(sets.values(), key=lambda numbers: (len(numbers), -numbers[0]))
    together = np.isin(combination, most)
    lengths = [np.unique(codes[together]).size for codes, _ in chosen]
    part_of = np.arange(combination_count)
    if len(most) > 1 and int(np.prod(lengths)) == len(most):
        part_of[most] = most[0]
    codes = np.unique(part_of[combination], return_inverse=True)[1]
    if codes.max() == 0:
        return None
    findings: list[Finding] = []
    for members in members_of(codes):
        held: dict[str, Json] = {
            name: _held(own[members], values) for name, (own, values) in zip(names, chosen, strict=True)
        }
        filled = np.unique(combination[members] * plane_count + planes[members]).size
        missing = int(np.unique(combination[members]).size) * plane_count - filled
        findings.append(
            Finding(
                "incomplete-axis",
                f"Not all values of {', '.join(names)} have all {plane_count} planes, so they are split; "
                f"{missing} frames are missing here.",
                {"values": held, "plane_count": plane_count, "missing_count": missing},
            )
        )
    return Incomplete(codes, tuple(findings))


def _held(codes: Codes, values: list[Label | None]) -> list[Json]:
    return [_axis_value(values[code]) for code in np.unique(codes)[:100]]
