"""The catalog knows which generations are no head any more, for as long as their files are there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from catalog_rows import received

from pacscore.catalog import Catalog, Superseded
from pacscore.errors import FormatVersionError


def test_a_catalog_of_the_first_schema_follows_the_log_anew_for_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog.open(path) as catalog:
        catalog.put_received([received("1.2", "1.2.1", 1)], positions={"events": "1:64:ab"})
        with catalog._transaction() as connection:
            connection.exec_driver_sql("DROP TABLE superseded")
            connection.exec_driver_sql("UPDATE schema_version SET version = 1")
    with pytest.raises(FormatVersionError, match="Open the archive once for writing"):
        Catalog.open(path, read_only=True)
    with Catalog.open(path) as catalog:
        assert catalog.positions() == {}
        assert catalog.superseded() == ()
        assert catalog.counts().instances == 1


def test_superseded_generations_are_kept_until_their_files_are_gone(tmp_path: Path) -> None:
    first, second = (Superseded(f"packs/a.zip#{key}/", "packs/a.zip", key, 3.5) for key in ("k1", "k2"))
    other = Superseded("series/k3/b.zip", "series/k3/b.zip", "k3", 4.0)
    with Catalog.open(tmp_path / "catalog.sqlite") as catalog:
        for _ in range(2):  # Once more is as good as once.
            catalog.put_series([], replaced=[other, first, second], collected=["packs/a.zip"])
        gone = (replace(first, collected=True), replace(second, collected=True))
        assert catalog.superseded() == (*gone, other)
        before = catalog.digest()
        catalog.forget_superseded(["packs/a.zip"])
        assert catalog.superseded() == (other,)
        assert catalog.digest() != before
