"""Readers of projections: HDF5 (DXchange, NeXus), MetaImage, TIFF, NumPy; and of RTK's geometry XML."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, UnsupportedError
from pacscore.recon.cone_geometries import ConeGeometry
from pacscore.recon.geometries import PIXELS_MAX
from pacscore.recon.raw_projections import RawProjections

_HEADER_BYTES_MAX = 1 << 16
_XML_BYTES_MAX = 1 << 28
_METAIMAGE_TYPES = {
    "MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_SHORT": "i2", "MET_UINT": "u4", "MET_INT": "i4",
    "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip


def read_npy(path: Path) -> RawProjections:
    """(views, rows, columns), or (views, columns) of a single row.

    Raises
    ------
    InputError
        It holds no such array.
    """
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError("The file is no NumPy array.", path=str(path)) from error
    return RawProjections(_stack(values, path))


def read_hdf5(path: Path) -> RawProjections:
    """DXchange or NeXus.

    Raises
    ------
    UnsupportedError
        h5py is not installed.
    InputError
        The file is neither, or holds no projections.
    """
    try:
        import h5py
    except ImportError as error:
        raise UnsupportedError("h5py is not installed: pip install 'pacscore[recon]'.") from error
    try:
        with h5py.File(path, "r") as file:
            if "exchange/data" in file:
                return _exchange(file["exchange"], path)
            for group in _nexus_groups(file):
                return _nexus(group, path)
    except OSError as error:
        raise InputError("The file is no HDF5 file, or damaged.", path=str(path)) from error
    raise InputError("The file has neither /exchange/data (DXchange) nor an NXtomo entry (NeXus).", path=str(path))


def _exchange(group: Any, path: Path) -> RawProjections:
    read = {name: group[name][()] for name in ("data", "data_white", "data_dark", "theta") if name in group}
    theta = read.get("theta")
    units = group["theta"].attrs.get("units", "deg") if theta is not None else "deg"
    return RawProjections(
        _stack(read["data"], path), read.get("data_white"), read.get("data_dark"), _angles(theta, units)
    )


def _nexus_groups(file: Any) -> list[Any]:
    found: list[Any] = []

    def visit(name: str, item: Any) -> None:
        if name.endswith(("detector/image_key", "detector/data/image_key")):
            found.append(item.parent)

    file.visititems(visit)
    return found


def _nexus(detector: Any, path: Path) -> RawProjections:
    """NXtomo: frames of all kinds in one stack, told apart by image_key (0 object, 1 flat, 2 dark)."""
    keys = np.asarray(detector["image_key"][()]).reshape(-1).astype(int)
    frames = _stack(detector["data"][()], path)
    if frames.shape[0] != keys.size:
        raise InputError(f"{keys.size} image keys for {frames.shape[0]} frames.", path=str(path))
    entry = detector.parent.parent
    rotation = next((entry[name] for name in ("sample/rotation_angle", "rotation_angle") if name in entry), None)
    angles = None
    if rotation is not None:
        every = _angles(np.asarray(rotation[()]).reshape(-1), rotation.attrs.get("units", "deg"))
        angles = every[keys == 0] if every is not None and every.size == keys.size else every
    spacing = None
    if "x_pixel_size" in detector and "y_pixel_size" in detector:
        factor = {"m": 1000.0, "mm": 1.0, "um": 1e-3}.get(_text(detector["x_pixel_size"].attrs.get("units", "m")), 1.0)
        sizes = [float(np.ravel(detector[name][()])[0]) * factor for name in ("y_pixel_size", "x_pixel_size")]
        spacing = (sizes[0], sizes[1])
    flats, darks = frames[keys == 1], frames[keys == 2]
    return RawProjections(
        frames[keys == 0], flats if len(flats) else None, darks if len(darks) else None, angles, spacing
    )


def _text(value: Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _angles(theta: NDArray[Any] | None, units: Any) -> NDArray[np.float64] | None:
    if theta is None:
        return None
    angles = np.asarray(theta, np.float64).reshape(-1)
    return angles if _text(units).lower().startswith("rad") else np.deg2rad(angles)


def read_tiffs(paths: Sequence[Path]) -> RawProjections:
    """One multi-page file, or one view a file in the order given.

    Raises
    ------
    InputError
        A file is no TIFF image, or images differ in size.
    """
    from PIL import Image, ImageSequence, UnidentifiedImageError

    frames: list[NDArray[Any]] = []
    for path in paths:
        try:
            with Image.open(path) as image:
                frames.extend(np.array(page) for page in ImageSequence.Iterator(image))
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise InputError("The file is no TIFF image that can be read.", path=str(path)) from error
    if len({frame.shape for frame in frames}) != 1 or frames[0].ndim != 2:
        raise InputError("TIFF projections must be grey images of one size.", path=str(paths[0]))
    return RawProjections(frames[0][:, None, :] if len(frames) == 1 else np.stack(frames))


def read_metaimage(path: Path) -> RawProjections:
    """A MetaImage stack, columns fastest, then rows, then views; spacing and origin as RTK uses them.

    Raises
    ------
    InputError
        The header is not of a MetaImage, or the data do not fit it.
    UnsupportedError
        Data in several files, or of a type that is no number.
    """
    whole = path.read_bytes()
    end = whole.find(b"ElementDataFile", 0, _HEADER_BYTES_MAX)
    stop = whole.find(b"\n", end)
    if end < 0:
        raise InputError("The file is no MetaImage: ElementDataFile is missing.", path=str(path))
    stop = len(whole) if stop < 0 else stop
    lines = whole[:stop].decode("ascii", "replace").splitlines()
    header = dict(re.split(r"\s*=\s*", line.strip(), maxsplit=1) for line in lines if "=" in line)
    try:
        shape = tuple(int(word) for word in header["DimSize"].split())[::-1]
        kind = np.dtype(_METAIMAGE_TYPES[header["ElementType"]])
        spacing = [float(word) for word in header.get("ElementSpacing", "1 1 1").split()]
        offset = [float(word) for word in header.get("Offset", header.get("Position", "0 0 0")).split()]
    except (KeyError, ValueError) as error:
        raise InputError("The MetaImage header is incomplete or of an unknown type.", path=str(path)) from error
    if header.get("BinaryDataByteOrderMSB", header.get("ElementByteOrderMSB", "False")).lower() == "true":
        kind = kind.newbyteorder(">")
    if len(shape) != 3 or min(shape) < 1 or math.prod(shape) > PIXELS_MAX or len(spacing) < 2:
        raise InputError(f"Projections have three dimensions; the header says {shape}.", path=str(path))
    data = whole[stop + 1 :] if header["ElementDataFile"] == "LOCAL" else _beside(path, header["ElementDataFile"])
    expected = math.prod(shape) * kind.itemsize
    if header.get("CompressedData", "False").lower() == "true":
        data = zlib.decompressobj().decompress(data, expected)
    if len(data) < expected:
        raise InputError(f"The header asks for {expected} bytes and {len(data)} are there.", path=str(path))
    values = np.frombuffer(data, kind, math.prod(shape)).reshape(shape)
    return RawProjections(values, spacing_mm=(spacing[1], spacing[0]), origin_mm=(offset[0], offset[1]))


def _beside(path: Path, name: str) -> bytes:
    target = path.parent / name
    if Path(name).name != name or not target.is_file():
        raise UnsupportedError("The data of a MetaImage must lie in one file beside its header.", path=str(path))
    return target.read_bytes()


def _stack(values: NDArray[Any], path: Path) -> NDArray[Any]:
    stacked = values[:, None, :] if values.ndim == 2 else values
    if stacked.ndim != 3 or stacked.dtype.kind not in "fiu" or 0 in stacked.shape:
        raise InputError(
            f"Projections are real numbers (views, rows, columns); this array is {values.dtype} {values.shape}.",
            path=str(path),
        )
    return stacked


def read_rtk_geometry(
    path: Path, *, shape: tuple[int, int, int], spacing_mm: tuple[float, float], origin_mm: tuple[float, float]
) -> ConeGeometry:
    """The geometry that RTK's XML file gives to a stack.

    Parameters
    ----------
    shape : tuple of int
        ``(views, rows, columns)`` of the stack.
    spacing_mm, origin_mm : tuple of float
        As the stack's header has them: spacing of rows and columns, place of the first pixel along columns and rows.

    Returns
    -------
    ConeGeometry
        RTK turns about its y axis; here that is z: RTK's (x, y, z) are (y, z, x).

    Raises
    ------
    InputError
        The file is none of RTK's, or has another number of views.
    UnsupportedError
        The detector is cylindrical.
    """
    if path.stat().st_size > _XML_BYTES_MAX:
        raise InputError("The geometry file is too large to be one.", path=str(path))
    text = path.read_text("utf-8", "replace")
    if "RTKThreeDCircularGeometry" not in text:
        raise InputError("The file is no geometry of RTK (RTKThreeDCircularGeometry).", path=str(path))
    # The numbers are all that is wanted; a pattern reads them without following anything the XML might refer to.
    radius = re.search(r"<RadiusCylindricalDetector>\s*([^<\s]+)", text)
    if radius and float(radius.group(1)) != 0.0:
        raise UnsupportedError("RTK geometries with a cylindrical detector are not read.", path=str(path))
    try:
        matrices = np.array(
            [[float(word) for word in found.split()] for found in re.findall(r"<Matrix>([^<]*)</Matrix>", text)]
        ).reshape(-1, 3, 4)
    except ValueError as error:
        raise InputError("A matrix of the geometry is not 12 numbers.", path=str(path)) from error
    if matrices.shape[0] != shape[0]:
        raise InputError(f"The geometry has {matrices.shape[0]} views, the stack {shape[0]}.", path=str(path))
    ours = matrices[:, :, [2, 0, 1, 3]].copy()
    ours[:, 0] = (ours[:, 0] - origin_mm[0] * ours[:, 2]) / spacing_mm[1]
    ours[:, 1] = (ours[:, 1] - origin_mm[1] * ours[:, 2]) / spacing_mm[0]
    return ConeGeometry.from_matrices(ours, row_count=shape[1], column_count=shape[2], column_spacing_mm=spacing_mm[1])
