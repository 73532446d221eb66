"""Rows about intensity: stored words of a whole volume to 8-bit display values.

Both sides get two threads, or one where the row says so, and write into an array that is there already. Ours equals the
float64 formula at every voxel before anything is timed; OpenCV's ``convertScaleAbs`` does another thing at the same
cost and counts for its speed alone. The bound is memory: the row's remark compares with copying.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rows import Context, Measured, Missing, row
from sealed import sealed
from timing import alternate

from pacscore.imaging import arrays
from pacscore.imaging.arrays.showing import aligned_empty
from pacscore.parallel import run_tiles

_CENTER, _WIDTH = 40.0, 400.0
_PEERS = ("opencv-python-headless", "SimpleITK", "numpy")


def ct_words(context: Context) -> NDArray[np.int16]:
    """208 × 512 × 512 in HU."""
    if "ct" not in context.shared:
        context.shared["ct"] = sealed(context, "made")[1].volume().modality().astype(np.int16)
    found: NDArray[np.int16] = context.shared["ct"]
    return found


def _formula(words: NDArray[np.int16]) -> NDArray[np.uint8]:
    """PS3.3 C.11.2.1.2.1 in float64, of every word there is."""
    x = np.arange(-32768, 32768, dtype=np.float64)
    y = ((x - (_CENTER - 0.5)) / (_WIDTH - 1) + 0.5) * 255
    table = np.floor(np.clip(y, 0, 255) + 0.5).astype(np.uint8)
    return table[words.astype(np.int32) + 32768]


def _display(context: Context, threads: int) -> Measured:
    try:
        import cv2
    except ImportError as error:
        raise Missing("peer opencv-python-headless is not installed") from error
    import SimpleITK

    cv2.setNumThreads(threads)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    words = aligned_empty(ct_words(context).shape, np.dtype(np.int16))
    words[:] = ct_words(context)
    out, flat = aligned_empty(words.shape, np.dtype(np.uint8)), words.reshape(-1, 512)
    out_peer = aligned_empty(flat.shape, np.dtype(np.uint8))
    copy = aligned_empty(words.shape, np.dtype(np.int16))
    scale = np.float32(255 / (_WIDTH - 1))
    shift = np.float32((0.5 - (_CENTER - 0.5) / (_WIDTH - 1)) * 255)
    image = SimpleITK.GetImageFromArray(words)
    peer = SimpleITK.IntensityWindowingImageFilter()
    peer.SetWindowMinimum(_CENTER - 0.5 - (_WIDTH - 1) / 2)
    peer.SetWindowMaximum(_CENTER - 0.5 + (_WIDTH - 1) / 2)
    peer.SetOutputMinimum(0)
    peer.SetOutputMaximum(255)

    def ours() -> Any:
        return arrays.display_stored(words, _CENTER, _WIDTH, out=out, threads=threads)

    def by_numpy() -> NDArray[np.uint8]:
        values = words * scale
        values += shift + np.float32(0.5)
        np.clip(values, 0, 255, out=values)
        return values.astype(np.uint8)

    def copied() -> None:
        source, target = words.reshape(-1), copy.reshape(-1)
        tile = 1 << 20
        run_tiles(lambda a, b: np.copyto(target[a:b], source[a:b]), source.size, tile=tile, threads=threads)

    assert np.array_equal(ours(), _formula(words)), "the window differs from its formula"
    theirs = np.abs(SimpleITK.GetArrayFromImage(peer.Execute(image)).astype(np.int16) - out)
    # Its window begins and ends at whole numbers for integers, and it cuts off instead of rounding.
    assert theirs.max() <= 2, f"SimpleITK differs by {theirs.max()}"
    calls = {
        "ours": ours,
        "OpenCV": lambda: cv2.convertScaleAbs(flat, out_peer, float(scale), float(shift)),
        "SimpleITK": lambda: peer.Execute(image),
        "numpy": by_numpy,
        "copy": copied,
    }
    timed = alternate(calls, rounds=context.rounds * 3)
    best = timed.fastest(["OpenCV", "SimpleITK", "numpy"])
    times = ", ".join(f"{name} {timed.median(name) * 1e3:.2f} ms" for name in calls)
    # The window reads two bytes a voxel and writes one; the copy reads and writes two.
    limit = timed.median("copy") * 3 / 4 / timed.median("ours")
    return Measured(*timed.ratio(best, "ours"), f"{times}; {limit:.2f} of the copy rate; exact", timed.rounds)


row(
    "kernels.display", must=1.4, aim=1.9, peers=_PEERS,
    what="stored → 8-bit display, 208 × 512 × 512 int16, window 40/400, against OpenCV, SimpleITK, numpy",
)(partial(_display, threads=2))  # fmt: skip
row(
    "kernels.display-1thread", must=1.0, aim=None, peers=_PEERS,
    what="the same with one thread on both sides",
)(partial(_display, threads=1))  # fmt: skip
