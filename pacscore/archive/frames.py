"""Frames of a series' objects, wherever they lie: in arrays, as blobs, encapsulated, or still in the journal."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pacscore.archive.candidates import Candidate
from pacscore.archive.planning import describe, pixel_tag
from pacscore.archive.records import SeriesRecord, StackRecord
from pacscore.archive.sources import SealedSource
from pacscore.dicom.attributes import Header
from pacscore.dicom.codecs import decode_frame, decoded_photometric
from pacscore.dicom.colour import Palette, decode_frame_rgb, read_palette, to_rgb
from pacscore.dicom.pixels import PixelDescription, describe_pixels, read_native_frame
from pacscore.dicom.scan import Scan
from pacscore.errors import InputError, NotFoundError, UndecodableError
from pacscore.imaging.sources import Box
from pacscore.parallel import run_tiles
from pacscore.settings import Settings
from pacscore.store.generation import Generation
from pacscore.store.plan import Treatment

_KEPT = 256


@dataclass(frozen=True, slots=True)
class Pixels:
    """What decoding the frames of one object needs."""

    header: Header
    scan: Scan
    description: PixelDescription

    @property
    def transfer_syntax_uid(self) -> str:
        """How they are encoded."""
        return self.scan.parts.transfer_syntax_uid

    def palette(self) -> Palette | None:
        """The colour table of a PALETTE COLOR object."""
        return read_palette(
            self.header.get,
            self.header.value_bytes,
            signed=self.description.signed,
            transfer_syntax_uid=self.transfer_syntax_uid,
        )


class FrameReader(Protocol):
    """Frames by the number of their object in the series and their index there."""

    def pixels(self, ordinal: int) -> Pixels:
        """How an object's frames are encoded."""
        ...

    def frame(self, ordinal: int, frame_index: int) -> NDArray[Any]:
        """Stored samples, ``(rows, columns)`` or ``(rows, columns, samples)``, native byte order."""
        ...

    def compressed(self, ordinal: int, frame_index: int) -> bytes | None:
        """The joined fragments of an encapsulated frame; None for a native one."""
        ...


class _Remembered:
    """The last few results of a function of one number; safe for several threads."""

    def __init__(self, function: Callable[[int], Pixels]) -> None:
        self._function = function
        self._kept: OrderedDict[int, Pixels] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, number: int) -> Pixels:
        with self._lock:
            if number in self._kept:
                return self._kept[number]
        value = self._function(number)
        if value.scan.inflated is not None:  # A whole data set in memory: not to be kept by the hundred.
            return value
        with self._lock:
            self._kept[number] = value
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return value


class WaitingFrames:
    """Frames of objects that are not laid out yet: each read whole from its source."""

    def __init__(self, candidates: Sequence[Candidate], settings: Settings) -> None:
        self._candidates = candidates
        self._settings = settings
        self.pixels: Callable[[int], Pixels] = _Remembered(self._pixels)

    def frame(self, ordinal: int, frame_index: int) -> NDArray[Any]:
        """Stored samples."""
        pixels = self.pixels(ordinal)
        syntax, place = pixels.transfer_syntax_uid, pixels.scan.pixels
        compressed = self.compressed(ordinal, frame_index)
        if compressed is not None:
            return decode_frame(compressed, pixels.description, syntax, settings=self._settings)
        if place is None:
            return _deflated_frame(pixels, frame_index)
        value = memoryview(self._candidates[ordinal].source.buffer())[place.offset : place.offset + place.length]
        return read_native_frame(value, frame_index, pixels.description, transfer_syntax_uid=syntax, vr=place.vr)

    def compressed(self, ordinal: int, frame_index: int) -> bytes | None:
        """The joined fragments of a frame."""
        described = describe(self._candidates[ordinal], self._settings)
        place = described.scan.pixels
        if place is None or not place.encapsulated:
            return None
        if described.fragments is None or not 0 <= frame_index < described.fragments.frame_count:
            raise _no_map(self._candidates[ordinal].sop_instance_uid)
        value = memoryview(self._candidates[ordinal].source.buffer())[place.offset : place.offset + place.length]
        return described.fragments.frame(value, frame_index)

    def _pixels(self, ordinal: int) -> Pixels:
        described = describe(self._candidates[ordinal], self._settings)
        if described.description is None:
            raise _no_frames(self._candidates[ordinal].sop_instance_uid)
        return Pixels(described.header, described.scan, described.description)


