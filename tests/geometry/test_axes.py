"""Series whose planes repeat: which attribute becomes an axis, and what happens where the product has holes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacscore.geometry import Axis, Stack, Verdict, build_stacks, frames_of
from pacscore.geometry.moments import seconds

Document = dict[str, Any]


def document(number: int, z: float, **more: Any) -> Document:
    return {
        "SOPInstanceUID": f"1.2.3.{number:05}",
        "InstanceNumber": number,
        "Modality": "MR",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
        "Rows": 8,
        "Columns": 8,
        "BitsAllocated": 16,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelSpacing": [1.0, 1.0],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0.0, 0.0, z],
    } | more


def series(volumes: list[Document], slices: int = 5, *, slice_fastest: bool = True) -> list[Document]:
    """Every volume's attributes on every slice, numbered as acquired."""
    pairs = [(v, s) for v in range(len(volumes)) for s in range(slices)]
    if not slice_fastest:
        pairs.sort(key=lambda pair: (pair[1], pair[0]))
    return [document(number + 1, 3.0 * s, **volumes[v], _at=(v, s)) for number, (v, s) in enumerate(pairs)]


def stacks_of(documents: list[Document], seed: int = 1) -> tuple[Stack, ...]:
    frames = [frame for instance, item in enumerate(documents) for frame in frames_of(item, instance)]
    random.Random(seed).shuffle(frames)
    return build_stacks(frames)


def placed(stack: Stack, documents: list[Document]) -> list[list[tuple[int, int]]]:
    """(volume, slice) that was meant, for each place of a stack with its axes flattened."""
    table = stack.frames.reshape(-1, stack.frames.shape[-2], 2)
    return [[documents[instance]["_at"] for instance, _ in row] for row in table.tolist()]


def codes(stack: Stack) -> set[str]:
    return {finding.code for finding in stack.geometry.findings}


CASES: dict[str, tuple[Callable[[int], Document], Axis]] = {
    "echo": (lambda v: {"EchoTime": 10.0 + v}, Axis("echo_time", (10.0, 11.0, 12.0), "ms")),
    "echo number": (lambda v: {"EchoNumbers": v}, Axis("echo_number", (0.0, 1.0, 2.0), "")),
    "b-value": (lambda v: {"DiffusionBValue": 500.0 * v}, Axis("b_value", (0.0, 500.0, 1000.0), "s/mm2")),
    "inversion": (lambda v: {"InversionTime": 100.0 * v}, Axis("inversion_time", (0.0, 100.0, 200.0), "ms")),
    "flip angle": (lambda v: {"FlipAngle": 5.0 + v}, Axis("flip_angle", (5.0, 6.0, 7.0), "deg")),
    "temporal position": (
        lambda v: {"TemporalPositionIdentifier": v + 1},
        Axis("temporal_position", (1.0, 2.0, 3.0), ""),
    ),
    "trigger time": (lambda v: {"TriggerTime": 40.0 * v}, Axis("trigger_time", (0.0, 40.0, 80.0), "ms")),
    "acquisition time": (
        lambda v: {"AcquisitionDate": "20200131", "AcquisitionTime": f"2359{57 + 2 * v % 3:02}.5"},
        Axis("acquisition_time", (0.0, 1.0, 2.0), "s"),
    ),
    "acquisition": (lambda v: {"AcquisitionNumber": v + 4}, Axis("acquisition", (4.0, 5.0, 6.0), "")),
    "nothing but Instance Number": (lambda v: {}, Axis("repeat", (0.0, 1.0, 2.0), "")),
    "PET frame": (
        lambda v: {"Modality": "PT", "FrameReferenceTime": 6e4 * v},
        Axis("time", (0.0, 6e4, 12e4), "ms"),
    ),
}


