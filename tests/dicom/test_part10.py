"""Preamble and file meta: as written, shortened, wrong, missing; and the proof of a transfer syntax not stated."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.objects import readable_paths

from pacscore.dicom.elements import NeedMore
from pacscore.dicom.part10 import make_file_prefix, prove_syntax, read_file_parts
from pacscore.dicom.syntaxes import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    all_transfer_syntaxes,
    transfer_syntax,
)
from pacscore.errors import InputError, InvalidDicomError

CT = "1.2.840.10008.5.1.4.1.1.2"
DATA_SETS = {
    EXPLICIT_LITTLE: b"\x08\x00\x16\x00UI\x04\x001.2\0\x08\x00\x18\x00UI\x04\x001.3\0",
    IMPLICIT_LITTLE: b"\x08\x00\x16\x00\x04\x00\x00\x001.2\0\x08\x00\x18\x00\x04\x00\x00\x001.3\0",
    EXPLICIT_BIG: b"\x00\x08\x00\x16UI\x00\x041.2\0\x00\x08\x00\x18UI\x00\x041.3\0",
}
UIDS = st.from_regex(r"\A[0-9]{1,9}(\.[0-9]{1,9}){0,5}\Z")


def meta(number: int, vr: bytes, value: bytes) -> bytes:
    if vr in {b"OB", b"UN"}:
        return struct.pack("<HH2sHL", 2, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_meta_of_real_files_reads_as_pydicom_reads_it(data: Path) -> None:
    import pydicom

    for path in readable_paths(data):
        expected = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=[]).file_meta
        parts = read_file_parts(path.read_bytes())
        assert parts.media_storage_sop_instance_uid == (expected.get("MediaStorageSOPInstanceUID") or None), path
        assert parts.media_storage_sop_class_uid == (expected.get("MediaStorageSOPClassUID") or None), path
        assert parts.transfer_syntax_uid == expected.get("TransferSyntaxUID", parts.transfer_syntax_uid), path


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(sop_class=UIDS, sop_instance=UIDS, syntax=UIDS)
def test_a_made_prefix_is_read_back_by_us_and_by_pydicom(sop_class: str, sop_instance: str, syntax: str) -> None:
    import pydicom

    prefix = make_file_prefix(sop_class, sop_instance, syntax)
    parts = read_file_parts(prefix + DATA_SETS[EXPLICIT_LITTLE])
    assert (parts.prefix_length, parts.has_preamble) == (len(prefix), True)
    assert parts.media_storage_sop_class_uid == sop_class
    assert parts.media_storage_sop_instance_uid == sop_instance
    assert parts.transfer_syntax_uid == syntax
    peer = pydicom.dcmread(io.BytesIO(prefix)).file_meta
    assert (peer.MediaStorageSOPInstanceUID, peer.TransferSyntaxUID) == (sop_instance, syntax)
    assert len(prefix) == 132 + 12 + peer.FileMetaInformationGroupLength


def test_the_made_prefix_never_changes() -> None:
    # Archives return objects that came without a file meta with exactly these bytes.
    assert make_file_prefix(CT, "1.2.3", EXPLICIT_LITTLE)[128:] == (
        b"DICM\x02\x00\x00\x00UL\x04\x00\x9e\x00\x00\x00"
        b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"
        b"\x02\x00\x02\x00UI\x1a\x001.2.840.10008.5.1.4.1.1.2\x00"
        b"\x02\x00\x03\x00UI\x06\x001.2.3\x00"
        b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00"
        b"\x02\x00\x12\x00UI\x2c\x002.25.208400507228646304100645744531931075384"
        b"\x02\x00\x13\x00SH\x08\x00PACSCORE"
    )


def test_a_prefix_is_not_made_of_what_is_no_uid() -> None:
    for wrong in ("1.2.é", "1" * 2000):
        with pytest.raises(InputError):
            make_file_prefix(CT, wrong, EXPLICIT_LITTLE)


@pytest.mark.parametrize("before", [bytes(128) + b"DICM", b"x" * 128 + b"DICM", b"DICM", b""])
@pytest.mark.parametrize(
    "group_length", [b"", meta(0, b"UL", b"\x00\x00\x00\x00"), meta(0, b"UL", b"\xff\xff\xff\x7f")]
)
def test_shortened_prefixes_and_wrong_group_lengths_are_read(before: bytes, group_length: bytes) -> None:
    prefix = before + group_length + meta(3, b"UI", b"1.5\0") + meta(16, b"UI", IMPLICIT_LITTLE.encode() + b"\0")
    parts = read_file_parts(prefix + DATA_SETS[IMPLICIT_LITTLE])
    assert parts.prefix_length == len(prefix)
    assert parts.has_preamble is (len(before) > 128)
    assert parts.transfer_syntax_uid == IMPLICIT_LITTLE
    assert parts.media_storage_sop_instance_uid == "1.5"


def test_meta_elements_without_a_vr_are_read() -> None:
    value = EXPLICIT_BIG.encode()
    prefix = bytes(128) + b"DICM" + struct.pack("<HHL", 2, 16, len(value)) + value
    parts = read_file_parts(prefix + DATA_SETS[EXPLICIT_BIG])
    assert (parts.prefix_length, parts.transfer_syntax_uid) == (len(prefix), EXPLICIT_BIG)


@pytest.mark.parametrize("uid", DATA_SETS)
def test_an_unstated_transfer_syntax_is_proven(uid: str) -> None:
    assert read_file_parts(DATA_SETS[uid]).transfer_syntax_uid == uid
    with_meta = bytes(128) + b"DICM" + meta(3, b"UI", b"1.5\0") + DATA_SETS[uid]
    assert read_file_parts(with_meta).transfer_syntax_uid == uid


def test_the_callers_transfer_syntax_overrides_what_the_file_states() -> None:
    file = make_file_prefix(CT, "1.2.3", EXPLICIT_LITTLE) + DATA_SETS[IMPLICIT_LITTLE]
    assert read_file_parts(file, transfer_syntax_uid=IMPLICIT_LITTLE).transfer_syntax_uid == IMPLICIT_LITTLE


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        bytes(8),
        bytes(4000),
        b"hello, world",
        b"\x08\x00\x16\x00\x04\x00\x00\x001.2\0" + b"\x08\x00\x05\x00\x00\x00\x00\x00",  # Falling tags.
        b"\x08\x20\x16\x00\x04\x00\x00\x001.2\0",  # A first group no data set begins with.
        DATA_SETS[IMPLICIT_LITTLE][:-1],
        DATA_SETS[EXPLICIT_LITTLE] + b"\0",
    ],
)
def test_what_no_transfer_syntax_fits_is_not_dicom(wrong: bytes) -> None:
    with pytest.raises(InvalidDicomError, match="Not DICOM"):
        prove_syntax(wrong, 0)


def test_every_head_of_a_prefix_asks_for_more_and_every_cut_is_refused() -> None:
    prefix = make_file_prefix(CT, "1.2.3", EXPLICIT_LITTLE)
    whole = prefix + DATA_SETS[EXPLICIT_LITTLE]
    for size in range(len(prefix)):
        with pytest.raises(NeedMore) as caught:
            read_file_parts(whole[:size], total_length=len(whole))
        assert size < caught.value.at_least <= len(whole)
        # Cut between two meta elements, or in the preamble, the file is one without data set or without meta.
        try:
            parts = read_file_parts(whole[:size])
        except InvalidDicomError:
            continue
        assert parts.prefix_length <= size


def test_a_meta_value_that_passes_the_end_is_refused() -> None:
    cut = bytes(128) + b"DICM" + struct.pack("<HH2sH", 2, 16, b"UI", 600) + b"1.2"
    with pytest.raises(InvalidDicomError, match="value passes the end") as caught:
        read_file_parts(cut)
    assert caught.value.fields["offset"] == 132
    endless = bytes(128) + b"DICM" + struct.pack("<HH2sHL", 2, 1, b"OB", 0, 0xFFFFFFFF) + b"\0\1"
    with pytest.raises(InvalidDicomError, match="undefined"):
        read_file_parts(endless)


def test_a_uid_of_a_kilobyte_is_refused() -> None:
    with pytest.raises(InvalidDicomError, match="64 at most"):
        read_file_parts(bytes(128) + b"DICM" + meta(3, b"UI", b"1" * 1026) + DATA_SETS[IMPLICIT_LITTLE])


def test_every_transfer_syntax_pydicom_knows_is_listed_with_its_properties() -> None:
    from pydicom._uid_dict import UID_dictionary
    from pydicom.uid import UID

    listed = {syntax.uid for syntax in all_transfer_syntaxes()}
    assert len(listed) == len(all_transfer_syntaxes())
    ours_alone = {"1.2.840.10008.1.2.8.1"}
    # Not for stored objects: MIME and XML encodings, and the three of real-time video (PS3.22).
    not_stored = ("1.2.840.10008.1.2.6.", "1.2.840.10008.1.2.7.")
    for uid, (name, kind, *_) in UID_dictionary.items():
        if kind != "Transfer Syntax" or uid.startswith(not_stored):
            continue
        listed.remove(uid)
        syntax, peer = transfer_syntax(uid), UID(uid)
        assert syntax.name == name
        if "Papyrus" in name:  # pydicom takes every syntax but the uncompressed four for explicit and encapsulated.
            assert (syntax.explicit, syntax.encapsulated) == (False, False)
            continue
        assert syntax.explicit is not peer.is_implicit_VR
        assert syntax.little_endian is peer.is_little_endian
        assert syntax.deflated is peer.is_deflated or syntax.codec == "jpip"
        assert syntax.encapsulated is peer.is_compressed or syntax.codec == "jpip" or syntax.deflated
    assert listed <= ours_alone | {"1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112"}


def test_an_unknown_transfer_syntax_is_explicit_little_endian() -> None:
    syntax = transfer_syntax("1.2.3.4")
    assert (syntax.known, syntax.explicit, syntax.little_endian, syntax.lossless) == (False, True, True, None)
