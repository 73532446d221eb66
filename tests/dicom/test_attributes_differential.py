"""Documents of every real object, nested and private elements included, compared with pydicom's values."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pacscore.dicom.attributes import Header
from pacscore.dicom.scan import scan
from pacscore.errors import PacscoreError

pydicom = pytest.importorskip("pydicom")

BLANKS_LEAD = {"AE", "CS", "LO", "PN", "SH"}
BINARY = {"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW"}
LUT_DATA = 0x00283006
# A private sequence under implicit VR, which pydicom takes for bytes.
MORE_THAN_PYDICOM = {"priv_SQ.dcm"}


def object_paths(data: Path) -> list[Path]:
    """Every single object, and the first three of each series."""
    paths = [path for folder in ("single", "broken") for path in sorted((data / folder).rglob("*"))]
    for series in sorted((data / "series").iterdir()):
        paths += sorted(path for path in series.rglob("*") if path.is_file())[:3]
    return [path for path in paths if path.is_file()]


def expected_document(dataset: Any, charset: str, *, top: bool) -> dict[str, Any]:
    document: dict[str, Any] = {}
    own = dataset.get("SpecificCharacterSet", charset)
    for tag in sorted(dataset.keys()):
        raw = dataset.get_item(tag)
        if tag.element == 0 or (top and tag.group == 2):
            continue
        if raw.VR == "UN" and tag.is_private and tag.element >= 0x1000 and not isinstance(raw.value, pydicom.Sequence):
            continue
        if tag.is_private and not isinstance(raw, pydicom.dataelem.RawDataElement) and raw.is_empty:
            # While it reads, pydicom gives empty private UN the VR of its private dictionary: nothing to compare with.
            document[key_of(dataset, tag)] = REFUSED
            continue
        try:
            element = dataset[tag]
        except Exception:  # pydicom refuses some values; then there is nothing to compare with.
            document[key_of(dataset, tag)] = REFUSED
            continue
        if tag == LUT_DATA:  # Words for us, whatever the VR; bytes for pydicom under OW.
            document[key_of(dataset, tag)] = REFUSED
            continue
        if element.VR in BINARY:
            continue
        document[key_of(dataset, tag)] = expected_value(element, own)
    return document


REFUSED = object()


def key_of(dataset: Any, tag: Any) -> str:
    if tag.is_private:
        creator = None
        if tag.element >= 0x1000:
            creator = dataset.get((tag.group, tag.element >> 8))
        name = str(creator.value).strip(" \0") if creator is not None and creator.value else ""
        return f"{name}:{tag.group:04X}xx{tag.element & 0xFF:02X}" if name else f"{int(tag):08X}"
    entry = pydicom.datadict.DicomDictionary.get(tag)
    return entry[4] if entry is not None and entry[4] else f"{int(tag):08X}"


def expected_value(element: Any, charset: Any) -> Any:
    value = element.value
    if element.VR == "SQ":
        return [expected_document(item, charset, top=False) for item in value] or None
    if isinstance(value, pydicom.multival.MultiValue | list):
        return [expected_scalar(part, element.VR, charset) for part in value] or None
    scalar = expected_scalar(value, element.VR, charset)
    return None if scalar == "" else scalar


def expected_scalar(value: Any, vr: str, charset: Any) -> Any:
    if value is None:
        return None
    if vr == "AT":
        return f"{int(value):08X}"
    if vr in ("DS", "IS"):
        try:
            return float(value) if vr == "DS" else int(value)
        except ValueError:  # No number, which pydicom lets through too.
            return str(value).strip(" \0") or None
    if isinstance(value, int | float) and vr not in ("DA", "TM"):
        return value
    text = str(value).rstrip(" \0")
    text = text.lstrip(" ") if vr in BLANKS_LEAD else text
    if "\x1b$)A" in text:  # pydicom does not know that GB 2312 may be designated under GB18030.
        return REFUSED
    # Where no character set is stated pydicom takes Latin-1; PS3.5 6.1.2.2 says ASCII, so anything else is unknown.
    if not charset or vr not in ("SH", "LO", "ST", "PN", "LT", "UC", "UT"):
        text = "".join(character if character < "\x80" else "\ufffd" for character in text)
    return text


def differences(found: Any, expected: Any, where: str) -> list[str]:
    if expected is REFUSED:
        return []
    if isinstance(expected, dict) and isinstance(found, dict):
        expected = {key: value for key, value in expected.items() if value is not REFUSED or key in found}
        problems = [f"{where}: {sorted(found.keys() ^ expected.keys())}"] if found.keys() != expected.keys() else []
        for key in found.keys() & expected.keys():
            problems += differences(found[key], expected[key], f"{where}.{key}")
        return problems
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [
            problem
            for index, pair in enumerate(zip(found, expected, strict=True))
            for problem in differences(*pair, f"{where}[{index}]")
        ]
    same = type(found) is type(expected) and found == expected
    if isinstance(expected, float) and isinstance(found, float):
        same = found == expected or (math.isnan(found) and math.isnan(expected))
    return [] if same else [f"{where}: {found!r}, pydicom {expected!r}"]


def test_documents_of_all_real_objects_equal_pydicoms(data: Path) -> None:
    problems: list[str] = []
    outcome: Counter[str] = Counter()
    for path in object_paths(data):
        whole = path.read_bytes()
        try:
            header = Header(whole, scan(whole))
        except PacscoreError:
            outcome["not scanned"] += 1
            continue
        if path.name in MORE_THAN_PYDICOM:
            continue
        found = header.document()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            expected = expected_document(dataset, "", top=True)
        outcome["compared"] += 1
        problems += differences(found, expected, path.name)
    assert not problems, f"{len(problems)} differences, such as\n" + "\n".join(problems[:60])
    assert outcome["compared"] > 200, outcome
