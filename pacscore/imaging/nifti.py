"""NIfTI-1: a 348-byte header, then the voxels, column fastest, which is the very order volumes have here.

So nothing is turned or transposed: the affine says where the first voxel lies and where the axes lead, in RAS
millimetres. Source: NIfTI-1 Data Format Standard, ``nifti1.h`` (2004) with its notes on qform, sform and extensions.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, UnsupportedError
from pacscore.geometry import Axis, column_row_slice, lps_to_ras
from pacscore.imaging.outgoing import (
    LazyNumbers,
    Outgoing,
    Slab,
    appearing,
    is_sheared,
    library,
    modality_numbers,
    placing_affine,
    stored_numbers,
)
from pacscore.parallel import map_ordered
from pacscore.version import __version__

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

HEADER_BYTES = 348
VOXELS_OFFSET = 352  # The header and four bytes that say: no extension.
_LAYOUT = struct.Struct("=i10s18sihcB8h3f4h8f3fhBB4f2i80s24s2h6f12f16s4s")
_CODES = {
    "uint8": 2, "int16": 4, "int32": 8, "float32": 16, "float64": 64, "int8": 256, "uint16": 512, "uint32": 768,
    "int64": 1024, "uint64": 1280,
}  # fmt: skip
_RGB24 = 128
_SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT: coordinates of the scanner, as DICOM has them.
_MM = 2
_TIME_UNITS = {"s": 8, "ms": 16}
_LENGTH_MAX = 32767
_DIMENSIONS_MAX = 7


def to_nifti(volume: Volume, path: Path | str, *, thickness_mm: float | None = None, level: int = 6) -> None:
    """Write the volume as a NIfTI-1 file.

    Parameters
    ----------
    path : str or Path
        Ends in ``.nii``, or ``.nii.gz`` for a compressed one. An older file is replaced once the new one is whole.
    thickness_mm : float, optional
        How thick a single slice is; only for one, and needed there.
    level : int
        Of the compression of ``.nii.gz``, 1 (fast) to 9 (small).

    Raises
    ------
    InputError
        Another ending or level, or the folder does not exist.
    GeometryError
        No affine describes the stack, or it is a single slice and no thickness was given.
    UnsupportedError
        NIfTI cannot hold it: an axis longer than 32,767, more than four axes beside space, samples that are not RGB of
        8 bits; or its modality values are unknown.

    Notes
    -----
    Voxels lie in the order of the volume, ``(column, row, slice, axes…)`` with the column fastest and the last extra
    axis as the fourth dimension; sform and, where axes are at right angles, qform place them (RAS, mm). A tilted stack
    has a sheared sform and no qform. Values are the stored ones with ``scl_slope`` and ``scl_inter`` where one rescale
    serves all frames, else modality values in float32. Nothing of the patient is written.
    """
    target = Path(path)
    compressed = target.name.endswith(".nii.gz")
    if not compressed and target.suffix != ".nii":
        raise InputError(f"A NIfTI file is named .nii or .nii.gz, not {target.suffix or 'without an ending'}.")
    if not 1 <= level <= 9:
        raise InputError(f"A compression level is 1 to 9, not {level}.", found=level)
    affine = placing_affine(volume, what="NIfTI", thickness_mm=thickness_mm)
    outgoing = stored_numbers(volume)
    header = nifti_header(outgoing, affine)
    with appearing(target) as pending:
        if compressed:
            _write_compressed(pending, header, outgoing, level)
        else:
            outgoing.write_behind(header, pending)


def to_nibabel(volume: Volume, *, thickness_mm: float | None = None) -> Any:
    """The volume as a nibabel image that reads what is asked of it: modality values, axes as in ``to_nifti``.

    Returns
    -------
    nibabel.Nifti1Image
        ``dataobj`` is read lazily; ``get_fdata()`` reads all.

    Raises
    ------
    GeometryError, UnsupportedError
        As ``to_nifti``; or nibabel is not installed (extra ``convert``).
    """
    nibabel = library("nibabel", extra="convert")
    affine = placing_affine(volume, what="NIfTI", thickness_mm=thickness_mm)
    outgoing = modality_numbers(volume)
    if outgoing.is_colour:
        raise UnsupportedError("nibabel's images hold no colours lazily: write the volume with to_nifti().")
    header = nibabel.Nifti1Header(nifti_header(outgoing, affine)[:HEADER_BYTES])
    return nibabel.Nifti1Image(_Turned(outgoing), header.get_best_affine(), header)


def nifti_header(outgoing: Outgoing, affine: NDArray[np.float64]) -> bytes:
    """The header and the four bytes behind it, native byte order.

    affine : (4, 4), (slice, row, column, 1) to LPS millimetres
    """
    volume = outgoing.volume
    lengths = tuple(reversed(outgoing.shape[: len(volume.axes) + 3]))
    if max(lengths) > _LENGTH_MAX or len(lengths) > _DIMENSIONS_MAX:
        raise UnsupportedError(
            f"NIfTI-1 holds up to {_DIMENSIONS_MAX} axes of up to {_LENGTH_MAX}: this volume is {volume.shape}. Choose "
            "a part of it with at(), or export it as HDF5 or Zarr."
        )
    code = _RGB24 if outgoing.is_colour else _CODES[outgoing.dtype.name]
    bits = outgoing.dtype.itemsize * (24 if outgoing.is_colour else 8)
    to_ras = column_row_slice(lps_to_ras(affine))
    steps = np.linalg.norm(to_ras[:3, :3], axis=0)
    handedness, quaternion = (1.0, (0.0, 0.0, 0.0)) if is_sheared(to_ras) else _quaternion(to_ras[:3, :3] / steps)
    time = volume.axes[-1] if volume.axes else None
    first_time, time_step = _timing(time)
    further = [time_step, *[0.0] * (len(volume.axes) - 1)][: len(volume.axes)]
    pixdim = [handedness, *steps.tolist(), *further]
    identity = outgoing.slope == 1 and outgoing.intercept == 0
    return _LAYOUT.pack(
        HEADER_BYTES, b"", b"", 0, 0, b"r", 0,
        len(lengths), *lengths, *[1] * (_DIMENSIONS_MAX - len(lengths)),
        0.0, 0.0, 0.0, 0, code, bits, 0,
        *pixdim, *[0.0] * (8 - len(pixdim)),
        float(VOXELS_OFFSET), *((0.0, 0.0) if identity else (outgoing.slope, outgoing.intercept)),
        0, 0, _MM | (_TIME_UNITS.get(time.unit, 0) if time is not None else 0),
        0.0, 0.0, 0.0, first_time,
        0, 0, f"pacscore {__version__}".encode(), b"",
        0 if is_sheared(to_ras) else _SCANNER, _SCANNER,
        *quaternion, *to_ras[:3, 3].tolist(), *to_ras[:3].reshape(-1).tolist(),
        b"", b"n+1",
    ) + bytes(VOXELS_OFFSET - HEADER_BYTES)  # fmt: skip


def _timing(axis: Axis | None) -> tuple[float, float]:
    """First value and step of an axis of time that is equally spaced, else 0 and 0: unknown."""
    if axis is None or axis.unit not in _TIME_UNITS or len(axis.values) < 2:
        return 0.0, 0.0
    values = np.array([value for value in axis.values if isinstance(value, float | int)], np.float64)
    if len(values) != len(axis.values) or not axis.name.endswith("time"):
        return 0.0, 0.0
    steps = np.diff(values)
    if not np.allclose(steps, steps.mean(), rtol=1e-3):
        return 0.0, 0.0
    return float(values[0]), float(steps.mean())


def _quaternion(rotation: NDArray[np.float64]) -> tuple[float, tuple[float, float, float]]:
    """``pixdim[0]`` and the quaternion's b, c, d of axes at right angles, columns of length 1 (nifti1.h, method 2).

    a is not stored and never negative. The largest of the four is computed from its square, so none is lost to
    cancellation.
    """
    handedness = 1.0 if np.linalg.det(rotation) > 0 else -1.0
    r = rotation * [1.0, 1.0, handedness]
    diagonal = np.array([
        1 + r[0, 0] + r[1, 1] + r[2, 2], 1 + r[0, 0] - r[1, 1] - r[2, 2],
        1 - r[0, 0] + r[1, 1] - r[2, 2], 1 - r[0, 0] - r[1, 1] + r[2, 2],
    ])  # fmt: skip
    # Row n holds the products of component n with a, b, c and d, times four.
    products = np.array([
        [diagonal[0], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
        [r[2, 1] - r[1, 2], diagonal[1], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]],
        [r[0, 2] - r[2, 0], r[0, 1] + r[1, 0], diagonal[2], r[1, 2] + r[2, 1]],
        [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], diagonal[3]],
    ])  # fmt: skip
    largest = products[int(np.argmax(diagonal))]
    components = largest / np.linalg.norm(largest)
    if components[0] < 0:
        components = -components
    return handedness, (float(components[1]), float(components[2]), float(components[3]))


def _write_compressed(path: Path, header: bytes, outgoing: Outgoing, level: int) -> None:
    """One gzip member whose deflate blocks are made side by side.

    Each slab ends on a byte (``Z_SYNC_FLUSH``), so that what was compressed apart can stand in one stream (RFC 1951,
    3.2.4). No time stands in the header: equal volumes make equal files.
    """

    def compress(slab: Slab) -> tuple[bytes, bytes]:
        words = outgoing.read_slab(slab).tobytes()
        return words, _deflated(words, level)

    with path.open("xb") as file:
        file.write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + _deflated(header, level))
        check, length = zlib.crc32(header), len(header)
        for words, packed in map_ordered(compress, outgoing.slabs()):
            file.write(packed)
            check, length = zlib.crc32(words, check), length + len(words)
        file.write(b"\x03\x00" + struct.pack("<II", check, length & 0xFFFFFFFF))  # An empty last block, the trailer.


def _deflated(data: bytes, level: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)


class _Turned:
    """A volume's numbers with their axes reversed, read when indexed: what nibabel takes in place of an array."""

    is_proxy = True

    def __init__(self, outgoing: Outgoing) -> None:
        self._numbers = LazyNumbers(outgoing)
        self.shape = tuple(reversed(self._numbers.shape))
        self.dtype = self._numbers.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, key: object) -> Any:
        parts = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis not in parts:
            parts.append(Ellipsis)
        found = self._numbers[tuple(reversed(parts))]
        return found.T if isinstance(found, np.ndarray) else found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("A stored volume has no array to share: numpy.asarray copies.")
        whole: NDArray[Any] = self[...]
        return whole if dtype is None else whole.astype(dtype, copy=False)
