"""docs/backup.md, followed step by step on an archive that is never at rest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

import pacscore
from pacscore.filesystem import LocalFileSystem

RIGHT_ORDER = ("journal", "journal", "events", "series", "packs", "quarantine")
WRONG_ORDER = ("series", "packs", "quarantine", "events", "journal")


def _slices() -> Iterator[bytes]:
    """Small MR slices without end, four to a series."""
    while True:
        series, study = generate_uid(), generate_uid()
        for number in range(4):
            dataset = pydicom.Dataset()
            dataset.file_meta = pydicom.dataset.FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
            dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
            dataset.SOPInstanceUID = generate_uid()
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
            dataset.Modality, dataset.InstanceNumber = "MR", number + 1
            dataset.Rows = dataset.Columns = 8
            dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
            dataset.BitsAllocated = dataset.BitsStored = 16
            dataset.HighBit, dataset.PixelRepresentation = 15, 0
            dataset.PixelData = np.full((8, 8), number, np.uint16).tobytes()
            buffer = BytesIO()
            dataset.save_as(buffer, enforce_file_format=True)
            yield buffer.getvalue()


def _back_up(root: Path, target: Path, order: tuple[str, ...], *, between: Callable[[], None]) -> None:
    (target / "staging").mkdir(parents=True)
    shutil.copyfile(root / "pacscore.toml", target / "pacscore.toml")
    for part in order:
        between()
        for path in [path for path in sorted((root / part).rglob("*")) if path.is_file()]:
            copy = target / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        (target / part).mkdir(exist_ok=True)


def _run(tmp_path: Path, order: tuple[str, ...]) -> tuple[dict[str, str], Path]:
    """Back up while objects come and are sealed between any two steps; what was acknowledged before it began."""
    source = _slices()
    with pacscore.create(tmp_path / "archive") as archive:

        def receive(count: int) -> dict[str, str]:
            receipts = [archive.receive(next(source)) for _ in range(count)]
            return {receipt.sop_instance_uid: receipt.sha256 for receipt in receipts}

        def stay_busy() -> None:
            receive(2)
            archive.seal()
            receive(3)

        acknowledged = receive(6)
        archive.seal()
        acknowledged |= receive(5)
        _back_up(archive.root, tmp_path / "copy", order, between=stay_busy)
    return acknowledged, tmp_path / "copy"


def test_a_backup_in_the_documented_order_holds_all_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged, copy = _run(tmp_path, RIGHT_ORDER)
    with pacscore.open(copy) as restored:
        restored.rebuild()
        assert not restored.verify().findings
        for uid, digest in acknowledged.items():
            instance = restored.instance(uid)
            assert instance.sha256 == digest
            assert instance.bytes()
        restored.seal()
        assert not restored.verify().findings


def test_the_other_order_makes_a_backup_with_a_hole(tmp_path: Path) -> None:
    _, copy = _run(tmp_path, WRONG_ORDER)
    with pytest.raises(pacscore.PacscoreError), pacscore.open(copy) as restored:
        restored.rebuild()


def test_a_backup_that_holds_the_collection_lock_has_no_hole_however_long_it_takes(tmp_path: Path) -> None:
    """Without the lock a head of the copied log is replaced and collected before its file is copied."""
    source = _slices()
    settings = pacscore.Settings(grace_seconds=0)
    with pacscore.create(tmp_path / "archive", settings=settings) as archive:
        acknowledged = {}

        def stay_busy() -> None:
            receipt = archive.receive(next(source))
            acknowledged.setdefault(receipt.sop_instance_uid, receipt.sha256)
            archive.seal()

        stay_busy()
        asked = dict(acknowledged)
        with LocalFileSystem().lock(archive.root / "collection.lock", shared=True):
            _back_up(archive.root, tmp_path / "copy", RIGHT_ORDER, between=stay_busy)
            assert archive.stats()["superseded"]["generations"] > 0
        archive.seal()
        assert archive.stats()["superseded"]["generations"] == 0
        _back_up(archive.root, tmp_path / "hasty", RIGHT_ORDER, between=stay_busy)
    with pacscore.open(tmp_path / "copy") as restored:
        restored.rebuild()
        assert not restored.verify().findings
        assert all(restored.instance(uid).sha256 == digest for uid, digest in asked.items())
    with pytest.raises(pacscore.PacscoreError), pacscore.open(tmp_path / "hasty") as restored:
        restored.rebuild()


def test_a_backup_can_be_read_where_it_lies(tmp_path: Path) -> None:
    acknowledged, copy = _run(tmp_path, RIGHT_ORDER)
    before = sorted(copy.rglob("*"))
    with pacscore.open(copy, read_only=True) as opened:
        assert all(opened.instance(uid).bytes() for uid in acknowledged)
    assert sorted(copy.rglob("*")) == before
