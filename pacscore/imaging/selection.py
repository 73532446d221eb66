"""NumPy-style indices as what a source reads: one box, and where in it the answer lies."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

from pacscore.errors import SelectionError
from pacscore.imaging.sources import Box


@dataclass(frozen=True, slots=True)
class Selection:
    """What to read and what to keep of it.

    Attributes
    ----------
    box : Box
        The smallest box that holds every element asked for.
    inside : tuple of int or slice
        The NumPy index that takes the answer from the box: integers drop their axis, steps apply.
    shape : tuple of int
        Of the answer.
    """

    box: Box
    inside: tuple[int | slice, ...]
    shape: tuple[int, ...]


def select(key: object, shape: tuple[int, ...]) -> Selection:
    """Translate what stands between the brackets.

    Parameters
    ----------
    key : object
        Integers, slices (any step but 0) and at most one ellipsis; negative ones count from the end.
    shape : tuple of int
        Of the array indexed.

    Raises
    ------
    SelectionError
        An integer lies outside, there are too many indices, or an index of another kind is given.

    Examples
    --------
    >>> select((..., -1, slice(None, None, -2)), (4, 5, 6)).box
    (slice(0, 4, 1), slice(4, 5, 1), slice(1, 6, 1))
    """
    box: list[slice] = []
    inside: list[int | slice] = []
    lengths: list[int] = []
    for axis, (part, length) in enumerate(zip(_expand(key, len(shape)), shape, strict=True)):
        if isinstance(part, slice):
            places = _places(part, length, axis)
            if not places:
                box.append(slice(0, 0, 1))
                inside.append(slice(None))
            elif places.step > 0:
                box.append(slice(places[0], places[-1] + 1, 1))
                inside.append(slice(None, None, places.step))
            else:
                box.append(slice(places[-1], places[0] + 1, 1))
                inside.append(slice(None, None, places.step))
            lengths.append(len(places))
        else:
            index = _index(part, length, axis)
            box.append(slice(index, index + 1, 1))
            inside.append(0)
    return Selection(tuple(box), tuple(inside), tuple(lengths))


def _expand(key: object, axes: int) -> list[Any]:
    parts: list[Any] = list(key) if isinstance(key, tuple) else [key]
    ellipses = [place for place, part in enumerate(parts) if isinstance(part, EllipsisType)]
    if len(ellipses) > 1:
        raise SelectionError("An index holds at most one ellipsis.", found=len(ellipses))
    given = len(parts) - len(ellipses)
    if given > axes:
        raise SelectionError(f"{given} indices were given to {axes} axes.", expected=axes, found=given)
    place = ellipses[0] if ellipses else len(parts)
    return [*parts[:place], *[slice(None)] * (axes - given), *parts[place + 1 :]]


def _places(part: slice, length: int, axis: int) -> range:
    try:
        return range(*part.indices(length))
    except (TypeError, ValueError) as error:
        raise SelectionError(f"The slice on axis {axis} is not one: {error}.", axis=axis) from error


def _index(part: object, length: int, axis: int) -> int:
    if isinstance(part, bool):
        raise SelectionError(f"Axis {axis}: True and False are no indices. Use array()[mask].", axis=axis)
    try:
        index = operator.index(part)  # type: ignore[arg-type]  # What is no integer raises TypeError.
    except TypeError as error:
        raise SelectionError(
            f"Axis {axis} takes integers, slices and an ellipsis, not {type(part).__name__}. Use array()[…].",
            axis=axis,
            found=type(part).__name__,
        ) from error
    if not -length <= index < length:
        raise SelectionError(
            f"Index {index} is outside axis {axis}, whose length is {length}.", axis=axis, expected=length, found=index
        )
    return index + length if index < 0 else index
