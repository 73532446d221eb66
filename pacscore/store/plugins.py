"""Strategies, formats and frame codecs of somebody else, found by entry point.

An entry point of one of these groups names a value of its kind; its name is the value's. Those that come with pacscore
are found first, so that none can take their place.

    pacscore.strategies     a ``store.strategy.Strategy``
    pacscore.formats        a ``store.formats.Format``
    pacscore.frame_codecs   a ``store.frame_codecs.FrameCodec``
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

from pacscore.errors import UnsupportedError


@lru_cache(maxsize=64)
def plugin(group: str, name: str) -> Any | None:
    """What an installed distribution offers under a name; None where none does.

    Raises
    ------
    UnsupportedError
        It is offered, and cannot be imported.
    """
    for point in entry_points(group=group, name=name):
        try:
            return point.load()
        except (ImportError, AttributeError) as error:
            raise UnsupportedError(
                f"{name!r} of {point.value} cannot be imported. Install what it needs.", found=name
            ) from error
    return None


def plugin_names(group: str) -> list[str]:
    """What there is."""
    return sorted(point.name for point in entry_points(group=group))
