"""Rows about sizes: archives of all native CT and MR, as a share of the files."""

from __future__ import annotations

import subprocess
import warnings
from functools import partial
from pathlib import Path

from rows import Context, Measured, Missing, row
from sealed import bytes_of, fresh

import pacscore

_NATIVE = ("", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")  # "": no file meta.


def _native_images(context: Context) -> list[Path]:
    """All native CT and MR of the manifest: folders of series, and single files."""
    found = []
    for line in context.found("MANIFEST.tsv").read_text("utf-8").splitlines()[1:]:
        path, kind, modality, _, _, syntax, *_ = line.split("\t")
        if kind in {"series", "single"} and modality in {"CT", "MR"} and syntax in _NATIVE:
            found.append(context.data / path)
    if not found:
        raise Missing(f"native CT and MR in the manifest of {context.data}")
    return found


def _size(context: Context, strategy: str) -> Measured:
    sources = _native_images(context)
    archive = fresh(context.scratch / f"size-{strategy}")
    with pacscore.create(archive, strategy=strategy) as made:
        report = made.ingest(*sources)
    original = sum(map(bytes_of, sources)) - _left_out_bytes(report)
    assert report.bytes_in <= original
    command = ["du", "-sb", str(archive)]
    stored = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0])
    value = 100 * stored / original
    detail = f"{stored / 1e6:.1f} of {original / 1e6:.1f} MB, {report.stored} objects"
    if strategy != "archive":
        return Measured(value, value, value, detail)
    limit = 100 * _jpegls_bytes(sources) / original
    return Measured(value, value, value, f"{detail}; as JPEG-LS files {limit:.1f} %", aim=limit)


def _left_out_bytes(report: pacscore.IngestReport) -> int:
    """Bytes of files that were no objects and are not in the archive (quarantined ones are)."""
    return sum(Path(each.path).stat().st_size for each in report.skipped)


def _jpegls_bytes(sources: list[Path]) -> int:
    """What the files would take with every frame that JPEG-LS can hold compressed by it, lossless."""
    import numpy as np
    import pydicom
    from imagecodecs import jpegls_encode

    total = 0
    for source in sources:
        for path in [source] if source.is_file() else (each for each in source.rglob("*") if each.is_file()):
            size = path.stat().st_size
            total += size
            try:
                with warnings.catch_warnings(action="ignore"):  # Padding behind the pixels is no matter here.
                    dataset = pydicom.dcmread(path, force=True)
                    words = dataset.pixel_array
            except (AttributeError, ValueError, pydicom.errors.InvalidDicomError):
                continue  # No image, or no DICOM: it stays as it is.
            if words.dtype.itemsize > 2 or dataset.BitsAllocated == 1:
                continue
            frame_shape = words.shape[-2:] if dataset.SamplesPerPixel == 1 else words.shape[-3:]
            frames = words.view(np.dtype(f"u{words.dtype.itemsize}")).reshape(-1, *frame_shape)
            encoded = sum(len(jpegls_encode(np.ascontiguousarray(frame))) + 8 for frame in frames)
            total -= max(0, len(dataset.PixelData) - encoded)
    return total


for _strategy, _must, _aim in (("balanced", 50, 42), ("archive", 42, None)):
    row(
        f"core.size-{_strategy}", must=_must, aim=_aim, unit=" %", higher=False,
        peers=("imagecodecs",) if _strategy == "archive" else (),
        what=f"du -sb of an archive ({_strategy}) of all native CT and MR of the manifest, as a share of the files",
    )(partial(_size, strategy=_strategy))  # fmt: skip
