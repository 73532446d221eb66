"""Random patches of every CT as a training loop draws them, and how many a second.

python examples/random_patches.py ARCHIVE

With torch installed the same sampler goes into pacscore.bulk.torch.PatchDataset and a DataLoader.
"""

from __future__ import annotations

import sys
import time

import numpy as np

import pacscore
from pacscore.bulk import Foreground, PatchSampler, SelectedVolumes


def epoch_means(archive: str, *, epoch: int = 0, size: tuple[int, int, int] = (32, 64, 64)) -> list[float]:
    """The mean of the patches of each CT in one epoch, half of them drawn around soft tissue."""
    with pacscore.open(archive, read_only=True) as opened:
        volumes = SelectedVolumes(opened.select(Modality="CT", geometry="regular"))
    sampler = PatchSampler(size, count=4, seed=7, foreground_share=0.5, pad=-1024.0)
    means = []
    for index in np.random.default_rng(epoch).permutation(len(volumes)).tolist():
        volume = volumes[index]
        soft = Foreground.of(volume, low=0, high=100)  # A real loop keeps it: it is some kB.
        means.append(float(sampler.read(volume, epoch=epoch, index=index, foreground=soft).values.mean()))
    return means


if __name__ == "__main__":
    started = time.perf_counter()
    found = epoch_means(sys.argv[1])
    print(f"{4 * len(found) / (time.perf_counter() - started):.0f} patches a second, foreground counted anew each time")
