"""How associations come to be: those that others make with us, and those that we ask for."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, _config, build_context, build_role, evt
from pynetdicom._validators import validate_ui
from pynetdicom.association import MODE_ACCEPTOR, MODE_REQUESTOR
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationSocket

from pacscore.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacscore.dimse.association import NodeAssociation, Services
from pacscore.dimse.configuration import Limits
from pacscore.errors import RefusedError, UnreachableError


@lru_cache(maxsize=4096)
def _validated(value: UID) -> tuple[bool, str]:
    """What pynetdicom thinks of a UID: one request for an association asks for the same few thousands of times."""
    found: tuple[bool, str] = validate_ui(value)
    return found


def make_entity(ae_title: str, limits: Limits) -> Any:
    """pynetdicom's application entity of a title, named as this software.

    pynetdicom's own choices are of its whole process: every storage class is taken, and nothing of a message is logged,
    since its lines show identifiers of patients.
    """
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.VALIDATORS["UI"] = _validated
    entity = AE(ae_title=ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_pdu_size = limits.pdu_bytes_announced
    entity.maximum_associations = limits.association_count_max
    return entity


def accept(
    entity: Any, connection: Any, *, limits: Limits, services: Services, contexts: Sequence[Any], fast: bool
) -> NodeAssociation:
    """An association on a connection that was made to us; ``start`` serves it."""
    association = NodeAssociation(entity, MODE_ACCEPTOR, limits, services, fast=fast)
    association.name = f"association-{association.number}"
    association.set_socket(AssociationSocket(association, client_socket=connection))
    association.acceptor.maximum_length = limits.pdu_bytes_announced
    association.acceptor.ae_title = entity.ae_title
    association.acceptor.address_info = AddressInformation.from_tuple(connection.getsockname())
    association.acceptor.implementation_class_uid = entity.implementation_class_uid
    association.acceptor.implementation_version_name = entity.implementation_version_name
    association.acceptor.supported_contexts = list(contexts)
    association.requestor.address_info = AddressInformation.from_tuple(connection.getpeername())
    association.bind(evt.EVT_SOP_EXTENDED, _extended)
    return association


def _extended(event: Any) -> dict[Any, bytes]:
    """Relational queries and retrievals are supported, and no other extension (PS3.4 C.5.1.1, C.5.2.1)."""
    return {uid: bytes(value[:1]) + bytes(len(value) - 1) for uid, value in event.app_info.items() if value}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a node is and what it is called."""

    host: str
    port: int
    ae_title: str = "ANY-SCP"
    tls: Any = None
    """An ``ssl.SSLContext`` for a connection by TLS."""


def connect(
    entity: Any,
    address: Address,
    contexts: Iterable[tuple[str, Sequence[str]]],
    limits: Limits,
    *,
    services: Services | None = None,
    provided: Iterable[str] = (),
    fast: bool = True,
) -> NodeAssociation:
    """Ask a node for an association.

    Parameters
    ----------
    contexts
        SOP class and transfer syntaxes of each presentation context, at most 128.
    services
        Who takes what the peer sends, for C-GET.
    provided
        SOP classes that we provide rather than use, for C-GET (PS3.7 D.3.3.4).

    Raises
    ------
    UnreachableError
        Nobody answers there.
    RefusedError
        The node rejects the association, or accepts none of the contexts.
    """
    association = NodeAssociation(entity, MODE_REQUESTOR, limits, services, fast=fast)
    association.name = f"association-{association.number}"
    try:
        remote = AddressInformation.from_tuple((address.host, address.port))
    except OSError as error:
        raise UnreachableError(f"{address.host} is no known host.") from error
    local = AddressInformation("::" if remote.is_ipv6 else "0.0.0.0", 0)
    sock = AssociationSocket(association, address=local)
    if address.tls is not None:
        sock.tls_args = (address.tls, address.host)
    association.set_socket(sock)
    association.acceptor.ae_title = address.ae_title
    association.acceptor.address_info = remote
    association.requestor.address_info = local
    association.requestor.ae_title = entity.ae_title
    association.requestor.maximum_length = limits.pdu_bytes_announced
    association.requestor.implementation_class_uid = entity.implementation_class_uid
    association.requestor.implementation_version_name = entity.implementation_version_name
    for sop_class_uid in provided:
        association.requestor.add_negotiation_item(build_role(UID(sop_class_uid), scp_role=True))
    association.requestor.requested_contexts = list(_numbered(contexts))
    association.request()
    association._is_paused = True  # No reactor runs here: who asked waits for the answers himself.
    if association.is_established:
        sock.socket.settimeout(limits.stall_seconds)
        sock.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return association
    if association.is_rejected:
        raise RefusedError(f"{address.ae_title} at {address.host}:{address.port} rejects the association.")
    if association.acceptor.primitive is not None:
        raise RefusedError(
            f"{address.ae_title} at {address.host}:{address.port} accepts none of what is asked for.",
            accepts_nothing=True,
        )
    raise UnreachableError(f"nobody answers as a DICOM node at {address.host}:{address.port}.")


def _numbered(contexts: Iterable[tuple[str, Sequence[str]]]) -> Iterator[PresentationContext]:
    for number, (sop_class_uid, syntaxes) in enumerate(contexts):
        context = build_context(sop_class_uid, list(syntaxes))
        context.context_id = 2 * number + 1
        yield context
