"""Where a record of the journal lies, as a token that may leave the process."""

from __future__ import annotations

from typing import NamedTuple, NewType

from pacscore.errors import InputError

Position = NewType("Position", str)
"""``writer:segment:offset:length``. Opaque to callers; it names one record for as long as that is in the journal."""


class Key(NamedTuple):
    """What identifies a record among all slots and segments."""

    slot: int
    segment: int
    offset: int


class Place(NamedTuple):
    """A position, taken apart."""

    slot: int
    segment: int
    offset: int
    length: int

    @property
    def key(self) -> Key:
        """What identifies the record there."""
        return Key(self.slot, self.segment, self.offset)


def position_of(place: Place) -> Position:
    """The token of a place."""
    return Position(f"{place.slot:02d}:{place.segment}:{place.offset}:{place.length}")


def place_of(position: Position) -> Place:
    """The place that a token names.

    Raises
    ------
    InputError
        It is no token of a journal.

    Examples
    --------
    >>> place_of(Position("01:7:4096:128"))
    Place(slot=1, segment=7, offset=4096, length=128)
    """
    fields = position.split(":")
    if len(fields) != len(Place._fields) or not all(field.isascii() and field.isdigit() for field in fields):
        raise InputError("This is not a position in a journal: use one that append or records returned.")
    return Place(*map(int, fields))
