"""Cone-beam backprojection: which voxels share their work, and the layouts in which they do.

V1  While views are added, a volume lies in voxel columns: all slices of a place side by side, those that share their
    work next to each other. Only at the end are its rows put where they belong, in place: what a view touches is then
    in the cache, and no second volume is needed.
V2  A voxel shares with its mirror image where the middle of the grid lies in the plane of the source and the mirror
    image of a detector row is a row: any angles will do. Where views besides repeat after a quarter turn, and the grid
    is square about the axis, eight voxels share. Results are the same up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.imaging.arrays.watching import Watch
from pacscore.kernels import backproject, backproject_mirrored, ramp
from pacscore.recon.cone_scans import Scan
from pacscore.recon.filtering import padded_rows

_COLUMNS = 16
_LINES_BYTES = 1 << 18
_VIEWS = 16
_MEMORY_PART = 0.06
_PIXELS_OFF = 1e-5
_KERNELS: dict[int, Any] = {
    1: backproject.cone_lines_into,
    2: backproject_mirrored.mirrored_lines_into,
    8: backproject_mirrored.quarter_lines_into,
}


@dataclass(frozen=True, slots=True, eq=False)
class Backprojection:
    """How the views of a scan are added to its grid.

    Attributes
    ----------
    sets : (1 or 4, n) int
        Views that are added together.
    lanes : int
        Voxels that share their work: 1, 2 or 8.
    first_row, rows : int
        Of a filtered view, its zeros counted: what is backprojected.
    """

    scan: Scan
    sets: NDArray[np.intp]
    lanes: int
    first_row: int
    rows: int

    @classmethod
    def of(cls, scan: Scan, *, symmetric: bool = True) -> Backprojection:
        """The way that shares most; with ``symmetric`` off, each voxel for itself."""
        each = np.arange(scan.geometry.shape[0])[None]
        rows = padded_rows(scan.geometry.row_count)
        if not (symmetric and _is_mirrored(scan)):
            return cls(scan, each, 1, 0, rows)
        center, end = scan.center[1], ramp.ROWS_BEFORE + scan.geometry.row_count
        first = int(center + 1e-3) - 1
        # To the first row that is 0 both for a view and for its mirror image, and zeros as behind any view.
        reach = max(end - first, round(2 * center) - first - ramp.ROWS_BEFORE + 1)
        sets = _quarters(scan)
        return cls(scan, *((each, 2) if sets is None else (sets, 8)), first, reach + ramp.ROWS_AFTER)

    @property
    def view_shape(self) -> tuple[int, int]:
        """Of one set of filtered views."""
        return self.scan.packed.outputs + 2, self.lanes * self.rows

    @property
    def lines_shape(self) -> tuple[int, int, int]:
        """Of the volume while views are added (V1)."""
        slices, rows, columns = self.scan.grid.shape
        return (rows // 2, columns // 2, 4 * slices) if self.lanes == 8 else (rows, columns, slices)

    def batch(self, projection_bytes: int) -> int:
        """How many sets are filtered at once, so that they need a small part of what input and result do."""
        whole = projection_bytes + 4 * int(np.prod(self.scan.grid.shape))
        unit = _VIEWS // len(self.sets)
        spare = _MEMORY_PART * whole / (4 * float(np.prod(self.view_shape)))
        return min(int(self.sets.shape[1]), max(1, int(spare / unit)) * unit)

    def filter_sets(self, values: NDArray[np.float32], chosen: slice, out: NDArray[np.float32], watch: Watch) -> None:
        """Filter some of the sets into ``out`` (sets, *view_shape)."""
        sets = self.sets[:, chosen]
        if self.lanes == 1:
            self.scan.filtered(values, sets[0], out, watch)
            return
        rows = padded_rows(self.scan.geometry.row_count)
        twice = round(2 * self.scan.center[1])

        def run(start: int, stop: int) -> None:
            views = np.zeros((len(sets), self.view_shape[0], rows), np.float32)
            for number in range(start, stop):
                self.scan.filtered(values, sets[:, number], views, Watch(threads=1))
                ramp.mirror_rows_into(views, self.first_row, twice, out[number])

        watch.run("filtering", run, sets.shape[1])

    def add(self, filtered: NDArray[np.float32], chosen: slice, lines: NDArray[np.float32], watch: Watch) -> None:
        """Add filtered sets to the volume; ``chosen`` says which they are."""
        maps = np.ascontiguousarray(self.scan.maps[self.sets[:, chosen]], np.float32)
        maps = maps if self.lanes == 8 else maps[0]
        column, row = self.scan.center
        center, curve = (column, row - self.first_row), self.scan.geometry.columns_per_radian
        rows, columns, long = lines.shape
        high = int(min(16, max(2, _LINES_BYTES // (4 * _COLUMNS * long))))
        parts = [
            (y, min(rows, y + high), x, min(columns, x + _COLUMNS))
            for y in range(0, rows, high) for x in range(0, columns, _COLUMNS)
        ]  # fmt: skip

        def run(start: int, stop: int) -> None:
            line = np.zeros(self.lanes * (self.rows + 64), np.float32)
            places, numbers = np.empty((3, _COLUMNS), np.int32), np.empty((4, _COLUMNS), np.float32)
            for part in parts[start:stop]:
                _KERNELS[self.lanes](filtered, maps, center, curve, part, line, places, numbers, lines)

        watch.run("backprojecting", run, len(parts))

    def settle(self, lines: NDArray[np.float32], watch: Watch) -> None:
        """Put all voxels where they belong: ``lines`` then holds (slices, rows, columns)."""
        quiet = replace(watch, progress=None)
        rows, columns, long = lines.shape
        order = self._order()
        blocks = lines.reshape(rows, long, columns)

        def turn(start: int, stop: int) -> None:
            # 16 more, so that a column's items do not all fall into one set of the cache: three times as fast.
            scratch = np.empty((columns, long + 16), np.float32)[:, :long]
            for row in range(start, stop):
                scratch[:] = lines[row]
                blocks[row][order] = scratch.T

        quiet.run("arranging", turn, rows, tile=4)
        ramp.exchange_rows_into(
            rows, long, lines.reshape(-1, columns), np.empty(columns, np.float32), np.zeros(rows * long, np.bool_)
        )  # fmt: skip
        if self.lanes == 8:
            quarters = lines.reshape(-1, 4, rows, columns)
            quiet.run("arranging", lambda start, stop: _place_quarters(quarters[start:stop]), len(quarters), tile=4)

    def _order(self) -> NDArray[np.intp]:
        """Which row of the slices each item of a line becomes."""
        slices = self.scan.grid.shape[0]
        if self.lanes == 1:
            return np.arange(slices)
        upper = np.arange(slices // 2, slices)
        both = np.stack([upper, slices - 1 - upper], axis=1)
        return both.reshape(-1) if self.lanes == 2 else (4 * both[:, :, None] + np.arange(4)).reshape(-1)


def _place_quarters(slices: NDArray[np.float32]) -> None:
    """(slices, 4, n, n) of the first quarter and its turned copies become slices (2 n, 2 n), in place."""
    half = slices.shape[2]
    for layer in slices:
        image, quarters = layer.reshape(2 * half, 2 * half), layer.copy()
        image[:half, :half] = quarters[0]
        image[:half, half:] = quarters[1].T[:, ::-1]
        image[half:, half:] = quarters[2][::-1, ::-1]
        image[half:, :half] = quarters[3].T[::-1]


def _is_mirrored(scan: Scan) -> bool:
    slices, rows, columns = scan.grid.shape
    center = scan.center[1]
    if slices % 2 or abs(2 * center - round(2 * center)) > _PIXELS_OFF:
        return False
    if not ramp.ROWS_BEFORE <= center <= ramp.ROWS_BEFORE + scan.geometry.row_count - 1:
        return False
    across, along, up, rest = np.moveaxis(np.abs(scan.maps[:, 1] * [1.0, 1.0, 1.0, 0.0]), 1, 0)
    rest = np.abs(2 * scan.maps[:, 1, 3] + scan.maps[:, 1, 2] * (slices - 1))
    return bool((across * columns + along * rows + rest).max() < _PIXELS_OFF * max(1.0, float(up.max())))


def _quarters(scan: Scan) -> NDArray[np.intp] | None:
    """(4, sets) the views a quarter turn apart, or None where these do not share their work."""
    views, (_, rows, columns) = scan.geometry.shape[0], scan.grid.shape
    if views % 4 or rows != columns or rows % 2:
        return None
    sets = np.arange(views).reshape(4, -1)
    # The voxel at (column, row) comes to (rows - 1 - row, column) by a quarter turn.
    turn = np.array([[0.0, -1, 0, rows - 1], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    same = all(
        np.allclose(scan.maps[np.roll(sets, -1, axis=0)[k]] @ turn, scan.maps[sets[k]], atol=1e-6, rtol=1e-6)
        for k in range(4)
    )
    return sets if same and scan.cosines.ndim == 2 else None
