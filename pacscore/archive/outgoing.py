"""Objects on their way out, many of one series one behind the other: read in runs, checked, never joined.

O1  What goes out agrees with what was proven when it was laid out: by the CRC32C of all that was read for it, which
    covers whole chunks only, else by the SHA-256 of its data set.
O2  Of a large object at most some frames are in memory at a time. Where its hash has to say whether it is right, its
    last piece is held back until then, so a damaged one never arrives as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pacscore.archive.instance import Instance
from pacscore.archive.sources import SealedSource
from pacscore.errors import DamagedError, PacscoreError
from pacscore.store.formats import ObjectPieces
from pacscore.store.generation import Generation
from pacscore.store.generation_file import Bytes

RUN_BYTES = 16 << 20
"""What is read at once; an object that is larger is read piece by piece while it goes out."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The bytes of one object's data set.

    Attributes
    ----------
    length
        Of the data set.
    pieces
        Its bytes in order, to be taken once; those of a large object are read when they are taken, which may raise a
        ``DamagedError`` before the last.
    """

    length: int
    pieces: Iterable[Bytes]

    def joined(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces)


def cut_runs(instances: Sequence[Instance]) -> list[list[Instance]]:
    """Instances of one series, in their order, in such runs as are best read at once."""
    found: list[list[Instance]] = []
    at = 0
    while at < len(instances):
        source = instances[at].source
        if not isinstance(source, SealedSource):
            found.append([instances[at]])
            at += 1
            continue
        stop = at
        while stop < len(instances) and _is_of(source.generation, instances[stop]):
            stop += 1
        part = instances[at:stop]
        by_number = {each.ordinal: each for each in part}
        found += [[by_number[n] for n in run] for run in source.generation.runs(list(by_number), RUN_BYTES)]
        at = stop
    return found


def read_run(run: Sequence[Instance]) -> list[Outgoing | PacscoreError]:
    """The objects of one of these runs; one that cannot be read is replaced by the reason, and spoils no other."""
    source = run[0].source
    try:
        if not isinstance(source, SealedSource):
            return [_whole(each) for each in run]
        pieces = source.generation.pieces([each.ordinal for each in run], RUN_BYTES)
        return [_checked(instance, found) for instance, found in zip(run, pieces, strict=True)]
    except PacscoreError as error:
        return [error] if len(run) == 1 else [read_run([each])[0] for each in run]


def read_data_set(instance: Instance) -> Outgoing:
    """One object alone.

    Raises
    ------
    DamagedError, StorageError
        It is damaged, or cannot be read.
    """
    (found,) = read_run([instance])
    if isinstance(found, PacscoreError):
        raise found
    return found


def _is_of(generation: Generation, instance: Instance) -> bool:
    return isinstance(instance.source, SealedSource) and instance.source.generation is generation


def _whole(instance: Instance) -> Outgoing:
    """An object of the journal, whose record is checked by its CRC32C when it is read."""
    view = memoryview(instance.source.buffer())[instance.prefix_length :]
    return Outgoing(len(view), (view,))


def _checked(instance: Instance, found: ObjectPieces) -> Outgoing:
    length = found.length - instance.prefix_length
    pieces = _without(found.buffers, instance.prefix_length)
    if found.is_checked:
        return Outgoing(length, pieces if found.length > RUN_BYTES else tuple(pieces))
    proven = _proven(instance, pieces)
    return Outgoing(length, proven if found.length > RUN_BYTES else tuple(proven))


def _without(buffers: Iterable[Bytes], prefix_length: int) -> Iterator[Bytes]:
    """Buffers without so many bytes at their beginning."""
    rest = prefix_length
    for buffer in buffers:
        if rest >= len(buffer):
            rest -= len(buffer)
            continue
        yield memoryview(buffer)[rest:] if rest else buffer
        rest = 0


def _proven(instance: Instance, pieces: Iterator[Bytes]) -> Iterator[Bytes]:
    digest = hashlib.sha256()
    held: Bytes = b""
    for piece in pieces:
        if not len(piece):
            continue
        if held:
            yield held
        digest.update(piece)
        held = piece
    if digest.hexdigest() != instance.sha256:
        raise DamagedError(
            f"instance {instance.sop_instance_uid} does not have the hash it was stored with. Run `pacscore verify` "
            "and restore it from a copy.",
            uid=instance.sop_instance_uid,
            expected=instance.sha256,
            found=digest.hexdigest(),
        )
    yield held
