"""What was resampled can be stored: it comes back with its values and its place, beside its sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import pacscore
from pacscore.imaging import Volume


@pytest.fixture(scope="module")
def archive(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pacscore.Archive]:
    with pacscore.create(tmp_path_factory.mktemp("resampled") / "archive") as made:
        made.ingest(*(data / "series" / name for name in ("sts003-ct", "sts003-pet")))
        yield made


def _part(archive: pacscore.Archive, modality: str) -> Volume:
    """The original series of a modality."""
    uids = {row["SeriesInstanceUID"] for row in archive.find("series", Modality=modality)}
    for uid in sorted(uids):
        series = archive.series(uid)
        if "DERIVED" not in list(series.instances[0].dataset().ImageType):
            return series.volume()
    series = archive.series(sorted(uids)[0])
    return series.volume()


CHANGES: dict[str, Callable[[Volume], Volume]] = {
    "isotropic": lambda volume: volume.resample(6.0),
    "oblique": lambda volume: volume.reslice_stack(
        slice_count=5, slice_spacing_mm=8.0, row_direction=(0.6, 0.8, 0), column_direction=(0, 0, -1), spacing_mm=5.0,
        shape=(40, 50), interpolation="cubic",
    ),
    "coarser": lambda volume: volume.pyramid(2)[2],
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_a_resampled_volume_is_stored_as_a_derived_series(
    archive: pacscore.Archive, modality: str, change: str
) -> None:
    volume = _part(archive, modality)
    changed = CHANGES[change](volume)
    assert set(changed.sop_instance_uids) <= set(volume.sop_instance_uids)
    series = archive.store_derived(changed, description=f"{modality} {change}")
    back = series.volume()
    assert back.shape == changed.shape
    np.testing.assert_allclose(back.index_to_lps, changed.index_to_lps, atol=1e-4)
    expected = changed.modality()
    np.testing.assert_allclose(back.modality(), expected, atol=2e-5 * float(np.ptp(expected)))
    header = series.instances[0].dataset()
    assert changed.derivation[-1].split(",")[0] in header.DerivationDescription
    assert header.SourceImageSequence[0].ReferencedSOPInstanceUID in volume.sop_instance_uids


def test_a_plane_of_a_sealed_series_equals_that_of_its_array(archive: pacscore.Archive) -> None:
    for modality in ("CT", "PT"):
        volume = _part(archive, modality)
        loaded = volume.with_array(volume.modality(), derivation="loaded")
        where = {
            "row_direction": (0.9, 0.3, 0.1),
            "column_direction": (-0.3, 0.9, 0),
            "spacing_mm": 1.7,
            "background": 0.0,
        }
        for interpolation in ("nearest", "linear", "cubic"):
            found = volume.reslice(**where, interpolation=interpolation)
            expected = loaded.reslice(**where, interpolation=interpolation)
            limit = 1e-5 * float(np.ptp(expected.array))
            np.testing.assert_allclose(found.array, expected.array, atol=limit)
