"""Real series: what they become, and whether an independent converter puts the voxels in the same places."""

from __future__ import annotations

import csv
import gzip
import itertools
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from pacscore.geometry import GEOMETRY_KEYWORDS, Stack, StackGeometry, build_stacks, frames_of, lps_to_ras

Documents = Callable[[str], dict[str, list[dict[str, Any]]]]


class Expected(NamedTuple):
    kind: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    verdict: str
    codes: frozenset[str] = frozenset()


SERIES: dict[str, list[Expected]] = {
    "ct-headneck-90": [Expected("volume", (90, 511, 511), (), "regular", frozenset({"bits-stored"}))],
    "ct-increment-ge-4": [Expected("volume", (4, 512, 512), (), "gaps", frozenset({"gaps"}))],
    "ct-liver-23x38x3": [Expected("volume", (3, 38, 23), (), "regular")],
    "ct-liver-23x38x3-seg": [Expected("volume", (3, 38, 23), (), "regular")],
    "ct-tilt-irregular-ge": [Expected("volume", (28, 512, 512), (), "irregular", frozenset({"irregular", "tilt"}))],
    "mr-asl-multiphase-philips": [Expected("volume", (8, 6, 80, 80), ("trigger_time",), "regular")],
    "mr-dti-uih": [Expected("mosaic", (17, 1, 256, 320), ("diffusion",), "none", frozenset({"mosaic"}))],
    "mr-dwi-ge": [Expected("volume", (7, 2, 256, 256), ("diffusion",), "regular")],
    "mr-enhanced-b0-philips": [Expected("volume", (32, 64, 64), (), "regular", frozenset({"separated"}))] * 2,
    "mr-enhanced-dti-philips": [Expected("volume", (4, 8, 128, 128), ("diffusion",), "regular")],
    "mr-enhanced-fmri-siemens-xa10": [Expected("volume", (4, 6, 64, 64), ("temporal_position",), "regular")],
    "mr-fmri-ge-multiphase": [Expected("volume", (10, 10, 64, 64), ("temporal_position",), "regular")],
    "mr-fmri-mosaic-siemens-nih": [
        Expected("mosaic", (2, 1, 216, 216), ("acquisition_time",), "none", frozenset({"mosaic"}))
    ],
    "mr-fmri-philips": [Expected("volume", (3, 9, 64, 64), ("temporal_position",), "regular")],
    "mr-hitachi-4": [Expected("volume", (4, 64, 64), (), "regular", frozenset({"left-handed-order"}))],
    "mr-localizer-3plane-ge": [
        Expected("volume", (7, 256, 256), (), "regular", frozenset({"separated"})),
        Expected("volume", (7, 256, 256), (), "regular", frozenset({"separated"})),
        Expected("volume", (7, 256, 256), (), "regular", frozenset({"separated", "left-handed-order"})),
    ],
    "mr-mosaic-j2k-siemens": [
        Expected("mosaic", (2, 1, 516, 516), ("acquisition_time",), "none", frozenset({"mosaic"}))
    ],
    "mr-mosaic-jpll-siemens": [
        Expected("mosaic", (2, 1, 516, 516), ("acquisition_time",), "none", frozenset({"mosaic"}))
    ],
    "mr-multiecho-mosaic-siemens": [
        Expected("mosaic", (2, 3, 1, 384, 384), ("echo_time", "acquisition_time"), "none", frozenset({"mosaic"}))
    ],
    "mr-philips-anat-4": [Expected("volume", (4, 240, 240), (), "regular")],
    "mr-rgb-4": [Expected("frames", (4, 77, 52, 3), (), "regular", frozenset({"left-handed-order"}))],
    "mr-t1-jpegls-4": [Expected("volume", (4, 256, 256), (), "regular", frozenset({"left-handed-order"}))],
    "mr-t1-rle-4": [Expected("volume", (4, 256, 256), (), "regular", frozenset({"left-handed-order"}))],
    "sts003-ct": [Expected("volume", (51, 158, 154), (), "regular")],
    "sts003-mr-t1": [Expected("volume", (47, 138, 121), (), "regular")],
    "sts003-pet": [Expected("volume", (51, 30, 29), (), "regular")],
}


def stacks_of(documents: list[dict[str, Any]], *, seed: int = 0) -> tuple[Stack, ...]:
    frames = [frame for instance, document in enumerate(documents) for frame in frames_of(document, instance)]
    random.Random(seed).shuffle(frames)
    return build_stacks(frames)


@pytest.mark.parametrize("name", SERIES)
def test_real_series_become_the_expected_stacks(series_documents: Documents, name: str) -> None:
    (documents,) = series_documents(f"series/{name}").values()

    stacks = stacks_of(documents)

    found = [
        Expected(
            stack.kind,
            stack.shape,
            tuple(axis.name for axis in stack.axes),
            str(stack.geometry.verdict),
            frozenset(finding.code for finding in stack.geometry.findings),
        )
        for stack in stacks
    ]
    assert found == SERIES[name]


