"""The element walker on every real object: its rows are pydicom's, and the twin's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from reference.objects import readable_paths
from reference.rows import rows_of, twin_rows, vr_text

from pacscore.dicom.elements import ElementTable
from pacscore.dicom.scan import scan


@pytest.mark.kernel
def test_real_headers_give_the_twins_rows(data: Path) -> None:
    for path in readable_paths(data):
        found = scan(path.read_bytes())
        whole = found.inflated if found.inflated is not None else path.read_bytes()
        start = 0 if found.inflated is not None else found.parts.prefix_length
        table = found.elements
        expected = twin_rows(whole, start, explicit=table.explicit, little=table.little_endian)
        assert (rows_of(table), table.end) == expected, path


@dataclass
class Comparison:
    """A pydicom data set beside the rows of a table, taken one after the other."""

    table: ElementTable
    row: int = 0

    def compare(self, dataset: Any, *, depth: int = 0, item: int = 0, base: int = 0) -> None:
        """``base``: pydicom counts the offsets in a sequence of defined length from the sequence's value on."""
        table = self.table
        assert table.item_count is not None
        for raw in sorted(dataset._dict.values(), key=offset_of):
            row = self.row
            self.row += 1
            is_raw = hasattr(raw, "value_tell")
            assert int(table.tag[row]) == raw.tag
            assert (int(table.depth[row]), int(table.item[row])) == (depth, item)
            assert int(table.offset[row]) == base + offset_of(raw)
            if is_raw:
                assert vr_text(int(table.vr[row])) == ("" if raw.is_implicit_VR else raw.VR)
                assert int(table.length[row]) & 0xFFFFFFFF == raw.length
            if table.item_count[row] >= 0:
                items = dataset[raw.tag].value
                if isinstance(items, bytes):
                    self._pass_private_sequence(depth)
                    continue
                assert int(table.item_count[row]) == len(items)
                inner_base = int(table.offset[row]) if is_raw else base
                for index, inner in enumerate(items):
                    self.compare(inner, depth=depth + 1, item=index, base=inner_base)
            if depth == 0 and raw.tag in (0x7FE00008, 0x7FE00009, 0x7FE00010):
                return

    def _pass_private_sequence(self, depth: int) -> None:
        """Under implicit VR pydicom knows private sequences of defined length by its dictionary; we by their items."""
        assert not self.table.explicit
        assert (self.table.tag[self.row - 1] >> 16) % 2 == 1
        while self.row < len(self.table) and self.table.depth[self.row] > depth:
            self.row += 1


def offset_of(element: Any) -> int:
    offset = element.value_tell if hasattr(element, "value_tell") else element.file_tell
    return int(offset)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_real_objects_give_pydicoms_elements(data: Path) -> None:
    import pydicom

    for path in readable_paths(data):
        comparison = Comparison(scan(path.read_bytes()).elements)
        try:
            comparison.compare(pydicom.dcmread(path, force=True))
        except AssertionError as error:
            raise AssertionError(f"{path}, row {comparison.row - 1}") from error
        assert comparison.row == len(comparison.table), path
