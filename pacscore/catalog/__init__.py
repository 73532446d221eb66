"""What there is, in SQL: studies, series and instances, found by what DICOM says of them."""

from pacscore.catalog.attributes import CATALOG_KEYWORDS, INSTANCE_KEYWORDS, SERIES_KEYWORDS, STUDY_KEYWORDS, Level
from pacscore.catalog.catalog import Catalog
from pacscore.catalog.dialect import copy_catalog
from pacscore.catalog.finding import Found, InstanceDocuments
from pacscore.catalog.rows import (
    Counts,
    Document,
    InstanceColumns,
    Location,
    ReceivedRow,
    SeriesRow,
    StoredSeries,
    Value,
)
from pacscore.catalog.superseded import Superseded

__all__ = [
    "CATALOG_KEYWORDS",
    "INSTANCE_KEYWORDS",
    "SERIES_KEYWORDS",
    "STUDY_KEYWORDS",
    "Catalog",
    "Counts",
    "Document",
    "Found",
    "InstanceColumns",
    "InstanceDocuments",
    "Level",
    "Location",
    "ReceivedRow",
    "SeriesRow",
    "StoredSeries",
    "Superseded",
    "Value",
    "copy_catalog",
]
