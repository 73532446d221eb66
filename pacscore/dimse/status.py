"""What a failure is called on the network: one table from ``ErrorCode`` to the status of each service.

PS3.4 tables B.2-1 (storage), C.4-1 (C-FIND), C.4-2 (C-MOVE) and C.4-3 (C-GET), PS3.7 annex C for what is general. A
test proves that no code is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from pacscore.errors import ErrorCode, PacscoreError

SUCCESS = 0x0000
PENDING = 0xFF00
PENDING_WITHOUT_SOME_KEYS = 0xFF01
CANCELLED = 0xFE00
NOT_AUTHORIZED = 0x0124
UNRECOGNIZED_OPERATION = 0x0211
SOP_CLASS_NOT_SUPPORTED = 0x0122
STORE_MISMATCH = 0xA900
STORE_CANNOT_UNDERSTAND = 0xC000
OUT_OF_RESOURCES = 0xA700
IDENTIFIER_MISMATCH = 0xA900
UNABLE_TO_PROCESS = 0xC001
MOVE_DESTINATION_UNKNOWN = 0xA801
UNABLE_TO_COUNT = 0xA701
UNABLE_TO_SEND = 0xA702
SOME_FAILED = 0xB000

COMMENT_BYTES_MAX = 64


@dataclass(frozen=True, slots=True)
class Statuses:
    """The status of one kind of failure: for C-STORE, C-FIND, and C-GET or C-MOVE."""

    store: int
    find: int
    retrieve: int


_UNREADABLE = Statuses(STORE_CANNOT_UNDERSTAND, UNABLE_TO_PROCESS, UNABLE_TO_PROCESS)
_MISUSE = Statuses(STORE_CANNOT_UNDERSTAND, IDENTIFIER_MISMATCH, IDENTIFIER_MISMATCH)
_RESOURCES = Statuses(OUT_OF_RESOURCES, OUT_OF_RESOURCES, UNABLE_TO_COUNT)

STATUSES: dict[ErrorCode, Statuses] = {
    ErrorCode.INVALID_DICOM: _UNREADABLE,
    ErrorCode.UNDECODABLE: _UNREADABLE,
    ErrorCode.INVALID_ARGUMENT: _MISUSE,
    ErrorCode.INVALID_QUERY: _MISUSE,
    ErrorCode.NOT_FOUND: _UNREADABLE,
    ErrorCode.AMBIGUOUS: _UNREADABLE,
    ErrorCode.GEOMETRY: _UNREADABLE,
    ErrorCode.BUSY: _RESOURCES,
    ErrorCode.CHANGED: _RESOURCES,
    ErrorCode.STORAGE_FULL: _RESOURCES,
    ErrorCode.STORAGE: _RESOURCES,
    ErrorCode.DURABILITY: _RESOURCES,
    ErrorCode.DAMAGED: _UNREADABLE,
    ErrorCode.FORMAT_VERSION: _RESOURCES,
    ErrorCode.READ_ONLY: _RESOURCES,
    ErrorCode.UNSUPPORTED: _UNREADABLE,
    ErrorCode.LIMIT: _RESOURCES,
    ErrorCode.PROOF: _RESOURCES,
    ErrorCode.CANCELLED: Statuses(OUT_OF_RESOURCES, CANCELLED, CANCELLED),
    ErrorCode.UNREACHABLE: Statuses(OUT_OF_RESOURCES, OUT_OF_RESOURCES, UNABLE_TO_SEND),
    ErrorCode.MISMATCH: Statuses(STORE_MISMATCH, IDENTIFIER_MISMATCH, UNABLE_TO_PROCESS),
    ErrorCode.REFUSED: Statuses(OUT_OF_RESOURCES, OUT_OF_RESOURCES, UNABLE_TO_SEND),
}


def statuses_of(error: BaseException) -> Statuses:
    """The statuses of a failure; an error of the operating system counts as one of storage.

    Examples
    --------
    >>> from pacscore.errors import StorageFullError
    >>> hex(statuses_of(StorageFullError("no space left")).store)
    '0xa700'
    """
    return STATUSES[error.code if isinstance(error, PacscoreError) else ErrorCode.STORAGE]


def comment_of(text: str) -> str:
    """Error Comment (0000,0902): at most 64 characters of the default repertoire, and no path."""
    return text.encode("ascii", "replace").decode("ascii").split(" [", maxsplit=1)[0][:COMMENT_BYTES_MAX]
