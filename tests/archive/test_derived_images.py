"""Pictures of a stored volume become series of one object in their place, beside what they were made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import pacscore
from pacscore.errors import NotFoundError, UnsupportedError
from pacscore.imaging import Image, Volume, Window

CT, SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"

PICTURES: dict[str, Callable[[Volume], Image]] = {
    "oblique": lambda volume: volume.reslice(row_direction=(0.6, 0.8, 0), column_direction=(0, 0, -1), spacing_mm=4),
    "slab": lambda volume: volume.slab(thickness_mm=12, combine="max", spacing_mm=4),
    "mip": lambda volume: volume.project(azimuth_deg=30, pixel_mm=4, step_mm=2),
    "axis mip": lambda volume: volume.project(axis="coronal"),
    "coronal plane": lambda volume: volume.plane("coronal", 100),
    "smoothed frame": lambda volume: volume.frame(3).enhance("gaussian"),
    "rotated": lambda volume: volume.frame(3).magnify(0.2).rotate(20).flip(rows=True).pan(1.5, 0),
}


@pytest.fixture(scope="module")
def archive(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pacscore.Archive]:
    with pacscore.create(tmp_path_factory.mktemp("pictures") / "archive") as made:
        made.ingest(data / "series" / "sts003-ct")
        yield made


@pytest.fixture(scope="module")
def volume(archive: pacscore.Archive) -> Volume:
    return archive.series(next(archive.find("series"))["SeriesInstanceUID"]).volume()


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_comes_back_with_its_values_place_and_sources(
    archive: pacscore.Archive, volume: Volume, name: str
) -> None:
    image = PICTURES[name](volume)
    series = archive.store_derived(image, description=name)
    back = series.volume().frame(0)
    expected = image.array
    np.testing.assert_allclose(back.array, expected, atol=2e-5 * float(np.ptp(expected)))
    assert back.index_to_lps is not None
    assert image.index_to_lps is not None
    np.testing.assert_allclose(back.index_to_lps[:, 1:], image.index_to_lps[:, 1:], atol=1e-4)
    np.testing.assert_allclose(back.spacing_mm, image.spacing_mm, rtol=1e-6)
    assert back.unit == "HU"
    assert len(series.instances) == 1
    header = series.instances[0].dataset()
    assert header.SOPClassUID == CT
    assert header.StudyInstanceUID == archive.instance(volume.sop_instance_uids[0]).dataset().StudyInstanceUID
    named = {item.ReferencedSOPInstanceUID for item in header.SourceImageSequence}
    assert named == set(image.sop_instance_uids)
    assert named == ({volume.sop_instance_uids[3]} if name in {"smoothed frame", "rotated"} else
                     set(volume.sop_instance_uids))  # fmt: skip
    assert image.derivation
    assert "; ".join(image.derivation) in header.DerivationDescription


def test_a_stored_plane_lies_where_the_volume_has_its_values(archive: pacscore.Archive, volume: Volume) -> None:
    back = archive.store_derived(volume.plane("coronal", 80), description="plane").volume().frame(0)
    assert back.index_to_lps is not None
    position = back.index_to_lps @ [0, 5, 100, 1]
    index = np.rint(np.linalg.solve(volume.index_to_lps, position)).astype(int)
    assert back.array[5, 100] == volume.modality()[tuple(index[:3])]


def test_a_rendering_is_a_secondary_capture_in_colour(archive: pacscore.Archive, volume: Volume) -> None:
    image = volume.render("bone", azimuth_deg=20, size=48)
    series = archive.store_derived(image, description="bone, rendered")
    header = series.instances[0].dataset()
    assert header.SOPClassUID == SECONDARY_CAPTURE
    assert (header.PhotometricInterpretation, header.SamplesPerPixel, header.PlanarConfiguration) == ("RGB", 3, 0)
    np.testing.assert_array_equal(header.pixel_array, image.array)
    back = series.volume().frame(0)
    np.testing.assert_array_equal(back.array, image.array)
    assert back.index_to_lps is not None
    np.testing.assert_allclose(back.index_to_lps, image.index_to_lps, atol=1e-4)
    assert "volume rendering, seen from" in header.DerivationDescription


def test_a_section_along_a_curve_has_a_spacing_and_claims_no_place(archive: pacscore.Archive, volume: Volume) -> None:
    middle = volume.index_to_lps @ [*(np.array(volume.shape) / 2), 1]
    points = middle[:3] + np.array([[0, 0, -20], [5, 3, 0], [0, 0, 20]])
    image = volume.curved(points, width_mm=40, spacing_mm=2)
    series = archive.store_derived(image, description="along the spine")
    header = series.instances[0].dataset()
    assert header.SOPClassUID == SECONDARY_CAPTURE
    assert "ImagePositionPatient" not in header
    assert "FrameOfReferenceUID" not in header
    assert [float(step) for step in header.PixelSpacing] == [2, 2]
    back = series.volume().frame(0)
    assert back.index_to_lps is None
    np.testing.assert_allclose(back.array, image.array, atol=2e-5 * float(np.ptp(image.array)))


def test_a_fused_volume_is_stored_in_colour(archive: pacscore.Archive, volume: Volume) -> None:
    small = volume.resample(12.0)
    fused = small.fuse(small, window_below="bone", window_above="lung")
    back = archive.store_derived(fused, description="fused").volume()
    np.testing.assert_array_equal(back.array(), fused.array())
    np.testing.assert_allclose(back.index_to_lps, small.index_to_lps, atol=1e-4)


def test_pictures_of_nothing_stored_get_a_study_of_their_own_and_unknown_sources_are_refused(
    archive: pacscore.Archive,
) -> None:
    image = Image(np.arange(12, dtype=np.uint8).reshape(3, 4), pixel_aspect=1.5, window=Window(6, 12, "LINEAR_EXACT"))
    series = archive.store_derived(image, description="made")
    header = series.instances[0].dataset()
    assert [int(part) for part in header.PixelAspectRatio] == [3, 2]
    assert (header.WindowCenter, header.VOILUTFunction) == (6, "LINEAR_EXACT")
    back = series.volume().frame(0)
    np.testing.assert_array_equal(back.array, image.array)
    assert back.pixel_aspect == 1.5
    with pytest.raises(NotFoundError):
        archive.store_derived(Image(np.zeros((2, 2)), sop_instance_uids=("1.2.3",)), description="lost")
    with pytest.raises(UnsupportedError):
        archive.store_derived(Image(np.zeros((2, 2, 3), np.uint16), photometric="RGB"), description="deep colour")
