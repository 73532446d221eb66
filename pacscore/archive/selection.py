"""A selection: what a query met, as a plain value that stays what it is."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from pacscore.errors import InputError

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class SelectedSeries:
    """One series of a selection, with the generation it had."""

    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    generation: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Series that a query met: ordered, countable, sliceable, storable.

    Work on it are functions of other rooms; it only says which series, in which generation, so that a run can be
    repeated.
    """

    level: str
    match: tuple[tuple[str, Any], ...]
    items: tuple[SelectedSeries, ...]

    @classmethod
    def of(cls, archive: Archive, level: str, match: Mapping[str, Any]) -> Selection:
        """What matches now, in the order of the catalog.

        Raises
        ------
        InputError
            ``level`` is not ``series``.
        """
        if level != "series":
            raise InputError(f"a selection is of series: level {level!r} cannot be selected.")
        items = tuple(
            SelectedSeries(
                row["StudyInstanceUID"],
                row["SeriesInstanceUID"],
                str(row.get("PatientID") or ""),
                archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"]).generation,
            )
            for row in archive.find("series", **match)
        )
        return cls(level, tuple(sorted(match.items())), items)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[SelectedSeries]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> SelectedSeries: ...

    @overload
    def __getitem__(self, index: slice) -> Selection: ...

    def __getitem__(self, index: int | slice) -> SelectedSeries | Selection:
        if isinstance(index, slice):
            return Selection(self.level, self.match, self.items[index])
        return self.items[index]

    def sample(self, count: int, *, seed: int) -> Selection:
        """``count`` of them, chosen by a seed, in their order here."""
        chosen = sorted(random.Random(seed).sample(range(len(self.items)), min(count, len(self.items))))
        return Selection(self.level, self.match, tuple(self.items[index] for index in chosen))

    def split(self, *, by: str = "PatientID", seed: int, **shares: float) -> dict[str, Selection]:
        """Parts by share, with no patient (or study) in two of them.

        Raises
        ------
        InputError
            The shares do not add up to 1, or ``by`` is neither PatientID nor StudyInstanceUID.
        """
        if by not in {"PatientID", "StudyInstanceUID"} or abs(sum(shares.values()) - 1) > 1e-9:
            raise InputError("split by PatientID or StudyInstanceUID, into shares that add up to 1.")
        names = [item.patient_id if by == "PatientID" else item.study_instance_uid for item in self.items]
        groups = sorted(set(names))
        random.Random(seed).shuffle(groups)
        ends, total = {}, 0.0
        for part, share in shares.items():
            total += share
            ends[part] = round(total * len(groups))
        place = {name: index for index, name in enumerate(groups)}
        parts: dict[str, Selection] = {}
        first = 0
        for part, end in ends.items():
            items = tuple(item for item, name in zip(self.items, names, strict=True) if first <= place[name] < end)
            parts[part], first = Selection(self.level, self.match, items), end
        return parts

    def save(self, path: Path | str) -> None:
        """Write it to a small JSON file."""
        value = {
            "format": _FORMAT,
            "level": self.level,
            "match": dict(self.match),
            "items": [
                [item.study_instance_uid, item.series_instance_uid, item.patient_id, item.generation]
                for item in self.items
            ],
        }
        Path(path).write_text(json.dumps(value, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path | str) -> Selection:
        """Read what ``save`` wrote.

        Raises
        ------
        InputError
            It is no selection, or a newer one.
        """
        try:
            value = json.loads(Path(path).read_text("utf-8"))
            if value["format"] > _FORMAT:
                raise InputError("the selection was saved by a newer pacscore: install it to read it.")
            items = tuple(SelectedSeries(*item) for item in value["items"])
            return cls(value["level"], tuple(sorted(value["match"].items())), items)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError("the file holds no selection that `save` wrote.", path=str(path)) from error
