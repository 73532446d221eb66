"""A row of one's own in ``pacscore bench storage``: arrays as .npz. Name it in the pyproject.toml of your package:

[project.entry-points."pacscore.storage_ways"]
npz = "storage_way:NPZ"
"""

from pathlib import Path

import numpy as np

from pacscore.bulk.storage_benchmark.cases import Case
from pacscore.bulk.storage_benchmark.ways import Box, Way


class Npz:
    def __init__(self, folder: Path) -> None:
        self.words = np.load(folder / "words.npz")["words"]
        self.shape = self.words.shape

    def read(self, box: Box) -> np.ndarray:
        return self.words[box]

    def close(self) -> None:
        del self.words


def write(case: Case, folder: Path) -> None:
    np.savez_compressed(folder / "words.npz", words=case.words)


NPZ = Way("npz", "numpy.savez_compressed", ("numpy",), write, Npz)
