"""Enhancing volumes and images: filters, noise reduction and contrast, with geometry, unit and derivation kept right.

E1  Steps work on modality values. Whole ones stay integers where the step chooses among them; averages are float32.
E2  Nothing is smoothed across slices whose distance is not known: such stacks need ``planar`` (promise 6).
E3  The window of the header goes when a step changes what the values mean; padding goes always, as it was filtered too.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError, InputError, UnsupportedError
from pacscore.imaging.arrays import Progress, Watch
from pacscore.imaging.enhancement_steps import SAME_UNIT, STEPS, Enhancement
from pacscore.imaging.values import Rescale

if TYPE_CHECKING:
    from pacscore.imaging.image import Image
    from pacscore.imaging.volume import Volume


def enhance(
    volume: Volume,
    step: str | Enhancement,
    /,
    *,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
    **parameters: Any,
) -> Volume:
    """Filter, denoise or change the contrast of the volume.

    Parameters
    ----------
    step : str or Enhancement
        ``gaussian``, ``box``, ``median``, ``rank``, ``unsharp``, ``sobel``, ``laplacian``, ``bilateral``, ``nlm``,
        ``equalize``, ``clahe``, ``gamma`` or ``detail`` with its parameters, or a value of ``enhancement_steps``, which
        has them.
    progress : callable, optional
        Called as ``progress(phase, done, total)`` from the working threads.
    cancel : threading.Event, optional
        Once set, the work ends with ``CancelledError``.
    **parameters
        Fields of the step: ``volume.enhance("median", size=5)``. Sigmas are in millimetres (``sigma_mm``), strengths
        and thresholds in the modality's unit, ``size``, ``patch`` and ``search`` in samples. ``planar=True`` takes each
        slice by itself.

    Returns
    -------
    Volume
        The same places and shape; float32, or for ``median`` and ``rank`` the whole numbers they were. What was done
        is added to its derivation. Extra axes are worked through one volume at a time.

    Raises
    ------
    InputError
        There is no such step or parameter, or a number is out of its range.
    GeometryError
        The step looks across slices, or counts in millimetres, and the stack does not say where they are.
    UnsupportedError
        The volume is in colour, or its modality values cannot be given.
    CancelledError
        ``cancel`` was set.

    Notes
    -----
    Borders: the nearest value counts beyond them; for ``bilateral`` and ``nlm`` the image is mirrored. NaN spreads as
    far as a filter reaches (``median`` and ``rank``: it counts as larger than all numbers).
    """
    chosen = make_step(step, parameters)
    watch = Watch(progress, cancel)
    if not volume.is_monochrome:
        raise UnsupportedError(
            f"Filters work on MONOCHROME1 and MONOCHROME2, not on {volume.presentation.photometric}: (0028,0004).",
            tag="00280004",
        )
    stack_shape = volume.shape[len(volume.axes) :]
    crosses_slices = hasattr(chosen, "planar") and not chosen.planar and stack_shape[0] > 1
    if crosses_slices and not volume.has_affine:
        raise GeometryError(
            f"The slices of this stack ({volume.geometry.verdict}) do not lie one step after the other, so filtering "
            "across them would mix places. Use planar=True to filter each slice by itself.",
            verdict=str(volume.geometry.verdict),
        )
    values = whole_values(volume)
    leading = volume.shape[: len(volume.axes)]
    results = [chosen.filtered(values[index], volume.spacing_mm, watch) for index in np.ndindex(*leading)]
    array = np.stack(results).reshape(volume.shape) if len(results) > 1 else results[0].reshape(volume.shape)
    derived = volume.with_array(array, derivation=chosen.words())
    if chosen.UNIT == SAME_UNIT:
        return derived
    unit = chosen.UNIT.format(volume.rescale.unit) if volume.rescale.unit else ""
    return replace(derived, rescale=Rescale.linear(unit=unit), presentation=replace(derived.presentation, windows=()))


def enhance_image(
    image: Image,
    step: str | Enhancement,
    /,
    *,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
    **parameters: Any,
) -> Image:
    """Filter, denoise or change the contrast of the image; see ``Volume.enhance``.

    Raises
    ------
    InputError
        There is no such step or parameter, or a number is out of its range.
    GeometryError
        The step counts in millimetres and the image has no spacing.
    UnsupportedError
        The image is RGB.
    CancelledError
        ``cancel`` was set.
    """
    chosen = make_step(step, parameters)
    if not image.is_monochrome:
        raise UnsupportedError("Filters work on one sample per pixel, not on RGB.")
    array = chosen.filtered(image.array, image.spacing_mm, Watch(progress, cancel))
    derived = replace(image, array=array, padding=None, derivation=(*image.derivation, chosen.words()))
    if chosen.UNIT == SAME_UNIT:
        return derived
    unit = chosen.UNIT.format(image.unit) if image.unit else ""
    return replace(derived, window=None, windows=(), unit=unit)


def apply_step(volume: Volume, step: Enhancement, watch: Watch) -> Volume:
    """Apply a step of a pipeline."""
    return enhance(volume, step, progress=watch.progress, cancel=watch.cancel)


def make_step(step: str | Enhancement, parameters: Mapping[str, Any]) -> Enhancement:
    """The step of a name and its parameters; a step that is one already takes none.

    Raises
    ------
    InputError
        There is no such step or parameter, or one is missing.
    """
    if not isinstance(step, str):
        if parameters:
            raise InputError(f"{type(step).__name__} has its parameters already: leave out {', '.join(parameters)}.")
        return step
    if step not in STEPS:
        raise InputError(f"There is no step {step!r}: choose one of {', '.join(STEPS)}.", found=step)
    kind = STEPS[step]
    known = [field.name for field in fields(kind)]
    if unknown := [name for name in parameters if name not in known]:
        raise InputError(f"{step} has no parameter {unknown[0]!r}: it takes {', '.join(known) or 'none'}.")
    try:
        made: Enhancement = kind(**parameters)
    except TypeError as error:
        raise InputError(f"{step} needs more parameters: it takes {', '.join(known)}.") from error
    return made


def whole_values(volume: Volume) -> NDArray[Any]:
    """All modality values: integers of 16 bits where they are whole and fit, else float32.

    A slope of 1 and a whole intercept, as in CT, keep counts exact and halve the memory that filters read.
    """
    rescale = volume.rescale
    is_whole = (
        volume.dtype.kind in "iu"
        and volume.dtype.itemsize <= 2
        and not (rescale.tables or rescale.missing)
        and rescale.slopes.size == 1
        and rescale.slopes[0] == 1
        and float(rescale.intercepts[0]).is_integer()
    )
    if not is_whole or 0 in volume.shape:
        return volume.modality()
    stored, shift = volume.array(), int(rescale.intercepts[0])
    low, high = int(stored.min()) + shift, int(stored.max()) + shift
    for dtype in (np.dtype(np.int16), np.dtype(np.uint16)):
        ends = np.iinfo(dtype)
        if ends.min <= low and high <= ends.max:
            # Added modulo 2 ** 16: the sums fit, the stored values alone may not.
            words = stored.astype(np.uint16)
            words += np.uint16(shift % (1 << 16))
            return words.view(dtype)
    return volume.modality()