@pytest.mark.parametrize("name", SERIES)
def test_real_series_give_equal_stacks_for_any_order_and_only_need_the_named_keywords(
    series_documents: Documents, name: str
) -> None:
    (documents,) = series_documents(f"series/{name}").values()
    reduced = [{key: value for key, value in item.items() if key in GEOMETRY_KEYWORDS} for item in documents]

    stacks = stacks_of(documents)

    for seed in range(1, 4):
        assert stacks_of(reduced, seed=seed) == stacks
    for stack in stacks:
        assert StackGeometry.from_dict(stack.geometry.as_dict()) == stack.geometry


def test_every_real_object_gives_each_of_its_frames_a_place(series_documents: Documents) -> None:
    for folder in ("series", "single", "broken"):
        for documents in series_documents(folder).values():
            frames = [frame for number, document in enumerate(documents) for frame in frames_of(document, number)]
            places = [tuple(place) for stack in build_stacks(frames) for place in stack.frames.reshape(-1, 2).tolist()]
            assert sorted(places) == sorted((frame.instance, frame.frame_index) for frame in frames)


def test_dose_grids_of_several_beams_are_stacks_of_their_own(series_documents: Documents) -> None:
    doses = [
        documents
        for documents in series_documents("series/rt-phantom-case").values()
        if documents[0]["Modality"] == "RTDOSE"
    ]

    stacks = [stack for documents in doses for stack in stacks_of(documents)]

    assert len(stacks) == 4
    for stack in stacks:
        assert (stack.shape, str(stack.geometry.verdict)) == ((5, 22, 22), "regular")
        assert len(np.unique(stack.frames[:, 0])) == 1
        assert stack.geometry.index_to_lps is not None
        assert stack.geometry.index_to_lps[:3, 3].tolist() == [-45.006909, -51.014013, -150.0]


def test_single_dose_has_planes_along_its_grid_frame_offset_vector(series_documents: Documents) -> None:
    doses = [
        document
        for documents in series_documents("single/pydicom").values()
        for document in documents
        if document.get("Modality") == "RTDOSE" and document.get("NumberOfFrames") == 15
    ]

    assert doses
    for document in doses:
        (stack,) = stacks_of([document])
        assert stack.geometry.verdict == "regular"
        assert stack.geometry.spacing_mm == (5.0, 10.0, 10.0)


def test_whole_slide_tiles_are_loose_frames(series_documents: Documents) -> None:
    slides = [
        document
        for documents in series_documents("single/highdicom").values()
        for document in documents
        if document["Modality"] == "SM"
    ]

    assert slides
    for document in slides:
        (stack,) = stacks_of([document])
        assert (stack.kind, str(stack.geometry.verdict), stack.frames.shape) == ("frames", "none", (25, 2))
        assert "tiled" in {finding.code for finding in stack.geometry.findings}


# ---- An independent converter ---------------------------------------------------------------------------------------

# Its volumes of these series are resampled or made of mosaic tiles, which this room leaves alone.
_MOSAICS = {name for name, expected in SERIES.items() if expected[0].kind == "mosaic"}
# These have no affine here. dcm2niix writes one all the same, and warns.
_NOT_AFFINE = {"ct-increment-ge-4", "ct-tilt-irregular-ge"}


class Match(NamedTuple):
    distance_mm: float
    order: tuple[int, ...]
    flips: tuple[bool, ...]


