"""From outcomes to the record: values by one sync for all that have ended, volumes once they are derived series."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

import pacscore
from pacscore.archive.derived_search import derived_since, last_position
from pacscore.bulk.functions import PipelineFunction
from pacscore.bulk.outcomes import Kind, Outcome, Status
from pacscore.bulk.performing import Job, describe
from pacscore.bulk.record import Record
from pacscore.errors import OperatorError, PacscoreError, RetryError

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

_TITLE_MAX = 64
_UNFIT = (PacscoreError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


class DerivedStore:
    """Settles outcomes: stores the volumes among them, one after the other, and records all.

    The archive is opened for writing when the first volume comes.
    """

    def __init__(self, job: Job, record: Record) -> None:
        self._job = job
        self._record = record
        self._archive: Archive | None = None

    def __enter__(self) -> DerivedStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._archive is not None:
            self._archive.close()
            self._archive = None

    def settle(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes as they are recorded."""
        settled: list[Outcome] = []
        volumes: list[Outcome] = []
        for outcome in outcomes:
            (volumes if outcome.kind is Kind.VOLUME else settled).append(outcome)
        self._record.add_outcomes(settled)
        for outcome in volumes:
            stored = self._stored(outcome)
            self._record.add_outcomes([stored])
            settled.append(stored)
        return settled

    def recovered(self, left: Collection[int]) -> Iterator[Outcome]:
        """Of items without an outcome, those whose series a killed run has stored and could not record any more."""
        for index, position in sorted(self._record.recorded.announced.items()):
            if index not in left:
                continue
            uid = derived_since(self._opened(), position, self._words(index))
            if uid is not None:
                outcome = Outcome(index, Status.DONE, uid, Kind.SERIES)
                self._record.add_outcomes([outcome])
                yield outcome

    def _stored(self, outcome: Outcome) -> Outcome:
        archive, volume = self._opened(), outcome.value
        self._record.announce(outcome.index, last_position(archive))
        named = replace(volume, derivation=(*volume.derivation, self._words(outcome.index)))
        try:
            series = archive.store_derived(named, description=self._title())
        except (OperatorError, RetryError):  # A full disk: that ends the run, which can be resumed.
            raise
        except _UNFIT as error:
            trace = "".join(traceback.format_exception(error))
            return replace(
                outcome, status=Status.FAILED, value=None, kind=Kind.VALUE, error=describe(error), trace=trace
            )
        return replace(outcome, value=series.series_instance_uid, kind=Kind.SERIES)

    def _words(self, index: int) -> str:
        """What the derivation of a stored volume ends with: by which function, in which run, for which item."""
        about = self._job.provenance
        return f"{about.function} ({about.source_sha256[:12]}), run {self._record.token} item {index}."

    def _title(self) -> str:
        function = self._job.function
        words = function.pipeline.description if isinstance(function, PipelineFunction) else ""
        words = words or self._job.provenance.function.rpartition(":")[2]
        return words if len(words) <= _TITLE_MAX else words[: _TITLE_MAX - 1] + "…"

    def _opened(self) -> Archive:
        if self._archive is None:
            self._archive = pacscore.open(self._job.archive, settings=self._job.settings)
        return self._archive
