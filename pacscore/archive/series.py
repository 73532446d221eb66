"""One series as it is now: its instances, its stacks, its volumes.

The answers are equal before, during and after sealing (promise 9): what is sealed is read from the generation, what
waits in the journal is stacked on the fly from the received objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from pacscore.archive.altered import count_waiting, with_counts
from pacscore.archive.candidates import Candidate
from pacscore.archive.copies import open_copy
from pacscore.archive.frames import (
    FrameLocator,
    FrameReader,
    FrameSource,
    SealedFrames,
    WaitingFrames,
    decoded_description,
)
from pacscore.archive.planning import SERIES_ROW_KEYWORDS, plan_series
from pacscore.archive.records import SeriesRecord, StackRecord
from pacscore.archive.sealing import gather
from pacscore.archive.sources import SealedSource
from pacscore.catalog import StoredSeries
from pacscore.dicom.colour import Palette, to_rgb
from pacscore.dicom.pixels import PixelDescription
from pacscore.errors import NotFoundError
from pacscore.imaging import ArraySource, Volume
from pacscore.imaging.values import MONOCHROME
from pacscore.parallel import lazy_property
from pacscore.settings import Settings
from pacscore.store.generation import Generation
from pacscore.store.strategy import Strategy

if TYPE_CHECKING:
    from pacscore.archive.instance import Instance
    from pacscore.archive.session import Session


@dataclass(frozen=True, slots=True)
class Member:
    """One object of a series."""

    ordinal: int
    candidate: Candidate

    @property
    def sop_instance_uid(self) -> str:
        """Its name."""
        return self.candidate.sop_instance_uid


class Series:
    """A series, held as it was when it was opened: later generations do not change it (promise 4)."""

    def __init__(self, session: Session, stored: StoredSeries) -> None:
        self._session = session
        self._stored = stored

    def __repr__(self) -> str:
        return f"Series({self.series_instance_uid}, {len(self.members)} objects, {len(self.stacks)} stacks)"

    @property
    def study_instance_uid(self) -> str:
        """Of its study."""
        return self._stored.study_instance_uid

    @property
    def series_instance_uid(self) -> str:
        """Its name."""
        return self._stored.series_instance_uid

    @property
    def key(self) -> str:
        """The archive's own name for it: 32 hexadecimal digits."""
        return self._stored.key

    @property
    def settings(self) -> Settings:
        """Those of the open archive."""
        return self._session.settings

    @property
    def generation(self) -> str:
        """Where the sealed part lies, relative to the archive; "" when nothing is sealed yet."""
        return self._stored.generation or ""

    @property
    def state(self) -> str:
        """``journal``, ``sealed``, or ``both``: late instances wait."""
        return self._stored.state

    @property
    def verdict(self) -> str:
        """The geometry verdict of the series."""
        return self._record.verdict

    @lazy_property
    def document(self) -> Mapping[str, Any]:
        """The attributes that all its instances share, by DICOM keyword."""
        return dict(self._stored.document)

    @property
    def stacks(self) -> tuple[StackRecord, ...]:
        """Its stacks, in a fixed order."""
        return self._record.stacks

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The current version of every object, in stack order."""
        from pacscore.archive.instance import Instance

        return tuple(Instance(self, each.ordinal) for each in self.members if each.candidate.current)

    @property
    def all_versions(self) -> tuple[Instance, ...]:
        """Every object, versions that are not current included."""
        from pacscore.archive.instance import Instance

        return tuple(Instance(self, each.ordinal) for each in self.members)

    def volume(self, stack: int = 0, *, at: Mapping[str, int] | None = None) -> Volume:
        """A stack as a volume that reads lazily.

        Parameters
        ----------
        stack
            Which of ``stacks``.
        at
            Index along each extra axis by name, for example ``{"time": 3}``; None keeps the axes.

        Raises
        ------
        NotFoundError
            There is no such stack.
        """
        if not 0 <= stack < len(self.stacks):
            raise NotFoundError(
                f"series {self.series_instance_uid} has {len(self.stacks)} stacks, none of number {stack}.",
                uid=self.series_instance_uid,
            )
        record = self.stacks[stack]
        uids = self._sop_instance_uids
        volume = Volume(
            self.array_source(stack),
            record.geometry,
            record.values.stored,
            record.values.rescale,
            record.values.presentation,
            record.axes,
            tuple(uids[instance] for instance in record.frames[:, 0].tolist()),
            self._colour(record),
        )
        return volume.at(at) if at else volume

    def array_source(self, stack: int = 0) -> ArraySource:
        """The words of a stack."""
        record = self.stacks[stack]
        if record.array >= 0 and self._stored.state == "sealed":
            return self._opened.array_source(record.array)
        if self._stored.state == "sealed":
            copy = open_copy(self._session, self.generation, stack)
            if copy is not None:
                return copy
        root, (file, _, prefix) = self._session.layout.root, self.generation.partition("#")
        sealed = self._stored.state == "sealed"
        locator = FrameLocator(str(root / file), prefix, stack, self.settings) if sealed else (str(root), "", stack)
        return FrameSource(record, self.frames, locator, threads=self.settings.threads())

    def as_dict(self) -> dict[str, Any]:
        """A summary for JSON."""
        return {
            "study_instance_uid": self.study_instance_uid,
            "series_instance_uid": self.series_instance_uid,
            "state": self._stored.state,
            "generation": self.generation,
            "strategy": self._stored.strategy,
            "instances": sum(each.candidate.current for each in self.members),
            "objects": len(self.members),
            "bytes": sum(each.candidate.source.size for each in self.members),
            "geometry": self.verdict,
            "stacks": [
                {
                    "kind": record.kind,
                    "axes": [axis.as_dict() for axis in record.axes],
                    "shape": list(record.shape),
                    "dtype": record.dtype,
                    "spacing_mm": list(record.geometry.spacing_mm) if record.geometry.spacing_mm else None,
                    "index_to_lps": None
                    if record.geometry.index_to_lps is None
                    else record.geometry.index_to_lps.tolist(),
                    "verdict": str(record.geometry.verdict),
                    "findings": [finding.as_dict() for finding in record.geometry.findings],
                }
                for record in self.stacks
            ],
        }

    @lazy_property
    def members(self) -> tuple[Member, ...]:
        """Every object, versions that are not current included."""
        if self._stored.state != "sealed":
            candidates: Iterable[Candidate] = self._waiting[1]
        else:
            count = self._opened.manifest.object_count
            candidates = (SealedSource(self._opened, ordinal).candidate() for ordinal in range(count))
        return tuple(Member(ordinal, candidate) for ordinal, candidate in enumerate(candidates))

    @property
    def _sop_instance_uids(self) -> Sequence[str]:
        """Of each object; of a sealed series without making thousands of members for a volume that reads one plane."""
        if self._stored.state == "sealed":
            return self._opened.manifest.sop_instance_uids
        return [each.sop_instance_uid for each in self.members]

    @lazy_property
    def frames(self) -> FrameReader:
        """Reads frames of its objects."""
        if self._stored.state == "sealed":
            return SealedFrames(self._opened, self._session.settings)
        return WaitingFrames([each.candidate for each in self.members], self._session.settings)

    @lazy_property
    def _opened(self) -> Generation:
        """The sealed part, kept open from the first use: it may be superseded and collected while it is read."""
        return self._session.generation(self.generation)

    @lazy_property
    def _record(self) -> SeriesRecord:
        if self._stored.state == "sealed":
            manifest = self._opened.manifest
            return with_counts(SeriesRecord.from_dict(manifest.catalog), manifest.altered)
        return self._waiting[0]

    @cached_property  # Not lazy_property: making this plan twice would cost more than waiting.
    def _waiting(self) -> tuple[SeriesRecord, list[Candidate]]:
        """The series as it would be sealed now, and its objects in the journal and in the generation they add to.

        The last one is kept for all who open the series while nothing comes to it: as who fetches it object by object.
        """
        rows = self._session.catalog.received(self._stored.key)
        parent = self._session.catalog_generation(self._stored.key)
        state = self._stored.key, parent, tuple((row.position, row.version, row.current) for row in rows)
        kept = self._session.last_waiting
        if kept is None or kept[0] != state:
            kept = self._session.last_waiting = state, self._planned()
        return kept[1]

    def _planned(self) -> tuple[SeriesRecord, list[Candidate]]:
        gathered = gather(self._session, self._stored.key, ())
        if not gathered.members:  # All it has are records that cannot be read.
            return SeriesRecord.of((), (), varying=()), []
        plan, ordered = plan_series(
            gathered.members,
            key=self._stored.key,
            parent=gathered.parent,
            strategy=Strategy.named(self._session.layout.strategy),
            settings=self._session.settings,
            wanted=SERIES_ROW_KEYWORDS,
        )
        counts = count_waiting(plan, ordered, self.settings)
        return with_counts(SeriesRecord.from_dict(plan.catalog), counts.__getitem__), ordered

    def _colour(self, record: StackRecord) -> Any:
        """How a stored colour frame becomes RGB, None where it is grey or RGB already."""
        presentation = record.values.presentation
        if presentation.photometric in {*MONOCHROME, "RGB"}:
            return None
        ordinal, frame_index = record.frames[0].tolist()
        pixels = self.frames.pixels(ordinal)
        described = decoded_description(self.frames, ordinal, frame_index)
        return partial(
            _frame_to_rgb, description=described, syntax=pixels.transfer_syntax_uid, palette=pixels.palette()
        )


def _frame_to_rgb(
    frame: NDArray[Any], *, description: PixelDescription, syntax: str, palette: Palette | None
) -> NDArray[Any]:
    return to_rgb(frame, description, syntax, palette)
