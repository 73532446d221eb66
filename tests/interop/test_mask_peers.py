"""Segmentations against highdicom, components against cc3d, similarity against scikit-image."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from pacscore.dicom.attributes import Header
from pacscore.dicom.scan import scan
from pacscore.geometry import GEOMETRY_KEYWORDS, frames_of
from pacscore.imaging import arrays
from pacscore.imaging.segmentation import SEGMENTATION_KEYWORDS, draw_segment, read_segments

pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("ignore::UserWarning")]

SEGMENTATIONS = [
    "series/ct-liver-23x38x3-seg/label.seg",
    "single/dcmqi/sparse-labelmap-ppv5.dcm",
    "single/highdicom/seg_image_ct_binary.dcm",
    "single/highdicom/seg_image_ct_binary_fractional.dcm",
    "single/pydicom-data/liver_j2k.dcm",
]


@pytest.mark.parametrize("name", SEGMENTATIONS)
def test_segments_lie_where_highdicom_puts_them(data: Path, name: str) -> None:
    import highdicom

    raw = (data / name).read_bytes()
    peer = highdicom.seg.segread(BytesIO(raw))
    document = Header(raw, scan(raw)).document(keywords=SEGMENTATION_KEYWORDS | GEOMETRY_KEYWORDS)
    frames = frames_of(document, 0)
    samples = peer.pixel_array.reshape(len(frames), frames[0].pixels.rows, frames[0].pixels.columns)
    wanted = peer.get_volume(rescale_fractional=False, allow_missing_positions=True)
    compared = 0
    for segment in read_segments(document):
        found = draw_segment(segment, frames, lambda at: samples[at], wanted.affine, wanted.spatial_shape)
        channel = wanted.array[..., [*peer.segment_numbers].index(segment.number)]
        np.testing.assert_array_equal(found, channel >= (128 if channel.max() > 1 else 1))
        compared += int(found.sum())
    assert compared > 0


@pytest.mark.parametrize("connectivity", arrays.CONNECTIVITIES)
def test_labels_are_those_of_cc3d(connectivity: int) -> None:
    import cc3d

    rng = np.random.default_rng(60)
    for share in (0.02, 0.1, 0.3, 0.5, 0.9):
        mask = rng.random((19, 61, 133)) < share
        found, count = arrays.label_components(mask, connectivity=connectivity)
        wanted, wanted_count = cc3d.connected_components(mask, connectivity=connectivity, return_N=True)
        assert count == wanted_count
        np.testing.assert_array_equal(found, wanted)


def test_similarity_is_that_of_scikit_image() -> None:
    from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

    rng = np.random.default_rng(61)
    first = rng.integers(0, 4000, (80, 90)).astype(np.float64)
    second = first + rng.normal(0, 200, first.shape)
    span = float(np.ptp(first))
    assert arrays.mean_squared_error(first, second) == pytest.approx(mean_squared_error(first, second))
    wanted = peak_signal_noise_ratio(first, second, data_range=span)
    assert arrays.peak_signal_to_noise(first, second) == pytest.approx(wanted)
    wanted = structural_similarity(first, second, data_range=span, win_size=7)
    assert arrays.structural_similarity(first, second) == pytest.approx(wanted, abs=1e-9)
