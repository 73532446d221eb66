"""Which series are sealed together: a large one alone, small ones until a pack is full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pacscore.archive.candidates import Candidate
from pacscore.settings import Settings

_MEMBERS_PER_SERIES = 5  # Group, array, shard, headers, manifest; blobs take the place of array and shard.


class Group(NamedTuple):
    """What came for one series.

    ``size`` is that of the generation it makes, in bytes of originals: what is in the archive already counts, so that
    one late slice of a large series does not move all of it into a pack.
    """

    key: str
    candidates: list[Candidate]
    size: int


def pack_groups(groups: Iterable[Group], settings: Settings) -> Iterator[list[tuple[str, list[Candidate]]]]:
    """Batches for ``seal_series``, in order; each within the limits of a pack."""
    pack: list[tuple[str, list[Candidate]]] = []
    pack_bytes = 0
    for group in groups:
        if group.size >= settings.small_series_bytes:
            yield [(group.key, group.candidates)]
            continue
        full = (
            len(pack) >= settings.pack_series_max
            or pack_bytes + group.size > settings.pack_bytes_max
            or (len(pack) + 1) * _MEMBERS_PER_SERIES > settings.pack_member_max
        )
        if pack and full:
            yield pack
            pack, pack_bytes = [], 0
        pack.append((group.key, group.candidates))
        pack_bytes += group.size
    if pack:
        yield pack
