"""The figures as tests: ``pytest bench/ -k 'core or kernels' --benchmark-json FILE``.

The same rows as those of ``figures.py``, measured by the same timing core; what each found stands in ``extra_info`` of
its benchmark (value, quartiles, must, aim, verdict, peers), whose own time is that of the whole row. A missed must
fails, a missing peer skips. ``PACSCORE_BENCH_QUICK=1`` takes few rounds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tools")]

from figures import data_folder, load_rows  # noqa: E402  # The path is set above.
from rows import ROWS, Context, Missing  # noqa: E402

pytest.importorskip("pytest_benchmark", reason="pytest-benchmark comes with the extra 'test' (until 2027-12-31)")
load_rows()


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """What rows share in one run; processes that rows start measure this tree too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        quick = os.environ.get("PACSCORE_BENCH_QUICK") == "1"
        yield Context(data_folder(), tmp_path_factory.mktemp("scratch"), quick)


@pytest.mark.parametrize("name", list(ROWS))
def test_row_reaches_its_must(name: str, benchmark: Any, context: Context) -> None:
    benchmark.group = name.split(".", maxsplit=1)[0]
    try:
        figure = benchmark.pedantic(ROWS[name].measure, args=(context,), rounds=1, iterations=1)
    except Missing as missing:
        pytest.skip(f"{missing} (until 2027-12-31)")
    benchmark.extra_info.update(figure.as_dict())
    assert figure.verdict != "MISSED", f"{figure.value_text}, must {figure.must_text}: {figure.detail}"
