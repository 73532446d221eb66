"""Every error that pacscore raises on purpose.

The branches say what a caller would do about it, not which file raised it: mend the input, ask differently, try
again, call an operator, or report a bug. Each error carries a stable ``code``, fields for programs, and a message
for people: what happened, where, and what to do. UIDs may appear in it; names, patient IDs, dates of birth,
accession numbers, free text and source paths may not.
"""

from __future__ import annotations

from enum import Enum
from typing import Any


class ErrorCode(Enum):
    """Stable codes, one for each kind of failure. Append only: programs and logs keep them for years."""

    INVALID_DICOM = "invalid-dicom"
    UNDECODABLE = "undecodable"
    INVALID_ARGUMENT = "invalid-argument"
    INVALID_QUERY = "invalid-query"
    NOT_FOUND = "not-found"
    AMBIGUOUS = "ambiguous"
    GEOMETRY = "geometry"
    BUSY = "busy"
    CHANGED = "changed"
    STORAGE_FULL = "storage-full"
    STORAGE = "storage"
    DURABILITY = "durability"
    DAMAGED = "damaged"
    FORMAT_VERSION = "format-version"
    READ_ONLY = "read-only"
    UNSUPPORTED = "unsupported"
    LIMIT = "limit"
    PROOF = "proof"
    CANCELLED = "cancelled"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    MISMATCH = "mismatch"


class PacscoreError(Exception):
    """The root of the tree.

    Attributes
    ----------
    code : ErrorCode
        What kind of failure this is.
    fields : dict
        What is known about it: ``uid``, ``tag``, ``path``, ``offset``, ``expected``, ``found`` and the like.
    """

    code: ErrorCode = ErrorCode.STORAGE

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.fields = fields

    @property
    def message(self) -> str:
        """The sentence for people."""
        return str(self.args[0])

    def __str__(self) -> str:  # KeyError would print the repr of its argument.
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.fields))


def _rebuild(kind: type[PacscoreError], message: str, fields: dict[str, Any]) -> PacscoreError:
    return kind(message, **fields)


class InputError(PacscoreError, ValueError):
    """What was given is wrong: mend it and call again."""

    code = ErrorCode.INVALID_ARGUMENT


class InvalidDicomError(InputError):
    """The bytes are not a well-formed DICOM object; ``offset`` says where it went wrong."""

    code = ErrorCode.INVALID_DICOM


class MismatchError(InputError):
    """The object says that it is another than the sender says."""

    code = ErrorCode.MISMATCH


class UndecodableError(InputError):
    """Pixel data that no decoder here can decode; the stored bytes are untouched and can be fetched."""

    code = ErrorCode.UNDECODABLE


class QueryError(InputError):
    """A query key or value that has no meaning at this level."""

    code = ErrorCode.INVALID_QUERY


class SelectionError(InputError, IndexError):
    """An index that the array does not have, or a kind of index that is not supported."""

    code = ErrorCode.INVALID_ARGUMENT


class GeometryError(InputError):
    """A volume or plane was asked for that the stack's geometry does not give."""

    code = ErrorCode.GEOMETRY


class LimitError(InputError):
    """A number from outside exceeds a limit of ``Settings``."""

    code = ErrorCode.LIMIT


class UnsupportedError(InputError):
    """Well-formed, but not supported here; the message names what is missing."""

    code = ErrorCode.UNSUPPORTED


class NotFoundError(PacscoreError, KeyError):
    """Nothing by that name is in the archive."""

    code = ErrorCode.NOT_FOUND


class AmbiguousError(PacscoreError, LookupError):
    """Several things go by that name; the message says how to choose."""

    code = ErrorCode.AMBIGUOUS


class RetryError(PacscoreError):
    """Something else is in the way just now; the same call may succeed later."""

    code = ErrorCode.BUSY


class ChangedError(RetryError):
    """A source changed while it was being read."""

    code = ErrorCode.CHANGED


class UnreachableError(RetryError):
    """A peer on the network does not answer, or the connection to it broke."""

    code = ErrorCode.UNREACHABLE


class OperatorError(PacscoreError):
    """The machine needs a person: disk, permissions, versions."""

    code = ErrorCode.STORAGE


class RefusedError(OperatorError):
    """A peer on the network answers, and refuses what it is asked."""

    code = ErrorCode.REFUSED


class StorageError(OperatorError, OSError):
    """The operating system refused a read or write."""

    code = ErrorCode.STORAGE


class StorageFullError(StorageError):
    """No space left; nothing was acknowledged that is not stored."""

    code = ErrorCode.STORAGE_FULL


class DurabilityError(StorageError):
    """A sync failed. The step has failed for good: a repeated sync may report a success that never happened."""

    code = ErrorCode.DURABILITY


class DamagedError(OperatorError):
    """Stored bytes do not have the checksum they were stored with."""

    code = ErrorCode.DAMAGED


class FormatVersionError(OperatorError):
    """The archive was written by a newer pacscore; the message names the version it needs."""

    code = ErrorCode.FORMAT_VERSION


class ReadOnlyError(OperatorError):
    """The archive was opened for reading, or its folder cannot be written."""

    code = ErrorCode.READ_ONLY


class BugError(PacscoreError):
    """Something that cannot happen did; please report it."""

    code = ErrorCode.PROOF


class ProofError(BugError):
    """What was staged does not read back as what was given. Nothing was published and the source is untouched."""

    code = ErrorCode.PROOF


class CancelledError(PacscoreError):
    """The caller asked for the work to stop."""

    code = ErrorCode.CANCELLED
