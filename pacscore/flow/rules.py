"""Which series go on to whom: rules of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pacscore.errors import InputError


@dataclass(frozen=True, slots=True)
class Rule:
    """Send what matches to a destination, once it is quiet.

    Attributes
    ----------
    to
        AE title of a peer with a port.
    match
        Keys and values of ``Archive.find``; empty for everything.
    sender
        AE title of who sent it to us, empty for anybody.
    quiet_seconds
        How long nothing may have come for a study before its series go on.
    """

    to: str
    match: Mapping[str, Any] = field(default_factory=dict)
    sender: str = ""
    quiet_seconds: float = 30.0


def rules_of(tables: list[dict[str, Any]]) -> tuple[Rule, ...]:
    """The rules that ``[[forward]]`` tables state.

    Raises
    ------
    InputError
        One has no destination, or says something that is no rule.

    Examples
    --------
    >>> rules_of([{"to": "CACHE", "match": {"Modality": "CT"}}])[0].to
    'CACHE'
    """
    found = []
    for number, table in enumerate(tables, 1):
        unknown = set(table) - {"to", "match", "from", "quiet_seconds"}
        if unknown:
            raise InputError(
                f"forward {number}: {sorted(unknown)[0]} is unknown; there are to, match, from, quiet_seconds."
            )
        to, match = table.get("to"), table.get("match", {})
        quiet = table.get("quiet_seconds", 30.0)
        if not isinstance(to, str) or not isinstance(match, dict) or not isinstance(quiet, int | float) or quiet < 0:
            raise InputError(f"forward {number}: to is an AE title, match a table, quiet_seconds a number from 0 on.")
        found.append(Rule(to, match, str(table.get("from", "")), float(quiet)))
    return tuple(found)
