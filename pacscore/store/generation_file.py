"""Reading generation files: descriptors that outlive renames, and ranges of bytes."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import TypeAlias

from pacscore.errors import DamagedError, InputError, NotFoundError, StorageError

Bytes: TypeAlias = bytes | memoryview
"""What is written: memory whose length in bytes ``len`` gives."""


def read_exactly(descriptor: int, offset: int, length: int) -> bytes:
    """The bytes of a range.

    Raises
    ------
    DamagedError
        The file ends before.
    StorageError
        The operating system refused the read.
    """
    try:
        data = os.pread(descriptor, length, offset)
        while len(data) < length:
            more = os.pread(descriptor, length - len(data), offset + len(data))
            if not more:
                break
            data += more
    except OSError as error:
        raise StorageError("A generation file cannot be read.", offset=offset, errno=error.errno) from error
    if len(data) < length:
        raise DamagedError("A generation file ends too early.", offset=offset, expected=length, found=len(data))
    return data


class GenerationFile:
    """An open generation file, shared by all that read from it and closed when the last is gone.

    It stays readable when the file is renamed or removed, so that volumes outlive the generation they came from.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises
        ------
        NotFoundError
            There is none.
        StorageError
            The operating system refused it.
        """
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFoundError("A generation is not where it should be; it may have been superseded.") from error
        except OSError as error:
            raise StorageError("A generation file cannot be opened.", errno=error.errno) from error
        self.path = path
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self.length = os.fstat(self._descriptor).st_size

    @property
    def descriptor(self) -> int:
        """Of the open file.

        Raises
        ------
        InputError
            It is closed: its number may by now be that of another file.
        """
        if self._descriptor < 0:
            raise InputError("The archive that this was read from is closed. Open it again, or read before closing it.")
        return self._descriptor

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of a range."""
        return read_exactly(self.descriptor, offset, length)

    def close(self) -> None:
        """Close it now; whoever still reads from it will fail."""
        self._descriptor = -1
        self._close()
