"""Enhancing volumes and images: geometry, unit, window, derivation, and what is refused."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from imaging_stand_in import Axis, Geometry, affine_geometry, read_series
from reference import filters

from pacscore.errors import CancelledError, GeometryError, InputError, UnsupportedError
from pacscore.imaging import ArrayInMemory, Image, Presentation, Rescale, StoredFormat, Volume, Window
from pacscore.imaging.enhancement import whole_values
from pacscore.imaging.enhancement_steps import STEPS, MatchHistogram, Median

NEEDED = {
    "rank": {"percent": 90},
    "bilateral": {"sigma_value": 50.0},
    "nlm": {"strength": 30.0, "search": 2},
    "gamma": {"exponent": 0.7},
}
UNITS = {"sobel": "HU/mm", "laplacian": "HU/mm2", "equalize": "", "clahe": "", "gamma": "", "detail": ""}


def volume(
    shape=(6, 20, 24), *, spacing=(3.0, 0.5, 0.75), intercept=-1000.0, slope=1.0, geometry=None, axes=()
) -> Volume:
    words = np.random.default_rng(0).integers(0, 2000, shape).astype(np.uint16)
    return Volume(
        ArrayInMemory(words),
        geometry or affine_geometry(spacing),
        StoredFormat(12, 11, signed=False),
        Rescale.linear(slope, intercept, unit="HU"),
        Presentation("CT", "MONOCHROME2", ((Window(40, 400),),), padding=(0, 5)),
        axes,
    )


@pytest.mark.parametrize("name", STEPS)
def test_each_step_keeps_the_place_and_says_what_was_done(name):
    source = volume()
    result = source.enhance(name, **NEEDED.get(name, {}))
    np.testing.assert_array_equal(result.index_to_lps, source.index_to_lps)
    assert result.shape == source.shape
    assert result.dtype == (np.int16 if name in {"median", "rank"} else np.float32)
    assert len(result.derivation) == 1
    assert result.rescale.unit == UNITS.get(name, "HU")
    assert bool(result.presentation.windows) == (name not in UNITS)
    assert result.presentation.padding is None
    assert np.isfinite(result.modality()).all()
    assert result.enhance("median").derivation == (*result.derivation, "median 3")


@pytest.mark.parametrize("name", STEPS)
def test_each_step_takes_an_image(name):
    frame = volume().frame(2)
    result = frame.enhance(name, **NEEDED.get(name, {}))
    assert result.shape == frame.shape
    np.testing.assert_array_equal(result.index_to_lps, frame.index_to_lps)
    assert result.unit == UNITS.get(name, "HU")
    assert result.display().dtype == np.uint8


@pytest.mark.parametrize("name", [name for name, kind in STEPS.items() if "planar" in kind.__dataclass_fields__])
def test_planar_is_each_slice_by_itself(name):
    source = volume()
    together = source.enhance(name, planar=True, **NEEDED.get(name, {})).modality()
    for index in range(len(source)):
        alone = source.frame(index).enhance(name, **NEEDED.get(name, {})).array
        np.testing.assert_allclose(together[index], alone, rtol=1e-5, atol=1e-3)


def test_millimetres_respect_unequal_spacing():
    source = volume()
    values = source.modality()
    sigma = [1.2 / step for step in (3.0, 0.5, 0.75)]
    found = source.enhance("gaussian", sigma_mm=1.2).modality()
    np.testing.assert_allclose(found, filters.gaussian(values, sigma), rtol=0, atol=5e-3)
    found = source.enhance("sobel").modality()
    np.testing.assert_allclose(found, filters.sobel(values, (3.0, 0.5, 0.75), (0, 1, 2)), rtol=1e-4, atol=0.05)


def test_whole_values_stay_whole_where_they_fit():
    assert whole_values(volume()).dtype == np.int16
    np.testing.assert_array_equal(whole_values(volume()), volume().modality())
    assert whole_values(volume(intercept=0.5)).dtype == np.float32
    assert whole_values(volume(slope=2.0)).dtype == np.float32
    assert whole_values(volume(intercept=40000.0)).dtype == np.uint16
    np.testing.assert_array_equal(whole_values(volume(intercept=40000.0)), volume(intercept=40000.0).modality())
    assert whole_values(volume(intercept=70000.0)).dtype == np.float32


def test_stacks_whose_slices_have_no_order_are_filtered_slice_by_slice_or_not_at_all():
    geometry = Geometry("irregular", None, (None, 0.5, 0.75), (1, 0, 0, 0, 1, 0), np.zeros((6, 3)))
    source = volume(geometry=geometry)
    for name in ("median", "gaussian", "nlm", "sobel"):
        with pytest.raises(GeometryError, match="planar"):
            source.enhance(name, **NEEDED.get(name, {}))
        assert source.enhance(name, planar=True, **NEEDED.get(name, {})).shape == source.shape
    assert source.enhance("clahe").shape == source.shape


def test_without_spacing_millimetres_are_refused_and_samples_are_not():
    image = Image(np.random.default_rng(1).normal(size=(20, 30)).astype(np.float32))
    with pytest.raises(GeometryError, match="spacing of the pixels"):
        image.enhance("gaussian", sigma_mm=1.0)
    assert image.enhance("median", size=5).shape == image.shape


def test_a_single_slice_needs_no_spacing_between_slices():
    geometry = Geometry("none", None, (None, 0.5, 0.75), (1, 0, 0, 0, 1, 0), np.zeros((1, 3)))
    source = volume((1, 20, 24), geometry=geometry)
    np.testing.assert_allclose(
        source.enhance("gaussian", sigma_mm=1.0).modality()[0],
        filters.gaussian(source.modality()[0], (2.0, 1 / 0.75)), rtol=0, atol=5e-3,
    )  # fmt: skip


def test_extra_axes_are_worked_through_one_volume_at_a_time():
    source = volume((2, 6, 20, 24), axes=(Axis("time", (0.0, 1.0)),))
    result = source.enhance("gaussian", sigma_mm=1.0)
    for index in range(2):
        np.testing.assert_array_equal(
            result.at(time=index).modality(), source.at(time=index).enhance("gaussian", sigma_mm=1.0).modality()
        )


def test_a_histogram_is_matched_to_another_volumes():
    source, model = volume(), volume((4, 20, 24), intercept=500.0)
    result = source.enhance(MatchHistogram(reference=model.modality()))
    assert result.derivation == ("histogram matched to a reference",)
    np.testing.assert_allclose(np.median(result.modality()), np.median(model.modality()), atol=30)


@pytest.mark.parametrize("name", ["median", "clahe", "detail"])
def test_progress_is_told_and_cancelling_stops(name):
    heard = []
    volume().enhance(name, progress=lambda *words: heard.append(words))
    assert [done for _, done, _ in heard] == [1, 2, 3, 4, 5, 6]
    assert heard[-1][2] == 6
    stop = threading.Event()
    stop.set()
    with pytest.raises(CancelledError):
        volume().enhance(name, cancel=stop)


@pytest.mark.parametrize(
    ("step", "parameters", "message"),
    [
        ("blur", {}, "choose one of"),
        ("median", {"sise": 3}, "it takes size, planar"),
        ("nlm", {}, "needs more"),
        ("median", {"size": 4}, "odd number"),
        (Median(size=3), {"size": 5}, "already"),
    ],
)
def test_what_is_no_step_is_refused_with_what_there_is(step, parameters, message):
    with pytest.raises(InputError, match=message):
        volume().enhance(step, **parameters)


def test_colour_is_refused():
    with pytest.raises(UnsupportedError, match="RGB"):
        Image(np.zeros((4, 4, 3), np.uint8), photometric="RGB").enhance("median")


def test_empty_stacks_come_back_empty():
    assert volume((0, 20, 24)).enhance("gaussian", planar=True).shape == (0, 20, 24)


def test_a_real_ct_is_smoothed_without_moving_and_less_noisy(data: Path):
    source = read_series(data / "series" / "sts003-ct")
    result = source.enhance("gaussian", sigma_mm=2.0)
    before, after = source.modality(), result.modality()
    assert np.abs(after.mean() - before.mean()) < 1
    assert np.diff(after, axis=2).std() < 0.7 * np.diff(before, axis=2).std()
    np.testing.assert_array_equal(result.index_to_lps, source.index_to_lps)
