"""A generation gives back every byte it was given, whatever the treatment."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reference.store_series import Maker, smooth_words

from pacscore.errors import ChangedError, InputError, NotFoundError, PacscoreError, ProofError
from pacscore.filesystem import LocalFileSystem
from pacscore.settings import Settings
from pacscore.store.generation import Generation
from pacscore.store.plan import Treatment
from pacscore.store.writer import stage_generation

DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")


def assert_splices(generation: Generation, maker: Maker) -> None:
    """Every object, header, pixel value and hash is what the maker made."""
    for index, (plan, content) in enumerate(zip(maker.objects, maker.content, strict=True)):
        assert generation.object_bytes(index) == content
        assert generation.header_bytes(index) == content[: plan.header_length]
        assert generation.pixel_bytes(index) == content[plan.header_length :][: plan.pixel_length]
        assert generation.manifest.sha256(index) == hashlib.sha256(content[plan.prefix_length :]).digest()
    assert list(generation.verify()) == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("swap", [False, True])
def test_words_of_every_dtype_and_byte_order_come_back(stage, dtype, swap):
    maker = Maker()
    words = smooth_words((5, 33, 31), dtype)
    maker.add_stack(words, swap=swap and words.itemsize > 1)
    generation = stage(maker)
    np.testing.assert_array_equal(generation.array_source(0).read([slice(None)] * 3), words)
    assert_splices(generation, maker)


@pytest.mark.parametrize("strategy", ["balanced", "frames", "bricks", "archive"])
def test_pad_and_trailing_bytes_come_back(stage, strategy):
    maker = Maker()
    maker.add_stack(smooth_words((40, 70, 61), "uint8"), pad=1, tail=b"\xfc\xff\xfc\xffOB\0\0tail")
    assert_splices(stage(maker, strategy), maker)


def test_frames_of_a_multi_frame_object_lie_where_the_plan_says(stage):
    maker = Maker()
    words = smooth_words((4, 9, 20, 24))
    maker.add_stack(words, frames_per_object=12, order=np.random.default_rng(5).permutation(36))
    generation = stage(maker)
    np.testing.assert_array_equal(generation.array_source(0).read([slice(None)] * 4), words)
    assert_splices(generation, maker)


def test_an_object_may_have_frames_in_several_stacks(stage):
    maker = Maker()
    words = smooth_words((6, 16, 18))
    maker.add_stack(words, frames_per_object=6)
    stack = maker.stacks[0]
    maker.stacks = [replace(stack, shape=(4, 16, 18)), replace(stack, shape=(2, 16, 18))]
    maker.objects[0] = replace(
        maker.objects[0], stack=-1, frame_stacks=(0, 1, 0, 0, 1, 0), positions=(0, 0, 1, 2, 1, 3)
    )
    generation = stage(maker)
    np.testing.assert_array_equal(generation.array_source(0).read([slice(None)] * 3), words[[0, 2, 3, 5]])
    np.testing.assert_array_equal(generation.array_source(1).read([slice(None)] * 3), words[[1, 4]])
    assert_splices(generation, maker)


def test_colour_by_pixel_and_by_plane_come_back(stage):
    maker = Maker()
    maker.add_stack(smooth_words((3, 21, 22, 3), "uint8"), frame_rank=3)
    maker.add_stack(smooth_words((3, 3, 21, 22), "uint8"), frame_rank=3)
    generation = stage(maker)
    box = (slice(1, 3), slice(0, 2), slice(4, 19), slice(3, 17))
    by_plane = smooth_words((3, 3, 21, 22), "uint8")
    np.testing.assert_array_equal(generation.array_source(1).read(box), by_plane[box])
    assert_splices(generation, maker)


def test_encapsulated_values_come_back_whole_and_by_frame(stage):
    maker = Maker()
    maker.add_encapsulated([[100, 7], [50], [1], [300, 20, 4]], tail=b"trailer")
    maker.add_encapsulated([[5000]])
    generation = stage(maker)
    assert_splices(generation, maker)
    for index in range(2):
        plan, content = maker.objects[index], maker.content[index]
        value = content[plan.header_length :]
        assert generation.frame_count(index) == plan.fragments.frame_count
        for frame in range(plan.fragments.frame_count):
            expected = b"".join(value[offset : offset + length] for offset, length in plan.fragments.fragments(frame))
            assert generation.frame_bytes(index, frame) == expected
    with pytest.raises(InputError):
        generation.frame_bytes(1, 1)


def test_an_encapsulated_value_without_frames_comes_back(stage):
    maker = Maker()
    maker.add_encapsulated([[100], [100]])
    maker.objects[0] = replace(maker.objects[0], fragments=None)
    generation = stage(maker)
    assert generation.frame_count(0) == 0
    assert_splices(generation, maker)


def test_bytes_that_are_no_array_and_objects_without_pixels_come_back(stage):
    maker = Maker()
    maker.add(maker.header(), b"\xaa\x55\xff" * 1111, b"\0", treatment=Treatment.BLOB)
    maker.add(maker.header(1), b"", b"", treatment=Treatment.BLOB)
    maker.add(maker.random.bytes(70_000), b"", b"")
    maker.add(b"x", b"", b"", prefix_length=0)
    generation = stage(maker)
    assert generation.stacks == ()
    assert_splices(generation, maker)


def test_a_document_larger_than_a_header_may_be_comes_back(stage):
    maker = Maker()
    maker.add(maker.random.bytes(9 << 20), b"", b"")
    maker.add(maker.header(), bytes(9 << 20), b"end", treatment=Treatment.BLOB)
    generation = stage(maker, settings=Settings(header_bytes_max=5 << 20))
    assert_splices(generation, maker)


def test_many_objects_share_header_frames_and_keep_their_order(stage):
    maker = Maker()
    maker.add_stack(smooth_words((200, 8, 8)), order=np.random.default_rng(2).permutation(200))
    generation = stage(maker)
    assert generation.manifest.object_count == 200
    assert generation.members["headers.bin"].length < 200 * 1000
    assert_splices(generation, maker)


def test_what_the_archive_gave_comes_back_from_the_manifest(stage):
    maker = Maker()
    maker.add_stack(smooth_words((3, 8, 8)))
    manifest = stage(maker).manifest
    plan = maker.plan()
    assert (manifest.key, manifest.parent, manifest.document, manifest.catalog) == (
        plan.key,
        None,
        plan.document,
        plan.catalog,
    )
    assert manifest.strategy == plan.strategy
    assert manifest.sop_instance_uids == tuple(item.sop_instance_uid for item in plan.objects)
    assert manifest.sop_class_uid(2) == plan.objects[2].sop_class_uid
    assert manifest.transfer_syntax_uid(2) == plan.objects[2].transfer_syntax_uid


def test_an_array_can_be_pickled_and_opens_itself(stage):
    maker = Maker()
    words = smooth_words((40, 30, 30))
    maker.add_stack(words)
    source = pickle.loads(pickle.dumps(stage(maker).array_source(0)))
    np.testing.assert_array_equal(source.read((slice(3, 9), slice(1, 5), slice(7, 8))), words[3:9, 1:5, 7:8])


def test_an_array_outlives_its_generation_and_its_name(stage, tmp_path):
    maker = Maker()
    words = smooth_words((40, 30, 30))
    maker.add_stack(words)
    source = stage(maker).array_source(0)
    next(tmp_path.glob("*.zip")).unlink()
    np.testing.assert_array_equal(source.read([slice(None)] * 3), words)


def test_each_object_is_read_once_even_where_several_units_share_it(stage):
    maker = Maker()
    maker.add_stack(smooth_words((3, 40, 64, 64)), frames_per_object=60)
    stage(maker)
    assert maker.read_count == len(maker.objects)


def test_a_view_that_changes_while_it_is_written_is_refused(tmp_path: Path):
    maker = Maker()
    maker.add_stack(smooth_words((2, 64, 64)))
    live = [bytearray(content) for content in maker.content]

    class Late:
        """Changes an object after it was hashed: when the next one is read."""

        def read(self, index: int) -> memoryview:
            if index == 1:
                live[0][-1] ^= 1
            return memoryview(live[index])

    path = tmp_path / "a.zip"
    with pytest.raises(ProofError):
        stage_generation([(maker.plan("frames"), Late())], path, LocalFileSystem(), Settings(thread_count=1))
    assert not path.exists()


def test_a_source_that_changed_since_the_scan_is_refused(tmp_path: Path):
    maker = Maker()
    maker.add_stack(smooth_words((3, 8, 8)))
    maker.content[1] = b"!" + maker.content[1][1:]
    with pytest.raises(ChangedError):
        stage_generation([(maker.plan(), maker)], tmp_path / "a.zip", LocalFileSystem(), Settings())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"positions": (0,)},
        {"positions": (7,)},
        {"stack": 3},
        {"pad": 2},
        {"treatment": Treatment.NONE},
        {"prefix_length": 1 << 20},
        {"positions": ()},
    ],
)
def test_a_plan_that_does_not_fit_together_is_refused_before_anything_is_written(tmp_path: Path, wrong):
    maker = Maker()
    maker.add_stack(smooth_words((3, 8, 8)))
    maker.objects[1] = replace(maker.objects[1], **wrong)
    with pytest.raises(InputError):
        stage_generation([(maker.plan(), maker)], tmp_path / "a.zip", LocalFileSystem(), Settings())
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_every_byte_and_may_end_the_work(tmp_path: Path):
    maker = Maker()
    maker.add_stack(smooth_words((50, 64, 64)))
    maker.add(maker.header(), b"", b"")
    seen: list[int] = []
    stage_generation([(maker.plan(), maker)], tmp_path / "a", LocalFileSystem(), Settings(), progress=seen.append)
    assert sum(seen) == sum(map(len, maker.content))

    class Stopped(PacscoreError):
        pass

    def stop(count: int) -> None:
        raise Stopped("enough")

    with pytest.raises(Stopped):
        stage_generation([(maker.plan(), maker)], tmp_path / "b", LocalFileSystem(), Settings(), progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_is_not_there_is_not_found(stage, tmp_path):
    with pytest.raises(NotFoundError):
        Generation.open(tmp_path / "none.zip")
    maker = Maker()
    maker.add(b"abc", b"", b"", prefix_length=0)
    generation = stage(maker)
    with pytest.raises(NotFoundError):
        generation.array_source(0)
    with pytest.raises(NotFoundError):
        Generation.open(generation.file.path, prefix="ffff/")
