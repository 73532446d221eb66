"""The catalog as Parquet and a page of statistics, brought up to date: for a nightly job.

python examples/archive_report.py ARCHIVE OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import pacscore
from pacscore import bulk


def report(archive: Path, out: Path) -> str:
    """Write OUT/tables and OUT/statistics.html; returns what changed, in words."""
    out.mkdir(exist_ok=True)
    with pacscore.open(archive, read_only=True) as opened:
        tables = bulk.export_catalog(opened, out / "tables")
        bulk.archive_statistics(opened).write(out / "statistics.html")
    return f"{tables.series} series {'written' if tables.made_anew else 'changed'}, {tables.gone} gone"


if __name__ == "__main__":
    print(report(Path(sys.argv[1]), Path(sys.argv[2])))
