"""The network commands: what they refuse, and one round through a node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dimse.conftest import LIMITS
from dimse.objects_made import data_set
from typer.testing import CliRunner

import pacscore
from pacscore.cli.app import app
from pacscore.dimse.configuration import Node
from pacscore.dimse.server import DicomServer
from pacscore.errors import InputError, UnreachableError

EXPLICIT = "1.2.840.10008.1.2.1"


def _run(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


@pytest.mark.parametrize("node", ["localhost", "localhost:x", ":104", "localhost:0", "localhost:70000"])
def test_what_is_no_host_and_port_is_refused(node: str) -> None:
    with pytest.raises(InputError, match="HOST:PORT"):
        _run("echo", node)


def test_nobody_there_is_said() -> None:
    with pytest.raises(UnreachableError):
        _run("echo", "127.0.0.1:1")


def test_objects_go_through_a_node_and_back(tmp_path: Path) -> None:
    path = tmp_path / "one.dcm"
    path.write_bytes(data_set("1.2.3.1"))
    (tmp_path / "no.txt").write_text("no object")
    pacscore.create(tmp_path / "other").close()
    with pacscore.create(tmp_path / "archive") as archive:
        with DicomServer(archive, Node(port=0, limits=LIMITS)) as server:
            node = f"127.0.0.1:{server.port}"
            assert json.loads(_run("echo", node, "--json"))["node"] == node
            sent = json.loads(_run("send", node, str(tmp_path / "one.dcm"), str(tmp_path / "no.txt"), "--json"))
            assert (sent["objects"], sent["failures"], len(sent["skipped"])) == (1, [], 1)
            (row,) = json.loads(_run("query", node, "PatientID=P1", "--json"))
            assert row["StudyInstanceUID"] == "1.2.3.0"
            got = json.loads(_run("get", node, str(tmp_path / "other"), "StudyInstanceUID=1.2.3.0", "--json"))
            assert (got["received"], got["failed"]) == (1, 0)
            again = json.loads(_run("send", node, str(tmp_path / "other"), "Modality=CT", "--json"))
            assert again["objects"] == 1
        assert len(list(archive.find("instance"))) == 1
    kinds = [json.loads(line)["kind"] for line in _run("events", str(tmp_path / "archive"), "--json").splitlines()]
    assert kinds == ["received"]


def test_a_configuration_is_checked_without_serving(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('[[peer]]\nae_title = "CACHE"\nhost = "10.0.0.1"\nport = 104\n[[forward]]\nto = "CACHE"\n')
    said = _run("serve", str(tmp_path / "none"), "--config", str(path), "--check")
    assert "CACHE at 10.0.0.1 may: nothing, reached at port 104" in said
    assert "everything goes on to CACHE" in said
    assert not (tmp_path / "none").exists()
    path.write_text('[[forward]]\nto = "NOBODY"\n')
    with pytest.raises(InputError, match="NOBODY"):
        _run("serve", str(tmp_path / "none"), "--config", str(path), "--check")


def test_the_queue_is_shown_retried_and_dropped(tmp_path: Path) -> None:
    from pacscore.flow.queue import WorkQueue

    pacscore.create(tmp_path / "archive").close()
    folder = str(tmp_path / "archive")
    assert json.loads(_run("queue", "list", folder, "--json")) == []
    job = WorkQueue(tmp_path / "archive" / "queue").put("forward", "CACHE", {"study": "1", "series": "2"}, due=1e12)
    (shown,) = json.loads(_run("queue", "list", folder, "--json"))
    assert (shown["name"], shown["destination"]) == (job.name, "CACHE")
    assert "1 jobs are due now" in _run("queue", "retry", folder)
    assert job.name in _run("queue", "drop", folder, job.name)
    assert json.loads(_run("queue", "list", folder, "--json")) == []
    with pytest.raises(InputError):
        _run("queue", "empty", folder)
