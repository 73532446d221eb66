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

NORMALISATIONS = {
    "body weight": "g/ml",
    "lean mass": "g/ml",
    "lean mass James": "g/ml",
    "body surface": "cm2/ml",
}
"""What uptake is divided by, and the unit that gives; Units (0054,1001) GML and CM2ML."""

_BY_TYPE = {"BW": "body weight", "LBMJANMA": "lean mass", "LBMJAMES128": "lean mass James", "BSA": "body surface"}
"""SUV Type (0054,1006), PS3.3 C.8.9.1.1.13."""

UPTAKE_UNITS = ("BQML", "CNTS", "GML", "CM2ML")
"""Units (0054,1001) of which uptake can be made."""

PHILIPS_UPTAKE = "Philips PET Private Group:7053xx00"
PHILIPS_ACTIVITY = "Philips PET Private Group:7053xx09"
"""SUV Scale Factor (7053,1000) and Activity Concentration Scale Factor (7053,1009): what counts are multiplied by."""

_Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Uptake:
    """What standardised uptake values are computed from.

    Attributes
    ----------
    dose_bq : float
        Radionuclide Total Dose (0018,1074), at the time of injection; 0 where values are uptake already.
    decay_s : float
        Time from injection to the moment to which the image was corrected; 0 where that is the injection itself.
    half_life_s : float
        Radionuclide Half Life (0018,1075).
    weight_kg : float
        Patient's Weight (0010,1030); 0 where it is not known and nothing needs it.
    size_m : float, optional
        Patient's Size (0010,1020).
    sex : str
        Patient's Sex (0010,0040).
    scale : float
        What values are multiplied by first: Philips' factors of counts, else 1.
    stated : str
        By what the values are normalised already, one of ``NORMALISATIONS``; empty for activity.
    """

    dose_bq: float
    decay_s: float
    half_life_s: float
    weight_kg: float
    size_m: float | None = None
    sex: str = ""
    scale: float = 1.0
    stated: str = ""

    @classmethod
    def of(cls, document: _Document) -> Uptake:
        """From the attributes of a PET image, by DICOM keyword.

        Becquerels per millilitre (BQML) need the dose, its decay and the patient's weight. Counts (CNTS) are turned
        into them, or straight into uptake by body weight, by the factors that Philips states. Values that are uptake
        already (GML, CM2ML) need nothing, unless they are asked for by another normalisation.

        Raises
        ------
        InputError
            An attribute that is needed is missing or cannot be; the message names it.
        UnsupportedError
            Values are in other units, were corrected for decay in another way, or by a lean mass that is not named.
        """
        _check_image(document)
        body = (_number(document.get("PatientSize")), str(document.get("PatientSex") or ""))
        scale, stated = _stated_uptake(document)
        if stated:
            return cls(0.0, 0.0, 1.0, _number(document.get("PatientWeight")) or 0.0, *body, scale, stated)
        dose = _first(document.get("RadiopharmaceuticalInformationSequence"))
        if not dose:
            raise InputError("Radiopharmaceutical Information Sequence (0054,0016) is missing: there is no dose.")
        half_life = _positive(dose, "RadionuclideHalfLife", "Radionuclide Half Life (0018,1075)")
        return cls(
            _positive(dose, "RadionuclideTotalDose", "Radionuclide Total Dose (0018,1074)"),
            _decay_seconds(document, dose, half_life),
            half_life,
            _positive(document, "PatientWeight", "Patient's Weight (0010,1030)"),
            *body,
            scale,
        )

    def factor(self, normalisation: str = "body weight") -> float:
        """What the values of the image are multiplied by.

        Parameters
        ----------
        normalisation : str
            ``body weight``; ``lean mass`` (S. Janmahasatian et al., Clin. Pharmacokinet. 44 (2005) 1051, from weight,
            size and sex); ``lean mass James`` (W. P. T. James, Research on Obesity, HMSO 1976: SUV Type LBMJAMES128);
            ``body surface`` (D. Du Bois and E. F. Du Bois, Arch. Intern. Med. 17 (1916) 863).

        Raises
        ------
        InputError
            Another normalisation; or weight, size or sex are needed and missing.
        """
        if normalisation not in NORMALISATIONS:
            raise InputError(f"Uptake is by {', '.join(NORMALISATIONS)}, not {normalisation!r}.", found=normalisation)
        if normalisation == self.stated:
            return self.scale
        if self.stated:
            return self.scale * self._body(normalisation) / self._body(self.stated)
        return self.scale * self._body(normalisation) / (self.dose_bq * math.exp2(-self.decay_s / self.half_life_s))

    def _body(self, normalisation: str) -> float:
        """What uptake is related to: grams of weight or lean mass, or square centimetres."""
        weight, size = self.weight_kg, self.size_m
        if not weight > 0:
            raise InputError(
                f"Uptake by {normalisation} needs Patient's Weight (0010,1030): it is missing.", tag="00101030"
            )
        if normalisation == "body weight":
            return weight * 1000.0
        if size is None or not 0.2 < size < 3.0:
            raise InputError(
                f"Uptake by {normalisation} needs Patient's Size (0010,1020) in metres: it is {size}.", tag="00101020"
            )
        if normalisation == "body surface":
            return 0.007184 * math.pow(weight, 0.425) * math.pow(size * 100, 0.725) * 1e4
        if self.sex not in {"M", "F"}:
            raise InputError(
                f"Uptake by {normalisation} needs Patient's Sex (0010,0040) M or F: it is another or missing.",
                tag="00100040",
            )
        if normalisation == "lean mass James":
            linear, square = (1.10, 128.0) if self.sex == "M" else (1.07, 148.0)
            lean = linear * weight - square * (weight / (size * 100)) ** 2
            if lean <= 0:
                raise InputError(
                    f"James' lean mass of {weight:g} kg and {size:g} m is not positive: the formula does not hold for "
                    "such a body. Use lean mass.",
                    tag="00101030",
                )
            return lean * 1000.0
        index = weight / size**2
        below = 6680 + 216 * index if self.sex == "M" else 8780 + 244 * index
        return 9270 * weight / below * 1000.0


