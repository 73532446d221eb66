"""docs/geometry.md names every finding and every axis."""

from __future__ import annotations

import re
from pathlib import Path

from pacscore.geometry import Verdict
from pacscore.geometry.attributes import ATTRIBUTES, Rule
from pacscore.geometry.stacking import _PROBLEMS

ROOT = Path(__file__).resolve().parents[2]


def test_every_finding_verdict_and_axis_is_documented() -> None:
    page = (ROOT / "docs" / "geometry.md").read_text()
    named = set(re.findall(r"`([a-z_0-9-]+)`", page))
    sources = "".join(path.read_text() for path in (ROOT / "pacscore" / "geometry").glob("*.py"))

    findings = set(re.findall(r'Finding\(\s*"([a-z-]+)"', sources)) | set(_PROBLEMS)
    axes = {attribute.name for attribute in ATTRIBUTES if attribute.rule is not Rule.SPLIT}

    assert len(findings) > 20
    assert findings | axes | {str(verdict) for verdict in Verdict} <= named
