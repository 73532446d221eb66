"""A million real series: the index of the Imaging Data Commons as rows of the catalog, and questions drawn from it.

The index comes with the package ``idc-index-data``. Without it the sample of the test data is taken 52 times over,
each copy with UIDs and patients of its own, so that identities stay as rare as in a real archive.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rows import NOT_INSTALLED, Context, Missing, installed

from pacscore.catalog import InstanceColumns, SeriesRow

PACKAGE = "idc-index-data"
KEYWORDS = (
    "PatientID", "PatientAge", "PatientSex", "StudyDate", "StudyDescription", "BodyPartExamined", "Modality",
    "PhotometricInterpretation", "PixelRepresentation", "Manufacturer", "ManufacturerModelName", "SeriesDate",
    "SeriesDescription", "SeriesNumber",
)  # fmt: skip
COLLECTION = "IDC:0013xx00"
DOI = "IDC:0013xx01"
_PRIVATE = {COLLECTION: "collection_id", DOI: "source_DOI", "IDC:0013xx02": "license_short_name"}
_NUMBERS = frozenset({"PixelRepresentation", "SeriesNumber"})
_COLUMNS = [*KEYWORDS, *_PRIVATE.values(), "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID"]
_IDENTITIES = frozenset({"StudyInstanceUID", "SeriesInstanceUID", "PatientID"})  # Each copy has its own.
_BATCH = 20_000

IndexRow = dict[str, Any]


@dataclass(frozen=True)
class Index:
    """A table of series, taken ``copies`` times."""

    path: Path
    copies: int
    name: str

    @classmethod
    def of(cls, context: Context) -> Index:
        """The whole index if its package is installed, else the sample; in quick runs the sample three times.

        Raises
        ------
        Missing
            There is neither, or nothing that reads Parquet.
        """
        if installed("pyarrow") == NOT_INSTALLED:
            raise Missing("pyarrow is not installed")
        if installed(PACKAGE) != NOT_INSTALLED and not context.quick:
            import idc_index_data

            return cls(idc_index_data.IDC_INDEX_PARQUET_FILEPATH, 1, f"{PACKAGE} {installed(PACKAGE)}")
        sample = context.found("idc_index_sample/idc_index_sample.parquet")
        copies = 3 if context.quick else 52
        why = "" if context.quick else f", for {PACKAGE} is not installed"
        return cls(sample, copies, f"a sample of {PACKAGE} × {copies}{why}")

    @cached_property
    def table(self) -> Any:
        """The columns that are used, as an Arrow table."""
        import pyarrow.parquet

        return pyarrow.parquet.read_table(self.path, columns=_COLUMNS)

    @property
    def count(self) -> int:
        """How many series there are."""
        return self.copies * int(self.table.num_rows)

    def rows(self) -> Iterator[IndexRow]:
        """Every row as values of the catalog's types."""
        for copy in range(self.copies):
            for batch in self.table.to_batches(max_chunksize=_BATCH):
                for row in batch.to_pylist():
                    yield _marked(row, copy)

    def sample(self, count: int, *, seed: int = 0) -> list[IndexRow]:
        """Rows drawn evenly from all."""
        chosen = random.Random(seed).sample(range(self.table.num_rows), min(count, self.table.num_rows))
        return [_marked(row, 0) for row in self.table.take(chosen).to_pylist()]

    def entries(self, *, limit: int | None = None, instances: int = 0) -> Iterator[tuple[SeriesRow, InstanceColumns]]:
        """What the catalog is loaded with; ``instances`` made-up ones for each of the first ``limit`` series."""
        for number, row in enumerate(self.rows()):
            if number == limit:
                return
            yield _entry(row, instances)

    def counted(self, match: dict[str, Any]) -> int:
        """How many series have these values, counted by Arrow: the truth to compare answers with."""
        import pyarrow.compute

        mask = None
        for name, value in match.items():
            text = value if name not in {"StudyDate", "SeriesDate"} else f"{value[:4]}-{value[4:6]}-{value[6:]}"
            same = pyarrow.compute.equal(self.table[name], text)
            mask = same if mask is None else pyarrow.compute.and_(mask, same)
        found = int(pyarrow.compute.sum(mask).as_py() or 0)
        return found if match.keys() & _IDENTITIES else found * self.copies


def _marked(row: IndexRow, copy: int) -> IndexRow:
    for keyword in ("StudyDate", "SeriesDate"):
        row[keyword] = (row[keyword] or "").replace("-", "") or None
    for keyword in _NUMBERS:
        row[keyword] = int(row[keyword]) if (row[keyword] or "").lstrip("-").isdigit() else row[keyword]
    if copy:
        for keyword in _IDENTITIES:
            row[keyword] = f"{row[keyword]}.{copy}"
    return row


def _entry(row: IndexRow, instances: int) -> tuple[SeriesRow, InstanceColumns]:
    study, series = row["StudyInstanceUID"], row["SeriesInstanceUID"]
    document = {keyword: row[keyword] for keyword in KEYWORDS if row[keyword] is not None}
    document |= {key: row[name] or "" for key, name in _PRIVATE.items()}
    key = hashlib.sha256(f"{study}/{series}".encode()).hexdigest()[:32]
    columns = InstanceColumns([f"{series}.{at}" for at in range(instances)], [row["SOPClassUID"]])
    return SeriesRow(key, study, series, document, f"series/{key}", verdict="regular", stated_by=series), columns
