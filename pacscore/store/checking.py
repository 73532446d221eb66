"""Checking a plan as a whole before its first byte is written."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from pacscore.errors import InputError
from pacscore.store.plan import ObjectPlan, SeriesPlan, StackPlan, Treatment

KEY = re.compile(r"[0-9A-Za-z_-]{1,64}")


def check_plan(plan: SeriesPlan) -> None:
    """Refuse a plan that does not fit together.

    Every position of every stack holds exactly one frame: nothing is made up, and nothing is put twice (promise 6).

    Raises
    ------
    InputError
        It does not; the message says where.
    """
    if not KEY.fullmatch(plan.key):
        raise InputError("The key of a series is up to 64 letters, digits, '-' and '_'.", found=plan.key)
    if not plan.objects:
        raise InputError("A series without objects cannot be stored.", key=plan.key)
    places: list[list[tuple[int, ...]]] = [[] for _ in plan.stacks]
    for item in plan.objects:
        _check_parts(item)
        if item.treatment == Treatment.ARRAY:
            _check_frames(item, plan.stacks, places)
        elif item.treatment == Treatment.ENCAPSULATED:
            _check_fragments(item)
    for number, (stack, taken) in enumerate(zip(plan.stacks, places, strict=True)):
        count = math.prod(stack.shape[: len(stack.shape) - stack.frame_rank])
        given = np.sort(np.concatenate([np.array(part, np.int64) for part in taken])) if taken else np.zeros(0)
        if not np.array_equal(given, np.arange(count)):
            raise InputError(
                f"Stack {number} has {count} places; {len(given)} frames do not fill each of them once.",
                expected=count,
                found=len(given),
            )


def _refuse(item: ObjectPlan, what: str) -> InputError:
    return InputError(f"The plan of instance {item.sop_instance_uid} {what}.", uid=item.sop_instance_uid)


def _check_parts(item: ObjectPlan) -> None:
    trailer = item.length - item.header_length - item.pixel_length
    if not 0 <= item.prefix_length <= item.header_length or min(item.pixel_length, trailer, item.pad) < 0:
        raise _refuse(item, "has parts that are not within its length")
    if item.treatment == Treatment.NONE and item.header_length != item.length:
        raise _refuse(item, "has no pixel data, yet its header is not all of it")
    if item.pad and (item.treatment != Treatment.ARRAY or item.pad > item.pixel_length):
        raise _refuse(item, "has pad bytes without words")


def _check_frames(item: ObjectPlan, stacks: Sequence[StackPlan], places: list[list[tuple[int, ...]]]) -> None:
    numbers = item.frame_stacks or (item.stack,) * len(item.positions)
    if not item.positions or len(numbers) != len(item.positions):
        raise _refuse(item, "does not place each of its frames")
    if not 0 <= min(numbers) <= max(numbers) < len(stacks):
        raise _refuse(item, "names a stack that is not in the plan")
    for number in set(numbers):
        stack = stacks[number]
        frame = math.prod(stack.shape[len(stack.shape) - stack.frame_rank :]) * np.dtype(stack.dtype).itemsize
        if frame * len(item.positions) != item.pixel_length - item.pad:
            raise _refuse(item, "has frames of another size than its stack")
        if item.frame_stacks:
            chosen = (place for place, own in zip(item.positions, numbers, strict=True) if own == number)
            places[number].append(tuple(chosen))
        else:
            places[number].append(item.positions)


def _check_fragments(item: ObjectPlan) -> None:
    fragments = item.fragments
    if fragments is None:  # Frames that cannot be told apart: the value is kept all the same.
        return
    for frame in range(fragments.frame_count):
        for offset, length in fragments.fragments(frame):
            if offset < 0 or length < 0 or offset + length > item.pixel_length:
                raise _refuse(item, f"has a fragment of frame {frame + 1} beyond its pixel value")
