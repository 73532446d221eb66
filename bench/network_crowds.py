"""Catalogs that hold 100,000 series beside those that are measured: in our archive, and in Orthanc."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from core_catalog import STAMP, _index
from network_nodes import Node, orthanc
from network_user import CT, EXPLICIT, Template, User
from rows import Context
from sealed import files_of, fresh

import pacscore
from pacscore.catalog import Catalog


def crowd_of(context: Context) -> int:
    """How many series there are beside."""
    return 2_000 if context.quick else 100_000


def crowded(context: Context, folder: Path, count: int) -> Path:
    """An archive whose catalog holds so many real series of the index; none of them can be fetched."""
    pacscore.create(fresh(folder)).close()
    shutil.copyfile(_catalog(context, count), folder / "catalog.sqlite")
    return folder


def _catalog(context: Context, count: int) -> Path:
    path = context.scratch / f"network-crowd-{count}-{STAMP}" / "catalog.sqlite"
    if not path.exists():
        fresh(path.parent).mkdir(parents=True)
        unfinished = path.with_suffix(".part")
        with Catalog.open(unfinished) as catalog:
            catalog.bulk_load(_index(context).entries(limit=count, instances=20))
        unfinished.rename(path)
    return path


@contextmanager
def crowded_orthanc(context: Context, folder: Path, *, destination: int = 0, kept: bool = False) -> Iterator[Node]:
    """Orthanc beside as many made series of one object each; ``kept`` with what it got since."""
    if not kept:
        filled = filled_orthanc(context, crowd_of(context))
        fresh(folder).mkdir(parents=True)
        # Files are links: Orthanc writes each once and then never again. Its database is a copy.
        shutil.copytree(filled / "storage", folder / "storage", copy_function=_link)
    with orthanc(folder, destination=destination, kept=True) as node:
        yield node


def _link(source: str, target: str) -> None:
    if Path(source).name.startswith("index"):
        shutil.copyfile(source, target)
    else:
        os.link(source, target)


def filled_orthanc(context: Context, count: int) -> Path:
    """Orthanc's folder with so many series of one object each; kept, for it takes minutes."""
    folder = context.scratch / f"network-orthanc-{count}"
    if not (folder / "filled").exists():
        template = Template(files_of(context.made_series)[0])
        with orthanc(folder, synced=False) as node, ThreadPoolExecutor(4) as pool:

            def send(part: int) -> None:
                with User(node.port, CT, EXPLICIT, called="ORTHANC") as user:
                    for number in range(part, count, 4):
                        assert user.store(*template.object(number, series=number)) == 0

            list(pool.map(send, range(4)))
        (folder / "filled").touch()
    return folder
