"""Which elements a caller wants of one header after another, and what the last one said."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacscore.dicom.dictionary import parse_key
from pacscore.dicom.elements import ElementTable, read_only
from pacscore.dicom.reading import Reading
from pacscore.dicom.values import Document
from pacscore.kernels.select import CHOICE_ROWS, find_creators_into

# A header that is remembered, and the share of its values in which one may differ before it takes its place.
_BYTES_MAX = 64 * 1024
_SHARE_CHANGED_MAX = 0.25
_LAYOUTS_MAX = 64

Blocks: TypeAlias = tuple[tuple[int, bytes], ...]
"""Private creators as they stand in a header: code (tag × 65536 + VR) and bytes."""

Wanted: TypeAlias = tuple[NDArray[np.uint32], list[tuple[str, int, str]]]
"""Private elements: their tags; key, tag and creator of each."""


class Recent(NamedTuple):
    """A header that was read: its bytes, what was chosen of it, and the document of that."""

    view: NDArray[np.uint8]
    chosen: NDArray[np.int64]
    reading: Reading | None
    document: Document
    lists: tuple[str, ...]
    """Keys whose values are lists: each document has its own."""
    form: tuple[bool, bool]
    """Explicit, little endian."""


def _nothing() -> Recent:
    view, chosen = np.empty(0, np.uint8), np.empty((CHOICE_ROWS, 0), np.int64)
    view.flags.writeable = chosen.flags.writeable = False
    return Recent(view, chosen, None, {}, (), (False, False))


class Selection:
    """Some keywords as tags. Threads share one: ``recent`` is replaced as a whole and never changed.

    Attributes
    ----------
    tags : NDArray[np.uint32]
        Of the public elements, rising.
    private : mapping
        Creator to keys and tags, without the block, of the private ones.
    others : tuple of str
        Private elements that are named by a whole tag, sorted.
    """

    __slots__ = ("_reserved", "others", "private", "recent", "tags")

    def __init__(self, keywords: frozenset[str]) -> None:
        parsed = {key: parse_key(key) for key in keywords}
        self.tags: NDArray[np.uint32] = np.array(
            sorted({tag for tag, _ in parsed.values() if not tag & 0x10000}), np.uint32
        )
        self.tags.flags.writeable = False
        self.others = tuple(sorted(key for key, (tag, creator) in parsed.items() if tag & 0x10000 and creator is None))
        self.private: dict[str, list[tuple[str, int]]] = {}
        for key, (tag, creator) in sorted(parsed.items()):
            if creator is not None:
                self.private.setdefault(creator, []).append((key, tag))
        self._reserved: dict[tuple[Reading, Blocks], Wanted] = {}
        self.recent = _nothing()

    def remember(
        self, data: bytes, table: ElementTable, chosen: NDArray[np.int64], reading: Reading, document: Document
    ) -> None:
        """Let the next header be compared with this one, unless it is large or holds what cannot be copied."""
        data = data if len(data) <= _BYTES_MAX else data[: table.end]
        if len(data) > _BYTES_MAX:
            return
        lists = []
        for key, value in document.items():
            if isinstance(value, list):
                if value and isinstance(value[0], dict):
                    continue  # A sequence: always decoded anew.
                lists.append(key)
        kept = chosen.copy()
        kept.flags.writeable = False
        form = (table.explicit, table.little_endian)
        self.recent = Recent(np.frombuffer(data, np.uint8), kept, reading, document.copy(), tuple(lists), form)

    def reserved(self, reading: Reading, blocks: Blocks) -> Wanted:
        """The private elements that lie in blocks so reserved: their tags; key, tag and creator, sorted."""
        found = self._reserved.get((reading, blocks))
        if found is None:
            wanted = sorted(
                (key, tag & 0xFFFF0000 | (tag & 0xFF) << 8 | named & 0xFF, creator)
                for tag, creator in _creators(reading, blocks).items()
                for key, named in self.private.get(creator, ())
                if named >> 16 == tag >> 16
            )
            tags = np.array([tag for _, tag, _ in wanted], np.uint32)
            tags.flags.writeable = False
            found = tags, wanted
            if len(self._reserved) >= _LAYOUTS_MAX:
                self._reserved.clear()
            self._reserved[reading, blocks] = found
        return found

    @staticmethod
    def has_moved_on(changed: int, count: int) -> bool:
        """Whether so much has changed that the next header should be compared with this one."""
        return changed > _SHARE_CHANGED_MAX * count


def private_blocks(table: ElementTable, data: bytes) -> Blocks:
    """The elements at depth 0 that reserve blocks of private ones (PS3.5 7.8.1): code, and value as it stands."""
    places = np.empty((3, len(table)), np.int64)
    count = find_creators_into(read_only(table.cells), places)
    return tuple((code, data[start : start + max(0, size)]) for code, start, size in places[:, :count].T.tolist())


def _creators(reading: Reading, blocks: Blocks) -> dict[int, str]:
    """Who reserved which block, by the tag that does it; the first of equal tags counts."""
    creators: dict[int, str] = {}
    for code, raw in blocks:
        element = reading.elements.get(code) or reading.describe(code, None)
        value = element.decoder(raw) if element.decoder is not None and raw else None
        creators.setdefault(code >> 16, value if isinstance(value, str) else "")
    return creators


@lru_cache(maxsize=64)
def find_selection(keywords: frozenset[str]) -> Selection:
    """The one selection of these keywords.

    Raises
    ------
    InputError
        One of them names no attribute.
    """
    return Selection(keywords)
