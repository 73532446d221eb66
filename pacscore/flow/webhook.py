"""Telling another program what happened, by HTTP POST of JSON."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from pacscore.errors import InputError, UnreachableError
from pacscore.flow.queue import Job

_SECONDS = 10.0


def check_address(address: str) -> str:
    """The address, if it is one that a webhook may have.

    Raises
    ------
    InputError
        It is not http or https.
    """
    if not address.startswith(("http://", "https://")):
        raise InputError("a webhook's url begins with http:// or https://.", expected="http(s)", found=address)
    return address


class Webhook:
    """Carries jobs of the kind ``webhook``: their payload is posted, and any 2xx answer is a success."""

    def deliver(self, job: Job) -> None:
        """Post it.

        Raises
        ------
        UnreachableError
            Nobody answered with success.
        """
        body = json.dumps({"id": job.name, **job.payload}).encode()
        request = urllib.request.Request(
            check_address(job.destination), body, {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS):
                return
        except urllib.error.HTTPError as error:
            raise UnreachableError(f"the webhook answers with status {error.code}.") from error
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise UnreachableError("the webhook does not answer.") from error
