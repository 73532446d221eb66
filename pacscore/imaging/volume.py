"""A stack of frames with its geometry: read lazily, in stored or modality values, in whole, box or plane.

V1  Arrays are indexed ``(axes…, slice, row, column[, sample])``; a volume proper has no extra axes.
V2  Nothing is decoded that lies outside the box asked for.
V3  No geometry is made up: planes across the slices exist only where an affine describes the stack (promise 6).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import AmbiguousError, GeometryError, InputError
from pacscore.geometry import Axis, StackGeometry, anatomical_axis
from pacscore.imaging import (
    analysis,
    arrays,
    choosing,
    convert,
    curved_planes,
    dask_arrays,
    enhancement,
    projection,
    regridding,
    rendering,
    resampling,
    segmenting,
    uptake,
    windowing,
)
from pacscore.imaging.image import Image
from pacscore.imaging.planes import frame_image, plane_image
from pacscore.imaging.reading import mask_all, mask_box, read_modality_into, read_selection
from pacscore.imaging.selection import select
from pacscore.imaging.sources import ArrayInMemory, ArraySource, Box, everything
from pacscore.imaging.values import MONOCHROME, Presentation, Rescale, StoredFormat


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A stack of frames in patient space.

    Attributes
    ----------
    source : ArraySource
        The words, ``(axes…, slices, rows, columns[, samples])``.
    geometry : StackGeometry
        Verdict, findings, affine, spacing.
    stored : StoredFormat
        How stored values lie in the words.
    rescale : Rescale
        Stored to modality values; per frame in C order of ``(axes…, slices)``.
    presentation : Presentation
        Modality, photometric interpretation, windows.
    axes : tuple of Axis
        The extra axes, outermost first.
    sop_instance_uids : tuple of str
        The instance of each frame, in C order of ``(axes…, slices)``; empty for a derived volume without any.
    further_sop_instance_uids : tuple of str
        Instances that it was made from beside those of its frames: of the volume laid over it, for example.
    to_rgb : callable, optional
        Turns one stored colour frame into RGB (palettes, YBR); picklable. RGB itself needs none.
    derivation : tuple of str
        What was done to the pixels since they were stored, oldest first.

    Raises
    ------
    InputError
        The parts contradict each other: numbers of frames, axes or bits.
    """

    source: ArraySource
    geometry: StackGeometry
    stored: StoredFormat
    rescale: Rescale = field(default_factory=Rescale.linear)
    presentation: Presentation = field(default_factory=Presentation)
    axes: tuple[Axis, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()
    to_rgb: Callable[[NDArray[Any]], NDArray[Any]] | None = None
    derivation: tuple[str, ...] = ()
    further_sop_instance_uids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        spatial = len(self.source.shape) - len(self.axes)
        if spatial not in {3, 4}:
            raise InputError(f"{spatial} array axes remain beside {len(self.axes)}: (slice, row, column[, sample]).")
        if spatial == 4 and self.presentation.photometric in MONOCHROME:
            raise InputError(f"{self.presentation.photometric} has one sample: name the first axis in axes.")
        for axis, length in zip(self.axes, self.source.shape, strict=False):
            if len(axis.values) != length:
                raise InputError(f"Axis {axis.name} has {len(axis.values)} values but length {length}.")
        counts = {
            "SOP Instance UIDs": len(self.sop_instance_uids) or self.frame_count,
            "windows": self.frame_count if len(self.presentation.windows) <= 1 else len(self.presentation.windows),
            "rescale slopes": self.frame_count if self.rescale.slopes.size == 1 else self.rescale.slopes.size,
        }
        for what, count in counts.items():
            if count != self.frame_count:
                raise InputError(f"{count} {what} for {self.frame_count} frames.", expected=self.frame_count)
        if self.dtype.kind in "iu" and self.stored.high_bit >= self.dtype.itemsize * 8:
            raise InputError(f"High Bit {self.stored.high_bit} lies outside {self.dtype} words: (0028,0102).")
        if self.dtype.kind in "iu" and self.stored.signed != (self.dtype.kind == "i"):
            raise InputError(
                f"Pixel Representation (0028,0103) and the words' dtype {self.dtype} contradict each other."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """``(axes…, slices, rows, columns[, samples])``."""
        return self.source.shape

    @property
    def ndim(self) -> int:
        """Number of array axes."""
        return len(self.source.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the stored values."""
        return self.source.dtype

    @property
    def frame_count(self) -> int:
        """How many frames there are, over all axes."""
        return math.prod(self.source.shape[: len(self.axes) + 1])

    @property
    def is_monochrome(self) -> bool:
        """One sample per pixel, shown through a window."""
        return self.presentation.photometric in MONOCHROME and self.ndim == len(self.axes) + 3

    @property
    def index_to_lps(self) -> NDArray[np.float64]:
        """4 × 4, ``(slice, row, column, 1)`` to LPS millimetres; sheared for a tilted stack.

        Raises
        ------
        GeometryError
            No affine describes this stack; the message says why.
        """
        affine = self.geometry.index_to_lps
        if affine is None:
            raise GeometryError(
                f"No affine maps this stack's slices to space: its verdict is {self.geometry.verdict}. "
                "Look at geometry.findings; frame(i) gives single frames.",
                verdict=str(self.geometry.verdict),
            )
        return affine.copy()

    @property
    def has_affine(self) -> bool:
        """An affine describes the stack: ``index_to_lps`` and ``plane`` work."""
        return self.geometry.index_to_lps is not None

    @property
    def source_instance_uids(self) -> tuple[str, ...]:
        """All instances that it was made from, each once."""
        return tuple(dict.fromkeys((*self.sop_instance_uids, *self.further_sop_instance_uids)))

    @property
    def spacing_mm(self) -> tuple[float | None, float, float] | None:
        """Between slices, between rows, between columns; None where not known."""
        return self.geometry.spacing_mm

    def __len__(self) -> int:
        return self.source.shape[0]

    def __iter__(self) -> Iterator[Any]:
        for index in range(len(self)):
            yield self[index]

    def __getitem__(self, key: object) -> Any:
        """Stored values of a NumPy-style selection: integers, slices with any step, an ellipsis.

        Only the bounding box is decoded, and along the first axis only what a step of a chunk or more visits.

        Raises
        ------
        SelectionError
            An index is out of range or of another kind.
        """
        return read_selection(self, select(key, self.shape))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All stored values, for ``numpy.asarray``."""
        if copy is False:
            raise ValueError("A stored volume has no array to share: numpy.asarray copies.")
        whole = self.array()
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __repr__(self) -> str:
        spacing = self.spacing_mm
        mm = (
            ""
            if spacing is None
            else " " + " x ".join("?" if step is None else f"{step:g}" for step in spacing) + " mm"
        )
        return (
            f"<Volume {self.presentation.modality or 'of unknown modality'} {self.shape} {self.dtype} "
            f"{self.geometry.verdict}{mm}>"
        )

    def read_box(self, box: Box) -> NDArray[Any]:
        """Read the stored values of a box: one slice per axis, step 1, within the shape."""
        words = self.source.read(box)
        mask_box(self, words, box)
        return words

    def array(self, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read all stored values.

        Parameters
        ----------
        out : NDArray, optional
            Where to put them: the volume's shape and dtype, C order.

        Returns
        -------
        NDArray
            ``(axes…, slices, rows, columns[, samples])``, masked and sign-extended by Bits Stored and High Bit.

        Raises
        ------
        InputError
            ``out`` does not fit.
        """
        target = arrays.output_array(out, self.shape, self.dtype)
        self.source.read_into(everything(self.shape), target)
        mask_all(self, target)
        return target

    def modality(self, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Read all modality values: rescaled frame by frame, in the unit ``rescale.unit`` (CT: HU).

        Parameters
        ----------
        out : NDArray of float32, optional
            Where to put them: the volume's shape, C order.

        Raises
        ------
        UnsupportedError
            The header names a transformation that cannot be done.
        InputError
            ``out`` does not fit.

        Notes
        -----
        PS3.3 C.11.1. Works in slabs: beside the result it needs a few of 16 MiB, not a second volume. float32 holds
        whole numbers exactly below 2**24; for wider ones take ``array()`` and ``rescale``.
        """
        target = arrays.output_array(out, self.shape, np.dtype(np.float32))
        read_modality_into(self, target)
        return target

    at = choosing.at

    def frame(self, frame_index: int) -> Image:
        """One frame as it was acquired.

        Parameters
        ----------
        frame_index : int
            From 0, in C order of ``(axes…, slices)``; negative from the end.

        Returns
        -------
        Image
            Modality values, or RGB. It has an affine where the header places the frame, also in an irregular stack.

        Raises
        ------
        SelectionError
            There is no such frame.
        UnsupportedError
            Its colours cannot be turned to RGB here.
        """
        return frame_image(self, frame_index)

    def plane(self, plane: str, index: int) -> Image:
        """A plane of the array, by its anatomical name.

        Parameters
        ----------
        plane : str
            ``axial``, ``coronal`` or ``sagittal``: the array axis nearest to that plane's normal is taken.
        index : int
            Along that axis, negative from the end.

        Returns
        -------
        Image
            ``(rows, columns)`` modality values in the array's own index order, with its affine: a coronal plane of an
            axial stack is ``volume[:, index, :]``. Pictures of it are turned to the radiological convention.

        Raises
        ------
        GeometryError
            The stack has no affine, or two axes are equally near.
        AmbiguousError
            There are extra axes: choose with ``at`` first.
        SelectionError
            The index is outside the axis.
        """
        self._refuse_axes()
        return plane_image(self, plane, index)

    def plane_count(self, plane: str) -> int:
        """How many planes of that name there are.

        Raises
        ------
        GeometryError, AmbiguousError
            As ``plane``.
        """
        self._refuse_axes()
        return self.shape[anatomical_axis(self.index_to_lps, plane)]

    shown_window = windowing.shown_window
    window = windowing.window
    fuse = windowing.fuse
    statistics = analysis.statistics
    histogram = analysis.histogram
    profile = analysis.profile
    compare = analysis.compare
    threshold = segmenting.threshold
    grow = segmenting.grow
    components = segmenting.components
    suv = uptake.suv
    project = projection.project
    render = rendering.render
    turntable = rendering.turntable
    reslice = resampling.reslice
    reslice_stack = resampling.reslice_stack
    slab = resampling.slab
    curved = curved_planes.curved
    resample = regridding.resample
    rectified = regridding.rectified
    pyramid = regridding.pyramid
    enhance = enhancement.enhance
    dask = dask_arrays.dask_array
    to_nifti = convert.to_nifti
    to_nibabel = convert.to_nibabel
    to_nrrd = convert.to_nrrd
    to_hdf5 = convert.to_hdf5
    to_ome_zarr = convert.to_ome_zarr
    to_simpleitk = convert.to_simpleitk
    to_xarray = convert.to_xarray

    def with_array(self, array: NDArray[Any], *, derivation: str, presentation: Presentation | None = None) -> Volume:
        """A derived volume: other values at the same places.

        Parameters
        ----------
        array : NDArray
            The volume's shape; its values are modality values.
        derivation : str
            What was done, for people: ``"median 3 x 3 x 3"``.
        presentation : Presentation, optional
            By default the volume's own, without its padding.

        Raises
        ------
        InputError
            The shape differs, or the derivation is empty.
        """
        if array.shape != self.shape:
            raise InputError(f"A derived array has the volume's shape {self.shape}, not {array.shape}.")
        if not derivation.strip():
            raise InputError("Say in derivation what was done to the pixels.")
        return replace(
            self,
            source=ArrayInMemory(array),
            stored=StoredFormat.of_dtype(array.dtype),
            rescale=Rescale.linear(unit=self.rescale.unit),
            presentation=presentation or replace(self.presentation, padding=None),
            derivation=(*self.derivation, derivation),
        )

    def _refuse_axes(self) -> None:
        if self.axes:
            names = ", ".join(f"{axis.name} ({len(axis.values)})" for axis in self.axes)
            raise AmbiguousError(f"This stack has further axes: {names}. Choose one volume with at().", axes=names)