@pytest.mark.parametrize("slice_fastest", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_complete_products_become_an_axis(name: str, slice_fastest: bool) -> None:
    attributes, axis = CASES[name]
    documents = series([attributes(v) for v in range(3)], slice_fastest=slice_fastest)

    (stack,) = stacks_of(documents)

    assert stack.axes == (axis,)
    assert stack.geometry.verdict == Verdict.REGULAR
    order = [0, 2, 1] if name == "acquisition time" else [0, 1, 2]
    assert placed(stack, documents) == [[(v, s) for s in range(5)] for v in order]
    assert ("repeat-axis" in codes(stack)) == (axis.name == "repeat")


@given(seed=st.integers(0, 1000), echoes=st.integers(1, 3), times=st.integers(1, 4), slices=st.integers(1, 6))
def test_several_axes_are_nested_and_every_frame_lies_at_its_values(
    seed: int, echoes: int, times: int, slices: int
) -> None:
    volumes = [
        {"EchoTime": 5.0 + e, "TemporalPositionIdentifier": t + 1, "AcquisitionTime": f"1000{t:02}.{e}"}
        for t in range(times)
        for e in range(echoes)
    ]
    documents = series(volumes, slices)

    (stack,) = stacks_of(documents, seed)

    lengths = {"echo_time": echoes, "temporal_position": times}
    assert [axis.name for axis in stack.axes] == [name for name, length in lengths.items() if length > 1]
    assert stack.shape == (*[n for n in (echoes, times) if n > 1], slices, 8, 8)
    expected = [[(t * echoes + e, s) for s in range(slices)] for e in range(echoes) for t in range(times)]
    assert placed(stack, documents) == expected


def test_slice_times_within_each_volume_do_not_confuse_the_volumes() -> None:
    documents = series([{} for _ in range(4)], 6)
    for item in documents:
        v, s = item["_at"]
        item["TriggerTime"] = 2000.0 * v + 300.0 * (s % 2) + 50.0 * s

    (stack,) = stacks_of(documents)

    assert stack.axes == (Axis("trigger_time", (0.0, 2000.0, 4000.0, 6000.0), "ms"),)
    assert placed(stack, documents) == [[(v, s) for s in range(6)] for v in range(4)]


def test_heart_beats_of_different_length_do_not_confuse_the_phases() -> None:
    documents = series([{} for _ in range(20)], 5, slice_fastest=False)
    for item in documents:
        v, s = item["_at"]
        item["TriggerTime"] = 12.0 + v * (30.0 + 2.0 * s)

    (stack,) = stacks_of(documents)

    assert [axis.name for axis in stack.axes] == ["trigger_time"]
    assert placed(stack, documents) == [[(v, s) for s in range(5)] for v in range(20)]


@given(st.data())
def test_phases_missing_at_different_places_are_not_taken_for_complete(data: st.DataObject) -> None:
    documents = series([{} for _ in range(12)], 3, slice_fastest=False)
    missing = {s: data.draw(st.integers(0, 11)) for s in range(3)}
    for item in documents:
        v, s = item["_at"]
        item["TriggerTime"] = 12.0 + v * (30.0 + 2.0 * s)
        item["InstanceNumber"] = 1
    documents = [item for item in documents if missing[item["_at"][1]] != item["_at"][0]]

    for stack in stacks_of(documents):
        if stack.axes:
            assert all(len({v for v, _ in row}) == 1 for row in placed(stack, documents))


def test_times_whose_ranks_disagree_between_planes_are_not_an_axis() -> None:
    documents = series([{} for _ in range(3)], 4)
    times = {(0, 0): 0.0, (1, 0): 10.0, (2, 0): 20.0}
    for item in documents:
        v, s = item["_at"]
        item["InstanceNumber"] = 1
        # From the second slice on, the first time is missing and there is a fourth.
        item["TriggerTime"] = times.get((v, s), 10.0 * (v + 1) if s else 0.0) + (7.0 * v * v if s == 2 else 0.0)

    stacks = stacks_of(documents)

    assert all("trigger_time" not in {axis.name for axis in stack.axes} for stack in stacks)
    assert all(stack.geometry.verdict != Verdict.REGULAR for stack in stacks)


def test_diffusion_directions_make_one_axis_with_repeated_unweighted_volumes_counted() -> None:
    directions = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.6, 0.8, 0.0]]
    volumes: list[Document] = [{"DiffusionBValue": 0.0}]
    volumes += [{"DiffusionBValue": 1000.0, "DiffusionGradientOrientation": vector} for vector in directions]
    volumes += [{"DiffusionBValue": 0.0}]
    documents = series(volumes)

    (stack,) = stacks_of(documents)

    (axis,) = stack.axes
    assert (axis.name, axis.unit) == ("diffusion", "")
    assert axis.values == ("b=0 #1", "b=1000 (1, 0, 0)", "b=1000 (0, 1, 0)", "b=1000 (0.6, 0.8, 0)", "b=0 #2")
    assert placed(stack, documents) == [[(v, s) for s in range(5)] for v in range(5)]


