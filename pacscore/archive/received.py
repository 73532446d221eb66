"""What the catalog holds of an object that waits in the journal, made from its record alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pacscore.archive.candidates import Candidate, scan_source, BytesSource
from pacscore.catalog import ReceivedRow
from pacscore.catalog.attributes import CATALOG_KEYWORDS
from pacscore.dicom.attributes import Header
from pacscore.settings import Settings


def journal_head(candidate: Candidate, key: str) -> dict[str, Any]:
    """What the journal keeps beside an object: all that is not in its bytes."""
    assert candidate.sha256 is not None
    return {
        "key": key,
        "syntax": candidate.transfer_syntax_uid,
        "sha256": candidate.sha256.hex(),
        "version": candidate.version,
        "current": candidate.current,
    }


def received_row(head: Mapping[str, Any], body: bytes, position: str, settings: Settings) -> ReceivedRow:
    """The row of a record."""
    found, header = scan_source(BytesSource(body), settings, head["syntax"])
    return ReceivedRow(
        key=head["key"],
        position=position,
        study_instance_uid=found.study_instance_uid,
        series_instance_uid=found.series_instance_uid,
        sop_instance_uid=found.sop_instance_uid,
        sop_class_uid=found.sop_class_uid,
        document=Header(header, found).document(keywords=CATALOG_KEYWORDS),
        digest=bytes.fromhex(head["sha256"]),
        transfer_syntax_uid=head["syntax"],
        version=head["version"],
        current=head["current"],
        length=len(body),
    )
