from __future__ import annotations

import pytest

from pacscore.dimse.status import COMMENT_BYTES_MAX, STATUSES, comment_of, statuses_of
from pacscore.errors import ErrorCode, InvalidDicomError, StorageFullError


def test_every_error_code_has_a_status() -> None:
    assert set(STATUSES) == set(ErrorCode)


def test_no_error_is_a_success_or_a_pending_answer() -> None:
    for statuses in STATUSES.values():
        assert not {0x0000, 0xFF00, 0xFF01} & {statuses.store, statuses.find, statuses.retrieve}


def test_a_full_disk_and_an_unreadable_object_have_the_statuses_of_the_standard() -> None:
    assert statuses_of(StorageFullError("full")).store == 0xA700
    assert statuses_of(InvalidDicomError("cut short")).store & 0xF000 == 0xC000
    assert statuses_of(OSError(28, "no space")).store == 0xA700


@pytest.mark.parametrize("text", ["ä" * 100, "a [/somewhere/secret.dcm]", ""])
def test_a_comment_is_short_ascii_without_a_path(text: str) -> None:
    comment = comment_of(text)
    assert len(comment) <= COMMENT_BYTES_MAX
    assert comment.isascii()
    assert "secret" not in comment
