"""The tables, in SQLAlchemy's terms; what SQLite alone knows stands in ``dialect``.

Wide rows for studies and series, made from ``attributes``; one compact document per series beside them; narrow rows
for sealed instances; a side table for those still in the journal. ``study.id`` is made from the study's identity, so
that the order (date, study, series number, series) is the same in every catalog of the same archive.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text

from pacscore.catalog.attributes import SERIES_ATTRIBUTES, STUDY_ATTRIBUTES, Attribute

metadata = MetaData()


def _columns(attributes: tuple[Attribute, ...]) -> list[Column[object]]:
    columns: list[Column[object]] = []
    for attribute in attributes:
        kind = {"IS": Integer, "DS": Float}.get(attribute.vr, Text)
        columns.append(Column(attribute.column, kind()))
        if attribute.vr == "PN":
            columns.append(Column(attribute.folded_column, Text))
    return columns


study = Table(
    "study",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("study_instance_uid", Text, nullable=False),
    Column("patient_key", BigInteger, nullable=False),
    Column("sort_date", Text, nullable=False),  # Study Date, "" when absent: order terms are never null.
    Column("stated", Text, nullable=False),  # JSON of what the series agree upon; the columns are made from it.
    Column("stated_by", Text, nullable=False),  # By which series: see consensus.
    *_columns(STUDY_ATTRIBUTES),
)

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False),
    Column("study_row", BigInteger, nullable=False),
    Column("sort_date", Text, nullable=False),  # The study's, so that an index can give the order.
    Column("series_instance_uid", Text, nullable=False),
    *_columns(SERIES_ATTRIBUTES),
    Column("verdict", Text, nullable=False),
    Column("kinds", Text, nullable=False),
    Column("generation", Text),
    Column("instance_count", Integer, nullable=False),  # Current sealed instances.
    Column("journal_count", Integer, nullable=False),  # Instances in the journal, other versions included.
    Column("journal_current", Integer, nullable=False),  # Current ones among them.
    Column("frame_count", BigInteger, nullable=False),
    Column("bytes_original", BigInteger, nullable=False),
    Column("bytes_stored", BigInteger, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("stated_by", Text, nullable=False),
)

# JSON text; a long one is deflated. Apart from the series row, so that scans of rows stay short.
series_document = Table(
    "series_document",
    metadata,
    Column("series_id", Integer, primary_key=True, autoincrement=False),
    Column("document", LargeBinary, nullable=False),
    Column("varying", Text, nullable=False),
)

# More values of an attribute than its column can be compared with: further values, further component groups of a
# name (owner: the row with the column), and nested values (owner: the series).
term = Table(
    "term",
    metadata,
    Column("path", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("owner", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

sop_class = Table(
    "sop_class",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
)

series_class = Table(
    "series_class",
    metadata,
    Column("series_id", Integer, primary_key=True, autoincrement=False),
    Column("class_id", Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

instance = Table(
    "instance",
    metadata,
    Column("series_id", Integer, primary_key=True, autoincrement=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("sop_hash", BigInteger, nullable=False),
    Column("class_id", Integer),
    Column("instance_number", Integer),
    Column("rows", Integer),
    Column("columns", Integer),
    Column("bits", Integer),
    Column("frames", Integer),
    Column("version", Integer, nullable=False),
    Column("current", Integer, nullable=False),
    sqlite_with_rowid=False,
)

journal_instance = Table(
    "journal_instance",
    metadata,
    Column("position", Text, primary_key=True),
    Column("series_id", Integer, nullable=False),
    Column("sop_hash", BigInteger, nullable=False),
    Column("sop_instance_uid", Text, nullable=False),
    Column("sop_class_uid", Text, nullable=False),
    Column("transfer_syntax_uid", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("version", Integer, nullable=False),
    Column("current", Integer, nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    sqlite_with_rowid=False,
)

# How far the catalog follows the event log and each writer's journal; opaque tokens.
position = Table(
    "position",
    metadata,
    Column("name", Text, primary_key=True),
    Column("token", Text, nullable=False),
)

# Generations that another has replaced, until their files are gone.
superseded = Table(
    "superseded",
    metadata,
    Column("locator", Text, primary_key=True),
    Column("file", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("since", Float, nullable=False),
    Column("collected", Integer, nullable=False),
    sqlite_with_rowid=False,
)

schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

# By these, rows are found while others are written.
KEPT_INDEXES = (
    Index("series_key", series.c.key, unique=True),
    Index("term_owner", term.c.owner),
    Index("journal_sop", journal_instance.c.sop_hash),
    Index("journal_series", journal_instance.c.series_id),
    Index("superseded_file", superseded.c.file),
)
SERIES_OF_STUDY = Index("series_of_study", series.c.study_row, series.c.series_instance_uid)


def _indexes() -> tuple[Index, ...]:
    """For identities and relations; and one per searched attribute: its value, then the order of answers."""
    made = [
        SERIES_OF_STUDY,
        Index("series_uid", series.c.series_instance_uid),
        Index("study_identity", study.c.study_instance_uid, study.c.patient_id),
        Index("study_patient_key", study.c.patient_key),
        Index("study_patient_order", study.c.patient_id, study.c.patient_key),
        Index("class_series", series_class.c.class_id, series_class.c.series_id),
        Index("instance_sop", instance.c.sop_hash),
        Index("study_order", study.c.sort_date, study.c.id),
        Index("series_order", series.c.sort_date, series.c.study_row),
        Index("series_verdict", series.c.verdict, series.c.sort_date, series.c.study_row),
        Index("series_waiting", series.c.journal_count, sqlite_where=series.c.journal_count > 0),
    ]
    for table, attributes, row in ((study, STUDY_ATTRIBUTES, "id"), (series, SERIES_ATTRIBUTES, "study_row")):
        for attribute in attributes:
            if attribute.indexed:
                column = table.c[attribute.folded_column]
                made.append(
                    Index(
                        f"{table.name}_{column.name}",
                        column,
                        table.c.sort_date,
                        table.c[row],
                        sqlite_where=None if attribute.whole else column.is_not(None),
                        info={} if attribute.whole else {"keyword": attribute.keyword},  # Empty while nobody states it.
                    )
                )
    return tuple(made)


SEARCH_INDEXES = _indexes()
