"""``pytest bench/``: rows take turns on a machine of their own, so no other workers run beside."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: Any) -> None:
    """One process, whatever the project's own options say: pytest-benchmark measures nothing among several."""
    config.option.numprocesses = 0
    config.option.dist = "no"
    config.option.tx = []
