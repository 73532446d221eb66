"""Iterative methods: what they converge to, by independent solvers; options, stop rules, and what they refuse."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from reference import tomography as twin

from pacscore.errors import CancelledError, InputError
from pacscore.imaging.arrays import Watch
from pacscore.recon import (
    ConeGeometry,
    Grid,
    ParallelGeometry,
    Projector,
    Stop,
    cgls,
    chambolle_pock_tv,
    fista_tv,
    mlem,
    mltr,
    os_sart,
    osem,
    sart,
    simulate,
    sirt,
)
from pacscore.recon.iterating import subsets_of
from pacscore.recon.variation import Differences

GRID = Grid((2, 12, 12), 1.0)
GEOMETRY = ParallelGeometry(np.linspace(0, np.pi, 18, endpoint=False), 16, row_count=2)
OPERATOR = Projector(GEOMETRY, GRID)
TRUTH = np.random.default_rng(0).random(GRID.shape, np.float32)
DATA = OPERATOR @ TRUTH
DENSE = np.stack(
    [Projector(ParallelGeometry(GEOMETRY.angles, 16), Grid((1, 12, 12), 1.0)) @ unit
     for unit in np.eye(144, dtype=np.float32)], axis=1,
).astype(np.float64)  # fmt: skip


def flat(volume, row: int = 0):
    return np.asarray(volume, np.float64)[row].reshape(-1)


def test_sirt_follows_its_formula() -> None:
    noisy = DATA + np.random.default_rng(1).normal(0, 0.3, DATA.shape).astype(np.float32)
    b = noisy[:, 0].reshape(-1).astype(np.float64)
    rows, columns = DENSE.sum(1), DENSE.sum(0)
    inverse = np.where(rows > 1e-5 * rows.max(), 1 / np.maximum(rows, 1e-30), 0)
    x = np.zeros(144)
    residuals = []
    for _ in range(7):
        residuals.append(b - DENSE @ x)
        x = np.maximum(x + 0.9 * (DENSE.T @ (inverse * residuals[-1])) / columns, 0.1)
    found = sirt(noisy, OPERATOR, iterations=7, relaxation=0.9, minimum=0.1)
    assert np.allclose(flat(found.volume), x, atol=2e-5)
    assert len(found.residuals) == 7
    assert found.residuals[0] == pytest.approx(1.0)
    assert found.stopped == "iterations"


@pytest.mark.parametrize("method", [sart, os_sart])
def test_subsets_reach_the_solution_of_consistent_data_sooner(method) -> None:
    found = method(DATA, OPERATOR, iterations=30)
    plain = sirt(DATA, OPERATOR, iterations=30)
    assert found.residuals[-1] < plain.residuals[-1] / 3
    assert np.linalg.norm(found.volume - TRUTH) < np.linalg.norm(plain.volume - TRUTH)


def test_cgls_solves_least_squares() -> None:
    noisy = DATA + np.random.default_rng(1).normal(0, 0.3, DATA.shape).astype(np.float32)
    found = cgls(noisy, OPERATOR, iterations=5)
    both = np.zeros((2 * DENSE.shape[0], 288))
    both[: DENSE.shape[0], :144] = both[DENSE.shape[0] :, 144:] = DENSE
    b = noisy.transpose(1, 0, 2).reshape(-1).astype(np.float64)
    x, slope = np.zeros(288), both.T @ b
    direction = slope.copy()
    for _ in range(5):  # On the normal equations, as any textbook has it; later ones magnify rounding.
        curved = both.T @ (both @ direction)
        length = (slope @ slope) / (direction @ curved)
        x += length * direction
        later = slope - length * curved
        direction = later + (later @ later) / (slope @ slope) * direction
        slope = later
    assert np.allclose(found.volume.reshape(-1), x, atol=1e-4)
    assert all(later <= before * 1.0001 for before, later in zip(found.residuals, found.residuals[1:], strict=False))
    with pytest.raises(InputError, match="bounds"):
        cgls(DATA, OPERATOR, minimum=0.0)


def test_mlem_follows_its_formula_and_likelihood_never_falls() -> None:
    counts = np.random.default_rng(2).poisson(20 * DATA).astype(np.float32)
    y = counts[:, 1].reshape(-1).astype(np.float64)
    x = np.full(144, counts.sum() / (2 * DENSE.sum()))
    for _ in range(5):
        expected = DENSE @ x + 0.5
        x *= (DENSE.T @ np.where(expected > 0, y / expected, 0)) / DENSE.sum(0)
    found = mlem(counts, OPERATOR, iterations=5, background=0.5)
    assert np.allclose(flat(found.volume, 1), x, rtol=2e-3)
    assert all(
        later <= before * (1 + 1e-5) for before, later in zip(found.residuals, found.residuals[1:], strict=False)
    )
    assert found.volume.min() >= 0
    quick = osem(counts, OPERATOR, iterations=2, subsets=6, background=0.5)
    assert quick.residuals[-1] < mlem(counts, OPERATOR, iterations=2, background=0.5).residuals[-1]


def test_transmission_finds_the_attenuation_without_a_logarithm() -> None:
    small = OPERATOR @ (TRUTH * np.float32(0.05))
    counts = 1e4 * np.exp(-small) + 30.0
    found = mltr(counts, OPERATOR, blank=1e4, background=30.0, iterations=200)
    assert np.linalg.norm(found.volume - 0.05 * TRUTH) < 0.2 * np.linalg.norm(0.05 * TRUTH)
    assert found.residuals[-1] < found.residuals[10] / 20
    quick = mltr(counts, OPERATOR, blank=1e4, background=30.0, iterations=40, subsets=6)
    assert quick.residuals[-1] < found.residuals[40]
    with pytest.raises(InputError, match="0 or more"):
        mltr(-counts, OPERATOR, blank=1e4)


@pytest.mark.kernel
def test_differences_and_divergence_are_those_of_the_formula() -> None:
    for geometry, grid in (
        (ParallelGeometry([0.0], 6, row_count=3), Grid((3, 5, 6), (3.0, 1.0, 2.0))),
        (ConeGeometry.circular([0.0, 1.0], row_count=4, column_count=4, row_spacing_mm=1.0, column_spacing_mm=1.0,
                               source_to_axis_mm=50.0, source_to_detector_mm=80.0), Grid((4, 5, 6), (2.0, 1.0, 1.5))),
    ):  # fmt: skip
        operator = Projector(geometry, grid) if len(geometry.angles) > 1 else Projector(
            ParallelGeometry([0.0], 6, row_count=3, row_spacing_mm=3.0), grid)  # fmt: skip
        weights = np.array([0.0 if len(geometry.angles) == 1 else 0.5, 1.0, grid.steps_mm[1] / grid.steps_mm[2]])
        plain = Differences(operator)
        volume = np.random.default_rng(0).random(grid.shape, np.float32)
        native, dual = operator.native_volume(volume), plain.new_dual()
        plain.ascend(native, dual, step=2.0, limit=1e9)
        expected = 2.0 * twin.differences(volume.astype(np.float64), weights)
        # Native axes are rows, columns, slices.
        for own, axis in enumerate((1, 2, 0)):
            found = operator.volume_of(dual[own].reshape(native.shape))
            assert np.allclose(found, expected[axis], atol=1e-5)
        out = operator.new_volume()
        plain.add_divergence(dual, native, out)
        assert np.allclose(operator.volume_of(out), volume + twin.divergence(expected, weights), atol=1e-5)
        plain.ascend(native, dual, step=0.0, limit=0.3)
        assert np.sqrt((dual.astype(np.float64) ** 2).sum(axis=0)).max() <= 0.3 + 1e-6


def objective(volume, data, operator, weight: float) -> float:
    misfit = operator @ volume - data
    across = [np.diff(volume.astype(np.float64), axis=axis, append=np.take(volume, [-1], axis)) for axis in (1, 2)]
    return 0.5 * float((misfit.astype(np.float64) ** 2).sum()) + weight * float(
        np.sqrt(sum(d**2 for d in across)).sum()
    )


def test_both_ways_to_total_variation_reach_the_same_least_value() -> None:
    noisy = DATA + np.random.default_rng(3).normal(0, 0.5, DATA.shape).astype(np.float32)
    one = fista_tv(noisy, OPERATOR, weight=0.8, iterations=150, inner_iterations=30)
    two = chambolle_pock_tv(noisy, OPERATOR, weight=0.8, iterations=600)
    values = [objective(each.volume, noisy, OPERATOR, 0.8) for each in (one, two)]
    assert values[0] == pytest.approx(values[1], rel=1e-3)
    assert np.abs(one.volume - two.volume).max() < 0.03
    nearby = np.random.default_rng(4)
    for _ in range(20):  # It is a minimum: no step around it goes lower.
        moved = np.maximum(one.volume + nearby.normal(0, 0.02, one.volume.shape).astype(np.float32), 0)
        assert objective(moved, noisy, OPERATOR, 0.8) > values[0]


def test_total_variation_recovers_edges_from_few_views() -> None:
    geometry = ParallelGeometry(np.linspace(0, np.pi, 12, endpoint=False), 40)
    grid = Grid((1, 32, 32), 1.0)
    phantom = simulate.Phantom([1.0, 1.0], [[0, 0, 0], [4, 3, 0]], [[11, 9, 99], [4, 3, 99]])
    operator, truth = Projector(geometry, grid), phantom.on_grid(grid)
    data = operator @ truth
    smooth = fista_tv(data, operator, weight=0.5, iterations=80)
    assert np.abs(smooth.volume - truth).mean() < np.abs(sirt(data, operator, iterations=80).volume - truth).mean() / 2


def test_masks_bounds_and_warm_starts_hold() -> None:
    mask = np.zeros(GRID.shape, bool)
    mask[:, 2:9, 3:10] = True
    found = os_sart(DATA, OPERATOR, iterations=3, subsets=3, mask=mask, minimum=0.0, maximum=0.4)
    assert not found.volume[~mask].any()
    assert (found.volume.min(), found.volume.max() <= 0.4) == (0.0, True)
    first = sirt(DATA, OPERATOR, iterations=5)
    then = sirt(DATA, OPERATOR, iterations=5, start=first.volume)
    assert np.allclose(then.volume, sirt(DATA, OPERATOR, iterations=10).volume, atol=1e-5)


def test_stop_rules_and_callbacks_end_a_run() -> None:
    assert sirt(DATA, OPERATOR, iterations=99, stop=Stop(residual=0.2)).stopped == "residual"
    assert sirt(DATA, OPERATOR, iterations=99, stop=Stop(change=0.2)).stopped == "change"
    assert len(sirt(DATA, OPERATOR, iterations=99, stop=Stop(seconds=0.0)).residuals) == 1
    seen = []

    def look(progress) -> bool:
        seen.append((progress.iteration, progress.volume().shape))
        return progress.iteration == 3

    assert sirt(DATA, OPERATOR, iterations=99, callback=look).stopped == "callback"
    assert seen == [(1, GRID.shape), (2, GRID.shape), (3, GRID.shape)]


def test_cancelling_and_progress() -> None:
    cancel, seen = threading.Event(), []

    def progress(phase: str, done: int, total: int) -> None:
        seen.append((phase, done, total))
        cancel.set()

    with pytest.raises(CancelledError):
        sirt(DATA, OPERATOR, iterations=9, watch=Watch(progress=progress, cancel=cancel))
    assert seen == [("iterating", 1, 9)]
    inner = Projector(GEOMETRY, GRID, watch=Watch(cancel=cancel))
    with pytest.raises(CancelledError):
        inner @ TRUTH


def test_results_do_not_depend_on_threads() -> None:
    single, several = (Projector(GEOMETRY, GRID, watch=Watch(threads=count)) for count in (1, 4))
    for method in (sirt, os_sart):
        assert np.array_equal(method(DATA, single, iterations=4).volume, method(DATA, several, iterations=4).volume)


@pytest.mark.parametrize(
    "refused",
    [
        lambda: sirt(DATA[:5], OPERATOR), lambda: sirt(DATA, OPERATOR, iterations=0),
        lambda: sirt(DATA * np.nan, OPERATOR),
        lambda: sirt(DATA, OPERATOR, relaxation=2.0), lambda: os_sart(DATA, OPERATOR, subsets=19),
        lambda: sirt(DATA, OPERATOR, start=np.zeros((1, 2, 3))), lambda: sirt(DATA, OPERATOR, mask=np.ones((2, 2))),
        lambda: sirt(DATA, OPERATOR, momentum=3), lambda: fista_tv(DATA, OPERATOR, weight=-1.0),
        lambda: mlem(-DATA, OPERATOR), lambda: sirt(DATA, OPERATOR, start=np.full(GRID.shape, np.inf)),
    ],
)  # fmt: skip
def test_what_cannot_be_iterated_is_refused(refused) -> None:
    with pytest.raises(InputError):
        refused()


def test_subsets_hold_every_view_once() -> None:
    groups = subsets_of(23, 5)
    assert sorted(np.concatenate(groups).tolist()) == list(range(23))
    assert len(groups) == 5


def test_cones_iterate_too() -> None:
    geometry = ConeGeometry.circular(
        np.linspace(0, 2 * np.pi, 30, endpoint=False), row_count=14, column_count=16, row_spacing_mm=1.5,
        column_spacing_mm=1.5, source_to_axis_mm=60.0, source_to_detector_mm=90.0,
    )  # fmt: skip
    grid = Grid((7, 9, 10), 1.0)
    operator = Projector(geometry, grid)
    truth = simulate.sphere(3.0, (1, -1, 0.5)).on_grid(grid)
    for method, rounds in ((cgls, 30), (sart, 15)):
        found = method(operator @ truth, operator, iterations=rounds)
        assert np.linalg.norm(found.volume - truth) < 0.1 * np.linalg.norm(truth), method
