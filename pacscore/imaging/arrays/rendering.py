"""Direct volume rendering of plain arrays: rays composited front to back through tables of opacity and colour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.rays import RayGrid, RayVolume, spread_cells
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import blocks, compositing
from pacscore.parallel import run_tiles

_DEPTH_TILE = 8
_DEPTH_PARTS = 4
_OPAQUE = 1 / 128
_FAR = 1 << 30


@dataclass(frozen=True, slots=True)
class Lighting:
    """How surfaces answer a light at the viewer.

    Attributes
    ----------
    ambient : float
        Part of the colour shown wherever the light falls from.
    diffuse : float
        Part of the colour shown where a surface faces the viewer, falling with the cosine of the angle.
    specular : float
        White added where a surface faces the viewer, falling with the cosine to the ``power``.
    power : int
        0 to 1000.

    Raises
    ------
    InputError
        A part is negative or not finite, or the power outside its range.
    """

    ambient: float = 0.2
    diffuse: float = 0.7
    specular: float = 0.3
    power: int = 10

    def __post_init__(self) -> None:
        parts = (self.ambient, self.diffuse, self.specular)
        if not all(math.isfinite(part) and part >= 0 for part in parts) or not 0 <= self.power <= 1000:
            raise InputError("The parts of light are 0 or more, its power 0 to 1000.", found=(*parts, self.power))


UNLIT = Lighting(1.0, 0.0, 0.0, 0)
"""Colours as they are, without shading."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassificationTable:
    """Opacity and colour of each value, at equal steps.

    Attributes
    ----------
    opacities : NDArray of float32
        ``(entries,)``, 0 to 1, of one sample: already for the distance between samples.
    colours : NDArray of float32
        ``(entries, 3)`` red, green, blue, 0 to 1.
    first, step : float
        Value of the first entry, and from one to the next, above 0. Values beyond the ends take the end's entry.

    Raises
    ------
    InputError
        The arrays do not fit each other, lie outside 0 to 1, or the step is not positive.
    """

    opacities: NDArray[np.float32]
    colours: NDArray[np.float32]
    first: float
    step: float

    def __post_init__(self) -> None:
        entries = len(self.opacities)
        if entries < 1 or self.opacities.shape != (entries,) or self.colours.shape != (entries, 3):
            raise InputError("A table has (entries,) opacities and (entries, 3) colours.", found=self.colours.shape)
        for numbers in (self.opacities, self.colours):
            if numbers.dtype != np.float32 or not ((numbers >= 0) & (numbers <= 1)).all():
                raise InputError("Opacities and colours are float32 from 0 to 1.", found=str(numbers.dtype))
        if not (math.isfinite(self.first) and math.isfinite(self.step) and self.step > 0):
            raise InputError("The entries of a table lie at finite values, in steps above 0.", found=self.step)


def render_rays(
    volume: RayVolume,
    grid: RayGrid,
    table: ClassificationTable,
    *,
    index_to_mm: NDArray[np.float64],
    lighting: Lighting = Lighting(),
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    watch: Watch = UNWATCHED,
) -> NDArray[np.uint8]:
    """Composite each ray of a picture front to back.

    Parameters
    ----------
    volume : RayVolume
        Made ready once for any number of pictures.
    grid : RayGrid
        The rays; sample 0 is nearest to the viewer.
    table : ClassificationTable
        Opacity and colour by value.
    index_to_mm : NDArray of float64
        (3, 3), voxel index (slice, row, column) to millimetres: what gradients and angles are measured in.
    lighting : Lighting
        ``UNLIT`` shows colours as they are.
    background : tuple of float
        Red, green, blue, 0 to 1.
    watch : Watch
        Progress and cancelling, between parts of the picture.

    Returns
    -------
    NDArray of uint8
        ``(rows, columns, 3)``. The same for any number of threads.

    Raises
    ------
    InputError
        The matrix cannot be inverted, or the background lies outside 0 to 1.

    Notes
    -----
    See ``kernels/compositing.py`` for the model. A ray ends where less than 1/128 of the light would pass, so a picture
    differs by at most two grey values from one without that.
    """
    if not all(0 <= part <= 1 for part in background):
        raise InputError("A background is red, green, blue from 0 to 1.", found=background)
    matrix, entry_of = grid.matrix(), _entry_of(volume, table)
    visible = _visible_cells(volume, table, entry_of)
    spread = spread_cells(visible, grid.reach())
    depths = _depths(visible, grid)
    light = _light(grid, index_to_mm, lighting, fade=2e-3 * table.step / abs(volume.slope))
    flat, tiles = volume.words.reshape(-1), grid.tiles()
    opacities, colours = np.ascontiguousarray(table.opacities), np.ascontiguousarray(table.colours).reshape(-1)
    behind = (float(background[0]), float(background[1]), float(background[2]))
    out = np.empty((*grid.shape, 3), np.uint8)

    def composite(start: int, stop: int) -> None:
        for tile in tiles[start:stop]:
            compositing.composite_rays_into(
                flat, volume.shape, visible, spread, depths, matrix, grid.samples, opacities, colours, entry_of, light,
                behind, tile, out,
            )  # fmt: skip

    watch.run("rendering", composite, len(tiles))
    return out


