"""Storage Commitment: whether objects are here to stay, answered from their hashes (PS3.4 J.3).

K1  A request is in the queue, synced, before it is answered with success; so its report survives a restart.
K2  An object is committed to only after its bytes were read back and have the hash they were stored with.
K3  The report goes out on the association of the request while that stands, else on a new one to the configured peer,
    and stays in the queue until the peer has taken it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT

from pacscore.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from pacscore.dimse.association import NodeAssociation
from pacscore.dimse.configuration import Right
from pacscore.dimse.connecting import connect
from pacscore.dimse.identifiers import decode_data_set, encode_data_set
from pacscore.dimse.models import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from pacscore.dimse.objects import StoredObject
from pacscore.dimse.retrieving import address_of
from pacscore.dimse.status import NOT_AUTHORIZED, SUCCESS, UNRECOGNIZED_OPERATION
from pacscore.errors import AmbiguousError, NotFoundError, PacscoreError, RefusedError, UnreachableError
from pacscore.flow.queue import Job

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive
    from pacscore.dimse.server import DicomServer

KIND = "commit"
_INVALID_ARGUMENT = 0x0115
# Failure Reason (0008,1197), PS3.3 C.14.1.1.
_PROCESSING_FAILURE, _NO_SUCH_INSTANCE, _CLASS_CONFLICT = 0x0110, 0x0112, 0x0119
_ALL_HERE, _SOME_MISSING = 1, 2


class Committing:
    """Takes requests for commitment, and carries the reports."""

    def __init__(self, server: DicomServer) -> None:
        self._server = server

    def answer(self, association: NodeAssociation, request: Any, context: Any) -> None:
        """Take a request (N-ACTION)."""
        answer = N_ACTION()
        answer.MessageIDBeingRespondedTo = request.MessageID
        answer.AffectedSOPClassUID = UID(STORAGE_COMMITMENT)
        answer.AffectedSOPInstanceUID = UID(STORAGE_COMMITMENT_INSTANCE)
        answer.Status = self._take(association, request, context)
        association.dimse.send_msg(answer, context.context_id)

    def _take(self, association: NodeAssociation, request: Any, context: Any) -> int:
        if not association.may(Right.COMMIT):
            return NOT_AUTHORIZED
        if request.ActionTypeID != 1:
            return UNRECOGNIZED_OPERATION
        try:
            stated = decode_data_set(request.ActionInformation, str(context.transfer_syntax[0]))
        except PacscoreError:
            return _INVALID_ARGUMENT
        references = [
            [str(each.get("ReferencedSOPClassUID", "")), str(each.get("ReferencedSOPInstanceUID", ""))]
            for each in stated.get("ReferencedSOPSequence", None) or ()
        ]
        transaction = str(stated.get("TransactionUID", ""))
        if not transaction or not references:
            return _INVALID_ARGUMENT
        payload = {"transaction": transaction, "references": references, "association": association.number}
        self._server.queue.put(KIND, association.calling, payload)
        return SUCCESS

    def deliver(self, job: Job) -> None:
        """Look at what is asked for, and report.

        Raises
        ------
        UnreachableError, RefusedError
            The peer has not taken the report.
        """
        report = report_on(self._server.archive, job.payload["transaction"], job.payload["references"])
        standing = self._server.association(int(job.payload.get("association", 0)))
        if standing is not None and standing.calling == job.destination:
            context = next((each for each in standing.contexts if each.sop_class_uid == STORAGE_COMMITMENT), None)
            if context is not None:
                event = _event(report, context.transfer_syntax_uid, self._server.node.ae_title)
                if standing.ask_back(event, context.context_id) == SUCCESS:
                    return
        self._report_anew(job.destination, report)

    def _report_anew(self, ae_title: str, report: Dataset) -> None:
        peer = self._server.node.destination(ae_title)
        if peer is None:
            raise RefusedError(f"{ae_title} is no peer with a port, so its report cannot be sent.")
        association = connect(
            self._server.entity,
            address_of(self._server, peer),
            [(STORAGE_COMMITMENT, (EXPLICIT_LITTLE, IMPLICIT_LITTLE))],
            self._server.node.limits,
            provided=[STORAGE_COMMITMENT],
            fast=self._server.fast,
        )
        try:
            context = association.contexts[0]
            event = _event(report, context.transfer_syntax_uid, self._server.node.ae_title)
            association.dimse.send_msg(event, context.context_id)
            answer = association.answer()
        finally:
            association.end()
        if answer is None:
            raise UnreachableError(f"{ae_title} has not answered to the report.")
        if answer.Status != SUCCESS:
            raise RefusedError(f"{ae_title} refuses the report with status 0x{answer.Status:04X}.")


def report_on(archive: Archive, transaction: str, references: list[list[str]]) -> Dataset:
    """What is here of the objects referred to, and what is not (PS3.4 table J.3-2)."""
    report = Dataset()
    report.TransactionUID = transaction
    here, missing = [], []
    for sop_class_uid, sop_instance_uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
        reason = _reason_against(archive, sop_class_uid, sop_instance_uid)
        if reason:
            item.FailureReason = reason
            missing.append(item)
        else:
            here.append(item)
    if here:
        report.ReferencedSOPSequence = Sequence(here)
    if missing:
        report.FailedSOPSequence = Sequence(missing)
    return report


def _reason_against(archive: Archive, sop_class_uid: str, sop_instance_uid: str) -> int:
    try:
        instance = archive.instance(sop_instance_uid)
        instance.bytes()  # Read back and hashed (K2).
    except (NotFoundError, AmbiguousError):
        return _NO_SUCH_INSTANCE
    except (PacscoreError, OSError):
        return _PROCESSING_FAILURE
    return 0 if StoredObject(instance).sop_class_uid == sop_class_uid else _CLASS_CONFLICT


def _event(report: Dataset, syntax: str, ae_title: str) -> Any:
    event = N_EVENT_REPORT()
    event.MessageID = 1
    event.AffectedSOPClassUID = UID(STORAGE_COMMITMENT)
    event.AffectedSOPInstanceUID = UID(STORAGE_COMMITMENT_INSTANCE)
    event.EventTypeID = _SOME_MISSING if "FailedSOPSequence" in report else _ALL_HERE
    report.RetrieveAETitle = ae_title
    event.EventInformation = encode_data_set(report, syntax)
    return event
