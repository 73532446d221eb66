"""Made-up series with known geometry: what verdict and affine they get, for any orientation and order."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pacscore.geometry import (
    Finding,
    Stack,
    StackGeometry,
    Verdict,
    build_stacks,
    frames_of,
    handedness,
    series_verdict,
)

Vector = NDArray[np.float64]


def rotation(quaternion: tuple[float, ...]) -> NDArray[np.float64]:
    """Columns: row cosines, column cosines, normal."""
    w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def document(position: Vector | None, axes: NDArray[np.float64], number: int, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "SOPInstanceUID": f"1.2.3.{number}",
        "InstanceNumber": number,
        "Modality": "MR",
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
        "Rows": 12,
        "Columns": 10,
        "SamplesPerPixel": 1,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelSpacing": [0.8, 0.6],
        "ImageOrientationPatient": [round(float(value), 9) for value in (*axes[:, 0], *axes[:, 1])],
        "FrameOfReferenceUID": "1.2.840.1",
    }
    if position is not None:
        made["ImagePositionPatient"] = [round(float(value), 6) for value in position]
    return made | more


def stacks_of(documents: list[dict[str, Any]], order: list[int] | None = None) -> tuple[Stack, ...]:
    frames = [frame for instance, item in enumerate(documents) for frame in frames_of(item, instance)]
    return build_stacks(frames if order is None else [frames[index] for index in order])


def codes(stack: Stack) -> set[str]:
    return {finding.code for finding in stack.geometry.findings}


def finding(stack: Stack, code: str) -> Finding:
    (found,) = (item for item in stack.geometry.findings if item.code == code)
    return found


axes_of_planes = (
    st.tuples(*[st.floats(-1, 1) for _ in range(4)])
    .filter(lambda quaternion: np.linalg.norm(quaternion) > 0.1)
    .map(rotation)
)
origins = st.tuples(*[st.floats(-500, 500) for _ in range(3)]).map(np.array)
spacings = st.floats(0.3, 12.0)


@st.composite
def shuffled_counts(draw: st.DrawFn, low: int = 2, high: int = 30) -> tuple[int, list[int]]:
    number = draw(st.integers(low, high))
    return number, draw(st.permutations(range(number)))


@given(axes=axes_of_planes, origin=origins, spacing=spacings, counted=shuffled_counts())
def test_equally_spaced_slices_are_regular_with_their_affine(
    axes: Vector, origin: Vector, spacing: float, counted: tuple[int, list[int]]
) -> None:
    count, order = counted
    documents = [document(origin + k * spacing * axes[:, 2], axes, k + 1) for k in range(count)]

    (stack,) = stacks_of(documents, order)

    assert stack.geometry.verdict == Verdict.REGULAR
    assert (stack.kind, stack.shape, stack.axes) == ("volume", (count, 12, 10), ())
    assert stack.frames.tolist() == [[k, 0] for k in range(count)]
    matrix = stack.geometry.index_to_lps
    assert matrix is not None
    assert stack.geometry.spacing_mm == pytest.approx((spacing, 0.8, 0.6), abs=2e-6)
    for index in itertools.product((0, count - 1), (0, 11), (0, 9)):
        expected = origin + axes @ (np.array([0.6, 0.8, spacing]) * index[::-1])
        assert matrix @ (*index, 1) == pytest.approx([*expected, 1], abs=2e-5)
    assert handedness(matrix) == "right"
    # Orthogonal to the last digits, as NIfTI and ITK want it.
    directions = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    assert directions.T @ directions == pytest.approx(np.eye(3), abs=1e-12)


@given(
    axes=axes_of_planes,
    origin=origins,
    spacing=spacings,
    degrees=st.floats(0.5, 30),
    turn=st.floats(0, 2 * math.pi),
    counted=shuffled_counts(4),
)
def test_tilted_slices_have_a_sheared_affine_and_the_angle(
    axes: Vector, origin: Vector, spacing: float, degrees: float, turn: float, counted: tuple[int, list[int]]
) -> None:
    count, order = counted
    lateral = spacing * math.tan(math.radians(degrees)) * (axes[:, :2] @ [math.cos(turn), math.sin(turn)])
    step = spacing * axes[:, 2] + lateral
    documents = [document(origin + k * step, axes, k + 1) for k in range(count)]

    (stack,) = stacks_of(documents, order)

    # A shift below the tolerance over all slices is not seen, and does no harm.
    drift = float(np.linalg.norm(lateral)) * (count - 1) / 2
    if drift > 0.02 + 0.001 * spacing:
        assert stack.geometry.verdict == Verdict.TILTED
        assert finding(stack, "tilt").fields["angle_deg"] == pytest.approx(degrees, abs=1e-3)
        matrix = stack.geometry.index_to_lps
        assert matrix is not None
        assert matrix[:3, 0] == pytest.approx(step, abs=1e-5)
        assert stack.geometry.spacing_mm == pytest.approx((spacing, 0.8, 0.6), abs=1e-5)
        voxel = abs(float(np.linalg.det(matrix[:3, :3])))
        assert voxel == pytest.approx(spacing * 0.8 * 0.6, rel=1e-4)


@given(axes=axes_of_planes, spacing=spacings, data=st.data())
def test_missing_slices_are_gaps_and_named(axes: Vector, spacing: float, data: st.DataObject) -> None:
    count = data.draw(st.integers(7, 30))
    missing = data.draw(st.sets(st.integers(1, count - 2), min_size=1, max_size=count // 4))
    kept = [k for k in range(count) if k not in missing]
    documents = [document(k * spacing * axes[:, 2], axes, k + 1) for k in kept]

    (stack,) = stacks_of(documents, data.draw(st.permutations(range(len(kept)))))

    assert stack.geometry.verdict == Verdict.GAPS
    assert stack.geometry.index_to_lps is None
    assert stack.geometry.spacing_mm == (None, 0.8, 0.6)
    fields = finding(stack, "gaps").fields
    assert fields["spacing_mm"] == pytest.approx(spacing, abs=1e-5)
    assert fields["missing_count"] == len(missing)
    places = fields["missing_positions_lps"]
    assert isinstance(places, list)
    for place, k in zip(places, sorted(missing), strict=True):
        assert place == pytest.approx(list(k * spacing * axes[:, 2]), abs=1e-4)
    for index, k in enumerate(kept):
        assert stack.geometry.slice_position_lps(index) == pytest.approx(k * spacing * axes[:, 2], abs=1e-5)


@given(axes=axes_of_planes, spacing=spacings, data=st.data())
def test_one_slice_out_of_place_is_irregular(axes: Vector, spacing: float, data: st.DataObject) -> None:
    count = data.draw(st.integers(5, 20))
    moved = data.draw(st.integers(0, count - 1))
    shift = data.draw(st.sampled_from([-0.35, -0.2, 0.2, 0.35])) * spacing
    documents = [document((k * spacing + (k == moved) * shift) * axes[:, 2], axes, k + 1) for k in range(count)]

    (stack,) = stacks_of(documents)

    assert stack.geometry.verdict == Verdict.IRREGULAR
    assert stack.geometry.index_to_lps is None
    assert "irregular" in codes(stack)


def test_a_slice_shifted_within_its_plane_is_irregular_and_off_line() -> None:
    axes = np.eye(3)
    documents = [document(np.array([3.0 * (k == 4), 0.0, 2.0 * k]), axes, k + 1) for k in range(9)]

    (stack,) = stacks_of(documents)

    assert stack.geometry.verdict == Verdict.IRREGULAR
    assert "off-line" in codes(stack)


@given(axes=axes_of_planes, data=st.data())
def test_repeated_planes_without_a_reason_are_duplicates_and_keep_every_frame(
    axes: Vector, data: st.DataObject
) -> None:
    count = data.draw(st.integers(2, 12))
    repeated = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=8))
    planes = [*range(count), *repeated]
    # The same Instance Number everywhere: nothing orders the frames.
    documents = [
        document(k * 2.0 * axes[:, 2], axes, 1, SOPInstanceUID=f"1.2.{number}") for number, k in enumerate(planes)
    ]

    (stack,) = stacks_of(documents, data.draw(st.permutations(range(len(planes)))))

    assert stack.geometry.verdict == Verdict.DUPLICATES
    assert stack.geometry.index_to_lps is None
    assert sorted(stack.frames[:, 0].tolist()) == list(range(len(planes)))
    found = [planes[instance] for instance in stack.frames[:, 0].tolist()]
    assert found == sorted(planes)
    assert finding(stack, "duplicates").fields["plane_count"] == len(set(repeated))
    expected = "regular" if count > 1 else "none"
    assert finding(stack, "duplicates").fields["verdict_of_planes"] == expected


def test_order_of_equal_duplicates_does_not_depend_on_the_order_given() -> None:
    documents = [document(np.zeros(3), np.eye(3), 1, SOPInstanceUID=f"1.2.{number}") for number in range(4)]

    results = {stacks_of(documents, list(order))[0].frames.tobytes() for order in itertools.permutations(range(4))}

    assert len(results) == 1


def test_single_slice_has_an_affine_within_its_plane_only() -> None:
    (stack,) = stacks_of([document(np.array([1.0, 2.0, 3.0]), np.eye(3), 1, SpacingBetweenSlices=5.0)])

    assert stack.geometry.verdict == Verdict.NONE
    assert stack.geometry.spacing_mm == (None, 0.8, 0.6)
    assert stack.geometry.index_to_lps is not None
    assert stack.geometry.index_to_lps.tolist() == [[0, 0, 0.6, 1], [0, 0.8, 0, 2], [0, 0, 0, 3], [0, 0, 0, 1]]
    assert codes(stack) == {"single-slice"}


def test_positions_within_the_tolerance_are_regular_and_beyond_it_are_not() -> None:
    for deviation, verdict in ((0.009, Verdict.REGULAR), (0.02, Verdict.IRREGULAR)):
        documents = [document(np.array([0, 0, 2.0 * k + deviation * (k == 10)]), np.eye(3), k) for k in range(21)]
        (stack,) = stacks_of(documents)
        assert stack.geometry.verdict == verdict


def test_a_missing_slice_of_micro_ct_is_seen() -> None:
    documents = [document(np.array([0, 0, 0.005 * k]), np.eye(3), k) for k in range(40) if k != 13]

    (stack,) = stacks_of(documents)

    assert stack.geometry.verdict == Verdict.GAPS


def test_orientations_are_separated_and_rounding_does_not_separate() -> None:
    axes = np.eye(3)
    documents = [document(np.array([0, 0, 3.0 * k]), axes, k) for k in range(5)]
    documents += [document(np.array([0, 3.0 * k, 0]), axes[:, [0, 2, 1]], 10 + k) for k in range(4)]
    documents[2]["ImageOrientationPatient"] = [1.0, 2e-5, 0.0, -2e-5, 1.0, 0.0]

    first, second = stacks_of(documents)

    assert (first.shape[0], second.shape[0]) == (5, 4)
    assert first.geometry.verdict == second.geometry.verdict == Verdict.REGULAR
    assert finding(first, "separated").fields["by"] == ["orientation"]


def test_planes_of_orientations_with_one_frame_each_are_one_mixed_stack() -> None:
    documents = [
        document(np.zeros(3), rotation((math.cos(angle), 0, math.sin(angle), 0)), number)
        for number, angle in enumerate(np.linspace(0.1, 1.4, 9))
    ]

    (stack,) = stacks_of(documents)

    assert stack.geometry.verdict == Verdict.MIXED
    assert stack.frames[:, 0].tolist() == list(range(9))
    assert stack.geometry.index_to_lps is None


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("Rows", 13),
        ("Columns", 11),
        ("BitsAllocated", 8),
        ("PixelRepresentation", 1),
        ("PhotometricInterpretation", "MONOCHROME1"),
        ("FrameOfReferenceUID", "1.2.840.2"),
        ("PixelSpacing", [0.8, 0.7]),
        ("ImageType", ["DERIVED", "PRIMARY", "M"]),
        ("ImageType", ["ORIGINAL", "PRIMARY", "P"]),
        ("ComplexImageComponent", "PHASE"),
    ],
)
def test_frames_of_another_kind_never_share_a_stack(keyword: str, value: Any) -> None:
    documents = [document(np.array([0, 0, 2.0 * k]), np.eye(3), k) for k in range(6)]
    for changed in documents[4:]:
        changed[keyword] = value

    stacks = stacks_of(documents)

    assert [stack.shape[0] for stack in stacks] == [4, 2]
    assert all("separated" in codes(stack) for stack in stacks)


def test_bits_stored_may_differ_within_a_stack_and_is_a_finding() -> None:
    documents = [document(np.array([0, 0, 2.0 * k]), np.eye(3), k) for k in range(6)]
    documents[3] |= {"BitsStored": 13, "HighBit": 12}

    (stack,) = stacks_of(documents)

    assert stack.geometry.verdict == Verdict.REGULAR
    assert finding(stack, "bits-stored").fields == {"bits_stored": [12, 13], "high_bit": [11, 12]}


def test_slabs_side_by_side_in_the_same_planes_are_separate_stacks() -> None:
    documents = [
        document(np.array([90.0 * side, 0, 2.0 * k]), np.eye(3), side * 10 + k, AcquisitionNumber=side)
        for side in (0, 1)
        for k in range(6)
    ]

    stacks = stacks_of(documents)

    assert [stack.shape[0] for stack in stacks] == [6, 6]
    origins_x = [stack.geometry.index_to_lps[0, 3] for stack in stacks if stack.geometry.index_to_lps is not None]
    assert origins_x == [0.0, 90.0]


def test_acquisition_number_alone_does_not_split_a_scan() -> None:
    documents = [document(np.array([0, 0, 2.0 * k]), np.eye(3), k, AcquisitionNumber=k // 10) for k in range(40)]

    (stack,) = stacks_of(documents)

    assert (stack.shape[0], stack.geometry.verdict, stack.axes) == (40, Verdict.REGULAR, ())


def test_acquisition_number_splits_where_that_makes_large_regular_volumes() -> None:
    documents = [document(np.array([0, 0, 2.0 * k]), np.eye(3), k, AcquisitionNumber=1) for k in range(12)]
    documents += [document(np.array([0, 0, 91.3 + 2.0 * k]), np.eye(3), 20 + k, AcquisitionNumber=2) for k in range(9)]

    stacks = stacks_of(documents)

    assert [stack.shape[0] for stack in stacks] == [12, 9]
    assert all(stack.geometry.verdict == Verdict.REGULAR for stack in stacks)
    assert finding(stacks[0], "separated").fields["by"] == ["acquisition"]


def test_headers_that_contradict_the_positions_are_findings() -> None:
    documents = [
        document(np.array([0, 0, -2.0 * k]), np.eye(3), k, SpacingBetweenSlices=3.0, GantryDetectorTilt=12.0)
        for k in range(6)
    ]

    (stack,) = stacks_of(documents)

    assert stack.geometry.verdict == Verdict.REGULAR
    assert codes(stack) == {"stated-spacing", "stated-tilt", "left-handed-order"}


def test_rows_and_columns_not_at_a_right_angle_keep_their_angle() -> None:
    skew = [1.0, 0.0, 0.0, 0.002, math.sqrt(1 - 0.002**2), 0.0]
    documents = [document(np.array([0, 0, 2.0 * k]), np.eye(3), k, ImageOrientationPatient=skew) for k in range(3)]

    (stack,) = stacks_of(documents)

    assert "not-orthogonal" in codes(stack)
    assert stack.geometry.index_to_lps is not None
    assert stack.geometry.index_to_lps[0, 1] == pytest.approx(0.8 * 0.002)


def test_a_series_has_the_first_verdict_of_its_volumes() -> None:
    regular = [document(np.array([0, 0, 2.0 * k]), np.eye(3), k) for k in range(6)]
    uneven = [document(np.array([0, 0, 2.0 * k * k]), np.eye(3), k, Rows=20) for k in range(6)]
    loose = [document(None, np.eye(3), 30)]

    assert series_verdict(stacks_of(regular + loose)) == Verdict.REGULAR
    assert series_verdict(stacks_of(regular + uneven)) == Verdict.IRREGULAR
    assert series_verdict(stacks_of(loose)) == series_verdict(()) == Verdict.NONE


def test_nothing_gives_no_stack() -> None:
    assert build_stacks([]) == ()
    assert stacks_of([{"Modality": "SR"}]) == ()


@given(st.permutations(range(11)))
def test_geometry_survives_json(order: list[int]) -> None:
    for documents in (
        [document(np.array([0.1, 0.2, 0.7 * k]), np.eye(3), k) for k in range(11)],
        [document(np.array([0.1, 0.2, 0.7 * k * k]), np.eye(3), k) for k in range(11)],
        [document(None, np.eye(3), k) for k in range(11)],
    ):
        (stack,) = stacks_of(documents, order)
        text = json.dumps(stack.geometry.as_dict(), allow_nan=False)
        assert StackGeometry.from_dict(json.loads(text)) == stack.geometry
