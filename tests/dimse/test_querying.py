"""C-FIND, asked by pynetdicom's own user and by ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dimse.conftest import Started
from dimse.objects_made import data_set
from pydicom.dataset import Dataset
from pynetdicom import AE

from pacscore.dimse import models
from pacscore.dimse.configuration import Peer, Right
from pacscore.dimse.connecting import Address
from pacscore.dimse.requesting import query
from pacscore.dimse.server import DicomServer
from pacscore.errors import RefusedError

EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture
def filled(server: DicomServer) -> DicomServer:
    for study, name in (("1.2.10", "MÜLLER^JÖRG"), ("1.2.20", "ДОУ^ДЖЕЙН")):
        for series in (1, 2):
            for number in range(1, 4):
                uid = f"{study}.{series}.{number}"
                raw = data_set(uid, study=study, series=f"{study}.{series}", name=name, number=number)
                server.archive.receive(raw, transfer_syntax=EXPLICIT)
    return server


def _asked(server: DicomServer, model: str = models.STUDY_FIND, **keys: object) -> Iterator[tuple[int, Dataset | None]]:
    entity = AE("TESTER")
    entity.add_requested_context(model)
    association = entity.associate("127.0.0.1", server.port)
    assert association.is_established
    identifier = Dataset()
    for key, value in keys.items():
        setattr(identifier, key, value)
    try:
        for status, answer in association.send_c_find(identifier, model):
            yield status.Status, answer
    finally:
        association.release()


def test_every_level_is_answered(filled: DicomServer) -> None:
    for model, level, key, count in (
        (models.PATIENT_FIND, "PATIENT", "PatientID", 1),
        (models.STUDY_FIND, "STUDY", "StudyInstanceUID", 2),
        (models.STUDY_FIND, "SERIES", "SeriesInstanceUID", 4),
        (models.PATIENT_FIND, "IMAGE", "SOPInstanceUID", 12),
    ):
        answers = list(_asked(filled, model, QueryRetrieveLevel=level, **{key: ""}))
        assert [status for status, _ in answers] == [0xFF00] * count + [0x0000]
        found = {str(getattr(answer, key)) for _, answer in answers[:-1] if answer is not None}
        assert len(found) == count
        assert all(answer is None or answer.RetrieveAETitle == "PACSCORE" for _, answer in answers)


def test_keys_of_other_levels_match_and_counts_come_along(filled: DicomServer) -> None:
    answers = list(
        _asked(
            filled,
            QueryRetrieveLevel="STUDY",
            SeriesInstanceUID="1.2.10.2",
            NumberOfStudyRelatedInstances="",
            NumberOfStudyRelatedSeries="",
            ModalitiesInStudy="",
            StudyID="",
        )
    )
    answer = answers[0][1]
    assert len(answers) == 2
    assert answer is not None
    assert (answer.NumberOfStudyRelatedInstances, answer.NumberOfStudyRelatedSeries) == (6, 2)
    assert answer.ModalitiesInStudy == "CT"
    assert answer.StudyID in ("", None)  # Asked for, and without a value.


def test_names_come_in_the_character_set_of_the_request_if_that_can_say_them(filled: DicomServer) -> None:
    answers = [
        answer
        for _, answer in _asked(
            filled, SpecificCharacterSet="ISO_IR 100", QueryRetrieveLevel="STUDY", PatientName="", StudyInstanceUID=""
        )
        if answer is not None
    ]
    found = {str(answer.StudyInstanceUID): answer for answer in answers}
    assert found["1.2.10"].SpecificCharacterSet == "ISO_IR 100"
    assert str(found["1.2.10"].PatientName) == "MÜLLER^JÖRG"
    assert found["1.2.20"].SpecificCharacterSet == "ISO_IR 192"
    assert str(found["1.2.20"].PatientName) == "ДОУ^ДЖЕЙН"


def test_names_match_without_regard_to_case_and_accents(filled: DicomServer) -> None:
    answers = list(_asked(filled, QueryRetrieveLevel="STUDY", PatientName="mull*", StudyInstanceUID=""))
    assert [str(answer.StudyInstanceUID) for _, answer in answers if answer is not None] == ["1.2.10"]


def test_an_unknown_key_is_said_to_be_unsupported(filled: DicomServer) -> None:
    entity = AE("TESTER")
    entity.add_requested_context(models.STUDY_FIND)
    association = entity.associate("127.0.0.1", filled.port)
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = "1.2.10"
    identifier.add_new(0x00091001, "LO", "x")
    answers = list(association.send_c_find(identifier, models.STUDY_FIND))
    association.release()
    assert [status.Status for status, _ in answers] == [0xFF01, 0x0000]
    assert 0x00091001 not in answers[0][1]


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        (models.STUDY_FIND, {"QueryRetrieveLevel": "PATIENT", "PatientID": ""}),
        (models.STUDY_FIND, {"StudyInstanceUID": ""}),
        (models.STUDY_FIND, {"QueryRetrieveLevel": "STUDY", "StudyDate": "yesterday"}),
    ],
)
def test_a_query_without_meaning_is_refused_with_a900(filled: DicomServer, model: str, keys: dict[str, str]) -> None:
    assert [status for status, _ in _asked(filled, model, **keys)] == [0xA900]


def test_a_peer_without_the_right_learns_nothing(start: Started) -> None:
    server = start(peers=(Peer("TESTER", "127.0.0.1", rights=frozenset({Right.STORE})),))
    server.archive.receive(data_set(), transfer_syntax=EXPLICIT)
    assert [status for status, _ in _asked(server, QueryRetrieveLevel="STUDY", StudyInstanceUID="")] == [0x0124]


def test_our_own_user_asks_and_cancels(filled: DicomServer) -> None:
    address = Address("127.0.0.1", filled.port, "PACSCORE")
    rows = list(query(address, "series", {"StudyInstanceUID": "1.2.10"}))
    assert {row["SeriesInstanceUID"] for row in rows} == {"1.2.10.1", "1.2.10.2"}
    assert len(list(query(address, "instance", {}, limit=5))) == 5


def test_our_own_user_says_what_was_refused(start: Started) -> None:
    server = start(peers=(Peer("PACSCORE", "127.0.0.1", rights=frozenset()),))
    with pytest.raises(RefusedError, match="0x0124"):
        list(query(Address("127.0.0.1", server.port), "study", {}))


def test_a_series_named_by_its_uid_is_answered_again_and_again(filled: DicomServer) -> None:
    entity = AE("TESTER")
    entity.add_requested_context(models.STUDY_FIND)
    association = entity.associate("127.0.0.1", filled.port)
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.PatientName = identifier.NumberOfSeriesRelatedInstances = None
    for uid, names in (("1.2.10.2", ["MÜLLER^JÖRG"]), ("1.2.20.1", ["ДОУ^ДЖЕЙН"]), ("1.2.30", [])):
        identifier.SeriesInstanceUID = uid
        answers = [answer for _, answer in association.send_c_find(identifier, models.STUDY_FIND) if answer is not None]
        assert [str(answer.PatientName) for answer in answers] == names
        assert [answer.NumberOfSeriesRelatedInstances for answer in answers] == [3] * len(names)
    association.release()
