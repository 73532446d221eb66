"""A data set on its way in, fragment by fragment, as whoever takes it asks for more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pacscore.errors import LimitError

if TYPE_CHECKING:
    from pacscore.dimse.data_path import DataPath


class DataSet(Iterator[bytes]):
    """The fragments of a data set as they come."""

    def __init__(self, path: DataPath, context_id: int, bytes_max: int) -> None:
        self._path = path
        self._context_id = context_id
        self._bytes_max = bytes_max
        self._bytes = 0
        self._done = False

    def __next__(self) -> bytes:
        """The next fragment.

        Raises
        ------
        LimitError
            The data set passes the size that an object may have.
        """
        if self._done:
            raise StopIteration
        data, self._done = self._path.next_fragment(self._context_id)
        self._bytes += len(data)
        if self._bytes > self._bytes_max:
            raise LimitError(
                f"an object passes {self._bytes_max} bytes. Raise object_bytes_max if it is genuine.",
                expected=self._bytes_max,
                found=self._bytes,
            )
        return bytes(data)

    def skip_rest(self) -> None:
        """Read on to the end of a data set that was refused early, keeping nothing."""
        while not self._done:
            _, self._done = self._path.next_fragment(self._context_id)