def _entry_of(volume: RayVolume, table: ClassificationTable) -> tuple[float, float]:
    """Scale and offset from a word to its entry."""
    return volume.slope / table.step, (volume.intercept - table.first) / table.step


def _visible_cells(volume: RayVolume, table: ClassificationTable, entry_of: tuple[float, float]) -> NDArray[np.uint8]:
    """Which cells hold a value with an opacity."""
    before = np.concatenate([[0], np.cumsum(table.opacities > 0)]).astype(np.int32)
    visible = np.empty(volume.low.shape, np.uint8)
    low, high, out = volume.low.reshape(-1), volume.high.reshape(-1), visible.reshape(-1)

    def classify(start: int, stop: int) -> None:
        blocks.visible_cells_into(low[start:stop], high[start:stop], *entry_of, before, out[start:stop])

    run_tiles(classify, out.size, tile=1 << 16)
    return visible


def _depths(visible: NDArray[np.uint8], grid: RayGrid) -> NDArray[np.int32]:
    """First and last sample that can show something, for each tile of the picture."""
    rows, columns = (-(-length // _DEPTH_TILE) for length in grid.shape)
    to_view = _index_to_view(grid)
    if to_view is None:
        depths = np.zeros((2, rows, columns), np.int32)
        depths[1] = grid.samples
        return depths
    near = np.full((_DEPTH_PARTS, rows, columns), _FAR, np.int32)
    far = np.full((_DEPTH_PARTS, rows, columns), -1, np.int32)
    layers = len(visible)

    def measure(start: int, stop: int) -> None:
        for part in range(start, stop):
            first, last = part * layers // _DEPTH_PARTS, (part + 1) * layers // _DEPTH_PARTS
            blocks.cell_depths_into(visible, to_view, _DEPTH_TILE, first, last, near[part], far[part])

    run_tiles(measure, _DEPTH_PARTS)
    return np.stack([near.min(axis=0), far.max(axis=0)])


def _index_to_view(grid: RayGrid) -> NDArray[np.float64] | None:
    """(3, 4), voxel index to picture row, column and sample; None where the rays' steps lie in one plane."""
    origin, *steps = grid.matrix()
    columns = np.stack(steps, axis=1)
    lengths = np.linalg.norm(columns, axis=0)
    if not lengths.all() or abs(np.linalg.det(columns / lengths)) < 1e-6:
        return None
    back = np.linalg.inv(columns)
    return np.ascontiguousarray(np.concatenate([back, -(back @ origin)[:, np.newaxis]], axis=1))


def _light(grid: RayGrid, index_to_mm: NDArray[np.float64], lighting: Lighting, *, fade: float) -> NDArray[np.float32]:
    """The numbers of ``composite_rays_into``: a gradient in voxels is turned to millimetres inside its two forms.

    A gradient transforms with the inverse transpose of the indices' matrix, so with ``M = inverse(index_to_mm)`` its
    component along a unit vector ``v`` is ``gradient · (M v)``, and its squared length ``gradient · (M Mᵀ) gradient``.
    """
    if index_to_mm.shape != (3, 3) or not abs(np.linalg.det(index_to_mm)) > 0:
        raise InputError("index_to_mm must be a (3, 3) matrix that can be inverted.", found=index_to_mm.shape)
    back: NDArray[Any] = np.linalg.inv(index_to_mm)
    view = index_to_mm @ np.asarray(grid.sample_step)
    along = back @ (view / np.linalg.norm(view))
    square = back @ back.T
    parts = [lighting.ambient, lighting.diffuse, lighting.specular, lighting.power, _OPAQUE, fade * fade]
    products = [2 * square[0, 1], 2 * square[0, 2], 2 * square[1, 2]]
    return np.array([*parts, *along, *np.diag(square), *products], np.float32)
