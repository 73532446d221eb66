"""Planes, slabs and grids of volumes: values where a point in space has them, and the right affine on every result."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imaging.imaging_stand_in import read_series
from numpy.typing import NDArray
from reference import sampling as twin

from pacscore.errors import AmbiguousError, GeometryError, InputError, UnsupportedError
from pacscore.geometry import Axis, StackGeometry, Verdict
from pacscore.imaging import arrays
from pacscore.imaging.resampling import grid_geometry
from pacscore.imaging.sources import ArrayInMemory, Box
from pacscore.imaging.values import Presentation, Rescale, StoredFormat
from pacscore.imaging.volume import Volume


class CountingSource:
    """A chunked source that notes the boxes read, as the store's would be."""

    def __init__(self, array: NDArray[Any], chunk_shape: tuple[int, ...]) -> None:
        self._inside = ArrayInMemory(array, chunk_shape=chunk_shape)
        self.shape, self.dtype, self.chunk_shape, self.locator = array.shape, array.dtype, chunk_shape, None
        self.boxes: list[Box] = []

    def read(self, selection: Box) -> NDArray[Any]:
        self.boxes.append(selection)
        return self._inside.read(selection)

    def read_into(self, selection: Box, out: NDArray[Any]) -> None:
        self.boxes.append(selection)
        self._inside.read_into(selection, out)

    def chunks(self) -> list[tuple[int, ...]]:
        """Every chunk touched, as often as it was."""
        found = []
        for box in self.boxes:
            ranges = [
                range(part.start // c, (part.stop - 1) // c + 1) for part, c in zip(box, self.chunk_shape, strict=True)
            ]
            found += [(z, y, x) for z in ranges[0] for y in ranges[1] for x in ranges[2]]
        return found


def oblique_affine(spacing: Sequence[float] = (2.5, 0.8, 0.7), *, tilt: float = 0.0) -> NDArray[np.float64]:
    """Rotated about two axes; ``tilt`` mm from slice to slice along the rows' direction."""
    a, b = np.radians(20), np.radians(-35)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (
        turn[:, 2] * spacing[0],
        turn[:, 1] * spacing[1],
        turn[:, 0] * spacing[2],
    )
    affine[:3, 0] += turn[:, 1] * tilt
    affine[:3, 3] = -30, 12, 100
    return affine


def volume_of(array: NDArray[Any], affine: NDArray[np.float64], **parts: Any) -> Volume:
    given: dict[str, Any] = {
        "stored": StoredFormat.of_dtype(array.dtype),
        "rescale": Rescale.linear(2.0, -1000.0, unit="HU"),
        "presentation": Presentation("CT"),
    }
    source = parts.pop("source", None) or ArrayInMemory(array)
    return Volume(source, grid_geometry(affine, "1.2.3"), **(given | parts))


def _words(shape: tuple[int, int, int] = (14, 20, 26), dtype: str = "int16") -> NDArray[Any]:
    z, y, x = np.indices(shape)
    smooth = 400 + 150 * np.sin(z / 3 + y / 5) + 100 * np.cos(x / 4 - y / 6)
    return smooth.astype(dtype)


def _expected(
    volume: Volume, affine: NDArray[np.float64], shape: tuple[int, ...], interpolation: str
) -> NDArray[np.float64]:
    """Modality values at the points of a grid, from the definition."""
    grid = np.indices(shape).reshape(3, -1)
    points = np.linalg.inv(volume.index_to_lps) @ affine @ np.vstack([grid, np.ones(grid.shape[1])])
    modality = volume.modality()
    source = twin.spline_coefficients(modality) if interpolation == "bspline" else modality
    return twin.sample_points(source, points[:3], interpolation, -1024.0).reshape(shape)


@pytest.mark.parametrize("interpolation", arrays.INTERPOLATIONS)
@pytest.mark.parametrize("tilt", [0.0, 0.83])
def test_an_oblique_plane_has_the_values_of_its_points(interpolation: str, tilt: float) -> None:
    volume = volume_of(_words(), oblique_affine(tilt=tilt))
    plane = volume.reslice(
        row_direction=(1, 0.4, -0.2), column_direction=(-0.4, 1, 0), spacing_mm=(0.63, 0.57), shape=(50, 61),
        interpolation=interpolation,
    )  # fmt: skip
    assert plane.shape == (50, 61)
    assert plane.spacing_mm == (0.63, 0.57)
    assert plane.index_to_lps is not None
    expected = _expected(volume, plane.index_to_lps, (1, 50, 61), interpolation)[0]
    np.testing.assert_allclose(plane.array, expected, atol=0.05)
    assert (plane.array != -1024).mean() > 0.2
    middle = plane.index_to_lps @ [0, 24.5, 30, 1]
    np.testing.assert_allclose(middle, volume.index_to_lps @ [6.5, 9.5, 12.5, 1], atol=1e-9)


def test_a_default_plane_covers_the_volume() -> None:
    volume = volume_of(_words(), oblique_affine())
    plane = volume.reslice()
    assert plane.spacing_mm == (pytest.approx(0.7), pytest.approx(0.7))
    assert plane.array[0].max() == plane.array[:, 0].max() == -1024
    assert plane.array.max() > 0


def test_orthogonal_planes_are_the_arrays_own() -> None:
    affine = np.diag([2.0, 1.0, 0.5, 1.0])[[2, 1, 0, 3]]
    volume = volume_of(_words(), affine)
    center = (affine @ [5, 9.5, 12.5, 1])[:3]
    axial = volume.reslice(center, spacing_mm=(1.0, 0.5), shape=(20, 26))
    assert np.array_equal(axial.array, volume.modality()[5])
    center = (affine @ [6.5, 8, 12.5, 1])[:3]
    coronal = volume.reslice(
        center, column_direction=(0, 0, 1), spacing_mm=(2.0, 0.5), shape=(14, 26), interpolation="cubic"
    )
    assert np.array_equal(coronal.array, volume.modality()[:, 8])


@pytest.mark.parametrize("combine", arrays.COMBINATIONS)
def test_a_slab_combines_what_lies_within_its_thickness(combine: str) -> None:
    volume = volume_of(_words(), oblique_affine())
    where: dict[str, Any] = {
        "row_direction": (1, 0.4, -0.2), "column_direction": (-0.4, 1, 0), "spacing_mm": 0.8, "shape": (20, 24),
    }  # fmt: skip
    slab = volume.slab(thickness_mm=4.0, step_mm=1.0, combine=combine, **where)
    plane = volume.reslice(**where)
    assert plane.index_to_lps is not None
    assert np.array_equal(slab.index_to_lps, plane.index_to_lps)
    normal = np.cross(plane.index_to_lps[:3, 2], plane.index_to_lps[:3, 1])
    normal /= np.linalg.norm(normal)
    stack = []
    for offset in (-2, -1, 0, 1, 2):
        moved = plane.index_to_lps.copy()
        moved[:3, 3] += normal * offset
        stack.append(_expected(volume, moved, (1, 20, 24), "linear")[0])
    values = np.ma.masked_equal(stack, -1024.0)
    expected = getattr(values, combine)(axis=0).filled(-1024.0)
    np.testing.assert_allclose(slab.array, expected, atol=0.05)


def test_a_slab_without_thickness_is_a_plane() -> None:
    volume = volume_of(_words(), oblique_affine())
    assert np.array_equal(volume.slab(thickness_mm=0.0).array, volume.reslice().array)


def test_a_stack_of_planes_is_a_volume_that_can_be_resliced_again() -> None:
    volume = volume_of(_words(), oblique_affine())
    stack = volume.reslice_stack(
        slice_count=7, slice_spacing_mm=1.5, row_direction=(0, 1, 0), column_direction=(0, 0, -1), spacing_mm=0.9,
        shape=(30, 31),
    )  # fmt: skip
    assert stack.shape == (7, 30, 31)
    assert stack.dtype == np.int16
    assert stack.geometry.verdict == Verdict.REGULAR
    assert stack.spacing_mm == (pytest.approx(1.5), pytest.approx(0.9), pytest.approx(0.9))
    assert stack.geometry.frame_of_reference_uid == "1.2.3"
    assert stack.derivation == ("resliced to 1.5 x 0.9 x 0.9 mm, linear",)
    expected = _expected(volume, stack.index_to_lps, stack.shape, "linear")
    # Rounded stored values, two HU apart; the background is one as well.
    np.testing.assert_allclose(stack.modality(), expected, atol=1.01)
    again = stack.reslice(row_direction=(0, 1, 0), column_direction=(0, 0, -1), spacing_mm=0.9, shape=(30, 31))
    np.testing.assert_allclose(again.array, stack.modality()[3], atol=1e-3)


@pytest.mark.parametrize("interpolation", arrays.INTERPOLATIONS)
@pytest.mark.parametrize("tilt", [0.0, 0.83])
def test_another_spacing_keeps_the_body_where_it_is(interpolation: str, tilt: float) -> None:
    volume = volume_of(_words(), oblique_affine(tilt=tilt))
    finer = volume.resample(0.617, interpolation=interpolation)
    assert finer.spacing_mm == (pytest.approx(0.617),) * 3
    assert finer.geometry.verdict == volume.geometry.verdict
    expected = _expected(volume, finer.index_to_lps, finer.shape, interpolation)
    np.testing.assert_allclose(finer.modality(), expected, atol=1.05)
    middles = [each.index_to_lps @ [*((np.array(each.shape) - 1) / 2), 1] for each in (volume, finer)]
    np.testing.assert_allclose(*middles, atol=1e-9)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_another_volumes_grid(interpolation: str) -> None:
    volume = volume_of(_words(dtype="float32"), oblique_affine(), rescale=Rescale.linear(unit="HU"))
    grid = oblique_affine((3.0, 1.0, 0.9), tilt=0.5) @ np.diag([1.0, -1.0, -1.0, 1.0])
    grid[:3, 3] += 3.3, 9.9, -2.2
    other = volume_of(np.zeros((9, 15, 17), np.uint8), grid)
    found = volume.resample(like=other, interpolation=interpolation, smooth=False)
    assert found.dtype == np.float32
    assert found.shape == other.shape
    assert np.array_equal(found.index_to_lps, other.index_to_lps)
    np.testing.assert_allclose(
        found.modality(), _expected(volume, other.index_to_lps, other.shape, interpolation), atol=0.05
    )


def test_an_affine_with_reversed_and_swapped_axes_is_exact() -> None:
    volume = volume_of(_words(), oblique_affine())
    affine = volume.index_to_lps
    swapped = affine[:, [1, 0, 2, 3]].copy()
    swapped[:3, 3] += affine[:3, 2] * 25
    swapped[:3, 2] *= -1
    found = volume.resample(index_to_lps=swapped, shape=(20, 14, 26))
    assert np.array_equal(found.array(), volume.array().transpose(1, 0, 2)[:, :, ::-1])


@pytest.mark.parametrize("angle", [0.0, 30.0])
def test_shrinking_averages_and_does_not_alias(angle: float) -> None:
    checker = (np.indices((24, 24, 24)).sum(axis=0) % 2 * 1000).astype(np.int16)
    volume = volume_of(checker, np.diag([1.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]], rescale=Rescale.linear())
    a = np.radians(angle)
    coarse = 3.0 * np.array([[0, -np.sin(a), np.cos(a)], [0, np.cos(a), np.sin(a)], [1, 0, 0]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = coarse, 11.5 - coarse @ [1.5, 1.5, 1.5]
    smooth = volume.resample(index_to_lps=affine, shape=(4, 4, 4)).modality()
    np.testing.assert_allclose(smooth, 500, atol=40)
    raw = volume.resample(index_to_lps=affine, shape=(4, 4, 4), smooth=False, interpolation="nearest").modality()
    assert set(np.unique(raw)) <= {0.0, 1000.0}


@pytest.mark.parametrize("tilt", [0.83, -0.83])
def test_tilt_is_removed_without_crossing_slices(tilt: float) -> None:
    volume = volume_of(_words(), oblique_affine(tilt=tilt))
    assert volume.geometry.verdict == Verdict.TILTED
    straight = volume.rectified()
    assert straight.geometry.verdict == Verdict.REGULAR
    assert straight.spacing_mm == pytest.approx(volume.spacing_mm)
    assert straight.shape[0] == volume.shape[0]
    assert "gantry tilt of" in straight.derivation[-1]
    expected = _expected(volume, straight.index_to_lps, straight.shape, "linear")
    np.testing.assert_allclose(straight.modality(), expected, atol=1.05)
    for place in ((0, 0, 0, 1), (13, 19, 25, 1), (13, 0, 25, 1)):
        inside = np.linalg.inv(straight.index_to_lps) @ volume.index_to_lps @ place
        assert (inside[:3] > -1e-6).all()
        assert (inside[:3] < np.array(straight.shape) - 1 + 1e-6).all()
    assert straight.rectified() is straight


def test_a_real_tilted_series_is_rectified(data: Path) -> None:
    volume = read_series(data / "series" / "ct-tilt-irregular-ge")
    if not volume.has_affine:
        affine = np.array(oblique_affine((5.0, 0.5, 0.5), tilt=1.7))
        volume = replace(volume, geometry=grid_geometry(affine, ""))
    straight = volume.rectified()
    assert straight.geometry.verdict == Verdict.REGULAR
    assert (
        abs(
            straight.modality()[straight.modality() > -1000].mean()
            - volume.modality()[volume.modality() > -1000].mean()
        )
        < 20
    )


def test_a_pyramid_halves_and_covers_the_same_body() -> None:
    volume = volume_of(_words((14, 41, 56)), np.diag([2.6, 1.0, 1.0, 1.0])[[2, 1, 0, 3]])
    levels = volume.pyramid(3)
    assert [level.shape for level in levels] == [(14, 41, 56), (14, 21, 28), (7, 11, 14), (4, 6, 7)]
    assert levels[1].spacing_mm == (2.6, pytest.approx(41 / 21), 2.0)
    means = [float(level.modality().mean()) for level in levels]
    np.testing.assert_allclose(means, means[0], atol=4)
    assert np.ptp(levels[3].modality()) > 200
    border = levels[1].index_to_lps @ [-0.5, -0.5, -0.5, 1]
    np.testing.assert_allclose(border, volume.index_to_lps @ [-0.5, -0.5, -0.5, 1], atol=1e-9)
    assert max(volume.pyramid()[-1].shape) <= 64


def test_frames_rescaled_one_by_one_are_sampled_as_modality_values() -> None:
    slopes = np.linspace(0.5, 3, 14)
    pet = volume_of(_words(), oblique_affine(), rescale=Rescale.linear(slopes, 0.0, unit="BQML"))
    for interpolation in ("linear", "bspline"):
        plane = pet.reslice(spacing_mm=1.1, shape=(30, 30), interpolation=interpolation, background=-1024)
        assert plane.index_to_lps is not None
        expected = _expected(pet, plane.index_to_lps, (1, 30, 30), interpolation)[0]
        np.testing.assert_allclose(plane.array, expected, atol=0.1)
    finer = pet.resample(0.69, background=-1024)
    assert finer.dtype == np.float32
    np.testing.assert_allclose(finer.modality(), _expected(pet, finer.index_to_lps, finer.shape, "linear"), atol=0.05)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "float64"])
def test_other_dtypes(dtype: str) -> None:
    volume = volume_of((_words() / 8).astype(dtype), oblique_affine())
    plane = volume.reslice(spacing_mm=1.1, shape=(30, 30))
    assert plane.index_to_lps is not None
    np.testing.assert_allclose(plane.array, _expected(volume, plane.index_to_lps, (1, 30, 30), "linear")[0], atol=0.05)
    finer = volume.resample(0.69)
    assert finer.dtype == (np.uint16 if dtype == "uint16" else np.float32)
    np.testing.assert_allclose(
        finer.modality(), _expected(volume, finer.index_to_lps, finer.shape, "linear"), atol=1.05
    )


CHUNK = (4, 8, 8)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("masked", [False, True])
def test_a_plane_reads_only_the_chunks_it_meets_and_each_once(interpolation: str, masked: bool) -> None:
    words = _words((30, 60, 70))
    source = CountingSource(words, CHUNK)
    stored = StoredFormat(12, 11, signed=True) if masked else StoredFormat.of_dtype(words.dtype)
    volume = volume_of(words, oblique_affine(), source=source, stored=stored)
    where: dict[str, Any] = {
        "row_direction": (1, 0.5, 0.1), "column_direction": (-0.5, 1, 0), "spacing_mm": 0.5, "shape": (90, 100),
    }  # fmt: skip
    plane = volume.reslice(interpolation=interpolation, **where)
    touched = source.chunks()
    assert len(touched) == len(set(touched))
    assert plane.index_to_lps is not None
    grid = np.stack([np.zeros(9000), *np.indices((90, 100)).reshape(2, -1), np.ones(9000)])
    points = (np.linalg.inv(volume.index_to_lps) @ plane.index_to_lps @ grid)[:3]
    points = points[:, twin.inside(points, words.shape)]
    reach = 1 if interpolation == "cubic" else 0
    needed = set()
    for corner in np.ndindex(2, 2, 2):
        taps = np.floor(points).astype(int) + np.array(corner)[:, None] * (1 + 2 * reach) - reach
        taps = np.clip(taps, 0, np.array(words.shape)[:, None] - 1)
        needed |= {tuple(chunk) for chunk in (taps // np.array(CHUNK)[:, None]).T.tolist()}
    assert needed <= set(touched)
    assert len(set(touched)) <= len(needed) * 1.03
    assert len(set(touched)) < 0.5 * np.prod([-(-n // c) for n, c in zip(words.shape, CHUNK, strict=True)])
    same = volume_of(words, oblique_affine()).reslice(interpolation=interpolation, **where)
    assert np.array_equal(plane.array, same.array)


def test_a_plane_too_large_for_one_box_is_done_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from pacscore.imaging import sampled

    words = _words((30, 60, 70))
    where: dict[str, Any] = {"thickness_mm": 3.0, "spacing_mm": 0.3, "shape": (150, 200)}
    expected = volume_of(words, oblique_affine()).slab(**where)
    monkeypatch.setattr(sampled, "_BOX_BYTES", 60_000)
    source = CountingSource(words, CHUNK)
    found = volume_of(words, oblique_affine(), source=source).slab(**where)
    assert np.array_equal(found.array, expected.array)
    assert len(source.chunks()) < 2 * len(set(source.chunks()))


@pytest.mark.parametrize("interpolation", ["linear", "bspline"])
def test_a_stored_volume_is_regridded_in_slabs(interpolation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pacscore.imaging import regridding

    words = _words((30, 20, 26))
    expected = volume_of(words, oblique_affine()).resample(0.9, interpolation=interpolation)
    monkeypatch.setattr(regridding, "_READ_BYTES", 5 * 20 * 26 * 2)
    source = CountingSource(words, (2, 8, 8))
    found = volume_of(words, oblique_affine(), source=source).resample(0.9, interpolation=interpolation)
    assert np.array_equal(found.array(), expected.array())
    if interpolation == "linear":
        assert max(box[0].stop - box[0].start for box in source.boxes) <= 8


def test_a_spline_plane_reads_the_chunks_within_its_support_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from pacscore.imaging import sampled

    monkeypatch.setattr(sampled, "_SPLINE_LINES", 16)
    shape, chunk = (60, 100, 110), (8, 10, 10)
    words = np.random.default_rng(3).integers(-1000, 1000, shape).astype(np.int16)
    affine = oblique_affine((0.8, 0.8, 0.8))
    source = CountingSource(words, chunk)
    where: dict[str, Any] = {
        "row_direction": (1, 0.5, 0.1), "column_direction": (-0.5, 1, 0), "spacing_mm": 0.8, "shape": (60, 70),
        "interpolation": "bspline",
    }  # fmt: skip
    found = volume_of(words, affine, source=source).reslice(**where)
    touched = set(source.chunks())
    assert len(source.chunks()) == len(touched)
    expected = volume_of(words, affine).reslice(**where)
    assert np.abs(found.array - expected.array).max() < 1e-6 * 2000 * 2  # The slope of the rescale is 2.
    assert found.index_to_lps is not None
    grid = np.stack([np.zeros(4200), *np.indices((60, 70)).reshape(2, -1), np.ones(4200)])
    points = (np.linalg.inv(affine) @ found.index_to_lps @ grid)[:3]
    points = points[:, twin.inside(points, shape)]
    near = set()
    for corner in np.ndindex(2, 2, 2):
        reach = (np.array(corner)[:, None] * 2 - 1) * (sampled._SPLINE_MARGIN + 1)
        ends = np.clip(np.floor(points) + reach, 0, np.array(shape)[:, None] - 1).astype(int)
        near |= {tuple(place) for place in (ends // np.array(chunk)[:, None]).T.tolist()}
    box = [range(min(axis), max(axis) + 1) for axis in zip(*near, strict=True)]
    assert len(touched) < 0.75 * np.prod([len(axis) for axis in box])  # The box around the plane was read before.
    inside = twin.inside((np.linalg.inv(affine) @ found.index_to_lps @ grid)[:3], shape)
    exact = twin.sample_points(twin.spline_coefficients(words * 2.0 - 1000), points, "bspline")
    np.testing.assert_allclose(found.array.reshape(-1)[inside], exact, atol=0.05)


def test_a_coarser_rotated_grid_keeps_what_is_smooth_and_averages_what_is_fine() -> None:
    def of_place(affine: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
        places = affine @ np.stack([*np.indices(shape).reshape(3, -1), np.ones(np.prod(shape))])
        x, y, z = (axis.reshape(shape) for axis in places[:3])
        return 3 * x - 2 * y + z, 200 * np.cos(np.pi * x / 1.1)  # A ramp, and waves of 2.2 mm.

    fine = np.eye(4)
    fine[:3, :3] = np.eye(3)[::-1]  # One millimetre: slices along z, rows along y, columns along x.
    smooth, waves = of_place(fine, (60, 60, 60))
    volume = volume_of((smooth + waves).astype(np.float32), fine, rescale=Rescale.linear())
    turned = oblique_affine((4.0, 4.0, 4.0))
    turned[:3, 3] = np.array([29.5, 29.5, 29.5]) - turned[:3, :3] @ [2.5, 2.5, 2.5]
    rotated = volume_of(np.zeros((6, 6, 6), np.int16), turned)
    expected, _ = of_place(turned, (6, 6, 6))
    for interpolation in ("linear", "cubic", "bspline"):
        found = volume.resample(like=rotated, interpolation=interpolation)
        np.testing.assert_allclose(found.index_to_lps, turned)
        assert np.abs(found.modality() - expected).max() < 20
    coarse = volume.resample(like=rotated, smooth=False)
    assert np.abs(coarse.modality() - expected).max() > 100  # What would alias.


def test_many_plain_threads_at_once_get_the_same_plane() -> None:
    words = _words((30, 60, 70))
    volume = volume_of(words, oblique_affine(), source=CountingSource(words, CHUNK))
    expected = volume.slab(thickness_mm=2.0)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: volume.slab(thickness_mm=2.0).array, range(24)))
    assert all(np.array_equal(each, expected.array) for each in found)


def test_what_cannot_be_sampled_says_why() -> None:
    volume = volume_of(_words(), oblique_affine())
    with pytest.raises(InputError, match="perpendicular"):
        volume.reslice(row_direction=(1, 0, 0), column_direction=(1, 1, 0))
    with pytest.raises(InputError, match="not all 0"):
        volume.reslice(row_direction=(0, 0, 0))
    with pytest.raises(InputError, match="spacing_mm"):
        volume.reslice(spacing_mm=0.0)
    with pytest.raises(InputError, match="cannot be made"):
        volume.reslice(shape=(0, 5))
    with pytest.raises(InputError, match="point"):
        volume.reslice((0, np.nan, 0))
    with pytest.raises(InputError, match="sinc"):
        volume.reslice(interpolation="sinc")
    with pytest.raises(InputError, match="thickness"):
        volume.slab(thickness_mm=-1.0)
    with pytest.raises(InputError, match="one grid"):
        volume.resample()
    with pytest.raises(InputError, match="one grid"):
        volume.resample(1.0, like=volume)
    with pytest.raises(InputError, match="no grid"):
        volume.resample(index_to_lps=np.zeros((4, 4)), shape=(2, 2, 2))
    with pytest.raises(InputError, match="no stack"):
        volume.reslice_stack(slice_count=0, slice_spacing_mm=1.0)
    irregular = replace(volume, geometry=StackGeometry(Verdict.IRREGULAR))
    with pytest.raises(GeometryError, match="irregular"):
        irregular.reslice()
    flat = np.array(oblique_affine())
    flat[:3, 0] = 0
    single = replace(
        volume_of(_words((1, 20, 26)), oblique_affine()),
        geometry=StackGeometry(Verdict.NONE, index_to_lps=flat, spacing_mm=(None, 0.8, 0.7)),
    )
    with pytest.raises(GeometryError, match="single slice"):
        single.resample(1.0)
    colour = replace(
        volume,
        source=ArrayInMemory(np.zeros((4, 5, 6, 3), np.uint8)),
        presentation=Presentation(photometric="RGB"),
        stored=StoredFormat.of_dtype(np.dtype(np.uint8)),
    )
    with pytest.raises(UnsupportedError, match="RGB"):
        colour.reslice()
    timed = replace(
        volume, source=ArrayInMemory(np.zeros((2, 4, 5, 6), np.int16)), axes=(Axis("time", (0.0, 1.0), "s"),)
    )
    with pytest.raises(AmbiguousError, match="time"):
        timed.reslice()
