"""pacscore: a medical image storage and processing core.

Real DICOM goes in, is proven, and lies in an open, compressed, chunked store; volumes, planes and frames come out fast;
every original comes back byte for byte.

    >>> import pacscore
    >>> with pacscore.open("archive") as archive:                         # doctest: +SKIP
    ...     archive.ingest("folder")
    ...     volume = archive.series("1.2.840.113619.2.55.3").volume()
    ...     hounsfield = volume.modality()

Importing this package loads none of the heavy libraries; each name is fetched when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pacscore.version import __version__

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive, create, open
    from pacscore.archive.instance import Instance
    from pacscore.archive.report import IngestReport, Receipt
    from pacscore.archive.selection import Selection
    from pacscore.archive.series import Series
    from pacscore.errors import (
        AmbiguousError,
        DamagedError,
        InvalidDicomError,
        NotFoundError,
        PacscoreError,
        UndecodableError,
    )
    from pacscore.imaging import Image, Volume
    from pacscore.settings import Settings

_HOMES = {
    "Archive": "pacscore.archive.archive",
    "create": "pacscore.archive.archive",
    "open": "pacscore.archive.archive",
    "Instance": "pacscore.archive.instance",
    "Series": "pacscore.archive.series",
    "Selection": "pacscore.archive.selection",
    "IngestReport": "pacscore.archive.report",
    "Receipt": "pacscore.archive.report",
    "Image": "pacscore.imaging",
    "Volume": "pacscore.imaging",
    "Settings": "pacscore.settings",
    "AmbiguousError": "pacscore.errors",
    "DamagedError": "pacscore.errors",
    "InvalidDicomError": "pacscore.errors",
    "NotFoundError": "pacscore.errors",
    "PacscoreError": "pacscore.errors",
    "UndecodableError": "pacscore.errors",
}

__all__ = [
    "AmbiguousError",
    "Archive",
    "DamagedError",
    "Image",
    "IngestReport",
    "Instance",
    "InvalidDicomError",
    "NotFoundError",
    "PacscoreError",
    "Receipt",
    "Selection",
    "Series",
    "Settings",
    "UndecodableError",
    "Volume",
    "__version__",
    "create",
    "open",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pacscore' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
