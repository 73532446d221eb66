"""Views of a volume from any side: geometry, orientation, units, what is read, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from imaging_stand_in import Axis, Geometry, affine_geometry
from PIL import Image as PillowImage

from pacscore.errors import AmbiguousError, GeometryError, InputError, LimitError
from pacscore.imaging import ArrayInMemory, Presentation, Rescale, Scene, StoredFormat, TransferFunction, Volume
from pacscore.imaging.rendering import save_turntable
from pacscore.imaging.views import DIRECTIONS, Framing, View


def make(array, geometry=None, **parts):
    """A volume of an array."""
    source = parts.pop("source", None) or ArrayInMemory(array)
    stored = parts.pop("stored", StoredFormat.of_dtype(source.dtype))
    return Volume(source, geometry or affine_geometry((2.0, 1.0, 1.0)), stored, **parts)


class CountingSource:
    """A chunked array that remembers what was read of it."""

    def __init__(self, array, chunk_shape):
        self.inner = ArrayInMemory(array, chunk_shape=chunk_shape)
        self.boxes = []

    shape = property(lambda self: self.inner.shape)
    dtype = property(lambda self: self.inner.dtype)
    chunk_shape = property(lambda self: self.inner.chunk_shape)
    locator = property(lambda self: self.inner.locator)

    def read(self, selection):
        self.boxes.append(selection)
        return self.inner.read(selection)

    def read_into(self, selection, out):
        self.boxes.append(selection)
        self.inner.read_into(selection, out)

    def largest(self):
        return max(np.prod([part.stop - part.start for part in box]) for box in self.boxes)

    def chunks(self):
        """The chunks that the reads touched."""
        touched = set()
        for box in self.boxes:
            spans = [
                range(part.start // step, -(-part.stop // step))
                for part, step in zip(box, self.chunk_shape, strict=True)
            ]
            touched |= {(z, y, x) for z in spans[0] for y in spans[1] for x in spans[2]}
        return touched


def oblique_geometry():
    """Turned about two axes, anisotropic, and sheared as by a tilted gantry."""
    a, b = np.deg2rad(25), np.deg2rad(-40)
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]) @ np.array(
        [[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.array([[0, 0, 0.8], [0.3, 0.9, 0], [2.1, 0, 0]])
    affine[:3, 3] = 30, -50, 110
    return Geometry("tilted", affine, (2.0, 0.9, 0.8))


VIEWS = [View.named(name) for name in DIRECTIONS] + [View.orbit(37, 21), View.orbit(-140, -75), View.along((1, 2, 3))]


@pytest.mark.parametrize("geometry", [affine_geometry((2.0, 1.0, 1.0)), oblique_geometry()], ids=["axial", "oblique"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_voxel_is_seen_where_the_affine_says(geometry, view):
    array = np.zeros((14, 22, 18), np.int16)
    marked = (9, 5, 12)
    array[marked] = 1000
    image = Scene.of(make(array, geometry)).project("max", view, Framing(pixel_mm=0.25, step_mm=0.25))
    row, column = np.unravel_index(image.array.argmax(), image.shape)
    seen = image.index_to_lps @ [0, row, column, 1]
    away = (seen - geometry.index_to_lps @ [*marked, 1])[:3]
    across = away - (away @ view.toward_viewer) * np.array(view.toward_viewer)
    assert np.linalg.norm(across) < 0.2
    # The plane of the picture passes through the middle of the volume.
    middle = geometry.index_to_lps @ [*((np.array(array.shape) - 1) / 2), 1]
    assert abs((seen - middle)[:3] @ view.toward_viewer) < 1e-9


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_right_handed_and_seen_from_the_viewer(view):
    down, right, away = view.matrix()
    np.testing.assert_allclose(np.cross(right, -down), view.toward_viewer, atol=1e-12)
    np.testing.assert_allclose(away, np.negative(view.toward_viewer), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm([down, right, away], axis=1), 1)


@pytest.mark.parametrize(
    ("name", "right", "up"),
    [
        ("anterior", (1, 0, 0), (0, 0, 1)),  # The patient's left is to the viewer's right, the head up.
        ("posterior", (-1, 0, 0), (0, 0, 1)),
        ("left", (0, 1, 0), (0, 0, 1)),  # From the left the back is to the viewer's right.
        ("right", (0, -1, 0), (0, 0, 1)),
        ("inferior", (1, 0, 0), (0, -1, 0)),  # From the feet, as axial planes are read.
        ("superior", (-1, 0, 0), (0, -1, 0)),
    ],
)
def test_directions_are_the_patients(name, right, up):
    view = View.named(name)
    assert (view.right, view.up) == (right, up)


def test_going_around_meets_the_named_directions():
    for azimuth, name in ((0, "anterior"), (90, "left"), (180, "posterior"), (-90, "right"), (270, "right")):
        assert View.orbit(azimuth) == View.named(name)
    np.testing.assert_allclose(View.orbit(0, 90).toward_viewer, (0, 0, 1))
    np.testing.assert_allclose(View.along((0, -3, 0)).matrix(), View.named("anterior").matrix())
    np.testing.assert_allclose(View.along((0, 0, 2)).matrix(), View.named("superior").matrix())


def test_a_front_view_of_an_axial_stack_is_its_coronal_projection_head_up():
    array = np.random.default_rng(0).integers(-1000, 2000, (11, 12, 13)).astype(np.int16)
    volume = make(array, affine_geometry((1.0, 1.0, 1.0)))
    np.testing.assert_array_equal(volume.project().array, array.max(axis=1)[::-1])
    np.testing.assert_array_equal(volume.project(direction="posterior").array, array.max(axis=1)[::-1, ::-1])
    np.testing.assert_array_equal(volume.project(direction="left").array, array.max(axis=2)[::-1])
    np.testing.assert_array_equal(volume.project("min", direction="inferior").array, array.min(axis=0))
    image = volume.project(axis="coronal")
    np.testing.assert_array_equal(image.array, array.max(axis=1))
    np.testing.assert_array_equal(image.oriented().array, volume.project().array)
    np.testing.assert_allclose(image.oriented().index_to_lps, volume.project().index_to_lps)


def test_pictures_of_a_view_are_kept_as_seen():
    array = np.zeros((8, 8, 8), np.int16)
    array[:, :, 6] = 1000  # To the patient's left.
    volume = make(array, affine_geometry((1.0, 1.0, 1.0)))
    bright = {
        name: np.asarray(volume.project(direction=name).picture()).argmax(axis=1)[4]
        for name in ("anterior", "posterior")
    }
    assert bright == {"anterior": 6, "posterior": 1}


@pytest.mark.parametrize("kind", ["max", "min", "mean", "sum"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slope", [1.0, -2.0])
def test_axis_projections_are_in_modality_values(kind, axis, slope):
    array = np.random.default_rng(1).integers(0, 4000, (10, 7, 9)).astype(np.uint16)
    volume = make(array, rescale=Rescale.linear(slope, -1024.0, unit="HU"), presentation=Presentation("CT"))
    image = volume.project(kind, axis=axis)
    numpy = {"max": np.max, "min": np.min, "mean": np.mean, "sum": np.sum}[kind]
    np.testing.assert_allclose(image.array, numpy(array * slope - 1024.0, axis=axis), rtol=1e-6)
    assert (image.unit, image.modality, image.array.dtype) == ("HU", "CT", np.float32)


def test_slopes_of_each_slice_are_applied_before_projecting():
    array = np.random.default_rng(1).integers(0, 4000, (10, 7, 9)).astype(np.int16)
    slopes = np.linspace(0.1, 3, 10)
    volume = make(array, rescale=Rescale.linear(slopes, 0.0, unit="BQML"), presentation=Presentation("PT"))
    values = array * slopes[:, None, None]
    np.testing.assert_allclose(volume.project(axis=0).array, values.max(axis=0), rtol=1e-6)
    np.testing.assert_allclose(volume.project("mean", axis=2).array, values.mean(axis=2), rtol=1e-6)
    np.testing.assert_allclose(volume.project(pixel_mm=1.0).array[::2], values.max(axis=1)[::-1], rtol=1e-5)


def test_a_projection_along_an_axis_never_holds_the_volume():
    array = np.random.default_rng(2).integers(-1000, 1000, (64, 96, 80)).astype(np.int16)
    for axis in range(3):
        for kind in ("max", "sum"):
            source = CountingSource(array, (8, 96, 80))
            volume = make(None, source=source)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("pacscore.imaging.projection._SLAB_BYTES", 2 * 8 * 96 * 80)
                found = volume.project(kind, axis=axis).array
            wanted = array.max(axis=axis) if kind == "max" else array.sum(axis=axis, dtype=float)
            np.testing.assert_array_equal(found, wanted)
            assert len(source.boxes) == 8
            assert source.largest() == 8 * 96 * 80


def test_a_slab_along_an_axis_reads_only_its_own_slices():
    array = np.random.default_rng(2).integers(-1000, 1000, (64, 48, 40)).astype(np.int16)
    source = CountingSource(array, (8, 16, 16))
    volume = make(None, source=source)
    image = volume.project(axis="axial", thickness_mm=10.0, center_lps=(0, 0, 2.0 * 30))
    np.testing.assert_array_equal(image.array, array[28:33].max(axis=0))
    assert sorted({index for box in source.boxes for index in range(64)[box[0]]}) == [28, 29, 30, 31, 32]
    np.testing.assert_allclose(image.index_to_lps[:3, 3], (0, 0, 60))
    source.boxes.clear()
    image = volume.project("mean", axis=1, thickness_mm=3.0)
    np.testing.assert_allclose(image.array, array[:, 23:26].mean(axis=1), rtol=1e-6)
    assert all(box[1] == slice(23, 26) for box in source.boxes)
    with pytest.raises(InputError, match="outside the volume"):
        volume.project(axis=0, thickness_mm=4.0, center_lps=(0, 0, 500))


@pytest.mark.parametrize("kind", ["max", "min", "mean"])
def test_a_thin_oblique_slab_reads_only_the_chunks_it_meets(kind):
    array = np.random.default_rng(4).integers(-1000, 1000, (64, 64, 64)).astype(np.int16)
    source = CountingSource(array, (8, 8, 8))
    volume = make(None, affine_geometry((1.0, 1.0, 1.0)), source=source)
    arguments = {"direction": (0.4, -1.0, 0.2), "thickness_mm": 4.0}
    found = volume.project(kind, **arguments)
    touched = source.chunks()
    assert len(touched) < 0.4 * 8**3
    assert source.largest() <= 8 * 8 * 64
    whole = make(array, affine_geometry((1.0, 1.0, 1.0))).project(kind, **arguments)
    np.testing.assert_array_equal(np.isfinite(found.array), np.isfinite(whole.array))
    inside = whole.array != 0
    np.testing.assert_array_equal(found.array[inside], whole.array[inside])
    np.testing.assert_array_equal(found.index_to_lps, whole.index_to_lps)
    # Every chunk that holds a voxel between the two faces of the slab was read.
    normal = np.array([0.4, -1.0, 0.2]) / np.linalg.norm([0.4, -1.0, 0.2])
    z, y, x = np.meshgrid(*(np.arange(64) - 31.5,) * 3, indexing="ij")
    within = np.abs(x * normal[0] + y * normal[1] + z * normal[2]) <= 2.0
    assert {tuple(int(p) // 8 for p in place) for place in np.argwhere(within)} <= touched


def test_slabs_are_as_thick_as_told():
    array = np.zeros((1, 1, 41), np.int16) + np.abs(np.arange(41, dtype=np.int16) - 20)
    volume = make(np.repeat(np.repeat(array, 9, 0), 9, 1), affine_geometry((1.0, 1.0, 1.0)))
    for thickness, wanted in ((1.0, 0), (2.0, 1), (10.0, 5), (11.9, 5)):
        assert volume.project(direction="left", thickness_mm=thickness).array.max() == wanted


def test_renderings_carry_geometry_and_colour():
    array = np.zeros((12, 14, 16), np.int16)
    array[4:8, 5:9, 6:10] = 1000
    volume = make(array, rescale=Rescale.linear(unit="HU"), presentation=Presentation("CT"))
    image = volume.render(size=64, azimuth_deg=20)
    assert (image.photometric, image.array.dtype, image.shape) == ("RGB", np.uint8, (64, 64, 3))
    rows, columns = np.nonzero(image.array.max(axis=-1) > 60)
    seen = (image.index_to_lps @ [0, rows.mean(), columns.mean(), 1])[:3]
    wanted = (volume.index_to_lps @ [5.5, 6.5, 7.5, 1])[:3]
    view = np.array(View.orbit(20).toward_viewer)
    across = (seen - wanted) - ((seen - wanted) @ view) * view
    assert np.linalg.norm(across) < 0.6
    own = TransferFunction([(100, 0.0), (500, 1.0)], [(0, 0, 1, 0)])
    green = volume.render(own, size=64, azimuth_deg=20).array
    assert (green[..., 1] > 100).any()
    assert (green[..., 0] <= 80).all()  # Nothing but gleam.


def test_presets_ask_for_their_unit():
    array = np.arange(64, dtype=np.int16).reshape(4, 4, 4)
    mr = make(array, presentation=Presentation("MR"))
    with pytest.raises(InputError, match="for HU"):
        mr.render("bone", size=16)
    assert mr.render(size=16).shape == (16, 16, 3)
    with pytest.raises(InputError, match="choose one of bone, vessel, skin, lung, window"):
        mr.render("liver", size=16)


def test_a_turntable_turns_without_jumping():
    array = np.random.default_rng(5).integers(0, 500, (12, 20, 15)).astype(np.int16)
    array[6, 3, 7] = 3000  # At the front.
    volume = make(array, affine_geometry((1.0, 1.0, 1.0)))
    calls = []
    images = volume.turntable(count=4, size=48, progress=lambda done, count: calls.append((done, count)))
    assert calls == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert len({image.shape for image in images}) == len({image.spacing_mm for image in images}) == 1
    assert len({image.window for image in images}) == 1
    columns = [int(image.array.max(axis=0).argmax()) for image in images]
    assert abs(columns[0] - 23.5) < 3  # Front: in the middle.
    assert columns[1] < 20  # From the left the front is at the left.
    assert columns[3] > 28
    first = volume.project(size=48, pixel_mm=images[0].spacing_mm[0])
    np.testing.assert_array_equal(first.array, images[0].array)
    lit = volume.turntable("window", count=2, size=32)
    assert all(image.photometric == "RGB" for image in lit)


def test_what_progress_raises_ends_a_turntable():
    volume = make(np.zeros((4, 4, 4), np.int16))

    def stop(done, count):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        volume.turntable(count=9, size=8, progress=stop)


def test_a_turntable_is_saved_as_a_gif_that_turns_without_end(tmp_path):
    volume = make(np.random.default_rng(5).integers(0, 500, (12, 20, 15)).astype(np.int16))
    save_turntable(volume.turntable(count=6, size=40), tmp_path / "turn.gif", seconds=3.0, markers=True)
    with PillowImage.open(tmp_path / "turn.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["duration"], gif.info["loop"]) == (6, (40, 40), 500, 0)
    with pytest.raises(InputError, match=r"\.gif"):
        save_turntable(volume.turntable(count=1, size=8), tmp_path / "turn.png")
    with pytest.raises(InputError, match="at least one"):
        save_turntable([], tmp_path / "turn.gif")


def test_the_background_stands_where_nothing_is_met():
    volume = make(np.full((6, 6, 6), -500, np.int16), rescale=Rescale.linear(1.0, -24.0, unit="HU"))
    around = {"azimuth_deg": 45, "size": 32}
    assert set(np.unique(volume.project(**around).array).tolist()) == {-1024.0, -524.0}
    assert set(np.unique(volume.project("mean", background=7.0, **around).array).tolist()) == {-524.0, 7.0}
    assert volume.project("sum", **around).array.max() < -500
    with pytest.raises(InputError, match="Nothing of the volume"):
        volume.project(direction="left", thickness_mm=2.0, center_lps=(900, 0, 0))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"kind": "median"}, "no projection"),
        ({"direction": "above"}, "no direction"),
        ({"direction": (0, 0, 0)}, "not zero"),
        ({"direction": (0, 0, 1), "up": (0, 0, 2)}, "nothing is up"),
        ({"direction": "left", "azimuth_deg": 3.0}, "not both"),
        ({"direction": "left", "up": (0, 0, 1)}, "vector"),
        ({"elevation_deg": 91.0}, "elevation"),
        ({"azimuth_deg": np.nan}, "elevation"),
        ({"axis": 3}, "no axis"),
        ({"axis": 0, "size": 5}, "axis goes with"),
        ({"axis": 0, "direction": "left"}, "axis goes with"),
        ({"axis": "transverse"}, "transverse"),
        ({"thickness_mm": 0.0}, "thickness_mm"),
        ({"axis": 0, "thickness_mm": -1.0}, "thickness_mm"),
        ({"pixel_mm": np.inf}, "pixel_mm"),
        ({"step_mm": -1.0}, "step_mm"),
        ({"size": 0}, "pixels"),
        ({"size": 99999}, "pixels"),
        ({"center_lps": (1, 2)}, "center_lps"),
    ],
)
def test_arguments_without_meaning_are_refused(arguments, match):
    with pytest.raises(InputError, match=match):
        make(np.zeros((4, 5, 6), np.int16)).project(**arguments)


def test_pictures_beyond_all_use_are_refused_before_memory_is_taken():
    volume = make(np.zeros((4, 5, 6), np.int16))
    with pytest.raises(LimitError):
        volume.project(pixel_mm=1e-6)
    with pytest.raises(LimitError):
        volume.project(step_mm=1e-9)


def test_volumes_that_cannot_be_projected_say_why():
    array = np.zeros((4, 5, 6), np.int16)
    with pytest.raises(AmbiguousError, match="time"):
        make(array[np.newaxis], axes=(Axis("time", (1.0,)),)).project()
    with pytest.raises(InputError, match="RGB"):
        make(np.zeros((4, 5, 6, 3), np.uint8), presentation=Presentation("US", "RGB")).render()
    loose = make(array, Geometry("irregular", None, (None, 1.0, 1.0), (1, 0, 0, 0, 1, 0)))
    with pytest.raises(GeometryError):
        loose.project()
    with pytest.raises(GeometryError):
        loose.project(axis=1)
    assert loose.project(axis=0).index_to_lps is None
    single = affine_geometry()
    single.index_to_lps[:3, 0] = 0
    with pytest.raises(InputError):
        make(array[:1], Geometry("none", single.index_to_lps, (None, 1.0, 1.0))).project()
    with pytest.raises(InputError, match="1 to 3600"):
        make(array).turntable(count=0)
