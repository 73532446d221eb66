"""Rows about analysis: 16-bit histogram, statistics under a mask, connected components.

Both sides get two threads where they can use them. Results are compared before anything is timed: counts and labels are
equal, statistics equal to the last digits that a float64 sum keeps.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from kernels_intensity import ct_words
from numpy.typing import NDArray
from rows import Context, Measured, Missing, row
from timing import Timed, alternate

from pacscore.imaging import arrays

_BONE_HU = 250
_RANDOM_SLICES = 64


def _times(timed: Timed) -> str:
    return ", ".join(f"{name} {timed.median(name) * 1e3:.2f} ms" for name in timed.seconds)


def _histogram(context: Context) -> Measured:
    try:
        import cv2
    except ImportError as error:
        raise Missing("peer opencv-python-headless is not installed") from error
    cv2.setNumThreads(2)
    words = ct_words(context)
    unsigned = (words.astype(np.int32) + 32768).astype(np.uint16)
    flat = unsigned.reshape(-1, 512)
    calls = {
        "ours": lambda: arrays.histogram_16(unsigned, threads=2),
        "OpenCV": lambda: cv2.calcHist([flat], [0], None, [65536], [0, 65536]),
        "numpy": lambda: np.bincount(unsigned.reshape(-1), minlength=65536),
        "ours, one thread": lambda: arrays.histogram_16(unsigned, threads=1),
    }
    wanted = calls["numpy"]()
    assert np.array_equal(calls["ours"](), wanted)
    assert np.array_equal(calls["OpenCV"]().reshape(-1).astype(np.int64), wanted)
    timed = alternate(calls, rounds=context.rounds * 2)
    best = timed.fastest(["OpenCV", "numpy"])
    return Measured(*timed.ratio(best, "ours"), _times(timed), timed.rounds)


row(
    "kernels.histogram", must=1.0, aim=1.5, peers=("opencv-python-headless", "numpy"),
    what="16-bit histogram of 208 × 512 × 512, against the faster of OpenCV and numpy",
)(_histogram)  # fmt: skip


def _statistics(context: Context) -> Measured:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(2)
    words = ct_words(context)
    mask = words > -500  # The body: a fifth of the voxels, in long runs.
    image, held = SimpleITK.GetImageFromArray(words), SimpleITK.GetImageFromArray(mask.astype(np.uint8))

    def by_numpy() -> tuple[float, ...]:
        inside = words[mask]
        return float(inside.mean(dtype=np.float64)), float(inside.std(dtype=np.float64)), inside.min(), inside.max()

    def by_itk() -> Any:
        peer = SimpleITK.LabelStatisticsImageFilter()
        peer.UseHistogramsOff()
        peer.Execute(image, held)
        return peer

    found, (mean, deviation, low, high), peer = arrays.statistics(words, mask=mask, threads=2), by_numpy(), by_itk()
    assert found.count == np.count_nonzero(mask) == peer.GetCount(1)
    assert np.allclose([found.mean, found.deviation], [mean, deviation], rtol=1e-9)
    assert np.allclose([found.mean, found.deviation], [peer.GetMean(1), peer.GetSigma(1)], rtol=1e-5)
    assert (found.minimum, found.maximum) == (low, high)
    calls = {
        "ours": lambda: arrays.statistics(words, mask=mask, threads=2),
        "numpy": by_numpy,
        "SimpleITK": by_itk,
        "ours, one thread": lambda: arrays.statistics(words, mask=mask, threads=1),
    }
    timed = alternate(calls, rounds=context.rounds)
    best = timed.fastest(["numpy", "SimpleITK"])
    detail = f"{_times(timed)}; {mask.mean():.0%} of the voxels"
    return Measured(*timed.ratio(best, "ours"), detail, timed.rounds)


row(
    "kernels.statistics", must=1.5, aim=3.0, peers=("numpy", "SimpleITK"),
    what="count, mean, deviation, minimum, maximum under a mask of the body, against the faster of numpy and SimpleITK",
)(_statistics)  # fmt: skip


def _mask(context: Context, case: str) -> NDArray[np.bool_]:
    if case == "bone":
        return ct_words(context) > _BONE_HU
    if case == "noisy":
        return ct_words(context) > -1000
    share = {"random": 0.1, "random-half": 0.5}[case]
    return np.random.default_rng(0).random((_RANDOM_SLICES, 512, 512)) < share


def _components(context: Context, case: str, connectivity: int) -> Measured:
    try:
        import cc3d
    except ImportError as error:
        raise Missing("peer connected-components-3d is not installed") from error
    mask = _mask(context, case)
    wanted, count = cc3d.connected_components(mask, connectivity=connectivity, return_N=True, binary_image=True)
    # Each side chooses the narrowest type that it knows to suffice: cc3d by the provisional labels that there might be
    # (it refuses less), we by the labels there are. Ours in the peer's type is timed, too.
    found, ours = arrays.label_components(mask, connectivity=connectivity, threads=2)
    wide = np.uint16 if wanted.dtype.itemsize <= 2 else np.uint32
    assert ours == count
    assert np.array_equal(found, wanted)
    calls = {
        "ours": lambda: arrays.label_components(mask, connectivity=connectivity, threads=2),
        "cc3d": lambda: cc3d.connected_components(mask, connectivity=connectivity, binary_image=True),
        "ours, one thread": lambda: arrays.label_components(mask, connectivity=connectivity, threads=1),
        f"ours as {np.dtype(wide)}": lambda: arrays.label_components(
            mask, connectivity=connectivity, dtype=wide, threads=2
        ),
    }
    timed = alternate(calls, rounds=context.rounds)
    detail = f"{_times(timed)}; {count} components, {found.dtype} (cc3d {wanted.dtype}), equal labels"
    return Measured(*timed.ratio("cc3d", "ours"), detail, timed.rounds)


for _case, _connectivity, _must, _aim, _what in (
    ("bone", 6, 4.0, 7.0, "bone mask, 6 neighbours"),
    ("bone", 26, 2.2, 4.0, "bone mask, 26 neighbours"),
    ("noisy", 26, 2.2, 4.0, "noisy mask (above -1000 HU), 26 neighbours"),
    ("random", 26, 0.9, 1.2, "a tenth of 64 × 512 × 512 voxels at random, 26 neighbours"),
    ("random-half", 26, 0.9, 1.2, "half of 64 × 512 × 512 voxels at random, 26 neighbours"),
):
    row(
        f"kernels.components-{_case}-{_connectivity}", must=_must, aim=_aim, peers=("connected-components-3d",),
        what=f"connected components, {_what}, against cc3d",
    )(partial(_components, case=_case, connectivity=_connectivity))  # fmt: skip
