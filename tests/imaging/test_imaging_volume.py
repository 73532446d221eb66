"""Volumes: values, laziness, planes and their affines."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from imaging_stand_in import Axis, Geometry, affine_geometry

from pacscore.errors import AmbiguousError, GeometryError, InputError, SelectionError, UnsupportedError
from pacscore.imaging import ArrayInMemory, LookupTable, Presentation, Rescale, StoredFormat, Volume, Window


class CountingSource(ArrayInMemory):
    """Remembers the boxes that were read."""

    def __init__(self, array, **options):
        super().__init__(array, **options)
        self.boxes = []

    def read(self, selection):
        self.boxes.append(selection)
        return super().read(selection)


def make(array, *, geometry=None, stored=None, **fields):
    source = array if hasattr(array, "read") else ArrayInMemory(array)
    return Volume(source, geometry or affine_geometry(), stored or StoredFormat.of_dtype(source.dtype), **fields)


@pytest.fixture
def array():
    return np.random.default_rng(8).integers(-1000, 3000, (6, 7, 8)).astype(np.int16)


def test_a_volume_says_what_it_is(array):
    volume = make(array, presentation=Presentation("CT"))
    assert (volume.shape, volume.dtype, volume.ndim, len(volume)) == ((6, 7, 8), np.int16, 3, 6)
    assert volume.spacing_mm == (3.0, 1.0, 1.0)
    assert repr(volume) == "<Volume CT (6, 7, 8) int16 regular 3 x 1 x 1 mm>"


@given(hnp.basic_indices((6, 7, 8), allow_newaxis=False, allow_ellipsis=True), st.sampled_from([1, 2, 6]))
def test_indexing_gives_what_numpy_gives(key, chunk):
    array = np.arange(336, dtype=np.int16).reshape(6, 7, 8)
    volume = make(ArrayInMemory(array, chunk_shape=(chunk, 4, 4)))
    found = volume[key]
    np.testing.assert_array_equal(found, array[key])
    assert found.dtype == array.dtype


def test_indexing_reads_only_the_bounding_box(array):
    source = CountingSource(array)
    make(source)[4, 2:5, -3]
    assert source.boxes == [(slice(4, 5, 1), slice(2, 5, 1), slice(5, 6, 1))]


def test_steps_of_a_chunk_or_more_skip_the_frames_between(array):
    source = CountingSource(array)
    make(source)[::-3]
    assert [box[0].start for box in source.boxes] == [5, 2]


def test_iterating_gives_each_slice(array):
    assert all(np.array_equal(found, wanted) for found, wanted in zip(make(array), array, strict=True))


def test_words_are_masked_and_sign_extended_however_they_are_read():
    words = np.array([[[0x0FFF, 0xF7FF, 0x0800]]], np.uint16)
    volume = make(words.view(np.int16), stored=StoredFormat(12, 11, signed=True))
    wanted = [[[-1, 2047, -2048]]]
    for found in (volume.array(), volume[...], volume.modality(), np.asarray(volume)):
        assert found.tolist() == wanted
    assert volume.frame(0).array.tolist() == wanted[0]


def test_words_known_to_be_clean_are_not_masked():
    words = np.full((1, 1, 1), 0x1FFF, np.uint16)
    assert make(words, stored=StoredFormat(12, 11, signed=False, clean=True)).array().item() == 0x1FFF


def test_reading_does_not_change_the_source():
    words = np.full((1, 2, 2), 0xF001, np.uint16)
    make(words, stored=StoredFormat(12, 11, signed=False))[...]
    assert (words == 0xF001).all()


def test_arrays_go_into_the_callers_out(array):
    volume = make(array, rescale=Rescale.linear(2.0, 1.0))
    stored, values = np.empty(array.shape, np.int16), np.empty(array.shape, np.float32)
    assert volume.array(out=stored) is stored
    assert volume.modality(out=values) is values
    np.testing.assert_array_equal(stored, array)
    np.testing.assert_array_equal(values, array * 2.0 + 1)
    with pytest.raises(InputError):
        volume.array(out=values)
    with pytest.raises(InputError):
        volume.modality(out=values[:5])


def test_each_frame_has_its_own_slope_in_whole_and_in_every_plane(array):
    slopes, intercepts = np.arange(1.0, 7.0), np.arange(6.0) * 10
    volume = make(array, rescale=Rescale.linear(slopes, intercepts))
    wanted = array * slopes[:, None, None] + intercepts[:, None, None]
    np.testing.assert_array_equal(volume.modality(), wanted)
    np.testing.assert_array_equal(volume.plane("axial", 4).array, wanted[4])
    np.testing.assert_array_equal(volume.plane("coronal", 3).array, wanted[:, 3])
    np.testing.assert_array_equal(volume.plane("sagittal", -1).array, wanted[:, :, -1])


def test_modality_values_through_tables(array):
    table = LookupTable(-1000, np.arange(4001, dtype=np.float32) * 2)
    volume = make(array, rescale=replace(Rescale.linear(), tables=(table,)))
    np.testing.assert_array_equal(volume.modality(), (array.astype(int) + 1000) * 2)


def test_slabs_of_any_chunking_give_the_same_modality_values(array, monkeypatch):
    monkeypatch.setattr("pacscore.imaging.reading._SLAB_BYTES", 1)
    for chunk in (1, 2, 4, 6):
        volume = make(ArrayInMemory(array, chunk_shape=(chunk, 7, 8)), rescale=Rescale.linear(np.arange(1.0, 7.0), 5))
        np.testing.assert_array_equal(volume.modality(), array * np.arange(1.0, 7.0)[:, None, None] + 5)


@pytest.mark.parametrize(("plane", "axis"), [("axial", 0), ("coronal", 1), ("sagittal", 2)])
@pytest.mark.parametrize("tilt", [0.0, 1.0])
def test_a_planes_affine_leads_to_the_same_points_as_the_volumes(array, plane, axis, tilt):
    geometry = affine_geometry((3.0, 0.5, 0.75), origin=(-10, 20, 30), tilt=tilt)
    volume = make(array, geometry=geometry)
    image = volume.plane(plane, 2)
    assert volume.plane_count(plane) == array.shape[axis]
    for row, column in ((0, 0), (3, 5), (1, 4)):
        index = np.insert([row, column], axis, 2)
        np.testing.assert_allclose(image.index_to_lps @ [0, row, column, 1], volume.index_to_lps @ [*index, 1])
        assert image.array[row, column] == array[tuple(index)]
    np.testing.assert_allclose(image.spacing_mm, np.linalg.norm(image.index_to_lps[:3, 1:3], axis=0))


def test_planes_across_slices_need_an_affine(array):
    positions = np.array([[0, 0, z] for z in (0, 3, 6, 10, 13, 16)], float)
    geometry = Geometry("irregular", None, (None, 1.0, 1.0), (1, 0, 0, 0, 1, 0), positions)
    volume = make(array, geometry=geometry)
    with pytest.raises(GeometryError, match="irregular"):
        volume.plane("coronal", 0)
    # A frame is where its own header says, whatever its neighbours do.
    np.testing.assert_array_equal(volume.frame(3).index_to_lps @ [0, 2, 4, 1], [4, 2, 10, 1])


def test_frames_without_any_geometry_can_still_be_shown(array):
    image = make(array, geometry=Geometry("none")).frame(-1)
    assert image.index_to_lps is None
    assert image.spacing_mm is None
    assert image.display().shape == (7, 8)


def test_planes_and_frames_out_of_range_are_index_errors(array):
    volume = make(array)
    for call in (lambda: volume.plane("axial", 6), lambda: volume.frame(-7), lambda: volume[6]):
        with pytest.raises(SelectionError):
            call()


def make_series(**fields):
    words = np.arange(4 * 2 * 3 * 4, dtype=np.int16).reshape(2, 2, 2, 3, 4)
    axes = (Axis("time", (0.0, 2.5), "s"), Axis("echo", (1, 2)))
    names = tuple(f"1.{number}" for number in range(8))
    slopes = np.arange(1.0, 9.0)
    return words, slopes, make(words, axes=axes, rescale=Rescale.linear(slopes), sop_instance_uids=names, **fields)


def test_choosing_along_axes_takes_values_slopes_and_instances_along():
    words, slopes, volume = make_series()
    one = volume.at(time=1, echo=0)
    assert one.axes == ()
    assert one.sop_instance_uids == ("1.4", "1.5")
    np.testing.assert_array_equal(one.array(), words[1, 0])
    np.testing.assert_array_equal(one.modality(), words[1, 0] * slopes[4:6, None, None])
    part = volume.at({"echo": -1})
    assert [axis.name for axis in part.axes] == ["time"]
    assert part.sop_instance_uids == ("1.2", "1.3", "1.6", "1.7")
    np.testing.assert_array_equal(part.array(), words[:, 1])
    np.testing.assert_array_equal(part.frame(2).array, words[1, 1, 0] * slopes[6])


def test_whole_stacks_with_axes_are_rescaled_frame_by_frame():
    words, slopes, volume = make_series()
    np.testing.assert_array_equal(volume.modality(), words * slopes.reshape(2, 2, 2, 1, 1))


def test_a_plane_of_a_stack_with_axes_is_ambiguous():
    _, _, volume = make_series()
    with pytest.raises(AmbiguousError, match="time"):
        volume.plane("axial", 0)
    with pytest.raises(InputError, match="no axis"):
        volume.at(phase=0)
    with pytest.raises(SelectionError):
        volume.at(time=2)


def test_parts_that_contradict_each_other_are_refused(array):
    with pytest.raises(InputError, match="SOP Instance"):
        make(array, sop_instance_uids=("1.2",))
    with pytest.raises(InputError, match="slopes"):
        make(array, rescale=Rescale.linear([1.0, 2.0]))
    with pytest.raises(InputError, match="windows"):
        make(array, presentation=Presentation(windows=((), ())))
    with pytest.raises(InputError, match="Axis time"):
        make(array[np.newaxis], axes=(Axis("time", (1.0, 2.0)),))
    with pytest.raises(InputError, match="2 array axes"):
        make(array[0])
    with pytest.raises(InputError, match="one sample"):
        make(array[np.newaxis])
    with pytest.raises(InputError, match="High Bit"):
        make(array, stored=StoredFormat(16, 16, signed=True))
    with pytest.raises(InputError, match="Pixel Representation"):
        make(array, stored=StoredFormat(12, 11, signed=False))


def test_colour_frames_are_images_of_rgb():
    words = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3)).astype(np.uint8)
    volume = make(words, presentation=Presentation("US", "RGB"))
    np.testing.assert_array_equal(volume.frame(1).array, words[1])
    np.testing.assert_array_equal(volume.plane("coronal", 2).array, words[:, 2])
    assert volume.shown_window() is None
    with pytest.raises(UnsupportedError, match="YBR_FULL"):
        make(words, presentation=Presentation("US", "YBR_FULL")).frame(0)
    swapped = make(words, presentation=Presentation("US", "YBR_FULL"), to_rgb=lambda frame: frame[..., ::-1])
    np.testing.assert_array_equal(swapped.frame(1).array, words[1, :, :, ::-1])


def test_palettes_are_turned_to_rgb_by_the_given_function():
    words = np.array([[[0, 1], [1, 0]]], np.uint8)
    palette = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)
    volume = make(words, presentation=Presentation("NM", "PALETTE COLOR"), to_rgb=lambda frame: palette[frame])
    assert volume.frame(0).array[0, 1].tolist() == [40, 50, 60]


def test_the_headers_window_goes_before_an_automatic_one(array):
    shared = Presentation(windows=((Window(40, 400), Window(300, 1500)),))
    assert make(array, presentation=shared).shown_window() == Window(40, 400)
    assert make(array, presentation=shared).plane("coronal", 0).window == Window(40, 400)
    automatic = make(array).shown_window()
    assert automatic is not None
    assert automatic.automatic


def test_hounsfield_units_get_a_soft_tissue_window(array):
    values = make(array % 200, rescale=Rescale.linear(unit="HU"))
    assert values.shown_window() == Window(40, 400, explanation="soft tissue", automatic=True)
    air = make(np.full_like(array, -1000), rescale=Rescale.linear(unit="HU"))
    assert air.shown_window().center < -900


def test_a_derived_volume_lies_where_its_source_lies(array):
    volume = make(array, rescale=Rescale.linear(2.0, -5.0, unit="HU"), sop_instance_uids=("1",) * 6)
    derived = volume.with_array(volume.modality() * 2, derivation="doubled")
    np.testing.assert_array_equal(derived.modality(), volume.modality() * 2)
    np.testing.assert_array_equal(derived.index_to_lps, volume.index_to_lps)
    assert (derived.derivation, derived.rescale.unit, derived.dtype) == (("doubled",), "HU", np.float32)
    with pytest.raises(InputError):
        volume.with_array(array[:3], derivation="cut")
    with pytest.raises(InputError):
        volume.with_array(array, derivation=" ")


def test_the_affine_given_out_is_a_copy(array):
    volume = make(array)
    volume.index_to_lps[:] = 0
    assert volume.index_to_lps.any()


def test_volumes_survive_pickling(array):
    volume = make(array, rescale=Rescale.linear(2.0), presentation=Presentation("CT", windows=((Window(1, 2),),)))
    copy = pickle.loads(pickle.dumps(volume))
    np.testing.assert_array_equal(copy.modality(), volume.modality())


def test_numpy_asks_for_no_view(array):
    with pytest.raises(ValueError, match="copies"):
        np.asarray(make(array), copy=False)
    assert np.asarray(make(array), np.float64).dtype == np.float64
