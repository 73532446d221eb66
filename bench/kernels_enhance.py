"""Rows about enhancement: CLAHE, median, Gaussian, bilateral filter, non-local means.

Both sides get two threads, save where a row says one, or a peer has but one. Data are the made CT series in HU, or what
is cut from it. Results are compared before anything is timed.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rows import Context, Measured, Missing, row
from sealed import sealed
from timing import Timed, alternate, seconds_of

from pacscore.imaging import arrays
from pacscore.imaging.arrays import Watch

_ONE, _TWO = Watch(threads=1), Watch(threads=2)
_SLAB = 16
"""Slices that the slow peers are given."""


def _ct(context: Context) -> NDArray[np.int16]:
    """208 × 512 × 512 in HU."""
    if "ct" not in context.shared:
        context.shared["ct"] = sealed(context, "made")[1].volume().modality().astype(np.int16)
    found: NDArray[np.int16] = context.shared["ct"]
    return found


def _opencv(threads: int) -> Any:
    try:
        import cv2
    except ImportError as error:
        raise Missing("peer opencv-python-headless is not installed") from error
    cv2.setNumThreads(threads)
    return cv2


def _itk(threads: int) -> Any:
    import SimpleITK

    # A filter's own setting does nothing here.
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    return SimpleITK


def _times(timed: Timed, extra: str = "") -> str:
    parts = [f"{name} {timed.median(name) * 1e3:.3g} ms" for name in timed.seconds]
    return ", ".join([*parts, extra] if extra else parts)


def _measured(timed: Timed, peers: list[str], ours: str = "ours", extra: str = "") -> Measured:
    return Measured(*timed.ratio(timed.fastest(peers), ours), _times(timed, extra), timed.rounds)


def _clahe(context: Context, bits: int) -> Measured:
    from skimage.exposure import equalize_adapthist

    cv2 = _opencv(2)
    plane = cv2.resize(_ct(context)[:, 256].astype(np.float32), (2048, 2048), interpolation=cv2.INTER_CUBIC)
    plane += np.random.default_rng(1).normal(0, 8, plane.shape).astype(np.float32)
    step, top = (1, 4095) if bits == 12 else (16, 65535)
    image = np.clip((plane + 1024) * step, 0, top).astype(np.uint16)
    peer = cv2.createCLAHE(2.0, (8, 8))
    out = np.empty_like(image)
    assert np.array_equal(arrays.clahe(image, clip=2.0, watch=_TWO), peer.apply(image))
    calls = {
        "ours": lambda: arrays.clahe(image, clip=2.0, out=out, watch=_TWO),
        "OpenCV": lambda: peer.apply(image),
        # In 2**14 levels and with a clip of its own measure: alike, not equal.
        "scikit-image": lambda: equalize_adapthist(image, kernel_size=image.shape[0] // 8, clip_limit=2.0 / 256),
    }
    alike = float(np.corrcoef(arrays.clahe(image, clip=2.0).ravel()[::7], calls["scikit-image"]().ravel()[::7])[0, 1])
    assert alike > 0.9, f"scikit-image's result correlates with ours by {alike:.3f}"
    timed = alternate(calls, rounds=context.rounds * 3)
    extra = f"equal to OpenCV's; correlation with scikit-image's (one thread) {alike:.3f}"
    return _measured(timed, ["OpenCV", "scikit-image"], extra=extra)


for _bits, _must, _aim in ((12, 1.3, 2.0), (16, 0.9, 1.5)):
    row(
        f"kernels.clahe-{_bits}bit", must=_must, aim=_aim, peers=("opencv-python-headless", "scikit-image"),
        what=f"CLAHE of 2048² uint16 over a range of {_bits} bits, 8 × 8 regions, against OpenCV and scikit-image",
    )(partial(_clahe, bits=_bits))  # fmt: skip


def _median(context: Context, size: int) -> Measured:
    itk = _itk(2)
    whole = _ct(context)
    slab = np.ascontiguousarray(whole[96 : 96 + _SLAB])
    image, out, whole_out = itk.GetImageFromArray(slab), np.empty_like(slab), np.empty_like(whole)

    def theirs() -> Any:
        peer = itk.MedianImageFilter()
        peer.SetRadius(size // 2)
        return peer.Execute(image)

    assert np.array_equal(arrays.median(slab, size, watch=_TWO), itk.GetArrayFromImage(theirs()))
    calls = {"ours": lambda: arrays.median(slab, size, out=out, watch=_TWO), "SimpleITK": theirs}
    timed = alternate(calls, rounds=3 if context.quick else 5, warm=1)
    seconds = min(seconds_of(lambda: arrays.median(whole, size, out=whole_out, watch=_TWO)) for _ in range(3))
    extra = f"exact; the whole volume {seconds * 1e3:.0f} ms; {_scipy_median(slab, size)}"
    return _measured(timed, ["SimpleITK"], extra=extra)


def _scipy_median(slab: NDArray[np.int16], size: int) -> str:
    """SciPy's time for two slices, and whether it agrees."""
    try:
        from scipy import ndimage
    except ImportError:
        return "SciPy not installed"
    two = np.ascontiguousarray(slab[:2])
    seconds = seconds_of(lambda: ndimage.median_filter(two, size, mode="nearest"))
    assert np.array_equal(arrays.median(two, size), ndimage.median_filter(two, size, mode="nearest"))
    return f"SciPy {seconds / 2 * _SLAB * 1e3:.3g} ms (from 2 slices)"


