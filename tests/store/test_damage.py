"""Damage done on purpose: whatever byte changes, ``verify`` says so, and no reader returns wrong words in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference.store_series import Maker, smooth_words

from pacscore.errors import DamagedError, FormatVersionError, PacscoreError
from pacscore.filesystem import LocalFileSystem
from pacscore.settings import Settings
from pacscore.store.compression import compress, decompress
from pacscore.store.generation import Generation
from pacscore.store.plan import Treatment
from pacscore.store.sections import SectionReader, write_sections
from pacscore.store.verify import verify_file
from pacscore.store.writer import stage_generation
from pacscore.store.zip_layout import Member, directory_bytes, locate_directory, read_directory

SERIAL = Settings(thread_count=1)


def mixed() -> Maker:
    maker = Maker()
    maker.add_stack(smooth_words((3, 12, 10)), tail=b"tail", pad=1)
    maker.add_encapsulated([[40, 3], [20]])
    maker.add(maker.header(3, 300), b"\1\2\3" * 30, b"", treatment=Treatment.BLOB)
    maker.add(maker.header(4, 300), b"", b"")
    return maker


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> bytes:
    maker = mixed()
    path = tmp_path_factory.mktemp("sound") / "a.zip"
    stage_generation([(maker.plan(), maker)], path, LocalFileSystem(), SERIAL)
    return path.read_bytes()


@pytest.mark.parametrize("part", range(8))
def test_a_change_of_any_byte_is_reported(sound, tmp_path, part):
    path = tmp_path / "a.zip"
    path.write_bytes(sound)
    assert list(verify_file(path, SERIAL)) == []
    # All bytes of the small parts, and every 7th of the long run of headers and chunks, spread over the test's parts.
    places = sorted({*range(900), *range(len(sound) - 1200, len(sound)), *range(0, len(sound), 7)})
    with path.open("r+b") as file:
        for place in places[part::8]:
            file.seek(place)
            file.write(bytes([sound[place] ^ 0x40]))
            file.flush()
            assert next(verify_file(path, SERIAL), None) is not None, f"byte {place} of {len(sound)}"
            file.seek(place)
            file.write(sound[place : place + 1])
    assert path.read_bytes() == sound


def test_a_file_cut_anywhere_is_refused_or_reported(sound, tmp_path):
    path = tmp_path / "a.zip"
    for length in [0, 1, 21, 22, 100, *range(200, len(sound), 211), len(sound) - 1]:
        path.write_bytes(sound[:length])
        with pytest.raises(PacscoreError):
            Generation.open(path)
        assert next(verify_file(path, SERIAL), None) is not None


def test_bytes_behind_the_end_are_reported(sound, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(sound + b"\0")
    assert next(verify_file(path, SERIAL), None) is not None


def test_a_damaged_chunk_is_an_error_and_never_words(tmp_path):
    maker = Maker()
    words = smooth_words((33, 80, 80)) + np.int16(1)
    maker.add_stack(words)
    path = tmp_path / "a.zip"
    stage_generation([(maker.plan(), maker)], path, LocalFileSystem(), SERIAL)
    offset, length = Generation.open(path).array_source(0).index[0].tolist()
    sound = path.read_bytes()
    whole = [slice(None)] * 3
    for place in range(offset, offset + length, 97):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 4]) + sound[place + 1 :])
        source = Generation.open(path, settings=SERIAL).array_source(0)
        with pytest.raises(DamagedError):
            source.read(whole)
        for plane in range(3):  # A part is decoded without the checksum of the whole: it may be wrong, not harmful.
            try:
                part = source.read((slice(plane, plane + 1), slice(0, 80), slice(0, 80)))
            except DamagedError:
                continue
            assert part.shape == (1, 80, 80)


def test_all_findings_are_reported_not_only_the_first(sound, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(sound)
    generation = Generation.open(path)
    changed = bytearray(sound)
    for name in ("headers.bin", "blobs.bin"):
        changed[generation.members[name].offset + 30] ^= 1
    path.write_bytes(changed)
    findings = list(verify_file(path, SERIAL))
    assert {finding.where for finding in findings if finding.code == "member"} == {"headers.bin", "blobs.bin"}
    assert sum(finding.code == "object" for finding in findings) == 6


def test_one_damaged_object_leaves_the_others_readable(sound, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(sound)
    changed = bytearray(sound)
    changed[Generation.open(path).members["blobs.bin"].offset + 30] ^= 1
    path.write_bytes(changed)
    maker, generation = mixed(), Generation.open(path)
    with pytest.raises(DamagedError):
        generation.object_bytes(3)
    for index in (0, 1, 2, 4, 5):
        assert generation.object_bytes(index) == maker.content[index]


def test_a_manifest_of_a_newer_format_is_refused_with_its_version():
    data = bytearray(write_sections({"a": {"b": 1}, "c": np.arange(5)}))
    assert SectionReader(bytes(data)).column("c").tolist() == [0, 1, 2, 3, 4]
    data[8] = 2
    with pytest.raises(FormatVersionError):
        SectionReader(bytes(data))


def check_all(data: bytes) -> None:
    reader = SectionReader(data)
    for name in reader.names():
        reader.check(name)


def test_a_manifest_changed_or_cut_anywhere_is_refused():
    data = write_sections({"a": {"b": 1}, "c": np.arange(500), "d": np.zeros(0)})
    for place in [*range(90), *range(90, len(data), 5)]:
        for wrong in (data[:place], data[:place] + bytes([data[place] ^ 8]) + data[place + 1 :]):
            with pytest.raises(PacscoreError):
                check_all(wrong)


def test_zip64_directories_round_trip(tmp_path: Path):
    members = [Member(f"m{number:06d}", 5_000_000_000 + number * 100, 7, number) for number in range(70_000)]
    offset = 6_000_000_000
    data = directory_bytes(members, offset)
    place = locate_directory(data[-98:], offset + len(data))
    assert (place.offset, place.count) == (offset, 70_000)
    assert list(read_directory(data[: place.length], "").values()) == members
    assert list(read_directory(data[: place.length], "m00012")) == [str(digit) for digit in range(10)]


@pytest.mark.parametrize("length", [1, 255, 256, 65_791, 65_792, 1 << 20])
def test_a_compressed_part_is_taken_only_with_the_length_it_must_have(length: int) -> None:
    data = np.random.default_rng(length).integers(0, 4, length, np.uint8).tobytes()
    frame = compress(data)
    assert decompress(memoryview(frame), length) == data
    # A header that states less, more, or nothing; a frame that is cut, or none: refused, and nothing of 2**60 made.
    for wrong, stated in ((frame, length + 1), (frame, length - 1 or 2), (frame[:-1], length), (frame[:5], length)):
        with pytest.raises(DamagedError):
            decompress(wrong, stated)
    huge = bytearray(frame[:4]) + bytes([0xE0]) + (1 << 60).to_bytes(8, "little") + frame[8:]
    unstated = bytearray(frame[:4]) + bytes([0x00, 0x58]) + frame[8:]
    for wrong in (bytes(huge), bytes(unstated), b"PK" + frame[2:], b"\x28"):
        with pytest.raises(DamagedError):
            decompress(wrong, length)
