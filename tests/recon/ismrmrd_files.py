"""ISMRMRD files written from the format's description, for tests: no library of the format is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

COUNTERS = np.dtype(
    [(name, "<u2") for name in ("kspace_encode_step_1", "kspace_encode_step_2", "average", "slice", "contrast", "phase",
                                "repetition", "set", "segment")] + [("user", "<u2", (8,))]
)  # fmt: skip
HEAD = np.dtype([
    ("version", "<u2"), ("flags", "<u8"), ("measurement_uid", "<u4"), ("scan_counter", "<u4"),
    ("acquisition_time_stamp", "<u4"), ("physiology_time_stamp", "<u4", (3,)), ("number_of_samples", "<u2"),
    ("available_channels", "<u2"), ("active_channels", "<u2"), ("channel_mask", "<u8", (16,)), ("discard_pre", "<u2"),
    ("discard_post", "<u2"), ("center_sample", "<u2"), ("encoding_space_ref", "<u2"), ("trajectory_dimensions", "<u2"),
    ("sample_time_us", "<f4"), ("position", "<f4", (3,)), ("read_dir", "<f4", (3,)), ("phase_dir", "<f4", (3,)),
    ("slice_dir", "<f4", (3,)), ("patient_table_position", "<f4", (3,)), ("idx", COUNTERS), ("user_int", "<i4", (8,)),
    ("user_float", "<f4", (8,)),
])  # fmt: skip
FLOATS = h5py.special_dtype(vlen=np.dtype("float32"))
ACQUISITION = np.dtype([("head", HEAD), ("traj", FLOATS), ("data", FLOATS)])


def space(matrix: tuple[int, ...], extent: tuple[float, ...]) -> str:
    sizes = "".join(f"<{axis}>{value}</{axis}>" for axis, value in zip("xyz", matrix, strict=True))
    lengths = "".join(f"<{axis}>{value}</{axis}>" for axis, value in zip("xyz", extent, strict=True))
    return f"<matrixSize>{sizes}</matrixSize><fieldOfView_mm>{lengths}</fieldOfView_mm>"


def encoding(
    encoded: tuple[int, ...], encoded_mm: tuple[float, ...], recon: tuple[int, ...], recon_mm: tuple[float, ...],
    trajectory: str = "cartesian", limits: str = "",
) -> str:  # fmt: skip
    """Sizes are (x, y, z)."""
    return (
        f"<encoding><encodedSpace>{space(encoded, encoded_mm)}</encodedSpace><reconSpace>{space(recon, recon_mm)}"
        f"</reconSpace><encodingLimits>{limits}</encodingLimits><trajectory>{trajectory}</trajectory></encoding>"
    )


def header(*encodings: str, extra: str = "") -> str:
    return f'<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">{extra}{"".join(encodings)}</ismrmrdHeader>'


def line(
    samples: np.ndarray, *, flags: tuple[int, ...] = (), path: np.ndarray | None = None, **fields: Any
) -> np.ndarray:
    """One acquisition of ``samples (coils, samples)``; ``fields`` of the header or its counters."""
    table = np.zeros(1, ACQUISITION)
    record = table[0]
    head = record["head"]
    head["active_channels"], head["number_of_samples"] = samples.shape
    head["center_sample"] = samples.shape[1] // 2
    head["sample_time_us"] = 5.0
    head["flags"] = sum(1 << (flag - 1) for flag in flags)
    for name, value in fields.items():
        if name in COUNTERS.names:
            head["idx"][name] = value
        else:
            head[name] = value
    record["data"] = np.ascontiguousarray(samples, np.complex64).view(np.float32).reshape(-1)
    record["traj"] = np.zeros(0, np.float32) if path is None else np.asarray(path, np.float32).reshape(-1)
    if path is not None:
        head["trajectory_dimensions"] = path.shape[1]
    return record


def write(path: Path, xml: str, lines: list[np.ndarray]) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("dataset")
        group.create_dataset("xml", data=np.array([xml.encode()], object), dtype=h5py.special_dtype(vlen=bytes))
        table = group.create_dataset("data", (len(lines),), ACQUISITION)
        for number, record in enumerate(lines):
            table[number] = record
    return path
