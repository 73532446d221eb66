"""Dask: arrays and bags without a pixel in the graph, under threads, spawned and forked processes and a cluster."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import functions_mapped as functions
import numpy as np
import pytest

import pacscore
from pacscore import Selection, Volume, bulk
from pacscore.errors import InputError, UnreachableError
from pacscore.imaging import dask_arrays
from pacscore.imaging.sources import ArrayInMemory

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def volumes(archive_folder: Path, selection: Selection) -> list[Volume]:
    archive = pacscore.open(archive_folder, read_only=True)
    return [series.volume() for series in selection.series(archive)]


@pytest.mark.parametrize("chunks", ["auto", "native"])
def test_every_kind_of_volume_is_the_same_array(volumes: list[Volume], chunks: str) -> None:
    for volume in volumes:  # Sealed arrays, encapsulated frames, further axes, colour.
        array = volume.dask(chunks)
        assert (array.shape, array.dtype) == (volume.shape, volume.dtype)
        np.testing.assert_array_equal(array.compute(scheduler="threads"), volume.array())
        np.testing.assert_array_equal(array[-1, 1:, ::2].compute(scheduler="synchronous"), volume.array()[-1, 1:, ::2])


def test_a_graph_is_small_and_holds_no_pixel(volumes: list[Volume]) -> None:
    pet = next(volume for volume in volumes if volume.presentation.modality == "PT")
    graphs = [pet.dask().dask for _ in range(50)]
    assert len(pickle.dumps(graphs)) < 50 * 1000
    native = pet.dask("native")
    assert native.npartitions >= 1
    assert len(pickle.dumps(native.dask)) < 4000


def test_a_slice_of_the_array_reads_only_what_it_needs(volumes: list[Volume], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[Any, ...]] = []
    plainly = dask_arrays.StoredValues.__getitem__

    def noted(values: Any, key: Any) -> Any:
        read.append(key)
        return plainly(values, key)

    monkeypatch.setattr(dask_arrays.StoredValues, "__getitem__", noted)
    pet = next(volume for volume in volumes if volume.presentation.modality == "PT")
    pet.dask()[7:9].sum().compute(scheduler="synchronous")
    assert [key[0] for key in read] == [slice(7, 9, None)]


def test_groups_are_of_whole_chunks_alike_and_bounded() -> None:
    for slices, native in ((208, 16), (90, 16), (1, 16), (1000, 1), (33, 8)):
        grid = dask_arrays._groups((slices, 512, 512), (native, 64, 64), 2, slice_axis=0)
        assert sum(grid[0]) == slices
        assert grid[1:] == ((512,), (512,))
        assert all(length % native == 0 for length in grid[0][:-1])
        assert max(grid[0]) * 512 * 512 * 2 <= max(32 << 20, native << 19)
        assert max(grid[0]) - min(grid[0]) <= 2 * native
    grid = dask_arrays._groups((100, 30, 64, 64), (1, 16, 64, 64), 2, slice_axis=1)
    assert grid[1] == (30,)
    assert len(grid[0]) == 1, "small volumes of a time series share a task"


def test_other_chunks_are_lengths_or_refused(volumes: list[Volume]) -> None:
    pet = next(volume for volume in volumes if volume.presentation.modality == "PT")
    assert pet.dask((20, 30, 10)).chunks == ((20, 20, 11), (30,), (10, 10, 9))
    for wrong in ("large", (1, 2), (0, 30, 29)):
        with pytest.raises(InputError, match="auto, native"):
            pet.dask(wrong)  # type: ignore[arg-type]  # That is the point.


def test_a_volume_in_memory_is_one_too(volumes: list[Volume]) -> None:
    from dataclasses import replace

    pet = next(volume for volume in volumes if volume.presentation.modality == "PT")
    inside = replace(pet, source=ArrayInMemory(pet.array()))
    assert int(inside.dask().sum().compute(scheduler="threads")) == int(pet.array().sum(dtype=np.int64))


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_workers_may_be_spawned_or_forked(volumes: list[Volume], method: str) -> None:
    sums = [volume.dask().sum() for volume in volumes]
    with dask.config.set({"multiprocessing.context": method}):
        found = dask.compute(*sums, scheduler="processes", num_workers=1)
    assert [int(each) for each in found] == [int(volume.array().sum(dtype=np.int64)) for volume in volumes]


def test_a_forked_worker_opens_the_archive_though_its_parent_had(selection: Selection) -> None:
    bulk.map(selection, functions.mean).report()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.apply(bulk_means, (selection,))
    assert found == [result.value for result in bulk.map(selection, functions.mean, ordered=True)]


def bulk_means(selection: Selection) -> list[float]:
    return [result.value for result in bulk.map(selection, functions.mean, ordered=True)]


def test_a_bag_holds_the_volumes(volumes: list[Volume], selection: Selection) -> None:
    bag = bulk.dask_bag(selection, partition_size=2)
    assert bag.npartitions == 3
    found = bag.map(functions.mean).compute(scheduler="threads")
    assert found == [functions.mean(volume) for volume in volumes]
    assert bulk.dask_bag(selection[:0]).compute(scheduler="synchronous") == []
    with pytest.raises(InputError):
        bulk.dask_bag(selection, partition_size=0)


def test_a_cluster_maps_computes_and_survives_what_items_do(
    volumes: list[Volume], selection: Selection, of_items: Callable[[int], Selection], tmp_path: Path
) -> None:
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=None, processes=True, silence_logs=50
    )
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        results = list(bulk.map(selection, functions.numbers, executor=client, ordered=True))
        assert [result.value["high"] for result in results] == [int(volume.array().max()) for volume in volumes]
        assert all(result.value["serial"] for result in results)
        address = cluster.scheduler_address
        report = bulk.map(selection, functions.fail_on_pet, executor=address, run=tmp_path / "run").report()
        assert (report.done, report.failed) == (4, 1)
        assert "in fail_on_pet" in report.failures[0].trace
        hung = bulk.map(selection, functions.hang_on_pet, executor=client, timeout=2.0).report()
        assert (hung.done, hung.timed_out) == (4, 1)
        (lost,) = bulk.map(of_items(1), functions.only_there, executor=client, take="item")
        assert "ValueError" in lost.error
        notes = {"folder": str(tmp_path), "seconds": 0.0}
        many = bulk.map(of_items(300), functions.noted, executor=client, take="item", parameters=notes)
        assert sorted(result.value for result in many) == [n * n for n in range(300)]
        array = client.compute(volumes[0].dask().sum()).result(timeout=30)
        assert int(array) == int(volumes[0].array().sum(dtype=np.int64))
    with (
        pytest.raises(UnreachableError, match="No Dask scheduler"),
        dask.config.set({"distributed.comm.timeouts.connect": "200ms"}),
    ):
        bulk.map(selection, functions.mean, executor="tcp://127.0.0.1:9").report()
