"""Which condition drives a search.

Three ways: walk the rows in the order of the answers and filter; walk them through the index of one equality, which
keeps the default order; gather the few rows that one condition selects, then filter and sort. SQLite cannot know how
many rows a bound value selects, so each candidate is counted first, by index and up to a limit. Where a condition
selects a share s of N rows, a page of n costs about n / s rows when walked and s N when gathered, so gathering pays
below the square root of n N rows: 10,000 of a million. But what a query selects tends to lie together in time, and then
walking meets nothing for long: at 50,000 rows gathering costs a tenth of a second, walking up to a whole one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from pacscore.catalog import dialect, schema
from pacscore.catalog.conditions import Clause, Condition

GATHER_MAX = 50_000
COUNT_MAX = 200_000
SERIES_PER_STUDY = 6


@dataclass(frozen=True, slots=True)
class Plan:
    """How to ask.

    Attributes
    ----------
    clauses
        The conditions.
    by_index
        Whether the rows come in order by themselves, from an index.
    lead
        The table that is searched first; the other is looked up from it.
    """

    clauses: tuple[Clause, ...]
    by_index: bool
    lead: str


def choose(
    connection: Connection, conditions: Sequence[Condition], *, target: str, default_order: bool, order_lead: str
) -> Plan:
    """Choose for a search of ``target`` rows, ``study`` or ``series``.

    ``order_lead`` is the table whose index can give the order asked for.
    """
    counted: list[tuple[int, int]] = []  # Rows, place in conditions.
    for limit in (GATHER_MAX, COUNT_MAX):
        counted = [
            (_count(connection, condition, limit, target), at)
            for at, condition in enumerate(conditions)
            if condition.driver is not None
        ]
        if not counted or min(counted)[0] < limit or (len(counted) == 1 and not conditions[counted[0][1]].wide):
            break
    if not counted:
        return Plan(tuple(condition.clause for condition in conditions), by_index=True, lead=order_lead)
    rows, best = min(counted)
    walkable = [pair for pair in counted if default_order and conditions[pair[1]].ordered]
    if rows >= GATHER_MAX and walkable:
        rows, best = min(walkable)
    chosen = conditions[best]
    others = [condition.clause for at, condition in enumerate(conditions) if at != best]
    if (rows, best) in walkable and chosen.indexed is not None:
        return Plan((chosen.indexed, *others), by_index=True, lead=chosen.table)
    assert chosen.driver is not None
    column = schema.metadata.tables[chosen.table].c.id
    if rows >= GATHER_MAX:
        # Rows that hold a text can lie far from the walk's start; their numbers spare it to read the rows before them.
        sieve = (dialect.unindexed(column).in_(chosen.driver),) if chosen.wide and rows < COUNT_MAX else ()
        return Plan((*sieve, chosen.clause, *others), by_index=True, lead=order_lead)
    selected = (column.in_(chosen.driver), chosen.clause) if chosen.wide else (column.in_(chosen.driver),)
    return Plan((*selected, *others), by_index=False, lead=chosen.table)


def _count(connection: Connection, condition: Condition, limit: int, target: str) -> int:
    assert condition.driver is not None
    each = SERIES_PER_STUDY if condition.table != target else 1
    some = condition.driver.limit(max(1, limit // each)).subquery()
    return each * int(connection.execute(select(func.count()).select_from(some)).scalar_one())
