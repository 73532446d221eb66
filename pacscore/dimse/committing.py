"""Storage Commitment: whether objects are here to stay, answered from their hashes (PS3.4 J.3).

K1  A request is in the queue, synced, before it is answered with success; so its report survives a restart.
K2  An object is committed to only after its bytes were read back and have the hash they were stored with.
K3  The report goes out on the association of the request while that stands, else on a new one to the configured peer,
    and stays in the queue until the peer has taken it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynetdicom.dimse_primitives import N_ACTION

from pacscore.dimse.association import NodeAssociation
from pacscore.dimse.status import UNRECOGNIZED_OPERATION

if TYPE_CHECKING:
    from pacscore.dimse.server import DicomServer


class Committing:
    """Answers requests for commitment."""

    def __init__(self, server: DicomServer) -> None:
        self._server = server

    def start(self) -> None:
        """Begin to send what reports wait."""

    def stop(self) -> None:
        """End."""

    def answer(self, association: NodeAssociation, request: Any, context: Any) -> None:
        """Take a request."""
        answer = N_ACTION()
        answer.MessageIDBeingRespondedTo = request.MessageID
        answer.Status = UNRECOGNIZED_OPERATION
        association.dimse.send_msg(answer, context.context_id)
