"""Limits and choices, as one frozen value.

Nothing below the front ends reads the environment: a command line or a notebook's first call makes a ``Settings``
and passes it down. Every number that bounds memory, files or recursion stands here (promise 8).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from pacscore.errors import InputError

MIB = 1 << 20
_ZERO_ALLOWED = {"thread_count", "grace_seconds", "room_bytes"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits and choices of one archive session.

    Sizes are bytes, times are seconds. ``thread_count`` 0 means one per CPU this process may use. ``grace_seconds`` is
    how long a superseded generation stays: long enough for every process to open what it has just looked up.
    ``room_bytes`` is what ``Archive.reserve`` makes ready unless it is told otherwise (0: nothing).

    Raises
    ------
    InputError
        A limit below 1, or a number of threads or seconds below 0.
    """

    thread_count: int = 0

    # Parsing: what a file may ask for before it is refused.
    element_count_max: int = 1_000_000
    depth_max: int = 64
    header_bytes_max: int = 256 * MIB
    inflated_bytes_max: int = 4096 * MIB
    frame_bytes_max: int = 4096 * MIB

    # Journal.
    segment_bytes_max: int = 256 * MIB
    room_bytes: int = 64 * MIB
    spool_bytes_min: int = 4 * MIB
    writer_slot_count: int = 64
    group_bytes_max: int = 16 * MIB

    # Sealing.
    shard_bytes_max: int = 1024 * MIB
    small_series_bytes: int = 1 * MIB
    pack_series_max: int = 2_000
    pack_member_max: int = 10_000
    pack_bytes_max: int = 256 * MIB
    event_segment_bytes_max: int = 64 * MIB
    grace_seconds: float = 3600.0

    # Catalog.
    page_rows_max: int = 10_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name in _ZERO_ALLOWED else 1
            if not value >= least:  # NaN, too.
                raise InputError(f"{field.name} must be {least} or more, not {value}.", expected=least, found=value)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """The defaults, overridden by ``PACSCORE_<FIELD>`` variables. For front ends only.

        Raises
        ------
        InputError
            A variable is not a number, or too small.

        Examples
        --------
        >>> Settings.from_environment({"PACSCORE_THREAD_COUNT": "3"}).thread_count
        3
        """
        source = os.environ if environment is None else environment
        changes: dict[str, int | float] = {}
        for field in fields(cls):
            name = f"PACSCORE_{field.name.upper()}"
            if name not in source:
                continue
            kind = float if isinstance(field.default, float) else int
            try:
                changes[field.name] = kind(source[name])
            except ValueError as error:
                raise InputError(
                    f"{name} must be a number: it is {source[name]!r}. Correct or unset the variable.", path=name
                ) from error
        return replace(cls(), **changes)  # type: ignore[arg-type]  # Each value has its field's type, from above.

    def threads(self) -> int:
        """How many threads the shared pool has."""
        if self.thread_count > 0:
            return self.thread_count
        if hasattr(os, "sched_getaffinity"):
            return max(1, len(os.sched_getaffinity(0)))
        return os.cpu_count() or 1
