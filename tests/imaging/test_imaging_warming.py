"""After warming, nothing that volumes and images do needs another version of a kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_warming_covers_resampling_intensity_analysis_enhancement_and_projections() -> None:
    tests = Path(__file__).resolve().parents[1]
    words = [sys.executable, "-m", "imaging.warmed_calls"]
    paths = os.pathsep.join([str(tests), str(tests.parent)])
    result = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": paths})
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ""
