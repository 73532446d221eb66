"""Who may come in, and what for: closed by default (promise 11).

A program on this machine may do everything, unless a peer of its AE title is configured for a loopback address. From
elsewhere a caller must be a peer, by AE title and address, and call this node by its own AE title.
"""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass

from pacscore.dimse.configuration import ALL_RIGHTS, Node, Peer, Right
from pacscore.dimse.lines import tell

# PS3.8 table 9-21, source 1 (service user).
CALLING_NOT_RECOGNIZED = (1, 1, 3)
CALLED_NOT_RECOGNIZED = (1, 1, 7)


@dataclass(frozen=True, slots=True)
class Admission:
    """What was decided of an association request; ``refusal`` is result, source and reason, empty for a welcome."""

    rights: frozenset[Right]
    peer: Peer | None = None
    refusal: tuple[int, ...] = ()


def judge(node: Node, *, calling: str, called: str, address: str) -> Admission:
    """Decide, and log a refusal with the line of configuration that would admit the caller."""
    host = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    host = getattr(host, "ipv4_mapped", None) or host
    peer = next((each for each in node.peers if each.ae_title == calling and each.is_at(address)), None)
    if peer is None and not host.is_loopback:
        _refused(calling, called, address, "the caller is no peer", _admitting_line(calling, str(host)))
        return Admission(frozenset(), None, CALLING_NOT_RECOGNIZED)
    if called != node.ae_title and not host.is_loopback:
        _refused(calling, called, address, f"this node is called {node.ae_title}", f'ae_title = "{called}" in [node]')
        return Admission(frozenset(), None, CALLED_NOT_RECOGNIZED)
    return Admission(ALL_RIGHTS if peer is None else peer.rights, peer)


def _admitting_line(calling: str, address: str) -> str:
    return f'[[peer]] ae_title = "{calling}", host = "{address}", rights = ["store"]'


def _refused(calling: str, called: str, address: str, reason: str, admitted_by: str) -> None:
    tell(
        "association.refused",
        level=logging.WARNING,
        calling=calling,
        called=called,
        address=address,
        reason=reason,
        admitted_by=admitted_by,
    )
