"""Limits come as numbers that mean something, or not at all."""

from __future__ import annotations

import pytest

from pacscore import PacscoreError, Settings


def test_the_environment_overrides_fields_by_name() -> None:
    settings = Settings.from_environment({"PACSCORE_THREAD_COUNT": "3", "PACSCORE_GRACE_SECONDS": "0.5"})
    assert (settings.thread_count, settings.grace_seconds) == (3, 0.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("THREAD_COUNT", "-1"), ("THREAD_COUNT", "two"), ("PAGE_ROWS_MAX", "0"), ("DEPTH_MAX", "-5"),
        ("GRACE_SECONDS", "nan"), ("SEGMENT_BYTES_MAX", "1e6"),
    ],
)  # fmt: skip
def test_a_number_without_meaning_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(PacscoreError, match=f"(?i){name}"):
        Settings.from_environment({f"PACSCORE_{name}": value})
