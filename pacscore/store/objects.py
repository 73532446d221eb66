"""The objects of a plan while they are being written: read once, checked, hashed, held as long as needed."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

import google_crc32c
import numpy as np

from pacscore.errors import ChangedError
from pacscore.store.altered import count_altered
from pacscore.store.plan import ObjectPlan, ObjectSource


class _Held:
    """One object in memory, and how many still want it."""

    __slots__ = ("data", "hashed", "lock", "wanted")

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.lock = threading.Lock()
        self.data: bytes | memoryview | None = None
        self.hashed = False


class ObjectReader:
    """Hands out the objects of a plan, each read once however many units of work share it.

    Attributes
    ----------
    sha256 : list of bytes
        Of each data set, filled as objects are taken.
    altered : list of (frames,) int64
        Of each object whose words go into arrays, how many words of each frame masking alters; filled likewise.
    changeable : set of int
        Objects that were given as views of memory that others may change: to be proven by hashing what was stored.
    """

    def __init__(self, objects: Sequence[ObjectPlan], source: ObjectSource) -> None:
        self._objects = objects
        self._source = source
        self._uses = [0] * len(objects)
        self._held: dict[int, _Held] = {}
        self._lock = threading.Lock()
        self.sha256 = [b""] * len(objects)
        self.altered = [np.zeros(len(item.positions), np.int64) for item in objects]
        self.changeable: set[int] = set()

    def expect(self, index: int) -> None:
        """Announce one ``take`` of an object, before any is taken."""
        self._uses[index] += 1

    def take(self, index: int) -> bytes | memoryview:
        """The whole object, until ``release``.

        Raises
        ------
        ChangedError
            Its length or header is not what was scanned.
        """
        with self._lock:
            held = self._held.get(index)
            if held is None:
                held = self._held[index] = _Held(self._uses[index])
        with held.lock:
            if held.data is None:
                held.data = self._read(index)
            # Whoever reads it also hashes it, while the others already work with it.
            first, held.hashed = not held.hashed, True
        if first:
            plan = self._objects[index]
            self.sha256[index] = hashlib.sha256(memoryview(held.data)[plan.prefix_length :]).digest()
            if plan.stored_bits is not None:
                self.altered[index] = count_altered(plan, held.data)
        return held.data

    def release(self, index: int) -> None:
        """Give it back; the last of those announced frees it."""
        with self._lock:
            held = self._held[index]
            held.wanted -= 1
            if held.wanted <= 0:
                del self._held[index]

    def _read(self, index: int) -> bytes | memoryview:
        plan = self._objects[index]
        data = self._source.read(index)
        header = memoryview(data)[: plan.header_length]
        if len(data) != plan.length or google_crc32c.value(header.tobytes()) != plan.header_crc32c:
            raise ChangedError(
                f"Instance {plan.sop_instance_uid} changed since it was scanned. Ingest it again.",
                uid=plan.sop_instance_uid,
                expected=plan.length,
                found=len(data),
            )
        owner = data.obj if isinstance(data, memoryview) else data
        if not isinstance(owner, bytes):
            self.changeable.add(index)
        return data