for _size, _must, _aim in ((3, 80.0, 130.0), (5, 75.0, 120.0)):
    row(
        f"kernels.median-{_size}", must=_must, aim=_aim, peers=("SimpleITK",),
        what=f"median {_size} × {_size} × {_size} of {_SLAB} × 512 × 512 int16, against SimpleITK and SciPy",
    )(partial(_median, size=_size))  # fmt: skip


def _gaussian(context: Context, threads: int) -> Measured:
    from scipy import ndimage

    itk = _itk(threads)
    volume = _ct(context)
    image = itk.GetImageFromArray(volume)
    floats = itk.Cast(image, itk.sitkFloat32)
    out, theirs = np.empty(volume.shape, np.float32), np.empty(volume.shape, np.float32)
    watch = _ONE if threads == 1 else _TWO

    def scipy() -> Any:
        return ndimage.gaussian_filter(volume, 2.0, output=theirs, mode="nearest", truncate=4.0)

    def recursive() -> Any:
        peer = itk.SmoothingRecursiveGaussianImageFilter()
        peer.SetSigma(2.0)
        return peer.Execute(image)

    def discrete() -> Any:
        peer = itk.DiscreteGaussianImageFilter()
        peer.SetVariance(4.0)
        peer.SetMaximumKernelWidth(33)
        peer.SetMaximumError(1e-3)
        peer.SetUseImageSpacing(False)
        return peer.Execute(floats)

    scipy()
    arrays.gaussian(volume, 2.0, out=out, watch=watch)
    difference = float(np.abs(out - theirs).max())
    assert difference < 2e-3, f"{difference} HU from SciPy"
    assert np.abs(out - itk.GetArrayFromImage(discrete())).mean() < 1.0
    calls = {
        "ours": lambda: arrays.gaussian(volume, 2.0, out=out, watch=watch),
        "SciPy": scipy,
        "SimpleITK recursive": recursive,
        "SimpleITK discrete": discrete,
    }
    timed = alternate(calls, rounds=3 if context.quick else 5, warm=1)
    return _measured(timed, list(calls)[1:], extra=f"within {difference:.1g} HU of SciPy, which has one thread")


for _threads, _must, _aim in ((2, 10.0, 18.0), (1, 6.0, 10.0)):
    row(
        "kernels.gaussian" + ("-1t" if _threads == 1 else ""), must=_must, aim=_aim, peers=("scipy", "SimpleITK"),
        what=f"3-D Gaussian of sigma 2 over the volume, {_threads} thread{'s' * (_threads - 1)}, against SciPy and "
        "SimpleITK's recursive and discrete ones",
    )(partial(_gaussian, threads=_threads))  # fmt: skip


def _display(context: Context) -> NDArray[np.uint8]:
    return np.clip((_ct(context)[60].astype(np.float32) + 200) / 600 * 255, 0, 255).astype(np.uint8)


def _bilateral(context: Context, dtype: str) -> Measured:
    cv2 = _opencv(2)
    image, sigma = (_display(context), 25) if dtype == "uint8" else (_ct(context)[60].astype(np.float32), 60)
    out = np.empty_like(image)

    def ours() -> Any:
        return arrays.bilateral(image, 3.0, sigma_value=sigma, reach=4, out=out, watch=_TWO)

    def theirs() -> Any:
        return cv2.bilateralFilter(image, 9, sigma, 3)

    difference = float(np.abs(ours().astype(np.float64) - theirs()).max())
    assert difference <= (1 if dtype == "uint8" else 5e-3), f"{difference} from OpenCV"
    timed = alternate({"ours": ours, "OpenCV": theirs}, rounds=context.rounds * 5)
    return _measured(timed, ["OpenCV"], extra=f"largest difference {difference:.1g}")


