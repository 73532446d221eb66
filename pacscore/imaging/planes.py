"""Images out of volumes: the frame as acquired, and the planes of the array, each with its affine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import SelectionError, UnsupportedError
from pacscore.geometry import StackGeometry, anatomical_axis
from pacscore.imaging.image import Image
from pacscore.imaging.sources import everything
from pacscore.imaging.values import Rescale, Window

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume


def frame_image(volume: Volume, frame_index: int) -> Image:
    """One frame of a stack; see ``Volume.frame``."""
    count = volume.frame_count
    if not -count <= frame_index < count:
        raise SelectionError(f"Frame {frame_index} is outside the {count} frames.", found=frame_index, expected=count)
    place = frame_index % count
    lead = tuple(int(index) for index in np.unravel_index(place, volume.shape[: len(volume.axes) + 1]))
    box = (*(slice(index, index + 1) for index in lead), *everything(volume.shape[len(lead) :]))
    words = volume.read_box(box).reshape(1, *volume.shape[len(lead) :])
    spacing = volume.spacing_mm
    image = _image(
        volume,
        words,
        slice(place, place + 1),
        affine=_frame_affine(volume.geometry, lead[-1]),
        spacing_mm=None if spacing is None else spacing[1:],
        window=volume.presentation.frame_window(place),
        place=place,
    )
    uids = (*volume.sop_instance_uids[place : place + 1], *volume.further_sop_instance_uids)
    kept = replace(image, as_seen=volume.presentation.as_seen)
    return derived_image(kept, volume, sop_instance_uids=uids)


def plane_image(volume: Volume, plane: str, index: int) -> Image:
    """A plane of a volume without extra axes; see ``Volume.plane``."""
    affine = volume.index_to_lps
    axis = anatomical_axis(affine, plane)
    length = volume.shape[axis]
    if not -length <= index < length:
        raise SelectionError(f"Index {index} is outside the {length} {plane} planes.", found=index, expected=length)
    index %= length
    if axis == 0:
        return frame_image(volume, index)
    box = [*everything(volume.shape)]
    box[axis] = slice(index, index + 1)
    down, right = (kept for kept in range(3) if kept != axis)
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    image = _image(
        volume,
        np.squeeze(volume.read_box(tuple(box)), axis),
        slice(0, volume.frame_count),
        affine=plane_affine(affine, axis=axis, index=index),
        spacing_mm=(float(steps[down]), float(steps[right])),
        window=volume.presentation.shared_window(volume.frame_count),
    )
    return derived_image(image, volume, f"{plane} plane {index}")


def derived_image(
    image: Image, volume: Volume, *derivation: str, sop_instance_uids: tuple[str, ...] | None = None
) -> Image:
    """The image with where it comes from: place, instances (by default all of the volume's), what was done."""
    return replace(
        image,
        frame_of_reference_uid=volume.geometry.frame_of_reference_uid,
        sop_instance_uids=volume.source_instance_uids if sop_instance_uids is None else sop_instance_uids,
        derivation=(*volume.derivation, *derivation),
    )


def plane_affine(index_to_lps: NDArray[np.float64], *, axis: int, index: float) -> NDArray[np.float64]:
    """The affine of array plane ``index`` across ``axis``: ``(0, row, column, 1)`` of the image to LPS millimetres.

    Its first column is the step to the next such plane; the image's rows and columns run along the other two axes of
    the volume, in their order.

    Examples
    --------
    >>> plane_affine(np.diag([3.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]], axis=1, index=7)[:, 3]
    array([0., 7., 0., 1.])
    """
    down, right = (kept for kept in range(3) if kept != axis)
    affine = index_to_lps[:, [axis, down, right, 3]].astype(np.float64)
    affine[:3, 3] += index_to_lps[:3, axis] * index
    return affine


def _frame_affine(geometry: StackGeometry, index: int) -> NDArray[np.float64] | None:
    """The affine of a frame as acquired: known wherever its own header says it, whatever its neighbours do."""
    if geometry.index_to_lps is not None:
        return plane_affine(geometry.index_to_lps, axis=0, index=index)
    position, orientation, spacing = geometry.slice_position_lps(index), geometry.orientation, geometry.spacing_mm
    if position is None or orientation is None or spacing is None:
        return None
    affine = np.zeros((4, 4))
    affine[:3, 1] = np.asarray(orientation[3:]) * spacing[1]
    affine[:3, 2] = np.asarray(orientation[:3]) * spacing[2]
    affine[:3, 3] = position
    affine[3, 3] = 1.0
    return affine


def _image(
    volume: Volume,
    words: NDArray[Any],
    frames: slice,
    *,
    affine: NDArray[np.float64] | None,
    spacing_mm: tuple[float, float] | None,
    window: Window | None,
    place: int = 0,
) -> Image:
    """An image of stored values: one frame ``(1, rows, columns…)``, or a line of each frame, ``(frames, pixels…)``."""
    presentation = volume.presentation
    whole_frame = words.ndim == volume.ndim - len(volume.axes)
    if volume.is_monochrome:
        rescale = volume.rescale.frames(frames)
        values = rescale.apply(words)
        return Image(
            values[0] if whole_frame else values,
            index_to_lps=affine,
            spacing_mm=spacing_mm,
            pixel_aspect=presentation.pixel_aspect,
            modality=presentation.modality,
            photometric=presentation.photometric,
            unit=rescale.unit,
            window=window,
            padding=_padding_values(rescale, presentation.padding),
            windows=presentation.frame_windows(place),
            voi_tables=presentation.frame_tables(place),
            inverse=presentation.inverse,
        )
    colours = words[0] if whole_frame else words
    bits = volume.stored.bits_stored
    if volume.to_rgb is not None:
        colours = volume.to_rgb(colours)
        bits = colours.dtype.itemsize * 8
    elif presentation.photometric != "RGB":
        raise UnsupportedError(
            f"{presentation.photometric} needs a conversion to RGB that this volume was not given: (0028,0004).",
            tag="00280004",
            found=presentation.photometric,
        )
    return Image(
        colours,
        index_to_lps=affine,
        spacing_mm=spacing_mm,
        pixel_aspect=presentation.pixel_aspect,
        modality=presentation.modality,
        photometric="RGB",
        bits_stored=bits,
    )


def _padding_values(rescale: Rescale, padding: tuple[float, float] | None) -> tuple[float, float] | None:
    """Padding in modality values, where one number stands for it in all these frames."""
    if padding is None or rescale.tables or rescale.slopes.size > 1:
        return None
    low, high = sorted(float(np.float32(value * rescale.slopes[0] + rescale.intercepts[0])) for value in padding)
    return low, high