def _corners(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    indices = np.array([(*corner, 1) for corner in itertools.product(*((0, length - 1) for length in shape))], float)
    return indices @ affine[:3].T


def _best_match(ours: Stack, affine: NDArray[np.float64], shape: tuple[int, ...]) -> Match:
    """How to reorder and reverse our axes so that corner voxels come nearest to those of ``affine``."""
    assert ours.geometry.index_to_lps is not None
    own_shape = (ours.frames.shape[-2], *ours.frame_shape[:2])
    best = Match(np.inf, (0, 1, 2), (False, False, False))
    for order in itertools.permutations(range(3)):
        if tuple(own_shape[axis] for axis in order) != shape:
            continue
        for flips in itertools.product((False, True), repeat=3):
            moved = lps_to_ras(ours.geometry.index_to_lps)[:, [*order, 3]]
            for axis, flip in enumerate(flips):
                if flip:
                    moved[:, 3] += moved[:, axis] * (shape[axis] - 1)
                    moved[:, axis] *= -1.0
            distance = np.linalg.norm(_corners(moved, shape) - _corners(affine, shape), axis=1).max()
            best = min(best, Match(float(distance), order, flips))
    return best


def _reference_rows(data: Path) -> list[dict[str, str]]:
    with (data / "refs" / "dcm2niix" / "geometry.tsv").open() as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def test_voxels_lie_where_dcm2niix_puts_them(data: Path, series_documents: Documents) -> None:
    compared = set()
    for row in _reference_rows(data):
        name = row["series"]
        if name in _MOSAICS or "_Eq" in row["file"] or "_Tilt" in row["file"]:
            continue
        shape = tuple(int(length) for length in row["shape"].split("x"))
        stacks = [
            stack
            for documents in series_documents(f"series/{name}").values()
            if documents[0]["Modality"] not in ("RTDOSE", "RTIMAGE")
            for stack in stacks_of(documents)
        ]
        volumes = int(np.prod(shape[3:]))
        same_size = [
            stack
            for stack in stacks
            if int(np.prod(stack.frames.shape[:-2])) == volumes
            and sorted((stack.frames.shape[-2], *stack.frame_shape[:2])) == sorted(shape[:3])
        ]
        assert same_size, row["file"]
        if name in _NOT_AFFINE:
            assert all(stack.geometry.index_to_lps is None for stack in same_size)
            continue
        affine = np.array(row["affine_row_major_ras_mm"].split(), float).reshape(4, 4)
        # dcm2niix takes the spacing from two neighbours in 32-bit floats, 6e-5 mm apart at 850 mm: 3e-3 over 50 slices.
        assert min(_best_match(stack, affine, shape[:3]).distance_mm for stack in same_size) < 5e-3, row["file"]
        compared.add(name)
    assert len(compared) >= 18


def _stored_nifti(path: Path) -> NDArray[Any]:
    """The stored voxels of a NIfTI-1 file, indexed (column, row, slice, volume)."""
    content = gzip.decompress(path.read_bytes())
    count, *lengths = struct.unpack_from("<8h", content, 40)
    (kind,) = struct.unpack_from("<h", content, 70)
    (start,) = struct.unpack_from("<f", content, 108)
    dtype = {4: "<i2", 512: "<u2", 16: "<f4"}[kind]
    shape = tuple(lengths[:count]) + (1,) * (4 - count)
    return np.frombuffer(content, dtype, int(np.prod(shape)), int(start)).reshape(shape, order="F")


@pytest.mark.parametrize(
    ("file", "component"),
    [
        ("mr-fmri-ge-multiphase_2_e1.nii.gz", None),
        ("mr-fmri-philips_201_e1.nii.gz", None),
        ("mr-enhanced-fmri-siemens-xa10_6_e1.nii.gz", None),
        ("mr-enhanced-b0-philips_801_e1.nii.gz", 0),
        ("mr-enhanced-b0-philips_801_e2_fieldmaphz.nii.gz", 1),
        ("mr-hitachi-4_10_e0.nii.gz", None),
        ("mr-localizer-3plane-ge_1_e1_i00001.nii.gz", None),
        ("mr-localizer-3plane-ge_1_e1_i00015.nii.gz", None),
        ("mr-philips-anat-4_401_e0.nii.gz", None),
        ("mr-asl-multiphase-philips_301_e1.nii.gz", None),
        ("ct-liver-23x38x3_123456_e0.nii.gz", None),
        ("sts003-pet_4_e0.nii.gz", None),
    ],
)
@pytest.mark.filterwarnings("ignore:The value length")  # Of the file, not of this test.
def test_every_voxel_of_every_volume_is_that_of_dcm2niix(
    data: Path, to_document: Callable[[pydicom.Dataset], dict[str, Any]], file: str, component: int | None
) -> None:
    (row,) = (found for found in _reference_rows(data) if found["file"] == file)
    datasets = [pydicom.dcmread(path) for path in sorted((data / "series" / row["series"]).iterdir())]
    stacks = stacks_of([to_document(dataset) for dataset in datasets])
    shape = tuple(int(length) for length in row["shape"].split("x"))[:3]
    affine = np.array(row["affine_row_major_ras_mm"].split(), float).reshape(4, 4)
    reference = _stored_nifti(data / "refs" / "dcm2niix" / file)

    matches = [_best_match(stack, affine, shape) for stack in stacks]
    # Where two volumes lie in the same place, the parameter says which is meant; else the place does.
    chosen = matches.index(min(matches)) if component is None else component
    stack, match = stacks[chosen], matches[chosen]
    assert match.distance_mm < 5e-3
    pixels = [dataset.pixel_array.reshape(-1, *stack.frame_shape) for dataset in datasets]
    if reference.dtype.kind == "f":  # Here the rescale differs between frames, and dcm2niix has applied it.
        pixels = [
            frames * np.float32(dataset.RescaleSlope) + np.float32(dataset.RescaleIntercept)
            for frames, dataset in zip(pixels, datasets, strict=True)
        ]
    ours = np.array([pixels[instance][frame] for instance, frame in stack.frames.reshape(-1, 2)])
    volumes = ours.reshape(-1, stack.frames.shape[-2], *stack.frame_shape)

    for index, volume in enumerate(volumes):
        moved = np.transpose(volume, match.order)
        moved = moved[tuple(slice(None, None, -1 if flip else 1) for flip in match.flips)]
        assert np.allclose(moved, reference[..., index], rtol=1e-6, atol=0)
