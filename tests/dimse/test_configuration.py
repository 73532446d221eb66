from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pacscore.dimse.admission import CALLED_NOT_RECOGNIZED, CALLING_NOT_RECOGNIZED, judge
from pacscore.dimse.configuration import ALL_RIGHTS, Node, Peer, Right, check_ae_title, read_node
from pacscore.dimse.lines import LineFormat
from pacscore.errors import InputError

WHOLE = """
[node]
ae_title = "PACS"
host = "0.0.0.0"
port = 104
processes = 2

[limits]
idle_seconds = 60
object_bytes_max = 1000000

[[peer]]
ae_title = "CT1"
host = "10.1.0.0/16"
rights = ["store"]

[[peer]]
ae_title = "WORKSTATION"
host = "10.2.0.9"
port = 11112
rights = ["query", "retrieve"]

[[forward]]
to = "WORKSTATION"
match = { Modality = "CT" }
"""


def _written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(text)
    return path


def test_a_file_is_overridden_by_the_environment_and_that_by_flags(tmp_path: Path) -> None:
    path = _written(tmp_path, WHOLE)
    node = read_node(path, {"PACSCORE_DIMSE_PORT": "105", "PACSCORE_DIMSE_AE_TITLE": "ENV"}, ae_title="FLAG", host=None)
    assert (node.ae_title, node.host, node.port, node.processes) == ("FLAG", "0.0.0.0", 105, 2)
    assert node.limits.idle_seconds == 60
    assert [peer.ae_title for peer in node.peers] == ["CT1", "WORKSTATION"]
    assert node.destination("WORKSTATION") is node.peers[1]
    assert node.destination("CT1") is None


def test_without_anything_only_this_machine_is_served() -> None:
    node = read_node(None, {})
    assert (node.host, node.peers) == ("127.0.0.1", ())


@pytest.mark.parametrize(
    "text",
    [
        "[node]\ncolour = 1",
        "[node]\nport = 'x'",
        "[node]\nport = 70000",
        "[node]\nae_title = 'MUCH TOO LONG A TITLE'",
        "[[peer]]\nhost = '10.0.0.1'",
        "[[peer]]\nae_title = 'A'\nhost = 'x'\nrights = ['everything']",
        "[limits]\nidle_seconds = -1",
        "[limits]\npdu_bytes_announced = 5",
        "[somewhere]\nx = 1",
        "[tls]\ncertificate = 'a'",
        "not toml",
    ],
)
def test_what_has_no_meaning_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        read_node(_written(tmp_path, text), {})


@pytest.mark.parametrize("title", ["", "   ", "A" * 17, "A\\B", "ÄB", "A\nB"])
def test_what_is_no_ae_title_is_refused(title: str) -> None:
    with pytest.raises(InputError):
        check_ae_title(title)


NODE = Node(
    ae_title="PACS",
    peers=(
        Peer("CT1", "10.1.0.0/16", rights=frozenset({Right.STORE})),
        Peer("LOCAL", "127.0.0.1", rights=frozenset({Right.QUERY})),
    ),
)


@pytest.mark.parametrize(
    ("calling", "called", "address", "refusal", "rights"),
    [
        ("CT1", "PACS", "10.1.7.7", (), {Right.STORE}),
        ("CT1", "PACS", "::ffff:10.1.7.7", (), {Right.STORE}),
        ("CT1", "PACS", "10.2.0.1", CALLING_NOT_RECOGNIZED, set()),
        ("CT2", "PACS", "10.1.7.7", CALLING_NOT_RECOGNIZED, set()),
        ("CT1", "OTHER", "10.1.7.7", CALLED_NOT_RECOGNIZED, set()),
        ("ANY", "ANY", "127.0.0.1", (), set(ALL_RIGHTS)),
        ("ANY", "ANY", "::1", (), set(ALL_RIGHTS)),
        ("LOCAL", "PACS", "127.0.0.1", (), {Right.QUERY}),
    ],
)
def test_promise_11_who_is_not_named_is_not_served_beyond_this_machine(
    calling: str, called: str, address: str, refusal: tuple[int, ...], rights: set[Right]
) -> None:
    admission = judge(NODE, calling=calling, called=called, address=address)
    assert admission.refusal == refusal
    assert admission.rights == rights


def test_a_refusal_names_both_titles_the_address_and_the_line_that_would_admit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pacscore.dimse")
    judge(NODE, calling="CT9", called="PACS", address="10.9.0.1")
    line = LineFormat().format(caplog.records[-1])
    for part in ("calling=CT9", "called=PACS", "address=10.9.0.1", "[[peer]]", "CT9"):
        assert part in line
    assert "\n" not in LineFormat(as_json=True).format(caplog.records[-1])
