"""Reading one series in one generation file: its arrays, and every original byte of its objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from pacscore.errors import InputError, NotFoundError
from pacscore.parallel import lazy_property
from pacscore.settings import Settings
from pacscore.store.formats import ObjectPieces, StoredWords, format_named
from pacscore.store.generation_file import GenerationFile
from pacscore.store.manifest import Manifest
from pacscore.store.plan import Treatment
from pacscore.store.series_file import SeriesFile, StackInfo
from pacscore.store.zip_layout import Member

if TYPE_CHECKING:
    from pacscore.store.verify import Damage


class Generation:
    """One series in one generation file. Opening reads the end of the file; all else is read when asked for.

    Safe from several threads. Arrays that were taken from it outlive it; ``close`` is for those who took none.
    """

    def __init__(self, file: GenerationFile, prefix: str, settings: Settings) -> None:
        """Use ``open``."""
        self._series = SeriesFile(file, prefix, settings)
        self._reader = format_named(self.manifest.strategy.format).reader(self._series)

    @classmethod
    def open(cls, path: Path, *, prefix: str = "", settings: Settings | None = None) -> Generation:
        """Open a series.

        Parameters
        ----------
        path
            Of the generation file.
        prefix
            ``"<key>/"`` for a series in a pack.

        Raises
        ------
        NotFoundError
            There is no such file, or no such series in it.
        DamagedError
            The directory or manifest is damaged.
        FormatVersionError
            A newer pacscore wrote it.
        """
        return cls(GenerationFile(path), prefix, settings or Settings())

    def __enter__(self) -> Generation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; arrays taken from it fail from now on."""
        self.file.close()

    @property
    def file(self) -> GenerationFile:
        """The open file."""
        return self._series.file

    @property
    def prefix(self) -> str:
        """``"<key>/"`` in a pack, else empty."""
        return self._series.prefix

    @property
    def members(self) -> Mapping[str, Member]:
        """The members of the series, by their names below it."""
        return self._series.members

    @property
    def manifest(self) -> Manifest:
        """What lies where."""
        return self._series.manifest

    @property
    def object_count(self) -> int:
        """How many objects the series has here."""
        return self.manifest.object_count

    @lazy_property
    def bytes_stored(self) -> int:
        """Bytes of the series' members."""
        return sum(member.length for member in self.members.values())

    @property
    def stacks(self) -> tuple[StackInfo, ...]:
        """What the series' arrays are."""
        return self._series.stacks

    def array_source(self, stack: int) -> StoredWords:
        """The words of one stack: an ``ArraySource``.

        Raises
        ------
        NotFoundError
            There is no such stack.
        """
        if not 0 <= stack < len(self.stacks):
            raise NotFoundError(f"The series has {len(self.stacks)} stacks; there is no number {stack}.", found=stack)
        return self._reader.words(stack)

    def object_bytes(self, index: int) -> bytes:
        """The whole object as it was taken."""
        return self._reader.whole(self._checked(index))

    def header_bytes(self, index: int) -> bytes:
        """All before the pixel value; the whole object where there is none."""
        return self._reader.header(self._checked(index))

    def pixel_bytes(self, index: int) -> bytes:
        """The pixel value as it was taken; empty where there is none."""
        return self._reader.pixels(self._checked(index))

    def runs(self, indices: Sequence[int], bytes_max: int) -> list[list[int]]:
        """Objects, in their order, cut into runs that are best read at once by ``pieces``, of about ``bytes_max``."""
        return self._reader.runs([self._checked(index) for index in indices], bytes_max)

    def pieces(self, indices: Sequence[int], bytes_max: int) -> list[ObjectPieces]:
        """Objects as buffers, without joining them: chunks that consecutive ones share are decoded once.

        An object longer than ``bytes_max`` is read while its buffers are taken.

        Raises
        ------
        DamagedError, StorageError
            A chunk or header is damaged, or cannot be read; of a large object, when it is reached.
        """
        return self._reader.pieces([self._checked(index) for index in indices], bytes_max)

    def frame_count(self, index: int) -> int:
        """How many frames of an object are mapped: those in arrays, or encapsulated ones."""
        return self.manifest.number("frame_count", self._checked(index))

    def frame_bytes(self, index: int, frame_index: int) -> bytes:
        """One encapsulated frame: the bytes of its fragments, joined.

        Raises
        ------
        InputError
            The object is not encapsulated, or has no such frame.
        """
        count = self.frame_count(index)
        if self.manifest.treatment(index) != Treatment.ENCAPSULATED or not 0 <= frame_index < count:
            raise InputError(
                f"Object {index} has no encapsulated frame with index {frame_index}.", found=frame_index, expected=count
            )
        fragments = self.manifest.fragments(index, frame_index)
        if not fragments:
            return b""
        begin = min(offset for offset, _ in fragments)
        end = max(offset + length for offset, length in fragments)
        part = memoryview(self._reader.pixel_range(index, begin, end))
        return b"".join([part[offset - begin : offset - begin + length] for offset, length in fragments])

    def verify(self) -> Iterator[Damage]:
        """Check everything of this series and yield what is wrong; see ``verify.verify_series``."""
        from pacscore.store.verify import verify_series

        return verify_series(self, self._series.settings)

    def _checked(self, index: int) -> int:
        if not 0 <= index < self.object_count:
            raise NotFoundError(f"The series has {self.object_count} objects; there is no number {index}.", found=index)
        return index
