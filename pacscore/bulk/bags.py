"""A selection as a Dask bag: its volumes, opened in the workers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pacscore.archive.selection import SelectedSeries, Selection, open_selected
from pacscore.bulk.performing import chosen_volume, opened_archive
from pacscore.errors import InputError, UnsupportedError
from pacscore.settings import Settings

if TYPE_CHECKING:
    import dask.bag

_PARTITION_SERIES = 8


def dask_bag(
    selection: Selection,
    *,
    stack: int | None = None,
    partition_size: int = _PARTITION_SERIES,
    settings: Settings | None = None,
) -> dask.bag.Bag:
    """The volumes of a selection as a Dask bag.

    Parameters
    ----------
    stack
        Which stack of each series; by default its only one.
    partition_size
        Series in one task.

    Returns
    -------
    dask.bag.Bag
        Of ``Volume``: they read lazily, and travel between workers as their locators. Whoever needs failures one by
        one, time limits or resuming takes ``bulk.map``: in a bag one failure ends the computation.

    Raises
    ------
    InputError
        ``partition_size`` is below 1.
    UnsupportedError
        Dask is not installed.

    Examples
    --------
    >>> dask_bag(selection).map(lambda volume: volume.statistics().mean).compute()           # doctest: +SKIP
    """
    try:
        from dask.bag import Bag
    except ImportError as error:
        raise UnsupportedError("Dask bags need an extra: pip install 'pacscore[dask]'.") from error
    if partition_size < 1:
        raise InputError(f"A partition has one series or more, not {partition_size}.", found=partition_size)
    settings = settings or Settings.from_environment()
    name = f"volumes-{uuid.uuid4().hex}"
    starts = range(0, max(1, len(selection)), partition_size)
    where = (selection.archive, selection.archive_id, settings, stack)
    graph = {
        (name, number): (open_volumes, *where, list(selection.items[start : start + partition_size]))
        for number, start in enumerate(starts)
    }
    return Bag(graph, name, len(starts))


def open_volumes(
    root: str, archive_id: str, settings: Settings, stack: int | None, items: Sequence[SelectedSeries]
) -> list[Any]:
    """The volumes of one partition."""
    archive = opened_archive(root, archive_id, settings)
    return [chosen_volume(open_selected(archive, item), stack) for item in items]
