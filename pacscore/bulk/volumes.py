"""The volumes of a selection, opened in whichever process asks for them.

Holds names only until then, so that it can be sent to another process, spawned or forked, and costs nothing there that
is not used. What was opened lately stays open, a bounded number.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pacscore.archive.selection import Selection, open_selected
from pacscore.errors import InputError, NotFoundError
from pacscore.imaging.kept import KeptChunks, bytes_of
from pacscore.settings import Settings

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive
    from pacscore.imaging import Volume

OPEN_MAX = 64


class SelectedVolumes:
    """A sequence of volumes: one stack of each series of a selection.

    Parameters
    ----------
    selection
        Which series, in which generations.
    stack
        Which stack of each.
    settings
        Limits to read under; None takes the defaults.
    cache_bytes_max
        How much decoded chunks may take in each process that asks, counted as whole volumes: the volumes asked for
        longest ago give theirs back. 0 keeps none; a volume that is larger by itself keeps none either.
    """

    def __init__(
        self, selection: Selection, *, stack: int = 0, settings: Settings | None = None, cache_bytes_max: int = 0
    ) -> None:
        if cache_bytes_max < 0:
            raise InputError(f"A cache has 0 bytes or more, not {cache_bytes_max}.", found=cache_bytes_max)
        self.selection = selection
        self.stack = stack
        self.cache_bytes_max = cache_bytes_max
        self._settings = settings
        self._archive: Archive | None = None
        self._volumes: OrderedDict[int, Volume] = OrderedDict()
        self._lock = threading.RLock()
        self._process = os.getpid()

    def __len__(self) -> int:
        return len(self.selection)

    def __getitem__(self, index: int) -> Volume:
        """The volume of series ``index``.

        Raises
        ------
        IndexError
            There are not as many.
        NotFoundError
            The series, its generation or that stack is not there any more.
        """
        item = self.selection[index]
        if os.getpid() != self._process:  # A fork: the parent's archive and its lock are the parent's.
            self._forget()
        with self._lock:
            found = self._volumes.get(index)
            if found is not None:
                self._volumes.move_to_end(index)
                return found
            found = open_selected(self._opened(), item).volume(self.stack)
            if bytes_of(found.source) <= self.cache_bytes_max:
                found = replace(found, source=KeptChunks(found.source))
            self._volumes[index] = found
            while len(self._volumes) > OPEN_MAX or self._kept_bytes() > self.cache_bytes_max:
                self._volumes.popitem(last=False)
            return found

    def _kept_bytes(self) -> int:
        return sum(bytes_of(each.source) for each in self._volumes.values() if isinstance(each.source, KeptChunks))

    def archive(self) -> Archive:
        """The archive, open for reading in this process."""
        if os.getpid() != self._process:
            self._forget()
        with self._lock:
            return self._opened()

    def __getstate__(self) -> dict[str, Any]:
        return {
            "selection": self.selection,
            "stack": self.stack,
            "settings": self._settings,
            "cache_bytes_max": self.cache_bytes_max,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # Anew.

    def _opened(self) -> Archive:
        import pacscore

        if self._archive is None:
            archive = pacscore.open(self.selection.archive, read_only=True, settings=self._settings)
            if archive._session.layout.archive_id != self.selection.archive_id:
                archive.close()
                raise NotFoundError(
                    "another archive lies where the selection was made: select anew, or name its folder."
                )
            self._archive = archive
        return self._archive

    def _forget(self) -> None:
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._archive = None
        self._volumes = OrderedDict()