def test_equal_diffusion_weightings_are_counted_by_instance_number_or_not_at_all() -> None:
    volumes = [{"DiffusionBValue": 0.0}] + [{"DiffusionBValue": 1000.0}] * 3
    documents = series(volumes)

    (counted,) = stacks_of(documents)
    assert counted.axes[0].values == ("b=0", "b=1000 #1", "b=1000 #2", "b=1000 #3")
    assert "repeat-axis" in codes(counted)
    assert placed(counted, documents) == [[(v, s) for s in range(5)] for v in range(4)]

    for item in documents:
        item["InstanceNumber"] = 1
    stacks = stacks_of(documents)
    assert all(not stack.axes for stack in stacks)
    assert any("duplicates" in codes(stack) and stack.geometry.index_to_lps is None for stack in stacks)


def test_private_diffusion_elements_count_where_the_standard_ones_are_missing() -> None:
    volumes = [
        {
            "DiffusionBValue": None if v == 0 else 1000.0,
            "GEMS_PARM_01:0043xx39": [1000000000 if v == 0 else 1000001000, 8, 0, 0],
            "GEMS_ACQU_01:0019xxBB": "0.6" if v else "0",
            "GEMS_ACQU_01:0019xxBC": str(0.8 - v) if v else "0",
            "GEMS_ACQU_01:0019xxBD": "0.1" if v else "0",
        }
        for v in range(3)
    ]

    (stack,) = stacks_of(series(volumes))

    assert stack.axes[0].values == ("b=0", "b=1000 (0.6, -0.2, 0.1)", "b=1000 (0.6, -1.2, 0.1)")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ImageType", [["DERIVED", "PRIMARY", "M", "WATER"], ["DERIVED", "PRIMARY", "M", "FAT"]]),
        ("ConvolutionKernel", ["B30f", "B70f"]),
        ("ConvolutionKernel", [["Br40", "3"], ["Br64", "3"]]),
        ("SliceThickness", [1.0, 5.0]),
    ],
)
def test_different_quantities_of_the_same_planes_are_stacks_of_their_own(name: str, values: list[Any]) -> None:
    documents = series([{name: value} for value in values])

    stacks = stacks_of(documents)

    assert [(stack.shape[0], stack.axes, str(stack.geometry.verdict)) for stack in stacks] == [(5, (), "regular")] * 2
    assert all("separated" in codes(stack) for stack in stacks)


def test_image_type_that_changes_along_a_volume_does_not_split_it() -> None:
    documents = series([{}], 8)
    for item in documents[4:]:
        item["ImageType"] = ["ORIGINAL", "PRIMARY", "M", "ADD"]

    (stack,) = stacks_of(documents)

    assert (stack.shape[0], stack.geometry.verdict) == (8, Verdict.REGULAR)


def test_incomplete_last_volume_is_split_off_and_the_complete_ones_stay_together() -> None:
    documents = series([{"TemporalPositionIdentifier": t + 1} for t in range(6)])[:-2]

    whole, part = stacks_of(documents)

    assert whole.axes == (Axis("temporal_position", (1.0, 2.0, 3.0, 4.0, 5.0), ""),)
    assert part.shape == (3, 8, 8)
    for stack, missing in ((whole, 0), (part, 2)):
        assert stack.geometry.verdict == Verdict.TIME
        (finding,) = (item for item in stack.geometry.findings if item.code == "incomplete-axis")
        assert finding.fields["missing_count"] == missing
        assert {item.fields["verdict"] for item in stack.geometry.findings if item.code == "alone"} == {"regular"}
    assert part.geometry.index_to_lps is not None


def test_a_duplicate_of_one_slice_spoils_its_volume_only() -> None:
    documents = series([{"TemporalPositionIdentifier": t + 1} for t in range(6)])
    documents.append(documents[7] | {"SOPInstanceUID": "1.2.9"})

    whole, part = stacks_of(documents)

    assert whole.shape == (5, 5, 8, 8)
    assert part.shape == (6, 8, 8)
    assert whole.geometry.index_to_lps is not None
    assert part.geometry.index_to_lps is None
    assert {"duplicates", "incomplete-axis"} <= codes(part)