for _dtype, _must, _aim in (("uint8", 1.0, 1.6), ("float32", 2.0, 3.0)):
    row(
        f"kernels.bilateral-{_dtype}", must=_must, aim=_aim, peers=("opencv-python-headless",),
        what=f"bilateral filter of 512 × 512 {_dtype}, diameter 9, against OpenCV",
    )(partial(_bilateral, dtype=_dtype))  # fmt: skip


def _definition(
    values: NDArray[Any], points: NDArray[np.int64], strength: float, patch: int, search: int, cutoff: float = math.inf
) -> NDArray[np.float64]:
    """Non-local means at some points, in float64, as its formula stands."""
    before, after = (patch - 1) // 2, patch // 2
    pad = search + after
    padded = np.pad(values.astype(np.float64), pad, mode="reflect")
    found = []
    for point in points + pad:
        here = padded[tuple(slice(each - before, each + after + 1) for each in point)]
        total = weights = 0.0
        for offset in np.ndindex((2 * search + 1,) * values.ndim):
            there = point + np.array(offset) - search
            patch_there = padded[tuple(slice(each - before, each + after + 1) for each in there)]
            distance = ((here - patch_there) ** 2).mean() / strength**2
            weight = math.exp(-distance) if distance <= cutoff else 0.0
            total += weight * padded[tuple(there)]
            weights += weight
        found.append(total / weights)
    return np.array(found)


def _agrees(found: NDArray[Any], values: NDArray[Any], strength: float, patch: int, search: int) -> float:
    points = np.random.default_rng(3).integers(0, values.shape, (40, values.ndim))
    difference = np.abs(found[tuple(points.T)] - _definition(values, points, strength, patch, search)).max()
    assert difference < 1e-3, f"{difference} from the definition"
    return float(difference)


def _nlm_plane(context: Context) -> Measured:
    cv2 = _opencv(2)
    image = _display(context)
    out = np.empty_like(image)
    difference = _agrees(arrays.nlm(image, strength=10, patch=7, search=10), image, 10, 7, 10)

    def ours() -> Any:
        return arrays.nlm(image, strength=10, patch=7, search=10, out=out, watch=_TWO)

    def theirs() -> Any:
        return cv2.fastNlMeansDenoising(image, None, 10, 7, 21)

    apart = np.abs(ours().astype(int) - theirs())
    assert apart.mean() < 0.02, f"{apart.mean()} from OpenCV on average"
    timed = alternate({"ours": ours, "OpenCV": theirs}, rounds=context.rounds)
    return _measured(timed, ["OpenCV"], extra=f"{difference:.1g} from the definition; OpenCV up to {apart.max()}")


row(
    "kernels.nlm-2d", must=1.2, aim=2.5, peers=("opencv-python-headless",),
    what="non-local means of 512 × 512 uint8, patch 7, search 21, against OpenCV",
)(_nlm_plane)  # fmt: skip


def _nlm_stack(context: Context) -> Measured:
    from skimage.restoration import denoise_nl_means

    volume = _ct(context)[20:84, 192:320, 192:320].astype(np.float32)
    out = np.empty_like(volume)
    difference = _agrees(arrays.nlm(volume, strength=40, patch=5, search=4), volume, 40, 5, 4)
    # The peer's fast mode sums 4 of the 5 samples each way, divides by 125, and drops distances above 5.
    strength = 40 * math.sqrt(125 / 64)

    def ours() -> Any:
        return arrays.nlm(volume, strength=strength, patch=4, search=4, cutoff=5.0, out=out, watch=_TWO)

    def theirs() -> Any:
        return denoise_nl_means(volume, patch_size=5, patch_distance=4, h=40, fast_mode=True)

    apart = np.abs(ours() - theirs())
    assert apart.mean() < 0.2, f"{apart.mean()} HU from scikit-image on average"
    full = min(
        seconds_of(lambda: arrays.nlm(volume, strength=40, patch=5, search=4, out=out, watch=_TWO)) for _ in range(2)
    )
    timed = alternate({"ours": ours, "scikit-image": theirs}, rounds=3 if context.quick else 5, warm=1)
    extra = (
        f"{difference:.1g} HU from the definition, scikit-image (one thread) {apart.mean():.2g} on average; a whole "
        f"patch of 5 takes {full * 1e3:.0f} ms"
    )
    return _measured(timed, ["scikit-image"], extra=extra)


row(
    "kernels.nlm-3d", must=8.0, aim=16.0, peers=("scikit-image",),
    what="non-local means of 64 × 128 × 128 float32, patch 5, distance 4, against scikit-image",
)(_nlm_stack)  # fmt: skip
