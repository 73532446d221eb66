"""Small series of made-up objects, with every treatment, for tests of the store."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from pacscore.store.plan import ObjectPlan, SeriesPlan, StackPlan, Treatment
from pacscore.store.strategy import Strategy

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
JPEG_LS = "1.2.840.10008.1.2.4.80"
NAMES = ("time", "echo", "phase", "slice", "row", "column", "sample")


@dataclass
class Fragments:
    frames: list[list[tuple[int, int]]]

    @property
    def frame_count(self) -> int:
        return len(self.frames)

    def fragments(self, frame_index: int) -> list[tuple[int, int]]:
        return self.frames[frame_index]


@dataclass
class Maker:
    """Makes objects and keeps their bytes: it is the source of the plan it makes."""

    seed: int = 1
    objects: list[ObjectPlan] = field(default_factory=list)
    stacks: list[StackPlan] = field(default_factory=list)
    content: list[bytes] = field(default_factory=list)
    read_count: int = 0

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def read(self, index: int) -> bytes | memoryview:
        self.read_count += 1
        return self.content[index]

    def add(self, header: bytes, pixels: bytes, tail: bytes, **fields) -> ObjectPlan:
        number = len(self.objects)
        values = {
            "sop_instance_uid": f"1.2.3.{self.seed}.{number}",
            "sop_class_uid": CT,
            "transfer_syntax_uid": EXPLICIT,
            "prefix_length": min(len(header), 132),
            "treatment": Treatment.NONE,
        } | fields
        plan = ObjectPlan(
            length=len(header) + len(pixels) + len(tail),
            header_length=len(header),
            pixel_length=len(pixels),
            header_crc32c=google_crc32c.value(header),
            **values,
        )
        self.objects.append(plan)
        self.content.append(header + pixels + tail)
        return plan

    def header(self, number: int = 0, length: int = 3000) -> bytes:
        common = np.random.default_rng(7).integers(0, 256, length, np.uint8).tobytes()
        return common[:-20] + f"{number:020d}".encode()

    def add_stack(
        self,
        words: NDArray,
        *,
        frame_rank: int = 2,
        frames_per_object: int = 1,
        swap: bool = False,
        pad: int = 0,
        order: NDArray | None = None,
        tail: bytes = b"",
        stack: StackPlan | None = None,
    ) -> None:
        """Objects whose frames fill ``words``; ``order`` says in which order positions are dealt out."""
        leading = words.shape[: words.ndim - frame_rank]
        flat = words.reshape(-1, *words.shape[words.ndim - frame_rank :])
        order = np.arange(len(flat)) if order is None else order
        number = len(self.stacks)
        names = NAMES[: len(leading) - 1] + NAMES[3:][: 1 + frame_rank]
        self.stacks.append(
            stack
            or StackPlan(
                shape=words.shape,
                dtype=words.dtype.name,
                dimension_names=names,
                frame_rank=frame_rank,
                attributes={"verdict": "regular"},
            )
        )
        for start in range(0, len(flat), frames_per_object):
            positions = order[start : start + frames_per_object]
            part = flat[positions]
            pixels = (part.byteswap() if swap else part).tobytes() + b"\0" * pad
            self.add(
                self.header(len(self.objects)),
                pixels,
                tail,
                treatment=Treatment.ARRAY,
                stack=number,
                positions=tuple(int(position) for position in positions),
                swap=swap,
                pad=pad,
                transfer_syntax_uid=BIG_ENDIAN if swap else EXPLICIT,
            )

    def add_encapsulated(self, frame_lengths: list[list[int]], tail: bytes = b"") -> None:
        """An encapsulated object: for each frame the lengths of its fragments, behind an empty offset table."""
        value = b"\xfe\xff\x00\xe0\0\0\0\0"
        frames = []
        for lengths in frame_lengths:
            fragments = []
            for length in lengths:
                value += b"\xfe\xff\x00\xe0" + length.to_bytes(4, "little")
                fragments.append((len(value), length))
                value += self.random.bytes(length)
            frames.append(fragments)
        value += b"\xfe\xff\xdd\xe0\0\0\0\0"
        self.add(
            self.header(len(self.objects)),
            value,
            tail,
            treatment=Treatment.ENCAPSULATED,
            fragments=Fragments(frames),
            transfer_syntax_uid=JPEG_LS,
        )

    def plan(self, strategy: str | Strategy = "balanced", key: str = "0123abcd", **fields) -> SeriesPlan:
        chosen = Strategy.named(strategy) if isinstance(strategy, str) else strategy
        plan = SeriesPlan(
            key=key,
            study_instance_uid="1.2.3",
            series_instance_uid="1.2.3.4",
            parent=None,
            objects=tuple(self.objects),
            stacks=tuple(self.stacks),
            document={"Modality": "CT", "PatientName": "Α^Β"},
            strategy=chosen,
            catalog={"state": "sealed"},
        )
        return replace(plan, **fields)


def smooth_words(shape: tuple[int, ...], dtype: str = "int16", seed: int = 3) -> NDArray:
    """Words that compress about as images do, with a corner of zeros."""
    random = np.random.default_rng(seed)
    ramps = np.zeros(shape)
    for axis, length in enumerate(shape):
        ramps += np.linspace(0, 40 + 9 * axis, length).reshape([-1] + [1] * (len(shape) - axis - 1))
    words = (ramps + random.normal(0, 3, shape)).astype(dtype)
    words[tuple(slice(0, length // 2) for length in shape)] = 0
    return words
