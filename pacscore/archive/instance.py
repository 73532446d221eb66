"""One object: its original bytes, its attributes, its frames."""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Collection
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from pacscore.archive.candidates import Candidate, Source
from pacscore.archive.frames import read_rgb
from pacscore.archive.sources import SealedSource
from pacscore.dicom.attributes import Header
from pacscore.dicom.overlays import Overlay, read_overlays
from pacscore.errors import DamagedError

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from pacscore.archive.series import Series


class Instance:
    """One object of a series, in one version."""

    def __init__(self, series: Series, ordinal: int) -> None:
        self._series = series
        self._ordinal = ordinal

    def __repr__(self) -> str:
        return f"Instance({self.sop_instance_uid}, version {self.version})"

    @property
    def _candidate(self) -> Candidate:
        return self._series.members[self._ordinal].candidate

    @property
    def ordinal(self) -> int:
        """Its number among the objects of the series."""
        return self._ordinal

    @property
    def series(self) -> Series:
        """The series it belongs to."""
        return self._series

    @property
    def sop_instance_uid(self) -> str:
        """Its name."""
        return self._candidate.sop_instance_uid

    @cached_property
    def sop_class_uid(self) -> str:
        """What kind of object it is; "" where it does not say so."""
        source = self._candidate.source
        if isinstance(source, SealedSource):
            return source.generation.manifest.sop_class_uid(source.ordinal)
        return str(self.document(("SOPClassUID",)).get("SOPClassUID", ""))

    @property
    def transfer_syntax_uid(self) -> str:
        """How its data set is encoded."""
        return self._candidate.transfer_syntax_uid

    @property
    def source(self) -> Source:
        """Where its bytes can be read."""
        return self._candidate.source

    @property
    def prefix_length(self) -> int:
        """Bytes of preamble and file meta, before its data set."""
        return self._candidate.prefix_length

    @property
    def version(self) -> int:
        """1 for what came first under this UID."""
        return self._candidate.version

    @property
    def is_current(self) -> bool:
        """Whether queries and volumes use this version."""
        return self._candidate.current

    @property
    def sha256(self) -> str:
        """Of its data set (without preamble and file meta), hexadecimal, as taken when it came."""
        assert self._candidate.sha256 is not None
        return self._candidate.sha256.hex()

    def bytes(self) -> builtins.bytes:
        """The original object, byte for byte, hashed again.

        Raises
        ------
        DamagedError
            It does not have the hash that was recorded when it came.
        """
        whole = self._candidate.source.read()
        found = hashlib.sha256(memoryview(whole)[self._candidate.prefix_length :]).hexdigest()
        if found != self.sha256:
            raise DamagedError(
                f"instance {self.sop_instance_uid} does not have the hash it was stored with. Run `pacscore verify` "
                "and restore it from a copy.",
                uid=self.sop_instance_uid,
                expected=self.sha256,
                found=found,
            )
        return whole

    def dataset_bytes(self) -> builtins.bytes:
        """The data set alone: what came where an object was taken without preamble and file meta."""
        return self.bytes()[self._candidate.prefix_length :]

    def dataset(self) -> FileDataset:
        """The object as a pydicom data set."""
        import pydicom

        return pydicom.dcmread(BytesIO(self.bytes()), force=True)

    def document(self, keywords: Collection[str] | None = None) -> dict[str, Any]:
        """Its attributes by DICOM keyword, nested and private ones included, or those named; no binary values."""
        return dict(self._header.document(keywords=keywords))

    def frame(self, index: int = 0) -> NDArray[Any]:
        """Stored samples of a frame, ``(rows, columns)`` or ``(rows, columns, samples)``; ``index`` starts at 0.

        Raises
        ------
        UndecodableError
            No decoder for its transfer syntax is installed, or its frames cannot be told apart.
        NotFoundError
            It has no pixel data, or no such frame.
        """
        return self._series.frames.frame(self._ordinal, index)

    def frame_rgb(self, index: int = 0) -> NDArray[Any]:
        """A colour frame as RGB, ``(rows, columns, 3)``.

        Raises
        ------
        InputError
            It is monochrome: window it instead.
        """
        return read_rgb(self._series.frames, self._ordinal, index)

    def overlays(self, index: int = 0) -> tuple[Overlay, ...]:
        """The overlay planes of a frame, in the order of their groups; ``Image.overlaid`` draws them.

        Raises
        ------
        InvalidDicomError
            A plane's attributes contradict each other or its data is too short.
        """
        return read_overlays(self._header, index, lambda: self.frame(index))

    @cached_property
    def _header(self) -> Header:
        loaded = self._candidate.loaded(self._series.settings)
        assert loaded.header is not None
        assert loaded.scan is not None
        return Header(loaded.header, loaded.scan)
