"""pacscore send: objects to another node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    "An archive may be followed by KEY=VALUE to choose. What fails is listed, and can be sent again."
)
EPILOG = (
    "Examples: pacscore send pacs.example.org:11112 MY_ARCHIVE Modality=CT --to PACS   ·   "
    "pacscore send localhost:11112 image.dcm FOLDER"
)
_BATCH = 500


def run(
    node: Node,
    source: Annotated[
        list[str], typer.Argument(help="An archive and KEY=VALUE words, or files and folders.", metavar="SOURCE...")
    ],
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
    from pacscore.dimse.sending import Sender, send_all

    limits = Limits()
    entity = make_entity(calling, limits)
    senders = [Sender(entity, address, limits) for _ in range(associations)]
    skipped: list[tuple[str, str]] = []
    with shown(quiet=as_json) as progress:

        def told(sent: Sent) -> None:
            if progress is not None:
                done = sent.objects + len(sent.failures)
                progress("sending", done, done)

        first = Path(source[0])
        if (first / "pacscore.toml").is_file():
            with pacscore.open(first, read_only=True) as archive:
                sent = send_all(_stored(archive, matches_of(source[1:])), senders, told)
        else:
            sent = send_all(_files([Path(each) for each in source], skipped), senders, told)
    if as_json:
        print_json({**sent.as_dict(), "skipped": [{"path": path, "reason": reason} for path, reason in skipped]})
    else:
        typer.echo(f"{sent.objects} objects with {bytes_text(sent.bytes)} sent, {len(sent.failures)} failed.")
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
