"""Person names made comparable: case and accents folded, component group by component group."""

from __future__ import annotations

from functools import lru_cache

from pacscore.dicom import charsets

fold = lru_cache(maxsize=65536)(charsets.fold)
"""``charsets.fold``, remembered: names repeat from series to series."""


@lru_cache(maxsize=65536)
def name_groups(name: str) -> tuple[str, ...]:
    """The folded component groups of a person name: alphabetic, ideographic, phonetic, empty ones left out.

    Spaces around components and trailing empty components do not count (PS3.5 6.2.1).

    Examples
    --------
    >>> name_groups("Yamada^Tarou=山田^太郎^^=やまだ^たろう")
    ('yamada^tarou', '山田^太郎', 'やまだ^たろう')
    """
    groups = (group_text(group) for group in name.split("="))
    return tuple(group for group in groups if group)


def group_text(group: str) -> str:
    """One component group folded."""
    if group.isascii() and " " not in group:
        return group.lower().rstrip("^")
    return "^".join(component.strip() for component in fold(group).split("^")).rstrip("^")
