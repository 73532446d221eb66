"""Patches: where they lie, what they hold, what they read, and that nothing but seed, epoch and index decides."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imaging.test_convert import STRAIGHT, make_volume, noise
from numpy.typing import NDArray

import pacscore
from pacscore.bulk.patches import Foreground, PatchSampler
from pacscore.bulk.torch import EpochSampler, PatchDataset, VolumeDataset, join_patches
from pacscore.bulk.volumes import SelectedVolumes
from pacscore.errors import GeometryError, InputError, UnsupportedError
from pacscore.geometry import Axis
from pacscore.imaging import ArrayInMemory, Rescale, StoredFormat, Volume
from pacscore.imaging.kept import KeptChunks, bytes_of
from pacscore.imaging.sources import Box


class Counting:
    """A chunked source that notes which chunks are met."""

    def __init__(self, array: NDArray[Any], chunk: tuple[int, int, int]) -> None:
        self._inside = ArrayInMemory(array)
        self.shape, self.dtype, self.chunk_shape, self.locator = array.shape, array.dtype, chunk, None
        self.boxes: list[Box] = []

    def read(self, selection: Box) -> NDArray[Any]:
        self.boxes.append(selection)
        return self._inside.read(selection)

    def read_into(self, selection: Box, out: NDArray[Any]) -> None:
        np.copyto(out, self.read(selection))


def test_patches_are_the_values_at_their_places() -> None:
    words = noise((40, 50, 60))
    volume = make_volume(words, rescale=Rescale.linear(np.linspace(1, 2, 40), np.arange(40)))
    sampler = PatchSampler((8, 16, 24), count=5, seed=3)
    found = sampler.read(volume, epoch=1, index=7)
    values = volume.modality()
    for patch, start, affine in zip(found.values, found.starts.astype(int), found.index_to_lps, strict=True):
        z, y, x = start
        np.testing.assert_array_equal(patch, values[z : z + 8, y : y + 16, x : x + 24])
        np.testing.assert_allclose(affine[:, 3], STRAIGHT @ [z, y, x, 1])
    assert found.values.flags.c_contiguous


def test_seed_epoch_and_index_decide_and_nothing_else() -> None:
    volume = make_volume(noise((40, 50, 60)))
    foreground = Foreground.of(volume, low=50)
    sampler = PatchSampler((8, 8, 8), count=4, seed=3, foreground_share=0.5)

    def starts(sampler: PatchSampler, epoch: int, index: int) -> NDArray[Any]:
        return sampler.read(volume, epoch=epoch, index=index, foreground=foreground).starts

    once = [starts(sampler, 0, index) for index in range(6)]
    again = [starts(sampler, 0, index) for index in reversed(range(6))][::-1]
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once[0], once[1])
    assert not np.array_equal(once[0], starts(sampler, 1, 0))
    other = PatchSampler((8, 8, 8), count=4, seed=4, foreground_share=0.5)
    assert not np.array_equal(once[0], starts(other, 0, 0))
    # Stated for good: a training run can be repeated with a later version.
    fixed = PatchSampler((8, 8, 8), count=2, seed=3).starts((40, 50, 60), epoch=0, index=0)
    np.testing.assert_array_equal(fixed, [[2, 10, 42], [3, 18, 25]])


def test_every_place_is_equally_likely_and_none_lies_outside() -> None:
    sampler = PatchSampler((4, 5, 6), count=60_000)
    starts = sampler.starts((6, 5, 9), epoch=0, index=0).astype(int)
    assert starts[:, 1].tolist() == [0] * 60_000
    for axis, places in ((0, 3), (2, 4)):
        counts = np.bincount(starts[:, axis], minlength=places)
        assert len(counts) == places
        np.testing.assert_allclose(counts, 60_000 / places, rtol=0.03)


def test_every_foreground_voxel_is_equally_likely_to_be_in_the_middle() -> None:
    mask = np.zeros((20, 40, 50), np.uint8)
    inside = [(9, 17, 16), (10, 18, 20), (9, 31, 33), (15, 15, 15), (16, 16, 16)]
    for place in inside:
        mask[place] = 3
    volume = make_volume(noise((20, 40, 50)))
    foreground = Foreground.of_mask(mask)
    assert foreground.voxels == 5
    sampler = PatchSampler((5, 5, 5), count=20_000, seed=1, foreground_share=1.0)
    found = sampler.starts(
        (20, 40, 50),
        epoch=0,
        index=0,
        pick=lambda chooser: foreground.pick(chooser, lambda box: mask[box] != 0, mask.shape),
    )
    middles, counts = np.unique(found.astype(int) + 2, axis=0, return_counts=True)
    assert sorted(map(tuple, middles.tolist())) == sorted(inside)
    np.testing.assert_allclose(counts, 4_000, rtol=0.1)
    read = PatchSampler((5, 5, 5), count=40, seed=1, foreground_share=1.0).read(
        volume, foreground=foreground, label=mask
    )
    assert (read.labels[:, 2, 2, 2] == 3).all()


def test_foreground_by_value_counts_what_numpy_counts_and_a_share_mixes() -> None:
    words = np.zeros((33, 40, 50), np.int16)
    words[20:25, 30:34, 5:9] = 700
    volume = Volume(
        Counting(words, (8, 20, 50)),
        make_volume(words).geometry,
        StoredFormat.of_dtype(words.dtype),
        Rescale.linear(1, -100),
    )
    foreground = Foreground.of(volume, low=600, high=600)
    assert foreground.voxels == np.count_nonzero(volume.modality() == 600) == 80
    found = PatchSampler((3, 3, 3), count=300, seed=2, foreground_share=0.5).read(volume, foreground=foreground)
    hits = np.count_nonzero(found.values[:, 1, 1, 1] == 600)
    assert 110 < hits < 190
    with pytest.raises(InputError, match="another volume"):
        PatchSampler((3, 3, 3), foreground_share=1.0).read(make_volume(np.zeros((33, 40, 50))), foreground=foreground)


def test_a_patch_reads_its_box_and_nothing_else() -> None:
    words = noise((64, 96, 96))
    source = Counting(words, (16, 32, 32))
    volume = Volume(source, make_volume(words).geometry, StoredFormat.of_dtype(words.dtype))
    found = PatchSampler((16, 20, 24), count=3).read(volume)
    assert len(source.boxes) == 3
    for box, start in zip(source.boxes, found.starts.astype(int), strict=True):
        expected = tuple(slice(a, a + n) for a, n in zip(start.tolist(), (16, 20, 24), strict=True))
        assert box == expected
    source.boxes.clear()
    PatchSampler((8, 8, 8), spacing_mm=(2.5, 1.2, 1.4)).read(volume)
    (box,) = source.boxes
    # Twice the step is what averaging reaches, two voxels what interpolation does.
    assert all(part.stop - part.start <= limit for part, limit in zip(box, (18, 30, 30), strict=True))


def test_a_smaller_volume_is_padded_around_its_middle_when_told_with_what() -> None:
    words = noise((4, 30, 30))
    volume = make_volume(words)
    with pytest.raises(InputError, match="pad"):
        PatchSampler((8, 8, 8)).read(volume)
    label = np.ones((4, 30, 30), np.uint8)
    found = PatchSampler((8, 8, 8), pad=-1024.0).read(volume, label=label)
    z, y, x = found.starts[0].astype(int)
    assert z == -2
    np.testing.assert_array_equal(found.values[0, 2:6], words[:, y : y + 8, x : x + 8])
    assert (found.values[0, :2] == -1024).all()
    assert (found.values[0, 6:] == -1024).all()
    assert found.labels[0].sum() == 4 * 64


def test_patches_of_a_stated_spacing_hold_the_values_at_their_points() -> None:
    # A volume whose value is a linear function of the place, so that interpolation is exact wherever it reads.
    z, y, x = np.meshgrid(np.arange(20), np.arange(40), np.arange(44), indexing="ij")
    volume = make_volume((3.0 * z - 2.0 * y + 0.5 * x + 10).astype(np.float32))
    sampler = PatchSampler((6, 10, 12), count=6, seed=9, spacing_mm=(1.25, 0.3, 0.35))
    found = sampler.read(volume, label=(x // 22).astype(np.int16))
    for patch, labels, affine in zip(found.values, found.labels, found.index_to_lps, strict=True):
        np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), (1.25, 0.3, 0.35))
        grid = np.stack([*np.meshgrid(*map(np.arange, patch.shape), indexing="ij"), np.ones(patch.shape)], axis=-1)
        place = grid @ (np.linalg.inv(STRAIGHT) @ affine).T
        assert (place[..., :3] > -0.5).all()
        assert (place[..., :3] < np.array(volume.shape) - 0.5).all()
        within = (place[..., :3] >= 0) & (place[..., :3] <= np.array(volume.shape) - 1)
        expected = place @ [3.0, -2.0, 0.5, 10.0]
        np.testing.assert_allclose(patch[within.all(-1)], expected[within.all(-1)], atol=1e-3)
        np.testing.assert_array_equal(labels, np.clip(np.floor(place[..., 2] + 0.5), 0, 43).astype(int) // 22)


def test_what_cannot_be_drawn_from_is_refused() -> None:
    volume = make_volume(noise((3, 40, 50, 60)), axes=(Axis("time", (1.0, 2.0, 3.0), "s"),))
    with pytest.raises(pacscore.AmbiguousError, match="time"):
        PatchSampler((8, 8, 8)).read(volume)
    with pytest.raises(GeometryError):
        PatchSampler((2, 8, 8), spacing_mm=(1, 1, 1)).read(make_volume(noise((4, 40, 50)), None))
    with pytest.raises(InputError, match="foreground"):
        PatchSampler((2, 8, 8), foreground_share=0.5).read(make_volume(noise((4, 40, 50))))
    with pytest.raises(InputError, match="shape"):
        PatchSampler((2, 8, 8)).read(make_volume(noise((4, 40, 50))), label=np.zeros((4, 40, 51)))
    for wrong in ({"count": 0}, {"seed": -1}, {"foreground_share": 1.5}, {"spacing_mm": (1.0, 0.0, 1.0)}):
        with pytest.raises(InputError):
            PatchSampler((2, 8, 8), **wrong)


def test_kept_chunks_are_decoded_once_and_patches_are_the_same() -> None:
    words = noise((40, 50, 60))
    counting = Counting(words, (8, 16, 16))
    for rescale in (Rescale.linear(), Rescale.linear(np.linspace(1, 2, 40), np.arange(40))):
        counting.boxes.clear()
        plain = make_volume(words, rescale=rescale)
        kept = replace(plain, source=KeptChunks(counting))
        for size in ((8, 16, 24), (40, 50, 60), (3, 50, 1)):
            sampler = PatchSampler(size, count=3, seed=3)
            for index in range(4):
                wanted = sampler.read(plain, index=index)
                np.testing.assert_array_equal(sampler.read(kept, index=index).values, wanted.values)
        met = np.zeros(words.shape, int)
        for box in counting.boxes:
            met[box] += 1
            assert all(part.start % step == 0 for part, step in zip(box, counting.chunk_shape, strict=True))
        before = len(counting.boxes)
        kept.array()[...] = 0  # What was read belongs to the reader.
        np.testing.assert_array_equal(kept.array(), words)
        assert len(counting.boxes) == before
    one = KeptChunks(Counting(words, (8, 16, 16)))
    for row in (0, 16, 32, 48, 0, 48):  # Each meets chunks of its own.
        one.read((slice(0, 8), slice(row, row + 1), slice(0, 16)))
    assert len(one._source.boxes) == 4
    again = pickle.loads(pickle.dumps(KeptChunks(ArrayInMemory(words))))
    assert not again._is_there.any()
    box = (slice(3, 9), slice(0, 50), slice(7, 8))
    np.testing.assert_array_equal(again.read(box), words[box])


def test_words_that_need_masking_are_masked_from_the_cache_too() -> None:
    words = (noise((10, 20, 30)) & 0x0FFF).astype(np.uint16) | 0xF000
    plain = replace(make_volume(words), stored=StoredFormat(12, 11, signed=False))
    kept = replace(plain, source=KeptChunks(ArrayInMemory(words)))
    sampler = PatchSampler((4, 8, 8), count=4, seed=1)
    np.testing.assert_array_equal(sampler.read(kept).values, sampler.read(plain).values)
    assert sampler.read(kept).values.max() < 4096


@pytest.fixture(scope="module")
def selection(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pacscore.Selection]:
    folder = tmp_path_factory.mktemp("patches") / "archive"
    with pacscore.create(folder) as archive:
        archive.ingest(*(data / "series" / name for name in ("sts003-ct", "sts003-mr-t1", "mr-t1-rle-4")))
        yield archive.select(geometry="regular")


def _digests(volumes: SelectedVolumes, indices: list[int]) -> list[float]:
    sampler = PatchSampler((4, 32, 32), count=2, seed=5)
    return [float(sampler.read(volumes[index], epoch=1, index=index).values.sum()) for index in indices]


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_other_processes_open_the_archive_for_themselves_and_draw_the_same(
    selection: pacscore.Selection, method: str
) -> None:
    volumes = SelectedVolumes(selection, cache_bytes_max=4 << 20)
    here = _digests(volumes, [0, 1, 2])
    assert here == _digests(SelectedVolumes(selection), [0, 1, 2])
    with multiprocessing.get_context(method).Pool(1) as pool:  # Forked with the archive open here.
        there = pool.apply(_digests, (volumes, [2, 0, 1]))
    assert [there[1], there[2], there[0]] == here


def test_the_cache_keeps_to_its_bytes(selection: pacscore.Selection) -> None:
    sizes = [bytes_of(volume.source) for volume in SelectedVolumes(selection)]
    room = sizes[0] + sizes[1]
    volumes = SelectedVolumes(selection, cache_bytes_max=room)
    for index in (0, 1, 2, 0, 1, 2, 2):
        assert isinstance(volumes[index].source, KeptChunks) == (sizes[index] <= room)
        assert volumes._kept_bytes() <= room
    assert volumes[2] is volumes[2]
    none = SelectedVolumes(selection, cache_bytes_max=min(sizes) - 1)
    assert not any(isinstance(volume.source, KeptChunks) for volume in none)
    with pytest.raises(InputError, match="0 bytes or more"):
        SelectedVolumes(selection, cache_bytes_max=-1)


def test_a_selection_of_volumes_pickles_to_its_names(selection: pacscore.Selection) -> None:
    volumes = SelectedVolumes(selection)
    volumes[0].array()
    text = pickle.dumps(volumes)
    assert len(text) < 2_000
    np.testing.assert_array_equal(pickle.loads(text)[0].array(), volumes[0].array())
    with pytest.raises(IndexError):
        volumes[len(volumes)]


def test_without_torch_the_data_set_names_its_extra(
    selection: pacscore.Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    dataset = PatchDataset(selection, PatchSampler((4, 32, 32)))
    assert len(dataset) == 3
    with pytest.raises(UnsupportedError, match=r"pacscore\[torch\]"):
        dataset[0]
    with pytest.raises(InputError, match="foreground"):
        PatchDataset(selection, PatchSampler((4, 32, 32), foreground_share=0.3))


@pytest.fixture
def tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """What of torch the data sets use, on arrays: the tests need no torch, and DataLoaders are tried by hand."""
    data = types.SimpleNamespace(get_worker_info=object)
    stand_in = types.ModuleType("torch")
    stand_in.from_numpy, stand_in.cat, stand_in.utils = np.asarray, np.concatenate, types.SimpleNamespace(data=data)
    monkeypatch.setitem(sys.modules, "torch", stand_in)


def bright(archive: pacscore.Archive, volume: Volume) -> NDArray[Any]:
    """A label of a test: where values are high."""
    values = volume.modality()
    return (values > np.percentile(values, 99)).astype(np.uint8)


@pytest.mark.usefixtures("tensors")
def test_data_sets_give_visits_of_epochs_and_batches_of_patches(selection: pacscore.Selection) -> None:
    sampler = PatchSampler((4, 32, 32), count=3, seed=5, foreground_share=1.0)
    dataset = PatchDataset(selection, sampler, label=bright, cache_bytes_max=1 << 30)
    assert len(list(dataset)) == 3
    dataset.prepare()
    volumes = SelectedVolumes(selection)
    for index in (1, 4):  # The second volume, in the first and the second epoch.
        item = dataset[index]
        label = bright(volumes.archive(), volumes[1])
        expected = sampler.read(
            volumes[1], epoch=index // 3, index=1, foreground=Foreground.of_mask(label), label=label
        )
        np.testing.assert_array_equal(item["image"][:, 0], expected.values)
        np.testing.assert_array_equal(item["label"][:, 0], expected.labels)
        np.testing.assert_array_equal(item["index_to_lps"], expected.index_to_lps)
        assert (item["label"][:, 0, 2, 16, 16] == 1).any()
    batch = join_patches([dataset[0], dataset[1]])
    assert batch["image"].shape == (6, 1, 4, 32, 32)
    uids = [item.series_instance_uid for item in selection]
    assert batch["series_instance_uid"] == [uids[0]] * 3 + [uids[1]] * 3
    whole = VolumeDataset(selection, lambda volume: volume.with_array(volume.modality() + 1, derivation="more"))
    for index in (0, 3):
        np.testing.assert_array_equal(whole[index]["image"][0], volumes[0].modality() + 1)
        np.testing.assert_array_equal(whole[index]["index_to_lps"], volumes[0].index_to_lps)
    assert whole._volumes.archive()._session.settings.threads() == 1  # A worker decodes with one thread.
    with pytest.raises(IndexError):
        dataset[-1]


def test_epochs_follow_each_other_in_orders_of_their_own() -> None:
    sampler = EpochSampler(50, seed=1)
    first, second = list(sampler), list(sampler)
    assert sorted(first) == list(range(50))
    assert sorted(second) == list(range(50, 100))
    assert [index - 50 for index in second] != first
    assert list(EpochSampler(50, seed=1, epoch=1)) == second
    assert list(EpochSampler(4, shuffle=False)) == [0, 1, 2, 3]
