"""After warming, no way of resampling compiles anything, for the kinds of volumes there are, read-only ones too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECK = """
import sys
from pathlib import Path
import numpy as np
from pacscore.kernels._compile import use_cache_folder
use_cache_folder(Path(sys.argv[1]))
from pacscore.imaging import Image, sampling_warming
for _, warm in sampling_warming.WARM_CALLS:
    warm()
from numba.core import event
compiled = []
class Listener(event.Listener):
    def on_start(self, started):
        compiled.append(started.data["dispatcher"].py_func.__name__)
    def on_end(self, ended):
        pass
event.register("numba:compile", Listener())
from imaging.test_imaging_resampling import CountingSource, oblique_affine, volume_of
for dtype in (np.int16, np.uint16, np.uint8, np.float32):
    words = np.arange(5 * 6 * 7, dtype=dtype).reshape(5, 6, 7)
    locked = words.copy()
    locked.flags.writeable = False
    for volume in (
        volume_of(words, oblique_affine()), volume_of(locked, oblique_affine()),
        volume_of(words, oblique_affine(), source=CountingSource(words, (2, 4, 4))),
    ):
        for interpolation in ("nearest", "linear", "cubic", "bspline"):
            volume.slab(thickness_mm=2.0, interpolation=interpolation)
            volume.resample(0.6, interpolation=interpolation)
            volume.reslice_stack(slice_count=2, slice_spacing_mm=1.0, interpolation=interpolation)
        volume.curved([(0, 0, 0), (5, 5, 5)], width_mm=4.0)
Image(np.ones((9, 8), np.float32)).magnify(2.0).rotate(20)
print(*compiled)
"""


def test_a_warm_cache_holds_every_way_to_resample(tmp_path: Path) -> None:
    words = [sys.executable, "-c", CHECK, str(tmp_path)]
    here = str(Path(__file__).resolve().parents[1])
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join([here, root])
    result = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": paths})
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ""
