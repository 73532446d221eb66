"""What is said about a stack: one verdict, and findings.

The verdict is the first that applies, in the order of the members of ``Verdict``; all else that was noticed is a
finding. Both are plain values with a stable text form, so that they can lie in a catalog or in the attributes of an
array.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


class Verdict(StrEnum):
    """What the positions of a stack's slices allow; earlier members take precedence."""

    NONE = "none"
    """No third dimension: one slice, a mosaic, or frames without a usable position, orientation or spacing."""
    MIXED = "mixed"
    """Planes of different orientations, one frame each, kept together."""
    TIME = "time"
    """Part of an incomplete product of an extra axis: some of its values lack slices that others have."""
    DUPLICATES = "duplicates"
    """Several frames in one plane that no attribute tells apart."""
    GAPS = "gaps"
    """Equally spaced but for missing slices."""
    IRREGULAR = "irregular"
    """Unequal distances, or slices that do not lie on a straight line."""
    TILTED = "tilted"
    """Equally spaced on a line that is not along the normal: gantry tilt."""
    REGULAR = "regular"
    """Equally spaced along the normal."""

    @property
    def rank(self) -> int:
        """Its place in the order of precedence, 0 first."""
        return list(Verdict).index(self)

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing noticed about a stack.

    Attributes
    ----------
    code : str
        Stable name of the kind of finding; ``docs/geometry.md`` lists them.
    message : str
        A sentence for people. No patient identity.
    fields : mapping
        The numbers behind it, as JSON values.
    """

    code: str
    message: str
    fields: Mapping[str, Json] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Json]:
        """The finding as JSON values.

        Examples
        --------
        >>> Finding.from_dict(Finding("tilt", "Tilted.", {"angle_deg": 18.5}).as_dict()).fields["angle_deg"]
        18.5
        """
        return {"code": self.code, "message": self.message, "fields": dict(self.fields)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Json]) -> Finding:
        """The finding that ``as_dict`` gave."""
        fields = value["fields"]
        assert isinstance(fields, dict)
        return cls(str(value["code"]), str(value["message"]), fields)
