"""pacscore send: objects to another node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pacscore.cli.arguments import AsJson, matches_of, print_json
from pacscore.cli.network import Authorities, Called, Calling, Certificate, Key, Node, address_of
from pacscore.cli.progress import shown
from pacscore.cli.text import bytes_text, listing
from pacscore.errors import InputError

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive
    from pacscore.dimse.objects import Sendable
    from pacscore.dimse.sending import Sent

NAME = "send"
HELP = (
    "Send objects to a DICOM node (C-STORE), from an archive or from files, as they are stored wherever the node takes "
    "that; else uncompressed.\n\n"
    "An archive may be followed by KEY=VALUE to choose. What fails for the moment is tried again; what fails for good "
    "is listed. With --resume FILE a sending that was cut off, or in which something failed, goes on with what is left."
)
EPILOG = (
    "Examples: pacscore send pacs.example.org:11112 MY_ARCHIVE Modality=CT --to PACS   ·   "
    "pacscore send localhost:11112 image.dcm FOLDER --resume sent.txt --associations 4"
)
_BATCH = 500


def run(
    node: Node,
    source: Annotated[
        list[str], typer.Argument(help="An archive and KEY=VALUE words, or files and folders.", metavar="SOURCE...")
    ],
    resume: Annotated[
        Path | None,
        typer.Option("--resume", help="Record of what has arrived: run again, it goes on there.", metavar="FILE"),
    ] = None,
    associations: Annotated[int, typer.Option(help="How many associations at once.", min=1, max=32)] = 1,
    called: Called = "ANY-SCP",
    calling: Calling = "PACSCORE",
    certificate: Certificate = None,
    key: Key = None,
    authorities: Authorities = None,
    as_json: AsJson = False,
) -> None:
    """Send and say what arrived."""
    address = address_of(node, called, certificate, key, authorities)
    import pacscore
    from pacscore.dimse.configuration import Limits
    from pacscore.dimse.connecting import make_entity
    from pacscore.dimse.resuming import SentRecord
    from pacscore.dimse.sending import Sender, send_all

    entity = make_entity(calling, Limits())
    senders = [Sender(entity, address, Limits()) for _ in range(associations)]
    skipped: list[tuple[str, str]] = []
    with ExitStack() as opened:
        progress = opened.enter_context(shown(quiet=as_json))
        record = opened.enter_context(SentRecord(resume, address)) if resume is not None else None
        before = record.count if record is not None else 0

        def told(sent: Sent) -> None:
            if progress is not None:
                done = sent.objects + len(sent.failures)
                progress("sending", done, done)

        first = Path(source[0])
        if (first / "pacscore.toml").is_file():
            archive = opened.enter_context(pacscore.open(first, read_only=True))
            batches = _stored(archive, matches_of(source[1:]))
        else:
            batches = _files([Path(each) for each in source], skipped)
        if record is None:
            sent = send_all(batches, senders, told)
        else:
            sent = send_all((record.left(batch) for batch in batches), senders, told, record.add)
            if not sent.failures:
                record.finish()
    if as_json:
        listed = [{"path": path, "reason": reason} for path, reason in skipped]
        print_json({**sent.as_dict(), "arrived_before": before, "skipped": listed})
    else:
        typer.echo(f"{sent.objects} objects with {bytes_text(sent.bytes)} sent, {len(sent.failures)} failed.")
        if before:
            typer.echo(f"{before} had arrived before.")
        listing("Failed", [(each.sop_instance_uid, each.reason) for each in sent.failures])
        listing("Skipped", skipped)
    if sent.failures:
        raise typer.Exit(1)


def _stored(archive: Archive, match: dict[str, str]) -> Iterator[Sequence[Sendable]]:
    from pacscore.dimse.choosing import chosen

    for choice in chosen(archive, match):
        yield choice.objects


def _files(paths: list[Path], skipped: list[tuple[str, str]]) -> Iterator[Sequence[Sendable]]:
    from pacscore.dimse.objects import files_to_send

    for path in paths:
        if not path.exists():
            raise InputError("there is no such file or folder.", path=str(path))
    batch: list[Sendable] = []
    for each in files_to_send(paths):
        if isinstance(each, tuple):
            skipped.append((str(each[0]), each[1]))
            continue
        batch.append(each)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
