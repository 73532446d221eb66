"""What this node asks of others: are you there, what have you got, send it to somebody, send it to me."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE
from pynetdicom.dsutils import decode

from pacscore.archive.report import ReceiveStatus
from pacscore.dicom.dictionary import find_tag
from pacscore.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE, transfer_syntax
from pacscore.dimse import models
from pacscore.dimse.admission import Admission
from pacscore.dimse.asking import NOT_FINAL, answers_to, ask, cancel
from pacscore.dimse.association import NodeAssociation, Outcome
from pacscore.dimse.commands import FindRequest, StoreRequest
from pacscore.dimse.configuration import ALL_RIGHTS, Limits
from pacscore.dimse.connecting import Address, connect, make_entity
from pacscore.dimse.identifiers import encode_data_set
from pacscore.dimse.proposing import class_groups, contexts_to_get, usual_classes
from pacscore.dimse.status import (
    CANCELLED,
    PENDING,
    STORE_CANNOT_UNDERSTAND,
    SUCCESS,
    comment_of,
    statuses_of,
)
from pacscore.errors import PacscoreError, QueryError, RefusedError

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

_SYNTAXES = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
_FIND = {"patient": models.PATIENT_FIND}
_MOVE = {"patient": models.PATIENT_MOVE}
_GET = {"patient": models.PATIENT_GET}
_NETWORK_LEVELS = {name: level for level, name in models.LEVELS.items()}
_NAMES_ASKED = {
    "patient": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "NumberOfPatientRelatedStudies"),
    "study": (
        "PatientID",
        "PatientName",
        "StudyDate",
        "ModalitiesInStudy",
        "StudyDescription",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
        "StudyInstanceUID",
    ),
    "series": (
        "StudyInstanceUID",
        "Modality",
        "SeriesNumber",
        "SeriesDescription",
        "NumberOfSeriesRelatedInstances",
        "SeriesInstanceUID",
    ),
    "instance": ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "InstanceNumber", "SOPInstanceUID"),
}


@dataclass(slots=True)
class Retrieved:
    """What a retrieval brought about, by the peer's counts."""

    completed: int = 0
    failed: int = 0
    warnings: int = 0
    remaining: int = 0
    received: int = 0
    cancelled: bool = False
    failed_uids: list[str] = field(default_factory=list)

    def joined(self, further: Retrieved) -> Retrieved:
        """What two associations brought about that asked for the same: what both failed to bring has failed."""
        if not self.failed:
            return further
        arrived = further.completed + further.warnings
        both = set(self.failed_uids) & set(further.failed_uids)
        return Retrieved(
            self.completed + further.completed,
            max(0, self.failed - arrived),
            self.warnings + further.warnings,
            further.remaining,
            self.received + further.received,
            further.cancelled,
            [uid for uid in self.failed_uids if uid in both],
        )

    def as_dict(self) -> dict[str, Any]:
        """The same by name, ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


Told = Callable[[Retrieved], None]


@contextmanager
def _associated(
    ae_title: str, address: Address, contexts: Sequence[tuple[str, Sequence[str]]], limits: Limits, **options: Any
) -> Iterator[NodeAssociation]:
    association = connect(make_entity(ae_title, limits), address, contexts, limits, **options)
    try:
        yield association
    finally:
        association.end()


def echo(address: Address, *, ae_title: str = "PACSCORE", limits: Limits | None = None) -> None:
    """Ask whether a node answers (C-ECHO).

    Raises
    ------
    UnreachableError, RefusedError
    """
    with _associated(ae_title, address, [(models.VERIFICATION, _SYNTAXES)], limits or Limits()) as association:
        request = C_ECHO()
        request.MessageID = 1
        request.AffectedSOPClassUID = UID(models.VERIFICATION)
        answer = ask(association, request)
        if answer.Status != SUCCESS:
            raise RefusedError(f"{address.ae_title} answers with status 0x{answer.Status:04X}.")


def query(
    address: Address,
    level: str,
    match: Mapping[str, str],
    *,
    ae_title: str = "PACSCORE",
    limits: Limits | None = None,
    limit: int | None = None,
) -> Iterator[dict[str, Any]]:
    """What another node finds (C-FIND), as mappings by DICOM keyword; ``limit`` cancels behind so many.

    Raises
    ------
    QueryError
        A key is no DICOM keyword.
    UnreachableError, RefusedError
    """
    model = _FIND.get(level, models.STUDY_FIND)
    identifier = _identifier(level, {**dict.fromkeys(_NAMES_ASKED[level], ""), **match})
    with _associated(ae_title, address, [(model, _SYNTAXES)], limits or Limits()) as association:
        syntax = association.contexts[0].transfer_syntax_uid
        request = C_FIND()
        request.MessageID, request.AffectedSOPClassUID = 1, UID(model)
        request.Priority = 0
        request.Identifier = encode_data_set(identifier, syntax)
        count = 0
        with closing(answers_to(association, request)) as answers:
            for answer in answers:
                if answer.Status in NOT_FINAL:
                    count += 1
                    if limit is None or count <= limit:
                        yield _as_dict(_decoded(answer.Identifier, syntax))
                    if limit is not None and count == limit:
                        cancel(association, request)
                else:
                    _check_final(answer, address, also=(CANCELLED,))


def move(
    address: Address,
    level: str,
    match: Mapping[str, str],
    destination: str,
    *,
    ae_title: str = "PACSCORE",
    limits: Limits | None = None,
    told: Told = lambda state: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Retrieved:
    """Have another node send objects to a third one (C-MOVE); when ``stopped`` says so, it is asked to cancel."""
    model = _MOVE.get(level, models.STUDY_MOVE)
    with _associated(ae_title, address, [(model, _SYNTAXES)], limits or Limits()) as association:
        request = C_MOVE()
        request.MoveDestination = destination
        exchange = _Exchange(association, address, model, told, stopped)
        return exchange.retrieve(request, _identifier(level, match))


def get(
    address: Address,
    level: str,
    match: Mapping[str, str],
    archive: Archive,
    *,
    sop_class_uids: Iterable[str] = (),
    ae_title: str = "PACSCORE",
    limits: Limits | None = None,
    told: Told = lambda state: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Retrieved:
    """Fetch objects from another node into an archive (C-GET).

    The contexts of an association are proposed before it is known what will come: ``sop_class_uids``, or else every
    storage class, the usual ones first. Where one association has no room for all, further ones ask again for the same,
    each with other classes, until nothing fails for want of a context; so each object travels once. When ``stopped``
    says so, the node is asked to cancel.

    Raises
    ------
    QueryError
        A key is no DICOM keyword.
    UnreachableError, RefusedError
    """
    model = _GET.get(level, models.STUDY_GET)
    identifier = _identifier(level, match)
    state = Retrieved()
    for group in class_groups(list(dict.fromkeys(sop_class_uids)) or usual_classes()):
        into = _Into(archive)
        contexts = [(model, _SYNTAXES), *contexts_to_get(group)]
        before = replace(state)
        told_all = partial(_tell_joined, told, before)
        with _associated(ae_title, address, contexts, limits or Limits(), services=into, provided=group) as association:
            exchange = _Exchange(association, address, model, told_all, stopped)
            found = exchange.retrieve(C_GET(), identifier)
        found.received = into.count
        state = before.joined(found)
        if not found.failed or found.cancelled:
            break
    return state


def _tell_joined(told: Told, before: Retrieved, part: Retrieved) -> None:
    told(before.joined(part))


class _Into:
    """Takes what a C-GET brings into an archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.count = 0

    def admit(self, association: NodeAssociation) -> Admission:
        """Not asked: the association is ours."""
        return Admission(ALL_RIGHTS)

    def store(self, association: NodeAssociation, syntax: str, request: StoreRequest, data: Iterable[bytes]) -> Outcome:
        """Take one object."""
        source = f"{association.acceptor.ae_title}@{association.address}"
        try:
            receipt = self._archive.receive(data, transfer_syntax=syntax, source=source)
        except (PacscoreError, OSError) as error:
            return Outcome(statuses_of(error).store, comment_of(str(error)))
        if receipt.status is ReceiveStatus.QUARANTINED:
            return Outcome(STORE_CANNOT_UNDERSTAND, comment_of(receipt.reason))
        self.count += 1
        return Outcome(SUCCESS)

    def find_at_once(self, association: NodeAssociation, request: FindRequest, identifier: bytes, context: Any) -> bool:
        """Not here."""
        return False

    def serve(self, association: NodeAssociation, request: Any, context: Any) -> None:
        """Nothing else comes on such an association."""
        association.abort()

    def closed(self, association: NodeAssociation) -> None:
        """Take note."""


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A retrieval on one association."""

    association: NodeAssociation
    address: Address
    model: str
    told: Told
    stopped: Callable[[], bool]

    def retrieve(self, request: Any, identifier: Dataset) -> Retrieved:
        """Ask, and follow the answers up to the final one."""
        syntax = next(
            each.transfer_syntax_uid for each in self.association.contexts if each.sop_class_uid == self.model
        )
        request.MessageID, request.AffectedSOPClassUID = 1, UID(self.model)
        request.Priority = 0
        request.Identifier = encode_data_set(identifier, syntax)
        state, has_cancelled = Retrieved(), False
        with closing(answers_to(self.association, request)) as answers:
            for answer in answers:
                state.completed = answer.NumberOfCompletedSuboperations or state.completed
                state.failed = answer.NumberOfFailedSuboperations or state.failed
                state.warnings = answer.NumberOfWarningSuboperations or state.warnings
                state.remaining = answer.NumberOfRemainingSuboperations or 0
                state.cancelled = answer.Status == CANCELLED
                self.told(state)
                if answer.Status == PENDING and not has_cancelled and self.stopped():
                    cancel(self.association, request)
                    has_cancelled = True
                if answer.Status != PENDING:
                    self._finish(state, answer, syntax)
        return state

    def _finish(self, state: Retrieved, answer: Any, syntax: str) -> None:
        if answer.Identifier is not None:
            uids = _decoded(answer.Identifier, syntax).get("FailedSOPInstanceUIDList", [])
            state.failed_uids = [str(each) for each in ([uids] if isinstance(uids, str) else uids or [])]
        if not (answer.Status & 0xF000 == 0xB000 or state.failed):
            _check_final(answer, self.address, also=(CANCELLED,))


def _check_final(answer: Any, address: Address, also: tuple[int, ...] = ()) -> None:
    if answer.Status != SUCCESS and answer.Status not in also:
        comment = f": {answer.ErrorComment}" if answer.ErrorComment else ""
        raise RefusedError(f"{address.ae_title} answers with status 0x{answer.Status:04X}{comment}.")


def _identifier(level: str, match: Mapping[str, str]) -> Dataset:
    if level not in _NETWORK_LEVELS:
        raise QueryError(f"level is {level!r}; there are {', '.join(_NETWORK_LEVELS)}.")
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.QueryRetrieveLevel = _NETWORK_LEVELS[level]
    for key, value in match.items():
        if find_tag(key) is None:
            raise QueryError(f"{key} is no DICOM keyword. Write for example PatientName.", tag=key)
        setattr(made, key, value.split("\\") if "\\" in value else value)
    return made


def _decoded(raw: Any, syntax_uid: str) -> Dataset:
    syntax = transfer_syntax(syntax_uid)
    found: Dataset = decode(raw, not syntax.explicit, syntax.little_endian, syntax.deflated)
    found.decode()
    return found


def _as_dict(data_set: Dataset) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    for element in data_set:
        if element.keyword and element.VR != "SQ" and element.value not in (None, ""):
            value = element.value
            is_list = not isinstance(value, str) and hasattr(value, "__iter__") and element.VR != "PN"
            answer[element.keyword] = [str(each) for each in value] if is_list else str(value)
    return answer
