"""Direct volume rendering of plain arrays against a twin that composites every sample of every ray in float64."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from reference import rays as reference

from pacscore import parallel
from pacscore.errors import InputError
from pacscore.imaging import arrays
from pacscore.imaging.transfer import TransferFunction

SOFT = TransferFunction([(-200, 0.0), (400, 0.35), (900, 0.8)], [(-200, 0.9, 0.4, 0.3), (600, 1, 0.95, 0.8)])
SPACING = np.diag([1.7, 0.9, 1.0])


def ball(shape=(16, 20, 24), dtype="int16"):
    """A ball with a hollow, off the middle, and a little noise: soft edges, a border that is cut."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    radius = np.sqrt((z - 0.1) ** 2 + (y + 0.2) ** 2 + (x - 0.15) ** 2)
    noise = np.random.default_rng(3).normal(size=shape) * 10
    return (900 - 2200 * np.abs(radius - 0.55) + noise).astype(dtype)


def run_with(threads, function, count, *, tile=1):
    """``run_tiles`` with a number of threads."""
    parallel.run_tiles(function, count, tile=tile, threads=threads)


def view(shape=(18, 22), samples=60, step=0.6):
    """From a corner, so that rays enter and leave through all sides."""
    away = np.array([0.35, 0.7, 0.55]) * step
    return arrays.RayGrid((-3.5, -12.0, 2.0), (0.9, -0.45, 0.0), (-0.1, -0.45, 0.95), tuple(away), shape, samples)


def rendered(values, grid, transfer=SOFT, **options):
    table = transfer.table(step_mm=1.0)
    options = {"index_to_mm": SPACING, "lighting": transfer.lighting, **options}
    return arrays.render_rays(arrays.RayVolume.of(values), grid, table, **options)


def composited(values, grid, transfer=SOFT, lighting=None, index_to_mm=SPACING, **options):
    light = lighting or transfer.lighting
    places = [point[0] for point in transfer.colour]
    return reference.composite(
        values, grid.matrix(), np.arange(grid.shape[0]), grid.shape[1], grid.samples,
        opacity=lambda found: np.interp(found, *np.array(transfer.opacity).T),
        colour=lambda found: np.stack([np.interp(found, places, part) for part in np.array(transfer.colour).T[1:]], -1),
        light=(light.ambient, light.diffuse, light.specular, light.power), index_to_mm=index_to_mm, **options,
    )  # fmt: skip


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_rendering_is_what_compositing_every_sample_gives(dtype):
    values, grid = ball(dtype=dtype), view((10, 12), 40)
    found, wanted = rendered(values, grid), composited(values, grid)
    assert 0.2 < (wanted.max(axis=-1) > 5).mean() < 1
    difference = np.abs(found - wanted)
    assert difference.mean() < 0.5
    assert difference.max() < 4  # A ray ends where less than 1/256 would pass, and colours come from a table.


