"""Projections against SimpleITK: the rays' samples resampled there, then reduced by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from imaging.test_imaging_resampling import oblique_affine, volume_of
from numpy.typing import NDArray

from pacscore.imaging import Framing, Rescale, View
from pacscore.imaging.views import Frame, frame_views

pytestmark = pytest.mark.interop
SimpleITK = pytest.importorskip("SimpleITK")

GEOMETRIES = {
    "plain": np.diag([3.1, 0.9, 0.6, 1.0])[[2, 1, 0, 3]],
    "oblique": oblique_affine((3.1, 0.9, 0.6)),
    "tilted": oblique_affine((3.1, 0.9, 0.6), tilt=1.13),
}
VIEWS = {"anterior": View.named("anterior"), "orbit": View.orbit(33, 17), "feet": View.along((0.2, 0.3, -1))}


def _samples(array: NDArray[Any], frame: Frame) -> NDArray[np.float64]:
    """(samples, rows, columns) by SimpleITK; NaN outside the outermost voxel centres."""
    origin, down, right, away = frame.grid.matrix()
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(np.stack([right, down, away], axis=1)[::-1].ravel().tolist())
    transform.SetTranslation(origin[::-1].tolist())
    rows, columns = frame.grid.shape
    reference = SimpleITK.Image([columns, rows, frame.grid.samples], SimpleITK.sitkFloat64)
    image = SimpleITK.GetImageFromArray(array)
    found = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(image, reference, transform, SimpleITK.sitkLinear, 0.0, SimpleITK.sitkFloat64)
    )
    k, i, j = np.meshgrid(*(np.arange(length) for length in found.shape), indexing="ij")
    places = origin + i[..., None] * down + j[..., None] * right + k[..., None] * away
    inside = ((places >= -1e-9) & (places <= np.array(array.shape) - 1 + 1e-9)).all(axis=-1)
    return np.where(inside, found, np.nan)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("name", VIEWS)
def test_projections_are_simpleitks(geometry: str, name: str) -> None:
    random = np.random.default_rng(5)
    array = (np.cumsum(random.normal(size=(20, 40, 50)), axis=1) * 60 + 300).astype(np.int16)
    volume = volume_of(array, GEOMETRIES[geometry], rescale=Rescale.linear())
    view, framing = VIEWS[name], Framing(pixel_mm=0.8, step_mm=0.7)
    (frame,) = frame_views([view], volume.index_to_lps, volume.shape, framing)
    samples = _samples(array, frame)
    met = np.isfinite(samples).sum(axis=0) > 1  # Rays that graze the border within a rounding are left out.
    places = {"direction": view.toward_viewer, "up": view.up, "pixel_mm": 0.8, "step_mm": 0.7}
    for kind, reduce in (("max", np.nanmax), ("min", np.nanmin), ("mean", np.nanmean)):
        with np.errstate(all="ignore"):
            wanted = reduce(np.where(met, samples, 0.0), axis=0)
        found = volume.project(kind, **places).array
        apart = np.abs(found - wanted)[met]
        assert np.quantile(apart, 0.99) < 1e-3 * np.ptp(array)
        assert apart.mean() < 1e-4 * np.ptp(array)
