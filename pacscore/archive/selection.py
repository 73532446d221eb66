"""A selection: what a query met, as a plain value that stays what it is.

It is lazy: it names series and generations and opens none of them. Work on it are functions of other rooms, which open
each series where they work on it. The archive may go on meanwhile: a generation that has been superseded is read as
long as it is there, and once it is collected the item says so.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from pacscore.archive.series import Series
from pacscore.errors import InputError, NotFoundError, StorageError

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

_FORMAT = 1
_GROUPS = {"PatientID": "patient_id", "StudyInstanceUID": "study_instance_uid"}
_LEVELS = ("series", "study", "patient")
_STUDIES_ASKED = 200


@dataclass(frozen=True, slots=True)
class SelectedSeries:
    """One series of a selection.

    Attributes
    ----------
    study_instance_uid, series_instance_uid, patient_id : str
        Whose it is.
    generation : str
        The generation it had, relative to the archive; "" where objects of it waited in the journal. Such a series is
        read as it is when its turn comes: seal the archive first for a run that can be repeated.
    """

    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    generation: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Series that a query met: ordered, countable, sliceable, storable.

    Attributes
    ----------
    archive, archive_id : str
        Folder and identity of the archive.
    level : str
        ``series``: those that match. ``study``, ``patient``: all series of the studies that match, or of the patients
        who have one. Iteration and slices are of series at every level; ``groups`` gives what belongs together.
    match : tuple of (str, value)
        The query.
    items : tuple of SelectedSeries
        What it met, in the order of the catalog.

    Examples
    --------
    >>> items = tuple(SelectedSeries(f"1.{n}", f"1.{n}.1", f"P{n // 2}", "") for n in range(10))
    >>> selection = Selection("archive", "00ff", "series", (("Modality", "CT"),), items)
    >>> len(selection[:4]), [item.patient_id for item in selection.sample(3, seed=7)]
    (4, ['P1', 'P2', 'P3'])
    >>> {name: len(part) for name, part in selection.split(train=0.8, val=0.2, seed=7).items()}
    {'train': 8, 'val': 2}
    """

    archive: str
    archive_id: str
    level: str
    match: tuple[tuple[str, Any], ...]
    items: tuple[SelectedSeries, ...]

    @classmethod
    def of(cls, archive: Archive, level: str, match: Mapping[str, Any]) -> Selection:
        """What matches now, in the order of the catalog.

        Raises
        ------
        InputError
            There is no such level.
        QueryError
            A key or value of the query has no meaning.
        """
        if level not in _LEVELS:
            raise InputError(
                f"a selection is of {', '.join(_LEVELS)}: level {level!r} cannot be selected.", found=level
            )
        rows = list(archive.find("series", **match) if level == "series" else _whole(archive, level, match))
        session = archive._session
        heads = session.catalog.generations()
        for stored in session.catalog.waiting():
            heads.pop(stored.key, None)
        items = []
        for row in rows:
            study, series = row["StudyInstanceUID"], row["SeriesInstanceUID"]
            generation = heads.get(session.layout.series_key(study, series), "")
            items.append(SelectedSeries(study, series, str(row.get("PatientID") or ""), generation))
        root = str(session.layout.root.resolve())
        query = tuple(sorted((key, _plain(value)) for key, value in match.items()))
        return cls(root, session.layout.archive_id, level, query, tuple(items))

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[SelectedSeries]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> SelectedSeries: ...

    @overload
    def __getitem__(self, index: slice) -> Selection: ...

    def __getitem__(self, index: int | slice) -> SelectedSeries | Selection:
        return self._of(self.items[index]) if isinstance(index, slice) else self.items[index]

    def __repr__(self) -> str:
        query = " ".join(f"{key}={value}" for key, value in self.match)
        whole = {"series": "", "study": " of whole studies", "patient": " of whole patients"}[self.level]
        return f"<Selection of {len(self.items)} series{whole}{': ' + query if query else ''}>"

    def series(self, archive: Archive) -> Iterator[Series]:
        """Each series in the generation it had, opened when its turn comes; errors as ``open_selected``."""
        return (open_selected(archive, item) for item in self.items)

    def groups(self) -> dict[str, Selection]:
        """The series that belong together, by Study Instance UID or Patient ID; each by itself at the level of series.

        Where there is no Patient ID a study stands for itself: two could be of two patients.
        """
        found: dict[str, list[SelectedSeries]] = {}
        for item in self.items:
            found.setdefault(_group_of(item, self.level), []).append(item)
        return {name: self._of(items) for name, items in found.items()}

    def sample(self, count: int, *, seed: int) -> Selection:
        """``count`` series, whole studies or whole patients, by level; all, where there are fewer.

        Chosen by a seed, in their order here.

        Raises
        ------
        InputError
            ``count`` is below 0.
        """
        if count < 0:
            raise InputError(f"A sample has 0 {self.level} or more, not {count}.", found=count)
        if self.level != "series":
            names = list(self.groups())
            taken = set(random.Random(seed).sample(names, min(count, len(names))))
            return self._of(item for item in self.items if _group_of(item, self.level) in taken)
        chosen = sorted(random.Random(seed).sample(range(len(self.items)), min(count, len(self.items))))
        return self._of(self.items[index] for index in chosen)

    def split(self, *, by: str = "PatientID", seed: int, **shares: float) -> dict[str, Selection]:
        """Parts by share, with no patient (or study) in two of them.

        Parameters
        ----------
        by
            ``PatientID`` or ``StudyInstanceUID``: what must not be torn apart. Series without a Patient ID stay
            together, since they could be of one patient.
        seed
            Another seed gives another split, the same seed the same.
        **shares
            Name and share of each part, for example ``train=0.8, val=0.2``. As near to them, counted in series, as
            groups chosen in random order come, moved and swapped until no move brings a part nearer.

        Raises
        ------
        InputError
            The shares are not positive or do not add up to 1, or ``by`` is something else.
        """
        if by not in _GROUPS or any(not share > 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-9:
            raise InputError(f"split by {' or '.join(_GROUPS)}, into positive shares that add up to 1.", found=by)
        names = [getattr(item, _GROUPS[by]) for item in self.items]
        sizes: dict[str, int] = {}
        for name in names:
            sizes[name] = sizes.get(name, 0) + 1
        groups = sorted(sizes)
        random.Random(seed).shuffle(groups)
        place = _distribute([sizes[name] for name in groups], list(shares.values()))
        part_of = dict(zip(groups, place, strict=True))
        return {
            part: self._of(item for item, name in zip(self.items, names, strict=True) if part_of[name] == number)
            for number, part in enumerate(shares)
        }

    def save(self, path: Path | str) -> None:
        """Write it to a small JSON file.

        Raises
        ------
        StorageError
            The file cannot be written.
        """
        try:
            Path(path).write_text(json.dumps(self.as_dict(), indent=1) + "\n", "utf-8")
        except OSError as error:
            raise StorageError(f"the selection cannot be written: {error.strerror}.", path=str(path)) from error

    def as_dict(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        return {
            "format": _FORMAT,
            "archive": self.archive,
            "archive_id": self.archive_id,
            "level": self.level,
            "match": dict(self.match),
            "items": [list(astuple(item)) for item in self.items],
        }

    @classmethod
    def load(cls, path: Path | str, *, archive: Path | str | None = None) -> Selection:
        """Read what ``save`` wrote.

        Parameters
        ----------
        archive
            Where the archive is now, if it was moved.

        Raises
        ------
        InputError
            It is no selection, or a newer one.
        """
        try:
            value = json.loads(Path(path).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise _no_selection(path) from error
        try:
            found = cls.from_dict(value)
        except InputError as error:
            raise InputError(error.message, path=str(path)) from error
        return found if archive is None else replace(found, archive=str(Path(archive).resolve()))

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Selection:
        """The selection that ``as_dict`` gave.

        Raises
        ------
        InputError
            It is no selection, or a newer one.
        """
        try:
            newer = value["format"] > _FORMAT
            items = () if newer else tuple(SelectedSeries(*item) for item in value["items"])
            match = () if newer else tuple(sorted((key, _plain(each)) for key, each in value["match"].items()))
            if not newer and value["level"] in _LEVELS:
                return cls(value["archive"], value["archive_id"], value["level"], match, items)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _no_selection() from error
        if not newer:
            raise _no_selection()
        raise InputError("the selection was saved by a newer pacscore: install it to read it.")

    def _of(self, items: Any) -> Selection:
        return replace(self, items=tuple(items))


def _group_of(item: SelectedSeries, level: str) -> str:
    if level == "series":
        return item.series_instance_uid
    return (item.patient_id if level == "patient" else "") or item.study_instance_uid


def _whole(archive: Archive, level: str, match: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All series of the studies that match, or of all studies of their patients, study by study in the catalog's order.

    Patients without an ID are not the same patient: of these the matching studies alone are met.
    """
    met = list(archive.find("study", **match))
    studies = [row["StudyInstanceUID"] for row in met]
    if level == "patient":
        patients = {row["PatientID"] for row in met if row.get("PatientID")}
        own = set(studies)
        every = archive.find("study", PatientID="")
        studies = [
            row["StudyInstanceUID"]
            for row in every
            if row.get("PatientID") in patients or row["StudyInstanceUID"] in own
        ]
    for first in range(0, len(studies), _STUDIES_ASKED):
        part = studies[first : first + _STUDIES_ASKED]
        place = {uid: number for number, uid in enumerate(part)}
        yield from sorted(archive.find("series", StudyInstanceUID=part), key=lambda row: place[row["StudyInstanceUID"]])


def _plain(value: Any) -> Any:
    """A value of the query as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


def _no_selection(path: Path | str | None = None) -> InputError:
    fields = {} if path is None else {"path": str(path)}
    return InputError("the file cannot be read, or holds no selection that `save` wrote.", **fields)


def open_selected(archive: Archive, item: SelectedSeries) -> Series:
    """A series in the generation that a selection met.

    Raises
    ------
    NotFoundError
        The archive has no such series, or that generation was superseded and collected since.
    """
    session = archive._session
    session.check_open()
    key = session.layout.series_key(item.study_instance_uid, item.series_instance_uid)
    stored = session.catalog.series_by_key(key)
    if stored is None or stored.generation != item.generation:  # Or a catalog of this session's own is behind.
        session.refresh()
        stored = session.catalog.series_by_key(key)
    if stored is None:
        raise NotFoundError(
            f"series {item.series_instance_uid} is not in the archive any more: select anew.",
            uid=item.series_instance_uid,
        )
    if not item.generation or (stored.generation == item.generation and stored.state == "sealed"):
        return Series(session, stored)
    try:
        document = session.generation(item.generation).manifest.document
    except NotFoundError as error:
        raise NotFoundError(
            f"series {item.series_instance_uid} has changed since it was selected, and the generation it had then is "
            "collected: select anew.",
            uid=item.series_instance_uid,
            expected=item.generation,
            found=stored.generation,
        ) from error
    held = replace(stored, generation=item.generation, state="sealed", journal_count=0, document=dict(document))
    return Series(session, held)


def _distribute(sizes: Sequence[int], shares: Sequence[float]) -> list[int]:
    """The part of each group, so that the parts hold about their shares of the sum of sizes.

    Groups go, in the order given, where most is missing; then single groups move, or two swap, while that brings the
    parts nearer. Sorted by size the result would be nearer still at once, but large groups would always go to the
    large part.
    """
    total = sum(sizes)
    missing = [share * total for share in shares]
    place = []
    for size in sizes:
        part = max(range(len(missing)), key=missing.__getitem__)
        place.append(part)
        missing[part] -= size
    while _improve(sizes, place, missing):
        pass
    return place


def _improve(sizes: Sequence[int], place: list[int], missing: list[float]) -> bool:
    """Make the one move or swap that brings the parts nearest, if one does."""
    # Groups of one size in one part are alike, so one of each stands for all: few, however many patients there are.
    alike: dict[tuple[int, int], int] = {}
    for group, (size, part) in enumerate(zip(sizes, place, strict=True)):
        alike.setdefault((size, part), group)
    best, chosen = -1e-9, None
    for (size, source), group in alike.items():
        for target in range(len(missing)):
            partners = [(0, -1), *((other, each) for (other, part), each in alike.items() if part == target)]
            for other, partner in partners if target != source else ():
                moved = size - other
                before = missing[source] ** 2 + missing[target] ** 2
                gain = (missing[source] + moved) ** 2 + (missing[target] - moved) ** 2 - before
                if gain < best and math.isfinite(gain):
                    best, chosen = gain, (group, target, partner, source, moved)
    if chosen is None:
        return False
    group, target, partner, source, moved = chosen
    place[group] = target
    if partner >= 0:
        place[partner] = source
    missing[source] += moved
    missing[target] -= moved
    return True
