"""Packs, failures while staging, and what a pack of small series holds."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from reference.store_series import Maker, smooth_words

from pacscore.errors import DurabilityError, InputError, ProofError, StorageError, StorageFullError
from pacscore.filesystem import LocalFileSystem
from pacscore.settings import Settings
from pacscore.store.generation import Generation
from pacscore.store.plan import Treatment
from pacscore.store.strategy import Strategy
from pacscore.store.verify import verify_file
from pacscore.store.writer import stage_generation


def small_series(seed: int) -> Maker:
    maker = Maker(seed=seed)
    if seed % 3 == 0:
        maker.add(maker.header(seed, 500), b"", b"")
    elif seed % 3 == 1:
        maker.add_stack(smooth_words((2, 24, 20), seed=seed))
    else:
        maker.add_encapsulated([[50, seed]])
        maker.add(maker.header(seed, 500), b"abc" * 100, b"", treatment=Treatment.BLOB)
    return maker


def test_a_pack_holds_each_series_below_its_key(tmp_path: Path):
    makers = [small_series(seed) for seed in range(1, 40)]
    plans = [(maker.plan(key=f"{number:04x}"), maker) for number, maker in enumerate(makers)]
    path = tmp_path / "pack.zip"
    staged = stage_generation(plans, path, LocalFileSystem(), Settings())
    assert [series.key for series in staged.series] == [plan.key for plan, _ in plans]
    assert staged.bytes_stored == path.stat().st_size
    for series, maker in zip(staged.series, makers, strict=True):
        with Generation.open(path, prefix=series.prefix) as generation:
            assert generation.manifest.key == series.key
            assert generation.bytes_stored == series.bytes_stored
            assert all(name.count("/") <= 1 for name in generation.members)
            for index, content in enumerate(maker.content):
                assert generation.object_bytes(index) == content
                assert series.sha256[index] == hashlib.sha256(content[maker.objects[index].prefix_length :]).digest()
            assert list(generation.verify()) == []
    assert list(verify_file(path, Settings())) == []


def test_a_large_series_in_a_pack_does_not_mix_with_the_others(tmp_path: Path):
    makers = [small_series(seed) for seed in range(1, 9)]
    large = Maker(seed=99)
    words = smooth_words((400, 96, 128))
    large.add_stack(words)
    makers.insert(3, large)
    plans = [(maker.plan(key=f"k{number}"), maker) for number, maker in enumerate(makers)]
    stage_generation(plans, tmp_path / "pack.zip", LocalFileSystem(), Settings(thread_count=4))
    generation = Generation.open(tmp_path / "pack.zip", prefix="k3/")
    np.testing.assert_array_equal(generation.array_source(0).read([slice(None)] * 3), words)
    assert list(verify_file(tmp_path / "pack.zip", Settings())) == []


def test_equal_plans_make_equal_small_files(tmp_path: Path):
    for name in ("a", "b"):
        maker = small_series(1)
        stage_generation([(maker.plan(), maker)], tmp_path / name, LocalFileSystem(), Settings())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_key_that_would_form_a_path_is_refused(tmp_path: Path):
    maker = small_series(1)
    with pytest.raises(InputError):
        stage_generation([(maker.plan(key="../x"), maker)], tmp_path / "a", LocalFileSystem(), Settings())


def test_a_series_without_objects_is_refused(tmp_path: Path):
    with pytest.raises(InputError):
        stage_generation([(Maker().plan(), Maker())], tmp_path / "a", LocalFileSystem(), Settings())


class FailingFile:
    """A file of the real file system that fails at one of its steps."""

    def __init__(self, file, disk: FailingDisk) -> None:
        self._file, self._disk = file, disk

    def append(self, *parts):
        self._disk.step("append")
        return self._file.append(*(self._disk.spoil(part) for part in parts))

    def write_at(self, offset, data):
        self._disk.step("write_at")
        self._file.write_at(offset, data)

    def sync(self):
        self._disk.step("sync")
        self._file.sync()

    def fileno(self):
        return self._file.fileno()

    def close(self):
        self._file.close()


class FailingDisk(LocalFileSystem):
    def __init__(self, fail_at: int, error: Exception | None, spoil_at: int = -1) -> None:
        self.fail_at, self.error, self.spoil_at = fail_at, error, spoil_at
        self.steps: list[str] = []
        self.written = 0

    def create(self, path):
        return FailingFile(super().create(path), self)

    def step(self, name: str) -> None:
        self.steps.append(name)
        if len(self.steps) - 1 == self.fail_at:
            raise self.error

    def spoil(self, part):
        """Write another byte than was asked for, once, as a broken disk would."""
        start, self.written = self.written, self.written + len(part)
        if start <= self.spoil_at < self.written:
            changed = bytearray(part)
            changed[self.spoil_at - start] ^= 1
            return bytes(changed)
        return part


@pytest.mark.parametrize("error", [StorageFullError("disk full"), DurabilityError("sync failed")])
@pytest.mark.parametrize("strategy", ["frames", "hdf5", "jpegls"])
def test_a_disk_that_fails_at_any_step_leaves_nothing_behind(tmp_path: Path, error, strategy):
    def stage(disk: FailingDisk) -> None:
        maker = Maker()
        maker.add_stack(smooth_words((80, 64, 64)))
        maker.add_encapsulated([[10]])
        stage_generation([(maker.plan(strategy), maker)], tmp_path / "a.zip", disk, Settings(thread_count=2))

    counting = FailingDisk(-1, None)
    stage(counting)
    (tmp_path / "a.zip").unlink()
    assert "sync" in counting.steps
    for number in range(len(counting.steps)):
        with pytest.raises(type(error)):
            stage(FailingDisk(number, error))
        assert list(tmp_path.iterdir()) == []


def test_bytes_that_reach_the_disk_changed_are_found_before_anything_is_published(tmp_path: Path):
    maker = Maker()
    maker.add_stack(smooth_words((4, 30, 30)), tail=b"tail")
    maker.add_encapsulated([[300]])
    maker.add(maker.header(), b"q" * 999, b"", treatment=Treatment.BLOB)
    path = tmp_path / "a.zip"
    stage_generation([(maker.plan(), maker)], path, LocalFileSystem(), Settings())
    generation = Generation.open(path)
    path.unlink()
    places = [member.offset + member.length // 2 for member in generation.members.values()]
    for place in places:
        with pytest.raises((ProofError, StorageError)):
            stage_generation(
                [(maker.plan(), maker)], path, FailingDisk(-1, None, spoil_at=place), Settings(thread_count=1)
            )
        assert not path.exists()


def test_the_file_is_synced_before_it_is_handed_over(tmp_path: Path):
    disk = FailingDisk(-1, None)
    maker = small_series(1)
    stage_generation([(maker.plan(), maker)], tmp_path / "a.zip", disk, Settings())
    assert disk.steps[-1] == "sync"


def test_strategies_are_values_that_survive_the_manifest():
    for strategy in Strategy.known.values():
        assert Strategy.from_dict(strategy.as_dict()) == strategy
        assert Strategy.from_dict(strategy.as_dict() | {"later": 1}) == strategy
    with pytest.raises(InputError):
        Strategy.named("fastest")


def test_a_staging_path_that_exists_is_not_overwritten(tmp_path: Path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"something")
    maker = small_series(1)
    with pytest.raises(StorageError) as caught:
        stage_generation([(maker.plan(), maker)], path, LocalFileSystem(), Settings())
    assert path.read_bytes() == b"something"
    assert caught.value.fields.get("errno", errno.EEXIST) == errno.EEXIST
    assert os.path.exists(path)
