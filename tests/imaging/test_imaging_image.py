"""Images and anatomy: display values, orientation, affines that follow, and files."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imaging_stand_in import affine_geometry
from PIL import Image as PillowImage

from pacscore.errors import GeometryError, InputError
from pacscore.geometry import anatomical_axis
from pacscore.imaging import ArrayInMemory, Image, StoredFormat, Volume, Window
from pacscore.imaging.anatomy import direction_letters
from pacscore.imaging.picture import extent, place_of

AXES = [
    np.array(columns, float).T * signs
    for columns in itertools.permutations(np.eye(3).tolist())
    for signs in itertools.product((1, -1), repeat=3)
]
RADIOLOGICAL = {2: ([1, 0, 0], [0, 1, 0]), 1: ([1, 0, 0], [0, 0, -1]), 0: ([0, 1, 0], [0, 0, -1])}


def affine_of(directions, spacing=(3.0, 2.0, 1.0), origin=(5, 6, 7)):
    affine = np.eye(4)
    affine[:3, :3] = directions * np.asarray(spacing)
    affine[:3, 3] = origin
    return affine


@pytest.mark.parametrize("directions", AXES)
def test_every_orientation_is_turned_to_the_radiological_convention(directions):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    image = Image(array, index_to_lps=affine_of(directions), spacing_mm=(2.0, 1.0))
    turned = image.oriented()
    right, down = RADIOLOGICAL[int(np.argmax(np.abs(directions[:, 0])))]
    np.testing.assert_array_equal(turned.index_to_lps[:3, 2] / turned.spacing_mm[1], right)
    np.testing.assert_array_equal(turned.index_to_lps[:3, 1] / turned.spacing_mm[0], down)
    # Each value is where it was.
    for row, column in np.ndindex(turned.array.shape):
        old_row, old_column = divmod(int(turned.array[row, column]), 4)
        np.testing.assert_allclose(
            turned.index_to_lps @ [0, row, column, 1], image.index_to_lps @ [0, old_row, old_column, 1]
        )
    assert turned.oriented() is turned


@pytest.mark.parametrize("directions", AXES)
def test_each_plane_is_found_whatever_the_axes_are(directions):
    for plane, axis in (("sagittal", 0), ("coronal", 1), ("axial", 2)):
        found = anatomical_axis(affine_of(directions), plane)
        assert abs(directions[axis, found]) == 1


def rotated(degrees):
    angle = np.radians(degrees)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return affine_of(turn @ np.eye(3)[:, [2, 1, 0]])


@given(st.floats(0, 90))
def test_planes_nearer_than_a_degree_to_each_other_are_ambiguous(degrees):
    # Between two axes at right angles the angles differ by twice the distance from 45 degrees.
    if abs(degrees - 45) < 0.499:
        with pytest.raises(GeometryError, match="axial"):
            anatomical_axis(rotated(degrees), "axial")
    elif abs(degrees - 45) > 0.501:
        assert anatomical_axis(rotated(degrees), "axial") == (0 if degrees < 45 else 1)


def test_a_single_slice_has_only_the_plane_it_is():
    affine = affine_of(np.eye(3)[:, [2, 1, 0]], spacing=(0.0, 1.0, 1.0))
    assert anatomical_axis(affine, "axial") == 0
    with pytest.raises(GeometryError, match="single slice"):
        anatomical_axis(affine, "coronal")


def test_other_planes_are_refused():
    with pytest.raises(InputError, match="axial, coronal or sagittal"):
        anatomical_axis(np.eye(4), "oblique")


def test_directions_have_their_letters():
    letters = [
        direction_letters(np.array(vector, float)) for vector in (*np.eye(3), *-np.eye(3), [0, 1, -1], [0, 0, 0])
    ]
    assert letters == ["L", "P", "H", "R", "A", "F", "PF", ""]


def test_display_uses_the_images_window_and_turns_monochrome1_round():
    values = np.linspace(-300, 300, 60, dtype=np.float32).reshape(6, 10)
    window = Window(0, 200)
    grey = Image(values, window=window).display()
    np.testing.assert_array_equal(Image(values).display(window), grey)
    np.testing.assert_array_equal(Image(values, photometric="MONOCHROME1", window=window).display(), 255 - grey)


def test_without_a_window_the_percentiles_fill_the_range():
    values = np.random.default_rng(1).normal(1000, 100, (50, 50)).astype(np.float32)
    values[:10] = -3000
    grey = Image(values, padding=(-3000, -3000)).display()
    assert (grey.min(), grey.max()) == (0, 255)
    assert 90 < grey[10:].mean() < 160


def test_colour_of_more_than_8_bits_keeps_its_high_bits():
    colours = np.full((2, 2, 3), 0x0FF0, np.uint16)
    assert (Image(colours, photometric="RGB", bits_stored=12).display() == 0xFF).all()


@pytest.mark.parametrize(
    ("shape", "dtype", "photometric"),
    [((3,), "f4", "MONOCHROME2"), ((0, 3), "f4", "MONOCHROME2"), ((3, 3, 3), "f4", "MONOCHROME2"),
     ((3, 3), "u1", "RGB"), ((3, 3, 3), "f4", "RGB"), ((3, 3), "f4", "PALETTE COLOR")],
)  # fmt: skip
def test_arrays_that_are_no_image_are_refused(shape, dtype, photometric):
    with pytest.raises(InputError):
        Image(np.zeros(shape, dtype), photometric=photometric)


def test_colour_takes_no_window():
    image = Image(np.zeros((2, 2, 3), np.uint8), photometric="RGB")
    for call in (lambda: image.display(Window(1, 2)), image.automatic_window):
        with pytest.raises(InputError, match="without a window"):
            call()


def test_pictures_have_square_pixels():
    image = Image(np.zeros((20, 30), np.float32), spacing_mm=(3.0, 1.0))
    assert image.picture().size == (30, 60)
    assert image.picture(size=(100, 100)).size == (50, 100)
    assert Image(np.zeros((20, 30), np.float32), pixel_aspect=0.5).picture().size == (60, 20)
    with pytest.raises(InputError):
        image.picture(size=(0, 10))


def tilted_volume():
    words = np.zeros((20, 40, 30), np.int16)
    words[10, 24, 15] = 1000
    geometry = affine_geometry((2.0, 1.0, 1.0), tilt=1.0)
    return Volume(ArrayInMemory(words), geometry, StoredFormat.of_dtype(words.dtype))


def test_a_reformat_of_a_tilted_stack_is_sheared_straight():
    image = tilted_volume().plane("sagittal", 15).oriented()
    width, height = extent(image)
    assert (width, height) == pytest.approx((40 + 19, 40))
    grey = np.asarray(image.picture(window=Window(500, 1000), size=(590, 400)))
    # The bright voxel: slice 10, row 24 lies at y = 34, z = 20; front is left, head is up.
    row, column = np.unravel_index(grey.argmax(), grey.shape)
    assert column / 10 == pytest.approx(34.5, abs=1)
    assert row / 10 == pytest.approx((19 - 10 + 0.5) * 2, abs=1)
    place = place_of(image, np.array([15.0, 34.0, 20.0]), 10.0)
    assert place == pytest.approx((345, 190), abs=1e-6)


def test_images_are_saved_as_png_and_jpeg(tmp_path):
    image = Image(np.random.default_rng(2).normal(size=(24, 30)).astype(np.float32), spacing_mm=(2.0, 1.0))
    for name, kind in (("a.png", "PNG"), ("b.JPG", "JPEG"), ("c.jpeg", "JPEG")):
        image.save(tmp_path / name)
        with PillowImage.open(tmp_path / name) as opened:
            assert (opened.format, opened.size, opened.mode) == (kind, (30, 48), "L")
    with pytest.raises(InputError, match=r"\.bmp"):
        image.save(tmp_path / "d.bmp")


def test_notebooks_get_a_png():
    image = Image(np.zeros((4, 5, 3), np.uint8), photometric="RGB")
    with PillowImage.open(io.BytesIO(image._repr_png_())) as opened:
        assert (opened.format, opened.size) == ("PNG", (5, 4))


def test_markers_are_written_where_directions_are_known():
    values = np.zeros((200, 200), np.float32)
    plain, marked = (
        np.asarray(Image(values, index_to_lps=affine, window=Window(0, 1)).picture(markers=True))
        for affine in (None, affine_of(np.eye(3)[:, [2, 1, 0]]))
    )
    assert len(np.unique(plain)) == 1
    assert len(np.unique(marked)) > 1


@pytest.mark.parametrize("fields", [{"spacing_mm": (0.0, 1.0)}, {"spacing_mm": (1.0, np.nan)}, {"pixel_aspect": -1.0}])
def test_pixels_without_a_size_are_refused(fields):
    with pytest.raises(InputError, match="positive"):
        Image(np.zeros((2, 2), np.float32), **fields)


def test_an_absurd_spacing_makes_no_absurd_picture():
    image = Image(np.zeros((2, 4000), np.float32), spacing_mm=(1e6, 1e-3))
    assert np.prod(image.picture(window=Window(0, 1)).size) <= 70 << 20


def test_missing_values_are_black_in_pictures():
    values = np.full((10, 10), 5.0, np.float32)
    values[:5] = np.nan
    grey = np.asarray(Image(values).picture(window=Window(2, 2)))
    assert (grey[:4] == 0).all()
    assert (grey[6:] == 255).all()
