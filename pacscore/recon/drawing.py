"""A geometry as a picture: what rotates around what, and whether the grid lies within the beam."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.recon.cone_geometries import ConeGeometry
from pacscore.recon.geometries import Geometry, ParallelGeometry

if TYPE_CHECKING:
    from PIL import Image as PillowImage

    from pacscore.recon.grids import Grid

_PAPER, _INK, _QUIET = (20, 23, 26), (232, 234, 237), (120, 130, 140)
_BEAM, _SOURCE, _DETECTOR, _GRID = (70, 92, 120), (255, 178, 62), (96, 200, 160), (235, 110, 120)


def draw_geometry(geometry: Geometry, grid: Grid | None = None, *, size: int = 480) -> PillowImage.Image:
    """Draw a geometry from the feet (x to the right, y down, as axial pictures are) and from the side (z up).

    Parameters
    ----------
    geometry
        Any geometry; the first view is drawn with its beam, of the others the sources.
    grid : Grid, optional
        Its outline is drawn too.
    size : int
        Height in pixels, 64 to 4096; the picture is twice as wide.

    Raises
    ------
    InputError
        The size lies outside its range.
    """
    from PIL import Image, ImageDraw

    if not 64 <= size <= 4096:
        raise InputError(f"A picture is 64 to 4096 pixels high, not {size}.", found=size)
    views = geometry.shape[0]
    chosen = np.unique(np.linspace(0, views - 1, min(views, 180)).astype(int))
    sources = np.array([_ends(geometry, int(view))[0].mean(axis=0) for view in chosen])
    start, stop = _ends(geometry, 0)
    points = np.concatenate([sources, start, stop, *([grid.corners_lps()] if grid is not None else [])])
    picture = Image.new("RGB", (2 * size, size), _PAPER)
    draw = ImageDraw.Draw(picture)
    far = float(np.abs(points).max()) * 1.08
    for panel, (across, down, names) in enumerate((((0, 1.0), (1, 1.0), "xy"), ((0, 1.0), (2, -1.0), "xz"))):
        left = panel * size

        def place(point: NDArray[np.float64], left: int = left, a: tuple[int, float] = across,
                  d: tuple[int, float] = down) -> tuple[float, float]:  # fmt: skip
            x, y = point[a[0]] * a[1], point[d[0]] * d[1]
            return left + size / 2 * (1 + x / far), size / 2 * (1 + y / far)

        draw.line([place(np.array([-far, 0, 0])), place(np.array([far, 0, 0]))], _QUIET)
        ends = [place(np.array([0.0, -far, -far])), place(np.array([0.0, far, far]))]
        draw.line(ends, _QUIET)
        for one, other in zip(start, stop, strict=True):
            draw.line([place(one), place(other)], _BEAM)
        draw.line([place(stop[0]), place(stop[1]), place(stop[3]), place(stop[2]), place(stop[0])], _DETECTOR, width=3)
        for point in sources:
            x, y = place(point)
            draw.ellipse([x - 1.5, y - 1.5, x + 1.5, y + 1.5], fill=_SOURCE)
        x, y = place(sources[0])
        draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=_SOURCE)
        if grid is not None:
            corners = grid.corners_lps()
            for i in range(8):
                for j in range(i):
                    if bin(i ^ j).count("1") == 1:
                        draw.line([place(corners[i]), place(corners[j])], _GRID)
        draw.text((left + size - 22, size / 2 + 4), names[0], _INK)
        draw.text((left + size / 2 + 6, 4 if names[1] == "z" else size - 18), names[1], _INK)
    draw.text((8, size - 18), f"{2 * far:.4g} mm across", _INK)
    return picture


def _ends(geometry: Geometry, view: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the four outermost rays of a view begin and end: (4, 3) each."""
    points, directions = geometry.rays(view)
    corners = [np.s_[row, column] for row in (0, -1) for column in (0, -1)]
    start, toward = np.array([points[c] for c in corners]), np.array([directions[c] for c in corners])
    if isinstance(geometry, ParallelGeometry):
        reach = 0.75 * max(1.0, float(np.ptp(points[..., :2].reshape(-1, 2), axis=0).max()))
        return start - toward * reach, start + toward * reach
    if isinstance(geometry, ConeGeometry):
        normal, distance = geometry.frames[2][view], float(geometry.frames[3][view])
    else:
        source = points.reshape(-1, 3)[0] * [1.0, 1.0, 0.0]
        normal, distance = -source / np.linalg.norm(source), float(getattr(geometry, "source_to_detector_mm", 0.0))
    return start, start + toward * (distance / (toward @ normal))[:, None]
