"""What a stack's headers say about its values, as JSON: the mapping beside the values, proved by round trip.

Per-frame lists that hold one value are kept as that value; floats survive exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pacscore.imaging.attributes import StackAttributes
from pacscore.imaging.values import LookupTable, Presentation, Rescale, StoredFormat, VoiTable, Window


def attributes_record(values: StackAttributes) -> dict[str, Any]:
    """The values as JSON."""
    stored, rescale, shown = values.stored, values.rescale, values.presentation
    return {
        "stored": [_format_record(each) for each in stored.of_frames or (stored,)],
        "rescale": {
            "slopes": rescale.slopes.tolist(),
            "intercepts": rescale.intercepts.tolist(),
            "tables": [{"first": table.first, "entries": table.entries.tolist()} for table in rescale.tables],
            "unit": rescale.unit,
            "missing": rescale.missing,
        },
        "presentation": {
            "modality": shown.modality,
            "photometric": shown.photometric,
            "windows": [[_window_record(window) for window in frame] for frame in shown.windows],
            "padding": None if shown.padding is None else list(shown.padding),
            "pixel_aspect": shown.pixel_aspect,
            "findings": list(shown.findings),
            "voi_tables": [[_table_record(table) for table in frame] for frame in shown.voi_tables],
            "inverse": shown.inverse,
            "as_seen": shown.as_seen,
        },
    }


def attributes_from_record(record: Mapping[str, Any]) -> StackAttributes:
    """The values that ``attributes_record`` gave."""
    rescale, shown = record["rescale"], record["presentation"]
    padding = shown["padding"]
    return StackAttributes(
        StoredFormat.together([StoredFormat(**each) for each in record["stored"]]),
        Rescale(
            np.array(rescale["slopes"], np.float64),
            np.array(rescale["intercepts"], np.float64),
            tuple(LookupTable(table["first"], np.array(table["entries"], np.float32)) for table in rescale["tables"]),
            rescale["unit"],
            rescale["missing"],
        ),
        Presentation(
            shown["modality"],
            shown["photometric"],
            tuple(tuple(Window(*window) for window in frame) for frame in shown["windows"]),
            None if padding is None else (padding[0], padding[1]),
            shown["pixel_aspect"],
            tuple(shown["findings"]),
            tuple(tuple(_table_from_record(table) for table in frame) for frame in shown.get("voi_tables", [])),
            shown.get("inverse", False),
            shown.get("as_seen", False),
        ),
    )


def _format_record(stored: StoredFormat) -> dict[str, Any]:
    return {
        "bits_stored": stored.bits_stored,
        "high_bit": stored.high_bit,
        "signed": stored.signed,
        "clean": stored.clean,
    }


def _table_record(table: VoiTable) -> dict[str, Any]:
    return {
        "first": table.first,
        "entries": table.entries.tolist(),
        "bits": table.bits,
        "explanation": table.explanation,
    }


def _table_from_record(record: Mapping[str, Any]) -> VoiTable:
    return VoiTable(record["first"], np.array(record["entries"], np.uint16), record["bits"], record["explanation"])


def _window_record(window: Window) -> list[Any]:
    return [window.center, window.width, window.function, window.explanation, window.automatic]
