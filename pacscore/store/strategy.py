"""Strategies: named, frozen choices of how a series is laid out.

New strategies are new values, not branches in the writer. The figures behind these are in the storage notes: bricks
of 16 × 64 × 64 with one Blosc block per brick plane read a volume in twice the time of ``np.load`` and a plane of any
direction in a few milliseconds; one frame per chunk is the fastest for frames but must decode everything for a
sagittal plane. LZ4 after a bit shuffle decodes twice as fast as Zstd, so Zstd is taken only where it saves much.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

from pacscore.errors import InputError
from pacscore.store.plugins import plugin, plugin_names

KIB = 1 << 10


_BLOSC = frozenset({"lz4", "lz4hc", "blosclz", "zlib", "zstd"})


@dataclass(frozen=True, slots=True)
class Codec:
    """One Blosc configuration, as Zarr v3 names it, and what is done to the words before.

    Attributes
    ----------
    name, level, shuffle
        Of Blosc: ``"lz4"`` or ``"zstd"``; 1 to 9; ``"noshuffle"``, ``"shuffle"`` or ``"bitshuffle"``.
    predictor : str
        ``"gradient"``: what is stored of each word is what its prediction from its neighbours leaves
        (``kernels.gradient``); empty: the word.

    Any other name is that of a frame codec (``frame_codecs``): each frame is a chunk; level and shuffle say nothing.
    """

    name: str
    level: int
    shuffle: str
    predictor: str = ""

    @property
    def is_of_frames(self) -> bool:
        """Whether it is a frame codec, and not a configuration of Blosc."""
        return self.name not in _BLOSC

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Codec:
        """Of JSON; fields that a newer version added are ignored."""
        return cls(**{name: values[name] for name in cls.__slots__ if name in values})


LZ4 = Codec("lz4", 5, "bitshuffle")
ZSTD = Codec("zstd", 1, "bitshuffle")
ZSTD_BYTES = Codec("zstd", 1, "shuffle")
ZSTD_SMALL = Codec("zstd", 5, "bitshuffle")
ZSTD_SMALL_BYTES = Codec("zstd", 5, "shuffle")
GRADIENT = Codec("zstd", 1, "bitshuffle", "gradient")


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a series is laid out.

    Attributes
    ----------
    name : str
        Stable; recorded in every generation.
    format : str
        ``"zarr"``, ``"hdf5"`` or ``"part10"``.
    brick : tuple of int or None
        Slices, rows, columns of a chunk of a volume; None keeps one frame or a few per chunk.
    brick_slices_min : int
        Stacks with fewer slices have one frame or a few per chunk.
    block_bytes : int
        Bytes of a Blosc block of a frame chunk; 0 makes a whole chunk one block. Bricks have one block per plane,
        unless this is 0. Always stated: with its own choice Blosc skips the shuffle of odd blocks in silence.
    frame_chunk_bytes : int
        Small frames share a chunk up to this many bytes.
    codec : Codec
        Taken unless one of ``others`` is better.
    others : tuple of Codec
        Tried on a sample when ``codec`` leaves more than ``codec_ratio_max`` of it; the smallest wins if it saves at
        least ``gain_min`` of what ``codec`` gives.
    working_copy : bool
        Whether decoded frames of encapsulated objects are cached beside them.
    """

    name: str
    format: str = "zarr"
    brick: tuple[int, int, int] | None = (16, 64, 64)
    brick_slices_min: int = 32
    block_bytes: int = 32 * KIB
    frame_chunk_bytes: int = 256 * KIB
    codec: Codec = LZ4
    others: tuple[Codec, ...] = (ZSTD, ZSTD_BYTES)
    codec_ratio_max: float = 0.5
    gain_min: float = 0.1
    working_copy: bool = False

    known: ClassVar[dict[str, Strategy]]

    @classmethod
    def named(cls, name: str) -> Strategy:
        """The strategy of that name; ``NAME@FORMAT`` is the same in another format.

        Besides those that come with pacscore there are those of entry points (group ``pacscore.strategies``).

        Raises
        ------
        InputError
            There is none.

        Examples
        --------
        >>> Strategy.named("balanced").brick
        (16, 64, 64)
        >>> Strategy.named("frames@hdf5").format
        'hdf5'
        """
        base, at, format_name = name.partition("@")
        found = cls.known.get(base) or plugin("pacscore.strategies", base)
        if not isinstance(found, cls):
            names = ", ".join(sorted({*cls.known, *plugin_names("pacscore.strategies")}))
            raise InputError(f"No strategy is called {name!r}. Choose one of: {names}.", found=name)
        return replace(found, name=name, format=format_name) if at else found

    def as_dict(self) -> dict[str, Any]:
        """The strategy as JSON, for the manifest; kept, since every series of a pack asks for it: not to be changed."""
        return _as_dict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Strategy:
        """The inverse of ``as_dict``; fields that a newer version added are ignored: reading depends on none."""
        named = cls.known.get(values.get("name", ""))
        if named is not None and _as_json(named) == values:  # As nearly always: every series that is opened asks.
            return named
        known = {name: values[name] for name in cls.__slots__ if name in values}
        if known.get("brick") is not None:
            known["brick"] = tuple(known["brick"])
        known["codec"] = Codec.from_dict(known["codec"])
        known["others"] = tuple(Codec.from_dict(codec) for codec in known["others"])
        return cls(**known)


@lru_cache(maxsize=64)
def _as_dict(strategy: Strategy) -> dict[str, Any]:
    return asdict(strategy)


@lru_cache(maxsize=64)
def _as_json(strategy: Strategy) -> Any:
    """What a manifest gives back of it."""
    return json.loads(json.dumps(strategy.as_dict()))


Strategy.known = {
    strategy.name: strategy
    for strategy in (
        Strategy("balanced"),
        Strategy("decoded", working_copy=True),
        Strategy("frames", brick=None),
        Strategy("bricks", brick_slices_min=2),
        Strategy(
            "archive",
            block_bytes=0,
            codec=ZSTD_SMALL,
            others=(ZSTD_SMALL_BYTES, LZ4),
            codec_ratio_max=0.0,
            gain_min=0.0,
        ),
        Strategy(
            "gradient",
            block_bytes=0,
            codec=GRADIENT,
            others=(ZSTD, ZSTD_SMALL, ZSTD_SMALL_BYTES),
            codec_ratio_max=0.0,
            gain_min=0.0,
        ),
        Strategy("jpegls", brick=None, codec=Codec("jpegls", 0, ""), others=()),
        Strategy("htj2k", brick=None, codec=Codec("htj2k", 0, ""), others=()),
        Strategy("part10", format="part10", brick=None),
        Strategy("hdf5", format="hdf5"),
    )
}
