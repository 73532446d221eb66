"""A reader of generation files written from docs/format.md alone: it imports nothing of pacscore.

If this file must change, so must the document, and the format's number.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import google_crc32c
import h5py
import hdf5plugin  # noqa: F401  # Registers the filters.
import numpy as np
from numcodecs import zstd
from reference.shards import read_array

COLUMNS = (
    "length",
    "prefix_length",
    "header_length",
    "pixel_length",
    "treatment",
    "swap",
    "pad",
    "header_span",
    "header_start",
    "header_kept",
    "first_span",
    "span_count",
    "first_frame",
    "frame_count",
)


class Reader:
    def __init__(self, path: Path, prefix: str = "") -> None:
        self.archive, self.prefix = zipfile.ZipFile(path), prefix
        self.sections = self.read_manifest(self.member("manifest.bin"))
        self.series = self.sections["series"]
        self.arrays: dict[int, Any] = {}

    def member(self, name: str) -> bytes | None:
        try:
            return self.archive.read(self.prefix + name)
        except KeyError:
            return None

    def read_manifest(self, data: bytes) -> dict[str, Any]:
        magic, version, length = struct.unpack_from("<8sLL", data)
        assert (magic, version) == (b"pacscman", 1)
        assert google_crc32c.value(data[: 16 + length]) == struct.unpack_from("<L", data, 16 + length)[0]
        sections = {}
        for name, kind, items, offset, stored, codec, crc in json.loads(data[16 : 16 + length]):
            raw = data[20 + length + offset :][:stored]
            assert google_crc32c.value(raw) == crc
            raw = zstd.decompress(raw) if codec == "zstd" else raw
            sections[name] = json.loads(raw) if kind == "json" else np.frombuffer(raw, f"<{kind}")
            assert items == (len(raw) if kind == "json" else len(sections[name]))
        return sections

    def span(self, number: int) -> bytes:
        row = {name: int(self.sections[f"span_{name}"][number]) for name in ("member", "offset", "length", "crc32c")}
        stored = self.member(self.series["members"][row["member"]])[row["offset"] :][: row["length"]]
        assert google_crc32c.value(stored) == row["crc32c"]
        return zstd.decompress(stored) if self.sections["span_codec"][number] else stored

    def object(self, index: int) -> bytes:
        row = {name: int(self.sections[name][index]) for name in COLUMNS}
        spans = range(row["first_span"], row["first_span"] + row["span_count"])
        kept = b"".join(self.span(number) for number in spans)
        if self.series["strategy"]["format"] == "part10":
            return kept
        size = row["header_kept"] + row["pad"] + row["length"] - row["header_length"] - row["pixel_length"]
        record = self.span(row["header_span"])[row["header_start"] :][:size]
        if row["treatment"] == 0:
            return record + kept
        if row["treatment"] == 1:
            frames = range(row["first_frame"], row["first_frame"] + row["frame_count"])
            kept = b"".join(self.frame(number, swap=bool(row["swap"])) for number in frames)
        return record[: row["header_kept"]] + kept + record[row["header_kept"] :]

    def frame(self, number: int, *, swap: bool) -> bytes:
        stack = int(self.sections["array_stack"][number])
        if stack not in self.arrays:
            hdf5 = self.series["strategy"]["format"] == "hdf5"
            words = self.hdf5_array(stack) if hdf5 else read_array(self.member, str(stack))
            rank = self.series["stacks"][stack]["frame_rank"]
            self.arrays[stack] = words.reshape(-1, *words.shape[words.ndim - rank :])
        words = self.arrays[stack][int(self.sections["array_position"][number])]
        return (words.byteswap() if swap else words).tobytes()

    def hdf5_array(self, stack: int) -> Any:
        """With h5py and the Blosc filter alone, from the files of all its shards."""
        shape = self.series["stacks"][stack]["shape"]
        names = [name.removeprefix(self.prefix) for name in self.archive.namelist()]
        files = [name for name in names if name.split(".")[0] == str(stack) and name.endswith(".h5")]
        out = np.zeros(shape, self.series["stacks"][stack]["dtype"])
        for name in files:
            with self.archive.open(self.prefix + name) as member, h5py.File(member, "r") as file:
                words = file["words"]
                first = words.attrs["first"].tolist()
                out[tuple(slice(a, a + n) for a, n in zip(first, words.shape, strict=True))] = words[...]
        return out

    def encapsulated_frame(self, index: int, frame_index: int) -> bytes:
        frame = int(self.sections["first_frame"][index]) + frame_index
        first, end = self.sections["frame_fragment"][frame : frame + 2].tolist()
        value = self.object(index)[int(self.sections["header_length"][index]) :]
        places = zip(
            self.sections["fragment_offset"][first:end], self.sections["fragment_length"][first:end], strict=True
        )
        return b"".join(value[offset : offset + length] for offset, length in places)

    def is_proven(self, index: int) -> bool:
        digest = hashlib.sha256(self.object(index)[int(self.sections["prefix_length"][index]) :]).digest()
        return digest == self.sections["sha256"][32 * index : 32 * index + 32].tobytes()

    def uids(self) -> list[str]:
        ends = self.sections["uid_end"].tolist()
        text = self.sections["uids"].tobytes().decode()
        return [text[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
