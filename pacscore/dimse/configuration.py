"""How a node is set up: its name, where it listens, who may do what, and the limits of the network.

A TOML file, overridden by the environment and by flags, becomes one frozen ``Node``. Everything that is not stated is
closed (promise 11): without a ``[[peer]]`` only programs on this machine are served.
"""

from __future__ import annotations

import ipaddress
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from pacscore.errors import InputError

Made = TypeVar("Made", "Node", "Peer", "Limits", "Tls")

MIB = 1 << 20
AE_TITLE_LENGTH_MAX = 16
DEFAULT_PORT = 11112


class Right(StrEnum):
    """What a peer may ask for."""

    STORE = "store"
    QUERY = "query"
    RETRIEVE = "retrieve"
    COMMIT = "commit"


ALL_RIGHTS = frozenset(Right)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node: who it is, what it may do, and where it is reached.

    Attributes
    ----------
    ae_title
        Its AE title, at most 16 characters.
    host
        An address, a network such as ``10.1.0.0/16``, or a name: from where it may call. An address or a name is also
        where it is reached.
    port
        Where it listens; 0 for one that only calls.
    rights
        What it may ask for.
    tls
        It is reached by TLS.
    """

    ae_title: str
    host: str
    port: int = 0
    rights: frozenset[Right] = frozenset()
    tls: bool = False

    def is_at(self, address: str) -> bool:
        """Whether it may call from an address."""
        found = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
        mapped = getattr(found, "ipv4_mapped", None)
        found = mapped or found
        try:
            return found in ipaddress.ip_network(self.host, strict=False)
        except ValueError:
            try:
                answers = socket.getaddrinfo(self.host, None)
            except OSError:
                return False
            return str(found) in {str(answer[4][0]) for answer in answers}


@dataclass(frozen=True, slots=True)
class Tls:
    """The node's certificate and key, and whose clients it trusts; without ``authorities`` any client is taken."""

    certificate: str
    key: str
    authorities: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the network (promise 8). Sizes are bytes, times are seconds."""

    pdu_bytes_announced: int = MIB // 4
    pdu_bytes_max: int = MIB
    object_bytes_max: int = 16384 * MIB
    message_bytes_max: int = 4 * MIB
    association_count_max: int = 100
    connection_count_max: int = 200
    negotiation_seconds: float = 15.0
    idle_seconds: float = 300.0
    stall_seconds: float = 30.0
    answer_seconds: float = 120.0
    drain_seconds: float = 30.0
    quiet_seconds: float = 30.0
    free_bytes_min: int = 1024 * MIB
    retry_count: int = 2
    retry_seconds: float = 0.5

    def __post_init__(self) -> None:
        for each in fields(self):
            if not getattr(self, each.name) >= 0:
                raise InputError(f"{each.name} must be 0 or more, not {getattr(self, each.name)}.", expected=0)
        if not 4096 <= self.pdu_bytes_announced <= self.pdu_bytes_max:
            raise InputError("pdu_bytes_announced must be 4096 or more, and at most pdu_bytes_max.", expected=4096)


@dataclass(frozen=True, slots=True)
class Node:
    """One DICOM node.

    Attributes
    ----------
    ae_title
        Its own; peers from outside this machine must call it by this.
    host, port
        Where it listens; port 0 takes a free one.
    peers
        Who it knows. Programs on this machine may do everything unless a peer of that AE title and address says less.
    processes
        How many receivers share the port.
    """

    ae_title: str = "PACSCORE"
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    peers: tuple[Peer, ...] = ()
    limits: Limits = field(default_factory=Limits)
    tls: Tls | None = None
    processes: int = 1

    def __post_init__(self) -> None:
        check_ae_title(self.ae_title)
        if not 0 <= self.port <= 65535:
            raise InputError(f"port must be 0 to 65535, not {self.port}.", expected="0 to 65535", found=self.port)
        if self.processes < 1:
            raise InputError(f"processes must be 1 or more, not {self.processes}.", expected=1)

    def destination(self, ae_title: str) -> Peer | None:
        """The peer of an AE title that can be reached."""
        return next((peer for peer in self.peers if peer.ae_title == ae_title and peer.port), None)


def check_ae_title(title: str) -> str:
    """The title, if it is one (PS3.5 6.2, VR AE).

    Raises
    ------
    InputError
        It is empty, too long, or has a backslash or other characters that an AE title has not.
    """
    if not title.strip() or len(title) > AE_TITLE_LENGTH_MAX or not all(" " <= each <= "~" for each in title):
        raise InputError(f"{title!r} is no AE title: it has 1 to 16 printable ASCII characters.", found=title)
    if "\\" in title:
        raise InputError(f"{title!r} is no AE title: it may not have a backslash.", found=title)
    return title


def read_node(path: Path | None, environment: Mapping[str, str], **flags: Any) -> Node:
    """The node that a file, the environment (``PACSCORE_DIMSE_<FIELD>``) and flags describe; the last word counts.

    Raises
    ------
    InputError
        The file does not exist or is no TOML, or something in it is unknown or has no meaning; the message names it.
    """
    stated = {} if path is None else _toml(path)
    node = stated.get("node", {})
    unknown = set(stated) - {"node", "peer", "limits", "tls", "forward", "webhook"}
    if unknown:
        raise InputError(
            f"[{sorted(unknown)[0]}] is no section: there are node, peer, limits, tls, forward and webhook."
        )
    values = {
        "peers": tuple(_peer(each, number) for number, each in enumerate(stated.get("peer", []), 1)),
        "limits": _made(Limits, stated.get("limits", {}), "limits"),
        "tls": _made(Tls, stated["tls"], "tls") if "tls" in stated else None,
    }
    made = _made(Node, node, "node", given=values)
    own = {each.name: each for each in fields(Node) if each.name not in values}
    changes: dict[str, Any] = {}
    for name, each in own.items():
        text = environment.get(f"PACSCORE_DIMSE_{name.upper()}")
        if text is not None:
            changes[name] = _number(text, f"PACSCORE_DIMSE_{name.upper()}") if isinstance(each.default, int) else text
    changes.update({key: value for key, value in flags.items() if value is not None})
    return replace(made, **changes)


def read_section(path: Path | None, name: str) -> list[dict[str, Any]]:
    """The tables ``[[name]]`` of a configuration file, for the room that knows them."""
    found = [] if path is None else _toml(path).get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise InputError(f"{name} must be tables: write [[{name}]].")
    return found


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError("the configuration file does not exist.", path=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the configuration file is no TOML: {error}.", path=str(path)) from error


def _peer(stated: Mapping[str, Any], number: int) -> Peer:
    place = f"peer {number}"
    for name in ("ae_title", "host"):
        if not isinstance(stated.get(name), str):
            raise InputError(f"{place} needs {name} as text.", expected=name)
    check_ae_title(stated["ae_title"])
    rights = stated.get("rights", [])
    try:
        granted = frozenset(Right(each) for each in rights)
    except ValueError as error:
        raise InputError(f"{place}: {error}; there are {', '.join(Right)}.") from error
    return _made(
        Peer, {key: value for key, value in stated.items() if key != "rights"}, place, given={"rights": granted}
    )


def _made(kind: type[Made], stated: Mapping[str, Any], place: str, given: Mapping[str, Any] | None = None) -> Made:
    known = {each.name: each for each in fields(kind)}
    for name, value in stated.items():
        if name not in known or name in (given or {}):
            raise InputError(f"{place}: {name} is unknown; there are {', '.join(known)}.", found=name)
        words = str(known[name].type)
        wanted: tuple[type, ...] = (str,)
        if words in {"int", "float"}:
            wanted = (int, float) if words == "float" else (int,)
        elif words == "bool":
            wanted = (bool,)
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise InputError(f"{place}: {name} must be {words}, not {value!r}.", expected=words, found=value)
    try:
        return kind(**stated, **(given or {}))
    except TypeError as error:
        raise InputError(f"{place}: something is missing; there are {', '.join(known)}.") from error


def _number(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"{name} must be a number: it is {text!r}.", path=name) from error
