"""Sheets and three-plane pictures: what they hold, and what they never hold."""

from __future__ import annotations

import numpy as np
import pytest
from imaging_stand_in import Axis, Geometry, affine_geometry

from pacscore.errors import GeometryError, InputError, SelectionError
from pacscore.imaging import (
    ArrayInMemory,
    Image,
    Presentation,
    StoredFormat,
    Volume,
    Window,
    contact_sheet,
    slice_sheet,
    three_planes,
)
from pacscore.imaging.captions import facts, fit, spacing_line, text_width, verdict_ink, window_line, wrap


@pytest.fixture
def volume():
    words = np.random.default_rng(3).integers(0, 1000, (12, 30, 40)).astype(np.int16)
    return Volume(
        ArrayInMemory(words), affine_geometry(), StoredFormat.of_dtype(words.dtype), presentation=Presentation("CT")
    )


def test_a_contact_sheet_has_a_cell_for_each(volume):
    image = volume.frame(0)
    sheet = contact_sheet([volume, image, volume], columns=3, tile=100)
    assert sheet.shape[1] == 3 * 110 + 10
    assert (sheet.photometric, sheet.array.dtype) == ("RGB", np.uint8)


def test_equal_inputs_make_equal_pictures(volume):
    for make in (lambda: contact_sheet([volume]), lambda: slice_sheet(volume), lambda: three_planes(volume)):
        np.testing.assert_array_equal(make().array, make().array)


def test_a_picture_that_cannot_be_made_is_a_cell_that_says_so(volume):
    words = np.zeros((2, 8, 8, 3), np.uint8)
    broken = Volume(
        ArrayInMemory(words),
        Geometry("none"),
        StoredFormat.of_dtype(words.dtype),
        presentation=Presentation("US", "YBR_FULL"),
    )
    sheet = contact_sheet([broken, volume], columns=2, tile=128)
    assert sheet.array[20:120, 12:130].max() > 100


def test_sheets_refuse_what_makes_no_sheet(volume):
    for call in (
        lambda: contact_sheet([]),
        lambda: contact_sheet([volume], captions=[]),
        lambda: contact_sheet([volume], tile=10),
        lambda: contact_sheet([volume], columns=0),
        lambda: slice_sheet(volume, count=0),
        lambda: three_planes(volume, size=10),
    ):
        with pytest.raises(InputError):
            call()


def test_a_slice_sheet_shows_at_most_the_frames_there_are(volume):
    assert slice_sheet(volume, count=50, columns=6, tile=64).shape[:2] == (2 * 74 + 10, 6 * 74 + 10)


def test_three_planes_fit_the_size_asked_for(volume):
    for size in (256, 600, 1200):
        picture = three_planes(volume, size=size)
        assert max(picture.shape) <= size + size // 3 + 30


def test_three_planes_can_be_centered_and_windowed(volume):
    first = three_planes(volume, center=(0, 0, 0), window=Window(500, 1000))
    second = three_planes(volume, center=(-1, -1, -1), window=Window(500, 1000))
    assert (first.array != second.array).any()
    assert (three_planes(volume, lines=False).array != three_planes(volume).array).any()
    with pytest.raises(SelectionError):
        three_planes(volume, center=(12, 0, 0))


def test_three_planes_need_an_affine(volume):
    words = volume.array()
    irregular = Volume(ArrayInMemory(words), Geometry("irregular"), StoredFormat.of_dtype(words.dtype))
    with pytest.raises(GeometryError, match="irregular"):
        three_planes(irregular)


def test_facts_name_the_axes_the_extent_and_the_verdict(volume):
    table = {name: value for name, value, _ in facts(volume, Window(40, 400, automatic=True))}
    assert table["slices"] == "12"
    assert table["extent"] == "36 x 30 x 40 mm"
    assert table["geometry"] == "regular"
    assert table["chosen"] == "automatically"
    series = Volume(
        ArrayInMemory(volume.array()[np.newaxis]),
        Geometry("time", spacing_mm=(None, 1.0, 1.0)),
        volume.stored,
        axes=(Axis("time", (0.0,), "s"),),
    )
    assert facts(series, None)[0][:2] == ("time", "1 s")
    assert "extent" not in {name for name, _, _ in facts(series, None)}


def test_text_is_cut_and_wrapped_to_its_room():
    text = "The quick brown fox jumps over the lazy dog"
    assert text_width(fit(text, 14, 80), 14) <= 80
    lines = wrap(text, 14, 80)
    assert " ".join(lines) == text
    assert all(text_width(line, 14) <= 80 for line in lines)
    assert fit("", 14, 0) == ""


def test_captions_read_as_people_write():
    assert spacing_line(None) == "spacing unknown"
    assert spacing_line((3.0, 0.9765625, 0.9765625)) == "3 x 0.977 x 0.977 mm"
    assert window_line(Window(300, 1500, explanation="BONE"), "HU") == "W 1500  L 300 HU BONE"
    assert len({verdict_ink(verdict) for verdict in ("regular", "tilted", "none", "gaps")}) == 4


def test_images_without_spacing_are_shown_too():
    assert contact_sheet([Image(np.eye(9, dtype=np.float32))]).shape[2] == 3
