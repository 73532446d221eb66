"""Enhancement against OpenCV, SciPy, scikit-image and SimpleITK, on real slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from pacscore.imaging import arrays

pytestmark = pytest.mark.interop

cv2: Any = pytest.importorskip("cv2", reason="OpenCV is not installed")
ndimage: Any = pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")


@pytest.fixture(scope="module")
def ct(data: Path) -> NDArray[np.int16]:
    """24 slices of 200 × 220, in HU."""
    read = [pydicom.dcmread(path) for path in (data / "series" / "ct-headneck-90").iterdir()]
    read.sort(key=lambda each: float(each.ImagePositionPatient[2]))
    words = np.stack([each.pixel_array[100:300, 150:370] for each in read[20:44]])
    return words.astype(np.int16) + np.int16(read[0].RescaleIntercept)


def shown(ct: NDArray[np.int16]) -> NDArray[np.uint8]:
    return np.clip((ct[12].astype(np.float32) + 200) / 600 * 255, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("clip", "tiles"), [(2.0, (8, 8)), (40.0, (3, 7)), (0.0, (8, 11)), (0.5, (16, 2))])
def test_clahe_is_opencvs_value_for_value(ct, dtype, clip, tiles):
    image = shown(ct) if dtype == np.uint8 else ((ct[12] + 1024) * 16).astype(np.uint16)
    for part in (image, image[:-3], image[:, 7:], image[5:, 5:]):
        whole = np.ascontiguousarray(part)
        wanted = cv2.createCLAHE(clip, (tiles[1], tiles[0])).apply(whole)
        np.testing.assert_array_equal(arrays.clahe(whole, clip=clip, tiles=tiles), wanted)


def test_equalisation_is_opencvs_but_for_its_rounding(ct):
    image = shown(ct)
    found = arrays.equalize(image, low=0, high=255)
    assert np.abs(found - cv2.equalizeHist(image)).max() <= 0.51


@pytest.mark.parametrize("size", [3, 5])
def test_median_is_simpleitks_and_scipys(ct, size):
    import SimpleITK

    peer = SimpleITK.MedianImageFilter()
    peer.SetRadius(size // 2)
    found = arrays.median(ct, size)
    np.testing.assert_array_equal(found, SimpleITK.GetArrayFromImage(peer.Execute(SimpleITK.GetImageFromArray(ct))))
    np.testing.assert_array_equal(found[:4], ndimage.median_filter(ct, size, mode="nearest")[:4])


@pytest.mark.parametrize("percent", [0, 20, 100])
def test_ranks_are_scipys(ct, percent):
    part = ct[:3]
    place = round(percent / 100 * 44)
    found = arrays.rank(part, (1, 9, 5), percent=percent)
    np.testing.assert_array_equal(found, ndimage.rank_filter(part, place, size=(1, 9, 5), mode="nearest"))


@pytest.mark.parametrize("sigma", [(2.0, 2.0, 2.0), (0.6, 1.5, 3.0)])
def test_smoothing_is_scipys(ct, sigma):
    exact = ct.astype(np.float64)
    wanted = ndimage.gaussian_filter(exact, sigma, mode="nearest", truncate=4.0)
    np.testing.assert_allclose(arrays.gaussian(ct, sigma), wanted, rtol=0, atol=2e-3)
    wanted = ndimage.uniform_filter(exact, (3, 5, 7), mode="nearest")
    np.testing.assert_allclose(arrays.box(ct, (3, 5, 7)), wanted, rtol=0, atol=2e-3)


def test_edges_are_scipys_in_its_own_scale(ct):
    exact = ct.astype(np.float64)
    wanted = np.sqrt(sum(ndimage.sobel(exact, axis, mode="nearest") ** 2 for axis in range(3))) / 32
    np.testing.assert_allclose(arrays.sobel(ct), wanted, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(arrays.laplacian(ct), ndimage.laplace(exact, mode="nearest"), rtol=0, atol=1e-2)


def test_bilateral_is_opencvs(ct):
    image = shown(ct)
    found = arrays.bilateral(image, 3.0, sigma_value=25, reach=4, out=np.empty_like(image))
    assert np.abs(found.astype(int) - cv2.bilateralFilter(image, 9, 25, 3)).max() <= 1
    plane = ct[12].astype(np.float32)
    found = arrays.bilateral(plane, 3.0, sigma_value=60, reach=4)
    np.testing.assert_allclose(found, cv2.bilateralFilter(plane, 9, 60, 3), rtol=0, atol=5e-3)


def test_non_local_means_is_near_opencvs_and_scikit_images_which_approximate_the_exponential(ct):
    restoration: Any = pytest.importorskip("skimage.restoration", reason="scikit-image is not installed")
    image = shown(ct)
    found = arrays.nlm(image, strength=10, patch=7, search=10, out=np.empty_like(image))
    apart = np.abs(found.astype(int) - cv2.fastNlMeansDenoising(image, None, 10, 7, 21))
    assert apart.mean() < 0.02
    part = ct[:12, 60:100, 80:120].astype(np.float32)
    wanted = restoration.denoise_nl_means(part, patch_size=5, patch_distance=3, h=40, fast_mode=True)
    # Its fast mode sums 4 of the 5 samples each way, divides by 125, and drops distances above 5.
    found = arrays.nlm(part, strength=40 * (125 / 64) ** 0.5, patch=4, search=3, cutoff=5.0)
    assert np.abs(found - wanted).mean() < 0.3


def test_matching_is_scikit_images(ct):
    exposure: Any = pytest.importorskip("skimage.exposure", reason="scikit-image is not installed")
    found = arrays.match_histogram(ct[3], ct[20])
    np.testing.assert_allclose(found, exposure.match_histograms(ct[3], ct[20]), rtol=0, atol=1)
