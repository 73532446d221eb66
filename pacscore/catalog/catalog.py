"""The catalog's door: everything another room may ask of it.

It is derived from journal and store (promise 5): a lost row is written again by whoever follows them, and
`Catalog.positions` says from where. One writer at a time in a process; readers any number, in any thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Event
from types import TracebackType

from sqlalchemy import Connection

from pacscore.catalog import (
    dialect,
    finding,
    instances,
    keys,
    loading,
    migrations,
    paging,
    reading,
    schema,
    superseded,
    writing,
)
from pacscore.catalog.attributes import Level
from pacscore.catalog.connections import Connections
from pacscore.catalog.consensus import Consensus, merge
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
from pacscore.catalog.writing import SeriesState
from pacscore.errors import NotFoundError, QueryError
from pacscore.settings import Settings

_STATE_COUNT_MAX = 4096
_UPSERT_POSITION = dialect.upsert(schema.position)


class Catalog:
    """What there is: studies, series and instances, in SQL.

    Use `Catalog.open`, and as a context manager.
    """

    def __init__(self, path: Path, *, read_only: bool, settings: Settings) -> None:
        self.path = path
        self.read_only = read_only
        self.settings = settings
        self._connections = Connections(path, read_only=read_only)
        self._reading = self._connections.reading
        self._transaction = self._connections.transaction
        self._states: dict[str, SeriesState] = {}
        self._states_of_connection: Connection | None = None
        self._seen_version = -1

    @classmethod
    def open(cls, path: Path | str, *, read_only: bool = False, settings: Settings | None = None) -> Catalog:
        """Open the catalog, making or migrating it unless ``read_only``.

        Raises
        ------
        NotFoundError
            ``read_only`` and there is none.
        FormatVersionError
            It was made by a newer pacscore; or ``read_only`` and it was made by an older one.
        """
        place = Path(path)
        if read_only and not place.exists():
            raise NotFoundError("There is no catalog here. Rebuild it from the archive.", path=str(place))
        catalog = cls(place, read_only=read_only, settings=settings or Settings())
        try:
            with catalog._reading() as connection:
                if read_only:
                    migrations.check_readable(migrations.version_of(connection))
                else:
                    migrations.migrate(connection)
        except BaseException:
            catalog.close()
            raise
        return catalog

    def close(self) -> None:
        """Close every connection. Harmless when repeated."""
        self._connections.close()
        self._states.clear()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Writing.

    def put_received(self, rows: Sequence[ReceivedRow], *, positions: Mapping[str, str] | None = None) -> None:
        """Add instances of the journal, in one transaction; rows already there are replaced.

        ``positions`` are set in the same transaction. Cost: about 45 µs a row in batches of 100.
        """
        with self._transaction() as connection:
            states = self._states_of(connection, [(r.key, r.study_instance_uid, r.series_instance_uid) for r in rows])
            consensus = {key: state.consensus for key, state in states.items()}
            for row in rows:
                consensus[row.key] = merge(consensus[row.key], row.sop_instance_uid, writing.stated(row.document))
            changed = [each for key, each in states.items() if each.new or consensus[key] is not each.consensus]
            if changed:
                writing.place(connection, [(state, consensus[state.key], None) for state in changed])
            instances.write_received(connection, [(states[row.key].id, row) for row in rows])
            instances.note_classes(connection, [(states[row.key], row.sop_class_uid) for row in rows])
            self._set_positions(connection, positions)

    def put_series(
        self,
        entries: Sequence[tuple[SeriesRow, InstanceColumns]],
        *,
        retired: Sequence[str] = (),
        replaced: Sequence[Superseded] = (),
        collected: Sequence[str] = (),
        positions: Mapping[str, str] | None = None,
    ) -> None:
        """Replace the sealed part of each series, in one transaction.

        ``retired`` are the journal positions whose instances are sealed now; what else the journal holds of a series
        stays. ``replaced`` are generations that are no head any more, ``collected`` files of which the event log says
        that they go. ``positions`` (that of the event log) are set in the same transaction.
        """
        with self._transaction() as connection:
            touched = instances.retire(connection, retired)
            self._put_series(connection, entries)
            instances.count_waiting(connection, touched)
            self._drop_empty(connection, touched)
            superseded.note(connection, replaced)
            superseded.mark_collected(connection, collected)
            self._set_positions(connection, positions)

    def forget_superseded(self, files: Sequence[str]) -> None:
        """Forget the superseded generations of files that are gone."""
        with self._transaction() as connection:
            superseded.forget(connection, files)

    def remove_series(self, keys: Sequence[str], *, positions: Mapping[str, str] | None = None) -> None:
        """Forget series, their instances in the journal included."""
        with self._transaction() as connection:
            self._states.clear()
            states = writing.read_states(connection, list(keys))
            writing.remove(connection, list(states.values()))
            self._set_positions(connection, positions)

    def retire(self, journal_positions: Sequence[str]) -> None:
        """Forget instances of the journal, such as duplicates found late; a series left without any goes too."""
        with self._transaction() as connection:
            self._states.clear()
            touched = instances.retire(connection, journal_positions)
            instances.count_waiting(connection, touched)
            self._drop_empty(connection, touched)

    def set_verdicts(self, verdicts: Mapping[str, str]) -> None:
        """Note the geometry verdicts, by series key, of series that have instances in the journal."""
        with self._transaction() as connection:
            writing.write_verdicts(connection, verdicts)

    def set_position(self, name: str, token: str) -> None:
        """Note how far the log ``name`` has been followed."""
        with self._transaction() as connection:
            self._set_positions(connection, {name: token})

    def bulk_load(self, entries: Iterable[tuple[SeriesRow, InstanceColumns]]) -> int:
        """`put_series` for very many, in one transaction; how many there were.

        The search indexes are made anew at the end, so this pays from about a tenth of what the catalog holds.
        """
        with self._transaction() as connection, dialect.bulk(connection) as bulk:
            return loading.load(connection, entries, bulk, put_known=self._put_series)

    # Reading.

    def positions(self) -> dict[str, str]:
        """How far each log has been followed: ``events``, ``journal:<slot>``, whatever was set."""
        with self._reading() as connection:
            rows = connection.exec_driver_sql("SELECT name, token FROM position").fetchall()
        return {str(name): str(token) for name, token in rows}

    def journal_positions(self) -> set[str]:
        """The positions of all instances that are known to lie in the journal."""
        with self._reading() as connection:
            return reading.journal_positions(connection)

    def lookup(self, sop_instance_uid: str) -> tuple[Location, ...]:
        """Where an instance lies: every version of it, in every series; empty when it is not here."""
        return self.lookup_many([sop_instance_uid])[sop_instance_uid]

    def lookup_many(self, sop_instance_uids: Sequence[str]) -> dict[str, tuple[Location, ...]]:
        """`lookup` for many at once."""
        with self._connections.looking() as connection:
            return instances.locate(connection, sop_instance_uids)

    def series(self, series_instance_uid: str, study_instance_uid: str | None = None) -> StoredSeries:
        """The series of that UID.

        Raises
        ------
        NotFoundError
            There is none.
        AmbiguousError
            Two studies hold one; give ``study_instance_uid``.
        """
        where, values = "WHERE series_instance_uid = ?", [series_instance_uid]
        if study_instance_uid is not None:
            where, values = f"{where} AND study_instance_uid = ?", [series_instance_uid, study_instance_uid]
        return reading.only_one(self._stored(where, values), series_instance_uid)

    def series_by_key(self, key: str) -> StoredSeries | None:
        """The series of that key, if it is here."""
        found = self._stored("WHERE key = ?", [key])
        return found[0] if found else None

    def waiting(self) -> tuple[StoredSeries, ...]:
        """The series that have instances in the journal, in the order of their keys."""
        return self._stored("WHERE journal_count > 0 ORDER BY key", [])

    def received(self, key: str) -> tuple[ReceivedRow, ...]:
        """The instances of a series that lie in the journal, in the order of SOP Instance UID and version."""
        with self._reading() as connection:
            return reading.received(connection, key)

    def find(
        self,
        level: Level | str,
        match: Mapping[str, Value] | None = None,
        *,
        order: str | Sequence[str] | None = None,
        limit: int | None = None,
        after: str | None = None,
        combined: bool = False,
        instance_documents: InstanceDocuments | None = None,
        cancel: Event | None = None,
    ) -> Found:
        """What matches, as mappings by DICOM keyword (PS3.4 C.2.2.2), in the order that ``paging`` states.

        Parameters
        ----------
        match
            Query keys of any level (``keys``) and ``geometry``; "" or None asks for the key to be returned.
        order
            Keywords of attributes that have a column, each with a leading ``-`` to turn it round.
        after
            The ``Found.after`` of an earlier find with the same level and order.
        combined
            A date and its time asked together are one range, not two.
        instance_documents
            Given a series key and top-level keywords, the documents of its current instances. Needed at instance
            level, and for exact answers from keys without a column where a series has instances in the journal.
        cancel
            Set it, from any thread, to stop with `CancelledError`.

        Raises
        ------
        QueryError
            An unknown level or key, a value without meaning for its key, an ``after`` of another find.
        """
        try:
            asked = Level(level)
        except ValueError as error:
            raise QueryError("level must be patient, study, series or instance.", found=str(level)) from error
        terms = paging.terms_of(order, asked)
        place = None
        if after is not None:
            place = tuple(paging.place_values(after, asked, terms, more=2 if asked is Level.INSTANCE else 0))
        return finding.run(
            finding.Search(
                read=self._reading,
                look=self._connections.looking,
                query=keys.parse(match or {}),
                level=asked,
                terms=terms,
                default_order=not order or terms[0].name == "date",
                combined=combined,
                limit=limit,
                place=place,
                instance_documents=instance_documents,
                cancel=cancel,
                page_rows=self.settings.page_rows_max,
            )
        )

    def superseded(self) -> tuple[Superseded, ...]:
        """The generations that are no head any more and whose files are not known to be gone, by file."""
        with self._reading() as connection:
            return superseded.read(connection)

    def generations(self) -> dict[str, str]:
        """The head of each series that has one, by series key."""
        with self._reading() as connection:
            return reading.generations(connection)

    def counts(self) -> Counts:
        """How much there is."""
        with self._reading() as connection:
            return reading.counts(connection)

    def digest(self) -> str:
        """A hash of all that the catalog says, equal for equal catalogs however they came to be.

        Positions are left out. Reads everything: about 50 µs a series.
        """
        with self._reading() as connection:
            return reading.digest(connection)

    def _stored(self, where: str, values: Sequence[str]) -> tuple[StoredSeries, ...]:
        with self._connections.looking() as connection:
            return reading.stored(connection, where, values)

    # Writing, in a transaction.

    def _states_of(self, connection: Connection, series: Sequence[tuple[str, str, str]]) -> dict[str, SeriesState]:
        """The state of each series, new ones included; kept between calls while no other connection writes.

        Another connection than last time means that its transaction failed, or a fork: what was kept may not be so.
        """
        version = dialect.data_version(connection)
        is_known = connection is self._states_of_connection and version == self._seen_version
        if not is_known or len(self._states) > _STATE_COUNT_MAX:
            self._states.clear()
            self._states_of_connection, self._seen_version = connection, version
        wanted = {key: (key, study, uid) for key, study, uid in series}
        missing = [key for key in wanted if key not in self._states]
        if missing:
            self._states.update(writing.read_states(connection, missing))
            number = writing.next_series_id(connection)
            for key in missing:
                if key not in self._states:
                    _, study, uid = wanted[key]
                    self._states[key] = SeriesState(number, key, study, uid, 0, Consensus(), new=True)
                    number += 1
        return {key: self._states[key] for key in wanted}

    def _put_series(self, connection: Connection, entries: Sequence[tuple[SeriesRow, InstanceColumns]]) -> None:
        for _, columns in entries:
            instances.check_columns(columns)
        states = self._states_of(connection, [(r.key, r.study_instance_uid, r.series_instance_uid) for r, _ in entries])
        old = [state for state in states.values() if not state.new]
        changes: list[tuple[SeriesState, Consensus, Document | None]] = []
        for row, columns in entries:
            state = states[row.key]
            state.sealed, state.instance_count = row, instances.current_count(columns)
            source = row.stated_by or min(columns.sop_instance_uids, default="")
            consensus = merge(Consensus(), source, writing.stated(row.document))
            if not state.new:
                for uid, document in instances.waiting_documents(connection, state.id):
                    consensus = merge(consensus, uid, writing.stated(document))
            changes.append((state, consensus, row.document))
        writing.place(connection, changes)
        writing.write_sealed(connection, old)
        instances.write_instances(
            connection, [(states[row.key].id, columns) for row, columns in entries], replace=bool(old)
        )
        instances.count_waiting(connection, [state.id for state in old])
        for state in states.values():
            state.sealed = None
            state.classes.clear()  # They are written anew.

    def _set_positions(self, connection: Connection, positions: Mapping[str, str] | None) -> None:
        dialect.run_many(connection, _UPSERT_POSITION, list((positions or {}).items()))

    def _drop_empty(self, connection: Connection, series_ids: Iterable[int]) -> None:
        gone = writing.read_empty(connection, series_ids)
        if gone:
            self._states.clear()
            writing.remove(connection, gone)
