"""What the node tells its operator: lines of an event's name and fields, none of which identifies a patient.

Fields that come from outside (AE titles, addresses) are shown as printable ASCII, so that no peer can forge a line.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

LOGGER = logging.getLogger("pacscore.dimse")
_FIELDS = "pacscore_fields"


def tell(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event with its fields."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, event, extra={_FIELDS: {key: _plain(value) for key, value in fields.items()}})


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    return "".join(each if " " <= each <= "~" else f"\\x{ord(each):02x}" for each in str(value))


class LineFormat(logging.Formatter):
    """``time level event key=value …``, or one JSON object a line."""

    def __init__(self, *, as_json: bool = False) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        fields: dict[str, Any] = getattr(record, _FIELDS, {})
        if self._as_json:
            return json.dumps({"time": moment, "level": record.levelname.lower(), "event": record.msg, **fields})
        shown = " ".join(
            f"{key}={json.dumps(value) if _needs_quotes(value) else value}" for key, value in fields.items()
        )
        return f"{moment} {record.levelname.lower():<7} {record.msg}{' ' if shown else ''}{shown}"


def _needs_quotes(value: Any) -> bool:
    return isinstance(value, str) and (not value or any(each in value for each in ' "='))
