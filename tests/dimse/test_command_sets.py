from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dsutils import decode

from pacscore.dimse.commands import StoreAnswer, StoreRequest, decode_command
from pacscore.errors import InvalidDicomError

REQUEST = StoreRequest(77, "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5", "ORIGIN", 9, 1)


def test_a_request_comes_back_as_it_was() -> None:
    assert StoreRequest.of(decode_command(REQUEST.encode())) == REQUEST


def test_pynetdicom_reads_our_request() -> None:
    found = decode(BytesIO(REQUEST.encode()), True, True)
    assert (found.MessageID, found.AffectedSOPInstanceUID, found.CommandField) == (77, "1.2.3.4.5", 1)
    assert found.MoveOriginatorApplicationEntityTitle == "ORIGIN"
    assert found.CommandGroupLength == len(REQUEST.encode()) - 12


def test_an_answer_comes_back_as_it_was() -> None:
    answer = StoreAnswer.of(decode_command(REQUEST.answer(0xA700, "full")))
    assert (answer.status, answer.comment, answer.is_stored) == (0xA700, "full", False)
    assert StoreAnswer.of(decode_command(REQUEST.answer(0xB007))).is_stored


@pytest.mark.parametrize("length", range(len(REQUEST.encode())))
def test_a_command_cut_anywhere_is_refused_or_short(length: int) -> None:
    try:
        decode_command(REQUEST.encode()[:length])
    except InvalidDicomError:
        return


@given(st.binary(max_size=200))
def test_noise_is_refused_and_nothing_else(noise: bytes) -> None:
    try:
        decode_command(noise)
    except InvalidDicomError:
        return
