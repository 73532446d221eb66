"""TLS as BCP 195 and PS3.15 B.12 ask: version 1.2 or later, ciphers with forward secrecy, client certificates."""

from __future__ import annotations

import ssl

from pacscore.dimse.configuration import Tls
from pacscore.errors import InputError

# The cipher suites that PS3.15 B.12 (modified BCP 195) requires of TLS 1.2; those of TLS 1.3 are all admitted.
_CIPHERS = "ECDHE+AESGCM:DHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL:!MD5:!SHA1"


def server_context(tls: Tls) -> ssl.SSLContext:
    """The context of a listening node; with authorities, clients must show a certificate of theirs.

    Raises
    ------
    InputError
        A file does not exist, or holds no certificate or key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _set_up(context, tls)
    if tls.authorities:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """The context to reach a peer with: it must show a certificate of the authorities, or of those of the system."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # Nodes are named by AE title; certificates of modalities rarely name hosts.
    _set_up(context, tls)
    if not tls.authorities:
        context.load_default_certs()
    return context


def _set_up(context: ssl.SSLContext, tls: Tls) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.authorities:
            context.load_verify_locations(tls.authorities)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"the certificate, key or authorities of [tls] cannot be read: {error}.") from error
