"""Command sets of C-STORE and C-FIND, which the data path reads and writes itself (PS3.7 9.3, annex E).

A command set is Implicit VR Little Endian whatever the presentation context (PS3.7 6.3.1). All other messages are read
and written by pynetdicom.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from pacscore.dimse import models
from pacscore.errors import InvalidDicomError

C_STORE_RQ = 0x0001
C_STORE_RSP = 0x8001
C_FIND_RQ = 0x0020
_C_FIND_RSP = 0x8020
NO_DATA_SET = 0x0101

_ELEMENT, _LENGTH, _SHORT = struct.Struct("<HHI"), struct.Struct("<HHII"), struct.Struct("<H")
_GROUP_LENGTH = 0x0000
_AFFECTED_SOP_CLASS_UID = 0x0002
_COMMAND_FIELD = 0x0100
_MESSAGE_ID = 0x0110
_MESSAGE_ID_ANSWERED = 0x0120
_PRIORITY = 0x0700
_DATA_SET_TYPE = 0x0800
_STATUS = 0x0900
_ERROR_COMMENT = 0x0902
_AFFECTED_SOP_INSTANCE_UID = 0x1000
_MOVE_ORIGINATOR = 0x1030
_MOVE_ORIGINATOR_MESSAGE_ID = 0x1031


@dataclass(frozen=True, slots=True)
class Command:
    """A command set, by element of group 0000."""

    values: Mapping[int, bytes]

    def number(self, element: int, default: int = 0) -> int:
        """An unsigned short."""
        value = self.values.get(element, b"")
        return int.from_bytes(value, "little") if len(value) == 2 else default

    def text(self, element: int) -> str:
        """A UID or other text without its padding."""
        return self.values.get(element, b"").decode("ascii", "replace").strip(" \0")

    @property
    def field(self) -> int:
        """Which message it is, Command Field (0000,0100)."""
        return self.number(_COMMAND_FIELD)

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows; so it does unless Command Data Set Type (0000,0800) says otherwise."""
        return self.number(_DATA_SET_TYPE) != NO_DATA_SET


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE request without its data set (PS3.7 table 9.3-1)."""

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    move_originator: str = ""
    move_originator_message_id: int = 0
    priority: int = 0

    @classmethod
    def of(cls, command: Command) -> StoreRequest:
        """Read one; absent UIDs are empty."""
        return cls(
            command.number(_MESSAGE_ID),
            command.text(_AFFECTED_SOP_CLASS_UID),
            command.text(_AFFECTED_SOP_INSTANCE_UID),
            command.text(_MOVE_ORIGINATOR),
            command.number(_MOVE_ORIGINATOR_MESSAGE_ID),
            command.number(_PRIORITY),
        )

    def encode(self) -> bytes:
        """The command set."""
        elements = [
            (_AFFECTED_SOP_CLASS_UID, _uid(self.sop_class_uid)),
            (_COMMAND_FIELD, _short(C_STORE_RQ)),
            (_MESSAGE_ID, _short(self.message_id)),
            (_PRIORITY, _short(self.priority)),
            (_DATA_SET_TYPE, _short(0x0001)),
            (_AFFECTED_SOP_INSTANCE_UID, _uid(self.sop_instance_uid)),
        ]
        if self.move_originator:
            elements.append((_MOVE_ORIGINATOR, _even(self.move_originator.encode("ascii", "replace")[:16], b" ")))
            elements.append((_MOVE_ORIGINATOR_MESSAGE_ID, _short(self.move_originator_message_id)))
        return _encode(elements)

    def answer(self, status: int, comment: str = "") -> bytes:
        """The command set of the response to it (PS3.7 table 9.3-2)."""
        elements = [
            (_AFFECTED_SOP_CLASS_UID, _uid(self.sop_class_uid)),
            (_COMMAND_FIELD, _short(C_STORE_RSP)),
            (_MESSAGE_ID_ANSWERED, _short(self.message_id)),
            (_DATA_SET_TYPE, _short(NO_DATA_SET)),
            (_STATUS, _short(status)),
        ]
        if comment:
            elements.append((_ERROR_COMMENT, _even(comment.encode("ascii", "replace"), b" ")))
        elements.append((_AFFECTED_SOP_INSTANCE_UID, _uid(self.sop_instance_uid)))
        return _encode(elements)


@dataclass(frozen=True, slots=True)
class FindRequest:
    """A C-FIND request without its identifier (PS3.7 table 9.3-3)."""

    message_id: int
    sop_class_uid: str

    @classmethod
    def of(cls, command: Command) -> FindRequest | None:
        """Read one; None where it is no complete request to a model that is served."""
        sop_class_uid = command.text(_AFFECTED_SOP_CLASS_UID)
        is_whole = command.has_data_set and 0 <= command.number(_PRIORITY, -1) <= 2
        if command.field != C_FIND_RQ or not is_whole or sop_class_uid not in (models.PATIENT_FIND, models.STUDY_FIND):
            return None
        message_id = command.number(_MESSAGE_ID, -1)
        return None if message_id < 0 else cls(message_id, sop_class_uid)

    def answer(self, status: int, comment: str = "", *, has_data_set: bool) -> bytes:
        """The command set of a response to it (PS3.7 table 9.3-4)."""
        elements = [
            (_AFFECTED_SOP_CLASS_UID, _uid(self.sop_class_uid)),
            (_COMMAND_FIELD, _short(_C_FIND_RSP)),
            (_MESSAGE_ID_ANSWERED, _short(self.message_id)),
            (_DATA_SET_TYPE, _short(0x0001 if has_data_set else NO_DATA_SET)),
            (_STATUS, _short(status)),
        ]
        if comment:
            elements.append((_ERROR_COMMENT, _even(comment.encode("ascii", "replace"), b" ")))
        return _encode(elements)


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """A C-STORE response."""

    status: int
    comment: str = ""

    @classmethod
    def of(cls, command: Command) -> StoreAnswer:
        """Read one; without a status it is a failure."""
        return cls(command.number(_STATUS, 0x0110), command.text(_ERROR_COMMENT))

    @property
    def is_stored(self) -> bool:
        """Success, or a warning: the peer has it (PS3.4 B.2.3)."""
        return self.status == 0 or self.status & 0xF000 == 0xB000


def decode_command(data: bytes | bytearray) -> Command:
    """Read a command set.

    Raises
    ------
    InvalidDicomError
        An element passes the end, is none of group 0000, or has no command field.

    Examples
    --------
    >>> decode_command(StoreRequest(7, "1.2", "1.2.3").encode()).field
    1
    """
    values: dict[int, bytes] = {}
    position, end = 0, len(data)
    while position < end:
        if end - position < 8:
            raise InvalidDicomError("a command set ends within an element.", offset=position)
        group, element, length = _ELEMENT.unpack_from(data, position)
        position += 8
        if group != 0 or length > end - position:
            raise InvalidDicomError(
                "an element of a command set is of another group or passes its end.", offset=position
            )
        values[element] = bytes(data[position : position + length])
        position += length
    if len(values.get(_COMMAND_FIELD, b"")) != 2:
        raise InvalidDicomError("a command set has no Command Field (0000,0100).", tag="00000100")
    return Command(values)


def _encode(elements: list[tuple[int, bytes]]) -> bytes:
    parts = [b""]
    length = 0
    for element, value in elements:
        parts += (_ELEMENT.pack(0, element, len(value)), value)
        length += _ELEMENT.size + len(value)
    parts[0] = _LENGTH.pack(0, _GROUP_LENGTH, 4, length)
    return b"".join(parts)


def _short(value: int) -> bytes:
    return _SHORT.pack(value & 0xFFFF)


def _uid(text: str) -> bytes:
    return _even(text.encode("ascii", "replace"), b"\0")


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding if len(value) % 2 else value