@pytest.mark.parametrize("step", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("lighting", [arrays.UNLIT, arrays.Lighting(0.1, 0.6, 0.5, 30), arrays.Lighting(0.5, 0, 0, 0)])
def test_steps_and_lights_are_the_twins(step, lighting):
    values, grid = ball(), view(samples=int(60 / step), step=step)
    found = rendered(values, grid, lighting=lighting, background=(0.2, 0.4, 0.6))
    difference = np.abs(found - composited(values, grid, lighting=lighting, background=(0.2, 0.4, 0.6)))
    assert difference.mean() < 0.5
    assert difference.max() < 4


def test_a_sheared_volume_is_lit_in_millimetres():
    tilted = np.array([[1.5, 0.0, 0.0], [0.4, 0.9, 0.0], [0.0, 0.0, 1.1]])
    values, grid = ball(), view()
    difference = np.abs(rendered(values, grid, index_to_mm=tilted) - composited(values, grid, index_to_mm=tilted))
    assert difference.mean() < 0.5
    assert difference.max() < 4


def test_no_more_than_the_first_surface_is_seen_through_an_opaque_one():
    opaque = TransferFunction([(0, 0.0), (1, 1.0)], [(0, 1, 0, 0), (500, 1, 0, 0), (501, 0, 0, 1)])
    values = np.zeros((8, 8, 8), np.int16)
    values[:, 2], values[:, 5] = 100, 900
    grid = arrays.RayGrid((0, 0, 0), (1, 0, 0), (0, 0, 1), (0, 1, 0), (8, 8), 8)
    found = rendered(values, grid, opaque, lighting=arrays.UNLIT)
    assert (found == (255, 0, 0)).all()


def test_what_no_opacity_covers_is_background():
    found = rendered(np.full((4, 5, 6), -900, np.int16), view(), background=(0.0, 0.5, 1.0))
    assert (found == (0, 128, 255)).all()


@pytest.mark.parametrize("samples", [1, 6, 7, 8, 9, 16, 17])
def test_the_last_samples_of_a_ray_are_seen(samples):
    values = np.zeros((samples + 1, 4, 4), np.int16)
    values[samples - 1] = 1000
    clear = TransferFunction([(500, 0.0), (1000, 1.0)], [(0, 1, 1, 1)], arrays.UNLIT)
    grid = arrays.RayGrid((0, 1, 1), (0, 0.5, 0), (0, 0, 0.5), (1, 0, 0), (2, 2), samples)
    assert (rendered(values, grid, clear) == 255).all()


def test_pictures_do_not_depend_on_threads(monkeypatch):
    values, grid = (
        ball((40, 50, 60)),
        arrays.RayGrid((-3.5, -12, 2), (0.4, -0.2, 0), (0, -0.2, 0.4), (0.35, 0.7, 0.5), (90, 140), 150),
    )
    found = []
    for threads in (1, 2, 5):
        tiled = partial(run_with, threads)
        for module in ("rays", "rendering"):
            monkeypatch.setattr(f"pacscore.imaging.arrays.{module}.run_tiles", tiled)
        found.append(rendered(values, grid))
        monkeypatch.undo()
    assert found[0].any()
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_a_negative_slope_turns_the_values_over():
    values, grid = ball(), view()
    turned = arrays.RayVolume.of(-values, slope=-1.0)
    table = SOFT.table(step_mm=1.0)
    found = arrays.render_rays(turned, grid, table, index_to_mm=SPACING, lighting=SOFT.lighting)
    assert np.abs(found.astype(int) - rendered(values, grid)).max() <= 1


def test_a_grid_whose_steps_lie_in_one_plane_still_shows_its_rays():
    """Such a picture repeats one row; what the tiles can skip is then not known."""
    grid = arrays.RayGrid((8, 0, 2), (0, 0, 0), (0, 0, 1), (0, 1, 0), (3, 20), 20)
    found = rendered(ball(), grid)
    assert found.any()
    assert (found == found[0]).all()


@pytest.mark.parametrize(
    "change",
    [
        {"opacities": np.zeros((4, 2), np.float32)},
        {"opacities": np.full(4, 1.5, np.float32)},
        {"opacities": np.full(4, np.nan, np.float32)},
        {"opacities": np.zeros(4)},
        {"colours": np.zeros((3, 3), np.float32)},
        {"step": 0.0},
        {"first": np.inf},
    ],
)
def test_a_table_without_meaning_is_refused(change):
    given = {"opacities": np.zeros(4, np.float32), "colours": np.zeros((4, 3), np.float32), "first": 0.0, "step": 1.0}
    with pytest.raises(InputError):
        arrays.ClassificationTable(**{**given, **change})


def test_light_and_background_and_geometry_are_checked():
    for light in ({"ambient": -0.1}, {"diffuse": np.nan}, {"power": 1001}):
        with pytest.raises(InputError):
            arrays.Lighting(**light)
    with pytest.raises(InputError, match="background"):
        rendered(ball(), view(), background=(0, 0, 1.5))
    with pytest.raises(InputError, match="inverted"):
        rendered(ball(), view(), index_to_mm=np.zeros((3, 3)))


@pytest.mark.parametrize(
    ("opacity", "colour"),
    [
        ([], [(0, 1, 1, 1)]),
        ([(0, 0.5)], []),
        ([(0, 0.5), (0, 0.6)], [(0, 1, 1, 1)]),
        ([(np.nan, 0.5)], [(0, 1, 1, 1)]),
        ([(0, 1.5)], [(0, 1, 1, 1)]),
        ([(0, 0.5)], [(0, 1, 1)]),
    ],
)
def test_a_transfer_function_without_meaning_is_refused(opacity, colour):
    with pytest.raises(InputError):
        TransferFunction(opacity, colour)


def test_a_finer_step_hardly_changes_a_picture():
    """Opacity is per millimetre, so the step between samples is a matter of quality, not of look."""
    values = ball((30, 36, 40))
    pictures = []
    for step in (1.0, 0.5):
        grid = arrays.RayGrid((15, 0, 0), (0, 0, 0.5), (0.4, 0, 0), (0, step, 0), (60, 30), int(36 / step))
        table = SOFT.table(step_mm=step)
        pictures.append(
            arrays.render_rays(arrays.RayVolume.of(values), grid, table, index_to_mm=np.eye(3)).astype(float)
        )
    assert pictures[0].max() > 100
    assert np.abs(pictures[0] - pictures[1]).mean() < 6
