"""How much there is, by modality and geometry verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from pacscore.archive.collection import waiting_for_collection
from pacscore.archive.finding import find
from pacscore.archive.session import Session
from pacscore.geometry import Verdict


def summarise(session: Session) -> dict[str, Any]:
    """Counts and sizes as JSON."""
    session.refresh()
    counts = asdict(session.catalog.counts())
    series: Counter[str] = Counter()
    instances: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    for row in find(session, "series", {"geometry": ""}):
        modality, count = str(row.get("Modality") or ""), row.get("NumberOfSeriesRelatedInstances")
        series[modality] += 1
        instances[modality] += count if isinstance(count, int) else 0
        verdicts[str(row.get("geometry") or Verdict.NONE)] += 1
    return {
        "patients": counts["patients"],
        "studies": counts["studies"],
        "series": counts["series"],
        "instances": counts["instances"],
        "received": counts["journal_instances"],
        "bytes_original": counts["bytes_original"],
        "bytes_stored": counts["bytes_stored"],
        "superseded": asdict(waiting_for_collection(session)),
        "modalities": [
            {"modality": name, "series": count, "instances": instances[name]} for name, count in series.most_common()
        ],
        "verdicts": {verdict.value: verdicts[verdict.value] for verdict in Verdict if verdicts[verdict.value]},
    }
