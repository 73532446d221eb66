"""Ways to store a series: what a row of the benchmark is, and which there are.

A way of somebody else's joins as an entry point of the group ``pacscore.storage_ways`` that is a ``Way``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from pacscore.bulk.storage_benchmark.cases import Case
from pacscore.errors import InputError

GROUP = "pacscore.storage_ways"
Box = tuple[slice, ...]


class Reader(Protocol):
    """A stored series, open."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(slices, rows, columns)``."""
        ...

    def read(self, box: Box) -> NDArray[Any]:
        """The values of a box: one slice of step 1 for each axis."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


@dataclass(frozen=True, slots=True)
class Way:
    """One way to store a series in a folder of its own.

    Attributes
    ----------
    name, what : str
        For the table; one line on its settings.
    packages : tuple of str
        Distributions it needs; without them it is left out and named.
    write
        Store a case into an empty folder.
    open
        Open what was stored there.
    headers
        The SOP Instance UIDs of what is stored, by a scan of headers alone; None where none are kept.
    forget
        Close what ``open`` keeps of a folder between calls, if anything.
    is_durable : bool
        ``write`` syncs; after others every file is synced.
    keeps_originals : bool
        The original bytes come back.
    rescales : bool
        It reads modality values, not stored ones.
    """

    name: str
    what: str
    packages: tuple[str, ...]
    write: Callable[[Case, Path], None]
    open: Callable[[Path], Reader]
    headers: Callable[[Path], list[str]] | None = None
    forget: Callable[[Path], None] = lambda folder: None
    is_durable: bool = False
    keeps_originals: bool = False
    rescales: bool = False

    @contextmanager
    def opened(self, folder: Path) -> Iterator[Reader]:
        """Open, and close."""
        reader = self.open(folder)
        try:
            yield reader
        finally:
            reader.close()

    def versions(self) -> dict[str, str]:
        """Of its packages.

        Raises
        ------
        PackageNotFoundError
            One is not installed.
        """
        return {package: version(package) for package in self.packages}


def outside_ways() -> list[Way]:
    """All that are not ours: those that come with pacscore, then those of entry points."""
    from pacscore.bulk.storage_benchmark.array_files import ARRAY_WAYS
    from pacscore.bulk.storage_benchmark.codestream_files import CODESTREAM_WAYS
    from pacscore.bulk.storage_benchmark.dicom_files import DICOM_WAYS

    return [*DICOM_WAYS, *ARRAY_WAYS, *CODESTREAM_WAYS, *(point.load() for point in entry_points(group=GROUP))]


def way_named(name: str) -> Way:
    """The way of that name; ``pacscore STRATEGY`` are ours.

    Raises
    ------
    InputError
        There is none.
    """
    from pacscore.bulk.storage_benchmark.archives import OURS, archive_way

    if name.startswith(OURS):
        return archive_way(name.removeprefix(OURS))
    for way in outside_ways():
        if way.name == name:
            return way
    names = ", ".join(way.name for way in outside_ways())
    raise InputError(f"No way to store is called {name!r}. Choose from: {names}.", found=name)


def installed(ways: Sequence[Way]) -> tuple[list[Way], dict[str, str]]:
    """Those whose packages are installed, and why the others are left out."""
    there: list[Way] = []
    left_out: dict[str, str] = {}
    for way in ways:
        try:
            way.versions()
        except PackageNotFoundError as error:
            left_out[way.name] = f"{error.name} is not installed"
        else:
            there.append(way)
    return there, left_out
