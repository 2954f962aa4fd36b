"""Run ids: they sort by time."""

from __future__ import annotations

import datetime
import secrets


def new() -> str:
    """A new run id: UTC time to the second, microseconds, and four characters that keep it unique."""
    now = datetime.datetime.now(datetime.timezone.utc)
    tail = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(4))
    return now.strftime("%Y%m%dT%H%M%S-%f-") + tail


def day(run_id: str) -> str:
    """The folder of a run's day: yyyy/mm/dd."""
    return "{}/{}/{}".format(run_id[:4], run_id[4:6], run_id[6:8])