class SealedFrames:
    """Frames of a generation's objects."""

    def __init__(self, generation: Generation, settings: Settings) -> None:
        self._generation = generation
        self._settings = settings
        self.pixels: Callable[[int], Pixels] = _Remembered(self._pixels)

    def frame(self, ordinal: int, frame_index: int) -> NDArray[Any]:
        """Stored samples; an encapsulated object gives up the fragments of this frame alone."""
        generation, manifest = self._generation, self._generation.manifest
        pixels = self.pixels(ordinal)
        syntax = pixels.transfer_syntax_uid
        treatment = manifest.treatment(ordinal)
        compressed = self.compressed(ordinal, frame_index)
        if compressed is not None:
            return decode_frame(compressed, pixels.description, syntax, settings=self._settings)
        if treatment is Treatment.ARRAY:
            return self._from_array(ordinal, frame_index)
        place = pixels.scan.pixels
        if place is None:
            return _deflated_frame(pixels, frame_index)
        value = generation.pixel_bytes(ordinal)
        return read_native_frame(
            value, frame_index, pixels.description, transfer_syntax_uid=syntax, vr=place.vr if place else 0
        )

    def compressed(self, ordinal: int, frame_index: int) -> bytes | None:
        """The joined fragments of a frame, read alone."""
        manifest = self._generation.manifest
        if manifest.treatment(ordinal) is not Treatment.ENCAPSULATED:
            return None
        if not 0 <= frame_index < manifest.number("frame_count", ordinal):
            raise _no_map(manifest.sop_instance_uids[ordinal])
        return bytes(self._generation.frame_bytes(ordinal, frame_index))

    def _from_array(self, ordinal: int, frame_index: int) -> NDArray[Any]:
        places = self._generation.manifest.frames(ordinal)
        if not 0 <= frame_index < len(places):
            raise NotFoundError(f"there is no frame {frame_index}: the object has {len(places)}.", found=frame_index)
        stack, position = places[frame_index]
        source = self._generation.array_source(stack)
        rank = len(self.pixels(ordinal).description.frame_shape())
        grid, shape = source.shape[:-rank], source.shape[-rank:]
        at = np.unravel_index(position, grid)
        box = (*(slice(int(i), int(i) + 1) for i in at), *(slice(0, length) for length in shape))
        return source.read(box).reshape(shape)

    def _pixels(self, ordinal: int) -> Pixels:
        described = describe_header(SealedSource(self._generation, ordinal).candidate(), self._settings)
        if described is None:
            raise _no_frames(self._generation.manifest.sop_instance_uids[ordinal])
        return described


def read_rgb(frames: FrameReader, ordinal: int, frame_index: int) -> NDArray[Any]:
    """One frame as RGB, ``(rows, columns, 3)`` uint8 or uint16, minding what a codestream says of its colours."""
    pixels = frames.pixels(ordinal)
    description, syntax = pixels.description, pixels.transfer_syntax_uid
    compressed = frames.compressed(ordinal, frame_index)
    if compressed is not None:
        return decode_frame_rgb(compressed, description, syntax, pixels.palette())
    return to_rgb(frames.frame(ordinal, frame_index), description, syntax, pixels.palette())


def decoded_description(frames: FrameReader, ordinal: int, frame_index: int) -> PixelDescription:
    """The description of decoded frames: what their samples are once the codec is undone."""
    pixels = frames.pixels(ordinal)
    compressed = frames.compressed(ordinal, frame_index)
    if compressed is None:
        return pixels.description
    photometric = decoded_photometric(compressed, pixels.description, pixels.transfer_syntax_uid)
    return replace(pixels.description, photometric=photometric)


