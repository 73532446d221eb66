from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pacscore.errors import InputError, UnreachableError
from pacscore.flow.queue import Job
from pacscore.flow.webhook import Webhook, check_address


def test_an_event_is_posted_and_any_other_answer_than_success_is_a_failure() -> None:
    came: list[dict[str, object]] = []
    codes = [204, 500]

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(codes[len(came) - 1])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=lambda: [server.handle_request() for _ in range(2)])
    thread.start()
    job = Job("1", "webhook", f"http://127.0.0.1:{server.server_port}/x", {"kind": "quiet"})
    Webhook().deliver(job)
    with pytest.raises(UnreachableError, match="500"):
        Webhook().deliver(job)
    thread.join()
    server.server_close()
    assert came == [{"id": "1", "kind": "quiet"}] * 2


def test_nobody_there_is_a_failure_and_another_scheme_is_refused() -> None:
    with pytest.raises(UnreachableError):
        Webhook().deliver(Job("1", "webhook", "http://127.0.0.1:1/", {}))
    with pytest.raises(InputError):
        check_address("file:///etc/passwd")
