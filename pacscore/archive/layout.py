"""The folder of an archive: its parts, its identity, its format version.

L1  Folder names come from keys we make, never from UIDs or other outside text.
L2  ``pacscore.toml`` is the first thing published and never changes; a folder without it is no archive, and one that
    holds nothing but our empty folders is a creation that was interrupted: it can be done again.
L3  An archive of a newer format is refused with the version it needs; nothing in it is touched.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pacscore.errors import FormatVersionError, InputError, NotFoundError, UnsupportedError
from pacscore.filesystem import PENDING_PREFIX, FileSystem
from pacscore.version import FORMAT_VERSION, __version__

IDENTITY_FILE = "pacscore.toml"

_FOLDERS = ("events", "journal", "staging", "quarantine", "series", "packs")
_GENERATION = re.compile(r"series/[0-9a-f]{2}/[0-9a-f]{32}/[0-9a-f]{16}\.zip|packs/[0-9a-f]{16}\.zip")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of one archive lie.

    ``archive_id`` is random, made at creation; with the UIDs it makes the series keys, so that two processes agree on
    a key without talking and two archives never share one.
    """

    root: Path
    archive_id: str
    strategy: str
    format_version: int

    @property
    def events(self) -> Path:
        """The event log: the truth about what is visible."""
        return self.root / "events"

    @property
    def journal(self) -> Path:
        """What was received and is not sealed yet."""
        return self.root / "journal"

    @property
    def staging(self) -> Path:
        """Work in progress; the only place where recovery deletes."""
        return self.root / "staging"

    @property
    def quarantine(self) -> Path:
        """What could not be parsed, each with its reason."""
        return self.root / "quarantine"

    @property
    def cache(self) -> Path:
        """Working copies: decoded frames of compressed originals, deletable at any time."""
        return self.root / "cache"

    @property
    def collection_lock(self) -> Path:
        """Held while superseded generations are collected; who copies the archive holds it shared."""
        return self.root / "collection.lock"

    @property
    def catalog(self) -> Path:
        """The derived catalog."""
        return self.root / "catalog.sqlite"

    @property
    def identity(self) -> Path:
        """The file that makes the folder an archive."""
        return self.root / IDENTITY_FILE

    def series_key(self, study_instance_uid: str, series_instance_uid: str) -> str:
        """The key of a series: 32 hexadecimal digits.

        Examples
        --------
        >>> layout = Layout(Path("a"), "00ff", "balanced", 1)
        >>> layout.series_key("1.2", "1.2.3")
        'f99de622e73ec42ebf28557b675a546c'
        """
        text = "\0".join((self.archive_id, study_instance_uid, series_instance_uid))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def new_generation(self, key: str) -> str:
        """A locator for a new generation of the series ``key``; random, so that writers never meet."""
        return f"series/{key[:2]}/{key}/{secrets.token_hex(8)}.zip"

    def new_pack(self) -> str:
        """A locator for a new pack of small series."""
        return f"packs/{secrets.token_hex(8)}.zip"

    @staticmethod
    def is_generation(locator: str) -> bool:
        """Whether a text is a whole locator of a generation or pack.

        Examples
        --------
        >>> Layout.is_generation("packs/00112233aabbccdd.zip")
        True
        >>> Layout.is_generation("packs/00112233")
        False
        """
        return _GENERATION.fullmatch(locator) is not None


def create_layout(root: Path, *, strategy: str, filesystem: FileSystem) -> Layout:
    """Make the folders of a new, empty archive.

    Raises
    ------
    InputError
        There is something in the folder already.
    UnsupportedError
        This platform's locks and syncs do not keep promise 1.
    """
    refuse_unsafe_platform()
    if root.exists() and not root.is_dir():
        raise InputError("there is a file of that name: choose a new or empty folder.", path=str(root))
    if root.exists() and not _is_unfinished(root):
        what = "an archive already" if (root / IDENTITY_FILE).exists() else "not empty"
        raise InputError(f"the folder is {what}: choose a new or empty one for a new archive.", path=str(root))
    layout = Layout(root, secrets.token_hex(16), strategy, FORMAT_VERSION)
    _make_with_parents(root, filesystem)
    for pending in root.glob(f"{PENDING_PREFIX}*"):
        filesystem.remove(pending)
    for folder in _FOLDERS:
        filesystem.make_folder(root / folder, exist_ok=True)
    filesystem.sync_folder(root)
    text = (
        "# A pacscore archive. docs/format.md of the project says how to read it with common libraries alone.\n"
        f"format = {layout.format_version}\n"
        f'id = "{layout.archive_id}"\n'
        f'strategy = "{layout.strategy}"\n'
        f'created_by = "pacscore {__version__}"\n'
    )
    filesystem.publish(layout.identity, text.encode())
    return layout


def _is_unfinished(root: Path) -> bool:
    """Whether a folder is empty, or as an interrupted creation leaves it."""
    return all(
        entry.name.startswith(PENDING_PREFIX)
        or (entry.name in _FOLDERS and entry.is_dir() and not any(entry.iterdir()))
        for entry in root.iterdir()
    )


def _make_with_parents(folder: Path, filesystem: FileSystem) -> None:
    missing = [folder]  # Even if it is there: whoever made it may have died before its name was synced.
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for each in reversed(missing):
        filesystem.make_folder(each, exist_ok=True)
        filesystem.sync_folder(each.parent)


def read_layout(root: Path) -> Layout:
    """The layout of an existing archive.

    Raises
    ------
    NotFoundError
        The folder holds no archive.
    FormatVersionError
        A newer pacscore wrote it, or ``pacscore.toml`` cannot be read.
    """
    try:
        content = (root / IDENTITY_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(
            f"no archive there: {IDENTITY_FILE} is missing. Check the path, or make one with `pacscore create`.",
            path=str(root),
        ) from error
    try:
        table = tomllib.loads(content.decode())
        version = int(table["format"])
        _refuse_newer(version, str(table.get("created_by", "a newer pacscore")))
        return Layout(root, str(table["id"]), str(table["strategy"]), version)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatVersionError(
            f"{IDENTITY_FILE} cannot be understood: restore it from a backup.", path=str(root)
        ) from error


def _refuse_newer(version: int, created_by: str) -> None:
    """A newer format may name all else in another way, so this comes before anything else is read."""
    if version > FORMAT_VERSION:
        raise FormatVersionError(
            f"the archive has format {version}, this pacscore reads up to {FORMAT_VERSION}. It was made by "
            f"{created_by}: install that version or a newer one.",
            expected=FORMAT_VERSION,
            found=version,
        )


def refuse_unsafe_platform() -> None:
    """Refuse to write where locks and syncs are not those the promises were proven on."""
    if sys.platform == "win32":
        raise UnsupportedError("writing an archive needs Linux or macOS: this system can only read one.")
