"""Carrying what the queue says should go on to another node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pacscore.dimse.choosing import chosen
from pacscore.dimse.retrieving import address_of
from pacscore.dimse.sending import Sender, Sent
from pacscore.errors import RefusedError
from pacscore.flow.queue import Job

if TYPE_CHECKING:
    from pacscore.dimse.server import DicomServer

KIND = "forward"


class Forwarding:
    """Carries jobs of the kind ``forward``: one series to one peer."""

    def __init__(self, server: DicomServer) -> None:
        self._server = server

    def deliver(self, job: Job) -> None:
        """Send the series as it is now; a receiver that has a part of it keeps that once.

        Raises
        ------
        UnreachableError, RefusedError
            The peer cannot be reached, or has not taken all of it.
        """
        server = self._server
        peer = server.node.destination(job.destination)
        if peer is None:
            raise RefusedError(f"{job.destination} is no peer with a port. Add one, or drop the job.")
        match = {"StudyInstanceUID": job.payload["study"], "SeriesInstanceUID": job.payload["series"]}
        sent, count = Sent(), 0
        with Sender(server.entity, address_of(server, peer), server.node.limits, fast=server.fast) as sender:
            for choice in chosen(server.archive, match):
                count += len(choice.objects)
                sender.send(choice.objects, sent)
        server.counters.add(sent=sent.objects)
        if sent.failures:
            raise RefusedError(f"{len(sent.failures)} of {sent.objects + len(sent.failures)} objects did not arrive.")
        if count:
            server.archive.note(
                "forwarded",
                study_instance_uid=job.payload["study"],
                series_instance_uid=job.payload["series"],
                to=job.destination,
                instance_count=count,
            )