def suv(volume: Volume, facts: Uptake | _Document, *, normalisation: str = "body weight") -> Volume:
    """Standardised uptake values of a PET volume: the same stored values with another rescale.

    Parameters
    ----------
    facts : Uptake or mapping
        What they are computed from: itself, or the attributes of one of the series' images (``Instance.document()``).
    normalisation : str
        ``body weight``, ``lean mass``, ``lean mass James`` or ``body surface``; see ``Uptake.factor``.

    Returns
    -------
    Volume
        Lazy as before; its unit is g/ml, or cm2/ml by body surface.

    Raises
    ------
    InputError
        The volume is no PET in ``UPTAKE_UNITS``, an attribute is missing or cannot be, or there is no such
        normalisation.
    UnsupportedError
        As ``Uptake.of``.
    """
    if volume.presentation.modality != "PT" or volume.rescale.unit not in UPTAKE_UNITS:
        raise InputError(
            f"Uptake is computed of PET in {', '.join(UPTAKE_UNITS)}: this is "
            f"{volume.presentation.modality or 'of unknown modality'} in {volume.rescale.unit or 'an unknown unit'}, "
            "(0054,1001).",
            expected=UPTAKE_UNITS,
            found=volume.rescale.unit,
        )
    if not isinstance(facts, Uptake) and facts.get("Units") not in {None, volume.rescale.unit}:
        raise InputError(
            f"The attributes are of an image in {facts.get('Units')}, the volume is in {volume.rescale.unit}: "
            "(0054,1001).",
            tag="00541001",
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


def _stated_uptake(document: _Document) -> tuple[float, str]:
    """What values are multiplied by, and by what they then are uptake already: empty where they are activity."""
    units = document.get("Units")
    if units == "BQML":
        return 1.0, ""
    if units == "CNTS":
        if (factor := _number(document.get(PHILIPS_UPTAKE))) is not None:
            return factor, "body weight"
        if (factor := _number(document.get(PHILIPS_ACTIVITY))) is not None:
            return factor, ""
        raise InputError(
            "Units (0054,1001) are CNTS, and Philips' SUV Scale Factor (7053,1000) and Activity Concentration Scale "
            "Factor (7053,1009) are missing or 0: counts alone give no uptake.",
            tag="00541001",
        )
    kind = str(document.get("SUVType") or ("BSA" if units == "CM2ML" else "BW"))
    if kind not in _BY_TYPE or (units == "CM2ML") != (kind == "BSA"):
        raise UnsupportedError(
            f"SUV Type (0054,1006) is {kind} in {units}: {', '.join(_BY_TYPE)} are supported, BSA in CM2ML alone. LBM "
            "does not say by which formula.",
            tag="00541006",
            found=kind,
        )
    return 1.0, _BY_TYPE[kind]


def _check_image(document: _Document) -> None:
    units = document.get("Units")
    if units not in UPTAKE_UNITS:
        raise UnsupportedError(
            f"Units (0054,1001) are {units or 'missing'}; uptake is computed from {', '.join(UPTAKE_UNITS)}.",
            tag="00541001",
            expected=UPTAKE_UNITS,
            found=units,
        )
    if units in {"GML", "CM2ML"}:
        return
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
