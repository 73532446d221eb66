"""Before and after reconstruction: counts, bad pixels, centers of rotation, rings, hardening, metal, real scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pacscore.errors import GeometryError, InputError
from pacscore.recon import (
    Filter,
    Grid,
    ParallelGeometry,
    Projector,
    center_from_moments,
    center_from_opposite_views,
    center_from_sharpness,
    fbp,
    find_bad_pixels,
    fit_beam_hardening,
    hounsfield,
    interpolate_metal,
    line_integrals,
    linearize,
    metal_trace,
    read_projections,
    remove_rings_by_mean,
    remove_rings_by_sorting,
    repair_pixels,
    simulate,
)

ANGLES = np.linspace(0, np.pi, 91)
OBJECT = simulate.Phantom(
    [0.03, 0.04, 0.05], [[2, 3, 0], [10, -4, 0], [-6, 8, 0]], [[20, 17, 99], [5, 4, 99], [3, 5, 99]]
)


def test_counts_become_line_integrals_less_darks_and_scatter() -> None:
    chance = np.random.default_rng(0)
    truth = chance.uniform(0, 3, (4, 5, 16))
    gain, dark, scatter = chance.uniform(800, 1200, (5, 16)), chance.uniform(10, 20, (5, 16)), 7.0
    counts = gain * np.exp(-truth) + dark + scatter
    found = line_integrals(counts, flats=np.stack([gain + dark] * 3), darks=np.stack([dark] * 2), scatter=scatter)
    assert np.allclose(found.projections, truth, atol=1e-4)
    assert not found.bad_pixels.any()
    assert found.repaired == 0


def test_bad_pixels_are_found_and_interpolated_along_their_row() -> None:
    gain = np.full((6, 20), 1000.0)
    gain[2, 7] = 0.0
    gain[3, 0] = np.nan
    gain[4, 19] = 9000.0
    gain[1, 10] = 100.0
    bad = find_bad_pixels(gain)
    assert sorted(map(tuple, np.argwhere(bad).tolist())) == [(1, 10), (2, 7), (3, 0), (4, 19)]
    ramp = np.broadcast_to(np.linspace(0.2, 2.0, 20), (3, 6, 20))
    counts = np.where(bad, 0.0, gain) * np.exp(-ramp)
    found = line_integrals(counts, flats=np.where(np.isfinite(gain), gain, 0.0)[None])
    assert np.allclose(found.projections[:, 2, 7], ramp[:, 2, 7], atol=1e-5)
    assert np.allclose(found.projections[:, 3, 0], ramp[:, 3, 1], atol=1e-5)
    counts[1, 5, 5] = np.nan
    assert line_integrals(counts, flats=np.where(np.isfinite(gain), gain, 0.0)[None]).repaired == 1


def test_no_counts_are_held_at_the_least_transmission() -> None:
    found = line_integrals(np.zeros((1, 1, 4)), flats=np.full((1, 4), 100.0), transmission_min=1e-3)
    assert np.allclose(found.projections, -np.log(1e-3))


@pytest.mark.parametrize(
    "refused",
    [
        lambda: line_integrals(np.ones((3, 4)), flats=np.ones((3, 4))),
        lambda: line_integrals(np.ones((3, 4, 5)), flats=np.ones((4, 6))),
        lambda: line_integrals(np.ones((3, 4, 5)), flats=np.zeros((4, 5)), darks=np.ones((4, 5))),
        lambda: line_integrals(np.ones((3, 4, 5)), flats=np.full((4, 5), 9.0), scatter=np.ones(7)),
        lambda: repair_pixels(np.full((1, 2, 3), np.nan)),
        lambda: repair_pixels(np.ones((1, 2, 3)), np.ones((2, 2), bool)),
        lambda: linearize(np.ones(3), []), lambda: linearize(np.array([0.0, 5.0]), [1.0, -0.2]),
        lambda: fit_beam_hardening(np.ones(2), np.ones(3)), lambda: hounsfield(np.ones(3), water=0.0),
        lambda: remove_rings_by_mean(np.ones((3, 2, 9)), width=4),
        lambda: remove_rings_by_sorting(np.ones((3, 9)), width=3),
        lambda: center_from_moments(np.ones((2, 1, 9)), [0.0, 1.0]),
        lambda: center_from_sharpness(np.ones((3, 9)), ANGLES),
        lambda: center_from_sharpness(np.ones((91, 9)), ANGLES, accuracy=0.0),
    ],
)  # fmt: skip
def test_what_cannot_be_prepared_is_refused(refused) -> None:
    with pytest.raises(InputError):
        refused()


@pytest.mark.parametrize("center", [31.5, 31.0, 32.0, 34.3, 27.75])
@pytest.mark.parametrize("span", [np.pi, 2 * np.pi])
def test_three_ways_find_the_center_of_rotation_to_a_quarter_pixel(center: float, span: float) -> None:
    angles = np.linspace(0, span, 91)
    projections = OBJECT.project(ParallelGeometry(angles, 64, center_column=center))
    noisy = projections + np.random.default_rng(0).normal(0, 0.005, projections.shape)
    assert center_from_opposite_views(noisy, angles) == pytest.approx(center, abs=0.25)
    assert center_from_moments(noisy, angles) == pytest.approx(center, abs=0.25)
    assert center_from_sharpness(noisy, angles, reach=5.0) == pytest.approx(center, abs=0.25)


def test_a_center_beyond_the_reach_is_still_found() -> None:
    projections = OBJECT.project(ParallelGeometry(ANGLES, 64, center_column=36.0))
    assert center_from_sharpness(projections, ANGLES, start=28.0, reach=4.0) == pytest.approx(36.0, abs=0.25)


def test_views_that_never_meet_and_empty_scans_have_no_center() -> None:
    with pytest.raises(GeometryError, match="half a turn apart"):
        center_from_opposite_views(np.ones((20, 9)), np.linspace(0, 1, 20))
    with pytest.raises(GeometryError, match="no attenuation"):
        center_from_moments(np.zeros((20, 9)), np.linspace(0, 1, 20))


@pytest.mark.parametrize("remove", [remove_rings_by_mean, remove_rings_by_sorting])
def test_stripes_go_and_the_object_stays(remove) -> None:
    clean = OBJECT.project(ParallelGeometry(np.linspace(0, np.pi, 180, endpoint=False), 96, 0.6))
    stripes = np.zeros(96)
    struck = [20, 41, 42, 70]
    stripes[struck] = (0.2, -0.15, -0.15, 0.3)
    found = remove(clean + stripes, width=9)
    assert np.abs(found - clean)[:, :, struck].mean() < 0.3 * np.abs(stripes[struck]).mean()
    assert np.abs(remove(clean, width=9) - clean).mean() < 0.02 * clean.max()


def test_beam_hardening_is_linearized_by_a_fitted_polynomial() -> None:
    true = np.linspace(0, 4, 50)
    measured = true - 0.06 * true**2 + 0.004 * true**3
    coefficients = fit_beam_hardening(measured, true, degree=5)
    assert np.allclose(linearize(measured, coefficients), true, atol=0.01)


def test_metal_is_bridged_and_its_streaks_go() -> None:
    geometry, grid = ParallelGeometry(np.linspace(0, np.pi, 90, endpoint=False), 64), Grid((1, 56, 56), 1.0)
    metal = simulate.sphere(2.5, (8, 5, 0), value=3.0).cylinders()
    operator = Projector(geometry, grid)
    clean, both = OBJECT.project(geometry), OBJECT.project(geometry) + np.minimum(metal.project(geometry), 4.0)
    first = fbp(both, geometry, grid)
    trace = metal_trace(first, operator, threshold=0.5)
    assert 0.02 < trace.mean() < 0.25
    mended = fbp(interpolate_metal(both, first, operator, threshold=0.5), geometry, grid)
    truth = fbp(clean, geometry, grid)
    away = metal.on_grid(grid, samples=1) == 0
    assert np.abs(mended - truth)[away].mean() < 0.5 * np.abs(first - truth)[away].mean()


def test_attenuation_becomes_hounsfield_units() -> None:
    assert np.allclose(hounsfield([0.0, 0.02, 0.04], water=0.02), [-1000, 0, 1000])


def test_a_real_tooth_is_sharp_about_its_center(data: Path) -> None:
    """The Advanced Photon Source's tooth: all ways agree with the column that the data's own notes name."""
    raw = read_projections(data / "recon" / "tooth.h5")
    scan = line_integrals(raw.values, flats=raw.flats, darks=raw.darks)
    found = [
        center_from_opposite_views(scan.projections, raw.angles_rad),
        center_from_moments(scan.projections, raw.angles_rad),
        center_from_sharpness(scan.projections, raw.angles_rad, start=296.0, reach=4.0),
    ]
    assert np.allclose(found, 296.0, atol=0.6)
    geometry = ParallelGeometry(raw.angles_rad, 640, center_column=found[2], row_count=2)
    slices = fbp(scan.projections, geometry, filter="hann")
    outside = np.hypot(*(np.indices((640, 640)) - 319.5)) > 250
    assert np.percentile(slices[0], 99) > 30 * np.abs(slices[0][outside]).mean()
    off = fbp(scan.projections[:, :1], ParallelGeometry(raw.angles_rad, 640, center_column=found[2] + 3), filter="hann")
    assert off[0].std() < slices[0].std()


def test_a_real_neutron_sinogram_loses_its_rings(data: Path) -> None:
    """459 views over a full turn, a quarter of the detector off center: both halves make one image."""
    words = read_projections(data / "recon" / "sinogram_360_neutron_image.tif").values.astype(np.float64)
    projections = -np.log(np.clip(words / np.percentile(words, 99), 1e-3, None))
    assert projections.shape == (459, 1, 503)
    angles = np.linspace(0, 2 * np.pi, 459)
    center = center_from_opposite_views(projections, angles)
    assert center_from_sharpness(projections, angles) == pytest.approx(center, abs=1.5)
    geometry = ParallelGeometry(angles, 503, center_column=center)
    before = fbp(projections, geometry, filter=Filter("hann"))[0]
    for remove in (remove_rings_by_mean, remove_rings_by_sorting):
        after = fbp(remove(projections, width=15), geometry, filter=Filter("hann"))[0]
        assert _ring_strength(after, center) < 0.8 * _ring_strength(before, center)


def _ring_strength(image, center: float) -> float:
    """How much the mean over circles about the axis jumps from one radius to the next."""
    radius = np.hypot(*(np.indices(image.shape) - 251.0)).astype(int)
    profile = np.bincount(radius.ravel(), image.ravel()) / np.maximum(1, np.bincount(radius.ravel()))
    return float(np.abs(np.diff(profile[5:200], 2)).mean())
