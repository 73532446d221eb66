"""The catalog as partitioned Parquet, for analysts: studies, series, stacks, instances; kept up to date by events.

    OUT/position.json                    how far the archive's events are in it
    OUT/<table>/bucket=<hex>/part.parquet

T1  A row stands in the bucket of its series (studies: of its study), by a hash, so that a change writes one file of
    each table anew and no other.
T2  The position is written after all that it says is there. A crash before leaves an older one, from which the same
    events are met again; applying them twice equals once.
T3  Up to date or made anew, the tables are equal.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pacscore.archive.report import Progress, Reported, no_progress
from pacscore.archive.tabulating import INSTANCE_ATTRIBUTES, instance_rows, series_facts, stack_rows
from pacscore.catalog.attributes import SERIES_ATTRIBUTES, STUDY_ATTRIBUTES, Attribute
from pacscore.errors import DamagedError, InputError, NotFoundError
from pacscore.imaging.outgoing import appearing, library

if TYPE_CHECKING:
    import pyarrow

    from pacscore.archive.archive import Archive

POSITION = "position.json"
TABLES = ("study", "series", "stack", "instance")
_FORMAT = 1
_SERIES_OF_ONE_DIGIT = 20_000  # More, and the files of 16 buckets grow too large to be written anew.
_TEXT, _WHOLE, _REAL, _TRUTH = "string", "int64", "float64", "bool"
_SEVERAL = frozenset({"OtherStudyNumbers"})
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CatalogReport(Reported):
    """What an export of the catalog did.

    Attributes
    ----------
    made_anew : bool
        There was none yet, or not of this archive and format.
    series : int
        How many series were written, of all or of those that had changed.
    gone : int
        Series that are not in the archive any more.
    files : int
        Written.
    """

    made_anew: bool
    series: int
    gone: int
    files: int
    seconds: float


def columns_of(table: str) -> dict[str, str]:
    """Names and Arrow types of a table's columns.

    Examples
    --------
    >>> columns_of("series")["Modality"], columns_of("instance")["bytes"]
    ('string', 'int64')
    """
    uids = {"StudyInstanceUID": _TEXT, "SeriesInstanceUID": _TEXT}
    study = {"StudyInstanceUID": _TEXT, **_attributes(STUDY_ATTRIBUTES)}
    if table == "study":
        return study | {
            "ModalitiesInStudy": _TEXT, "NumberOfStudyRelatedSeries": _WHOLE, "NumberOfStudyRelatedInstances": _WHOLE,
        }  # fmt: skip
    if table == "series":
        facts = dict.fromkeys(("key", "state", "geometry", "kinds"), _TEXT)
        facts |= dict.fromkeys(("stacks", "instances", "objects", "frames", "bytes_original", "bytes_stored"), _WHOLE)
        return study | {"SeriesInstanceUID": _TEXT} | _attributes(SERIES_ATTRIBUTES) | facts | {
            "strategy": _TEXT, "generation": _TEXT,
        }  # fmt: skip
    if table == "stack":
        whole = dict.fromkeys(("volumes", "slices", "rows", "columns", "samples"), _WHOLE)
        real = dict.fromkeys(("slice_spacing_mm", "row_spacing_mm", "column_spacing_mm"), _REAL)
        text = dict.fromkeys(("kind", "geometry", "findings", "axes"), _TEXT)
        ends = dict.fromkeys(("photometric_interpretation", "unit"), _TEXT)
        return uids | {"stack": _WHOLE} | text | whole | {"dtype": _TEXT} | real | ends
    return uids | {
        "SOPInstanceUID": _TEXT, "ordinal": _WHOLE, "SOPClassUID": _TEXT, **dict.fromkeys(INSTANCE_ATTRIBUTES, _WHOLE),
        "version": _WHOLE, "current": _TRUTH, "transfer_syntax_uid": _TEXT, "bytes": _WHOLE, "sha256": _TEXT,
    }  # fmt: skip


def export_catalog(archive: Archive, out: Path | str, *, progress: Progress | None = None) -> CatalogReport:
    """Write the catalog of an archive as Parquet below ``out``, or bring what is there up to date.

    Parameters
    ----------
    out : Path or str
        A folder; made if need be. Readers take ``OUT/series/**/*.parquet``; the partition column is ``bucket``.

    Raises
    ------
    UnsupportedError
        pyarrow is not installed (extra ``tables``).
    InputError
        ``out`` holds another archive's catalog, or a newer format.
    """
    arrow = library("pyarrow", extra="tables")
    library("pyarrow.parquet", extra="tables")
    start, folder = time.perf_counter(), Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    identity = archive._session.layout.archive_id
    before = _read_position(folder, identity)
    changed: dict[tuple[str, str], None] = {}
    position = None if before is None else before["position"]
    for event in archive.events(position):  # To the end first: what is read after it may only be newer (T2).
        position = event["position"]
        for named in (event, *event.get("series", ())):
            if named.get("study_instance_uid") and named.get("series_instance_uid"):
                changed[named["study_instance_uid"], named["series_instance_uid"]] = None
    if before is None:
        rows = archive.find("series")
        changed = {(row["StudyInstanceUID"], row["SeriesInstanceUID"]): None for row in rows}
    digits = before["digits"] if before is not None else 1 if len(changed) < _SERIES_OF_ONE_DIGIT else 2
    made = _Tables(arrow, folder, digits, anew=before is None)
    gone = _put(archive, made, list(changed), progress or no_progress)
    value = {"format": _FORMAT, "archive_id": identity, "digits": digits, "position": position}
    with appearing(folder / POSITION) as pending:
        pending.write_text(json.dumps(value, indent=1) + "\n", "utf-8")
    return CatalogReport(before is None, len(changed) - gone, gone, made.files, time.perf_counter() - start)


def _put(archive: Archive, tables: _Tables, changed: Sequence[tuple[str, str]], progress: Progress) -> int:
    """Write the rows of changed series, bucket by bucket; how many series are gone."""
    buckets: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in changed:
        buckets[tables.bucket(pair[1])].append(pair)
    done = gone = 0
    for bucket, pairs in sorted(buckets.items()):
        rows: dict[str, list[Row]] = {"series": [], "stack": [], "instance": []}
        for study, series in pairs:
            found = _series_rows(archive, study, series)
            gone += not found["series"]
            for name, more in found.items():
                rows[name] += more
            done += 1
            progress("tabulating", done, len(changed))
        for name, made in rows.items():
            tables.write(name, bucket, made, ("StudyInstanceUID", "SeriesInstanceUID"), set(pairs))
    studies: dict[str, set[str]] = defaultdict(set)
    for study, _ in changed:
        studies[tables.bucket(study)].add(study)
    for bucket, uids in sorted(studies.items()):
        found_studies = [row for uid in sorted(uids) for row in _study_rows(archive, uid)]
        tables.write("study", bucket, found_studies, ("StudyInstanceUID",), {(uid,) for uid in uids})
    return gone


def _series_rows(archive: Archive, study: str, uid: str) -> dict[str, list[Row]]:
    """The rows of a series as it is now: none where it is gone; of a damaged one that it is."""
    try:
        series = archive.series(uid, study)
    except NotFoundError:
        return {"series": [], "stack": [], "instance": []}
    (row,) = archive.find("series", StudyInstanceUID=study, SeriesInstanceUID=uid)
    try:
        facts, stacks, instances = series_facts(series), stack_rows(series), instance_rows(series)
    except DamagedError:
        return {"series": [{**row, "key": series.key, "state": "damaged"}], "stack": [], "instance": []}
    return {"series": [{**row, **facts}], "stack": list(stacks), "instance": list(instances)}


def _study_rows(archive: Archive, study: str) -> Iterator[Row]:
    return archive.find(
        "study",
        StudyInstanceUID=study,
        ModalitiesInStudy="",
        NumberOfStudyRelatedSeries="",
        NumberOfStudyRelatedInstances="",
    )


class _Tables:
    """The Parquet files below a folder; writes a bucket of a table as a whole."""

    def __init__(self, arrow: Any, folder: Path, digits: int, *, anew: bool) -> None:
        self.files = 0
        self._arrow = arrow
        self._folder = folder
        self._digits = digits
        if anew:
            for name in TABLES:
                for old in sorted((folder / name).glob("bucket=*/part.parquet")):
                    old.unlink()

    def bucket(self, uid: str) -> str:
        """Of a study or series."""
        return hashlib.sha256(uid.encode()).hexdigest()[: self._digits]

    def write(self, name: str, bucket: str, rows: Sequence[Row], keys: Sequence[str], replaced: set[Any]) -> None:
        """Put rows into a bucket in the place of those of ``replaced``, which are named by their values of ``keys``."""
        from pyarrow import parquet

        columns = columns_of(name)
        schema = self._arrow.schema(
            [(column, getattr(self._arrow, _ARROW[kind])()) for column, kind in columns.items()]
        )
        arrays = {
            column: self._arrow.array([_cell(row.get(column), kind) for row in rows], schema.field(column).type)
            for column, kind in columns.items()
        }
        table = self._arrow.table(arrays, schema=schema)
        path = self._folder / name / f"bucket={bucket}" / "part.parquet"
        if path.exists():
            table = self._arrow.concat_tables([self._without(parquet.ParquetFile(path).read(), keys, replaced), table])
        table = table.sort_by([(key, "ascending") for key in _ORDER[name]])
        path.parent.mkdir(parents=True, exist_ok=True)
        with appearing(path) as pending:
            parquet.write_table(table, pending, compression="zstd")
        self.files += 1

    def _without(self, table: pyarrow.Table, keys: Sequence[str], replaced: set[Any]) -> pyarrow.Table:
        named = zip(*(table.column(key).to_pylist() for key in keys), strict=True)
        return table.filter(self._arrow.array([values not in replaced for values in named], self._arrow.bool_()))


_ARROW = {_TEXT: "string", _WHOLE: "int64", _REAL: "float64", _TRUTH: "bool_"}
_ORDER = {
    "study": ("StudyInstanceUID",),
    "series": ("StudyInstanceUID", "SeriesInstanceUID"),
    "stack": ("StudyInstanceUID", "SeriesInstanceUID", "stack"),
    "instance": ("StudyInstanceUID", "SeriesInstanceUID", "ordinal"),
}


def _attributes(attributes: Iterable[Attribute]) -> dict[str, str]:
    kinds = {"IS": _WHOLE, "DS": _REAL}
    return {each.keyword: _TEXT if each.keyword in _SEVERAL else kinds.get(each.vr, _TEXT) for each in attributes}


def _cell(value: Any, kind: str) -> Any:
    """A value as its column has it: several texts joined by a backslash, as DICOM joins them; None for no number."""
    if value is None:
        return None
    if kind == _TEXT:
        return "\\".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    if isinstance(value, int | float):
        made: Callable[[Any], Any] = {_WHOLE: int, _REAL: float, _TRUTH: bool}[kind]
        return made(value)
    return None


def _read_position(folder: Path, identity: str) -> dict[str, Any] | None:
    path = folder / POSITION
    if not path.exists():
        return None
    try:
        value = json.loads(path.read_text("utf-8"))
        newer, other = value["format"] > _FORMAT, value["archive_id"] != identity
        found = {"digits": int(value["digits"]), "position": value["position"]}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{POSITION} is none that an export wrote: remove it to begin anew.", path=str(path)
        ) from error
    if newer:
        raise InputError("A newer pacscore wrote this folder: install it, or choose another folder.", path=str(path))
    if other:
        raise InputError("This folder holds the catalog of another archive: choose another.", path=str(path))
    return found
