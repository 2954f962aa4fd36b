"""Points in time as people type them: `30d` ago, or a date."""

from __future__ import annotations

import datetime
import re

from dsenv.errors import UsageError

_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_AGO = re.compile(r"(\d{1,6})([mhdw])")


def parse(text: str, now: float) -> int:
    """Microseconds since the epoch of `90m`, `12h`, `30d` or `4w` before `now` (seconds), or of a date or time in ISO
    form; one without a zone is in this machine's. Raises UsageError for anything else."""
    found = _AGO.fullmatch(text)
    if found:
        return int((now - int(found.group(1)) * _UNITS[found.group(2)]) * 1e6)
    try:
        return int(datetime.datetime.fromisoformat(text).timestamp() * 1e6)
    except (ValueError, OverflowError, OSError) as error:
        hint = "write 30d, 12h, or a date such as 2026-03-01"
        raise UsageError(f"{text!r} is no time", hint=hint) from error