def test_a_hole_in_a_product_of_two_axes_is_split_by_values() -> None:
    volumes = [{"EchoTime": 5.0 + e, "TemporalPositionIdentifier": t} for t in range(3) for e in range(2)]
    documents = series(volumes)
    del documents[12]

    stacks = stacks_of(documents)

    assert sum(stack.frames.size // 2 for stack in stacks) == 29
    assert all(stack.geometry.verdict in (Verdict.TIME, Verdict.NONE) for stack in stacks)
    assert all("incomplete-axis" in codes(stack) for stack in stacks)


def test_overlapping_acquisitions_are_split_by_acquisition() -> None:
    documents = [document(k, 2.0 * k, AcquisitionNumber=1) for k in range(10)]
    documents += [document(20 + k, 10.0 + 2.0 * k, AcquisitionNumber=2) for k in range(10)]

    stacks = stacks_of(documents)

    assert [stack.shape[0] for stack in stacks] == [10, 10]
    assert all(stack.geometry.verdict == Verdict.TIME for stack in stacks)


def test_mosaics_are_kept_and_stacked_along_time_only() -> None:
    documents = [
        document(v + 1, 0.0, ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"], AcquisitionNumber=v)
        for v in range(4)
    ]

    (stack,) = stacks_of(documents)

    assert (stack.kind, stack.shape) == ("mosaic", (4, 1, 8, 8))
    assert stack.geometry.verdict == Verdict.NONE
    assert stack.geometry.index_to_lps is None
    assert "mosaic" in codes(stack)


def test_multi_frame_objects_that_repeat_each_other_are_separate() -> None:
    shared = [{"PlaneOrientationSequence": [{"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}]}]
    documents = [
        document(0, 0.0, SOPInstanceUID=f"1.{number}", InstanceNumber=None, NumberOfFrames=4)
        | {
            "SharedFunctionalGroupsSequence": shared,
            "PerFrameFunctionalGroupsSequence": [
                {"PlanePositionSequence": [{"ImagePositionPatient": [0.0, 0.0, 2.0 * k]}]} for k in range(4)
            ],
        }
        for number in range(3)
    ]

    stacks = stacks_of(documents)

    assert [(stack.shape, str(stack.geometry.verdict)) for stack in stacks] == [((4, 8, 8), "regular")] * 3
    assert {int(stack.frames[0, 0]) for stack in stacks} == {0, 1, 2}


@given(
    documents=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "EchoTime": st.sampled_from([1.0, 2.0]),
                "TemporalPositionIdentifier": st.integers(1, 2),
                "TriggerTime": st.sampled_from([0.0, 5.0, 9.0]),
                "AcquisitionNumber": st.integers(1, 3),
                "DiffusionBValue": st.sampled_from([0.0, 1000.0]),
                "ConvolutionKernel": st.sampled_from(["a", "b"]),
                "ImageType": st.sampled_from([["O", "P", "M", "X"], ["O", "P", "M", "Y"], ["O", "P", "M", "MOSAIC"]]),
                "InstanceNumber": st.integers(1, 4),
                "ImagePositionPatient": st.tuples(
                    st.sampled_from([0.0, 40.0]), st.just(0.0), st.integers(0, 3).map(float)
                ).map(list),
            },
        ),
        max_size=24,
    ),
    seed=st.integers(0, 99),
)
def test_any_series_keeps_every_frame_once_and_does_not_depend_on_order(documents: list[Document], seed: int) -> None:
    made = [document(number, 0.0) | item for number, item in enumerate(documents)]

    stacks = stacks_of(made, seed)

    places = [tuple(place) for stack in stacks for place in stack.frames.reshape(-1, 2).tolist()]
    assert sorted(places) == [(number, 0) for number in range(len(made))]
    assert stacks == stacks_of(made, seed + 1)


def test_date_times_become_seconds_and_nonsense_does_not() -> None:
    found = seconds(["20200131235959.5", "202002010000", "20200201000000+0100", "20200131235960"])
    assert found is not None
    assert (found - found[0]).tolist() == [0.0, 0.5, -3599.5, 0.5]
    for nonsense in ("", "12", "2020013", "20201350", "20200131+1", "x", None, 4.0):
        assert seconds(["20200131", nonsense]) is None
