"""The data dictionary: keyword, tag and VR of each attribute (PS3.6), and the VR of known private elements.

Read on first use from two text files that ``tools/make_dictionary.py`` writes: 3 ms for the public one, where importing
pydicom's takes 170 ms, so that a ``find`` in a fresh process can afford it. It needs neither NumPy nor pydicom.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path

from pacscore.errors import InputError

_DATA = Path(__file__).resolve().parents[1] / "data"
_HEX_TAG = re.compile("[0-9A-Fa-f]{8}")
_PRIVATE_KEY = re.compile("(.+):([0-9A-Fa-f]{3}[13579BDFbdf])xx([0-9A-Fa-f]{2})", re.DOTALL)


def find_tag(keyword: str) -> int | None:
    """The tag of a keyword; None for what is no keyword of the Standard.

    Keywords of repeating groups (OverlayRows is 6000,0010 to 601E,0010) name no single tag and give None.

    Examples
    --------
    >>> hex(find_tag("WindowWidth"))
    '0x281051'
    """
    return _public()[0].get(keyword)


def find_keyword(tag: int) -> str | None:
    """The keyword of a tag; None for private, repeating and unknown ones.

    Examples
    --------
    >>> find_keyword(0x00281051)
    'WindowWidth'
    """
    keyword, _ = _public()[1].get(tag, (None, ""))
    return keyword


@lru_cache(maxsize=4096)
def find_vr(tag: int) -> str | None:
    """The VR of a public attribute, repeating groups included; None for an unknown or private one.

    ``US/SS``, ``OB/OW``, ``US/OW`` and ``US/SS/OW`` are those that other attributes decide (PS3.6 "US or SS").

    Examples
    --------
    >>> find_vr(0x00280106), find_vr(0x60023000)
    ('US/SS', 'OB/OW')
    """
    _, exact, repeating = _public()
    if tag in exact:
        return exact[tag][1]
    if tag >> 16 & 1:  # Repeating groups are even: 7F01 is somebody's own, not one of 7Fxx.
        return None
    for mask, pattern, vr in repeating:
        if tag & mask == pattern:
            return vr
    return None


@lru_cache(maxsize=4096)
def find_private_vr(creator: str, group: int, element: int) -> str | None:
    """The VR that a private creator gives element ``element`` (00 to FF) of its block in ``group``, where known.

    Examples
    --------
    >>> find_private_vr("GEMS_PARM_01", 0x0043, 0x39)
    'IS'
    """
    line = _private().get(creator)
    if line is None:
        return None
    found = re.search(f"\t{group:04X}xx{element:02X} (..)", line)
    return found[1] if found else None


def document_key(tag: int, creator: str | None = None) -> str:
    """The name of an element in documents and queries.

    The keyword, ``CREATOR:ggggxxee`` for a private element whose block ``creator`` reserved, else ``GGGGEEEE``.

    Examples
    --------
    >>> document_key(0x00100010), document_key(0x00431039, "GEMS_PARM_01"), document_key(0x60000010)
    ('PatientName', 'GEMS_PARM_01:0043xx39', '60000010')
    """
    if creator is not None:
        return f"{creator}:{tag >> 16:04X}xx{tag & 0xFF:02X}"
    return find_keyword(tag) or f"{tag:08X}"


@lru_cache(maxsize=4096)
def parse_key(key: str) -> tuple[int, str | None]:
    """The tag a key names, and the private creator whose block it lies in; then only the tag's last byte counts.

    Raises
    ------
    InputError
        Neither a keyword nor ``ggggeeee`` nor ``CREATOR:ggggxxee``.

    Examples
    --------
    >>> parse_key("00100010") == parse_key("PatientName") == (0x00100010, None)
    True
    >>> parse_key("GEMS_PARM_01:0043xx39") == (0x00430039, "GEMS_PARM_01")
    True
    """
    tag = find_tag(key)
    if tag is not None:
        return tag, None
    if _HEX_TAG.fullmatch(key):
        return int(key, 16), None
    private = _PRIVATE_KEY.fullmatch(key)
    if private:
        return int(private[2] + "00" + private[3], 16), private[1]
    raise InputError(
        f"{key!r} names no attribute. Give a DICOM keyword, a tag as ggggeeee, or CREATOR:ggggxxee.", found=key
    )


@cache
def _public() -> tuple[dict[str, int], dict[int, tuple[str | None, str]], list[tuple[int, int, str]]]:
    """Tag by keyword, keyword and VR by tag, and of each repeating group the mask, the pattern and the VR."""
    words = (_DATA / "dictionary.txt").read_text(encoding="ascii").split()
    tags: dict[str, int] = {}
    exact: dict[int, tuple[str | None, str]] = {}
    repeating: list[tuple[int, int, str]] = []
    for digits, vr, keyword in zip(words[0::3], words[1::3], words[2::3], strict=True):
        if "x" in digits:
            mask = int("".join("0" if digit == "x" else "F" for digit in digits), 16)
            repeating.append((mask, int(digits.replace("x", "0"), 16), vr))
            continue
        tag = int(digits, 16)
        if keyword == "-":
            exact[tag] = (None, vr)
        else:
            exact[tag] = (keyword, vr)
            tags[keyword] = tag
    return tags, exact, repeating


@cache
def _private() -> dict[str, str]:
    """The line of each private creator."""
    lines = (_DATA / "private_dictionary.txt").read_text(encoding="utf-8").splitlines()
    return {line[: line.index("\t")]: line for line in lines}
