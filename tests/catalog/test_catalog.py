"""What is written is found again, in whatever order it came."""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from catalog_rows import CT, document_of, key_of, received, sealed
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from pacscore.catalog import Catalog, InstanceColumns, dialect, instances
from pacscore.errors import AmbiguousError, FormatVersionError, InputError, NotFoundError, ReadOnlyError


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "catalog.sqlite") as opened:
        yield opened


def test_received_instances_are_located_and_counted(catalog: Catalog) -> None:
    catalog.put_received([received("1.2", "1.2.1", number) for number in range(5)], positions={"journal:0": "p5"})

    (location,) = catalog.lookup("1.2.1.3")
    assert (location.position, location.generation, location.version) == ("0:1:1.2.1.3", None, 1)
    assert location.digest == received("1.2", "1.2.1", 3).digest
    assert catalog.lookup("9.9") == ()
    counts = catalog.counts()
    assert (counts.patients, counts.studies, counts.series, counts.instances) == (1, 1, 1, 5)
    assert (counts.journal_instances, counts.bytes_original) == (5, 5000)
    assert catalog.positions() == {"journal:0": "p5"}


def test_receiving_a_row_twice_changes_nothing(catalog: Catalog) -> None:
    rows = [received("1.2", "1.2.1", number) for number in range(3)]
    catalog.put_received(rows)
    before = catalog.digest()

    catalog.put_received(rows)

    assert catalog.digest() == before
    kept = catalog.received(key_of("1.2", "1.2.1"))
    assert [(row.position, row.digest, row.length) for row in kept] == [(r.position, r.digest, r.length) for r in rows]
    assert dict(kept[0].document) == {key: value for key, value in rows[0].document.items() if key != "KVP"}


def test_sealing_moves_instances_from_the_journal_to_the_generation(catalog: Catalog) -> None:
    rows = [received("1.2", "1.2.1", number) for number in range(4)]
    catalog.put_received(rows)

    catalog.put_series([sealed("1.2", "1.2.1", 4)], retired=[row.position for row in rows], positions={"events": "e1"})

    (location,) = catalog.lookup("1.2.1.3")
    assert (location.position, location.ordinal, location.generation) == (
        None,
        3,
        sealed("1.2", "1.2.1", 4)[0].generation,
    )
    assert catalog.series("1.2.1").state == "sealed"
    assert catalog.counts().journal_instances == 0
    assert catalog.counts().instances == 4
    assert catalog.waiting() == ()
    assert catalog.positions()["events"] == "e1"


def test_instances_that_arrive_while_sealing_stay_in_the_journal(catalog: Catalog) -> None:
    catalog.put_received([received("1.2", "1.2.1", number) for number in range(4)])

    catalog.put_series([sealed("1.2", "1.2.1", 3)], retired=[f"0:1:1.2.1.{number}" for number in range(3)])

    series = catalog.series("1.2.1")
    assert (series.state, series.instance_count, series.journal_count) == ("both", 4, 1)
    assert [row.sop_instance_uid for row in catalog.received(series.key)] == ["1.2.1.3"]
    assert catalog.waiting() == (series,)


def test_any_order_of_arrival_gives_an_equal_catalog(tmp_path: Path) -> None:
    rows = [
        received(f"1.{study}", f"1.{study}.{series}", number, StudyDescription=text, PatientID=patient, StudyID=number_)
        for study, series, number, text, patient, number_ in [
            (1, 1, 1, "A", "P1", None), (1, 1, 2, "B", "P1", "S"), (1, 2, 1, None, "P1", "T"),
            (1, 3, 1, "C", "P2", "U"),
            (2, 1, 1, "A", "P1", None), (2, 1, 2, "A", None, "V"), (2, 2, 1, "D", "P3", "W"), (2, 1, 0, "X", "P9", "X"),
        ]
    ]  # fmt: skip
    digests = set()
    for seed in range(12):
        shuffled = random.Random(seed).sample(rows, len(rows))
        with Catalog.open(tmp_path / f"{seed}.sqlite") as catalog:
            for at in range(0, len(rows), 1 + seed % 3):
                catalog.put_received(shuffled[at : at + 1 + seed % 3])
            digests.add(catalog.digest())

    assert len(digests) == 1


def test_a_catalog_made_anew_from_the_end_state_is_equal_to_the_one_that_grew(tmp_path: Path) -> None:
    entries = [sealed("1.2", f"1.2.{number}", 3, document_of(StudyID=str(number))) for number in range(4)]
    with Catalog.open(tmp_path / "grown.sqlite") as grown, Catalog.open(tmp_path / "made.sqlite") as made:
        for row, columns in entries:
            received_rows = [received("1.2", row.series_instance_uid, number) for number in range(3)]
            grown.put_received(received_rows)
            grown.put_series([(row, columns)], retired=[one.position for one in received_rows])
        made.put_series(entries[::-1])

        assert grown.digest() == made.digest()


