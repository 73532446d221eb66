"""Segmentations and structure sets of the archive as masks on a volume's grid.

M1  Only what states the volume's own Frame of Reference UID is drawn: without it, positions mean nothing.
M2  Looked for among the series of the same patient, as structure sets are met in studies of their own; where the
    patient has no ID, in the same study.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pacscore.archive.finding import find
from pacscore.archive.instance import Instance
from pacscore.archive.series import Series
from pacscore.archive.session import Session
from pacscore.errors import AmbiguousError, GeometryError, InputError, NotFoundError
from pacscore.geometry import GEOMETRY_KEYWORDS, frames_of
from pacscore.geometry.header import FrameHeader
from pacscore.imaging import Volume
from pacscore.imaging.contours import STRUCTURE_KEYWORDS, draw_contours, read_structures
from pacscore.imaging.masks import Mask
from pacscore.imaging.segmentation import SEGMENTATION_KEYWORDS, Segment, draw_segment, read_segments

KINDS = ("SEG", "RTSTRUCT")
"""Modalities of objects that delineate."""

_Shape = tuple[int, int, int]


def masks_on(session: Session, volume: Volume, *, kind: str | None = None) -> tuple[Mask, ...]:
    """Everything that delineates on a volume's grid; see ``Archive.masks``."""
    if kind is not None and kind not in KINDS:
        raise InputError(f"Masks come from {' or '.join(KINDS)}, not {kind!r}.", found=kind)
    if volume.axes:
        raise AmbiguousError("Masks lie on one volume: choose it with at().", axes=[axis.name for axis in volume.axes])
    affine, place = volume.index_to_lps, volume.geometry.frame_of_reference_uid
    if not place:
        raise GeometryError("The volume states no Frame of Reference UID (0020,0052): nothing can be placed on it.")
    if abs(float(np.linalg.det(affine[:3, :3]))) < 1e-12:
        raise GeometryError("A single slice has no thickness: masks lie on volumes of two slices or more.")
    shape = (volume.shape[0], volume.shape[1], volume.shape[2])
    found: list[Mask] = []
    for modality in KINDS if kind is None else (kind,):
        for instance in _instances(session, volume, modality):
            draw = _segments if modality == "SEG" else _structures
            found.extend(draw(instance, place, affine, shape))
    return tuple(found)


def _instances(session: Session, volume: Volume, modality: str) -> Iterator[Instance]:
    """The current objects of a modality among the volume's patient, in a fixed order."""
    if not volume.sop_instance_uids:
        raise InputError("The volume names no instance of the archive, so its patient is unknown.")
    session.refresh()
    located = next(iter(session.catalog.lookup(volume.sop_instance_uids[0])), None)
    if located is None:
        raise NotFoundError(
            f"instance {volume.sop_instance_uids[0]}, which the volume is made of, is not in the archive.",
            uid=volume.sop_instance_uids[0],
        )
    study = located.study_instance_uid
    row = next(find(session, "study", {"StudyInstanceUID": study, "PatientID": "", "IssuerOfPatientID": ""}))
    patient = row.get("PatientID")
    match = {"Modality": modality, "StudyInstanceUID": "", "SeriesInstanceUID": ""}
    if patient:
        match["PatientID"] = str(patient)
    else:
        match["StudyInstanceUID"] = study
    rows = [*find(session, "series", match)]
    for each in sorted(rows, key=lambda row: (str(row["StudyInstanceUID"]), str(row["SeriesInstanceUID"]))):
        stored = session.catalog.series(str(each["SeriesInstanceUID"]), str(each["StudyInstanceUID"]))
        yield from Series(session, stored).instances


def _segments(instance: Instance, place: str, affine: NDArray[np.float64], shape: _Shape) -> Iterator[Mask]:
    document = instance.document(keywords=SEGMENTATION_KEYWORDS | GEOMETRY_KEYWORDS)
    if document.get("Modality") != "SEG" or document.get("FrameOfReferenceUID") != place:  # M1
        return
    frames = frames_of(document, 0)
    for segment in read_segments(document):
        yield Mask(
            segment.label,
            segment.number,
            kind="SEG",
            sop_instance_uid=instance.sop_instance_uid,
            shape=shape,
            draw=partial(_draw_segment, segment, frames, instance, affine, shape),
        )


def _draw_segment(
    segment: Segment, frames: list[FrameHeader], instance: Instance, affine: NDArray[np.float64], shape: _Shape
) -> NDArray[np.bool_]:
    return draw_segment(segment, frames, instance.frame, affine, shape)


def _structures(instance: Instance, place: str, affine: NDArray[np.float64], shape: _Shape) -> Iterator[Mask]:
    document = instance.document(keywords=STRUCTURE_KEYWORDS)
    if document.get("Modality") != "RTSTRUCT":
        return
    for structure in read_structures(document):
        if structure.frame_of_reference_uid == place:  # M1
            yield Mask(
                structure.name,
                structure.number,
                kind="RTSTRUCT",
                sop_instance_uid=instance.sop_instance_uid,
                shape=shape,
                draw=partial(draw_contours, structure.contours, affine, shape),
            )
