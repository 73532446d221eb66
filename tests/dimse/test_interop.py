"""Real peers: DCMTK's tools and Orthanc against the node, by both data paths. ``.ci/run`` installs them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dimse.conftest import Started

from pacscore.dimse.configuration import Limits, Peer, Right, Tls
from pacscore.dimse.connecting import Address, make_entity
from pacscore.dimse.objects import FileObject, files_to_send
from pacscore.dimse.requesting import echo, move, query
from pacscore.dimse.sending import Sender, Sent
from pacscore.dimse.server import DicomServer

pytestmark = pytest.mark.interop
ENVIRONMENT = dict(os.environ, TCP_NODELAY="1")
ALL = frozenset(Right)


def _program(name: str) -> str:
    """A peer's program: never a script of the same name in this environment (pynetdicom brings some)."""
    own = str(Path(os.sys.executable).parent)  # type: ignore[attr-defined]
    path = os.pathsep.join(each for each in [*os.get_exec_path(), "/usr/sbin", "/usr/bin"] if each != own)
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"{name} is not installed (until 2027-12-31)")
    return found


def _run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [_program(name), *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _data_set(path: Path) -> bytes:
    raw = path.read_bytes()
    assert raw[128:132] == b"DICM"
    group_length = int.from_bytes(raw[140:144], "little")
    return raw[144 + group_length :]


def _digests(server: DicomServer) -> dict[str, str]:
    return {
        each.sop_instance_uid: each.sha256
        for row in server.archive.find("series")
        for each in server.archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"]).all_versions
    }


def _until_listening(port: int, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the peer does not listen")


def test_echoscu(server: DicomServer) -> None:
    assert _run("echoscu", "-aec", "PACSCORE", "127.0.0.1", str(server.port)).returncode == 0


class Reference:
    """DCMTK's storescp, which keeps what comes bit by bit: what a sender really put on the wire."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, _free_port()
        folder.mkdir()
        command = [_program("storescp"), "-aet", "STORESCP", "+B", "+xa", "-od", str(folder), str(self.port)]
        self._process = subprocess.Popen(command, env=ENVIRONMENT)
        _until_listening(self.port)

    def digests(self) -> list[str]:
        return sorted(hashlib.sha256(_data_set(each)).hexdigest() for each in self.folder.iterdir())

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


@pytest.fixture
def reference(tmp_path: Path) -> Iterator[Reference]:
    made = Reference(tmp_path / "reference")
    yield made
    made.stop()


_PROPOSED = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
    "1.2.840.10008.1.2.5": "-xr",
}


def test_storescu_sends_every_syntax_and_each_arrives_byte_for_byte(
    server: DicomServer, reference: Reference, data: Path
) -> None:
    seen: set[str] = set()
    for each in files_to_send([data / "single"]):
        if not isinstance(each, FileObject) or each.transfer_syntax_uid in seen:
            continue
        option = _PROPOSED.get(each.transfer_syntax_uid)
        if option is None or not each.scanned.parts.has_preamble or not each.scanned.series_instance_uid:
            continue
        arguments = ["-R", option, "127.0.0.1"]
        if _run("storescu", *arguments, str(reference.port), str(each.path)).returncode:
            continue  # The tool itself cannot send this one.
        assert _run("storescu", *arguments, str(server.port), str(each.path)).returncode == 0
        seen.add(each.transfer_syntax_uid)
    assert len(seen) >= 9, seen
    assert sorted(_digests(server).values()) == reference.digests()


def test_findscu_movescu_and_getscu_are_answered(start: Started, reference: Reference, tmp_path: Path) -> None:
    server = start(peers=(Peer("STORESCP", "127.0.0.1", reference.port, ALL),))
    server.archive.ingest(Path(str(files("pacscore") / "data" / "sts003" / "pet")))
    study = next(iter(server.archive.find("study")))["StudyInstanceUID"]
    keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
    node = ["127.0.0.1", str(server.port)]
    found = _run("findscu", *keys, "-k", "NumberOfStudyRelatedInstances", *node)
    assert found.returncode == 0
    assert "[51]" in found.stdout + found.stderr
    moved = _run("movescu", "-aem", "STORESCP", *keys, *node)
    assert moved.returncode == 0, moved.stderr
    expected = sorted(_digests(server).values())
    assert reference.digests() == expected
    got = tmp_path / "got"
    got.mkdir()
    assert _run("getscu", *keys, "-od", str(got), *node).returncode == 0
    assert len(list(got.iterdir())) == len(expected)
    for each in got.iterdir():
        read = pydicom.dcmread(each)
        assert read == server.archive.instance(str(read.SOPInstanceUID)).dataset()


def test_our_user_sends_to_storescp_byte_for_byte(reference: Reference, data: Path) -> None:
    folders = [data / "series" / "mr-t1-jpegls-4", data / "series" / "mr-t1-rle-4"]
    objects = [each for each in files_to_send(folders) if isinstance(each, FileObject)]
    limits, sent = Limits(), Sent()
    with Sender(make_entity("TEST", limits), Address("127.0.0.1", reference.port), limits) as sender:
        sender.send(objects, sent)
    assert sent.failures == []
    expected = {hashlib.sha256(each.outgoing_in(each.transfer_syntax_uid).joined()).hexdigest() for each in objects}
    assert set(reference.digests()) <= expected
    assert len(reference.digests()) >= 4


class Orthanc:
    """Orthanc with a configuration of its own."""

    def __init__(self, folder: Path, peer_port: int, reference_port: int) -> None:
        self.dicom, self.http = _free_port(), _free_port()
        settings = {
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "DicomPort": self.dicom,
            "HttpPort": self.http,
            "DicomAet": "ORTHANC",
            "RemoteAccessAllowed": False,
            "SyncStorageArea": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomModalities": {
                "pacscore": ["PACSCORE", "127.0.0.1", peer_port],
                "reference": ["STORESCP", "127.0.0.1", reference_port],
            },
        }
        folder.mkdir()
        (folder / "orthanc.json").write_text(json.dumps(settings))
        command = [_program("Orthanc"), str(folder / "orthanc.json")]
        self.process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _until_listening(self.http)
        _until_listening(self.dicom)

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", data, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def send(self, method: str, path: str, body: Any = None) -> None:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data, method=method)
        urllib.request.urlopen(request, timeout=60).close()

    def count_equal(self, server: DicomServer) -> int:
        """How many objects it has, each of them equal to ours."""
        names = self.ask("/instances")
        for name in names:
            found = pydicom.dcmread(BytesIO(self.raw(f"/instances/{name}/file")))
            assert found == server.archive.instance(str(found.SOPInstanceUID)).dataset()
        return len(names)

    def raw(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=60) as answer:
            return bytes(answer.read())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def orthanc(tmp_path: Path, server: DicomServer, reference: Reference) -> Iterator[Orthanc]:
    made = Orthanc(tmp_path / "orthanc", server.port, reference.port)
    yield made
    made.stop()


def test_orthanc_receives_from_us_sends_to_us_and_queries_us(
    server: DicomServer, orthanc: Orthanc, reference: Reference
) -> None:
    folder = Path(str(files("pacscore") / "data" / "sts003" / "ct"))
    objects = [each for each in files_to_send([folder]) if isinstance(each, FileObject)]
    address, limits, sent = Address("127.0.0.1", orthanc.dicom, "ORTHANC"), Limits(), Sent()
    echo(address)
    with Sender(make_entity("PACSCORE", limits), address, limits, fast=server.fast) as sender:
        sender.send(objects, sent)
    assert (sent.objects, sent.failures) == (len(objects), [])
    assert len(list(query(address, "study", {"StudyInstanceUID": ""}))) == 1

    instances = orthanc.ask("/instances")
    assert len(instances) == len(objects)
    assert orthanc.ask("/modalities/pacscore/store", instances)["FailedInstancesCount"] == 0
    assert orthanc.ask("/modalities/reference/store", instances)["FailedInstancesCount"] == 0
    assert sorted(_digests(server).values()) == reference.digests()

    answer = orthanc.ask(
        "/modalities/pacscore/query",
        {"Level": "Series", "Query": {"Modality": "CT", "NumberOfSeriesRelatedInstances": ""}},
    )
    contents = orthanc.ask(f"/queries/{answer['ID']}/answers?expand&simplify")
    assert [each["NumberOfSeriesRelatedInstances"] for each in contents] == [str(len(objects))]


def test_orthanc_takes_what_we_move_and_fetches_from_us(start: Started, orthanc: Orthanc, reference: Reference) -> None:
    """What leaves is compared byte for byte at the reference; Orthanc writes data sets anew, with equal elements."""
    peers = (Peer("ORTHANC", "127.0.0.1", orthanc.dicom, ALL), Peer("STORESCP", "127.0.0.1", reference.port, ALL))
    server = start("mover", peers=peers)
    server.archive.ingest(Path(str(files("pacscore") / "data" / "sts003" / "pet")))
    server.archive.seal()
    expected = sorted(_digests(server).values())
    (study,) = [row["StudyInstanceUID"] for row in server.archive.find("study")]
    for destination in ("ORTHANC", "STORESCP"):
        state = move(Address("127.0.0.1", server.port), "study", {"StudyInstanceUID": study}, destination)
        assert (state.completed, state.failed) == (len(expected), 0)
    assert reference.digests() == expected
    assert orthanc.count_equal(server) == len(expected)

    for name in orthanc.ask("/studies"):
        orthanc.send("DELETE", f"/studies/{name}")
    assert orthanc.count_equal(server) == 0
    orthanc.send("PUT", "/modalities/mover", ["PACSCORE", "127.0.0.1", server.port])
    answer = orthanc.ask("/modalities/mover/query", {"Level": "Study", "Query": {"StudyInstanceUID": study}})
    orthanc.ask(f"/queries/{answer['ID']}/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
    assert orthanc.count_equal(server) == len(expected)


@pytest.mark.parametrize("tool", ["echoscu", "storescu", "findscu"])
def test_dcmtk_by_tls_with_client_certificates(
    start: Started, reference: Reference, certificates: Path, tool: str
) -> None:
    """Its other programs know no TLS."""
    server = start(tls=Tls(*(str(certificates / name) for name in ("node.crt", "node.key", "client.crt"))))
    paths = sorted(Path(str(files("pacscore") / "data" / "sts003" / "ct")).iterdir())[:3]
    if tool == "findscu":
        for each in paths:
            server.archive.receive(each.read_bytes())
    node = ["127.0.0.1", str(server.port)]
    study = pydicom.dcmread(paths[0]).StudyInstanceUID
    keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
    arguments = {
        "echoscu": node,
        "storescu": [*node, *map(str, paths)],
        "findscu": [*keys, "-k", "NumberOfStudyRelatedInstances", *node],
    }[tool]
    trusted = ["+cf", str(certificates / "node.crt"), "-aec", "PACSCORE"]
    client, stranger = (
        ["+tls", str(certificates / f"{name}.key"), str(certificates / f"{name}.crt")]
        for name in ("client", "stranger")
    )
    done = _run(tool, *client, *trusted, *arguments)
    assert done.returncode == 0, done.stderr
    if tool == "findscu":
        assert "[3 ]" in done.stdout + done.stderr
    if tool == "storescu":  # It writes data sets anew: what it sends is what the reference gets.
        assert _run(tool, "127.0.0.1", str(reference.port), *map(str, paths)).returncode == 0
        assert sorted(_digests(server).values()) == reference.digests()
    assert _run(tool, *stranger, *trusted, *arguments).returncode
    assert _run(tool, "-aec", "PACSCORE", *arguments).returncode


def _pynetdicom(app: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pynetdicom", app, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_pynetdicoms_own_programs(start: Started, reference: Reference, tmp_path: Path) -> None:
    server = start(peers=(Peer("STORESCP", "127.0.0.1", reference.port, ALL),))
    paths = sorted(Path(str(files("pacscore") / "data" / "sts003" / "ct")).iterdir())[:3]
    study = str(pydicom.dcmread(paths[0]).StudyInstanceUID)
    node = ["127.0.0.1", str(server.port)]
    keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
    assert _pynetdicom("echoscu", *node).returncode == 0
    for path in paths:
        assert _pynetdicom("storescu", *node, str(path)).returncode == 0
    sent = {str(read.SOPInstanceUID): read for read in map(pydicom.dcmread, paths)}
    assert set(_digests(server)) == set(sent)
    assert all(server.archive.instance(uid).dataset() == read for uid, read in sent.items())
    found = _pynetdicom("findscu", *node, *keys, "-k", "NumberOfStudyRelatedInstances=")
    assert found.returncode == 0
    assert "[3" in found.stdout + found.stderr
    got = tmp_path / "got"
    got.mkdir()
    assert _pynetdicom("getscu", *node, *keys, "-od", str(got)).returncode == 0
    fetched = {str(read.SOPInstanceUID): read for read in map(pydicom.dcmread, got.iterdir())}
    assert fetched == sent
    assert _pynetdicom("movescu", *node, "-aem", "STORESCP", *keys).returncode == 0
    assert reference.digests() == sorted(_digests(server).values())
