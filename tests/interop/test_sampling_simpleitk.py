"""Geometry and values of resampling against SimpleITK, on anisotropic, oblique and tilted volumes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from imaging.imaging_stand_in import read_series
from imaging.test_imaging_resampling import oblique_affine, volume_of
from numpy.typing import NDArray

from pacscore.imaging.values import Rescale
from pacscore.imaging.volume import Volume

pytestmark = pytest.mark.interop
SimpleITK = pytest.importorskip("SimpleITK")

INTERPOLATORS = {"nearest": "sitkNearestNeighbor", "linear": "sitkLinear", "bspline": "sitkBSpline"}


def _image(array: NDArray[Any], affine: NDArray[np.float64]) -> Any:
    """An image whose direction holds the unit steps; SimpleITK takes tilted ones only as a transform, see below."""
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(steps[::-1].tolist())
    image.SetDirection((affine[:3, :3] / steps)[:, ::-1].ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def _resampled(
    array: NDArray[Any],
    affine: NDArray[np.float64],
    target: NDArray[np.float64],
    shape: tuple[int, ...],
    interpolation: str,
) -> NDArray[Any]:
    """Both grids as plain indices, and the affine map between them as the transform: so shear is no exception."""
    image = SimpleITK.GetImageFromArray(array)
    mapping = (np.linalg.inv(affine) @ target)[:3]
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(mapping[::-1, 2::-1].ravel().tolist())
    transform.SetTranslation(mapping[::-1, 3].tolist())
    reference = SimpleITK.Image([int(n) for n in shape[::-1]], SimpleITK.sitkFloat32)
    method = getattr(SimpleITK, INTERPOLATORS[interpolation])
    found = SimpleITK.Resample(image, reference, transform, method, -1024.0, SimpleITK.sitkFloat32)
    return SimpleITK.GetArrayFromImage(found)


def _volumes() -> dict[str, Volume]:
    random = np.random.default_rng(5)
    noise = np.cumsum(random.normal(size=(20, 40, 50)), axis=1) * 60
    words = (noise + 300).astype(np.int16)
    plain = np.diag([3.1, 0.9, 0.6, 1.0])[[2, 1, 0, 3]]
    given = {
        "plain": plain,
        "oblique": oblique_affine((3.1, 0.9, 0.6)),
        "tilted": oblique_affine((3.1, 0.9, 0.6), tilt=1.13),
    }
    return {name: volume_of(words, affine, rescale=Rescale.linear(unit="HU")) for name, affine in given.items()}


def _close(found: NDArray[Any], expected: NDArray[Any], volume: Volume, *, whole: bool = True) -> None:
    limit = 1e-3 * float(np.ptp(volume.modality()))
    apart = np.abs(found.astype(np.float64) - expected)
    border = (found == -1024) != (expected == -1024)
    assert border.mean() < 2e-4  # Points exactly on the border, where rounding decides.
    assert apart[~border].max() <= limit if whole else (apart[~border] > limit).mean() < 1e-3


@pytest.mark.parametrize("interpolation", INTERPOLATORS)
@pytest.mark.parametrize("which", ["plain", "oblique", "tilted"])
def test_oblique_planes_equal_simpleitk(which: str, interpolation: str) -> None:
    volume = _volumes()[which]
    plane = volume.reslice(
        row_direction=(1, 0.31, -0.22), column_direction=(-0.31, 1, 0), spacing_mm=(0.47, 0.53), shape=(120, 130),
        interpolation=interpolation,
    )  # fmt: skip
    assert plane.index_to_lps is not None
    target = plane.index_to_lps.copy()
    target[:3, 0] = np.cross(target[:3, 2], target[:3, 1])
    expected = _resampled(volume.array(), volume.index_to_lps, target, (1, 120, 130), interpolation)[0]
    # Of points equally near to two voxels each takes another one.
    _close(plane.array, expected, volume, whole=interpolation != "nearest")


@pytest.mark.parametrize("interpolation", ["linear", "bspline"])
@pytest.mark.parametrize("which", ["plain", "oblique", "tilted"])
def test_isotropic_grids_equal_simpleitk(which: str, interpolation: str) -> None:
    volume = _volumes()[which]
    finer = volume.resample(0.57, interpolation=interpolation, smooth=False)
    expected = _resampled(volume.array(), volume.index_to_lps, finer.index_to_lps, finer.shape, interpolation)
    # Ours are stored values: rounded.
    np.testing.assert_array_less(np.abs(finer.modality() - expected), 0.5 + 1e-3 * np.ptp(volume.modality()))


def test_a_rectified_volume_equals_simpleitk() -> None:
    volume = _volumes()["tilted"]
    straight = volume.rectified()
    expected = _resampled(volume.array(), volume.index_to_lps, straight.index_to_lps, straight.shape, "linear")
    apart = np.abs(straight.modality() - expected)
    assert (apart > 0.5 + 1e-3 * np.ptp(volume.modality())).mean() < 5e-3  # Rows exactly on the border.
    image = _image(straight.array(), straight.index_to_lps)  # Without shear SimpleITK takes the geometry itself.
    place = image.TransformContinuousIndexToPhysicalPoint((7.25, 3.5, 11.0))
    np.testing.assert_allclose(place, (straight.index_to_lps @ [11.0, 3.5, 7.25, 1])[:3], atol=1e-6)


def test_a_slab_equals_simpleitk() -> None:
    volume = _volumes()["oblique"]
    where: dict[str, Any] = {"row_direction": (1, 0.31, -0.22), "column_direction": (-0.31, 1, 0), "spacing_mm": 0.6,
                             "shape": (60, 70)}  # fmt: skip
    plane = volume.reslice(**where)
    assert plane.index_to_lps is not None
    target = plane.index_to_lps.copy()
    target[:3, 0] = np.cross(target[:3, 2], target[:3, 1]) / 0.36
    target[:3, 3] -= 2 * target[:3, 0]
    stack = _resampled(volume.array(), volume.index_to_lps, target, (5, 60, 70), "linear")
    held = np.ma.masked_equal(stack, -1024)
    for combine in ("mean", "max", "min"):
        found = volume.slab(thickness_mm=4.0, step_mm=1.0, combine=combine, **where).array
        _close(found, getattr(held, combine)(axis=0).filled(-1024), volume)


def test_a_real_series_equals_simpleitk(data: Any) -> None:
    volume = read_series(data / "series" / "ct-headneck-90")
    plane = volume.reslice(row_direction=(0.8, 0.6, 0), column_direction=(-0.12, 0.16, -1),
                           spacing_mm=1.0, shape=(300, 400))  # fmt: skip
    assert plane.index_to_lps is not None
    target = plane.index_to_lps.copy()
    target[:3, 0] = np.cross(target[:3, 2], target[:3, 1])
    expected = _resampled(volume.modality(), volume.index_to_lps, target, (1, 300, 400), "linear")[0]
    _close(plane.array, expected, volume)
