"""A volume's numbers as xarray's lazily indexed array; importing this imports xarray."""

from __future__ import annotations

from typing import Any

from xarray.backends import BackendArray
from xarray.core import indexing

from pacscore.imaging.outgoing import LazyNumbers, Outgoing


class _Numbers(BackendArray):  # type: ignore[misc]  # xarray is not followed, so its classes are Any.
    """Takes integers and slices; xarray itself does the rest on what was read."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._numbers = LazyNumbers(outgoing)
        self.shape = self._numbers.shape
        self.dtype = self._numbers.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._numbers.__getitem__
        )


def lazy_array(outgoing: Outgoing) -> Any:
    """What a DataArray takes as its data."""
    return indexing.LazilyIndexedArray(_Numbers(outgoing))
