"""Reconstructing raw data: the result becomes a derived series, a file or a picture."""

from __future__ import annotations

import threading
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pacscore.archive.report import Progress, Reported
from pacscore.errors import InputError, StorageError
from pacscore.imaging import Volume, slice_sheet
from pacscore.imaging.arrays import Watch
from pacscore.recon.methods import Request, reconstruct

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

ENDINGS = (".npy", ".nii", ".nii.gz", ".zarr")
_CONFIGURATION_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class ReconReport(Reported):
    """What was reconstructed.

    Attributes
    ----------
    method : str
    series : str
        Series Instance UID of the result, "" where it was not stored.
    out, png : str
        Files written, or "".
    shape : tuple of int
    spacing_mm : tuple of float
    derivation : tuple of str
    seconds : float
        Reading, reconstructing and writing.
    """

    method: str
    series: str
    out: str
    png: str
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    derivation: tuple[str, ...]
    seconds: float


def reconstruct_file(
    path: Path,
    *,
    method: str,
    geometry: Path | None = None,
    config: Path | None = None,
    archive: Archive | None = None,
    description: str | None = None,
    out: Path | None = None,
    png: Path | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> ReconReport:
    """Reconstruct raw data and store, write or draw the result.

    Parameters
    ----------
    path, method, geometry
        As of ``recon.methods.Request``.
    config
        A TOML file; ``recon/configuration.py`` lists its tables.
    archive
        Open for writing: the result becomes a derived series in it.
    description
        Series Description; by default the method and the input's kind.
    out
        ``.npy`` for the array, ``.nii`` or ``.nii.gz``, ``.zarr`` for OME-Zarr.
    png
        A sheet of the slices.

    Raises
    ------
    InputError
        Nothing to do with the result was asked for, an ending is unknown, or the input cannot be used.
    CancelledError
        ``cancel`` was set; nothing was stored.
    StorageError
        A file cannot be written.
    """
    started = time.perf_counter()
    if archive is None and out is None and png is None:
        raise InputError("Say what becomes of the result: --store ARCHIVE, --out FILE or --png FILE.")
    if out is not None and not out.name.lower().endswith(ENDINGS):
        raise InputError(
            f"A result is written as {', '.join(ENDINGS)}, not as {out.suffix or 'a name without ending'}."
        )
    configuration = {} if config is None else read_configuration(config)
    watch = Watch(progress=progress, cancel=cancel)
    volume = reconstruct(Request(path, method, geometry, configuration, watch))
    stored = ""
    if archive is not None:
        title = description or f"Reconstruction, {method}"
        stored = archive.store_derived(volume, description=title).series_instance_uid
    try:
        if out is not None:
            _write(volume, out)
        if png is not None:
            slice_sheet(volume).save(png)
    except OSError as error:
        raise StorageError(f"The result cannot be written: {error.strerror}.", path=str(out or png)) from error
    return ReconReport(
        method=method,
        series=stored,
        out="" if out is None else str(out),
        png="" if png is None else str(png),
        shape=volume.shape,
        spacing_mm=tuple(float(step or 0.0) for step in volume.spacing_mm or ()),
        derivation=volume.derivation,
        seconds=time.perf_counter() - started,
    )


def read_configuration(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises
    ------
    InputError
        It is too large or no TOML.
    """
    if path.stat().st_size > _CONFIGURATION_BYTES_MAX:
        raise InputError("The configuration is too large to be one.", path=str(path))
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"The configuration is no TOML: {error}.", path=str(path)) from error


def _write(volume: Volume, out: Path) -> None:
    if out.parent != Path():
        out.parent.mkdir(parents=True, exist_ok=True)
    name = out.name.lower()
    if name.endswith(".npy"):
        with out.open("wb") as file:
            np.save(file, volume.modality())
    elif name.endswith(".zarr"):
        volume.to_ome_zarr(out)
    else:
        volume.to_nifti(out)
