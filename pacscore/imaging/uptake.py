"""Standardised uptake values of PET: activity concentration over the dose given per body weight, lean mass or surface.

Every precondition is checked and none is guessed: a wrong decay correction or a missing weight gives numbers that look
right. Source: PS3.3 C.8.9 (PET attributes); R. Boellaard et al., Eur. J. Nucl. Med. Mol. Imaging 42 (2015) 328.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from pacscore.errors import InputError, UnsupportedError
from pacscore.imaging.values import Rescale

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

NORMALISATIONS = {"body weight": "g/ml", "lean mass": "g/ml", "body surface": "cm2/ml"}
"""What uptake is divided by, and the unit that gives; Units (0054,1001) GML and CM2ML."""

_Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Uptake:
    """What standardised uptake values are computed from.

    Attributes
    ----------
    dose_bq : float
        Radionuclide Total Dose (0018,1074), at the time of injection.
    decay_s : float
        Time from injection to the moment to which the image was corrected; 0 where that is the injection itself.
    half_life_s : float
        Radionuclide Half Life (0018,1075).
    weight_kg : float
        Patient's Weight (0010,1030).
    size_m : float, optional
        Patient's Size (0010,1020).
    sex : str
        Patient's Sex (0010,0040).
    """

    dose_bq: float
    decay_s: float
    half_life_s: float
    weight_kg: float
    size_m: float | None = None
    sex: str = ""

    @classmethod
    def of(cls, document: _Document) -> Uptake:
        """From the attributes of a PET image, by DICOM keyword.

        Raises
        ------
        InputError
            An attribute that is needed is missing or cannot be; the message names it.
        UnsupportedError
            Values are not in becquerels per millilitre, or were corrected for decay in another way.
        """
        _check_image(document)
        dose = _first(document.get("RadiopharmaceuticalInformationSequence"))
        if not dose:
            raise InputError("Radiopharmaceutical Information Sequence (0054,0016) is missing: there is no dose.")
        half_life = _positive(dose, "RadionuclideHalfLife", "Radionuclide Half Life (0018,1075)")
        return cls(
            _positive(dose, "RadionuclideTotalDose", "Radionuclide Total Dose (0018,1074)"),
            _decay_seconds(document, dose, half_life),
            half_life,
            _positive(document, "PatientWeight", "Patient's Weight (0010,1030)"),
            _number(document.get("PatientSize")),
            str(document.get("PatientSex") or ""),
        )

    def factor(self, normalisation: str = "body weight") -> float:
        """What activity concentrations in Bq/ml are multiplied by.

        Parameters
        ----------
        normalisation : str
            ``body weight``; ``lean mass`` (S. Janmahasatian et al., Clin. Pharmacokinet. 44 (2005) 1051, from weight,
            size and sex); ``body surface`` (D. Du Bois and E. F. Du Bois, Arch. Intern. Med. 17 (1916) 863).

        Raises
        ------
        InputError
            Another normalisation, or size or sex are needed and missing.
        """
        if normalisation not in NORMALISATIONS:
            raise InputError(f"Uptake is by {', '.join(NORMALISATIONS)}, not {normalisation!r}.", found=normalisation)
        dose = self.dose_bq * math.exp2(-self.decay_s / self.half_life_s)
        if normalisation == "body weight":
            return self.weight_kg * 1000.0 / dose
        size = self.size_m
        if size is None or not 0.2 < size < 3.0:
            raise InputError(
                f"Uptake by {normalisation} needs Patient's Size (0010,1020) in metres: it is {size}.", tag="00101020"
            )
        if normalisation == "body surface":
            surface_m2 = 0.007184 * math.pow(self.weight_kg, 0.425) * math.pow(size * 100, 0.725)
            return surface_m2 * 1e4 / dose
        if self.sex not in {"M", "F"}:
            raise InputError(
                "Uptake by lean mass needs Patient's Sex (0010,0040) M or F: it is another or missing.", tag="00100040"
            )
        index = self.weight_kg / size**2
        below = 6680 + 216 * index if self.sex == "M" else 8780 + 244 * index
        return 9270 * self.weight_kg / below * 1000.0 / dose


def suv(volume: Volume, facts: Uptake | _Document, *, normalisation: str = "body weight") -> Volume:
    """Standardised uptake values of a PET volume: the same stored values with another rescale.

    Parameters
    ----------
    facts : Uptake or mapping
        What they are computed from: itself, or the attributes of one of the series' images (``Instance.document()``).
    normalisation : str
        ``body weight``, ``lean mass`` or ``body surface``; see ``Uptake.factor``.

    Returns
    -------
    Volume
        Lazy as before; its unit is g/ml, or cm2/ml by body surface.

    Raises
    ------
    InputError
        The volume is no PET in BQML, an attribute is missing or cannot be, or there is no such normalisation.
    UnsupportedError
        Values are not in Bq/ml, or were corrected for decay in another way.
    """
    if volume.presentation.modality != "PT" or volume.rescale.unit != "BQML":
        raise InputError(
            f"Uptake is computed of PET in BQML: this is {volume.presentation.modality or 'of unknown modality'} in "
            f"{volume.rescale.unit or 'an unknown unit'}, (0054,1001).",
            expected="BQML",
            found=volume.rescale.unit,
        )
    known = facts if isinstance(facts, Uptake) else Uptake.of(facts)
    factor = known.factor(normalisation)
    if volume.rescale.tables:
        raise UnsupportedError("A PET with a Modality LUT (0028,3000) has no slope to scale.")
    rescale = volume.rescale
    scaled = Rescale(
        rescale.slopes * factor, rescale.intercepts * factor, (), NORMALISATIONS[normalisation], rescale.missing
    )
    shown = replace(volume.presentation, windows=(), voi_tables=())
    said = f"standardised uptake by {normalisation}"
    return replace(volume, rescale=scaled, presentation=shown, derivation=(*volume.derivation, said))


def _check_image(document: _Document) -> None:
    units = document.get("Units")
    if units != "BQML":
        already = " They are uptake values already." if units in {"GML", "CM2ML"} else ""
        raise UnsupportedError(
            f"Units (0054,1001) are {units or 'missing'}; uptake is computed from BQML.{already}",
            tag="00541001",
            expected="BQML",
            found=units,
        )
    corrected = document.get("CorrectedImage")
    done = set(corrected if isinstance(corrected, (list, tuple)) else [corrected])
    if missing := {"ATTN", "DECY"} - done:
        raise InputError(
            f"Corrected Image (0028,0051) lacks {' and '.join(sorted(missing))}: values that are not corrected for "
            "attenuation and decay give no uptake.",
            tag="00280051",
        )
    if document.get("DecayCorrection") not in {"START", "ADMIN"}:
        raise UnsupportedError(
            f"Decay Correction (0054,1102) is {document.get('DecayCorrection') or 'missing'}; START and ADMIN are "
            "supported.",
            tag="00541102",
        )


def _decay_seconds(document: _Document, dose: _Document, half_life: float) -> float:
    if document.get("DecayCorrection") == "ADMIN":
        return 0.0
    scan = _moment(document.get("SeriesDate"), document.get("SeriesTime"))
    acquired = _moment(document.get("AcquisitionDate"), document.get("AcquisitionTime"))
    # A series that was made again after the scan has a later time; the decay was corrected to the first acquisition.
    if scan is None or (acquired is not None and acquired < scan):
        raise InputError(
            "The start of the scan is unknown: Series Date and Time (0008,0021), (0008,0031) are missing or later than "
            "the acquisition. Give an Uptake made by hand.",
            tag="00080031",
        )
    given = dose.get("RadiopharmaceuticalStartDateTime")
    if given:
        injected = _moment(str(given)[:8], str(given)[8:])
    else:
        injected = _moment(document.get("SeriesDate"), dose.get("RadiopharmaceuticalStartTime"))
    if injected is None:
        raise InputError(
            "Radiopharmaceutical Start DateTime (0018,1078) and Start Time (0018,1072) are missing: the decay since "
            "the injection is unknown.",
            tag="00181078",
        )
    elapsed = (scan - injected).total_seconds()
    if elapsed < 0 or elapsed > 20 * half_life:
        raise InputError(
            f"The scan begins {elapsed:g} s after the injection, which cannot be: correct (0018,1078) or (0018,1072), "
            "or give Radiopharmaceutical Start DateTime where midnight lies between.",
            tag="00181078",
            found=elapsed,
        )
    return elapsed


def _moment(date: Any, time: Any) -> datetime | None:
    """Of a DA and a TM; None where they are none. Offsets from UTC are the same for all and left out."""
    if not (isinstance(date, str) and isinstance(time, str) and len(date) == 8 and date.isdigit()):
        return None
    clock, _, fraction = time.partition("+")[0].partition("-")[0].partition(".")
    if len(clock) not in {2, 4, 6} or not clock.isdigit() or (fraction and not fraction.isdigit()):
        return None
    clock = clock.ljust(6, "0")
    try:
        whole = datetime.strptime(date + clock, "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return whole + timedelta(seconds=float(f"0.{fraction or 0}"))


def _first(value: Any) -> _Document:
    items = value if isinstance(value, (list, tuple)) else []
    return items[0] if items and isinstance(items[0], Mapping) else {}


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float, np.number)) and math.isfinite(value) and value > 0
    return float(value) if is_number else None


def _positive(document: _Document, keyword: str, name: str) -> float:
    number = _number(document.get(keyword))
    if number is None:
        raise InputError(f"{name} is missing or not a positive number: uptake cannot be computed.", attribute=keyword)
    return number
