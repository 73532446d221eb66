"""Write the packaged data dictionary from pydicom's: ``python tools/make_dictionary.py``.

Importing pydicom's own dictionary costs 0.17 s, fifty times what reading these files does. Both are plain text, a
line for each attribute or private creator, sorted, so that a newer edition of the Standard shows as a readable diff.
``tests/dicom/test_dictionary.py`` compares them with the installed pydicom.
"""

from __future__ import annotations

import re
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "pacscore" / "data"
PUBLIC = DATA / "dictionary.txt"
PRIVATE = DATA / "private_dictionary.txt"


def public_lines() -> list[str]:
    """``ggggeeee VR Keyword`` of PS3.6; ``x`` is any digit, ``US/SS`` depends on other attributes."""
    from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary

    lines = []
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if vr != "NONE":  # Items and delimiters are not attributes.
            lines.append(f"{tag:08X} {vr.replace(' or ', '/')} {keyword or '-'}")
    for mask, (vr, _, _, _, keyword) in RepeatersDictionary.items():
        digits = mask.upper().replace("X", "x")
        lines.append(f"{digits} {vr.replace(' or ', '/')} {keyword or '-'}")
    return sorted(lines)


def private_lines() -> list[str]:
    """``creator`` and then ``ggggxxee VR`` pairs, parted by tabs; only elements that lie in a reserved block."""
    from pydicom._private_dict import private_dictionaries

    lines = []
    for creator, elements in private_dictionaries.items():
        assert not {"\t", "\n"} & set(creator)
        pairs = []
        for mask, (vr, *_) in elements.items():
            reserved = re.fullmatch("([0-9A-Fa-f]{3}[13579BDFbdf])xx([0-9A-Fa-f]{2})", mask)
            if reserved and re.fullmatch("[A-Z]{2}", vr) and vr != "UN":
                pairs.append(f"{reserved[1].upper()}xx{reserved[2].upper()} {vr}")
        if pairs:
            lines.append("\t".join([creator, *sorted(pairs)]))
    return sorted(lines)


def main() -> None:
    for path, lines in ((PUBLIC, public_lines()), (PRIVATE, private_lines())):
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{path.name}: {len(lines)} lines, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
