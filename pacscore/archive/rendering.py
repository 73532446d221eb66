"""Pictures of a stored series, for the command line and the demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pacscore.errors import InputError

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

VIEWS = ("planes", "sheet", "axial", "coronal", "sagittal")
