"""Windows over whole volumes: presets, tables, numbers and names; fusion; what headers say of VOI LUTs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from imaging_stand_in import affine_geometry, document_of, read_series, volume_of
from pydicom.pixels import apply_voi

from pacscore.errors import GeometryError, InputError
from pacscore.imaging import ArrayInMemory, Presentation, Rescale, StoredFormat, Volume, Window, read_attributes
from pacscore.imaging.attributes import StackAttributes
from pacscore.imaging.presets import PRESETS, automatic_window, preset
from pacscore.imaging.records import attributes_from_record, attributes_record
from pacscore.imaging.values import VoiTable


def make(array, *, unit="HU", slope=1.0, intercept=0.0, stored=None, geometry=None, **shown):
    return Volume(
        ArrayInMemory(array),
        geometry or affine_geometry(),
        stored or StoredFormat.of_dtype(array.dtype),
        Rescale.linear(slope, intercept, unit=unit),
        Presentation("CT", **shown),
    )


@pytest.fixture
def words():
    return np.random.default_rng(20).integers(0, 4096, (7, 40, 50)).astype(np.uint16)


def shown_frame_by_frame(volume, which=None):
    return np.stack([volume.frame(at).display(which) for at in range(volume.frame_count)]).reshape(volume.shape)


@pytest.mark.parametrize(
    "which", ["bone", "lung", "brain", Window(35.5, 80.25, "SIGMOID"), Window(3, 900, "LINEAR_EXACT")]
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_windowed_volume_is_the_display_of_every_frame(words, which, photometric):
    volume = make(words, intercept=-1024, photometric=photometric)
    shown = volume.window(which)
    np.testing.assert_array_equal(shown.array(), shown_frame_by_frame(volume, which))
    assert shown.dtype == np.uint8
    assert shown.presentation.photometric == "MONOCHROME2"
    assert shown.derivation[-1].startswith("window ")
    np.testing.assert_array_equal(shown.index_to_lps, volume.index_to_lps)
    # A picture of the result shows its values as they are, and so does windowing it again.
    np.testing.assert_array_equal(shown.frame(3).display(), shown[3])
    np.testing.assert_array_equal(shown.window().array(), shown.array())


def test_sixteen_bits_are_finer_and_inverse_turns_them_round(words):
    volume = make(words, intercept=-1024)
    deep = volume.window("bone", bits=16)
    assert deep.dtype == np.uint16
    assert np.abs(deep.array() / 257 - volume.window("bone").array()).max() <= 0.51
    np.testing.assert_array_equal(volume.window("bone", bits=16, inverse=True).array(), 65535 - deep.array())
    np.testing.assert_array_equal(deep.window().array(), np.floor(deep.array() / 65535 * 255 + 0.5))
    with pytest.raises(InputError, match="8 or 16"):
        volume.window("bone", bits=12)


def test_frames_with_bits_slopes_and_tables_of_their_own_are_shown_as_their_displays(words):
    formats = [StoredFormat(12 if at % 2 else 10, 11, signed=False) for at in range(7)]
    volume = replace(
        make(words, unit=""),
        stored=StoredFormat.together(formats),
        rescale=Rescale.linear(np.linspace(0.1, 2.3, 7), np.linspace(-5, 5, 7), unit=""),
    )
    window = Window(800, 1500, "LINEAR_EXACT")
    np.testing.assert_array_equal(volume.window(window).array(), shown_frame_by_frame(volume, window))
    large = np.random.default_rng(21).integers(0, 4096, (3, 400, 401)).astype(np.uint16)
    wide = replace(make(large, unit=""), rescale=Rescale.linear([0.5, 1, 2], [1, 2, 3]))
    np.testing.assert_array_equal(wide.window(window).array(), shown_frame_by_frame(wide, window))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.float32, np.float64])
def test_words_of_every_width_are_shown(dtype):
    values = np.random.default_rng(22).integers(0, 120, (3, 20, 30)).astype(dtype)
    volume = make(values, unit="")
    window = Window(50.5, 60)
    np.testing.assert_array_equal(volume.window(window).array(), shown_frame_by_frame(volume, window))


def test_windows_are_chosen_by_number_and_explanation(words):
    own = (Window(100, 200, explanation="WIDE"), Window(40, 80, explanation="BRAIN"))
    table = VoiTable(0, np.arange(0, 4096, 2, dtype=np.uint16), 12, "CURVE")
    volume = make(words, windows=(own,), voi_tables=((table,),))
    for which, meant in ((0, own[0]), (1, own[1]), (-1, table), ("wide", own[0]), ("Brain", own[1]), ("curve", table)):
        np.testing.assert_array_equal(volume.window(which).array(), shown_frame_by_frame(volume, meant))
    assert volume.shown_window() == own[0]
    for wrong in (3, -4, "nothing of this name"):
        with pytest.raises(InputError):
            volume.window(wrong)
        with pytest.raises(InputError):
            volume.frame(0).display(wrong)


def test_a_header_with_a_table_alone_is_shown_by_it(words):
    table = VoiTable(100, np.arange(0, 1000, 3, dtype=np.uint16), 10)
    volume = make(words, voi_tables=((table,),))
    np.testing.assert_array_equal(volume.window().array(), shown_frame_by_frame(volume, table))
    np.testing.assert_array_equal(volume.frame(2).display(), volume.window()[2])
    assert volume.window()[0][words[0] <= 100].max() == 0


def test_presets_are_refused_in_another_unit(words):
    for name, unit in PRESETS.items():
        assert make(words, unit=unit).window(name).shape == words.shape
        assert preset(name).explanation == name
    with pytest.raises(InputError, match="for values in HU"):
        make(words, unit="BQML").window("bone")
    with pytest.raises(InputError, match="no window"):
        preset("elbow")


def test_automatic_windows_find_what_is_not_background():
    rng = np.random.default_rng(23)
    values = np.concatenate([rng.normal(0, 5, 60_000), rng.normal(1000, 100, 40_000)]).astype(np.float32)
    low, high = automatic_window(values, method="histogram").limits()
    assert 750 < low < 850
    assert 1150 < high < 1250
    assert ((values > low) & (values < high)).sum() == pytest.approx(38_000, rel=0.02)
    low, high = automatic_window(values).limits()
    assert low < 0
    assert high > 1100
    for flat in (np.full(10, 7.0), np.zeros(0), np.full(4, np.nan)):
        assert automatic_window(flat, method="histogram").width > 0
    with pytest.raises(InputError):
        automatic_window(values, method="guess")


def test_inverse_presentation_shapes_and_tables_survive_their_record():
    header = {
        "Modality": "DX", "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "PixelRepresentation": 0,
        "PresentationLUTShape": "INVERSE",
        "VOILUTSequence": [
            {"LUTDescriptor": [4, 10, 12], "LUTData": [0, 1000, 3000, 4095], "LUTExplanation": "SHARP"},
            {"LUTDescriptor": [4, 65526, 8], "LUTData": [0x2010, 0x4030]},
            {"LUTDescriptor": [4, 0, 8], "LUTData": [1]},
        ],
    }  # fmt: skip
    found = read_attributes([(header, 0), (header, 0)])
    shown = found.presentation
    assert shown.inverse
    ((sharp, bytewise),) = shown.voi_tables
    assert (sharp.first, sharp.bits, sharp.explanation, sharp.entries.tolist()) == (
        10,
        12,
        "SHARP",
        [0, 1000, 3000, 4095],
    )
    assert (bytewise.first, bytewise.entries.tolist()) == (65526, [0x10, 0x20, 0x30, 0x40])
    assert "VOI LUT" in shown.findings[0]
    again = attributes_from_record(attributes_record(StackAttributes(found.stored, found.rescale, shown))).presentation
    assert again.inverse
    assert not again.as_seen
    assert again.voi_tables[0][0].entries.tolist() == sharp.entries.tolist()
    old = attributes_record(found)
    del old["presentation"]["voi_tables"], old["presentation"]["inverse"], old["presentation"]["as_seen"]
    assert attributes_from_record(old).presentation.voi_tables == ()
    negative = read_attributes([({**header, "RescaleIntercept": -1024.0}, 0)]).presentation.voi_tables[0]
    assert negative[1].first == -10


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_real_voi_lut_gives_pydicoms_picture(data):
    dataset = pydicom.dcmread(data / "single" / "dwv" / "leadtools-8BitsJpegLossyGrayScale.dcm")
    attributes = read_attributes([(document_of(dataset), 0)])
    assert attributes.presentation.voi_tables == ()  # Both sequences hold an empty item.
    values = np.arange(0, 300, dtype=np.int16)
    own = pydicom.Dataset()
    own.PixelRepresentation, own.BitsStored = 0, 12
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "US", [200, 20, 16])
    item.add_new("LUTData", "US", (np.arange(200) * 300).tolist())
    own.VOILUTSequence = [item]
    wanted = apply_voi(values, own)
    table = VoiTable(20, np.arange(200, dtype=np.uint16) * 300, 16)
    np.testing.assert_array_equal(table.display(values, bits=16), wanted)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_real_series_is_windowed_as_its_frames_are(data):
    volume = read_series(data / "series" / "ct-headneck-90")
    for which in (None, "bone"):
        wanted = shown_frame_by_frame(volume, which or volume.shown_window())
        np.testing.assert_array_equal(volume.window(which).array(), wanted)
    pet = volume_of([pydicom.dcmread(path) for path in sorted((data / "series" / "sts003-pet").iterdir())])
    window = Window(3.5, 7, "LINEAR_EXACT")
    np.testing.assert_array_equal(pet.window(window).array(), shown_frame_by_frame(pet, window))


def test_fusion_lays_one_volume_over_another_of_the_same_grid(words):
    below, above = make(words, intercept=-1024), make(words[::-1].copy(), unit="g/ml")
    above = replace(above, presentation=replace(above.presentation, modality="PT"))
    fused = below.fuse(above, window_below="bone", window_above=Window(2000, 4000), opacity=0.4)
    assert (fused.shape, fused.presentation.photometric) == ((*words.shape, 3), "RGB")
    from pacscore.imaging import arrays

    wanted = arrays.fuse(
        below.window("bone").array(), above.window(Window(2000, 4000)).array(), colours_above="hot iron", opacity=0.4
    )
    np.testing.assert_array_equal(fused.array(), wanted)
    assert fused.derivation[-1] == "fused with PT in hot iron"
    assert (fused.sop_instance_uids, fused.source_instance_uids) == ((), ())
    assert fused.frame(2).display().shape == (40, 50, 3)
    with pytest.raises(GeometryError, match="whether they lie in one space is not known"):
        below.fuse(make(words[:5].copy()))
    with pytest.raises(GeometryError, match="not known"):
        below.fuse(make(words, geometry=affine_geometry(origin=(0, 0.5, 0))))
    with pytest.raises(InputError):
        below.fuse(fused)
    with pytest.raises(InputError):
        fused.window()


def test_fusion_of_another_grid_lays_each_value_where_its_place_is(words):
    def of_place(geometry, shape):
        """10 g/ml for each millimetre toward the left, and 3 toward the head."""
        x, _, z = (geometry.index_to_lps @ np.stack([*np.indices(shape).reshape(3, -1), np.ones(np.prod(shape))]))[:3]
        return (10 * x + 3 * z).reshape(shape).astype(np.float32)

    def placed(spacing, origin):
        return replace(affine_geometry(spacing, origin=origin), frame_of_reference_uid="1.2.3")

    coarse = placed((4.0, 4.0, 4.0), (-30, -30, -20))
    turn = np.eye(4)
    turn[:2, :2] = [[0.96, -0.28], [0.28, 0.96]]
    coarse = replace(coarse, index_to_lps=turn @ coarse.index_to_lps)
    below = make(words, geometry=placed((3.0, 0.7, 0.5), (0, 0, 0)))
    above = make(of_place(coarse, (15, 22, 24)), geometry=coarse, unit="g/ml")
    window = Window(150, 300, "LINEAR_EXACT")
    fused = below.fuse(above, window_below="bone", window_above=window, colours_above="grey", opacity=np.ones(256))
    wanted = np.clip(of_place(below.geometry, below.shape) / 300 * 255, 0, 255)
    assert np.abs(fused.array()[..., 0] - wanted).max() < 1.0
    assert fused.derivation[-1] == "fused with CT in grey, resampled onto this grid, linear"
    np.testing.assert_array_equal(fused.index_to_lps, below.index_to_lps)
    apart = replace(below, geometry=replace(below.geometry, frame_of_reference_uid="1.2.4"))
    with pytest.raises(GeometryError, match="register them first"):
        apart.fuse(above)


def test_what_is_fused_is_made_from_the_instances_of_all_volumes(words):
    def named(name):
        return replace(make(words), sop_instance_uids=tuple(f"{name}.{number}" for number in range(len(words))))

    below, above = named("1"), named("2")
    above = replace(above, further_sop_instance_uids=("2.1", "3.1"))
    fused = replace(below, further_sop_instance_uids=("4.1",)).fuse(above)
    assert fused.sop_instance_uids == below.sop_instance_uids
    assert fused.further_sop_instance_uids == ("4.1", *above.sop_instance_uids, "3.1")
    assert fused.source_instance_uids == (*below.sop_instance_uids, *fused.further_sop_instance_uids)
    assert fused.frame(3).sop_instance_uids == ("1.3", *fused.further_sop_instance_uids)
    assert fused.plane("coronal", 2).sop_instance_uids == fused.source_instance_uids
