"""Forward projection and its exact adjoint as an operator: ``A @ x``, ``A.T @ y``.

P1  Both directions are the same matrix: <A x, y> = <x, A.T y> to rounding.
P2  Kernels want arrays in layouts of their own. ``A @ x`` turns to them and back; iterations stay in them (``native``
    methods), since what is done there voxel by voxel does not care. What pads a native array is 0 and stays 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, UnsupportedError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.recon.cone_geometries import ConeGeometry
from pacscore.recon.geometries import FanGeometry, ParallelGeometry, Planar
from pacscore.recon.grids import Grid
from pacscore.recon.helical_geometries import HelicalGeometry
from pacscore.recon.joseph_cone_rays import ConeRays
from pacscore.recon.joseph_rays import Array, Layout, PlanarRays

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator


class Rays(Protocol):
    """A geometry upon a grid, in the layouts of its kernels."""

    volume_shape: tuple[int, ...]
    projection_shape: tuple[int, ...]

    def put_volume(self, volume: NDArray[Any], native: Array) -> None:
        """Fill a native volume from (slices, rows, columns)."""
        ...

    def put_projections(self, projections: NDArray[Any], native: Array) -> None:
        """Fill native projections from (views, rows, columns)."""
        ...

    def volume_of(self, native: Array) -> Array:
        """(slices, rows, columns) of a native volume, C order."""
        ...

    def projections_of(self, native: Array) -> Array:
        """(views, rows, columns) of native projections, C order."""
        ...

    def layout(self) -> Layout:
        """How voxels lie in a native volume."""
        ...

    def forward(self, volume: Array, out: Array, views: NDArray[np.intp] | None, watch: Watch) -> None:
        """Put line integrals into ``out``: of all views, or of some and leave the others."""
        ...

    def adjoint(self, projections: Array, out: Array, views: NDArray[np.intp] | None, watch: Watch) -> None:
        """Overwrite ``out`` with the adjoint."""
        ...


class Projector:
    """Joseph's projector of a geometry upon a grid, and its adjoint.

    Parameters
    ----------
    geometry : ParallelGeometry, FanGeometry, ConeGeometry or HelicalGeometry
        The focal spot of a helix may fly; detectors, flat or cylindrical, may be tilted.
    grid : Grid
        Parallel and fan geometries: a slice for each detector row, at its height.
    watch : Watch
        Cancellation and threads of all products.

    Raises
    ------
    GeometryError
        The grid reaches to a source, or is tilted against the planes of parallel beams or fans.
    InputError
        The slices of the grid are not the rows of the detector (parallel beams and fans).

    Notes
    -----
    Joseph 1982, IEEE Trans. Med. Imaging 1(3). Where detector rows run along the slices these are never marched, so
    cone angles stay below 45°; a detector or grid tilted against the other takes several times as long.
    Memory: tables of 24 to 44 bytes per view and column, and native copies of what is multiplied.
    """

    def __init__(
        self, geometry: Planar | ConeGeometry | HelicalGeometry, grid: Grid, *, watch: Watch = UNWATCHED
    ) -> None:
        self.geometry, self.grid, self.watch = geometry, grid, watch
        self._rays: Rays
        if isinstance(geometry, ParallelGeometry | FanGeometry):
            self._rays = PlanarRays(geometry, grid)
        else:
            self._rays = ConeRays(geometry, grid)

    @property
    def shape(self) -> tuple[int, int]:
        """As a matrix: numbers of measurements and of voxels."""
        return int(np.prod(self.geometry.shape)), int(np.prod(self.grid.shape))

    @property
    def T(self) -> Adjoint:  # noqa: N802 -- The name that NumPy gives it.
        """The adjoint."""
        return Adjoint(self)

    def __matmul__(self, volume: NDArray[Any]) -> Array:
        """Line integrals (views, rows, columns) float32 of a volume of the grid's shape, or both flat."""
        native = self.native_volume(self._shaped(volume, self.grid.shape))
        result = self.projections_of(self.forward(native))
        return result.reshape(-1) if np.ndim(volume) == 1 else result

    def backproject(self, projections: NDArray[Any]) -> Array:
        """The adjoint's product, as ``A.T @ projections``."""
        native = self.native_projections(self._shaped(projections, self.geometry.shape))
        result = self.volume_of(self.adjoint(native))
        return result.reshape(-1) if np.ndim(projections) == 1 else result

    def normest(self, *, iterations: int = 12, seed: int = 0) -> float:
        """The largest singular value, from below, by power iteration; a fresh operator needs about ten.

        Raises
        ------
        InputError
            ``iterations`` is below 1.
        """
        if iterations < 1:
            raise InputError("normest needs one iteration or more.", found=iterations)
        start = np.random.default_rng(seed).random(self.grid.shape, np.float32)
        x, y = self.native_volume(start), self.new_projections()
        norm = 0.0
        for _ in range(iterations):
            x /= np.float32(np.linalg.norm(x))
            self.forward(x, out=y)
            norm = float(np.linalg.norm(y))
            if norm == 0.0:
                return 0.0
            self.adjoint(y, out=x)
        return norm

    def linear_operator(self) -> LinearOperator:
        """The operator for SciPy's solvers, on flat arrays.

        Raises
        ------
        UnsupportedError
            SciPy is not installed.
        """
        try:
            from scipy.sparse.linalg import LinearOperator
        except ImportError as error:
            raise UnsupportedError("SciPy is not installed: pip install 'pacscore[recon]'.") from error
        return LinearOperator(
            self.shape,
            matvec=lambda x: self @ np.ravel(x),
            rmatvec=lambda y: self.backproject(np.ravel(y)),
            dtype=np.float32,
        )

    # In the layouts of the kernels.

    def new_volume(self) -> Array:
        """Zeros."""
        return np.zeros(self._rays.volume_shape, np.float32)

    def native_layout(self) -> Layout:
        """How voxels lie in a native volume, for what looks at neighbours."""
        return self._rays.layout()

    def new_projections(self) -> Array:
        """Zeros."""
        return np.zeros(self._rays.projection_shape, np.float32)

    def native_volume(self, volume: NDArray[Any]) -> Array:
        """A volume in the kernels' layout."""
        native = self.new_volume()
        self._rays.put_volume(volume, native)
        return native

    def native_projections(self, projections: NDArray[Any]) -> Array:
        """Projections in the kernels' layout."""
        native = self.new_projections()
        self._rays.put_projections(projections, native)
        return native

    def volume_of(self, native: Array) -> Array:
        """(slices, rows, columns) of a native volume, C order."""
        return self._rays.volume_of(native)

    def projections_of(self, native: Array) -> Array:
        """(views, rows, columns) of native projections, C order."""
        return self._rays.projections_of(native)

    def forward(self, volume: Array, *, out: Array | None = None, views: NDArray[np.intp] | None = None) -> Array:
        """Line integrals of a native volume, of some of the views only if asked; the others stay."""
        result = self.new_projections() if out is None else out
        self._rays.forward(volume, result, views, self.watch)
        return result

    def adjoint(self, projections: Array, *, out: Array | None = None, views: NDArray[np.intp] | None = None) -> Array:
        """The adjoint of native projections, of some of the views only if asked."""
        result = self.new_volume() if out is None else out
        self._rays.adjoint(projections, result, views, self.watch)
        return result

    def _shaped(self, given: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        array = np.asarray(given)
        if array.shape == shape:
            return array
        if array.shape == (int(np.prod(shape)),):
            return array.reshape(shape)
        if array.ndim == 2 and 1 in shape and array.size == np.prod(shape):
            squeezed = tuple(length for place, length in enumerate(shape) if place != shape.index(1))
            if array.shape == squeezed:
                return array.reshape(shape)
        raise InputError(f"This operator takes arrays of shape {shape}, not {array.shape}.", expected=shape)

    def __repr__(self) -> str:
        return f"<Projector {self.geometry} onto {self.grid}>"


class Adjoint:
    """``A.T``: what a projector's measurements are spread back to."""

    def __init__(self, projector: Projector) -> None:
        self.T = projector

    @property
    def shape(self) -> tuple[int, int]:
        """As a matrix."""
        rows, columns = self.T.shape
        return columns, rows

    def __matmul__(self, projections: NDArray[Any]) -> Array:
        """(slices, rows, columns) float32 of projections, or both flat."""
        return self.T.backproject(projections)
