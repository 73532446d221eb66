"""What is read from one object: classic, multi-frame, enhanced, and nonsense."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacscore.errors import LimitError
from pacscore.geometry import GEOMETRY_KEYWORDS, Verdict, build_stacks, frames_of
from pacscore.geometry.attributes import INDEX

Document = dict[str, Any]

CLASSIC: Document = {
    "SOPInstanceUID": "1.2.3",
    "InstanceNumber": 7,
    "Modality": "CT",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "Rows": 4,
    "Columns": 6,
    "SamplesPerPixel": 1,
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "PixelSpacing": [0.5, 0.25],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "ImagePositionPatient": [-10.0, -20.0, 30.0],
}


def test_classic_object_is_one_frame() -> None:
    (frame,) = frames_of(CLASSIC, 5)

    assert (frame.instance, frame.frame_index, frame.instance_number, frame.kind) == (5, 0, 7, "volume")
    assert frame.pixels.dtype == "int16"
    assert (frame.bits_stored, frame.high_bit) == (12, 11)
    assert frame.pixel_spacing == (0.5, 0.25)
    assert frame.problems == ()


def test_pixel_spacing_is_between_rows_then_between_columns() -> None:
    documents = [CLASSIC | {"ImagePositionPatient": [-10.0, -20.0, z], "InstanceNumber": int(z)} for z in (30.0, 33.0)]

    (stack,) = build_stacks([frame for number, item in enumerate(documents) for frame in frames_of(item, number)])

    matrix = stack.geometry.index_to_lps
    assert matrix is not None
    assert (matrix @ [0, 1, 0, 1]).tolist() == [-10.0, -19.5, 30.0, 1.0]  # One row down is 0.5 mm to posterior.
    assert (matrix @ [0, 0, 1, 1]).tolist() == [-9.75, -20.0, 30.0, 1.0]  # One column on is 0.25 mm to the left.
    assert (matrix @ [1, 0, 0, 1]).tolist() == [-10.0, -20.0, 33.0, 1.0]


@pytest.mark.parametrize("missing", ["Rows", "Columns", "BitsAllocated"])
def test_objects_that_describe_no_pixels_have_no_frames(missing: str) -> None:
    assert frames_of({key: value for key, value in CLASSIC.items() if key != missing}, 0) == []
    assert frames_of(CLASSIC | {missing: None}, 0) == []
    assert frames_of(CLASSIC | {missing: 0}, 0) == []


@pytest.mark.parametrize(
    ("keyword", "value", "problem"),
    [
        ("ImagePositionPatient", None, "position-missing"),
        ("ImagePositionPatient", [1.0, 2.0], "position-unusable"),
        ("ImagePositionPatient", [1.0, 2.0, math.nan], "position-unusable"),
        ("ImagePositionPatient", [1.0, 2.0, math.inf], "position-unusable"),
        ("ImagePositionPatient", [1.0, 2.0, "x"], "position-unusable"),
        ("ImagePositionPatient", [1.0, 2.0, 1e30], "position-unusable"),
        ("ImagePositionPatient", 4.0, "position-unusable"),
        ("ImageOrientationPatient", None, "orientation-missing"),
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0], "orientation-unusable"),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0], "orientation-unusable"),
        ("ImageOrientationPatient", [2, 0, 0, 0, 1, 0], "orientation-unusable"),
        ("ImageOrientationPatient", [math.nan] * 6, "orientation-unusable"),
        ("PixelSpacing", None, "pixel-spacing-missing"),
        ("PixelSpacing", [0.0, 1.0], "pixel-spacing-unusable"),
        ("PixelSpacing", [-1.0, 1.0], "pixel-spacing-unusable"),
        ("PixelSpacing", ["", "1"], "pixel-spacing-unusable"),
    ],
)
def test_unusable_geometry_makes_loose_frames_with_the_reason(keyword: str, value: Any, problem: str) -> None:
    frames = [frame for number in range(3) for frame in frames_of(CLASSIC | {keyword: value}, number)]

    (stack,) = build_stacks(frames)

    assert (stack.kind, stack.geometry.verdict) == ("frames", Verdict.NONE)
    assert stack.geometry.index_to_lps is None
    (finding,) = stack.geometry.findings
    assert (finding.code, finding.fields) == (problem, {"frame_count": 3})


def test_multi_frame_object_without_places_is_loose_frames_in_order() -> None:
    (stack,) = build_stacks(frames_of(CLASSIC | {"NumberOfFrames": 30}, 2))

    assert (stack.kind, stack.shape) == ("frames", (30, 4, 6))
    assert stack.frames.tolist() == [[2, index] for index in range(30)]
    assert {finding.code for finding in stack.geometry.findings} == {"position-missing"}


def test_colour_is_loose_frames_with_samples_last_but_keeps_its_geometry() -> None:
    colour = CLASSIC | {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 1}
    documents = [colour | {"ImagePositionPatient": [0.0, 0.0, float(z)]} for z in range(4)]

    (stack,) = build_stacks([frame for number, item in enumerate(documents) for frame in frames_of(item, number)])

    assert (stack.kind, stack.shape, stack.geometry.verdict) == ("frames", (4, 4, 6, 3), Verdict.REGULAR)


def test_more_frames_than_can_be_stacked_are_refused() -> None:
    with pytest.raises(LimitError, match="Number of Frames") as caught:
        frames_of(CLASSIC | {"NumberOfFrames": 2_000_000_000}, 0)
    assert caught.value.fields["found"] == 2_000_000_000


@pytest.mark.parametrize("given_count", [0, -3, None, "many", 2.5, [], True])
def test_a_senseless_number_of_frames_counts_as_one(given_count: Any) -> None:
    assert len(frames_of(CLASSIC | {"NumberOfFrames": given_count}, 0)) == 1


# ---- Functional groups ----------------------------------------------------------------------------------------------


def enhanced(positions: list[list[float]], *, shared: Document | None = None, **frame: list[Any]) -> Document:
    """An enhanced object; ``frame`` gives lists of items, one for each frame."""
    top = {key: value for key, value in CLASSIC.items() if not key.startswith(("Image", "Pixel"))}
    items = [{"PlanePositionSequence": [{"ImagePositionPatient": position}]} for position in positions]
    for sequence, values in frame.items():
        for item, value in zip(items, values, strict=True):
            item[sequence] = [value]
    return top | {
        "NumberOfFrames": len(positions),
        "PixelRepresentation": 0,
        "SharedFunctionalGroupsSequence": [
            {
                "PlaneOrientationSequence": [{"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}],
                "PixelMeasuresSequence": [{"PixelSpacing": [0.5, 0.25], "SliceThickness": 2.0}],
            }
            | (shared or {})
        ],
        "PerFrameFunctionalGroupsSequence": items,
    }


def test_shared_and_per_frame_groups_place_the_frames() -> None:
    document = enhanced([[0.0, 0.0, 2.0 * z] for z in (3, 1, 0, 2)])

    (stack,) = build_stacks(frames_of(document, 9))

    assert stack.geometry.verdict == Verdict.REGULAR
    assert stack.geometry.spacing_mm == (2.0, 0.5, 0.25)
    assert stack.frames.tolist() == [[9, 2], [9, 1], [9, 3], [9, 0]]


def test_a_per_frame_group_overrides_the_shared_one() -> None:
    document = enhanced(
        [[0.0, 0.0, 2.0 * z] for z in range(4)],
        PixelMeasuresSequence=[{"PixelSpacing": [0.5, 0.5]}] * 2 + [{"PixelSpacing": [0.7, 0.7]}] * 2,
    )

    stacks = build_stacks(frames_of(document, 0))

    assert [stack.geometry.spacing_mm for stack in stacks] == [(2.0, 0.5, 0.5), (2.0, 0.7, 0.7)]


def test_functional_groups_give_echo_diffusion_component_and_time() -> None:
    planes = [[0.0, 0.0, 2.0 * z] for z in range(3)]
    document = enhanced(
        planes * 4,
        MRImageFrameTypeSequence=[
            {"FrameType": ["ORIGINAL", "PRIMARY", "T1", "NONE"], "ComplexImageComponent": component}
            for component in ("MAGNITUDE", "PHASE")
            for _ in range(6)
        ],
        MREchoSequence=[{"EffectiveEchoTime": echo} for echo in (4.0, 8.0) * 2 for _ in range(3)],
    )
    document |= {"Modality": "MR"}

    stacks = build_stacks(frames_of(document, 0))

    assert len(stacks) == 2
    for stack in stacks:
        assert [(axis.name, axis.values) for axis in stack.axes] == [("echo_time", (4.0, 8.0))]
        assert stack.shape == (2, 3, 4, 6)


def test_diffusion_group_gives_b_value_and_direction() -> None:
    weightings: list[Document] = [
        {"DiffusionBValue": 0.0, "DiffusionDirectionality": "NONE"},
        {
            "DiffusionBValue": 700.0,
            "DiffusionGradientDirectionSequence": [{"DiffusionGradientOrientation": [0.0, 0.6, 0.8]}],
        },
    ]
    (first, second) = frames_of(enhanced([[0, 0, 0], [0, 0, 0]], MRDiffusionSequence=weightings), 0)

    assert (first.labels[INDEX["b_value"]], first.labels[INDEX["diffusion"]]) == (0.0, (0.0,))
    assert second.labels[INDEX["diffusion"]] == (700.0, 0.0, 0.6, 0.8)


def test_dimension_index_tells_frames_apart_where_nothing_else_does() -> None:
    document = enhanced(
        [[0.0, 0.0, 2.0 * z] for z in range(3)] * 2,
        FrameContentSequence=[{"DimensionIndexValues": [1, z + 1, d]} for d in (1, 2) for z in range(3)],
    )

    (stack,) = build_stacks(frames_of(document, 0))

    assert [(axis.name, axis.values) for axis in stack.axes] == [("dimension_3", (1.0, 2.0))]


def test_stacks_of_one_object_are_kept_apart() -> None:
    document = enhanced(
        [[0.0, 0.0, 2.0 * z] for z in range(6)],
        FrameContentSequence=[{"StackID": "A"}] * 3 + [{"StackID": "B"}] * 3,
    )

    assert [stack.shape[0] for stack in build_stacks(frames_of(document, 0))] == [3, 3]


def test_frames_without_an_item_of_their_own_have_no_place() -> None:
    document = enhanced([[0.0, 0.0, 2.0 * z] for z in range(3)]) | {"NumberOfFrames": 5}

    volume, loose = build_stacks(frames_of(document, 0))

    assert (volume.kind, volume.shape[0]) == ("volume", 3)
    assert (loose.kind, loose.frames.tolist()) == ("frames", [[0, 3], [0, 4]])


def test_converted_classic_attributes_of_a_legacy_object_count() -> None:
    document = enhanced(
        [[0.0, 0.0, 2.0 * z] for z in range(3)] * 2,
        UnassignedPerFrameConvertedAttributesSequence=[{"EchoTime": echo} for echo in (1.0, 2.0) for _ in range(3)],
    )

    (stack,) = build_stacks(frames_of(document, 0))

    assert [axis.name for axis in stack.axes] == ["echo_time"]


# ---- Dose -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offsets", "positions_z"),
    [([0.0, 2.5, 5.0], [30.0, 32.5, 35.0]), ([30.0, 32.5, 35.0], [30.0, 32.5, 35.0]), ([0.0, -3.0], [27.0, 30.0])],
)
def test_dose_planes_lie_along_the_offset_vector(offsets: list[float], positions_z: list[float]) -> None:
    dose = CLASSIC | {"Modality": "RTDOSE", "NumberOfFrames": len(offsets), "GridFrameOffsetVector": offsets}

    (stack,) = build_stacks(frames_of(dose, 0))

    assert stack.geometry.verdict == Verdict.REGULAR
    found = [stack.geometry.slice_position_lps(index) for index in range(len(offsets))]
    assert [float(position[2]) for position in found if position is not None] == pytest.approx(positions_z)


@pytest.mark.parametrize("offsets", [[0.0, 1.0], [5.0, 6.0, 7.0], ["a", 1.0, 2.0]])
def test_unusable_offset_vector_leaves_loose_frames(offsets: list[Any]) -> None:
    (stack,) = build_stacks(frames_of(CLASSIC | {"NumberOfFrames": 3, "GridFrameOffsetVector": offsets}, 0))

    assert stack.geometry.verdict == Verdict.NONE
    assert {finding.code for finding in stack.geometry.findings} == {"frame-offsets-unusable"}


# ---- Nonsense -------------------------------------------------------------------------------------------------------

_ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=6), st.just("20200101")
)
_VALUES = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=7),
        st.lists(st.dictionaries(st.sampled_from(sorted(GEOMETRY_KEYWORDS)), inner, max_size=4), max_size=3),
    ),
    max_leaves=20,
)
_NAMES = sorted(
    GEOMETRY_KEYWORDS
    | {"PlanePositionSequence", "FrameContentSequence", "MRDiffusionSequence", "PixelMeasuresSequence"}
)


@given(st.lists(st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=8), max_size=6))
def test_nonsense_never_crashes_and_loses_no_frame(changes: list[Document]) -> None:
    frames = []
    for number, change in enumerate(changes):
        for base in (CLASSIC, enhanced([[0.0, 0.0, 2.0 * z] for z in range(3)])):
            try:
                frames += frames_of(base | change, number)[:50]
            except LimitError:
                continue

    stacks = build_stacks(frames)

    assert sum(stack.frames.size // 2 for stack in stacks) == len(frames)
    for stack in stacks:
        for matrix in (stack.geometry.index_to_lps, stack.geometry.positions_lps):
            assert matrix is None or np.isfinite(matrix).all()


@given(position=st.tuples(*[st.floats(-1e6, 1e6, exclude_min=True, exclude_max=True)] * 3), seed=st.integers(0, 5))
def test_extreme_positions_give_finite_geometry(position: tuple[float, float, float], seed: int) -> None:
    places = itertools.islice(itertools.permutations(position), seed + 1)
    frames = [
        frame
        for number, place in enumerate(places)
        for frame in frames_of(CLASSIC | {"ImagePositionPatient": list(place), "InstanceNumber": number}, number)
    ]

    for stack in build_stacks(frames):
        assert stack.geometry.index_to_lps is None or np.isfinite(stack.geometry.index_to_lps).all()
