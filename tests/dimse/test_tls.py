"""TLS with client certificates, by certificates made here."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from dimse.conftest import LIMITS, Started
from dimse.objects_made import data_set

from pacscore.dimse.configuration import Limits, Tls
from pacscore.dimse.connecting import Address, make_entity
from pacscore.dimse.objects import FileObject, files_to_send
from pacscore.dimse.requesting import echo
from pacscore.dimse.security import client_context, server_context
from pacscore.dimse.sending import Sender, Sent
from pacscore.errors import InputError, PacscoreError

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl makes the certificates (until 2027-12-31)"
)


def _tls(folder: Path, own: str, trusted: str) -> Tls:
    return Tls(str(folder / f"{own}.crt"), str(folder / f"{own}.key"), str(folder / f"{trusted}.crt"))


def test_objects_go_by_tls_and_strangers_do_not_get_in(start: Started, certificates: Path, tmp_path: Path) -> None:
    server = start(tls=_tls(certificates, "node", "client"), limits=dataclasses.replace(LIMITS, negotiation_seconds=2))
    address = Address("127.0.0.1", server.port, "PACSCORE", client_context(_tls(certificates, "client", "node")))
    echo(address)
    raw = data_set("1.2.3.1", size=600_000)
    path = tmp_path / "one.dcm"
    path.write_bytes(raw)
    objects = [each for each in files_to_send([path]) if isinstance(each, FileObject)]
    sent, limits = Sent(), Limits()
    with Sender(make_entity("TEST", limits), address, limits, fast=server.fast) as sender:
        sender.send(objects, sent)
    assert (sent.objects, sent.failures) == (1, [])
    assert server.archive.instance("1.2.3.1").dataset_bytes() == raw
    stranger = client_context(_tls(certificates, "stranger", "node"))
    with pytest.raises(PacscoreError):
        echo(Address("127.0.0.1", server.port, "PACSCORE", stranger), limits=Limits(negotiation_seconds=5))
    with pytest.raises(PacscoreError):
        echo(Address("127.0.0.1", server.port, "PACSCORE"), limits=Limits(negotiation_seconds=2))
    echo(address)


def test_old_versions_are_not_spoken_and_missing_files_are_named(certificates: Path) -> None:
    import ssl

    assert server_context(_tls(certificates, "node", "client")).minimum_version == ssl.TLSVersion.TLSv1_2
    with pytest.raises(InputError):
        server_context(Tls("nowhere.crt", "nowhere.key"))
