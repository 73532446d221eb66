"""What was set at the scanner, under the names of BIDS: the JSON file beside an exported image.

B1  Only what the table below names goes out: nothing of the patient, no dates, UIDs, institutions or serial numbers.
B2  A value is stated where all images of the stack have the same one; what differs between them is left out.
B3  Units are those of BIDS: seconds, tesla, degrees, becquerel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pacscore.version import __version__

if TYPE_CHECKING:
    from pacscore.archive.series import Series

_MILLI = 1e-3
_YES = {"YES": True, "NO": False}
_PET_UNITS = {"BQML": "Bq/mL", "CNTS": "counts", "CPS": "counts/s", "GML": "g/mL", "PROPCNTS": "proportional counts"}


def _plain(value: Any) -> Any:
    return value if value not in ("", [], None) else None


def _seconds(value: Any) -> float | None:
    """Of milliseconds; BIDS has no time of 0 for a pulse that was not played."""
    return round(value * _MILLI, 9) if isinstance(value, int | float) and value > 0 else None


def _number(value: Any) -> float | int | None:
    return value if isinstance(value, int | float) else None


def _tracer(items: Any) -> Mapping[str, Any]:
    return items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}


def _meaning(items: Any) -> str | None:
    found = _tracer(items).get("CodeMeaning")
    return str(found) if found else None


# Name in BIDS, keywords in DICOM of which the first that is stated counts, and how the value is written.
_NAMES: tuple[tuple[str, tuple[str, ...], Callable[[Any], Any]], ...] = (
    ("Manufacturer", ("Manufacturer",), _plain),
    ("ManufacturersModelName", ("ManufacturerModelName",), _plain),
    ("SoftwareVersions", ("SoftwareVersions",), _plain),
    ("BodyPart", ("BodyPartExamined",), _plain),
    ("ContrastBolusIngredient", ("ContrastBolusIngredient",), _plain),
    ("SliceThickness", ("SliceThickness",), _number),
)
_MR_NAMES: tuple[tuple[str, tuple[str, ...], Callable[[Any], Any]], ...] = (
    ("MagneticFieldStrength", ("MagneticFieldStrength",), _number),
    ("ReceiveCoilName", ("ReceiveCoilName",), _plain),
    ("MRAcquisitionType", ("MRAcquisitionType",), _plain),
    ("ScanningSequence", ("ScanningSequence",), _plain),
    ("SequenceVariant", ("SequenceVariant",), _plain),
    ("ScanOptions", ("ScanOptions",), _plain),
    ("SequenceName", ("SequenceName", "PulseSequenceName"), _plain),
    # BIDS calls the first the time between excitations and the second that between volumes, and names Repetition Time
    # (0018,0080) for both; dcm2niix, whose files most data sets are made of, writes the second.
    ("RepetitionTimeExcitation", ("RepetitionTime",), _seconds),
    ("RepetitionTime", ("RepetitionTime",), _seconds),
    ("EchoTime", ("EchoTime", "EffectiveEchoTime"), _seconds),
    ("InversionTime", ("InversionTime",), _seconds),
    ("FlipAngle", ("FlipAngle",), _number),
    ("ParallelReductionFactorInPlane", ("ParallelReductionFactorInPlane",), _number),
    ("ParallelReductionFactorOutOfPlane", ("ParallelReductionFactorOutOfPlane",), _number),
    ("ParallelAcquisitionTechnique", ("ParallelAcquisitionTechnique",), _plain),
    ("PartialFourierDirection", ("PartialFourierDirection",), _plain),
)
_PET_NAMES: tuple[tuple[str, tuple[str, ...], Callable[[Any], Any]], ...] = (
    ("Units", ("Units",), lambda value: _PET_UNITS.get(value, _plain(value))),
    ("ReconMethodName", ("ReconstructionMethod",), _plain),
    ("AttenuationCorrection", ("AttenuationCorrectionMethod",), _plain),
    ("ScatterCorrection", ("ScatterCorrectionMethod",), _plain),
    ("RandomsCorrection", ("RandomsCorrectionMethod",), _plain),
)
# BIDS describes no CT: the keywords of DICOM, in its units, as converters write them.
_CT_NAMES: tuple[tuple[str, tuple[str, ...], Callable[[Any], Any]], ...] = tuple(
    (name, (name,), _plain)
    for name in ("KVP", "XRayTubeCurrent", "ExposureTime", "Exposure", "ConvolutionKernel", "ScanOptions")
)
_OF_MODALITY = {"MR": _MR_NAMES, "PT": _PET_NAMES, "CT": _CT_NAMES}


def sidecar(series: Series, stack: int) -> bytes:
    """The JSON text of a stack's acquisition; it depends on the stored objects and the version of pacscore alone.

    Raises
    ------
    DamagedError, StorageError
        A header cannot be read.
    """
    stated = _Stated(series, stack)
    modality = series.document.get("Modality")
    found: dict[str, Any] = {"Modality": modality} if modality else {}
    for name, keywords, written in (*_NAMES, *_OF_MODALITY.get(str(modality), ())):
        value = next(filter(lambda each: each is not None, (written(stated.value(each)) for each in keywords)), None)
        if value is not None:
            found[name] = value
    if modality == "PT":
        found |= _injected(_tracer(stated.value("RadiopharmaceuticalInformationSequence")))
    found |= {"ConversionSoftware": "pacscore", "ConversionSoftwareVersion": __version__}
    return (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode()


def _injected(tracer: Mapping[str, Any]) -> dict[str, Any]:
    """What was injected; when it was is left out, being a time of day of the patient's visit."""
    found: dict[str, Any] = {
        "TracerName": _plain(tracer.get("Radiopharmaceutical"))
        or _meaning(tracer.get("RadiopharmaceuticalCodeSequence")),
        "TracerRadionuclide": _meaning(tracer.get("RadionuclideCodeSequence")),
        "InjectedRadioactivity": _number(tracer.get("RadionuclideTotalDose")),
    }
    if found["InjectedRadioactivity"] is not None:
        found["InjectedRadioactivityUnits"] = "Bq"
    return {name: value for name, value in found.items() if value is not None}


