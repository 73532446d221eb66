"""pynetdicom as a receiver that takes what a test says, and nothing else."""

from __future__ import annotations

import time

import pydicom
from pynetdicom import AE, _config, evt

from pacscore.dimse.configuration import ALL_RIGHTS, Peer


class Sink:
    """The destination ``TARGET``: what it takes is kept as it came."""

    def __init__(self, sop_class_uid: str, syntaxes: list[str], *, seconds: float = 0.0) -> None:
        self.came: list[pydicom.Dataset] = []
        self._seconds = seconds
        entity = AE("TARGET")
        entity.add_supported_context(sop_class_uid, syntaxes)
        events = [(evt.EVT_REQUESTED, self._restrict), (evt.EVT_C_STORE, self._take)]
        self._listener = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=events)
        self.port = self._listener.server_address[1]
        self.peer = Peer("TARGET", "127.0.0.1", self.port, ALL_RIGHTS)

    def _restrict(self, event: evt.Event) -> None:
        """Our node has this process take every storage class in every syntax: here, while this one negotiates, not."""
        _config.UNRESTRICTED_STORAGE_SERVICE = False

    def _take(self, event: evt.Event) -> int:
        time.sleep(self._seconds)
        received = event.dataset
        received.file_meta = event.file_meta
        self.came.append(received)
        return 0

    def stop(self) -> None:
        self._listener.shutdown()
