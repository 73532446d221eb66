"""Derived series: a computed volume or picture becomes DICOM objects beside the images it was made from.

D1  All or nothing: the objects are sealed and proven as one generation and become visible by one commit. A crash, a
    full disk or a refusal leaves the archive as it was.
D2  A source that it names must be in the archive: patient and study come from the first, and are never left out
    because it could not be found. All sources are of one patient.
D3  Memory holds the words of the volume once, and the headers of its objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.archive.candidates import Candidate, candidate_of
from pacscore.archive.derived_encoding import SourceImage
from pacscore.archive.derived_headers import PET_IMAGE
from pacscore.archive.derived_images import volume_of_image
from pacscore.archive.derived_objects import (
    DerivedSeries,
    checked_text,
    choose_class,
    derivation_text,
    next_series_number,
    slice_header,
    slice_references,
)
from pacscore.archive.derived_pixels import derive_pixels
from pacscore.archive.derived_planes import SlicePlanes
from pacscore.archive.instance import Instance
from pacscore.archive.sealing import seal_series
from pacscore.archive.series import Series
from pacscore.archive.session import Session
from pacscore.errors import AmbiguousError, InputError, NotFoundError, UnsupportedError
from pacscore.geometry import StackGeometry
from pacscore.imaging import Image, Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SIDE_MAX = 65535
_SOURCE_KEYWORDS = ("SOPClassUID", "SeriesNumber", "LossyImageCompression", "FrameOfReferenceUID", "PatientID")


def store_derived(session: Session, result: Volume | Image, *, description: str) -> Series:
    """Store a volume or a picture as a new series; see ``Archive.store_derived``.

    Parameters
    ----------
    result : Volume or Image
        ``(slices, rows, columns)``, monochrome or 8-bit RGB, with an affine; or a picture, which becomes a series of
        one object, with its place where it has an affine. The instances it names are its sources.
    description : str
        Series Description (0008,103E), at most 64 characters.

    Raises
    ------
    GeometryError
        The volume has no affine, or one that DICOM cannot say.
    AmbiguousError
        It has further axes; or several series hold its sources.
    NotFoundError
        A source is not in the archive.
    InputError, UnsupportedError
        Its values or its description cannot be stored as they are; or its sources are of several studies that do not
        state one patient.
    """
    session.check_writable()
    title = checked_text(description, "description", "LO")
    is_image = isinstance(result, Image)
    volume = volume_of_image(result) if isinstance(result, Image) else result
    _refuse_unfit(volume)
    # A picture of a curve has no place in space; a volume without one is not stored.
    planes = None if is_image and not volume.has_affine else SlicePlanes.of(volume.index_to_lps, len(volume))
    session.refresh()
    further = result.further_sop_instance_uids if isinstance(result, Volume) else ()
    sources = find_sources(session, result.sop_instance_uids, further)
    series = _derived_series(volume, planes, title, sources, result.sop_instance_uids)
    candidates = _candidates(
        session, series, _headers_of(result.sop_instance_uids or further[:1] * len(volume), sources)
    )
    key = session.layout.series_key(series.study_instance_uid, series.series_instance_uid)
    seal_series(session, [(key, candidates)])
    return Series(session, session.catalog.series(series.series_instance_uid, series.study_instance_uid))


def find_sources(session: Session, *volumes: Iterable[str]) -> Mapping[str, Instance]:
    """The current version of each instance, by UID; ``volumes`` are the SOP Instance UIDs of one volume each.

    Where several series hold the same UIDs, the one that holds all of a volume is meant.

    Raises
    ------
    NotFoundError
        One is not in the archive.
    AmbiguousError
        Several series hold all of a volume, or some of it.
    """
    instances: dict[str, Instance] = {}
    for sop_instance_uids in volumes:
        instances |= _find_volume(session, [uid for uid in sop_instance_uids if uid not in instances])
    return instances


def _find_volume(session: Session, sop_instance_uids: Iterable[str]) -> dict[str, Instance]:
    places: dict[str, set[tuple[str, str]]] = {}
    for uid in dict.fromkeys(sop_instance_uids):
        places[uid] = {(place.series_instance_uid, place.study_instance_uid) for place in session.catalog.lookup(uid)}
        if not places[uid]:
            raise _missing(uid)
    if not places:
        return {}
    shared = set.intersection(*places.values())
    chosen = {uid: shared or found for uid, found in places.items()}
    if any(len(found) > 1 for found in chosen.values()):
        raise AmbiguousError(
            "Several series hold the sources of this volume, so its patient and study are not certain. Remove its "
            "sop_instance_uids, or the doubled series.",
            series=sorted({series for found in chosen.values() for series, _ in found}),
        )
    opened = {place: _current(session, *place) for found in chosen.values() for place in found}
    instances: dict[str, Instance] = {}
    for uid, (place,) in chosen.items():
        if uid not in opened[place]:
            raise _missing(uid)
        instances[uid] = opened[place][uid]
    return instances


def _current(session: Session, series_instance_uid: str, study_instance_uid: str) -> dict[str, Instance]:
    series = Series(session, session.catalog.series(series_instance_uid, study_instance_uid))
    return {instance.sop_instance_uid: instance for instance in series.instances}


def _missing(uid: str) -> NotFoundError:
    return NotFoundError(
        f"Instance {uid}, a source of this volume, is not in the archive. Ingest the sources first, or remove the "
        "volume's sop_instance_uids to store it without patient and study.",
        uid=uid,
    )


def _refuse_unfit(volume: Volume) -> None:
    if volume.axes:
        names = ", ".join(axis.name for axis in volume.axes)
        raise AmbiguousError(f"This stack has further axes: {names}. Store one volume of it, chosen with at().")
    is_rgb = volume.presentation.photometric == "RGB" and volume.dtype == np.uint8 and volume.shape[3:] == (3,)
    if not (volume.is_monochrome or is_rgb):
        raise UnsupportedError(
            f"A derived series holds MONOCHROME1, MONOCHROME2 or 8-bit RGB, not {volume.presentation.photometric} "
            f"{volume.dtype}: (0028,0004).",
            tag="00280004",
        )
    if 0 in volume.shape or max(volume.shape[1:3]) > _SIDE_MAX:
        raise InputError(
            f"A slice has 1 to {_SIDE_MAX} rows and columns, and a volume a slice: this one is {volume.shape}.",
            found=volume.shape,
        )
    if volume.rescale.unit:
        checked_text(volume.rescale.unit, "unit of the values", "LO")


def _derived_series(
    volume: Volume,
    planes: SlicePlanes | None,
    title: str,
    sources: Mapping[str, Instance],
    sop_instance_uids: Sequence[str],
) -> DerivedSeries:
    from pydicom.uid import generate_uid

    documents = {uid: source.document(keywords=_SOURCE_KEYWORDS) for uid, source in sources.items()}
    images = {uid: SourceImage(str(document["SOPClassUID"]), uid) for uid, document in documents.items()}
    sop_class = choose_class(volume, planes, [image.sop_class_uid for image in images.values()])
    pixels = derive_pixels(volume, zero_intercept=sop_class == PET_IMAGE)
    first: Mapping[str, Any] = next(iter(documents.values()), {})
    studies = dict.fromkeys(source.series.study_instance_uid for source in sources.values())
    if len(studies) > 1:
        _refuse_several_patients(documents.values())
    placed = volume.geometry.frame_of_reference_uid if isinstance(volume.geometry, StackGeometry) else ""
    return DerivedSeries(
        volume=volume,
        pixels=pixels,
        planes=planes,
        description=title,
        sop_class_uid=sop_class,
        study_instance_uid=next(iter(studies), None) or str(generate_uid(prefix=None)),
        series_instance_uid=str(generate_uid(prefix=None)),
        # The slices share a coordinate system whether or not the source named it.
        frame_of_reference_uid=placed or first.get("FrameOfReferenceUID") or str(generate_uid(prefix=None)),
        series_number=next_series_number(first.get("SeriesNumber")),
        is_lossy=any(document.get("LossyImageCompression") == "01" for document in documents.values()),
        derivation=derivation_text(volume, pixels, title),
        references=slice_references(images, sop_instance_uids, len(volume)),
        utc=datetime.now(UTC),
    )


def _refuse_several_patients(documents: Iterable[Mapping[str, Any]]) -> None:
    stated = {str(document.get("PatientID") or "") for document in documents}
    if len(stated) > 1 or "" in stated:
        raise InputError(
            "The sources of this volume are of several studies which do not all state the same Patient ID (0010,0020): "
            "whose image it is, is not certain.",
            tag="00100020",
        )


def _headers_of(sop_instance_uids: Sequence[str], sources: Mapping[str, Instance]) -> Callable[[int], Dataset | None]:
    """The source header of each slice, the last one kept: the frames of an enhanced object share it.

    Sources of several series may differ in what a series shares: the first then speaks for all slices.
    """
    if not sources:
        return lambda index: None
    is_one_series = len({sources[uid].series.series_instance_uid for uid in sop_instance_uids}) == 1
    kept: dict[str, Dataset] = {}

    def header_of(index: int) -> Dataset:
        uid = sop_instance_uids[index if is_one_series else 0]
        if uid not in kept:
            kept.clear()
            kept[uid] = sources[uid].dataset()
        return kept[uid]

    return header_of


def _candidates(session: Session, series: DerivedSeries, source_of: Callable[[int], Dataset | None]) -> list[Candidate]:
    from pydicom.uid import generate_uid

    candidates = []
    for index, words in enumerate(series.pixels.words):
        uid = str(generate_uid(prefix=None))
        header = slice_header(series, index, source_of(index), sop_instance_uid=uid)
        candidates.append(candidate_of(DerivedSource(header, words), session.settings).unloaded())
    return candidates


@dataclass(frozen=True, slots=True, eq=False)
class DerivedSource:
    """One object that is put together when it is read: its header, and its slice of the words."""

    header: bytes
    words: NDArray[Any]

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.header) + self.words.nbytes + self.words.nbytes % 2

    def read(self) -> bytes:
        """The whole object; pixel data of odd length is padded (PS3.5 8.1.1)."""
        return b"".join((self.header, self.words.data.cast("B"), bytes(self.words.nbytes % 2)))

    def buffer(self) -> bytes:
        """The whole object."""
        return self.read()

    def head(self, length: int) -> bytes:
        """Its first bytes, at most as many as its header has: a scan needs no more."""
        return self.header[:length]
