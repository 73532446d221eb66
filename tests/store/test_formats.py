"""What every format promises: one class of tests, run on each."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from reference.format_reader import Reader
from reference.store_series import Maker, smooth_words

from pacscore.errors import DamagedError, InputError, NotFoundError, UnsupportedError
from pacscore.store.formats import format_named
from pacscore.store.generation import Generation
from pacscore.store.plan import Treatment
from pacscore.store.strategy import Strategy


@pytest.fixture(params=["balanced", "frames", "archive", "gradient", "jpegls", "htj2k", "hdf5", "part10"])
def strategy(request) -> str:
    """One strategy at least of each format."""
    return request.param


def everything() -> Maker:
    maker = Maker()
    maker.add_stack(smooth_words((34, 40, 30)), swap=True, tail=b"tail")
    maker.add_stack(smooth_words((2, 5, 13, 11), "uint8"), frames_per_object=5, pad=1)
    maker.add_stack(smooth_words((4, 9, 8, 3), "uint8"), frame_rank=3)
    maker.add_encapsulated([[100, 7], [50]], tail=b"more")
    maker.add_encapsulated([[9], [9]])
    maker.objects[-1] = replace(maker.objects[-1], fragments=None)
    maker.add(maker.header(1), b"\1\2\3" * 50, b"\0", treatment=Treatment.BLOB)
    maker.add(maker.header(2), b"", b"", treatment=Treatment.BLOB)
    maker.add(maker.random.bytes(5 << 20), b"", b"")
    return maker


class TestEveryFormat:
    def test_every_object_and_its_parts_come_back(self, stage, strategy):
        maker = everything()
        generation = stage(maker, strategy)
        for index, (plan, content) in enumerate(zip(maker.objects, maker.content, strict=True)):
            assert generation.object_bytes(index) == content
            assert generation.header_bytes(index) == content[: plan.header_length]
            assert generation.pixel_bytes(index) == content[plan.header_length :][: plan.pixel_length]
            assert generation.manifest.sha256(index) == hashlib.sha256(content[plan.prefix_length :]).digest()
        assert list(generation.verify()) == []

    def test_frames_of_encapsulated_values_come_back(self, stage, strategy):
        maker = everything()
        generation = stage(maker, strategy)
        for index, plan in enumerate(maker.objects):
            for frame in range(plan.fragments.frame_count if plan.fragments else 0):
                value = maker.content[index][plan.header_length :]
                parts = plan.fragments.fragments(frame)
                expected = b"".join(value[offset : offset + length] for offset, length in parts)
                assert generation.frame_bytes(index, frame) == expected

    def test_arrays_are_read_by_boxes(self, stage, strategy):
        generation = stage(everything(), strategy)
        whole = {
            0: smooth_words((34, 40, 30)),
            1: smooth_words((2, 5, 13, 11), "uint8"),
            2: smooth_words((4, 9, 8, 3), "uint8"),
        }
        random = np.random.default_rng(0)
        for stack, words in whole.items():
            source = generation.array_source(stack)
            assert (source.shape, source.dtype) == (words.shape, words.dtype)
            assert len(source.chunk_shape) == words.ndim
            for _ in range(6):
                ends = [sorted(random.choice(length + 1, 2, replace=False).tolist()) for length in words.shape]
                box = tuple(slice(*pair) for pair in ends)
                np.testing.assert_array_equal(source.read(box), words[box])
                out = np.empty(words[box].shape, words.dtype)
                source.read_into(box, out)
                np.testing.assert_array_equal(out, words[box])

    def test_arrays_can_be_pickled(self, stage, strategy):
        source = pickle.loads(pickle.dumps(stage(everything(), strategy).array_source(0)))
        np.testing.assert_array_equal(source.read([slice(0, n) for n in source.shape]), smooth_words((34, 40, 30)))

    def test_what_was_recorded_of_stacks_comes_back(self, stage, strategy):
        maker = everything()
        for info, plan in zip(stage(maker, strategy).stacks, maker.stacks, strict=True):
            assert (info.shape, info.dtype, info.frame_rank) == (plan.shape, plan.dtype, plan.frame_rank)
            assert (info.dimension_names, info.attributes) == (plan.dimension_names, plan.attributes)

    def test_what_is_not_there_is_not_found(self, stage, strategy):
        generation = stage(everything(), strategy)
        for ask in (generation.object_bytes, generation.header_bytes, generation.pixel_bytes, generation.frame_count):
            with pytest.raises(NotFoundError):
                ask(generation.object_count)
            with pytest.raises(NotFoundError):
                ask(-1)
        with pytest.raises(NotFoundError):
            generation.array_source(3)
        with pytest.raises(InputError):
            generation.array_source(0).read((slice(0, 4, 2), slice(0, 1), slice(0, 1)))

    def test_a_damaged_object_is_never_returned(self, stage, strategy):
        maker = everything()
        generation = stage(maker, strategy)
        path = generation.file.path
        sound = path.read_bytes()
        name = next(name for name in generation.members if name.startswith(("headers", "objects")))
        place = generation.members[name].offset + 40
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        with pytest.raises(DamagedError):
            Generation.open(path).object_bytes(0)


def test_plain_files_are_members_as_they_came(stage):
    maker = everything()
    generation = stage(maker, "part10")
    names = [f"objects/{number + 1:06d}.dcm" for number in range(len(maker.objects))]
    assert sorted(generation.members) == ["manifest.bin", *names]
    member = generation.members[names[3]]
    assert generation.file.read(member.offset, member.length) == maker.content[3]


def test_an_unknown_format_is_refused(stage):
    with pytest.raises(UnsupportedError):
        format_named("nrrd")
    maker = Maker()
    maker.add(b"x", b"", b"")
    with pytest.raises(UnsupportedError):
        stage(maker, replace(Strategy.named("balanced"), format="nrrd"))


def test_a_stranger_reads_everything_with_the_document_alone(stage, strategy):
    maker = everything()
    generation = stage(maker, strategy)
    reader = Reader(generation.file.path)
    assert reader.uids() == [plan.sop_instance_uid for plan in maker.objects]
    assert reader.sections["document"] == maker.plan().document
    for index, content in enumerate(maker.content):
        assert reader.object(index) == content
        assert reader.is_proven(index)
    encapsulated = next(n for n, plan in enumerate(maker.objects) if plan.treatment == Treatment.ENCAPSULATED)
    assert reader.encapsulated_frame(encapsulated, 0) == generation.frame_bytes(encapsulated, 0)


def test_importing_the_store_loads_no_heavy_library():
    modules = "generation, writer, verify, spliced_writer, spliced_reader, zarr_arrays, hdf5_arrays, part10"
    code = f"import sys; from pacscore.store import {modules}; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("numba", "zarr", "numcodecs", "pydicom", "imagecodecs", "h5py"):
        assert f"'{name}'" not in loaded
