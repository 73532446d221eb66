"""The order in which sources speak changes nothing."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pacscore.catalog.consensus import Consensus, merge

statements = st.dictionaries(
    st.sampled_from(["1", "2", "10", "3"]),
    st.dictionaries(st.sampled_from(["StudyID", "StudyDate", "PatientSex"]), st.sampled_from(["a", "b", None])),
    min_size=1,
    max_size=4,
)


@given(statements)
def test_merging_in_any_order_and_twice_gives_the_smallest_sources_values(
    said: dict[str, dict[str, str | None]],
) -> None:
    expected: dict[str, str] = {}
    for source in sorted(said):
        for keyword, value in said[source].items():
            if value is not None:
                expected.setdefault(keyword, value)
    for order in itertools.permutations(said):
        consensus = Consensus()
        for source in (*order, *order):
            consensus = merge(consensus, source, said[source])
            stored = Consensus.stored(consensus.values, consensus.sources_text())
            assert stored == consensus
        assert consensus.values == expected
        assert consensus.source == min(said)


def test_nothing_new_gives_the_same_object() -> None:
    first = merge(Consensus(), "1", {"StudyID": "a", "StudyDate": "b"})
    assert merge(first, "2", {"StudyID": "a"}) is first
    assert merge(first, "1", {"StudyID": "a"}) is first
    assert merge(first, "2", {"StudyID": "c"}) is first
