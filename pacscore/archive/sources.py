"""Objects that are in the archive already, as sources: so that a new generation can take them over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pacscore.archive.candidates import BytesSource, Candidate, candidate_of
from pacscore.catalog import ReceivedRow
from pacscore.errors import NotFoundError
from pacscore.store.generation import Generation
from pacscore.store.positions import Position

if TYPE_CHECKING:
    from pacscore.archive.session import Session


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

    def buffer(self) -> bytes:
        """The whole object, reassembled."""
        return self.read()

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
    """One record of the journal, and once another writer has sealed and retired it, the same object in the store.

    So what was opened before an object was sealed reads it afterwards too (promise 9).
    """

    session: Session
    row: ReceivedRow
    prefix: bytes = b""

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.row.length

    def read(self) -> bytes:
        """The whole object."""
        return bytes(self._read())

    def buffer(self) -> bytes | memoryview:
        """The whole object, mapped where it lies in a file of its own."""
        return self._read()

    def head(self, length: int) -> bytes:
        """Its first bytes."""
        return bytes(self._read()[:length])

    def candidate(self) -> Candidate:
        """The object as a candidate that knows what the archive decided on receipt."""
        row = self.row
        found = candidate_of(BytesSource(self.read()), self.session.settings, row.transfer_syntax_uid)
        return Candidate(
            replace(self, prefix=found.source.head(found.prefix_length)),
            found.study_instance_uid,
            found.series_instance_uid,
            found.sop_instance_uid,
            row.transfer_syntax_uid,
            prefix_length=found.prefix_length,
            scan=found.scan,
            header=found.header,
            sha256=row.digest,
            journal=row.position,
            version=row.version,
            current=row.current,
        )

    def _read(self) -> bytes | memoryview:
        try:
            return self.session.journal.read(Position(self.row.position))[1]
        except NotFoundError:
            sealed = self._sealed()
            if sealed is None:
                raise
            return sealed.read()

    def _sealed(self) -> SealedSource | None:
        self.session.follow()
        locator = self.session.catalog_generation(self.row.key)
        if locator is None:
            return None
        generation = self.session.generation(locator)
        manifest = generation.manifest
        for ordinal, uid in enumerate(manifest.sop_instance_uids):
            if uid == self.row.sop_instance_uid and manifest.sha256(ordinal) == self.row.digest:
                source = SealedSource(generation, ordinal)
                if source.head(len(self.prefix)) == self.prefix:
                    return source
        return None
