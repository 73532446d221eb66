"""What arrives goes on by rule; that it did, and that a study became quiet, are events for everybody."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from dimse.conftest import LIMITS, Started
from dimse.objects_made import data_set
from typer.testing import CliRunner

from pacscore.cli.app import app
from pacscore.dimse.configuration import ALL_RIGHTS, Peer
from pacscore.flow.rules import Rule

EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture
def fast() -> bool:
    """What is tested here does not depend on the data path."""
    return True


def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_series_goes_on_and_both_that_and_the_quiet_study_are_events(start: Started) -> None:
    target = start("target", ae_title="CACHE")
    peers = (Peer("CACHE", "127.0.0.1", target.port, ALL_RIGHTS),)
    source = start("source", peers=peers, limits=LIMITS, rules=(Rule("CACHE", {"Modality": "CT"}, quiet_seconds=0.1),))
    raw = data_set("1.2.3.1")
    source.archive.receive(raw, transfer_syntax=EXPLICIT)
    _until(lambda: any(event["kind"] == "forwarded" for event in source.archive.events()))
    assert target.archive.instance("1.2.3.1").dataset_bytes() == raw
    result = CliRunner().invoke(app, ["events", str(source.archive.root), "--json"])
    events = [json.loads(line) for line in result.stdout.splitlines()]
    noted = {event["kind"]: event for event in events if event["kind"] in ("quiet", "forwarded")}
    assert set(noted) == {"quiet", "forwarded"}
    assert (noted["forwarded"]["to"], noted["forwarded"]["series_instance_uid"]) == ("CACHE", "1.2.3.0.1")
    assert noted["forwarded"]["instance_count"] == noted["quiet"]["instance_count"] == 1
