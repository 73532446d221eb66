"""Text files of a user's own: small, UTF-8, and refused with a reason otherwise."""

from __future__ import annotations

from pathlib import Path

from pacscore.errors import InputError


def read_text(path: Path, what: str, *, bytes_max: int) -> str:
    """The text of a file of at most ``bytes_max`` bytes, whatever its length is said to be.

    Parameters
    ----------
    what
        Its name in messages, as the beginning of a sentence.

    Raises
    ------
    InputError
        It cannot be read, is longer, or is no UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise InputError(f"{what} cannot be read: {error.strerror}.", path=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{what} is not UTF-8 text.", path=str(path)) from error
    if len(content) > bytes_max:
        raise InputError(f"{what} is longer than {bytes_max} bytes.", path=str(path))
    return text
