"""What all tests share: the real test data, and how much of it there is."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# A shell that starts a job in the background lets it ignore SIGINT, and every process below inherits that: those that
# are interrupted here must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_ROOT = Path(__file__).resolve().parents[1]


def _data_folder() -> Path | None:
    named = os.environ.get("PACSCORE_TEST_DATA")
    for candidate in (
        [Path(named)] if named else [_ROOT.parent / "shared" / "data", _ROOT.parent.parent / "shared" / "data"]
    ):
        if (candidate / "MANIFEST.tsv").is_file():
            return candidate.resolve()
    return None


DATA = _data_folder()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real DICOM: ``PACSCORE_TEST_DATA``, else ``../shared/data`` beside the checkout."""
    if DATA is None:
        pytest.skip("no real test data: set PACSCORE_TEST_DATA to its folder (until 2027-12-31)")
    return DATA


def pytest_report_header() -> str:
    """Say at the top which data the run sees."""
    return f"pacscore test data: {DATA or 'none; tests on real DICOM are skipped'}"