def test_a_late_instance_changes_a_sealed_series_as_sealing_it_again_will(tmp_path: Path) -> None:
    row, columns = sealed("1.2", "1.2.1", 3, document_of(SeriesDescription="late", KVP=80.0), stated_by="1.2.1.1")
    late = received("1.2", "1.2.1", 0, SeriesDescription="first", StudyDescription="new")
    with Catalog.open(tmp_path / "a.sqlite") as catalog, Catalog.open(tmp_path / "b.sqlite") as other:
        catalog.put_series([(row, columns)])
        catalog.put_received([late])
        (answer,) = catalog.find("series")
        assert (answer["SeriesDescription"], answer["StudyDescription"], answer["geometry"]) == (
            "first",
            "new",
            "regular",
        )
        assert catalog.series("1.2.1").varying == ("InstanceNumber", "SOPInstanceUID")
        assert catalog.series("1.2.1").document["KVP"] == 80.0

        other.put_received([late])
        other.put_series([(row, columns)])
        assert other.digest() == catalog.digest()


def test_numbers_that_no_database_holds_are_kept_nearly(catalog: Catalog) -> None:
    row, _ = sealed("1.2", "1.2.1", 1, document_of(SeriesNumber=10**30, KVP=10**400))
    catalog.put_series([(row, InstanceColumns(["1.2.1.0"], [CT], instance_numbers=[10**30]))])
    (answer,) = catalog.find("series")
    assert answer["SeriesNumber"] == 1e30
    assert catalog.series("1.2.1").document["SeriesNumber"] == 10**30


def test_one_study_uid_of_two_patients_is_two_studies(catalog: Catalog) -> None:
    catalog.put_series([sealed("1.2", "1.2.1", 1), sealed("1.2", "1.2.2", 1, document_of(PatientID="P2"))])

    found = list(catalog.find("study", {"StudyInstanceUID": "1.2"}))

    assert sorted(str(answer["PatientID"]) for answer in found) == ["P1", "P2"]
    assert [answer["NumberOfStudyRelatedSeries"] for answer in found] == [1, 1]


def test_a_series_that_changes_its_patient_moves_and_leaves_no_empty_study(catalog: Catalog) -> None:
    catalog.put_series([sealed("1.2", "1.2.1", 1)])
    catalog.put_series([sealed("1.2", "1.2.1", 1, document_of(PatientID="P2"))])

    assert [answer["PatientID"] for answer in catalog.find("study")] == ["P2"]


def test_series_follow_the_date_of_their_study_when_another_series_corrects_it(tmp_path: Path) -> None:
    late = sealed("1.2", "1.2.2", 1, document_of(StudyDate="20200101"), stated_by="1.2.2.0")
    early = sealed("1.2", "1.2.1", 1, document_of(StudyDate="20190101"), stated_by="1.2.1.0")
    digests = set()
    for name, order in (("a", (late, early)), ("b", (early, late))):
        with Catalog.open(tmp_path / f"{name}.sqlite") as catalog:
            for entry in order:
                catalog.put_series([entry])
            digests.add(catalog.digest())
            catalog.put_series([sealed("1.3", "1.3.1", 1, document_of(StudyDate="20190601"))])

            found = [row["SeriesInstanceUID"] for row in catalog.find("series")]
            assert found == ["1.2.1", "1.2.2", "1.3.1"]
    assert len(digests) == 1


def test_a_series_uid_in_two_studies_is_ambiguous_until_the_study_is_given(catalog: Catalog) -> None:
    catalog.put_series([sealed("1.2", "7.7", 1), sealed("1.3", "7.7", 1)])

    with pytest.raises(AmbiguousError):
        catalog.series("7.7")
    assert catalog.series("7.7", "1.3").key == key_of("1.3", "7.7")
    with pytest.raises(NotFoundError):
        catalog.series("8.8")
    assert {location.study_instance_uid for location in catalog.lookup("7.7.0")} == {"1.2", "1.3"}


def test_removed_series_take_their_study_along_and_leave_nothing(catalog: Catalog) -> None:
    empty = catalog.digest()
    catalog.put_received([received("1.2", "1.2.2", 1)])
    catalog.put_series([sealed("1.2", "1.2.1", 3)])

    catalog.remove_series([key_of("1.2", "1.2.1"), key_of("1.2", "1.2.2")])

    assert catalog.digest() == empty
    assert catalog.lookup("1.2.1.0") == ()


