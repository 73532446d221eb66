"""Room for what a receiver expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pacscore.errors import InputError

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive


def reserve_room(self: Archive, length: int | None = None) -> None:
    """Make room in the journal for so many bytes, if less than a quarter of it is left: receiving takes shorter syncs.

    For the idle moments of a receiver: `pacscore serve` makes room when it starts and when nothing has come for half a
    minute. Without room, or when it is used up, receiving is as safe. What is left goes when the archive is closed.

    Parameters
    ----------
    length
        ``Settings.room_bytes`` if not given (64 MiB; 0 makes none); at most ``Settings.segment_bytes_max``.

    Raises
    ------
    InputError
        A length below 1.
    StorageFullError
        The disk has no such room; nothing has changed.
    """
    session = self._session
    session.check_writable()
    wanted = session.settings.room_bytes if length is None else length
    if wanted < 0 or length == 0:
        raise InputError(f"length must be 1 or more, not {wanted}.", found=wanted)
    if wanted:
        session.journal.reserve(wanted)
