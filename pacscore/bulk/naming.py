"""Names of exported files, made of what headers say and safe all the same (promise 11).

N1  A name from outside becomes letters, digits and hyphens; what that changes is marked by a hash of the original, so
    that two patients never become one.
N2  Every name ends in the archive's own key of the series, so that no two series share a file, whatever else is in the
    folder and whatever comes later.
N3  A name depends on the series alone: an export that is run again finds its files.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from pacscore.errors import InputError

LAYOUTS = ("flat", "bids-like")
_LABEL_MAX = 40
_NONE = "none"  # Stands for no value; who states that very word gets a mark.
_KEY_DIGITS = 12
_FIELD = re.compile(r"\{([A-Za-z]+)\}")
_TEXT = re.compile(r"[A-Za-z0-9_.-]*")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def label(value: object, *, hyphens: bool = True) -> str:
    """A value from a header as part of a file's name.

    Examples
    --------
    >>> label("SUBJ-01"), label("../etc/passwd"), label("Müller^Jörg"), label("")
    ('SUBJ-01', 'etc-passwd-7fef78', 'Muller-Jorg-f95d6c', 'none')
    """
    text = str(value)
    if not text:
        return _NONE
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    kept = re.sub(r"[^A-Za-z0-9]+", "-" if hyphens else "", plain).strip("-")[:_LABEL_MAX]
    if kept == text != _NONE and not _DEVICES.fullmatch(kept):
        return kept
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{kept}{'-' if hyphens and kept else ''}{mark}"


def file_stem(layout: str, document: Mapping[str, Any], *, key: str, study_key: str, stack: int, stacks: int) -> str:
    """The name of a stack's file below the export, with its folders, without its ending.

    Parameters
    ----------
    layout : str
        ``flat``, ``bids-like``, or a template: DICOM keywords, ``{key}`` or ``{stack}`` in braces between letters,
        digits and ``_ . - /``.
    document : mapping
        The attributes of the series by DICOM keyword.
    key, study_key : str
        The archive's keys of the series and of its study.
    stack, stacks : int
        Which of how many.

    Raises
    ------
    InputError
        The template leads outside the folder, or holds a character or field that it cannot.

    Examples
    --------
    >>> about = {"PatientID": "P 1", "Modality": "CT", "StudyDate": "20200102"}
    >>> file_stem("flat", about, key="0" * 32, study_key="1" * 32, stack=0, stacks=1)
    'CT-000000000000'
    >>> file_stem("{PatientID}/{Modality}", about, key="0" * 32, study_key="1" * 32, stack=1, stacks=2)
    'P-1-6b9061/CT-000000000000-stack1'
    """
    short = key[:_KEY_DIGITS]
    ending = f"-stack{stack}" if stacks > 1 else ""
    modality = label(document.get("Modality") or "OT", hyphens=False)
    if layout == "flat":
        return f"{modality}-{short}{ending}"
    if layout == "bids-like":
        return _bids_like(document, modality, short, study_key, stack if stacks > 1 else None)
    fields = {"key": short, "stack": str(stack)}

    def value(found: re.Match[str]) -> str:
        name = found[1]
        return fields[name] if name in fields else label(_text(document.get(name)))

    parts = _checked(layout)
    filled = "/".join(_FIELD.sub(value, part) for part in parts)
    return filled + ("" if "{key}" in parts[-1] else f"-{short}") + ("" if "{stack}" in parts[-1] else ending)


def check_layout(layout: str) -> None:
    """Refuse a layout that names nothing.

    Raises
    ------
    InputError
        As ``file_stem``.
    """
    if layout not in LAYOUTS:
        _checked(layout)


def _checked(template: str) -> list[str]:
    parts = template.split("/")
    for part in parts:
        rest = _FIELD.sub("", part)
        if not part or not _TEXT.fullmatch(rest) or part.startswith(".") or _DEVICES.fullmatch(rest):
            raise InputError(
                f"{template!r} is no layout: take {' or '.join(LAYOUTS)}, or DICOM keywords in braces between letters, "
                "digits and _ . - /, for example {PatientID}/{StudyDate}/{Modality}.",
                found=template,
            )
    if "{" not in template:
        raise InputError(
            f"{template!r} is no layout: take {' or '.join(LAYOUTS)}, or a template with fields in braces."
        )
    from pacscore.dicom.dictionary import find_keyword, find_tag

    for name in _FIELD.findall(template):
        tag = None if name in {"key", "stack"} else find_tag(name)
        if name not in {"key", "stack"} and (tag is None or find_keyword(tag) != name):
            raise InputError(f"{name} in the layout is no DICOM keyword; {{key}} and {{stack}} are there besides.")
    return parts


def _bids_like(document: Mapping[str, Any], modality: str, short: str, study_key: str, stack: int | None) -> str:
    """``sub-…/ses-…/<modality>/sub-…_ses-…_acq-…_run-…_<MODALITY>``; entities as BIDS has them, letters and digits."""
    patient = _text(document.get("PatientID"))
    subject = f"sub-{label(patient, hyphens=False) if patient else 'unknown' + study_key[:6]}"
    session = f"ses-{label(_text(document.get('StudyDate')) or 'undated', hyphens=False)}x{study_key[:6]}"
    described = _text(document.get("SeriesDescription")) or _text(document.get("ProtocolName"))
    acquired = f"_acq-{label(described, hyphens=False)}" if described else ""
    run = f"_run-{short}" if stack is None else f"_run-{short}_chunk-{stack}"
    return f"{subject}/{session}/{modality.lower()}/{subject}_{session}{acquired}{run}_{modality.upper()}"


def _text(value: Any) -> str:
    return "" if value is None else "-".join(map(str, value)) if isinstance(value, list) else str(value)
