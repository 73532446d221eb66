"""Sections along curves."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from imaging.test_imaging_resampling import CountingSource, volume_of
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.curved_planes import center_line, stretched_lines
from pacscore.imaging.values import Rescale

AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]]


def _helix(turns: float = 1.5, points: int = 60) -> NDArray[np.float64]:
    t = np.linspace(0, turns * 2 * np.pi, points)
    return np.stack([30 + 15 * np.cos(t), 30 + 15 * np.sin(t), 8 + 4 * t], axis=1)


@functools.cache
def _tube(radius: float = 3.0) -> NDArray[np.int16]:
    """Bright within ``radius`` mm of the helix."""
    points = _helix()
    grid = np.indices((60, 60, 60)).reshape(3, -1).T[:, ::-1].astype(float)
    line = center_line(points, step_mm=0.5).positions_lps
    near = np.full(len(grid), np.inf)
    for begin in range(0, len(line), 16):
        near = np.minimum(near, np.linalg.norm(grid[:, None] - line[None, begin : begin + 16], axis=2).min(axis=1))
    return np.where(near < radius, 1000, 0).astype(np.int16).reshape(60, 60, 60)


def test_a_center_line_passes_through_its_points_in_equal_steps() -> None:
    points = _helix()
    line = center_line(points, step_mm=0.5)
    apart = np.linalg.norm(np.diff(line.positions_lps, axis=0), axis=1)
    np.testing.assert_allclose(apart, 0.5, rtol=2e-3)
    near = np.linalg.norm(points[:, None] - line.positions_lps[None], axis=2).min(axis=1)
    assert near[:-1].max() < 0.26
    length = 1.5 * 2 * np.pi * np.hypot(15, 4)
    assert abs(0.5 * (len(line.positions_lps) - 1) - length) < 0.6


def test_frames_are_orthonormal_and_twist_no_more_than_the_curve() -> None:
    line = center_line(_helix(), step_mm=0.25)
    frame = np.stack([line.tangents, line.normals, line.binormals], axis=1)
    np.testing.assert_allclose(frame @ frame.transpose(0, 2, 1), np.broadcast_to(np.eye(3), frame.shape), atol=1e-9)
    # Rotation-minimising: the normal changes along the tangent only.
    change = np.diff(line.normals, axis=0) / 0.25
    sideways = (change * line.binormals[:-1]).sum(axis=1)
    assert np.abs(sideways[4:-4]).max() < 0.01


def test_a_plane_curve_keeps_its_normal() -> None:
    t = np.linspace(0, np.pi, 30)
    line = center_line(np.stack([np.zeros(30), 20 * np.cos(t), 20 * np.sin(t)], axis=1), step_mm=1.0)
    np.testing.assert_allclose(line.normals, np.broadcast_to([1.0, 0, 0], line.normals.shape), atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 77.0])
def test_a_straightened_tube_is_straight_and_of_even_width(angle: float) -> None:
    points = _helix()
    volume = volume_of(_tube(), AFFINE, rescale=Rescale.linear())
    image = volume.curved(points, width_mm=16.0, spacing_mm=0.5, angle_deg=angle)
    assert image.shape[1] == 32
    assert image.spacing_mm == (0.5, 0.5)
    assert image.index_to_lps is None
    bright = image.array[8:-8] > 500
    np.testing.assert_allclose(bright.sum(axis=1) * 0.5, 6.0, atol=1.0)
    middle = (bright * np.arange(32)).sum(axis=1) / bright.sum(axis=1)
    np.testing.assert_allclose(middle, 15.5, atol=1.0)


def test_a_straight_curve_gives_the_plane() -> None:
    words = (np.indices((60, 60, 60)) * np.array([3, 2, 1])[:, None, None, None]).sum(axis=0).astype(np.int16)
    volume = volume_of(words, AFFINE, rescale=Rescale.linear())
    for style in ("straightened", "stretched"):
        image = volume.curved([(30, 30, 10), (30, 30, 50)], width_mm=20.0, spacing_mm=1.0, style=style)
        assert image.shape == (41, 20)
        z, x = np.mgrid[10:51, 0:20]
        np.testing.assert_allclose(image.array, 3 * z + 2 * 30 + 30 + x - 9.5, atol=1e-3)


def test_a_stretched_section_keeps_lengths_and_direction() -> None:
    points = _helix()
    starts, across, depth = stretched_lines(points, step_mm=0.5, columns=80)
    assert np.ptp(across, axis=0).max() == 0
    np.testing.assert_allclose(np.linalg.norm(np.diff(starts, axis=0), axis=1), 0.5, rtol=1e-2)
    np.testing.assert_allclose(np.abs((depth * across).sum(axis=1)), 0, atol=1e-9)
    volume = volume_of(_tube(), AFFINE, rescale=Rescale.linear())
    image = volume.curved(points, width_mm=40.0, spacing_mm=0.5, style="stretched")
    bright = image.array > 500
    middle = (bright * np.arange(80)).sum(axis=1) / np.maximum(1, bright.sum(axis=1))
    assert bright[8:-8].any(axis=1).all()
    assert np.ptp(middle[8:-8]) * 0.5 > 20


def test_thickness_combines_across_the_section() -> None:
    points = _helix()
    volume = volume_of(_tube(), AFFINE, rescale=Rescale.linear())
    thin = volume.curved(points, width_mm=16.0, spacing_mm=0.5)
    thick = volume.curved(points, width_mm=16.0, spacing_mm=0.5, thickness_mm=4.0, combine="max")
    assert (thick.array >= thin.array - 1e-3).mean() > 0.99


def test_only_chunks_along_the_curve_are_read() -> None:
    points = _helix()
    words = _tube()
    source = CountingSource(words, (6, 6, 6))
    volume = volume_of(words, AFFINE, rescale=Rescale.linear(), source=source)
    image = volume.curved(points, width_mm=8.0, spacing_mm=0.5)
    assert len(source.chunks()) == len(set(source.chunks())) < 350
    assert np.array_equal(
        image.array,
        volume_of(words, AFFINE, rescale=Rescale.linear()).curved(points, width_mm=8.0, spacing_mm=0.5).array,
    )


def test_what_is_no_curve_is_refused() -> None:
    volume = volume_of(np.zeros((4, 5, 6), np.int16), AFFINE)
    for points in ([], [(1, 1, 1)], [(1, 1, 1), (1, 1, 1)], [(0, 0, np.nan), (1, 1, 1)], [(0, 0), (1, 1)]):
        with pytest.raises(InputError, match="curve"):
            volume.curved(points, width_mm=3.0)
    with pytest.raises(InputError, match="width_mm"):
        volume.curved([(0, 0, 0), (1, 1, 1)], width_mm=0.0)
    with pytest.raises(InputError, match="bent"):
        volume.curved([(0, 0, 0), (1, 1, 1)], width_mm=3.0, style="bent")
