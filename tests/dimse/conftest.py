"""A node at work, by our data path and by pynetdicom's own: every test that takes one runs with both."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pacscore
from pacscore.dimse.configuration import Limits, Node
from pacscore.dimse.server import DicomServer
from pacscore.flow.rules import Rule
from pacscore.settings import Settings

LIMITS = Limits(quiet_seconds=0, free_bytes_min=0, stall_seconds=5, negotiation_seconds=5, answer_seconds=20)
Started = Callable[..., DicomServer]


@pytest.fixture(params=["fast", "pynetdicom"])
def fast(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "fast")


@pytest.fixture
def start(tmp_path: Path, fast: bool) -> Iterator[Started]:
    """Start a node on an archive of its own, on a free port of the loopback address."""
    servers: list[DicomServer] = []

    def started(name: str = "archive", rules: tuple[Rule, ...] = (), **settings: object) -> DicomServer:
        node = Node(**{"port": 0, "limits": LIMITS, **settings})  # type: ignore[arg-type]
        archive = pacscore.create(tmp_path / name, settings=Settings(room_bytes=100_000))
        servers.append(DicomServer(archive, node, rules=rules, fast=fast).start())
        return servers[-1]

    yield started
    for server in servers:
        server.stop(drain_seconds=0)
        server.archive.close()


@pytest.fixture
def server(start: Started) -> DicomServer:
    return start()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Self-signed certificates and keys of a node, a client, and a stranger."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificates (until 2027-12-31)")
    folder = tmp_path_factory.mktemp("tls")
    for name in ("node", "client", "stranger"):
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        command += ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
        subprocess.run(command, check=True, capture_output=True)
    return folder
