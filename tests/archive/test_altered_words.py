"""Words that Bits Stored alters: counted when sealed, said in a finding, and masked for whoever reads values."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian

import pacscore
from pacscore.store import manifest
from pacscore.store.generation import Generation

SHAPE = (9, 7)


def make_slice(number: int, words: np.ndarray, *, stored: int = 12, big_endian: bool = False) -> bytes:
    """A CT slice of 16-bit words, of which ``stored`` bits are values."""
    each = pydicom.Dataset()
    each.file_meta = pydicom.dataset.FileMetaDataset()
    each.file_meta.TransferSyntaxUID = ExplicitVRBigEndian if big_endian else ExplicitVRLittleEndian
    each.SOPClassUID, each.SOPInstanceUID = CTImageStorage, f"1.2.3.{number + 1}"
    each.StudyInstanceUID, each.SeriesInstanceUID, each.Modality = "1.2.9", "1.2.9.1", "CT"
    each.InstanceNumber, each.FrameOfReferenceUID = number + 1, "1.2.9.2"
    each.ImagePositionPatient, each.ImageOrientationPatient = [0, 0, 2 * number], [1, 0, 0, 0, 1, 0]
    each.PixelSpacing, each.SamplesPerPixel, each.PhotometricInterpretation = [1, 1], 1, "MONOCHROME2"
    each.Rows, each.Columns = SHAPE
    each.BitsAllocated, each.BitsStored, each.HighBit = 16, stored, stored - 1
    each.PixelRepresentation = int(words.dtype.kind == "i")
    each.PixelData = words.astype(words.dtype.newbyteorder(">" if big_endian else "<")).tobytes()
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, each, little_endian=not big_endian, implicit_vr=False, enforce_file_format=True)
    return buffer.getvalue()


OVERLAY_IN_BIT_12 = (
    (0x60000010, "US", SHAPE[0]),
    (0x60000011, "US", SHAPE[1]),
    (0x60000040, "CS", "G"),
    (0x60000050, "SS", [1, 1]),
    (0x60000100, "US", 16),
    (0x60000102, "US", 12),
)
"""Overlay Rows to Overlay Bit Position of a retired overlay inside the pixel words (PS3.3-2004 C.9.2)."""


def overlay_slice(number: int, words: np.ndarray, mask: np.ndarray) -> bytes:
    """A slice with an overlay in its high bits."""
    burnt = words | np.where(mask, 1 << 12, 0).astype(words.dtype)
    each = pydicom.dcmread(BytesIO(make_slice(number, burnt)))
    for tag, vr, value in OVERLAY_IN_BIT_12:
        each.add_new(tag, vr, value)
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, each)
    return buffer.getvalue()


def facts(archive: pacscore.Archive) -> tuple[Any, ...]:
    """What must be equal before and after sealing."""
    series = archive.series("1.2.9.1")
    volume = series.volume()
    return (
        volume.array().tolist(),
        volume[1:, 2:5, ::2].tolist(),
        [finding.as_dict() for finding in volume.geometry.findings],
        volume.stored,
        {key: value for key, value in series.as_dict().items() if key not in {"state", "generation", "strategy"}},
    )


def altered(findings: Sequence[Any]) -> list[dict[str, Any]]:
    return [dict(finding.fields) for finding in findings if finding.code == "altered-words"]


@pytest.fixture
def words() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 4096, (4, *SHAPE), dtype=np.uint16)


@pytest.mark.parametrize("strategy", ["balanced", "part10"])
def test_an_overlay_in_high_bits_is_counted_and_masked_and_comes_back(
    tmp_path: Path, words: np.ndarray, strategy: str
) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[2:4, 1:6] = True
    objects = [make_slice(0, words[0]), overlay_slice(1, words[1], mask), *map(make_slice, (2, 3), words[2:])]
    with pacscore.create(tmp_path / "archive", strategy=strategy) as archive:
        for whole in objects:
            archive.receive(whole)
        before = facts(archive)
        archive.seal()
        assert facts(archive) == before
        volume = archive.series("1.2.9.1").volume()
        assert altered(volume.geometry.findings) == [{"word_count": 10, "frame_count": 1}]
        assert not volume.stored.clean
        assert np.array_equal(volume.array(), words)
        assert np.array_equal(volume.source.read([slice(0, n) for n in volume.shape])[1] & 0x1000 > 0, mask)
        assert [archive.instance(f"1.2.3.{n + 1}").bytes() for n in range(4)] == objects
        digest = archive._session.catalog.digest()
        archive.rebuild()
        assert archive._session.catalog.digest() == digest
        assert not archive.verify().findings


@pytest.mark.parametrize("big_endian", [False, True])
def test_clean_words_are_read_without_masking(tmp_path: Path, *, big_endian: bool) -> None:
    signed = np.random.default_rng(6).integers(-2048, 2048, (4, *SHAPE), dtype=np.int16)
    with pacscore.create(tmp_path / "archive") as archive:
        for number, slice_words in enumerate(signed):
            archive.receive(make_slice(number, slice_words, big_endian=big_endian))
        before = facts(archive)
        archive.seal()
        assert facts(archive) == before
        volume = archive.series("1.2.9.1").volume()
        assert volume.stored.clean
        assert not altered(volume.geometry.findings)
        assert np.array_equal(volume.array(), signed)


def test_signs_that_were_not_extended_are_counted(tmp_path: Path) -> None:
    values = np.random.default_rng(7).integers(-2048, 2048, (3, *SHAPE), dtype=np.int16)
    with pacscore.create(tmp_path / "archive") as archive:
        for number, each in enumerate(values):
            archive.receive(make_slice(number, each & 0x0FFF))
        archive.seal()
        volume = archive.series("1.2.9.1").volume()
        assert altered(volume.geometry.findings)[0]["word_count"] == int((values < 0).sum())
        assert np.array_equal(volume.array(), values)


def test_where_frames_state_other_bits_only_those_with_altered_words_are_masked(
    tmp_path: Path, words: np.ndarray
) -> None:
    """Also where the widest of them has every bit stored."""
    wide = words[1] | 0x8000
    objects = [make_slice(0, words[0]), make_slice(1, wide, stored=16), make_slice(2, words[2] | 0x4000)]
    with pacscore.create(tmp_path / "archive") as archive:
        for whole in objects:
            archive.receive(whole)
        before = facts(archive)
        archive.seal()
        assert facts(archive) == before
        volume = archive.series("1.2.9.1").volume()
        assert [each.clean for each in volume.stored.of_frames] == [True, True, False]
        assert np.array_equal(volume.array(), np.stack([words[0], wide, words[2]]))
        assert altered(volume.geometry.findings) == [{"word_count": words[2].size, "frame_count": 1}]


def test_a_late_instance_keeps_the_counts_of_those_before(tmp_path: Path, words: np.ndarray) -> None:
    with pacscore.create(tmp_path / "archive") as archive:
        archive.receive(make_slice(0, words[0] | 0x4000))
        archive.receive(make_slice(1, words[1]))
        archive.seal()
        archive.receive(make_slice(2, words[2] | 0x8000))
        before = facts(archive)
        archive.seal()
        assert facts(archive) == before
        finding = altered(archive.series("1.2.9.1").volume().geometry.findings)
        assert finding == [{"word_count": 2 * words[0].size, "frame_count": 2}]


def test_a_generation_without_counts_is_read_and_masked(
    tmp_path: Path, words: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of a writer that does not count: a reader knows nothing, so it masks and says nothing."""
    columns = manifest._frame_columns
    monkeypatch.setattr(
        manifest,
        "_frame_columns",
        lambda *parts: {name: value for name, value in columns(*parts).items() if name != "array_altered"},
    )
    with pacscore.create(tmp_path / "archive") as archive:
        for number in range(3):
            archive.receive(make_slice(number, words[number] | 0x4000))
        archive.seal()
        monkeypatch.undo()
        series = archive.series("1.2.9.1")
        with Generation.open(archive.root / series.generation) as generation:
            assert generation.manifest.altered(0) is None
        assert not series.volume().stored.clean
        assert not altered(series.volume().geometry.findings)
        assert np.array_equal(series.volume().array(), words[:3])
        archive.receive(make_slice(3, words[3]))
        archive.seal()
        finding = altered(archive.series("1.2.9.1").volume().geometry.findings)
        assert finding == [{"word_count": 3 * words[0].size, "frame_count": 3}]
