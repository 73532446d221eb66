"""DICOM date-times as seconds, for telling times apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from pacscore.geometry.attributes import Label


def seconds(moments: Sequence[Label | None]) -> NDArray[np.float64] | None:
    """Seconds since the earliest of some DICOM date-times, one for each; None if one of them is not such a text.

    DT of PS3.5 6.2: YYYYMMDDHHMMSS.FFFFFF&ZZXX with parts left out from the end. The offset from UTC is taken into
    account; texts with and without one should not be compared.

    Examples
    --------
    >>> seconds(["20181022083634.795", "20181022083634.295"]).tolist()
    [0.5, 0.0]
    """
    known: dict[str, int] = {}
    for moment in moments:
        if not isinstance(moment, str):
            return None
        if moment not in known:
            value = _microseconds(moment)
            if value is None:
                return None
            known[moment] = value
    # Whole numbers up to here: seconds since year 1 would leave a float only 8 µs.
    earliest = min(known.values(), default=0)
    return np.array([(known[str(moment)] - earliest) / 1e6 for moment in moments], np.float64)


def _microseconds(moment: str) -> int | None:
    body, offset = moment.strip(), timedelta()
    for sign in "+-":
        if sign in body:
            body, _, zone = body.partition(sign)
            if len(zone) != 4 or not zone.isdigit():
                return None
            offset = timedelta(hours=int(zone[:2]), minutes=int(zone[2:])) * (1 if sign == "+" else -1)
    whole, _, fraction = body.partition(".")
    if not whole.isdigit() or not 4 <= len(whole) <= 14 or len(whole) % 2 or (fraction and not fraction.isdigit()):
        return None
    parts = [int(whole[:4])] + [int(whole[start : start + 2]) for start in range(4, len(whole), 2)]
    parts += [1] * (3 - len(parts))
    leap = len(parts) == 6 and parts[5] == 60  # PS3.5 allows it; datetime does not.
    if leap:
        parts[5] = 59
    try:
        when = datetime(*parts) - offset  # type: ignore[arg-type]  # Three to six whole numbers.
    except (ValueError, OverflowError):
        return None
    since = when - datetime(1, 1, 1)
    return (since.days * 86400 + since.seconds + leap) * 1_000_000 + int(fraction[:6].ljust(6, "0"))