def describe_header(candidate: Candidate, settings: Settings) -> Pixels | None:
    """What an object's header says of its pixels, None where it has none that can be read."""
    loaded = candidate.loaded(settings)
    assert loaded.scan is not None
    assert loaded.header is not None
    tag = pixel_tag(loaded.scan)
    if tag is None:
        return None
    header = Header(loaded.header, loaded.scan)
    try:
        description = describe_pixels(header.get, loaded.transfer_syntax_uid, tag)
    except InputError:
        return None
    return None if description is None else Pixels(header, loaded.scan, description)


@dataclass(frozen=True, slots=True)
class FrameLocator:
    """Where the frames of a sealed stack are, in a form that can be pickled and opened in another process.

    Attributes
    ----------
    path, prefix : str
        Of the generation file, and of the series in a pack.
    stack : int
        Which stack of the series.
    settings : Settings
        Limits to read under.
    """

    path: str
    prefix: str
    stack: int
    settings: Settings

    def open(self) -> FrameSource:
        """Open the frames anew, without catalog or lock."""
        generation = Generation.open(Path(self.path), prefix=self.prefix, settings=self.settings)
        record = SeriesRecord.from_dict(generation.manifest.catalog).stacks[self.stack]
        return FrameSource(record, SealedFrames(generation, self.settings), self, threads=self.settings.threads())


def open_frames(locator: FrameLocator) -> FrameSource:
    """Open the frames anew; what unpickling calls."""
    return locator.open()


class FrameSource:
    """A stack whose frames are decoded when they are read, as an array source.

    Each frame that a box meets is decoded whole, frames side by side on the shared pool.
    """

    def __init__(self, record: StackRecord, frames: FrameReader, locator: object, *, threads: int) -> None:
        self._record = record
        self._frames = frames
        self._locator = locator
        self._threads = threads

    def __reduce__(self) -> tuple[Any, ...]:
        if not isinstance(self._locator, FrameLocator):
            raise InputError("What waits in the journal cannot be opened in another process: seal the archive first.")
        return open_frames, (self._locator,)

    @property
    def shape(self) -> tuple[int, ...]:
        """Axes, slices, then the frame."""
        return self._record.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the stored words."""
        return np.dtype(self._record.dtype)

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """One frame."""
        return (1,) * len(self._record.grid) + self._record.frame_shape

    @property
    def locator(self) -> object:
        """Archive, series and stack."""
        return self._locator

    def read(self, selection: Box) -> NDArray[Any]:
        """The words of the box."""
        out = np.empty(tuple(part.stop - part.start for part in selection), self.dtype)
        self.read_into(selection, out)
        return out

    def read_into(self, selection: Box, out: NDArray[Any]) -> None:
        """Put the words of the box into ``out``."""
        rank = len(self._record.grid)
        inside = selection[rank:]
        flat = np.arange(len(self._record.frames)).reshape(self._record.grid)[selection[:rank]].ravel().tolist()
        targets = out.reshape(len(flat), *out.shape[rank:])

        def decode(start: int, stop: int) -> None:
            for place in range(start, stop):
                ordinal, frame_index = self._record.frames[flat[place]].tolist()
                targets[place] = self._frames.frame(ordinal, frame_index)[inside]

        run_tiles(decode, len(flat), threads=self._threads)


def _deflated_frame(pixels: Pixels, frame_index: int) -> NDArray[Any]:
    """A frame of a deflated data set, whose pixel value is the last element of the inflated one."""
    inflated, elements = pixels.scan.inflated, pixels.scan.elements
    assert inflated is not None
    offset, length = int(elements.offset[-1]), int(elements.length[-1])
    value = memoryview(inflated)[offset : offset + length]
    return read_native_frame(
        value,
        frame_index,
        pixels.description,
        transfer_syntax_uid=pixels.transfer_syntax_uid,
        vr=int(elements.vr[-1]),
    )


def _no_frames(uid: str) -> NotFoundError:
    return NotFoundError(f"instance {uid} has no pixel data that its header describes.", uid=uid)


def _no_map(uid: str) -> UndecodableError:
    return UndecodableError(
        f"the frames of instance {uid} cannot be told apart, or there is no such frame. Its bytes can be fetched.",
        uid=uid,
    )
