"""What the network commands share: where a node is, and how its name is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pacscore.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    from pacscore.dimse.connecting import Address

PORT_MAX = 65535

Node = Annotated[str, typer.Argument(help="The other node, as HOST:PORT.", metavar="HOST:PORT", show_default=False)]
Called = Annotated[str, typer.Option("--to", help="AE title of the other node.", metavar="AE")]
Calling = Annotated[str, typer.Option("--as", help="AE title to call by.", metavar="AE")]
Certificate = Annotated[str | None, typer.Option("--tls-cert", help="Certificate (PEM); turns TLS on.", metavar="FILE")]
Key = Annotated[str | None, typer.Option("--tls-key", help="Key of the certificate (PEM).", metavar="FILE")]
Authorities = Annotated[str | None, typer.Option("--tls-ca", help="Whom to trust (PEM).", metavar="FILE")]


def address_of(
    text: str, ae_title: str, certificate: str | None = None, key: str | None = None, authorities: str | None = None
) -> Address:
    """The address that HOST:PORT names.

    Raises
    ------
    InputError
        It is no HOST:PORT, or a certificate has no key.
    UnsupportedError
        The extra ``network`` is not installed.
    """
    need_network()
    from pacscore.dimse.configuration import Tls, check_ae_title
    from pacscore.dimse.connecting import Address
    from pacscore.dimse.security import client_context

    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) <= PORT_MAX:
        raise InputError(f"{text!r} is not HOST:PORT. Write for example pacs.example.org:11112.")
    tls = None
    if certificate is not None:
        if key is None:
            raise InputError("--tls-cert needs --tls-key.")
        tls = client_context(Tls(certificate, key, authorities or ""))
    return Address(host.strip("[]"), int(port), check_ae_title(ae_title), tls)


def need_network() -> None:
    """Refuse where the extra is not installed.

    Raises
    ------
    UnsupportedError
    """
    try:
        import pynetdicom  # noqa: F401
    except ImportError as error:
        raise UnsupportedError("the DICOM network needs an extra: pip install 'pacscore[network]'.") from error
