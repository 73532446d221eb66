"""Data sets for PyTorch: whole volumes, and random patches of them.

They are map-style (``__len__``, ``__getitem__``) and can be handed to a ``DataLoader`` with any number of workers,
forked or spawned: each worker opens the archive for itself when it is first asked. In a worker one thread decodes;
without workers the pool does.

An index says which volume and which pass: index ``epoch * len(dataset) + n`` is volume ``n`` in that epoch, so that
workers that outlive an epoch need not be told of it. ``EpochSampler`` gives such indices.

Importing this does not import torch; what it gives are tensors (extra ``torch``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.archive.report import Progress, no_progress
from pacscore.bulk.patches import Foreground, PatchSampler
from pacscore.bulk.volumes import SelectedVolumes
from pacscore.errors import InputError
from pacscore.imaging.outgoing import library
from pacscore.settings import Settings

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive
    from pacscore.archive.selection import Selection
    from pacscore.imaging import Volume

Label = Callable[["Archive", "Volume"], NDArray[Any]]
"""Gives the label of a volume on its grid, ``(slices, rows, columns)``: must be picklable."""


class VolumeDataset:
    """Each series of a selection as a tensor.

    An item is a mapping: ``image`` float32 ``(1, slices, rows, columns)`` in modality values, ``index_to_lps`` float64
    ``(4, 4)`` where the stack has an affine, ``series_instance_uid``.

    Parameters
    ----------
    selection : Selection
    transform : callable, optional
        Volume to volume, before its values are read: ``lambda`` does not reach spawned workers, a function does.
    stack : int
        Which stack of each series.
    settings : Settings, optional
        Limits to read under.
    """

    def __init__(
        self,
        selection: Selection,
        transform: Callable[[Volume], Volume] | None = None,
        *,
        stack: int = 0,
        settings: Settings | None = None,
    ) -> None:
        self._volumes = _Volumes(selection, stack=stack, settings=settings)
        self._transform = transform

    def __len__(self) -> int:
        return len(self._volumes)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The item of series ``index``; an index beyond the last is that of a later epoch.

        Raises
        ------
        UnsupportedError
            torch is not installed.
        """
        torch = library("torch", extra="torch")
        _, number = _visit(index, len(self))
        volume = self._volumes[number]
        if self._transform is not None:
            volume = self._transform(volume)
        item: dict[str, Any] = {
            "image": torch.from_numpy(volume.modality()[None]),
            "series_instance_uid": self._volumes.selection[number].series_instance_uid,
        }
        if volume.has_affine:
            item["index_to_lps"] = torch.from_numpy(volume.index_to_lps)
        return item

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))


