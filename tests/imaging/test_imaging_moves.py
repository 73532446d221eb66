"""Images enlarged, turned, mirrored and moved."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from reference import sampling as twin

from pacscore.errors import InputError
from pacscore.imaging import arrays
from pacscore.imaging.image import Image


def _image(shape: tuple[int, int] = (30, 41), spacing: tuple[float, float] | None = (0.8, 0.5)) -> Image:
    y, x = np.indices(shape)
    affine = np.eye(4)
    affine[:3, 1], affine[:3, 2], affine[:3, 3] = (0, 0.8, 0), (0.5, 0, 0), (10, 20, 30)
    affine[:3, 0] = 0
    values = (100 * np.sin(y / 4) + 80 * np.cos(x / 5)).astype(np.float32)
    return Image(values, index_to_lps=affine, spacing_mm=spacing, modality="MR", unit="HU")


def _values_at(image: Image, other: Image, interpolation: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What the pixels of ``other`` should be, going by the two affines."""
    assert image.index_to_lps is not None
    assert other.index_to_lps is not None
    rows, columns = other.shape[:2]
    grid = np.stack([np.zeros(rows * columns), *np.indices((rows, columns)).reshape(2, -1), np.ones(rows * columns)])
    full = image.index_to_lps.copy()
    full[:3, 0] = np.cross(full[:3, 2], full[:3, 1])
    points = (np.linalg.inv(full) @ other.index_to_lps @ grid)[:3]
    source = image.array[None].astype(np.float64)
    if interpolation == "bspline":
        source = twin.spline_coefficients(source)
    values = twin.sample_points(source, points, interpolation)
    return values.reshape(rows, columns), twin.inside(points, source.shape).reshape(rows, columns)


@pytest.mark.parametrize("interpolation", arrays.INTERPOLATIONS)
@pytest.mark.parametrize("factor", [2.0, 1.37, (3.0, 1.0)])
def test_magnified_pixels_lie_where_the_affine_says(interpolation: str, factor: float) -> None:
    image = _image()
    larger = image.magnify(factor, interpolation=interpolation)
    down, across = np.broadcast_to(factor, 2)
    assert larger.shape == (round(30 * down), round(41 * across))
    assert larger.spacing_mm == (pytest.approx(0.8 / down), pytest.approx(0.5 / across))
    expected, inside = _values_at(image, larger, interpolation)
    assert inside.all()
    np.testing.assert_allclose(larger.array, expected, atol=2e-3)
    assert larger.unit == "HU"


def test_a_smaller_picture_is_averaged() -> None:
    checker = Image((np.indices((40, 40)).sum(axis=0) % 2 * 100).astype(np.float32))
    np.testing.assert_allclose(checker.magnify(0.25).array, 50, atol=3)


@pytest.mark.parametrize("interpolation", arrays.INTERPOLATIONS)
@pytest.mark.parametrize("whole", [True, False])
def test_rotated_pixels_lie_where_the_affine_says(interpolation: str, whole: bool) -> None:
    image = _image()
    turned = image.rotate(31.7, whole=whole, interpolation=interpolation, background=-999.0)
    assert turned.spacing_mm == (pytest.approx(0.8), pytest.approx(0.5))
    if not whole:
        assert turned.shape == image.shape
    expected, inside = _values_at(image, turned, interpolation)
    np.testing.assert_allclose(turned.array[inside], expected[inside], atol=2e-3)
    assert (turned.array[~inside] == -999).all()
    assert inside.mean() > 0.4


def test_quarter_turns_of_square_pixels_are_exact() -> None:
    image = Image(np.arange(12, dtype=np.float32).reshape(3, 4))
    assert np.array_equal(image.rotate(90).array, np.rot90(image.array))
    assert np.array_equal(image.rotate(180).array, np.rot90(image.array, 2))
    assert np.array_equal(image.rotate(-90).array, np.rot90(image.array, -1))


def test_pan_moves_by_parts_of_a_pixel() -> None:
    image = _image()
    moved = image.pan(0.25, -3.5, interpolation="linear", background=0.0)
    expected, inside = _values_at(image, moved, "linear")
    np.testing.assert_allclose(moved.array[inside], expected[inside], atol=2e-3)
    whole = image.pan(2, 5)
    assert np.array_equal(whole.array[2:, 5:], image.array[:-2, :-5])


def test_a_flip_keeps_each_pixel_in_its_place() -> None:
    image = _image()
    flipped = image.flip(rows=True, columns=True)
    assert np.array_equal(flipped.array, image.array[::-1, ::-1])
    assert flipped.index_to_lps is not None
    assert image.index_to_lps is not None
    np.testing.assert_allclose(flipped.index_to_lps @ [0, 0, 0, 1], image.index_to_lps @ [0, 29, 40, 1])
    assert np.array_equal(image.flip().array, image.array)


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 12)])
def test_colours_move_together(dtype: type, bits: int) -> None:
    y, x = np.indices((20, 30))
    white = (1 << bits) - 1
    rgb = np.stack([y * white // 19, x * white // 29, np.full((20, 30), white)], axis=-1).astype(dtype)
    image = Image(rgb, photometric="RGB", bits_stored=bits)
    for result in (image.magnify(1.7), image.rotate(20), image.pan(0.5, 0.5), image.flip(rows=True)):
        assert result.array.dtype == dtype
        assert result.photometric == "RGB"
        assert result.array.max() <= white
    larger = image.magnify(2.0, interpolation="linear").array[..., 0].astype(float)
    np.testing.assert_allclose(larger[10], np.full(60, (10.5 / 2 - 0.5) * white / 19), atol=1.0)


def test_one_pixel() -> None:
    dot = Image(np.full((1, 1), 7.0, np.float32))
    assert np.array_equal(dot.magnify(4).array, np.full((4, 4), 7.0))
    assert dot.rotate(45).array.max() == 7


def test_what_cannot_be_done_says_why() -> None:
    image = _image()
    for factor in (0.0, -1.0, np.nan, (1.0, 2.0, 3.0)):
        with pytest.raises(InputError, match="factor"):
            image.magnify(factor)
    with pytest.raises(InputError, match="cannot be made"):
        image.magnify(1e6)
    with pytest.raises(InputError, match="angle"):
        image.rotate(np.inf)
    with pytest.raises(InputError, match="finite"):
        image.pan(np.nan, 0)
    with pytest.raises(InputError, match="sinc"):
        image.pan(0, 0, interpolation="sinc")
