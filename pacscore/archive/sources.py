"""Objects that are in the archive already, as sources: so that a new generation can take them over."""

from __future__ import annotations

from dataclasses import dataclass

from pacscore.archive.candidates import Candidate, candidate_of
from pacscore.catalog import ReceivedRow
from pacscore.settings import Settings
from pacscore.store.generation import Generation
from pacscore.store.journal import Journal
from pacscore.store.positions import Position


@dataclass(frozen=True, slots=True)
class SealedSource:
    """One object of a generation."""

    generation: Generation
    ordinal: int

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.generation.manifest.number("length", self.ordinal)

    def read(self) -> bytes:
        """The whole object, reassembled."""
        return bytes(self.generation.object_bytes(self.ordinal))

    def head(self, length: int) -> bytes:
        """Its first bytes, at most as many as its header has: a scan needs no more."""
        return bytes(self.generation.header_bytes(self.ordinal)[:length])

    def candidate(self) -> Candidate:
        """The object as a candidate that knows its hash, version and standing."""
        manifest, ordinal = self.generation.manifest, self.ordinal
        return Candidate(
            self,
            manifest.study_instance_uid,
            manifest.series_instance_uid,
            manifest.sop_instance_uids[ordinal],
            manifest.transfer_syntax_uid(ordinal),
            prefix_length=manifest.number("prefix_length", ordinal),
            sha256=manifest.sha256(ordinal),
            version=manifest.number("version", ordinal),
            current=bool(manifest.number("current", ordinal)),
        )


@dataclass(frozen=True, slots=True)
class JournalSource:
    """One record of the journal."""

    journal: Journal
    position: str
    size: int = -1

    def read(self) -> bytes:
        """The whole object."""
        return bytes(self.journal.read(Position(self.position))[1])

    def head(self, length: int) -> bytes:
        """Its first bytes."""
        return bytes(self.journal.read(Position(self.position))[1][:length])

    def candidate(self, row: ReceivedRow, settings: Settings) -> Candidate:
        """The object as a candidate that knows what the archive decided on receipt."""
        body = self.journal.read(Position(self.position))[1]
        sized = JournalSource(self.journal, self.position, len(body))
        found = candidate_of(sized, settings, row.transfer_syntax_uid)
        return Candidate(
            sized,
            found.study_instance_uid,
            found.series_instance_uid,
            found.sop_instance_uid,
            row.transfer_syntax_uid,
            prefix_length=found.prefix_length,
            scan=found.scan,
            header=found.header,
            sha256=row.digest,
            journal=self.position,
            version=row.version,
            current=row.current,
        )
