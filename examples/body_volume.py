"""The volume of the body in every CT series, as a table.

    cd examples
    pacscore map ARCHIVE Modality=CT geometry=regular --function body_volume:body_volume --out bodies
    python body_volume.py ARCHIVE bodies                        # the same from Python

Either way bodies/values.parquet has one row a series, and a run that was stopped goes on when it is started again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pacscore
from pacscore import bulk

if TYPE_CHECKING:
    from pacscore import Volume


def body_volume(volume: Volume, threshold: float = -300.0) -> dict[str, Any]:
    """Litres and mean HU of the largest connected part above a threshold: the body without table and air."""
    parts = volume.components(threshold)
    if not parts.volumes_mm3.size:
        return {"litres": 0.0, "mean_hu": None}
    largest = int(parts.volumes_mm3.argmax())
    inside = volume.statistics(mask=parts.volume.array() == largest + 1)
    return {"litres": round(float(parts.volumes_mm3[largest]) / 1e6, 4), "mean_hu": round(inside.mean, 2)}


def main(archive: str, out: str) -> None:
    """Measure every regular CT series of an archive."""
    with pacscore.open(archive, read_only=True) as opened:
        selection = opened.select(Modality="CT", geometry="regular")
    report = bulk.map(selection, body_volume, run=out, progress=True).report()
    print(f"{report.done} bodies, {report.failed} failed: {report.values}")


if __name__ == "__main__":
    main(*sys.argv[1:])