class _Stated:
    """The values that all images of a stack share."""

    def __init__(self, series: Series, stack: int) -> None:
        self._series = series
        self._varying = frozenset(series._record.varying)
        self._ordinals = sorted(set(series.stacks[stack].frames[:, 0].tolist()))
        self._frames = series.stacks[stack].frames
        self._documents: list[Mapping[str, Any]] | None = None
        self._groups: list[Any] | None = None

    def value(self, keyword: str) -> Any:
        """Of the series, of the stack where they differ between stacks, or of the frames of enhanced objects."""
        if keyword in self._varying:
            return _common(document.get(keyword) for document in self._of_stack())
        found = self._series.document.get(keyword)
        if found is None and "SharedFunctionalGroupsSequence" in self._series.document:
            found = _in_groups(self._series.document["SharedFunctionalGroupsSequence"], keyword)
            if found is None:
                found = _common(_in_groups([group], keyword) for group in self._of_frames())
        return found

    def _of_frames(self) -> list[Any]:
        """The functional groups of each frame of the stack (PS3.3 C.7.6.16)."""
        if self._groups is None:
            from pacscore.archive.instance import Instance

            sequence = "PerFrameFunctionalGroupsSequence"
            stated = {each: Instance(self._series, each).document({sequence}).get(sequence) for each in self._ordinals}
            self._groups = [
                groups[index] if isinstance(groups := stated[ordinal], list) and index < len(groups) else {}
                for ordinal, index in self._frames.tolist()
            ]
        return self._groups

    def _of_stack(self) -> list[Mapping[str, Any]]:
        if self._documents is None:
            from pacscore.archive.instance import Instance

            wanted = {keyword for table in (_NAMES, *_OF_MODALITY.values()) for _, each, _ in table for keyword in each}
            wanted &= self._varying
            self._documents = [Instance(self._series, each).document(wanted) for each in self._ordinals]
        return self._documents


def _common(values: Iterator[Any]) -> Any:
    first = next(values, None)
    return first if all(each == first for each in values) else None


def _in_groups(groups: Any, keyword: str) -> Any:
    """A value of the functional groups that all frames share, or of those of one (PS3.3 C.7.6.16)."""
    for macro in _tracer(groups).values():
        if keyword in _tracer(macro):
            return _tracer(macro)[keyword]
    return None
