"""A format of one's own: each object a member, as in ``part10``, under names of its own. In your pyproject.toml:

[project.entry-points."pacscore.formats"]
uids = "own_format:UIDS"
[project.entry-points."pacscore.strategies"]
uids = "own_format:UIDS_STRATEGY"
"""

import google_crc32c

from pacscore.store.manifest import RAW, Span
from pacscore.store.part10 import PlainReader
from pacscore.store.series_writer import SeriesWriter
from pacscore.store.strategy import Strategy


class UidFormat:
    def write_members(self, series: SeriesWriter) -> list[Span]:
        spans = []
        for index, plan in enumerate(series.plan.objects):
            series.reader.expect(index)
            data = series.reader.take(index)
            name = f"objects/{plan.sop_instance_uid}-{index}.dcm"
            series.add(name, data)  # Reads it back and compares.
            row = series.rows[index]
            row.header_span = row.first_span = index
            row.span_count, row.header_kept = 1, plan.header_length
            spans.append(Span(name, 0, len(data), len(data), google_crc32c.value(bytes(data)), RAW))
            series.reader.release(index)
            series.progress(len(data))
        return spans

    reader = staticmethod(PlainReader)


UIDS = UidFormat()
UIDS_STRATEGY = Strategy("uids", format="uids", brick=None)
