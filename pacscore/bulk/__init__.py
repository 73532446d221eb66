"""Many series at once: functions over selections, tables, datasets and exports.

    >>> from pacscore import bulk
    >>> selection = archive.select(Modality="CT")                                       # doctest: +SKIP
    >>> for result in bulk.map(selection, my_function, run="night"):                    # doctest: +SKIP
    ...     print(result.item.series_instance_uid, result.value)

Each name is fetched when it is first used, so that a command pays only for what it uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pacscore.bulk.bags import dask_bag
    from pacscore.bulk.catalog_tables import export_catalog
    from pacscore.bulk.exporting import export
    from pacscore.bulk.mapping import Run, map
    from pacscore.bulk.outcomes import MapReport, Result, Status
    from pacscore.bulk.patches import Foreground, PatchSampler
    from pacscore.bulk.record import selection_of
    from pacscore.bulk.stack_statistics import archive_statistics
    from pacscore.bulk.tables import table
    from pacscore.bulk.volumes import SelectedVolumes

_HOMES = {
    "Foreground": "pacscore.bulk.patches",
    "MapReport": "pacscore.bulk.outcomes",
    "PatchSampler": "pacscore.bulk.patches",
    "Result": "pacscore.bulk.outcomes",
    "Run": "pacscore.bulk.mapping",
    "SelectedVolumes": "pacscore.bulk.volumes",
    "Status": "pacscore.bulk.outcomes",
    "archive_statistics": "pacscore.bulk.stack_statistics",
    "dask_bag": "pacscore.bulk.bags",
    "export": "pacscore.bulk.exporting",
    "export_catalog": "pacscore.bulk.catalog_tables",
    "map": "pacscore.bulk.mapping",
    "selection_of": "pacscore.bulk.record",
    "table": "pacscore.bulk.tables",
}

__all__ = [
    "Foreground",
    "MapReport",
    "PatchSampler",
    "Result",
    "Run",
    "SelectedVolumes",
    "Status",
    "archive_statistics",
    "dask_bag",
    "export",
    "export_catalog",
    "map",
    "selection_of",
    "table",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pacscore.bulk' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
