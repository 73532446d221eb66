"""One picture as a volume of one slice, so that it is stored as volumes are."""

from __future__ import annotations

import numpy as np

from pacscore.geometry import StackGeometry, Verdict
from pacscore.imaging import ArrayInMemory, Image, Presentation, Rescale, StoredFormat, Volume


def volume_of_image(image: Image) -> Volume:
    """A volume of one slice with the values, the place and the windows of an image.

    It names no instances: one slice may come from any number of them. Without an affine it keeps its spacing in the
    plane alone.
    """
    array = image.array[None]
    windows = (() if image.window is None else (image.window,)) + tuple(
        window for window in image.windows if window != image.window
    )
    stored = StoredFormat.of_dtype(array.dtype)
    return Volume(
        ArrayInMemory(np.ascontiguousarray(array)),
        _geometry(image),
        stored,
        Rescale.linear(unit=image.unit),
        Presentation(
            image.modality,
            image.photometric,
            (windows,) if windows else (),
            pixel_aspect=image.pixel_aspect,
            inverse=image.inverse,
            as_seen=image.as_seen,
        ),
        derivation=image.derivation,
    )


def _geometry(image: Image) -> StackGeometry:
    if image.index_to_lps is None:
        spacing = None if image.spacing_mm is None else (None, *image.spacing_mm)
        return StackGeometry(Verdict.NONE, spacing_mm=spacing, frame_of_reference_uid=image.frame_of_reference_uid)
    affine = image.index_to_lps.copy()
    affine[:3, 0] = 0.0  # The step of a plane alone is not known.
    down, right = np.linalg.norm(affine[:3, 1:3], axis=0).tolist()
    return StackGeometry(
        Verdict.NONE,
        index_to_lps=affine,
        spacing_mm=(None, down, right),
        frame_of_reference_uid=image.frame_of_reference_uid,
    )
