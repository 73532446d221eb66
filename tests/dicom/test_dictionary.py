"""The packaged dictionary: equal to pydicom's, and keys that go both ways."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pacscore.dicom.dictionary import (
    document_key,
    find_keyword,
    find_private_vr,
    find_tag,
    find_vr,
    parse_key,
)
from pacscore.errors import InputError


def test_public_attributes_equal_pydicoms() -> None:
    datadict = pytest.importorskip("pydicom.datadict")
    for tag, (vr, _, _, _, keyword) in datadict.DicomDictionary.items():
        if vr == "NONE":
            continue
        assert find_vr(tag) == vr.replace(" or ", "/")
        assert find_keyword(tag) == (keyword or None)
        if keyword:
            assert find_tag(keyword) == tag


def test_repeating_groups_have_a_vr_and_no_keyword() -> None:
    datadict = pytest.importorskip("pydicom.datadict")
    for mask, (vr, *_, keyword) in datadict.RepeatersDictionary.items():
        tag = int(mask.replace("x", "2"), 16)
        assert find_vr(tag) == vr.replace(" or ", "/")
        assert find_keyword(tag) is None
        assert find_tag(keyword) is None
    assert find_vr(0x7F010010) is None  # Odd: private, not one of 7Fxx.


def test_private_elements_equal_pydicoms() -> None:
    datadict = pytest.importorskip("pydicom.datadict")
    compared = 0
    for creator, elements in datadict.private_dictionaries.items():
        for mask, (vr, *_) in elements.items():
            in_a_block = mask[4:6] == "xx" and "x" not in mask[:4] + mask[6:]
            if in_a_block and int(mask[:4], 16) & 1 and len(vr) == 2 and vr != "UN":
                assert find_private_vr(creator, int(mask[:4], 16), int(mask[6:], 16)) == vr
                compared += 1
    assert compared > 5000
    assert find_private_vr("GEMS_PARM_01", 0x0043, 0xFE) is None
    assert find_private_vr("nobody", 0x0043, 0x39) is None


@pytest.mark.parametrize("tag", [0x00100010, 0x00189445, 0x60000010, 0x00431039, 0x12345678])
def test_keys_of_tags_parse_back(tag: int) -> None:
    assert parse_key(document_key(tag)) == (tag, None)


def test_private_keys_name_their_creator_whatever_its_name() -> None:
    for creator in ("GEMS_PARM_01", "Philips Imaging DD 001", "A.B:0009xx01", "ACUSON: 1.2.840.11386.1.0"):
        assert parse_key(document_key(0x00431139, creator)) == (0x00430039, creator)


@pytest.mark.parametrize(
    "key", ["", "PatientsName", "0010001", "GEMS:0042xx39", ":0043xx39", "OverlayRows", "0043xx39"]
)
def test_what_names_no_attribute_is_an_error(key: str) -> None:
    with pytest.raises(InputError, match="names no attribute"):
        parse_key(key)


def test_looking_up_a_keyword_loads_neither_numpy_nor_pydicom() -> None:
    program = (
        "import sys; from pacscore.dicom.dictionary import find_tag, find_private_vr; find_tag('Rows');"
        "find_private_vr('GEMS_PARM_01', 0x43, 0x39); print({'numpy', 'pydicom', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
