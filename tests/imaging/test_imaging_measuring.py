"""Numbers about volumes in millimetres and modality values: statistics, regions, profiles, components, uptake."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from imaging.test_imaging_resampling import CountingSource
from imaging_stand_in import Axis, affine_geometry, read_series

from pacscore.errors import AmbiguousError, GeometryError, InputError, UnsupportedError
from pacscore.imaging import ArrayInMemory, Presentation, Rescale, StoredFormat, Volume
from pacscore.imaging import slabs as module
from pacscore.imaging.regions import Ellipse, Polygon, angle_rad, distance_mm
from pacscore.imaging.uptake import PHILIPS_ACTIVITY, PHILIPS_UPTAKE, Uptake

OBLIQUE = np.linalg.qr(np.random.default_rng(30).normal(size=(3, 3)))[0]


def make(array, *, geometry=None, slope=1.0, intercept=0.0, unit="HU", padding=None, **fields):
    presentation = Presentation("CT", padding=padding)
    return Volume(
        ArrayInMemory(array),
        geometry or affine_geometry((3.0, 0.7, 0.5), origin=(-20, 10, 100)),
        StoredFormat.of_dtype(array.dtype),
        Rescale.linear(slope, intercept, unit=unit),
        presentation,
        **fields,
    )


def oblique_geometry():
    affine = np.eye(4)
    affine[:3, :3] = OBLIQUE * [3.0, 0.7, 0.5]
    affine[:3, 3] = 5, -7, 11
    return replace(affine_geometry((3.0, 0.7, 0.5)), index_to_lps=affine)


@pytest.fixture
def words():
    return np.random.default_rng(31).integers(-1000, 3000, (9, 40, 50)).astype(np.int16)


def assert_statistics(found, values):
    values = np.asarray(values, np.float64)
    assert found.count == values.size
    np.testing.assert_allclose(
        [found.sum, found.mean, found.deviation, found.minimum, found.maximum],
        [values.sum(), values.mean(), values.std(), values.min(), values.max()],
        rtol=1e-9,
        atol=1e-6,
    )


@pytest.mark.parametrize("slope", [1.0, -0.5])
def test_statistics_are_of_modality_values_where_the_mask_holds(words, slope, monkeypatch):
    monkeypatch.setattr(module, "_SLAB_BYTES", 3 * 40 * 50 * 2)  # Several slabs.
    volume = make(words, slope=slope, intercept=-1024)
    mask = np.random.default_rng(32).random(words.shape) < 0.2
    mask[3:6] = False
    values = words * slope - 1024
    assert_statistics(volume.statistics(), values)
    found = volume.statistics(mask=mask)
    assert_statistics(found, values[mask])
    assert found.unit == "HU"
    assert found.volume_mm3 == pytest.approx(mask.sum() * 3 * 0.7 * 0.5)
    assert volume.statistics(mask=np.zeros(words.shape, np.uint8)).count == 0


def test_padding_does_not_count_and_frames_rescale_by_themselves(words):
    words[:, :5] = -2000
    assert_statistics(make(words, padding=(-2000, -2000)).statistics(), words[:, 5:])
    slopes = np.linspace(0.1, 3, 9)
    volume = replace(make(words), rescale=Rescale.linear(slopes, 0.0, unit="BQML"))
    assert_statistics(volume.statistics(), volume.modality())
    decimal = make(words.astype(np.float32) / 7)
    assert_statistics(decimal.statistics(), decimal.modality())


def test_histograms_of_a_volume_are_of_modality_values(words):
    volume = make(words, intercept=-1024)
    mask = words > 500
    found = volume.histogram(bins=64, limits=(-1000, 1000), mask=mask)
    wanted, edges = np.histogram((words - 1024.0)[mask], 64, (-1000, 1000))
    np.testing.assert_array_equal(found.counts, wanted)
    np.testing.assert_array_equal(found.edges, edges)
    assert found.unit == "HU"


@pytest.mark.parametrize("geometry", [None, oblique_geometry()])
def test_regions_on_a_plane_take_the_pixels_whose_centres_they_hold(words, geometry):
    volume = make(words, geometry=geometry)
    affine = volume.index_to_lps
    corners = np.array([(4, 9.5, 9.5), (4, 9.5, 29.5), (4, 24.5, 29.5), (4, 24.5, 9.5)])
    square = Polygon((np.c_[corners, np.ones(4)] @ affine.T)[:, :3])
    assert square.area_mm2() == pytest.approx(15 * 0.7 * 20 * 0.5)
    assert square.perimeter_mm() == pytest.approx(2 * (15 * 0.7 + 20 * 0.5))
    assert_statistics(volume.statistics(roi=square), words[4, 10:25, 10:30])
    centre = (affine @ [4, 20, 25, 1])[:3]
    down, right = affine[:3, 1] / 0.7, affine[:3, 2] / 0.5
    circle = Ellipse(centre, down * 5, right * 5)
    rows, columns = np.mgrid[:40, :50]
    inside = ((rows - 20) * 0.7) ** 2 + ((columns - 25) * 0.5) ** 2 <= 25 + 1e-6
    assert_statistics(volume.statistics(roi=circle), words[4][inside])
    assert circle.area_mm2() == pytest.approx(25 * math.pi)
    turned = Ellipse(centre, (down + right) * 3, (down - right) * 2)
    u = ((rows - 20) * 0.7 + (columns - 25) * 0.5) / 6
    v = ((rows - 20) * 0.7 - (columns - 25) * 0.5) / 4
    assert_statistics(volume.statistics(roi=turned), words[4][u * u + v * v <= 1])
    half = words > 0
    assert_statistics(volume.statistics(roi=circle, mask=half), words[4][inside & half[4]])


def test_regions_across_slices_lie_on_coronal_and_sagittal_planes(words):
    volume = make(words)
    affine = volume.index_to_lps
    corners = np.array([(1.5, 7, 9.5), (1.5, 7, 29.5), (6.5, 7, 29.5), (6.5, 7, 9.5)])
    plane = Polygon((np.c_[corners, np.ones(4)] @ affine.T)[:, :3])
    assert_statistics(volume.statistics(roi=plane), words[2:7, 7, 10:30])


def test_only_the_plane_of_a_region_is_read(words):
    class Counting(ArrayInMemory):
        def read(self, selection):
            boxes.append(selection)
            return super().read(selection)

    boxes = []
    volume = replace(make(words), source=Counting(words))
    centre = (volume.index_to_lps @ [4, 20, 25, 1])[:3]
    volume.statistics(roi=Ellipse(centre, [0, 3, 0], [2, 0, 0]))
    assert [box[0] for box in boxes] == [slice(4, 5)]
    assert boxes[0][1].stop - boxes[0][1].start <= 9


def test_regions_that_lie_in_no_plane_or_outside_are_refused(words):
    volume = make(words)
    affine = volume.index_to_lps
    for corners in ([(1, 0, 0), (2, 10, 0), (3, 10, 10)], [(20, 0, 0), (20, 10, 0), (20, 10, 10)]):
        with pytest.raises(GeometryError):
            volume.statistics(roi=Polygon((np.c_[np.array(corners), np.ones(3)] @ affine.T)[:, :3]))
    with pytest.raises(InputError):
        Polygon(np.zeros((2, 3)))
    with pytest.raises(InputError, match="right angles"):
        Ellipse([0, 0, 0], [1, 0, 0], [1, 1, 0])
    with pytest.raises(InputError):
        volume.statistics(mask=np.zeros((2, 2, 2), bool))
    colour = replace(
        volume, source=ArrayInMemory(np.zeros((9, 40, 50, 3), np.uint8)), stored=StoredFormat(8, 7, signed=False),
        presentation=Presentation(photometric="RGB"),
    )  # fmt: skip
    with pytest.raises(InputError, match="Colours"):
        colour.statistics()
    timed = make(np.zeros((2, 9, 4, 5), np.int16), axes=(Axis("time", (0.0, 1.0)),))
    assert timed.statistics().count == 360
    with pytest.raises(AmbiguousError, match="time"):
        timed.components(0)


@pytest.mark.parametrize("geometry", [None, oblique_geometry()])
def test_profiles_are_linear_between_voxels_and_nothing_outside(geometry):
    index = np.indices((9, 40, 50)).astype(np.float32)
    values = 2 * index[0] - 3 * index[1] + 0.5 * index[2]
    volume = make(values, geometry=geometry)
    affine = volume.index_to_lps
    ends = [(affine @ [*place, 1])[:3] for place in ((-2, 3, 4), (7.5, 30.25, 44.5))]
    found = volume.profile(*ends, samples=101)
    share = np.linspace(0, 1, 101)[:, None]
    places = np.array([-2, 3, 4]) + share * (np.array([7.5, 30.25, 44.5]) - [-2, 3, 4])
    wanted = places @ [2, -3, 0.5]
    wanted[places[:, 0] < -1e-9] = np.nan
    np.testing.assert_allclose(found.values, wanted, atol=1e-4)
    assert found.distances_mm[-1] == pytest.approx(distance_mm(*ends))
    assert len(volume.profile(*ends).values) > 2 * distance_mm(*ends) / 3
    with pytest.raises(InputError):
        volume.profile(ends[0], ends[0])


def test_angles_and_distances_are_measured_in_space():
    assert distance_mm((1, 2, 3), (1, 2, 3)) == 0
    assert math.degrees(angle_rad((1, 0, 0), (0, 0, 0), (1, 1, 0))) == pytest.approx(45)
    assert angle_rad((1, 0, 0), (0, 0, 0), (-1, 0, 0)) == pytest.approx(math.pi)
    with pytest.raises(InputError):
        angle_rad((0, 0, 0), (0, 0, 0), (1, 0, 0))


def test_thresholds_components_and_growing_keep_the_grid():
    values = np.full((6, 20, 30), -1000, np.int16)
    values[1:3, 2:6, 3:9] = 300
    values[4:6, 10:15, 20:22] = 700
    volume = make(values)
    bone = volume.threshold(200)
    np.testing.assert_array_equal(bone.array(), (values >= 200).astype(np.uint8))
    assert bone.derivation == ("threshold 200 to inf",)
    np.testing.assert_array_equal(bone.index_to_lps, volume.index_to_lps)
    found = volume.components(200)
    assert found.statistics.voxels.tolist() == [48, 20]
    assert found.statistics.means.tolist() == [300, 700]
    np.testing.assert_allclose(found.volumes_mm3, np.array([48, 20]) * 3 * 0.7 * 0.5)
    np.testing.assert_allclose(found.centroids_lps[0], (volume.index_to_lps @ [1.5, 3.5, 5.5, 1])[:3])
    assert found.volume.array().max() == 2
    seed = (volume.index_to_lps @ [1.2, 3.3, 4.4, 1])[:3]
    np.testing.assert_array_equal(volume.grow([seed], low=200).array(), (found.volume.array() == 1).astype(np.uint8))
    with pytest.raises(InputError):
        volume.threshold(5, 4)
    same = volume.compare(volume)
    assert (same.mean_squared_error, same.peak_signal_to_noise_db) == (0, math.inf)
    assert same.structural_similarity == pytest.approx(1)


PET = {
    "Units": "BQML", "CorrectedImage": ["NORM", "ATTN", "DECY"], "DecayCorrection": "START",
    "SeriesDate": "20240105", "SeriesTime": "101530.5", "AcquisitionDate": "20240105", "AcquisitionTime": "101530.500",
    "PatientWeight": 80.0, "PatientSize": 1.75, "PatientSex": "F",
    "RadiopharmaceuticalInformationSequence": [
        {"RadionuclideTotalDose": 370e6, "RadionuclideHalfLife": 6586.2, "RadiopharmaceuticalStartTime": "0915"}
    ],
}  # fmt: skip


def pet(**changes):
    dose = {key: changes.pop(key) for key in [*changes] if key.startswith("Radio") and "Sequence" not in key}
    made = {**PET, **changes}
    made["RadiopharmaceuticalInformationSequence"] = [{**PET["RadiopharmaceuticalInformationSequence"][0], **dose}]
    return made


def test_uptake_is_activity_over_the_dose_left_per_body():
    elapsed = 3600 + 30.5
    left = 370e6 * math.exp(-math.log(2) * elapsed / 6586.2)
    facts = Uptake.of(PET)
    assert facts.decay_s == elapsed
    assert facts.factor() == pytest.approx(80_000 / left)
    index = 80 / 1.75**2
    assert facts.factor("lean mass") == pytest.approx(9270 * 80 / (8780 + 244 * index) * 1000 / left)
    male = replace(facts, sex="M")
    assert male.factor("lean mass") == pytest.approx(9270 * 80 / (6680 + 216 * index) * 1000 / left)
    assert facts.factor("body surface") == pytest.approx(0.007184 * 80**0.425 * 175**0.725 * 1e4 / left)
    admin = Uptake.of(pet(DecayCorrection="ADMIN"))
    assert admin.factor() == pytest.approx(80_000 / 370e6)
    dated = Uptake.of(pet(RadiopharmaceuticalStartDateTime="20240104235900.000+0100"))
    assert dated.decay_s == pytest.approx(10 * 3600 + 16 * 60 + 30.5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Units": "PROPCPS"}, "BQML"),
        ({"Units": "CNTS"}, r"\(7053,1000\).*\(7053,1009\)"),
        ({"Units": "CNTS", PHILIPS_UPTAKE: 0.0}, "7053,1000"),
        ({"Units": "CNTS", PHILIPS_ACTIVITY: 2.5, "PatientWeight": None}, "Weight"),
        ({"Units": "GML", "SUVType": "LBM"}, "which formula"),
        ({"Units": "GML", "SUVType": "BSA"}, "SUV Type"),
        ({"CorrectedImage": ["ATTN"]}, "DECY"),
        ({"CorrectedImage": None}, "ATTN and DECY"),
        ({"DecayCorrection": "NONE"}, "Decay Correction"),
        ({"PatientWeight": None}, "Weight"),
        ({"PatientWeight": 0}, "Weight"),
        ({"RadionuclideTotalDose": None}, "Dose"),
        ({"RadionuclideHalfLife": "110 min"}, "Half Life"),
        ({"SeriesTime": "111530"}, "start of the scan"),
        ({"SeriesTime": None}, "start of the scan"),
        ({"RadiopharmaceuticalStartTime": None}, "Start DateTime"),
        ({"RadiopharmaceuticalStartTime": "112000"}, "midnight"),
        ({"RadiopharmaceuticalStartDateTime": "20230105091500"}, "cannot be"),
    ],
)
def test_what_would_make_uptake_wrong_is_refused_by_name(changes, said):
    with pytest.raises((InputError, UnsupportedError), match=said):
        Uptake.of(pet(**changes))


def test_uptake_needs_size_and_sex_only_where_they_count():
    facts = Uptake.of(pet(PatientSize=None, PatientSex="O"))
    assert facts.factor() > 0
    with pytest.raises(InputError, match="Size"):
        facts.factor("body surface")
    with pytest.raises(InputError, match="Sex"):
        replace(facts, size_m=1.7).factor("lean mass")
    with pytest.raises(InputError, match="body weight"):
        facts.factor("age")
    with pytest.raises(InputError, match="dose"):
        Uptake.of({**PET, "RadiopharmaceuticalInformationSequence": None})


def test_a_pet_volume_becomes_uptake_without_touching_its_words(words):
    slopes = np.linspace(0.5, 2, 9)
    volume = replace(
        make(words), rescale=Rescale.linear(slopes, 0.0, unit="BQML"), presentation=Presentation("PT", padding=None)
    )
    found = volume.suv(PET)
    assert found.rescale.unit == "g/ml"
    assert found.derivation == ("standardised uptake by body weight",)
    np.testing.assert_allclose(found.modality(), volume.modality() * Uptake.of(PET).factor(), rtol=1e-6)
    np.testing.assert_array_equal(found.array(), volume.array())
    assert volume.suv(PET, normalisation="body surface").rescale.unit == "cm2/ml"
    with pytest.raises(InputError, match="BQML"):
        make(words).suv(PET)


def test_counts_of_philips_become_uptake_by_the_factor_it_states():
    # Its SUV Scale Factor is by body weight whatever the dose; its other factor makes Bq/ml of counts.
    direct = Uptake.of(pet(Units="CNTS", **{PHILIPS_UPTAKE: 0.00025, PHILIPS_ACTIVITY: 2.5}))
    assert direct.factor() == 0.00025
    index = 80 / 1.75**2
    lean = 9270 * 80 / (8780 + 244 * index)
    assert direct.factor("lean mass") == pytest.approx(0.00025 * lean / 80)
    assert direct.factor("body surface") == pytest.approx(0.00025 * 0.007184 * 80**0.425 * 175**0.725 * 1e4 / 80e3)
    through = Uptake.of(pet(Units="CNTS", **{PHILIPS_UPTAKE: 0.0, PHILIPS_ACTIVITY: 2.5}))
    assert through.factor() == pytest.approx(2.5 * Uptake.of(PET).factor())


@pytest.mark.parametrize(
    ("kind", "own"),
    [(None, "body weight"), ("BW", "body weight"), ("LBMJANMA", "lean mass"), ("LBMJAMES128", "lean mass James")],
)
def test_uptake_that_is_stated_is_turned_into_another_by_the_body_alone(kind, own):
    bare = {"Units": "GML", "SUVType": kind}
    assert Uptake.of(bare).factor(own) == 1.0
    with pytest.raises(InputError, match="Weight"):
        Uptake.of(bare).factor("body surface")
    facts = Uptake.of({**bare, "PatientWeight": 80.0, "PatientSize": 1.75, "PatientSex": "M"})
    grams = {
        "body weight": 80_000.0,
        "lean mass": 9270 * 80 / (6680 + 216 * 80 / 1.75**2) * 1000,
        "lean mass James": (1.1 * 80 - 128 * (80 / 175) ** 2) * 1000,
    }
    for wanted, mass in grams.items():
        assert facts.factor(wanted) == pytest.approx(mass / grams[own])
    surface = Uptake.of({**bare, "Units": "CM2ML", "SUVType": "BSA"})
    assert surface.factor("body surface") == 1.0


def test_james_lean_mass_is_refused_where_the_formula_fails():
    with pytest.raises(InputError, match="does not hold"):
        replace(Uptake.of(PET), weight_kg=260.0, size_m=1.5).factor("lean mass James")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_real_pet_that_holds_uptake_already_keeps_its_values(data):
    folder = data / "series" / "sts003-pet"
    volume = read_series(folder)
    found = volume.suv({"Units": pydicom.dcmread(next(folder.iterdir())).Units})
    np.testing.assert_array_equal(found.modality(), volume.modality())
    assert found.rescale.unit == "g/ml"
    with pytest.raises(InputError, match="BQML"):
        volume.suv({"Units": "BQML"})


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("name", ["statistics", "histogram", "histogram in limits", "threshold", "grow", "components"])
def test_a_stored_volume_is_measured_in_slabs_of_whole_chunks(words, name, dtype, monkeypatch):
    work = {
        "statistics": lambda volume: volume.statistics().mean,
        "histogram": lambda volume: volume.histogram(bins=50).counts,
        "histogram in limits": lambda volume: volume.histogram(bins=50, limits=(-500, 2000)).counts,
        "threshold": lambda volume: volume.threshold(500).array(),
        "grow": lambda volume: volume.grow([(volume.index_to_lps @ [4, 20, 20, 1])[:3]], low=-900).array(),
        "components": lambda volume: volume.components(800).statistics.means,
    }[name]
    array = words.astype(dtype) if dtype == "int16" else words.astype(dtype) / 7
    expected = work(make(array))
    monkeypatch.setattr(module, "_SLAB_BYTES", 4 * 40 * 50 * array.itemsize)
    source = CountingSource(array, (2, 16, 16))
    found = work(replace(make(array), source=source))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    # A slab has four slices, two of chunks; each chunk is decoded once in a pass over the volume.
    assert max(math.prod(part.stop - part.start for part in box) for box in source.boxes) == 4 * 40 * 50
    passes = 2 if name == "components" or (name == "histogram" and dtype == "float32") else 1
    counts = Counter(source.chunks())
    assert set(counts.values()) == {passes}
    assert len(counts) == 5 * 3 * 4


def test_histograms_of_words_floats_and_own_rescales_are_numpys(words):
    volumes = [
        make(words, slope=0.5, intercept=-1024, padding=(-100, 100)),
        make(words, slope=-2.0),
        make(words.astype(np.float32) / 3),
        replace(make(words), rescale=Rescale.linear(np.linspace(0.1, 3, 9), 0.0, unit="BQML")),
        make(words.astype(np.int32)),
        make((words & 255).astype(np.uint8)),
    ]
    for volume in volumes:
        values = volume.modality().astype(np.float64)
        if volume.presentation.padding:
            values = values[(words < -100) | (words > 100)]
        wanted, edges = np.histogram(values, 37, (values.min(), values.max()))
        found = volume.histogram(bins=37)
        np.testing.assert_array_equal(found.counts, wanted)
        np.testing.assert_allclose(found.edges, edges, rtol=1e-12)
