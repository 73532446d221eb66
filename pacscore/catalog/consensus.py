"""What several sources say about one thing, made one, whatever the order in which they speak.

A study's attributes come from its series, a waiting series' from its instances, and they can disagree. The source with
the smallest UID that states a value is believed. So the answer does not depend on the order of arrival, and a rebuilt
catalog equals the one it replaces.

C1  ``merge`` is commutative, associative and idempotent.
C2  A source that changes its statement must be withdrawn by merging the others anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pacscore.catalog.rows import Value


@dataclass(frozen=True, slots=True)
class Consensus:
    """The values agreed upon.

    Attributes
    ----------
    values : mapping
        Keyword to value; only stated ones (not None).
    source : str
        The smallest source so far; it states every value that ``others`` does not name.
    others : mapping
        Keyword to source, for values that ``source`` does not state.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    source: str = ""
    others: Mapping[str, str] = field(default_factory=dict)

    def sources_text(self) -> str:
        """The sources as stored beside the values."""
        if not self.others:
            return self.source
        return json.dumps([self.source, self.others], separators=(",", ":"), sort_keys=True)

    @classmethod
    def stored(cls, values: Mapping[str, Value], sources: str) -> Consensus:
        """From what `sources_text` gave and the values of the row."""
        if sources.startswith("["):
            source, others = json.loads(sources)
            return cls(values, source, others)
        return cls(values, sources)


def merge(consensus: Consensus, source: str, stated: Mapping[str, Value]) -> Consensus:
    """The consensus with one more source; the same object when nothing changes.

    Examples
    --------
    >>> first = merge(Consensus(), "2", {"StudyID": "A"})
    >>> merge(first, "1", {"StudyID": "B", "StudyDate": "20200101"}).values["StudyID"]
    'B'
    """
    spoken = {keyword: value for keyword, value in stated.items() if value is not None}
    if not consensus.source:
        return Consensus(spoken, source)
    # The common case: nothing new, from a source that nothing hangs on.
    agrees = all(consensus.values.get(keyword) == value for keyword, value in spoken.items())
    if agrees and (source == consensus.source or (source > consensus.source and not consensus.others)):
        return consensus
    values = dict(consensus.values)
    by = {keyword: consensus.others.get(keyword, consensus.source) for keyword in values}
    for keyword, value in spoken.items():
        if keyword not in by or source < by[keyword]:
            values[keyword] = value
            by[keyword] = source
    smallest = min(source, consensus.source)
    others = {keyword: stating for keyword, stating in by.items() if stating != smallest}
    if smallest == consensus.source and others == consensus.others and values == consensus.values:
        return consensus
    return Consensus(values, smallest, others)
