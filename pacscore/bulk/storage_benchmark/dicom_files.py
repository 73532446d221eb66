"""Plain DICOM files, read by pydicom and by SimpleITK."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.bulk.storage_benchmark.cases import Case
from pacscore.bulk.storage_benchmark.ways import Box, Way


class _WithPydicom:
    """Files sorted along the normal of their slices, as every tutorial has it; a box reads the files it meets."""

    def __init__(self, folder: Path) -> None:
        import pydicom

        self._read = pydicom.dcmread
        tags = ["ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns"]
        places = []
        for path in folder.iterdir():
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
            axes = np.array(header.ImageOrientationPatient, float)
            along = float(np.dot(np.cross(axes[:3], axes[3:]), np.array(header.ImagePositionPatient, float)))
            places.append((along, path, (header.Rows, header.Columns)))
        places.sort()
        self._paths = [path for _, path, _ in places]
        self.shape: tuple[int, ...] = (len(places), *places[0][2])

    def read(self, box: Box) -> NDArray[Any]:
        frames = [self._read(path).pixel_array[box[1:]] for path in self._paths[box[0]]]
        return np.stack(frames)

    def close(self) -> None:
        self._paths = []


class _WithSimpleItk:
    """ImageSeriesReader on the files that GDCM has sorted; a box reads the files it meets."""

    def __init__(self, folder: Path) -> None:
        import SimpleITK

        SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)  # It warns of uneven slices at each reading.
        self._sitk = SimpleITK
        self._names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(self._names[0])
        reader.ReadImageInformation()
        columns, rows = reader.GetSize()[:2]
        self.shape: tuple[int, ...] = (len(self._names), rows, columns)

    def read(self, box: Box) -> NDArray[Any]:
        names = self._names[box[0]]
        if len(names) == 1:
            values = self._sitk.GetArrayFromImage(self._sitk.ReadImage(names[0])).reshape(1, *self.shape[1:])
        else:
            reader = self._sitk.ImageSeriesReader()
            reader.SetFileNames(names)
            values = self._sitk.GetArrayFromImage(reader.Execute())
        return np.asarray(values[(slice(None), *box[1:])])

    def close(self) -> None:
        self._names = ()


def _copy(case: Case, folder: Path) -> None:
    for path in case.files:
        shutil.copyfile(path, folder / path.name)


def _headers_with_pydicom(folder: Path) -> list[str]:
    import pydicom

    return sorted(str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in folder.iterdir())


def _headers_with_simple_itk(folder: Path) -> list[str]:
    import SimpleITK

    uids = []
    for path in folder.iterdir():
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        uids.append(reader.GetMetaData("0008|0018").strip("\0 "))
    return sorted(uids)


DICOM_WAYS = (
    Way(
        "dicom-pydicom", "DICOM files as they are; dcmread, sorted by position", ("pydicom",), _copy, _WithPydicom,
        headers=_headers_with_pydicom, keeps_originals=True,
    ),
    Way(
        "dicom-simpleitk", "DICOM files as they are; ImageSeriesReader, rescaled", ("SimpleITK",), _copy,
        _WithSimpleItk, headers=_headers_with_simple_itk, keeps_originals=True, rescales=True,
    ),
)  # fmt: skip
