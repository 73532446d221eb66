"""Frames that are decoded when they are read use as many threads as the archive's settings say."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_under_stress import make_object

import pacscore
from pacscore.archive.frames import WaitingFrames
from pacscore.settings import Settings


@pytest.mark.parametrize("count", [1, 3])
def test_frames_are_decoded_by_as_many_threads_as_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    used: set[int] = set()
    together = threading.Barrier(count)
    decode = WaitingFrames.frame

    def noted(self: WaitingFrames, ordinal: int, frame_index: int) -> Any:
        used.add(threading.get_ident())
        if ordinal < count:  # Nobody goes on before so many are at work.
            together.wait(timeout=20)
        return decode(self, ordinal, frame_index)

    with pacscore.create(tmp_path / "archive", settings=Settings(thread_count=count)) as archive:
        for number in range(9):
            archive.receive(make_object(0, number))
        volume = archive.series("1.2.3.1.0").volume()
        monkeypatch.setattr(WaitingFrames, "frame", noted)
        found = volume.array()
    assert len(used) == count
    assert np.array_equal(found[4], np.frombuffer(make_object(0, 4)[-512:], "<i2").reshape(16, 16))
