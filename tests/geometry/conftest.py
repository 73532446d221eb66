"""Documents from pydicom data sets: an independent stand-in for what the dicom room gives."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue

_BINARY = {"OB", "OW", "OF", "OD", "OL", "OV", "UN"}
_WHOLE = {"US", "SS", "UL", "SL", "UV", "SV", "IS"}
_REAL = {"DS", "FL", "FD"}


def _value(vr: str, value: Any) -> Any:
    if value is None or value == "":
        return None
    if isinstance(value, MultiValue | list):
        return [_value(vr, item) for item in value] or None
    if vr in _WHOLE or vr in _REAL:
        try:
            return int(value) if vr in _WHOLE else float(value)
        except ValueError:
            return str(value)
    return f"{int(value):08X}" if vr == "AT" else str(value)


def document_of(dataset: pydicom.Dataset) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for element in dataset:
        tag = element.tag
        if element.VR in _BINARY or tag.element == 0 or tag.is_private_creator:
            continue
        if tag.is_private:
            creator = dataset.get((tag.group, tag.element >> 8))
            if creator is None:
                continue
            key = f"{creator.value}:{tag.group:04X}xx{tag.element & 0xFF:02X}"
        else:
            key = element.keyword or f"{int(tag):08X}"
        if element.VR == "SQ":
            document[key] = [document_of(item) for item in element.value]
        else:
            document[key] = _value(element.VR, element.value)
    return document


def _documents(paths: Iterator[Path]) -> dict[str, list[dict[str, Any]]]:
    series: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(paths):
        if not path.is_file():
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = pydicom.dcmread(path, stop_before_pixels=True)
                if "SOPInstanceUID" in dataset:
                    series.setdefault(dataset.SeriesInstanceUID, []).append(document_of(dataset))
        except (InvalidDicomError, AttributeError):
            continue
    return series


@pytest.fixture(scope="session")
def series_documents(data: Path) -> Callable[[str], dict[str, list[dict[str, Any]]]]:
    """Folder below the test data -> its documents by Series Instance UID."""
    known: dict[str, dict[str, list[dict[str, Any]]]] = {}

    def load(folder: str) -> dict[str, list[dict[str, Any]]]:
        if folder not in known:
            known[folder] = _documents((data / folder).rglob("*"))
        return known[folder]

    return load


@pytest.fixture(scope="session")
def to_document() -> Callable[[pydicom.Dataset], dict[str, Any]]:
    """A pydicom data set as a document."""
    return document_of