def test_a_series_whose_last_waiting_instance_is_retired_goes(catalog: Catalog) -> None:
    catalog.put_received([received("1.2", "1.2.1", 1)])
    catalog.retire(["0:1:1.2.1.1"])
    assert list(catalog.find("study")) == []


def test_versions_are_located_and_only_current_ones_counted(catalog: Catalog) -> None:
    catalog.put_series(
        [(sealed("1.2", "1.2.1", 2)[0], InstanceColumns(["5.1", "5.1"], [CT], versions=[1, 2], current=[True, False]))]
    )

    assert [(one.version, one.current) for one in catalog.lookup("5.1")] == [(1, True), (2, False)]
    assert catalog.series("1.2.1").instance_count == 1


def test_columns_of_different_lengths_are_refused(catalog: Catalog) -> None:
    with pytest.raises(InputError, match="versions has 1 entries for 2"):
        catalog.put_series([(sealed("1.2", "1.2.1", 2)[0], InstanceColumns(["1", "2"], [CT], versions=[1]))])
    assert catalog.counts().series == 0


def test_a_failed_write_leaves_nothing_behind(catalog: Catalog) -> None:
    good, bad = received("1.2", "1.2.1", 1), received("1.2", "1.2.1", 2, Modality={"no": object()})  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        catalog.put_received([good, bad])

    assert catalog.counts().series == 0
    catalog.put_received([good])
    assert catalog.counts().instances == 1


def test_readers_see_committed_rows_only_and_may_not_write(tmp_path: Path, catalog: Catalog) -> None:
    catalog.put_received([received("1.2", "1.2.1", 1)])
    with Catalog.open(tmp_path / "catalog.sqlite", read_only=True) as reader:
        assert len(list(reader.find("series"))) == 1
        with pytest.raises(ReadOnlyError):
            reader.put_received([received("1.2", "1.2.1", 2)])
        with pytest.raises(ReadOnlyError):
            reader.set_position("events", "x")


def test_opening_nothing_for_reading_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Catalog.open(tmp_path / "none.sqlite", read_only=True)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog.open(path) as catalog, catalog._transaction() as connection:
        connection.exec_driver_sql("UPDATE schema_version SET version = 99")
    with pytest.raises(FormatVersionError, match="99"):
        Catalog.open(path)
    with pytest.raises(FormatVersionError, match="99"):
        Catalog.open(path, read_only=True)


def test_two_catalogs_on_one_file_see_each_others_changes(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "c.sqlite") as one, Catalog.open(tmp_path / "c.sqlite") as two:
        one.put_received([received("1.2", "1.2.1", 2, SeriesDescription="B")])
        two.put_received([received("1.2", "1.2.1", 1, SeriesDescription="A")])
        one.put_received([received("1.2", "1.2.1", 3, SeriesDescription="C")])

        assert [answer["SeriesDescription"] for answer in one.find("series")] == ["A"]
        assert one.series("1.2.1").instance_count == 3


