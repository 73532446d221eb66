"""The archive: one value over store and catalog, through which everything goes in and out."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from pacscore.archive.layout import Layout, create_layout, read_layout, refuse_unsafe_platform
from pacscore.archive.noting import last_position, note_event
from pacscore.archive.report import (
    CollectReport,
    ExportReport,
    IngestReport,
    Progress,
    RebuildReport,
    Receipt,
    SealReport,
    VerifyReport,
    no_progress,
)
from pacscore.archive.reserving import reserve_room
from pacscore.archive.session import Session
from pacscore.errors import StorageFullError
from pacscore.filesystem import FileSystem, LocalFileSystem
from pacscore.settings import Settings

if TYPE_CHECKING:
    from pacscore.archive.instance import Instance
    from pacscore.archive.selection import Selection
    from pacscore.archive.series import Series
    from pacscore.imaging import Image, Volume
    from pacscore.imaging.masks import Mask

__all__ = ["Archive", "create", "open"]


class Archive:
    """An open archive. Threads share it freely; use it as a context manager.

    Make one with ``pacscore.create`` or ``pacscore.open``.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    def create(
        cls,
        path: Path | str,
        *,
        strategy: str = "balanced",
        settings: Settings | None = None,
        filesystem: FileSystem | None = None,
    ) -> Archive:
        """Make an empty archive and open it for writing; see ``pacscore.create``."""
        from pacscore.store.strategy import Strategy

        seam = filesystem or LocalFileSystem()
        create_layout(Path(path), strategy=Strategy.named(strategy).name, filesystem=seam)
        return cls.open(path, settings=settings, filesystem=seam)

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        read_only: bool = False,
        settings: Settings | None = None,
        filesystem: FileSystem | None = None,
    ) -> Archive:
        """Open an existing archive; see ``pacscore.open``."""
        layout = read_layout(Path(path))
        if not read_only:
            refuse_unsafe_platform()
        session = Session(
            layout,
            filesystem=filesystem or LocalFileSystem(),
            settings=settings or Settings.from_environment(),
            read_only=read_only,
        )
        try:
            if read_only:
                session.refresh()
            else:
                from pacscore.archive.collection import collect_superseded
                from pacscore.archive.recovery import recover

                recover(session)
                with suppress(StorageFullError):  # Room can only be made in an archive that opens.
                    collect_superseded(session)
        except BaseException:
            session.close()
            raise
        return cls(session)

    def close(self) -> None:
        """Give back locks and files. A second call does nothing."""
        self._session.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Archive({str(self.root)!r}{', read_only=True' if self._session.read_only else ''})"

    @property
    def root(self) -> Path:
        """Its folder."""
        return self._layout.root

    @property
    def format_version(self) -> int:
        """The version of the format it is written in."""
        return self._layout.format_version

    @property
    def strategy(self) -> str:
        """How new series are laid out unless told otherwise."""
        return self._layout.strategy

    @property
    def _layout(self) -> Layout:
        return self._session.layout

    # In.

    def ingest(self, *paths: Path | str, progress: Progress | None = None) -> IngestReport:
        """Take every DICOM object in files and folders, sealed and proven, series by series.

        What is in already is skipped, so an interrupted ingest is simply run again.

        Raises
        ------
        StorageError
            A path does not exist, or the disk refused a write. What was committed before stays in.
        ReadOnlyError
            The archive was opened for reading.
        """
        from pacscore.archive.ingest import ingest_files

        report = ingest_files(self._session, tuple(map(Path, paths)), progress or no_progress)
        self.collect()
        return report

    def receive(
        self,
        data: builtins.bytes | BinaryIO | Iterable[builtins.bytes],
        *,
        transfer_syntax: str | None = None,
        source: str | None = None,
        stated: tuple[str, str] | None = None,
    ) -> Receipt:
        """Take one object, durably: it is in the journal and findable when this returns (promise 1).

        Parameters
        ----------
        data
            The object, a file open for reading in binary mode, or its pieces in order.
        transfer_syntax
            UID of the syntax of a data set without file meta, as a network peer states it. Such an object gets a
            fixed, deterministic preamble and file meta; ``Instance.dataset_bytes()`` gives what came.
        source, stated
            Who sent it, for the journal; SOP Class UID and SOP Instance UID that the sender says it has.

        Raises
        ------
        MismatchError, StorageFullError, DurabilityError
            It is not stored: it has other UIDs than ``stated``, or the disk refused.
        """
        from pacscore.archive.receiving import Said, receive_object

        return receive_object(self._session, data, Said(source, transfer_syntax, stated))

    def seal(self, *, progress: Progress | None = None, only: Collection[str] | None = None) -> SealReport:
        """Lay out every series, or ``only`` those of these UIDs, that has received objects; then free their space."""
        from pacscore.archive.receiving import seal_received

        report = seal_received(self._session, progress or no_progress, only=only)
        self.collect()
        return report

    def reseal(self, strategy: str, *, progress: Progress | None = None, **match: Any) -> SealReport:
        """Lay out every series that matches again, by another strategy; readers keep the generation they opened.

        Raises
        ------
        InputError
            There is no such strategy.
        """
        from pacscore.archive.receiving import reseal

        report = reseal(self._session, match, strategy, progress or no_progress)
        self.collect()
        return report

    def store_derived(self, result: Volume | Image, *, description: str) -> Series:
        """Store a computed volume or picture as a new DICOM series with references to its sources, or nothing of it.

        A picture (``reslice``, ``project``, ``render``) becomes a series of one object in its place. Colour, and what
        has no place in space, is Secondary Capture. Integers of at most 16 bits come back as they are; floats are
        quantised, and Derivation Description says by how much that changes them at most. It names all instances
        that it was made from, and has their patient and study; without any it gets a study of its own.

        Raises
        ------
        GeometryError
            A volume has no affine, so no positions can be written.
        AmbiguousError
            It has further axes, or several series hold its sources.
        NotFoundError
            A source is not in the archive.
        InputError
            Its values (NaN, infinity, wide integers) or the description cannot be stored.
        """
        from pacscore.archive.derived import store_derived

        return store_derived(self._session, result, description=description)

    def find(
        self,
        level: str = "series",
        *,
        order: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        **match: Any,
    ) -> Iterator[dict[str, Any]]:
        """What matches, as mappings by DICOM keyword.

        Parameters
        ----------
        level
            ``patient``, ``study``, ``series`` or ``instance``.
        order, limit, after
            A keyword to sort by (``-`` before it for descending); at most so many; the position to go on from, which
            the result's ``after`` attribute gives.
        **match
            DICOM keyword, ``ggggeeee``, nested ``A.B`` or private ``CREATOR:ggggxxee`` to value (PS3.4 C.2.2.2):
            ``Modality="CT"``, ``StudyDate="20200101-"``, ``PatientName="*müller*"``. Values that are no names of Python
            go through ``**{...}``. ``geometry="regular"`` asks for a verdict. "" asks for an attribute back.

        Raises
        ------
        QueryError
            A key or value has no meaning at this level.
        """
        from pacscore.archive.finding import find

        return find(self._session, level, match, order=order, limit=limit, after=after)

    def select(self, level: str = "series", **match: Any) -> Selection:
        """What matches now, as a plain value that stays what it is: query and generations."""
        from pacscore.archive.selection import Selection

        return Selection.of(self, level, match)

    def series(self, series_instance_uid: str, study_instance_uid: str | None = None) -> Series:
        """A series as it is now.

        Raises
        ------
        NotFoundError, AmbiguousError
            There is none; two studies hold one of this UID and none was named.
        """
        from pacscore.archive.series import Series

        self._session.refresh()
        return Series(self._session, self._session.catalog.series(series_instance_uid, study_instance_uid))

    def instance(
        self,
        sop_instance_uid: str,
        series: str | None = None,
        version: int | None = None,
        *,
        study: str | None = None,
    ) -> Instance:
        """One object: its current version, or the one asked for.

        Raises
        ------
        NotFoundError
            There is none.
        AmbiguousError
            Several series hold that UID; name one, and its study where two studies hold it.
        """
        from pacscore.archive.finding import find_instance

        self._session.refresh()
        return find_instance(self._session, sop_instance_uid, series=series, study=study, version=version)

    def masks(self, volume: Volume, *, kind: str | None = None) -> tuple[Mask, ...]:
        """What SEG and RTSTRUCT objects of the volume's patient delineate in its frame of reference, on its grid.

        Parameters
        ----------
        volume
            Of this archive, or made from one; without further axes. ``volume.statistics(mask=…)`` takes each of them.
        kind
            ``SEG`` or ``RTSTRUCT``; both unless told.

        Raises
        ------
        GeometryError, AmbiguousError, InputError, NotFoundError
            No affine, Frame of Reference UID or second slice; further axes; no instances or kind; they are elsewhere.
        """
        from pacscore.archive.masks import masks_on

        return masks_on(self._session, volume, kind=kind)

    def export(self, out: Path | str, *, progress: Progress | None = None, **match: Any) -> ExportReport:
        """Write the originals of every object that matches below ``out``; existing files are never replaced."""
        from pacscore.archive.export import export_originals

        return export_originals(self._session, Path(out), match, progress or no_progress)

    def verify(self, *, progress: Progress | None = None) -> VerifyReport:
        """Hash every object and check every structure; change nothing, report every finding."""
        from pacscore.archive.verify import verify_archive

        return verify_archive(self._session, progress or no_progress)

    def collect(self) -> CollectReport:
        """Let superseded generations go whose grace time (``Settings.grace_seconds``) is over.

        ``ingest``, ``seal``, ``reseal`` and opening for writing do so by themselves. Each has a successor that holds
        every object of it, and an event says that it goes before it does. Nothing goes while somebody holds a shared
        lock on ``collection.lock``, as a backup does. Who reads from one goes on reading.
        """
        from pacscore.archive.collection import collect_superseded

        return collect_superseded(self._session)

    def rebuild(self, *, progress: Progress | None = None) -> RebuildReport:
        """Make the catalog anew from storage alone (promise 5).

        A published file that no event names, as a backup or a mended log can leave, is proven and committed first.
        """
        from pacscore.archive.rebuild import rebuild_catalog

        return rebuild_catalog(self._session, progress or no_progress)

    def events(self, after: str | None = None) -> Iterator[Mapping[str, Any]]:
        """What happened, oldest first, each with the ``position`` to go on from; at least once, in order per series."""
        from pacscore.archive.events import read_events

        return read_events(self._session, after)

    reserve = reserve_room
    note = note_event
    last_position = last_position

    def stats(self) -> dict[str, Any]:
        """How much there is, by modality and geometry verdict."""
        from pacscore.archive.stats import summarise

        return summarise(self._session)


def create(path: Path | str, *, strategy: str = "balanced", settings: Settings | None = None) -> Archive:
    """Make a new, empty archive and open it for writing.

    Parameters
    ----------
    path
        A folder that does not exist yet, or is empty.
    strategy
        How series are laid out: ``balanced``, ``frames``, ``bricks``, ``archive`` or ``part10``.

    Raises
    ------
    InputError
        The folder is not empty, or there is no such strategy.
    """
    return Archive.create(path, strategy=strategy, settings=settings)


def open(path: Path | str, *, read_only: bool = False, settings: Settings | None = None) -> Archive:
    """Open an archive.

    Opening for writing recovers what a crash left behind and brings the catalog up to date. Opening with ``read_only``
    takes no lock and writes nothing in the archive.

    Raises
    ------
    NotFoundError
        The folder holds no archive.
    FormatVersionError
        A newer pacscore wrote it; the message names the version it needs.
    """
    return Archive.open(path, read_only=read_only, settings=settings)