class PatchDataset:
    """Random patches of the series of a selection; one item is one visit to a volume.

    An item is a mapping: ``image`` float32 ``(patches, 1, slices, rows, columns)``, ``start`` ``(patches, 3)``,
    ``index_to_lps`` ``(patches, 4, 4)``, ``label`` as ``image`` in its own dtype where there is one, and
    ``series_instance_uid`` once a patch. ``join_patches`` makes batches of them.

    Parameters
    ----------
    selection : Selection
    sampler : PatchSampler
        How patches are drawn.
    foreground : tuple of float, optional
        The modality values that are foreground, both ends included. What is foreground is counted at the first visit
        to a volume and kept in the process, some 30 kB each; ``prepare`` counts it for all workers.
    label : callable, optional
        ``(archive, volume)`` to an array on the volume's grid, cut with it; its voxels that are not 0 are the
        foreground unless ``foreground`` says otherwise.
    stack : int
        Which stack of each series.
    settings : Settings, optional
        Limits to read under.
    cache_bytes_max : int
        How much decoded chunks may take in each worker, counted as whole volumes (rows × columns × slices × bytes of
        a word); the volume visited longest ago gives its place back. The patches are the same with and without. By
        default nothing is kept: it pays where a worker meets the same volumes again before they are thrown out, so for
        a cohort, or a part of it, whose decoded bytes fit into memory once for each worker.

    Raises
    ------
    InputError
        The sampler asks for foreground, and neither ``foreground`` nor ``label`` says what that is; the cache has less
        than 0 bytes.
    """

    def __init__(
        self,
        selection: Selection,
        sampler: PatchSampler,
        *,
        foreground: tuple[float, float] | None = None,
        label: Label | None = None,
        stack: int = 0,
        settings: Settings | None = None,
        cache_bytes_max: int = 0,
    ) -> None:
        if sampler.foreground_share > 0 and foreground is None and label is None:
            raise InputError("foreground_share needs foreground, a range of values, or label.")
        self._volumes = _Volumes(selection, stack=stack, settings=settings, cache_bytes_max=cache_bytes_max)
        self._sampler = sampler
        self._foreground = foreground
        self._label = label
        self._found: dict[int, Foreground] = {}

    def __len__(self) -> int:
        return len(self._volumes)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The patches of a visit: index ``epoch * len(self) + number``.

        Raises
        ------
        UnsupportedError
            torch is not installed.
        InputError, GeometryError, AmbiguousError
            As ``PatchSampler.read``.
        """
        torch = library("torch", extra="torch")
        epoch, number = _visit(index, len(self))
        volume = self._volumes[number]
        label = None if self._label is None else self._label(self._volumes.archive(), volume)
        found = self._sampler.read(
            volume, epoch=epoch, index=number, foreground=self._foreground_of(number, volume, label), label=label
        )
        item: dict[str, Any] = {
            "image": torch.from_numpy(found.values[:, None]),
            "start": torch.from_numpy(found.starts),
            "series_instance_uid": [self._volumes.selection[number].series_instance_uid] * self._sampler.count,
        }
        if found.index_to_lps is not None:
            item["index_to_lps"] = torch.from_numpy(found.index_to_lps)
        if found.labels is not None:
            item["label"] = torch.from_numpy(found.labels[:, None])
        return item

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def prepare(self, progress: Progress | None = None) -> None:
        """Count the foreground of every volume now, so that no worker needs to: reads each volume once."""
        for number in range(len(self)) if self._sampler.foreground_share > 0 else ():
            volume = self._volumes[number]
            label = None if self._label is None else self._label(self._volumes.archive(), volume)
            self._foreground_of(number, volume, label)
            (progress or no_progress)("counting foreground", number + 1, len(self))

    def _foreground_of(self, number: int, volume: Volume, label: NDArray[Any] | None) -> Foreground | None:
        if self._sampler.foreground_share == 0:
            return None
        if number not in self._found:
            if self._foreground is not None:
                self._found[number] = Foreground.of(volume, low=self._foreground[0], high=self._foreground[1])
            elif label is not None:
                self._found[number] = Foreground.of_mask(label)
        return self._found[number]


class EpochSampler:
    """The indices of one epoch after the other, each in its own order: a ``DataLoader``'s ``sampler``.

    Every pass over it is the next epoch, from ``epoch`` on. The order depends on seed and epoch alone.

    Examples
    --------
    >>> order = EpochSampler(3, seed=5)
    >>> sorted(order), sorted(order)
    ([0, 1, 2], [3, 4, 5])
    """

    def __init__(self, length: int, *, seed: int = 0, shuffle: bool = True, epoch: int = 0) -> None:
        self._length = length
        self._seed = seed
        self._shuffle = shuffle
        self.epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        order = np.arange(self._length)
        if self._shuffle:
            np.random.default_rng(np.random.SeedSequence([self._seed, self.epoch])).shuffle(order)
        first = self.epoch * self._length
        self.epoch += 1
        return iter((first + order).tolist())


def join_patches(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several visits as one batch of patches: a ``DataLoader``'s ``collate_fn``."""
    torch = library("torch", extra="torch")
    joined: dict[str, Any] = {}
    for key in items[0]:
        parts = [item[key] for item in items]
        joined[key] = [uid for part in parts for uid in part] if isinstance(parts[0], list) else torch.cat(parts)
    return joined


class _Volumes(SelectedVolumes):
    """Reads with one thread inside a worker of a DataLoader: the workers are the threads there."""

    def __getitem__(self, index: int) -> Volume:
        loaded = sys.modules.get("torch")
        if loaded is not None and loaded.utils.data.get_worker_info() is not None:
            self._settings = replace(self._settings or Settings(), thread_count=1)
        return super().__getitem__(index)


def _visit(index: int, length: int) -> tuple[int, int]:
    """Epoch and number of an index."""
    if index < 0 or length == 0:
        raise IndexError(index)  # What the protocol of sequences asks for.
    return divmod(index, length)
