"""SEG and RTSTRUCT objects of an archive as masks on a volume's grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from reference.components import polygon

import pacscore
from pacscore.errors import AmbiguousError, GeometryError, InputError, NotFoundError
from pacscore.geometry import frames_of
from pacscore.imaging.contours import draw_contours, read_structures
from pacscore.imaging.segmentation import draw_segment, read_segments

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SERIES = [
    "sts003-ct", "sts003-pet", "sts003-ct-rtstruct", "sts003-pet-rtstruct", "ct-liver-23x38x3", "ct-liver-23x38x3-seg",
    "rt-phantom-case",
]  # fmt: skip


@pytest.fixture(scope="module")
def archive(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pacscore.Archive]:
    with pacscore.create(tmp_path_factory.mktemp("masks") / "archive") as made:
        made.ingest(*(data / "series" / name for name in SERIES))
        yield made


def volume_of(archive: pacscore.Archive, data: Path, name: str, modality: str = "CT") -> pacscore.Volume:
    headers = (pydicom.dcmread(path, stop_before_pixels=True) for path in sorted((data / "series" / name).iterdir()))
    header = next(header for header in headers if header.get("Modality") == modality)
    return archive.series(header.SeriesInstanceUID, header.StudyInstanceUID).volume()


def test_a_structure_is_drawn_as_crossing_numbers_say(archive: pacscore.Archive, data: Path) -> None:
    volume = volume_of(archive, data, "sts003-ct")
    masks = archive.masks(volume, kind="RTSTRUCT")
    assert sorted(mask.label for mask in masks) == ["GTV_Mass_CT", "GTV_Mass_PET"]
    drawn = next(mask for mask in masks if mask.label == "GTV_Mass_CT")
    structure = pydicom.dcmread(data / "series" / "sts003-ct-rtstruct" / "RS.dcm")
    to_index = np.linalg.inv(volume.index_to_lps)
    wanted = np.zeros(volume.shape, bool)
    area = 0.0
    for contour in structure.ROIContourSequence[0].ContourSequence:
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        index = (np.c_[points, np.ones(len(points))] @ to_index.T)[:, :3]
        wanted[round(index[0, 0])] ^= polygon([tuple(place) for place in index[:, 1:]], volume.shape[1:])
        x, y = points[:, 0], points[:, 1]
        area += abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    assert (drawn.array != wanted).sum() <= 5  # Centres that lie on an edge within rounding.
    found = volume.statistics(mask=drawn)
    assert found.count == drawn.array.sum()
    # The squares of pixels and the polygon differ by at most half a pixel all round.
    assert found.volume_mm3 == pytest.approx(area * volume.spacing_mm[0], rel=0.03)
    assert found.mean == pytest.approx(volume.modality()[drawn.array].mean(dtype=float), rel=1e-6)


def test_structures_of_another_grid_in_the_same_frame_of_reference_are_drawn(
    archive: pacscore.Archive, data: Path
) -> None:
    ct, pet = volume_of(archive, data, "sts003-ct"), volume_of(archive, data, "sts003-pet", "PT")
    on_ct, on_pet = (
        next(mask for mask in archive.masks(volume) if mask.label == "GTV_Mass_CT") for volume in (ct, pet)
    )
    assert on_pet.shape == pet.shape
    sizes = [volume.statistics(mask=mask).volume_mm3 for volume, mask in ((ct, on_ct), (pet, on_pet))]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


def test_a_segment_is_where_its_frames_say(archive: pacscore.Archive, data: Path) -> None:
    volume = volume_of(archive, data, "ct-liver-23x38x3")
    (mask,) = archive.masks(volume)
    assert (mask.label, mask.number, mask.kind) == ("Liver", 1, "SEG")
    dataset = pydicom.dcmread(data / "series" / "ct-liver-23x38x3-seg" / "label.seg")
    wanted = np.zeros(volume.shape, bool)
    for frame, groups in zip(dataset.pixel_array, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        position = [*map(float, groups.PlanePositionSequence[0].ImagePositionPatient), 1.0]
        wanted[round((np.linalg.inv(volume.index_to_lps) @ position)[0])] = frame
    np.testing.assert_array_equal(mask.array, wanted)
    np.testing.assert_array_equal(np.asarray(mask), wanted)
    assert not mask.array.flags.writeable
    assert volume.statistics(mask=mask).count == wanted.sum() > 0
    # The same before sealing: received, not ingested (promise 9).
    assert archive.masks(volume, kind="RTSTRUCT") == ()


def test_masks_are_the_same_before_sealing(data: Path, tmp_path: Path) -> None:
    with pacscore.create(tmp_path / "archive") as waiting:
        for name in ("ct-liver-23x38x3", "ct-liver-23x38x3-seg"):
            for path in sorted((data / "series" / name).iterdir()):
                waiting.receive(path.read_bytes())
        volume = volume_of(waiting, data, "ct-liver-23x38x3")
        (before,) = waiting.masks(volume)
        before_array = before.array
        waiting.seal()
        (after,) = waiting.masks(volume_of(waiting, data, "ct-liver-23x38x3"))
        np.testing.assert_array_equal(before_array, after.array)


def test_every_structure_of_a_phantom_is_drawn_in_its_own_study(archive: pacscore.Archive, data: Path) -> None:
    volume = volume_of(archive, data, "rt-phantom-case")
    masks = archive.masks(volume)
    assert [mask.label for mask in masks] == [
        "External", "Big", "Small", "Circle", "BigH_SmallV", "BigV_SmallH", "Star",
    ]  # fmt: skip
    assert all(mask.array.any() for mask in masks)
    assert not (masks[2].array & ~masks[1].array).any()  # Small lies in Big.


def test_what_cannot_be_placed_is_refused(archive: pacscore.Archive, data: Path) -> None:
    volume = volume_of(archive, data, "ct-liver-23x38x3")
    elsewhere = replace(volume, geometry=replace(volume.geometry, frame_of_reference_uid="1.2.3"))
    assert archive.masks(elsewhere) == ()
    nowhere = replace(volume, geometry=replace(volume.geometry, frame_of_reference_uid=""))
    with pytest.raises(GeometryError, match="Frame of Reference"):
        archive.masks(nowhere)
    with pytest.raises(InputError, match="names no instance"):
        archive.masks(replace(volume, sop_instance_uids=()))
    with pytest.raises(NotFoundError):
        archive.masks(replace(volume, sop_instance_uids=("1.2.3",) * 3))
    with pytest.raises(InputError, match="SEG or RTSTRUCT"):
        archive.masks(volume, kind="PR")
    flat = np.array(volume.index_to_lps)
    flat[:3, 0] = 0
    with pytest.raises((AmbiguousError, GeometryError)):
        archive.masks(replace(volume, geometry=replace(volume.geometry, index_to_lps=flat)))


def segmentation(kind: str, **fields: object) -> dict:
    measures = [{"PixelSpacing": [2.0, 1.0], "SpacingBetweenSlices": 5.0}]
    return {
        "Rows": 4, "Columns": 6, "BitsAllocated": 8, "NumberOfFrames": 3, "SegmentationType": kind, "Modality": "SEG",
        "SegmentSequence": [{"SegmentNumber": n, "SegmentLabel": f"part {n}"} for n in (0, 1, 2)],
        "SharedFunctionalGroupsSequence": [
            {"PixelMeasuresSequence": measures,
             "PlaneOrientationSequence": [{"ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}]}
        ],
        "PerFrameFunctionalGroupsSequence": [
            {"PlanePositionSequence": [{"ImagePositionPatient": [10.0, 20.0, 5.0 * (2 - at)]}],
             "SegmentIdentificationSequence": [{"ReferencedSegmentNumber": 1 if at < 2 else 2}]}
            for at in range(3)
        ],
        **fields,
    }  # fmt: skip


def grid(spacing: tuple[float, float, float], origin: tuple[float, float, float]) -> np.ndarray:
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *spacing, 1
    affine[:3, 3] = origin
    return affine


def test_segments_of_every_type_are_read() -> None:
    samples = np.random.default_rng(50).integers(0, 3, (3, 4, 6)).astype(np.uint8)
    for kind, fields, inside in (
        ("BINARY", {}, lambda frame, number: frame > 0),
        ("FRACTIONAL", {"MaximumFractionalValue": 3}, lambda frame, number: frame >= 2),
        ("LABELMAP", {}, lambda frame, number: frame == number),
    ):
        document = segmentation(kind, **fields)
        segments = read_segments(document)
        assert [(segment.number, segment.label) for segment in segments] == [(1, "part 1"), (2, "part 2")]
        frames = frames_of(document, 0)
        for segment in segments:
            wanted = np.zeros((3, 4, 6), bool)
            for at in range(3):
                if kind == "LABELMAP" or (segment.number == 1) == (at < 2):
                    wanted[2 - at] = inside(samples[at], segment.number)
            affine = grid((5, 2, 1), (10, 20, 0))
            found = draw_segment(segment, frames, lambda at: samples[at], affine, (3, 4, 6))
            np.testing.assert_array_equal(found, wanted)
            # On part of a larger grid, and on one twice as fine in the slice and thrice across it.
            shifted = draw_segment(segment, frames, lambda at: samples[at], grid((5, 2, 1), (8, 22, -5)), (5, 6, 9))
            np.testing.assert_array_equal(shifted[1:4, :3, 2:8], wanted[:, 1:])
            assert shifted.sum() == wanted[:, 1:].sum()
            fine = draw_segment(
                segment, frames, lambda at: samples[at], grid((5 / 3, 1, 0.5), (9.75, 19.5, -5 / 3)), (9, 8, 12)
            )
            np.testing.assert_array_equal(fine, wanted.repeat(3, 0).repeat(2, 1).repeat(2, 2))


def test_frames_without_a_place_are_refused() -> None:
    document = segmentation("BINARY")
    document["PerFrameFunctionalGroupsSequence"][0]["PlanePositionSequence"] = []
    (first, _) = read_segments(document)
    with pytest.raises(GeometryError, match="no position"):
        draw_segment(first, frames_of(document, 0), lambda at: np.ones((4, 6)), grid((5, 2, 1), (0, 0, 0)), (3, 4, 6))
    tilted = segmentation("BINARY")
    turned = {"ImageOrientationPatient": [0.0, 1.0, 0.0, -1.0, 0.0, 0.0]}
    tilted["PerFrameFunctionalGroupsSequence"][0]["PlaneOrientationSequence"] = [turned]
    with pytest.raises(GeometryError, match="not parallel"):
        draw_segment(
            read_segments(tilted)[0], frames_of(tilted, 0), lambda at: np.ones((4, 6)), grid((3, 2, 1), (0, 0, 0)),
            (3, 4, 6),
        )  # fmt: skip


def test_contours_stand_for_half_the_way_to_their_neighbours_and_gaps_stay() -> None:
    def square(z: float, low: float = 1.5, high: float = 5.5) -> list[float]:
        corners = [(low, low), (low, high), (high, high), (high, low)]
        return [number for x, y in corners for number in (x, y, z)]

    contours = [{"ContourGeometricType": "CLOSED_PLANAR", "ContourData": square(z)} for z in (0, 3, 6, 15)]
    hole = {"ContourGeometricType": "CLOSED_PLANAR", "ContourData": square(3.0, 2.5, 4.5)}
    open_line = {"ContourGeometricType": "OPEN_PLANAR", "ContourData": square(9)}
    broken = {"ContourGeometricType": "CLOSED_PLANAR", "ContourData": [1.0, 2.0]}
    document = {
        "StructureSetROISequence": [
            {"ROINumber": 1, "ROIName": "box", "ReferencedFrameOfReferenceUID": "1.2"},
            {"ROINumber": 2, "ROIName": "nothing"},
        ],
        "ROIContourSequence": [
            {"ReferencedROINumber": 1, "ContourSequence": [*contours, hole, open_line, broken]},
            {"ReferencedROINumber": 2, "ContourSequence": [open_line]},
        ],
    }
    (structure,) = read_structures(document)
    assert (structure.number, structure.name, structure.frame_of_reference_uid) == (1, "box", "1.2")
    assert len(structure.contours) == 5
    mask = draw_contours(structure.contours, grid((1, 1, 1), (0, 0, -2)), (20, 8, 8))
    filled = [index - 2 for index in range(20) if mask[index].any()]
    assert filled == [-1, 0, 1, 2, 3, 4, 5, 6, 7, 14, 15, 16]
    assert mask[2].sum() == 16
    assert mask[5].sum() == 16 - 4
    across = grid((1, 1, 1), (0, 0, -2))[:, [1, 0, 2, 3]]  # Slices along y: contours lie across the rows.
    np.testing.assert_array_equal(draw_contours(structure.contours, across, (8, 20, 8)), mask.swapaxes(0, 1))
    skew = grid((1, 1, 1), (0, 0, -2))
    skew[:3, :3] = np.linalg.qr(np.random.default_rng(51).normal(size=(3, 3)))[0]
    with pytest.raises(GeometryError, match="across"):
        draw_contours(structure.contours, skew, (20, 8, 8))
