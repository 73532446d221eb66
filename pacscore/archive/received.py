"""What the catalog holds of an object that waits in the journal, made from its record alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pacscore.archive.candidates import BytesSource, Candidate, candidate_of
from pacscore.catalog import CATALOG_KEYWORDS, ReceivedRow, Value
from pacscore.dicom.attributes import Header
from pacscore.settings import Settings


def journal_head(candidate: Candidate, key: str) -> dict[str, Any]:
    """What the journal keeps beside an object: all that is not in its bytes."""
    assert candidate.sha256 is not None
    return {
        "key": key,
        "study": candidate.study_instance_uid,
        "series": candidate.series_instance_uid,
        "sop": candidate.sop_instance_uid,
        "syntax": candidate.transfer_syntax_uid,
        "sha256": candidate.sha256.hex(),
        "version": candidate.version,
        "current": candidate.current,
    }


def received_row(head: Mapping[str, Any], candidate: Candidate, position: str) -> ReceivedRow:
    """The row of a record: what its head says, and the attributes in the object's header."""
    found, header = candidate.scan, candidate.header
    assert found is not None
    assert header is not None
    return ReceivedRow(
        key=head["key"],
        position=position,
        study_instance_uid=candidate.study_instance_uid,
        series_instance_uid=candidate.series_instance_uid,
        sop_instance_uid=candidate.sop_instance_uid,
        sop_class_uid=found.sop_class_uid,
        document=_catalog_document(Header(header, found)),
        digest=bytes.fromhex(head["sha256"]),
        transfer_syntax_uid=head["syntax"],
        version=head["version"],
        current=head["current"],
        length=candidate.source.size,
    )


def read_row(head: Mapping[str, Any], body: bytes, position: str, settings: Settings) -> ReceivedRow:
    """The row of a record, made from its bytes again."""
    return received_row(head, candidate_of(BytesSource(body), settings, head["syntax"]), position)


def _catalog_document(header: Header) -> dict[str, Value]:
    """The attributes that have a column. The catalog names their values by a wider type, of any JSON."""
    document: dict[str, Any] = dict(header.document(keywords=CATALOG_KEYWORDS))
    return document
