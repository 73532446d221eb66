"""What a commit event says, and what the catalog holds of it: made from the generation's manifest alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pacscore.archive.records import SeriesRecord
from pacscore.catalog import InstanceColumns, SeriesRow
from pacscore.store.events import Event
from pacscore.store.generation import Generation


@dataclass(frozen=True, slots=True)
class Commit:
    """One series' part of a commit event.

    Attributes
    ----------
    file : str
        The generation's file, relative to the archive.
    prefix : str
        Where in the file the series lies: "" for a file of its own, ``<key>/`` in a pack.
    parent : str or None
        The locator of the generation that this one replaces.
    time : float
        When it was committed: seconds since 1970.
    """

    key: str
    file: str
    prefix: str
    parent: str | None
    time: float = 0.0

    @property
    def locator(self) -> str:
        """File and prefix as one text: what the catalog holds."""
        return f"{self.file}#{self.prefix}" if self.prefix else self.file


def commits_of(event: Event) -> list[Commit]:
    """The commits that an event holds, none for events of another kind."""
    value = json.loads(event.payload)
    if value["kind"] != "commit":
        return []
    when = float(value.get("time", 0.0))
    return [Commit(part["key"], value["file"], part["prefix"], part["parent"], when) for part in value["series"]]


def collected_of(event: Event) -> list[str]:
    """The files of which an event says that they are collected, none for events of another kind."""
    value = json.loads(event.payload)
    return list(value["files"]) if value["kind"] == "collected" else []


def series_row(generation: Generation, commit: Commit) -> tuple[SeriesRow, InstanceColumns]:
    """What the catalog holds of a generation, made from its manifest alone."""
    manifest = generation.manifest
    record = SeriesRecord.from_dict(manifest.catalog)
    document: dict[str, Any] = dict(manifest.document)
    row = SeriesRow(
        key=commit.key,
        study_instance_uid=manifest.study_instance_uid,
        series_instance_uid=manifest.series_instance_uid,
        document=document,
        generation=commit.locator,
        varying=record.varying,
        verdict=record.verdict,
        kinds=record.kinds,
        frame_count=record.frame_count,
        bytes_original=int(manifest.column("length").sum()),
        bytes_stored=generation.bytes_stored,
        strategy=manifest.strategy.name,
        stated_by=record.stated_by,
    )
    columns = InstanceColumns(
        sop_instance_uids=manifest.sop_instance_uids,
        sop_class_uids=[manifest.sop_class_uid(ordinal) for ordinal in range(manifest.object_count)],
        instance_numbers=record.instance_numbers,
        rows=record.rows,
        columns=record.columns,
        bits=record.bits,
        frames=record.frame_counts,
        versions=manifest.column("version").tolist(),
        current=[bool(current) for current in manifest.column("current").tolist()],
    )
    return row, columns
