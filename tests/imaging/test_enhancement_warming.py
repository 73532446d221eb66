"""After warming, no step of enhancement compiles anything, for the kinds of values that volumes have, read-only too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECK = """
import itertools, sys
from pathlib import Path
import numpy as np
from pacscore.kernels._compile import use_cache_folder
use_cache_folder(Path(sys.argv[1]))
from pacscore.imaging import enhancement_warming
from pacscore.imaging.arrays import Watch
for _, warm in enhancement_warming.WARM_CALLS:
    warm()
from numba.core import event
compiled = []
class Listener(event.Listener):
    def on_start(self, started):
        compiled.append(started.data["dispatcher"].py_func.__name__)
    def on_end(self, ended):
        pass
event.register("numba:compile", Listener())
for dtype in (np.int16, np.float32):
    values = np.random.default_rng(0).integers(0, 900, (4, 30, 40)).astype(dtype)
    locked = values.copy()
    locked.flags.writeable = False
    for (name, kind), values in itertools.product(enhancement_warming.STEPS.items(), (values, locked)):
        kind(**enhancement_warming._NEEDED.get(name, {})).filtered(values, (3.0, 1.0, 1.0), Watch())
print(*compiled)
"""


def test_a_warm_cache_holds_every_step(tmp_path: Path) -> None:
    words = [sys.executable, "-c", CHECK, str(tmp_path)]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ""