def test_many_threads_write_and_read_at_once(catalog: Catalog) -> None:
    failures: list[BaseException] = []

    def work(series: int) -> None:
        try:
            for number in range(20):
                catalog.put_received([received("1.2", f"1.2.{series}", number)])
                assert catalog.lookup(f"1.2.{series}.{number}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(series,)) for series in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert catalog.counts().instances == 80


def _write_in_child(catalog: Catalog) -> None:
    catalog.put_received([received("1.2", "1.2.1", 2)])
    assert len(list(catalog.find("series"))) == 1


def test_a_forked_child_uses_connections_of_its_own(catalog: Catalog) -> None:
    catalog.put_received([received("1.2", "1.2.1", 1)])
    child = multiprocessing.get_context("fork").Process(target=_write_in_child, args=(catalog,))
    child.start()
    child.join()

    assert child.exitcode == 0
    assert catalog.counts().instances == 2


def test_bulk_loading_gives_the_same_catalog_as_putting(tmp_path: Path) -> None:
    entries = [
        sealed(f"1.{number % 5}", f"1.{number % 5}.{number}", 2, document_of(PatientID=f"P{number % 5}"))
        for number in range(40)
    ]
    with Catalog.open(tmp_path / "a.sqlite") as put, Catalog.open(tmp_path / "b.sqlite") as loaded:
        put.put_series(entries)
        assert loaded.bulk_load(iter(entries)) == 40

        assert put.digest() == loaded.digest()
        for catalog in (put, loaded):
            assert len(list(catalog.find("series", {"SeriesDescription": "*orax*"}))) == 40
        loaded.put_series([sealed("1.9", "1.9.9", 1, document_of(SeriesDescription="Abdomen"))])
        assert len(list(loaded.find("series", {"SeriesDescription": "*bdome*"}))) == 1


DOCUMENTS = st.fixed_dictionaries(
    {
        "PatientID": st.sampled_from(["P1", "P2", "", None]),
        "StudyDate": st.sampled_from(["20190101", "20200101", None]),
    },
    optional={
        "PatientName": st.sampled_from(["Müller^Jörg", "Yamada^Tarou=山田^太郎", ["A^B", "C^D"], ""]),
        "OtherPatientIDs": st.sampled_from(["X", ["X", "Y"], []]),
        "SeriesNumber": st.sampled_from([3, [4, 5], 1 << 70, "n/a", ""]),
        "SeriesDescription": st.sampled_from(["Thorax", "{no JSON", ["a", "b"], None, 7]),
        "PatientWeight": st.sampled_from([70.5, [], 0]),
        "RequestAttributesSequence": st.just([{"RequestedProcedureID": "R1"}]),
        "EthnicGroup": st.sampled_from([[["odd"]], {"odd": 1}]),
        "ACME:0029xx10": st.sampled_from(["x", 5, None]),
    },
)
SERIES = st.tuples(
    st.integers(1, 3), st.integers(1, 5), st.integers(0, 2), DOCUMENTS, st.sampled_from(["", "1.1", "1.7"])
)


@settings(max_examples=30, deadline=None)
@given(before=st.lists(SERIES, max_size=3), loaded=st.lists(SERIES, max_size=12), waiting=st.booleans())
def test_bulk_loading_whatever_is_there_equals_putting_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, before: list[Any], loaded: list[Any], waiting: bool
) -> None:
    folder = tmp_path_factory.mktemp("load")

    def entry(study: int, series: int, count: int, document: Any, stated_by: str) -> Any:
        return sealed(f"1.{study}", f"1.{study}.{series}", count, document, stated_by=stated_by)

    with Catalog.open(folder / "a.sqlite") as put, Catalog.open(folder / "b.sqlite") as bulk:
        for catalog in (put, bulk):
            for given_before in before:
                catalog.put_series([entry(*given_before)])
            if waiting:
                catalog.put_received([received("1.1", "1.1.1", 9, StudyDate="20180101")])
        for one in loaded:
            put.put_series([entry(*one)])
        assert bulk.bulk_load(entry(*one) for one in loaded) == len(loaded)

        assert bulk.digest() == put.digest()
        assert list(bulk.find("series")) == list(put.find("series"))
        assert indexes_of(bulk) == indexes_of(put)


def indexes_of(catalog: Catalog) -> list[str]:
    with closing(sqlite3.connect(catalog.path)) as connection:
        return sorted(name for (name,) in connection.execute("SELECT name FROM sqlite_master"))


def test_importing_the_catalog_and_finding_loads_no_heavy_library(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "c.sqlite") as catalog:
        catalog.put_series([sealed("1.2", "1.2.1", 1)])
    script = (
        "import sys\nfrom pacscore.catalog import Catalog\n"
        f"with Catalog.open({str(tmp_path / 'c.sqlite')!r}, read_only=True) as c:\n"
        "    assert len(list(c.find('study', {'PatientName': 'mull*', 'Modality': 'CT'}))) == 1\n"
        "heavy = {'numba', 'zarr', 'pydicom', 'numpy', 'pyarrow', 'numcodecs'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_ctrl_c_in_a_transaction_stays_one_and_the_catalog_can_be_used_on(tmp_path: Path) -> None:
    """What interrupts a statement closes the driver's connection: the failing ROLLBACK must not hide why."""
    with Catalog.open(tmp_path / "catalog.sqlite") as catalog:
        catalog.put_received([received("1.1", "1.1.1", 1)])

        def interrupted() -> None:
            with catalog._transaction() as connection:
                connection.exec_driver_sql("DELETE FROM journal_instance")
                dialect.raw(connection).close()
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert catalog.counts().instances == 1
        catalog.put_received([received("1.1", "1.1.1", 2)])
        assert catalog.counts().instances == 2


def test_ctrl_c_in_a_look_up_leaves_the_next_one_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(connection: Connection, uids: object) -> None:
        dialect.raw(connection).close()
        raise KeyboardInterrupt

    with Catalog.open(tmp_path / "catalog.sqlite") as catalog:
        row = received("1.1", "1.1.1", 1)
        catalog.put_received([row])
        with monkeypatch.context() as patched:
            patched.setattr(instances, "locate", interrupted)
            with pytest.raises(KeyboardInterrupt):
                catalog.lookup(row.sop_instance_uid)
        assert len(catalog.lookup(row.sop_instance_uid)) == 1
