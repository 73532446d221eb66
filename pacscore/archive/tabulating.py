"""A series as columns of plain values, for tables: its instances and its stacks."""

from __future__ import annotations

import json
from typing import Any

from pacscore.archive.finding import find
from pacscore.archive.series import Series

INSTANCE_ATTRIBUTES = ("InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames")


def series_facts(series: Series) -> dict[str, Any]:
    """What the catalog knows of a series beside its attributes."""
    stored = series._stored
    return {
        "key": stored.key,
        "state": stored.state,
        "geometry": series.verdict,
        "kinds": " ".join(stored.kinds) or " ".join(sorted({stack.kind for stack in series.stacks})),
        "stacks": len(series.stacks),
        "instances": sum(member.candidate.current for member in series.members),
        "objects": len(series.members),
        "frames": sum(len(stack.frames) for stack in series.stacks),
        "bytes_original": sum(member.candidate.source.size for member in series.members),
        "bytes_stored": stored.bytes_stored,
        "strategy": stored.strategy,
        "generation": stored.generation or "",
    }


def instance_rows(series: Series) -> list[dict[str, Any]]:
    """One mapping an object, versions that are not current included.

    Sealed, all of it stands in the manifest and nothing else is read.
    """
    described = _sealed(series) if series._stored.state == "sealed" else _waiting(series)
    return [
        {
            "StudyInstanceUID": series.study_instance_uid,
            "SeriesInstanceUID": series.series_instance_uid,
            "SOPInstanceUID": member.sop_instance_uid,
            "ordinal": member.ordinal,
            **about,
            "version": member.candidate.version,
            "current": member.candidate.current,
            "transfer_syntax_uid": member.candidate.transfer_syntax_uid,
            "bytes": member.candidate.source.size,
            "sha256": "" if member.candidate.sha256 is None else member.candidate.sha256.hex(),
        }
        for member, about in zip(series.members, described, strict=True)
    ]


def stack_rows(series: Series) -> list[dict[str, Any]]:
    """One mapping a stack: shape, dtype, spacing, verdict, findings."""
    rows = []
    for number, stack in enumerate(series.stacks):
        spacing = stack.geometry.spacing_mm or (None, None, None)
        slices, values = stack.grid[-1], stack.values
        rescale = values.rescale
        rows.append(
            {
                "StudyInstanceUID": series.study_instance_uid,
                "SeriesInstanceUID": series.series_instance_uid,
                "stack": number,
                "kind": stack.kind,
                "geometry": str(stack.geometry.verdict),
                "findings": " ".join(sorted({finding.code for finding in stack.geometry.findings})),
                "axes": json.dumps([axis.as_dict() for axis in stack.axes]) if stack.axes else "",
                "volumes": len(stack.frames) // slices if slices else 0,
                "slices": slices,
                "rows": stack.frame_shape[0],
                "columns": stack.frame_shape[1],
                "samples": stack.frame_shape[2] if len(stack.frame_shape) > 2 else 1,
                "dtype": stack.dtype,
                "slice_spacing_mm": spacing[0],
                "row_spacing_mm": spacing[1],
                "column_spacing_mm": spacing[2],
                "photometric_interpretation": values.presentation.photometric,
                "unit": rescale.unit,
            }
        )
    return rows


def _sealed(series: Series) -> list[dict[str, Any]]:
    manifest, record = series._opened.manifest, series._record
    columns = (record.instance_numbers, record.rows, record.columns, record.bits, record.frame_counts)
    return [
        {"SOPClassUID": manifest.sop_class_uid(ordinal), **dict(zip(INSTANCE_ATTRIBUTES, values, strict=True))}
        for ordinal, values in enumerate(zip(*columns, strict=True))
    ]


def _waiting(series: Series) -> list[dict[str, Any]]:
    match = {"StudyInstanceUID": series.study_instance_uid, "SeriesInstanceUID": series.series_instance_uid}
    asked = match | dict.fromkeys(("SOPClassUID", *INSTANCE_ATTRIBUTES), "")
    found = {row["SOPInstanceUID"]: row for row in find(series._session, "instance", asked)}
    names = ("SOPClassUID", *INSTANCE_ATTRIBUTES)
    return [{name: found.get(member.sop_instance_uid, {}).get(name) for name in names} for member in series.members]
