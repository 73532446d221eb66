"""What is asked is answered as PS3.4 says, at every level, in a stated order."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from catalog_rows import document_of, received, sealed
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from reference.catalog_matching import find_series, studies_of

from pacscore.catalog import Catalog, Document
from pacscore.errors import CancelledError, InputError, QueryError

NAMES = ["Müller^Jörg", "MULLER^JORG^^", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Ærø^Bo", "A^B", "Straße", "A"]
TEXTS = ["Thorax 5.0", "thorax", "Head [1]", "a*b", "T1\\T2", "Éa", "tho", 'quo"te']
TIMES = ["10", "1000", "1030", "103000", "103000.5", "105959", "235959.999999", "00"]
DATES = ["20200101", "20200131", "20191231", "20200201"]
MOMENTS = ["2020", "202001", "20200101", "2020010110", "20200101103000", "20200101103000+0200", "20200101-0500"]
CHOICES: dict[str, list[Any]] = {
    "PatientName": [*NAMES, ["A^B", "Straße"]],
    "PatientID": ["P1", "P2", "p1"],
    "PatientSex": ["F", "M"],
    "OtherPatientIDs": ["X1", ["X1", "X2"]],
    "StudyDate": DATES,
    "StudyTime": TIMES,
    "StudyDescription": [text for text in TEXTS if "\\" not in text],
    "AccessionNumber": ["A1", "A2"],
    "Modality": ["CT", "MR", "SR"],
    "SeriesNumber": [1, 2, 30],
    "SeriesDate": DATES,
    "SeriesDescription": [text for text in TEXTS if "\\" not in text],
    "OperatorsName": [*NAMES, ["A", "Müller^Jörg"]],
    "FrameOfReferenceUID": ["1.9", "1.90"],
    "KVP": [120, 120.0, 0.5, 1e-7, [80, 120]],
    "ImageType": [["ORIGINAL", "PRIMARY"], ["DERIVED", "SECONDARY", "MPR"], "AXIAL"],
    "AcquisitionTime": [*TIMES, ["10", "2359"]],
    "AcquisitionDateTime": MOMENTS,
    "ACME 1.0:0029xx10": ["soft", 5, 0.5, ["soft", "hard"], ""],
    "ProcedureCodeSequence": [
        [{"CodeValue": "X1", "CodeMeaning": "Chest"}],
        [{"CodeValue": "X1", "CodeMeaning": "Head"}, {"CodeValue": "X2", "CodeMeaning": "Chest"}],
        [{"CodeMeaning": "Chest"}],
    ],
}
NO_SHRINK = [phase for phase in Phase if phase is not Phase.shrink]
documents = st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in CHOICES.items()})
patterns = st.sampled_from(
    [
        "thorax",
        "Thorax*",
        "*ora*",
        "*o?a*",
        "?ho*",
        "*[1]",
        "a\\*b",
        "Éa",
        "*",
        "",
        "tho",
        '*"t*',
        "*5.0",
        "th?rax",
        "nothing",
    ]
)
QUERIES: dict[str, st.SearchStrategy[Any]] = {
    "PatientName": st.sampled_from(
        [
            "mull*",
            "müller^jörg",
            "山田*",
            "*たろう",
            "yamada*=山田*",
            "=山田*",
            "*e*",
            "a",
            "a^b",
            "STRASSE",
            "?",
            "aerø*",
            "*rø^*",
        ]
    ),
    "PatientID": st.sampled_from(["P1", "p*", "P?", "P9"]),
    "OtherPatientIDs": st.sampled_from(["X1", "X2", "X?", "*2"]),
    "StudyDate": st.sampled_from(["20200101", "20200101-20200131", "-20200101", "20200131-", "20191231-20191231"]),
    "StudyTime": st.sampled_from(
        ["10", "1000", "1030", "1000-1030", "-10", "1030-", "103000.5", "00-1000", "1030-103000"]
    ),
    "StudyDescription": patterns,
    "AccessionNumber": st.sampled_from(["A1", "A*"]),
    "Modality": st.sampled_from(["CT", "MR", "?R", "XX"]),
    "SeriesNumber": st.sampled_from(["1", 30, "2.0", 7]),
    "SeriesDescription": patterns,
    "OperatorsName": st.sampled_from(["mull*", "a", "*ou", "山田*", "x"]),
    "FrameOfReferenceUID": st.sampled_from(["1.9", "1.9\\1.90", "1.8"]),
    "KVP": st.sampled_from(["120", 0.5, "1e-7", 80]),
    "ImageType": st.sampled_from(["ORIGINAL", "MPR", "*ARY", "AXIAL", "?XIAL", "PRIM*"]),
    "AcquisitionTime": st.sampled_from(["10", "1000-1030", "2359-", "103000.5"]),
    "AcquisitionDateTime": st.sampled_from(
        ["2020", "202001-202002", "20200101", "-20200101", "2020010110-", "20200101-0500", "20200101103000"]
    ),
    "ACME 1.0:0029xx10": st.sampled_from(["soft", "5", "0.5", "s*", "*r*", "?"]),
    "ProcedureCodeSequence": st.sampled_from(
        [{"CodeValue": "X1"}, {"CodeValue": "X1", "CodeMeaning": "Chest"}, {"CodeMeaning": "*e*"}, {"CodeValue": "X9"}]
    ),
    "ModalitiesInStudy": st.sampled_from(["CT", "MR", "?R", "XX"]),
    "StudyInstanceUID": st.sampled_from(["1.2.0", "1.2.1\\1.2.2", "9"]),
    "SeriesInstanceUID": st.sampled_from(["1.2.0.0", "1.2.0.1\\1.2.2.3", "9"]),
}
queries = st.lists(st.sampled_from(sorted(QUERIES)), max_size=3, unique=True).flatmap(
    lambda keys: st.fixed_dictionaries({key: QUERIES[key] for key in keys})
)


@given(
    st.lists(st.tuples(st.integers(0, 2), documents), max_size=8),
    st.lists(queries, min_size=4, max_size=8),
    st.integers(1, 3),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=NO_SHRINK)
def test_every_query_finds_what_the_slow_matcher_finds(
    drawn: list[tuple[int, dict[str, Any]]], asked: list[dict[str, Any]], page: int
) -> None:
    rows = [(f"1.2.{study}", f"1.2.{study}.{at}", document) for at, (study, document) in enumerate(drawn)]
    with tempfile.TemporaryDirectory() as folder, Catalog.open(Path(folder) / "c.sqlite") as catalog:
        catalog.put_series([sealed(study, series, 1, document) for study, series, document in rows])
        for match in asked:
            wanted = find_series(rows, match)
            found = list(catalog.find("series", match))
            identities = [(str(one["StudyInstanceUID"]), str(one["SeriesInstanceUID"])) for one in found]
            assert sorted(identities) == sorted(wanted), match
            assert paged(catalog, "series", match, page) == found

            patients = {series: document.get("PatientID") or "" for _, series, document in rows}
            studies = {(study, patients[series]) for study, series in wanted}
            answers = list(catalog.find("study", match))
            assert sorted((str(one["StudyInstanceUID"]), str(one.get("PatientID", ""))) for one in answers) == sorted(
                studies
            )
            assert paged(catalog, "study", match, page) == answers
            agreed = studies_of(rows)
            for answer in answers:
                expected = agreed[str(answer["StudyInstanceUID"]), str(answer.get("PatientID", ""))]
                assert {key: answer.get(key) for key in expected} == expected

            people = {patient or study for study, patient in studies}
            assert len(list(catalog.find("patient", match))) == len(people)
            assert len(paged(catalog, "patient", match, page)) == len(people)


def paged(catalog: Catalog, level: str, match: dict[str, Any], size: int, **options: Any) -> list[Any]:
    found: list[Any] = []
    after = None
    while True:
        page = catalog.find(level, match, limit=size, after=after, **options)
        answers = list(page)
        found += answers
        if len(answers) < size:
            return found
        after = page.after


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "catalog.sqlite") as opened:
        yield opened


def uids(answers: Any) -> list[str]:
    return [str(answer["SeriesInstanceUID"]) for answer in answers]


def test_an_answer_holds_columns_counts_and_verdict_and_leaves_absent_keys_out(catalog: Catalog) -> None:
    catalog.put_series([sealed("1.2", "1.2.1", 3), sealed("1.2", "1.2.2", 2, document_of(Modality="MR"))])

    (study,) = catalog.find("study")
    assert study == {
        "StudyInstanceUID": "1.2", "PatientName": "Müller^Jörg", "PatientID": "P1", "StudyDate": "20200101",
        "StudyTime": "1030", "NumberOfStudyRelatedSeries": 2, "NumberOfStudyRelatedInstances": 5,
        "ModalitiesInStudy": ["CT", "MR"],
    }  # fmt: skip
    (series,) = catalog.find("series", {"Modality": "CT"})
    assert (series["NumberOfSeriesRelatedInstances"], series["geometry"]) == (3, "regular")
    assert "KVP" not in series
    (patient,) = catalog.find("patient")
    assert patient["NumberOfPatientRelatedInstances"] == 5


def test_return_keys_bring_values_of_the_document(catalog: Catalog) -> None:
    catalog.put_series([sealed("1.2", "1.2.1", 1, document_of(**{"ACME:0029xx10": "x"}))])

    (series,) = catalog.find("series", {"KVP": "", "ACME:0029xx10": None, "EchoTime": [], "SOPClassesInStudy": ""})
    assert (series["KVP"], series["ACME:0029xx10"]) == (120.0, "x")
    assert "EchoTime" not in series
    (study,) = catalog.find("study", {"KVP": "", "SOPClassesInStudy": ""})
    assert (study["KVP"], study["SOPClassesInStudy"]) == (120.0, ["1.2.840.10008.5.1.4.1.1.2"])


def test_keys_may_be_tags_and_nested_paths(catalog: Catalog) -> None:
    code = [{"CodeValue": "A", "CodeMeaning": "a"}, {"CodeValue": "B", "CodeMeaning": "b"}]
    catalog.put_series([sealed("1.2", "1.2.1", 1, document_of(ProcedureCodeSequence=code))])

    assert uids(catalog.find("series", {"00080060": "CT", "0018,0060".replace(",", ""): 120})) == ["1.2.1"]
    assert uids(catalog.find("series", {"ProcedureCodeSequence.CodeValue": "B"})) == ["1.2.1"]
    assert uids(catalog.find("series", {"00081032.00080100": "A", "ProcedureCodeSequence.CodeMeaning": "a"})) == [
        "1.2.1"
    ]
    assert uids(catalog.find("series", {"ProcedureCodeSequence": [{"CodeValue": "A", "CodeMeaning": "b"}]})) == []


def test_geometry_is_a_key_and_a_list_means_one_of_these(catalog: Catalog) -> None:
    verdicts = ["regular", "tilted", "none"]
    catalog.put_series([sealed("1.2", f"1.2.{v}", 1, verdict=verdict) for v, verdict in enumerate(verdicts)])

    assert uids(catalog.find("series", {"geometry": "tilted"})) == ["1.2.1"]
    assert uids(catalog.find("series", {"geometry": ["regular", "none"]})) == ["1.2.0", "1.2.2"]
    assert len(list(catalog.find("study", {"geometry": "regular", "Modality": ["MR", "CT"]}))) == 1


@pytest.mark.parametrize(
    ("match", "named"),
    [
        ({"Nonsense": "x"}, "Nonsense"),
        ({"StudyDate": "2020"}, "StudyDate"),
        ({"StudyDate": "20200101-x"}, "StudyDate"),
        ({"StudyTime": "-"}, "StudyTime"),
        ({"SeriesNumber": "one"}, "SeriesNumber"),
        ({"AcquisitionDateTime": "yesterday"}, "AcquisitionDateTime"),
        ({"00291010": "x"}, "00291010"),
        ({"ACME:0028xx10": "x"}, "ACME"),
        ({"ProcedureCodeSequence": "x"}, "ProcedureCodeSequence"),
        ({"Modality": {"CodeValue": "x"}}, "Modality"),
        ({"ProcedureCodeSequence.Nonsense": "x"}, "Nonsense"),
        ({"PatientID": "a", "00100020": "b"}, "PatientID"),
        ({"NumberOfStudyRelatedSeries": "many"}, "NumberOfStudyRelatedSeries"),
    ],
)
def test_a_key_or_value_without_meaning_is_an_error_that_names_it(
    catalog: Catalog, match: dict[str, Any], named: str
) -> None:
    with pytest.raises(QueryError, match=named):
        catalog.find("series", match)


def test_dates_and_times_are_one_range_when_combined(catalog: Catalog) -> None:
    moments = [
        ("20200101", "0900"),
        ("20200101", "1100"),
        ("20200102", "0900"),
        ("20200103", "1100"),
        ("20200103", "1300"),
    ]
    catalog.put_series(
        [sealed(f"1.{n}", f"1.{n}.0", 1, document_of(StudyDate=d, StudyTime=t)) for n, (d, t) in enumerate(moments)]
    )
    match = {"StudyDate": "20200101-20200103", "StudyTime": "1000-1200"}

    assert uids(catalog.find("series", match)) == ["1.1.0", "1.3.0"]
    assert uids(catalog.find("series", match, combined=True)) == ["1.1.0", "1.2.0", "1.3.0"]


def test_counts_and_classes_are_keys(catalog: Catalog) -> None:
    catalog.put_series(
        [sealed("1.2", "1.2.1", 3), sealed("1.2", "1.2.2", 2), sealed("1.3", "1.3.1", 4, document_of(PatientID="P2"))]
    )

    assert uids(catalog.find("series", {"NumberOfSeriesRelatedInstances": 2})) == ["1.2.2"]
    assert uids(catalog.find("series", {"NumberOfStudyRelatedInstances": "5"})) == ["1.2.1", "1.2.2"]
    assert uids(catalog.find("series", {"NumberOfStudyRelatedSeries": [1, 7]})) == ["1.3.1"]
    assert len(list(catalog.find("patient", {"NumberOfPatientRelatedSeries": 2}))) == 1
    assert len(list(catalog.find("study", {"SOPClassesInStudy": "1.2.840.10008.5.1.4.1.1.2"}))) == 2
    assert uids(catalog.find("series", {"SOPInstanceUID": "1.3.1.2"})) == ["1.3.1"]
    assert len(list(catalog.find("study", {"SOPInstanceUID": ["1.2.1.0", "1.2.2.0"]}))) == 1


def test_answers_come_by_date_study_number_and_uid_and_in_any_order_asked(catalog: Catalog) -> None:
    catalog.put_series(
        [
            sealed(study, f"{study}.{n}", 1, document_of(StudyDate=date, SeriesNumber=number, Modality=modality))
            for study, date in (("1.1", "20200202"), ("1.2", "20200101"), ("1.3", None))
            for n, (number, modality) in enumerate([(3, "CT"), (1, "MR"), (None, "CT")])
        ]
    )

    assert uids(catalog.find("series")) == [f"1.{s}.{n}" for s in (3, 2, 1) for n in (2, 1, 0)]
    assert [one["StudyInstanceUID"] for one in catalog.find("study", order="-StudyDate")] == ["1.1", "1.2", "1.3"]
    by_modality = list(catalog.find("series", order=["-Modality", "SeriesNumber"]))
    assert [one["Modality"] for one in by_modality] == ["MR"] * 3 + ["CT"] * 6
    for order in ("-StudyDate", "SeriesNumber", "-SeriesNumber", ["PatientName", "-Modality"], None):
        for size in (1, 2, 4):
            assert paged(catalog, "series", {}, size, order=order) == list(catalog.find("series", order=order))
    with pytest.raises(QueryError, match="Modality"):
        catalog.find("study", order="Modality")
    with pytest.raises(QueryError, match="KVP"):
        catalog.find("series", order="KVP")


def test_a_place_of_another_find_is_refused(catalog: Catalog) -> None:
    catalog.put_series([sealed("1.2", "1.2.1", 1)])
    found = catalog.find("series")
    assert found.after is None
    next(found)
    with pytest.raises(QueryError, match="after="):
        catalog.find("study", after=found.after)
    with pytest.raises(QueryError, match="after="):
        catalog.find("series", order="-StudyDate", after=found.after)
    for nonsense in ("x", "////", "W10", ""):
        with pytest.raises(QueryError, match="after="):
            catalog.find("series", after=nonsense)


def instances_of(rows: list[Document]) -> Any:
    return lambda key, keywords: [{k: v for k, v in row.items() if k in keywords} for row in rows]


def test_instances_are_found_by_what_varies_and_what_does_not(catalog: Catalog) -> None:
    catalog.put_series([sealed("1.2", "1.2.1", 5, varying=("InstanceNumber", "SOPInstanceUID", "SliceLocation"))])
    rows: list[Document] = [
        {"SOPInstanceUID": f"1.2.1.{n}", "InstanceNumber": 5 - n, "SliceLocation": n / 2, "KVP": 120.0}
        for n in range(5)
    ]
    supply = instances_of(rows)

    (one,) = catalog.find("instance", {"SliceLocation": 1.5, "PatientName": "mull*"}, instance_documents=supply)
    assert (one["SOPInstanceUID"], one["Modality"], one["SliceLocation"]) == ("1.2.1.3", "CT", 1.5)
    everything = list(catalog.find("instance", {"KVP": 120}, instance_documents=supply))
    assert [one["InstanceNumber"] for one in everything] == [1, 2, 3, 4, 5]
    assert paged(catalog, "instance", {"KVP": 120}, 2, instance_documents=supply) == everything
    assert list(catalog.find("instance", {"SOPInstanceUID": "1.2.1.9"}, instance_documents=supply)) == []
    (by_uid,) = catalog.find("instance", {"SOPInstanceUID": "1.2.1.2"}, instance_documents=supply)
    assert by_uid["InstanceNumber"] == 3
    with pytest.raises(InputError, match="instance level"):
        catalog.find("instance", {"KVP": 120})


def test_a_series_in_the_journal_answers_as_it_will_when_sealed(catalog: Catalog) -> None:
    waiting = [received("1.2", "1.2.1", n, EchoTime=1.5, SliceLocation=float(n)) for n in range(3)]
    supply = instances_of([row.document for row in waiting])
    catalog.put_received(waiting)

    def ask() -> list[Any]:
        return [
            list(catalog.find("series", match, instance_documents=supply))
            for match in ({"EchoTime": 1.5}, {"EchoTime": 2}, {"SliceLocation": 1}, {"Modality": "CT", "EchoTime": ""})
        ]

    before = ask()
    document = {
        key: value for key, value in waiting[0].document.items() if key not in {"SOPInstanceUID", "SliceLocation"}
    }
    catalog.put_series([sealed("1.2", "1.2.1", 3, document, verdict="none")], retired=[row.position for row in waiting])

    assert [len(answers) for answers in before] == [1, 0, 0, 1]
    assert before == ask()


def test_long_documents_are_searched_like_short_ones(catalog: Catalog) -> None:
    long = {f"ACME:0029xx{n:02X}": "x" * 500 for n in range(100)}
    catalog.put_series([sealed("1.2", "1.2.1", 1, document_of(**long, ImageComments="needle"))])
    assert uids(catalog.find("series", {"ImageComments": "nee*"})) == ["1.2.1"]
    assert uids(catalog.find("series", {"ACME:0029xx42": "x" * 500})) == ["1.2.1"]
    assert uids(catalog.find("series", {"ACME:0029xx42": "x"})) == []


def test_a_search_is_cancelled_from_outside(catalog: Catalog) -> None:
    catalog.put_series([sealed("1.2", f"1.2.{n}", 1, document_of(ImageComments="x" * 3000)) for n in range(3000)])
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(CancelledError):
        list(catalog.find("series", {"ImageComments": "*y*"}, cancel=cancel))
    assert list(catalog.find("series", {"ImageComments": "*y*"})) == []


def test_no_limit_pages_through_everything(catalog: Catalog) -> None:
    catalog.bulk_load(sealed(f"1.{n // 7}", f"1.{n // 7}.{n}", 1) for n in range(2500))
    found = list(catalog.find("series", {"Modality": "CT"}))
    assert len({str(one["SeriesInstanceUID"]) for one in found}) == len(found) == 2500
    assert len(list(catalog.find("study", {"Modality": "CT"}))) == 358
    assert list(catalog.find("series", limit=0)) == []


def test_a_uid_alone_finds_what_the_whole_list_holds_of_it(catalog: Catalog) -> None:
    catalog.put_series(
        [sealed("1.2", "1.2.1", 3), sealed("1.2", "1.2.2", 2), sealed("1.3", "1.2.2", 1), sealed("1.3", "1.3.1", 1)]
    )
    for level, key in (("series", "SeriesInstanceUID"), ("study", "StudyInstanceUID")):
        everything = list(catalog.find(level))
        for uid in {one[key] for one in everything}:
            found = catalog.find(level, {key: uid, "Modality": "", "SOPClassesInStudy": ""})
            wanted = [
                {name: value for name, value in one.items() if name != "SOPClassesInStudy"}
                for one in everything
                if one[key] == uid
            ]
            answers = [{k: v for k, v in one.items() if k != "SOPClassesInStudy"} for one in found]
            assert answers == wanted
            assert not list(catalog.find(level, {key: uid}, after=found.after))
            assert not list(catalog.find(level, {key: uid}, limit=0))
    both = {"StudyInstanceUID": "1.3", "SeriesInstanceUID": "1.2.2"}
    (one,) = catalog.find("series", both)
    assert (one["StudyInstanceUID"], one["NumberOfSeriesRelatedInstances"]) == ("1.3", 1)
    assert not list(catalog.find("series", {**both, "StudyInstanceUID": "1.4"}))
