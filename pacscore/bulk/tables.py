"""Tables: the series of a selection, and the values that a run has found."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pacscore
from pacscore.archive.selection import SelectedSeries, Selection
from pacscore.bulk.outcomes import Kind, Outcome, Status
from pacscore.errors import UnsupportedError

if TYPE_CHECKING:
    import pyarrow

    from pacscore.archive.archive import Archive

_QUERY_SERIES = 200
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID")


def require_pyarrow() -> Any:
    """The library of tables.

    Raises
    ------
    UnsupportedError
        It is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise UnsupportedError("Tables need an extra: pip install 'pacscore[tables]'.") from error
    return pyarrow


def table(selection: Selection, archive: Archive | None = None) -> pyarrow.Table:
    """One row for each series of a selection: its attributes as the catalog has them, verdict and generation.

    Parameters
    ----------
    archive
        The open archive; by default it is opened for reading meanwhile.

    Returns
    -------
    pyarrow.Table
        In the order of the selection. ``.to_pandas()`` and ``polars.from_arrow(…)`` take it. A series that is gone has
        its UIDs alone.

    Raises
    ------
    UnsupportedError
        pyarrow is not installed.
    NotFoundError
        The archive is not there.
    """
    require_pyarrow()
    if archive is None:
        with pacscore.open(selection.archive, read_only=True) as opened:
            return table(selection, opened)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    uids = list(dict.fromkeys(item.series_instance_uid for item in selection))
    for start in range(0, len(uids), _QUERY_SERIES):
        match: dict[str, Any] = {"SeriesInstanceUID": uids[start : start + _QUERY_SERIES], "geometry": ""}
        for row in archive.find("series", **match):
            found[row["StudyInstanceUID"], row["SeriesInstanceUID"]] = row
    rows = [
        {
            **found.get((item.study_instance_uid, item.series_instance_uid), {}),
            "StudyInstanceUID": item.study_instance_uid,
            "SeriesInstanceUID": item.series_instance_uid,
            "generation": item.generation,
        }
        for item in selection
    ]
    return table_of(rows)


def table_of(rows: list[dict[str, Any]]) -> pyarrow.Table:
    """A table of rows that need not have the same keys; a column whose values are of several kinds becomes text."""
    arrow = require_pyarrow()
    names = list(dict.fromkeys(name for row in rows for name in row))
    return arrow.table({name: _column(arrow, [row.get(name) for row in rows]) for name in names})


def values_file(
    items: Sequence[SelectedSeries], outcomes: Mapping[int, Outcome], about: Mapping[str, Any]
) -> bytes | None:
    """The values of a run as a Parquet file, None where no item has one.

    One row for each item that ended, in the order of the selection: its UIDs (of a group those its series share) and
    generation, its status, the error where there is one, and the value: mappings as one column for each key, all else
    in ``value``. What made them stands in the file's metadata under ``pacscore``. It says nothing of when or how fast,
    so that a run and its repetition give the same bytes.
    """
    require_pyarrow()
    import pyarrow.parquet

    if not any(outcome.kind is Kind.VALUE and outcome.value is not None for outcome in outcomes.values()):
        return None
    rows = []
    for index, outcome in sorted(outcomes.items()):
        item = items[index]
        row = {
            "index": index,
            "PatientID": item.patient_id,
            "StudyInstanceUID": item.study_instance_uid,
            "SeriesInstanceUID": item.series_instance_uid,
            "generation": outcome.generation,
            "status": outcome.status.value,
            "error": outcome.error,
        }
        value = outcome.value if outcome.status is Status.DONE else None
        rows.append(row | (_prefixed(value, row) if isinstance(value, Mapping) else {"value": value}))
    if all(row.get("value") is None for row in rows):
        for row in rows:
            row.pop("value", None)
    buffer = io.BytesIO()
    made = table_of(rows).replace_schema_metadata({"pacscore": json.dumps(about, sort_keys=True)})
    pyarrow.parquet.write_table(made, buffer)
    return buffer.getvalue()


def _prefixed(value: Mapping[str, Any], taken: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a mapping, under names that are not taken."""
    return {(f"value_{key}" if key in taken else key): each for key, each in value.items()}


def _column(arrow: Any, values: list[Any]) -> Any:
    try:
        return arrow.array(values)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError):
        pass
    numbers = all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)
    if numbers:
        return arrow.array([None if value is None else float(value) for value in values])
    return arrow.array([None if value is None else str(value) for value in values])
