"""An object on its way in, piece by piece: what its beginning tells, and the hash that is taken as it passes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from pacscore.dicom.part10 import make_file_prefix, read_file_parts
from pacscore.dicom.scan import NeedMore, scan
from pacscore.errors import InputError, InvalidDicomError, LimitError
from pacscore.settings import Settings

_PIECE_BYTES = 1 << 20
_UNKNOWN_LENGTH = 1 << 62  # Stands for the length of an object of which only the beginning is there.


def pieces_of(data: BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a buffer, of a binary file or of an iterable of buffers, piece by piece.

    Raises
    ------
    InputError
        It is text, a path, or yields something else.
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        yield bytes(data)
        return
    read = getattr(data, "read", None)
    pieces: object = data if read is None else iter(lambda: read(_PIECE_BYTES), b"")
    if isinstance(pieces, str) or not isinstance(pieces, Iterable):
        raise InputError(
            "an object is received as bytes, as a binary file or as pieces of bytes: not as a path or text."
        )
    for piece in pieces:
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise InputError("an object is received as bytes: its pieces are not. Open files with mode 'rb'.")
        yield bytes(piece)


def take_beginning(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    """The first pieces: ``length`` bytes or more, less only where the object ends."""
    size = 0
    while size < length and (piece := next(pieces, None)) is not None:
        size += len(piece)
        yield piece


class DataSetHash:
    """SHA-256 of a data set, taken as its pieces pass, while they lie in the processor's caches."""

    def __init__(self, transfer_syntax: str | None, settings: Settings) -> None:
        self._transfer_syntax = transfer_syntax
        self._settings = settings
        self._hash = hashlib.sha256()
        self._prefix_length = -1
        self._skip = 0

    def passing(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same pieces."""
        for piece in pieces:
            if self._prefix_length < 0:
                self._skip = self._prefix_length = own_prefix_length(piece, self._transfer_syntax, self._settings)
            self._hash.update(memoryview(piece)[self._skip :])
            self._skip = max(0, self._skip - len(piece))
            yield piece

    def digest(self, prefix_length: int) -> bytes | None:
        """Of what lies behind a prefix; None where the first piece was too short to tell that it has one."""
        return self._hash.digest() if prefix_length == self._prefix_length else None


def own_prefix_length(beginning: bytes, transfer_syntax: str | None, settings: Settings) -> int:
    """Bytes of preamble and file meta that an object has of its own, as far as its beginning tells."""
    try:
        parts = read_file_parts(
            beginning, transfer_syntax_uid=transfer_syntax, settings=settings, total_length=_UNKNOWN_LENGTH
        )
    except (InvalidDicomError, LimitError, NeedMore):
        return 0  # The scan of the whole says what is wrong.
    return parts.prefix_length


class Incoming:
    """An object of which the beginning is there and the rest still comes.

    Attributes
    ----------
    prefix_length : int
        Bytes of preamble and file meta, its own or, where a data set came without, those made for it.
    transfer_syntax : str or None
        As stated by who sends it.
    """

    def __init__(
        self, beginning: bytes, rest: Iterator[bytes], transfer_syntax: str | None, settings: Settings
    ) -> None:
        self.transfer_syntax = transfer_syntax
        self._beginning = beginning
        self._rest = rest
        self._settings = settings
        self._hash = hashlib.sha256()
        own = own_prefix_length(beginning, transfer_syntax, settings)
        self._made = self._made_prefix() if own == 0 and transfer_syntax is not None else b""
        self.prefix_length = own or len(self._made)
        self._unhashed = own

    def check_beginning(self, stated: tuple[str, str]) -> None:
        """Refuse an object early whose beginning contradicts the sender (``Scan.check_stated``)."""
        try:
            found = scan(
                self._beginning, transfer_syntax_uid=self.transfer_syntax, settings=self._settings,
                total_length=_UNKNOWN_LENGTH,
            )  # fmt: skip
        except (NeedMore, InvalidDicomError, LimitError):
            return  # The scan of the whole says what is wrong.
        found.check_stated(*stated)

    def chunks(self) -> Iterator[bytes]:
        """Everything that is to be kept, in order; what belongs to the data set is hashed as it passes."""
        if self._made:
            yield self._made
        yield self._hashed(self._beginning)
        self._beginning = b""
        for piece in self._rest:
            yield self._hashed(piece)

    def digest(self) -> bytes:
        """SHA-256 of the data set, once all chunks have passed."""
        return self._hash.digest()

    def _hashed(self, piece: bytes) -> bytes:
        self._hash.update(memoryview(piece)[self._unhashed :])
        self._unhashed = max(0, self._unhashed - len(piece))
        return piece

    def _made_prefix(self) -> bytes:
        """The file meta for a data set that comes without; none where it does not say what it is."""
        syntax = self.transfer_syntax
        assert syntax is not None
        while True:
            try:
                found = scan(
                    self._beginning,
                    transfer_syntax_uid=syntax,
                    settings=self._settings,
                    total_length=_UNKNOWN_LENGTH,
                )
                return make_file_prefix(found.sop_class_uid, found.sop_instance_uid, syntax)
            except NeedMore as more:
                held = len(self._beginning)
                if held > self._settings.header_bytes_max:
                    return b""
                # At least twice as much each time, as each scan begins anew.
                wanted = min(max(more.at_least, 2 * held), self._settings.header_bytes_max + 1)
                further = b"".join(take_beginning(self._rest, wanted - held))
                if not further:
                    return self._prefix_at_end(syntax)
                self._beginning += further
            except (InvalidDicomError, LimitError, InputError):
                return b""

    def _prefix_at_end(self, syntax: str) -> bytes:
        """The same where all of the object is there."""
        try:
            found = scan(self._beginning, transfer_syntax_uid=syntax, settings=self._settings)
            return make_file_prefix(found.sop_class_uid, found.sop_instance_uid, syntax)
        except (NeedMore, InvalidDicomError, LimitError, InputError):
            return b""
